"""A measuring session on the terminal: plan, progress, table, figures, files."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from bench import asked, forecast, ordering, results, runner
from bench.cli import _print
from bench.specs import Study
from bench.units import duration, percent, significant

if TYPE_CHECKING:
    import pandas as pd


def measure(
    study: Study,
    *,
    out: Path,
    executor: str = "process",
    retry_failed: bool = False,
    reuse: str = "strict",
) -> runner.Summary:
    """Run a study, telling the person before, between and never during a window."""
    with _Shown() as shown:
        return runner.run_study(
            study,
            out=out,
            executor=executor,
            retry_failed=retry_failed,
            reuse=reuse,
            command=asked.line(sys.argv[1:]),
            on_start=shown.start,
            on_item=shown.item,
            on_wait=_print.note,
        )


def finish(summary: runner.Summary, plots: Path | None) -> int:
    """Print the table, draw the figures, say where everything lies; the exit code."""
    import pandas as pd  # late: `models` and errors need not wait for it

    if not summary.attempts:
        _print.note("nothing was measured and nothing stands from before")
        return 1
    frame = results.read_results([summary.out, "published"], samples=True)
    measured = frame[frame["attempt_id"].isin(summary.attempts)]
    print(_print.comparison(measured, "table"))
    print()
    for study in sorted(set(measured["study"])):
        rows = summary.out / summary.machine / f"{study}.parquet"
        print(f"rows     {rows} ({(measured['study'] == study).sum()} of this study)")
    for path, label in _weights(summary):
        print(f"weights  {path} ({label})")
    if plots is not None:
        _draw(pd.concat([measured, frame[frame["source"] == "published"]]), plots)
    for line in _print.drift_lines(measured):
        print(f"drift    {line}")
    for line in _print.caution_lines(measured):
        print(f"caution  {line}")
    missed = forecast.errors(summary.rows)
    if missed is not None:
        print(
            f"forecast {duration(missed.predicted_s)} for {missed.attempts} attempts, "
            f"took {duration(missed.taken_s)}; off by {percent(missed.median)} % "
            "(median over attempts)"
        )
    for row in summary.failed:
        _print.note(
            f"{row['status']}: {row['model']} {row['framework']} {row['mode']}: "
            f"{row['error_message']}"
        )
    return 1 if summary.failed else 0


def _weights(summary: runner.Summary) -> list[tuple[Path, str]]:
    """Files of weights that the study's cells left, and whose they are."""
    places = [
        (results.weights_path(summary.out, summary.machine, cell.cell_id), cell.label)
        for cell in summary.study.cells
    ]
    return [(path, label) for path, label in places if path.exists()]


def _draw(frame: pd.DataFrame, folder: Path) -> None:
    from bench.plots import gallery

    measured = frame[frame["source"] == "measured"]
    text = _print.comparison(measured, "github")
    drawn = gallery.draw_all(frame, folder)
    page = folder / "table.md"
    page.write_text(text + "\n", encoding="utf-8")
    print(f"table    {page}")
    for path in drawn.written:
        if path.suffix == ".png":
            print(f"figure   {path} (and .svg, .pdf, points .csv, caption .txt)")
    for name, sentence in drawn.skipped.items():
        print(f"no figure {name}: {sentence}")


_WHY = {
    "strict": ", hardware and environment",
    "machine": " and hardware (--reuse machine)",
    "any": " (--reuse any)",
}


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
        for message in plan.set_aside:
            _print.note(f"set aside: {message}")
        if plan.reused:
            _print.note(
                f"reusing {len(plan.reused)} finished measurements: same cell, protocol"
                f"{_WHY[plan.reuse]}"
            )
        for message in plan.lineage.again:
            _print.note(message)
        if plan.executor == "inline":
            _print.note("inline: all in one process, so no repetition is a fresh one")
        if not items:
            _print.note("nothing is left to measure")
            return
        _print.note(
            f"{items} to measure; the whole study takes about "
            f"{duration(ordering.estimate_s(plan.study))}"
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


def _resumed(row: dict[str, Any]) -> str:
    """Where a killed training was taken up; what may make it end in other bits."""
    told = [one["seen"] for one in row["cautions"] if one["kind"] == "inexact_resume"]
    if told:
        return f"{told[0]}, so perhaps not to the last bit"
    return f"resumed at step {row['resumed_step']}"


def _line(progress: runner.Progress) -> str:
    row, label = progress.row, progress.item.cell.label
    if progress.item.role == "anchor":
        label = f"anchor: {label}"
    if row["status"] != "ok":
        return f"{label}: {row['status']}: {row['error_message']}"
    if row.get("img_per_sec_core") is not None:
        rate = significant(row["img_per_sec_core"])
        return f"{label}: {rate} img/s/core"
    line = (
        f"{label}: top-1 {percent(row['top1'])} % (chance {percent(row['chance'])} %), "
        f"{significant(row['train_img_per_sec_core'])} train img/s/core"
    )
    if row.get("resumed_step") is not None:
        line += f"; {_resumed(row)}"
    report = row.get("init_report")
    return line if report is None else f"{line}\n    started from {report}"
