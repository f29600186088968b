from bench.plots import gallery
from bench.results import read_published


def test_the_page_shows_every_figure_with_its_caption_and_command(tmp_path):
    gallery.draw_all(read_published(), tmp_path, ["pareto", "relative"], ["png"])
    page = gallery.write_page(tmp_path, ["published", "my results"]).read_text()
    for name in ("pareto", "relative"):
        assert f"]({name}.png)" in page
        assert f"mixer-bench plot published 'my results' --figure {name}" in page
        assert (tmp_path / f"{name}.txt").read_text().strip() in page
    assert "throughput.png" not in page


def test_a_figure_that_these_rows_do_not_allow_is_not_shown(tmp_path):
    gallery.draw_all(read_published(), tmp_path, ["pareto", "relative"], ["png"])
    page = gallery.write_page(tmp_path, ["other"], {"relative": "nothing"}).read_text()
    assert "](pareto.png)" in page and "relative.png" not in page
