import pytest

from bench import record, results


@pytest.fixture(scope="module")
def rows():
    return results.read_published()


def test_row_counts_by_table(rows):
    counts = rows["table"].value_counts().to_dict()
    assert counts == {
        "mixer-table2": 10,
        "mixer-table3": 26,
        "vit-table2": 5,
        "vit-table5": 9,
        "vit-table6": 18,
        "bit-table1": 1,
        "bit-table2": 2,
        "timm": 52,
    }


def test_every_row_is_cited_and_keeps_the_schema(rows):
    # anchor_drift is derived when rows are read
    assert list(rows.columns) == [*record.COLUMNS, "anchor_drift"]
    assert rows["citation"].notna().all() and rows["bibkey"].notna().all()
    assert (rows["source"] == "published").all()


def test_extrapolated_core_days_stay_in_their_own_column(rows):
    both = rows["core_days_measured"].notna() & rows["core_days_extrapolated"].notna()
    assert not both.any()
    table3 = rows[rows["table"] == "mixer-table3"]
    assert table3["core_days_extrapolated"].notna().sum() == 9


@pytest.mark.parametrize(
    "table, run_id, column, value",
    [
        ("mixer-table2", "Mixer-H/14|JFT-300M|448||14", "top1", 0.8794),
        ("mixer-table2", "Mixer-H/14|JFT-300M|448||14", "vtab19", 0.7533),
        ("mixer-table3", "Mixer-S/32|JFT-300M|224|jft|5", "img_per_sec_core", 11489),
        ("mixer-table3", "BiT-R50x1|JFT-300M|224|jft|7", "core_days_measured", 80),
        ("vit-table6", "ViT-B/16|JFT-300M|384||7", "train_exaflops", 224),
    ],
)
def test_spot_values(rows, table, run_id, column, value):
    row = rows[(rows["table"] == table) & (rows["run_id"] == run_id)]
    assert row[column].item() == pytest.approx(value)


def test_a_run_quoted_by_two_papers_shares_its_run_id(rows):
    quoted = rows[rows["run_id"] == "ViT-H/14|JFT-300M|518|quoted"]
    assert sorted(quoted["table"]) == ["mixer-table2", "vit-table2"]
