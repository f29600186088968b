"""Owner of `plots/`: one file per figure, rows in, matplotlib figure out.

A figure is a module named in `gallery.FIGURES`. Its docstring begins with its title;
it has four names:

- `NEEDS`: the columns that it reads, beside those that every figure is given;
- `points(rows) -> DataFrame`: exactly what is drawn; it is written as CSV;
- `draw(rows, width_in) -> Figure | str`: the figure, or why there is nothing to draw;
- `caption(points) -> str`: what stands below it.

`throughput.py` is the shortest to start from.
"""
