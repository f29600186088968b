"""A measuring session on the terminal: plan, progress, table, figures, files."""

from __future__ import annotations

import sys
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from bench import results, runner
from bench.cli import _print
from bench.specs import Study
from bench.units import duration, percent, significant


def measure(
    study: Study, *, out: Path, executor: str, retry_failed: bool
) -> runner.Summary:
    """Run a study, telling the person before, between and never during a window."""
    with _Shown() as shown:
        return runner.run_study(
            study,
            out=out,
            executor=executor,
            retry_failed=retry_failed,
            on_start=shown.start,
            on_item=shown.item,
            on_wait=_print.note,
        )


def finish(summary: runner.Summary, plots: Path | None) -> int:
    """Print the table, draw the figures, say where everything lies; the exit code."""
    if summary.file is None:
        _print.note("nothing was measured and nothing stands from before")
        return 1
    frame = results.read_results(summary.file, samples=True)
    print("\n\n".join(_print.comparison(frame, "table")))
    print()
    print(f"rows     {summary.file} ({len(frame)} attempts)")
    if plots is not None:
        _draw(summary, plots)
    for line in _print.drift_lines(frame):
        print(f"drift    {line}")
    for row in summary.failed:
        _print.note(
            f"{row['status']}: {row['model']} {row['framework']} {row['mode']}: "
            f"{row['error_message']}"
        )
    return 1 if summary.failed else 0


def _draw(summary: runner.Summary, folder: Path) -> None:
    from bench.plots import gallery

    assert summary.file is not None
    frame = results.read_results([summary.file, "published"], samples=True)
    measured = frame[frame["source"] == "measured"]
    text = "\n\n".join(_print.comparison(measured, "github"))
    drawn = gallery.draw_all(frame, folder)
    page = folder / "table.md"
    page.write_text(text + "\n", encoding="utf-8")
    print(f"table    {page}")
    for path in drawn.written:
        if path.suffix == ".png":
            print(f"figure   {path} (and .svg, .pdf, points .csv, caption .txt)")
    for name, sentence in drawn.skipped.items():
        print(f"no figure {name}: {sentence}")


class _Shown:
    """A bar on a terminal, redrawn only between items; plain lines elsewhere."""

    def __init__(self) -> None:
        self.bar: Progress | None = None

    def __enter__(self) -> _Shown:
        return self

    def __exit__(self, *_: object) -> None:
        if self.bar is not None:
            self.bar.stop()

    def start(self, plan: runner.Plan) -> None:
        host, items = plan.host, len(plan.items)
        _print.note(
            f"{host.name}: {host.cores:g} {host.core_kind} ({host.device_kind})"
        )
        if plan.reused:
            _print.note(
                f"reusing {len(plan.reused)} finished measurements: same cell, protocol"
                ", hardware and versions"
            )
        if not items:
            _print.note("nothing is left to measure")
            return
        _print.note(
            f"{items} to measure; the whole study takes about "
            f"{duration(runner.estimate_s(plan.study))}"
        )
        if sys.stderr.isatty():
            self._open_bar(items)

    def _open_bar(self, items: int) -> None:
        self.bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[left]}"),
            console=Console(stderr=True),
            auto_refresh=False,  # no redraw inside a timing window
        )
        self.task = self.bar.add_task("measuring", total=items, left="")
        self.bar.start()

    def item(self, progress: runner.Progress) -> None:
        line = _line(progress)
        left = (
            f"about {duration(progress.seconds_left)} left"
            if (progress.seconds_left >= 1)
            else ""
        )
        if self.bar is None:
            width = len(str(progress.total))
            count = f"[{progress.done:{width}}/{progress.total}]"
            _print.note(f"{count} {line}" + (f" ({left})" if left else ""))
            return
        self.bar.print(line, highlight=False, markup=False)
        self.bar.update(self.task, completed=progress.done, left=left)
        self.bar.refresh()


def _line(progress: runner.Progress) -> str:
    row, label = progress.row, progress.item.cell.label
    if progress.item.role == "anchor":
        label = f"anchor: {label}"
    if row["status"] != "ok":
        return f"{label}: {row['status']}: {row['error_message']}"
    if row.get("img_per_sec_core") is not None:
        rate = significant(row["img_per_sec_core"])
        return f"{label}: {rate} img/s/core"
    return (
        f"{label}: top-1 {percent(row['top1'])} % (chance {percent(row['chance'])} %), "
        f"{significant(row['train_img_per_sec_core'])} train img/s/core"
    )
