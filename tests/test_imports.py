"""Imported rows: what timm writes and what a column map says, and nothing mixed.

Lines of timm's own files are as they stand in its repository.
"""

from __future__ import annotations

import re
import shlex

import pytest

from bench import imports, timm_results
from bench.analysis.key import keys
from bench.cli import app
from bench.errors import ResultsError, StudyError
from bench.results import read, read_results

BENCHMARK = """\
model,infer_samples_per_sec,infer_step_time,infer_batch_size,infer_img_size,param_count
mixer_b16_224,2608.5,98.1,256,224,59.88
vit_base_patch16_224,2787.0,91.8,256,224,86.57
resnet50,5000.0,50.0,256,224,25.56
resnetv2_50x1_bit.goog_in21k,587.0,436.0,256,448,25.55
"""
TRAINED = """\
model,train_samples_per_sec,train_step_time,train_batch_size,train_img_size,param_count
mixer_s32_224,4696.33,108.475,512,224,19.1
"""
ACCURACY = """\
model,top1,top1_err,top5,top5_err,param_count,img_size,crop_pct,interpolation
mixer_b16_224.goog_in21k_ft_in1k,76.616,23.384,92.228,7.772,59.88,224,0.875,bicubic
vit_large_patch14_clip_336.openai,90.5,9.5,98.7,1.3,304.53,336,1.0,bicubic
"""
OWN = 'net,rate,acc,gpu\nmixer-b/16,"1,500",0.7644,A100\nMyNet,10,0.5,A100\n'


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    texts = {"b": BENCHMARK, "t": TRAINED, "a": ACCURACY, "own": OWN, "x": "p,q\n1,2\n"}
    for name, text in texts.items():
        (tmp_path / f"{name}.csv").write_text(text)
    (tmp_path / "junk.csv").write_bytes(bytes(range(256)))
    (tmp_path / "empty.csv").write_text("model,top1\n")
    (tmp_path / "old.parquet").write_text("")
    return tmp_path


def call(capsys, *arguments):
    capsys.readouterr()
    code = app._run([str(argument) for argument in arguments])
    out, err = capsys.readouterr()
    return code, out, err


WHO = ("--source", "timm-rtx4090", "--citation", "timm results, 2026")


def test_timms_benchmark_keeps_our_models_alone(capsys, here):
    code, out, err = call(
        capsys,
        *("import", "b.csv", "--from", "timm", *WHO, "-o", "new/b.parquet"),
        *("--set", "cores=1", "--set", "core_kind=gpu", "--set", "dtype=amp"),
    )
    assert (
        code == 0
        and "3 rows" in out
        and "1 line left out: no model of ours (resnet50)" in err
    )
    rows = read(here / "new" / "b.parquet").table.to_pylist()
    mixer, vit, bit = rows
    assert [row["model"] for row in rows] == ["Mixer-B/16", "ViT-B/16", "BiT-R50x1"]
    assert mixer["img_per_sec_core"] == 2608.5 and mixer["step_s"] == pytest.approx(
        0.0981
    )
    assert (mixer["mode"], mixer["batch_size"]) == ("infer", 256)
    assert mixer["param_count"] == 59_880_000 and bit["image_size"] == 448
    assert (vit["source"], vit["citation"]) == ("timm-rtx4090", "timm results, 2026")
    assert vit["printed_model"] == "vit_base_patch16_224" and vit["core_kind"] == "gpu"


def test_without_cores_there_is_no_rate_per_core(here):
    made = imports.origin("timm", "c", [])
    (row,) = timm_results.read(here / "t.csv", made).rows
    assert (row["mode"], row["img_per_sec"]) == ("train", 4696.33)
    assert row["img_per_sec_core"] is None


def test_timms_accuracies_become_shares(here):
    found = timm_results.read(here / "a.csv", imports.origin("timm", "c", []))
    (row,) = found.rows
    assert row["top1"] == pytest.approx(0.76616) and len(found.strangers) == 1
    assert row["eval_dataset"] == "ImageNet" and row["image_size"] == 224


def test_any_csv_by_a_map(capsys, here):
    code, _, _ = call(
        capsys,
        *("import", "own.csv", *WHO, "-o", "own.parquet", "--set", "mode=infer"),
        *("--map", "net=model", "--map", "rate=img_per_sec", "--map", "acc=top1"),
        *("--map", "gpu=machine", "--set", "cores=1"),
    )
    assert code == 0
    first, second = read(here / "own.parquet").table.to_pylist()
    assert (first["model"], first["family"]) == ("Mixer-B/16", "mixer")
    assert (first["img_per_sec_core"], first["machine"]) == (1500, "A100")
    assert (second["model"], second["family"]) == ("MyNet", None)


def test_the_same_file_twice_is_the_same_rows(here):
    made = imports.origin("timm", "c", [])
    one, two = (timm_results.read(here / "b.csv", made).rows for _ in range(2))
    assert one == two
    assert len({row["attempt_id"] for row in one}) == 3


def test_imported_rows_share_no_key_with_others(capsys, here):
    call(capsys, "import", "a.csv", "--from", "timm", *WHO, "-o", "a.parquet")
    rows = read_results([here / "a.parquet", "published"])
    found = keys(rows, "top1")
    assert (found["source"] == "timm-rtx4090").sum() == 1
    assert set(found["source"]) == {"timm-rtx4090", "published"}


GOOD = ["import", "b.csv", "--from", "timm", *WHO, "-o", "z.parquet"]
MAP = ["import", "own.csv", *WHO, "-o", "z.parquet", "--map"]


def swapped(old, new):
    return [new if word == old else word for word in GOOD]


BAD = [
    (swapped("b.csv", "no.csv"), "no such file"),
    (swapped("b.csv", "junk.csv"), "cannot be read as text"),
    (swapped("b.csv", "empty.csv"), "holds no rows"),
    (swapped("b.csv", "x.csv"), "not a result of timm"),
    (swapped("timm", "excel"), "unknown format 'excel'; known: timm, csv"),
    (swapped("timm-rtx4090", "measured"), "not measured or published"),
    (swapped("timm-rtx4090", "Two Words"), "one lower-case word"),
    (swapped("timm results, 2026", " "), "--citation: is empty"),
    (swapped("z.parquet", "old.parquet"), "old.parquet: exists"),
    (swapped("z.parquet", "z.csv"), "does not end with .parquet"),
    ([*GOOD, "--map", "model=model"], "timm's columns are known"),
    ([*GOOD, "--set", "colour=red"], "unknown field 'colour'"),
    ([*GOOD, "--set", "cores=many"], "does not fit double"),
    ([*GOOD, "--set", "source=measured"], "unknown field 'source'"),
    (["import", "own.csv", *WHO, "-o", "z.parquet"], "--map: give COLUMN=FIELD"),
    ([*MAP, "net"], "give COLUMN=FIELD"),
    ([*MAP, "nets=model"], "no column 'nets'; it has net, rate, acc, gpu"),
    ([*MAP, "net=modle"], "unknown field 'modle'.*did you mean 'mode'"),
    ([*MAP, "net=model"], "no mode; --map a column to it, or --set it"),
    ([*MAP, "net=model", "--map", "gpu=model"], "given twice"),
    ([*MAP, "net=model", "--set", "mode=test"], "unknown mode 'test'"),
    ([*MAP, "net=model", "--set", "mode=infer", "--set", "top1=76"], "between 0 and 1"),
    ([*MAP, "net=model", "--map", "gpu=cores", "--set", "mode=infer"], "own.csv:2"),
]


@pytest.mark.parametrize("arguments, message", BAD, ids=lambda v: str(v)[-30:])
def test_bad_input_is_one_line_exit_2(arguments, message, capsys, here):
    before = sorted(here.rglob("*"))
    code, out, err = call(capsys, *arguments)
    assert code == 2 and re.search(message, err), err
    assert len(err.strip().splitlines()) == 1 and err.startswith("mixer-bench: ")
    assert out == "" and sorted(here.rglob("*")) == before


def table_of(here, text, *arguments, name="t.csv"):
    (here / name).write_text(text)
    mapping = imports.column_map(["net=model", "acc=top1%", "rate=img_per_sec"])
    made = imports.origin("lab", "log", ["mode=infer", *arguments])
    return imports.read_csv(here / name, made, mapping)


def test_per_cents_become_shares_by_the_map_or_by_their_sign(here):
    rows = table_of(here, "net,acc,rate\na,76.4,1\nb,76.4 %,2\nc,,3\n").rows
    assert [row["top1"] for row in rows] == [pytest.approx(0.764)] * 2 + [None]
    with pytest.raises(StudyError, match="unknown field 'img_per_sec%'"):
        imports.column_map(["rate=img_per_sec%"])


def test_numbers_of_a_sheet_with_semicolons_are_not_taken_for_thousands(here):
    with pytest.raises(
        ResultsError, match=r"t.csv:2: img_per_sec='1,5'.*decimal point"
    ):
        table_of(here, "net;acc;rate\na;76.4;1,5\n")
    with pytest.raises(ResultsError, match=r"img_per_sec='1,5'"):
        table_of(here, 'net,acc,rate\na,76.4,"1,5"\n')


def test_lines_of_one_setting_are_neither_averaged_nor_dropped(here):
    twice = "net,acc,rate\na,76.4,100\na,76.4,100\n"
    assert table_of(here, twice).twice == 1
    with pytest.raises(ResultsError, match=r"csv:3: the same setting as .*csv:2 \(a, "):
        table_of(here, twice.replace("100\na", "200\na"))
    numbered = "net,acc,rate,run\na,76.4,100,0\na,76.4,200,1\n"
    (here / "n.csv").write_text(numbered)
    mapping = imports.column_map(["net=model", "rate=img_per_sec", "run=repetition"])
    made = imports.origin("lab", "log", ["mode=infer"])
    assert len(imports.read_csv(here / "n.csv", made, mapping).rows) == 2


def test_rates_are_above_0_and_counts_whole(here):
    for rate in ("0", "-3"):
        with pytest.raises(ResultsError, match="must be above 0"):
            table_of(here, f"net,acc,rate\na,76.4,{rate}\n")
    made = imports.origin("lab", "log", ["mode=infer", "batch_size=256.0"])
    assert made.fixed["batch_size"] == 256
    with pytest.raises(ResultsError, match="does not fit int64"):
        imports.origin("lab", "log", ["batch_size=2.5"])
    with pytest.raises(StudyError, match="batch_size is given twice"):
        imports.origin("lab", "log", ["batch_size=8", "batch_size=16"])


def test_two_dtypes_of_one_file_are_two_sets_of_rows(here):
    ids = [
        table_of(here, "net,acc,rate\na,76.4,1\n", f"dtype={dtype}").rows[0][
            "attempt_id"
        ]
        for dtype in ("float32", "bfloat16")
    ]
    assert ids[0] != ids[1]


NOT_OURS = ["resnet50", "vit_base_patch16_clip_224", "mixer_x9_224", "gmixer_24_224"]


@pytest.mark.parametrize("name", NOT_OURS)
def test_other_networks_are_not_taken_for_ours(name):
    assert timm_results.model(name) is None


CORES = ("--set", "cores=1", "--set", "core_kind=gpu")
TO_SAY = (
    "no img/sec/core: add --set cores=1 --set core_kind=gpu, or as many cores as were "
    "timed\n"
)
LEFT_OUT = "1 line left out: no model of ours (resnet50)\n"


@pytest.mark.parametrize(
    "name, cores, said",
    [
        ("b", (), f"{LEFT_OUT}3 rows with img/sec but {TO_SAY}"),
        ("b", CORES, LEFT_OUT),
        ("t", (), f"1 row with img/sec but {TO_SAY}"),
        ("t", CORES, ""),
        ("a", (), "1 line left out: no model of ours (vit_large_patch14_clip_336.op"),
    ],
)
def test_an_import_says_when_nobody_told_the_cores(name, cores, said, capsys, here):
    arguments = [f"{name}.csv", "--from", "timm", *WHO, "-o", "r.parquet", *cores]
    code, _, err = call(capsys, "import", *arguments)
    assert code == 0 and err.startswith(said) and ("/core" in err) == ("/core" in said)


def test_the_example_of_the_help_needs_no_such_word(capsys, here):
    line = next(one for one in app.EXAMPLES["import"] if "--from timm" in one)
    (here / "benchmark.csv").write_text(BENCHMARK)
    code, _, err = call(capsys, *shlex.split(line)[1:])
    assert (code, err) == (0, LEFT_OUT)


@pytest.mark.parametrize("cores", [(), CORES], ids=["", "cores"])
def test_timms_rates_are_in_the_table_and_in_the_figure(cores, capsys, here):
    arguments = ["b.csv", "--from", "timm", *WHO, "-o", "b.parquet", *cores]
    call(capsys, "import", *arguments)
    code, out, _ = call(capsys, "table", "b.parquet", "--baseline", "Mixer-B/16")
    title, other = ("img/sec/core", "") if cores else ("img/sec", "its cores are not")
    (mixer,) = (line.split() for line in out.splitlines() if "mixer_b16" in line)
    assert code == 0 and mixer[-4:] == ["2,608", "as", "imported", "1.00x"]
    assert re.search(rf" {title}  ", out) and other in out and "1.07x" in out
    drawn = ["--figure", "relative", "--format", "svg", "--out", "p"]
    code, _, err = call(capsys, "plot", "b.parquet", *drawn)
    assert code == 0 and err.startswith("1 imported row not drawn: ")  # of 448 px
    points = (here / "p" / "relative.csv").read_text().splitlines()
    theirs = [line for line in points if "Imported, timm-rtx4090: inference" in line]
    assert len(theirs) == 2 and any(f",{2787 / 2608.5}" in line for line in theirs)
    code, _, err = call(capsys, "plot", "b.parquet", "--figure", "pareto", *drawn[2:])
    assert code == 0 and err.startswith("3 imported rows not drawn: ")
    code, _, err = call(capsys, "claims", "b.parquet")
    assert code == 0 and err.startswith("3 imported rows (timm-rtx4090) not judged: ")


def test_a_machines_rate_is_never_divided_by_a_cores(capsys, here):
    (here / "v.csv").write_text("m,rate\nViT-B/16,900\n")
    (here / "m.csv").write_text("m,rate\nMixer-B/16,300\n")
    mapping = ["--map", "m=model", "--set", "mode=infer", *WHO]
    for name, field in (("v", "img_per_sec"), ("m", "img_per_sec_core")):
        made = ["--map", f"rate={field}", "-o", f"{name}.parquet"]
        assert call(capsys, "import", f"{name}.csv", *mapping, *made)[0] == 0
    files = ["v.parquet", "m.parquet"]
    code, out, _ = call(capsys, "table", *files, "--baseline", "mixer-b/16")
    assert code == 0 and "3.00x" not in out
    assert "No ratio where Mixer-B/16 was not timed with the same kind of rate" in out


@pytest.mark.parametrize(
    "text, code",
    [("net,rate\na,1200\n", 2), ("net,rate\na,1200\nb,\n", 2), ("net,rate\na,-\n", 0)],
)
def test_what_a_column_holds_is_not_set_otherwise(text, code, capsys, here):
    (here / "s.csv").write_text(text)
    mapping = ["--map", "net=model", "--map", "rate=img_per_sec_core"]
    fixed = ["--set", "mode=infer", "--set", "img_per_sec_core=3"]
    arguments = ["s.csv", *mapping, *fixed, *WHO, "-o", "s.parquet"]
    found, _, err = call(capsys, "import", *arguments)
    assert (found, (here / "s.parquet").exists()) == (code, code == 0)
    said = "mixer-bench: --set: img_per_sec_core: stands in column 'rate' of the file; "
    assert err == (f"{said}leave it out\n" if code else "")


def test_a_bad_source_is_refused():
    with pytest.raises(StudyError):
        imports.origin("", "c", [])
    with pytest.raises(ResultsError):
        imports.origin("a", "c", ["cores=x"])
