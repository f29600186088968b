"""`mixer-bench fit`: scaling curves of trained rows, or why there is none."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bench import results
from bench.analysis import demo, select
from bench.cli import _fit_joint, _print
from bench.errors import ResultsError, StudyError, unknown
from bench.units import significant

if TYPE_CHECKING:
    from bench.analysis.crossing import Crossing
    from bench.analysis.fits import Fit
    from bench.analysis.scaling import Difference, Line
    from bench.analysis.seeds import Paired
    from bench.report.markup import Grid

    Found = list[tuple[Line, list[Fit]]]

FORMATS = ("table", "github", "json", "csv")
DASH = "—"
JOINT = "joint"


def command(
    rows: Annotated[list[str], typer.Argument(help="Parquet files or folders.")],
    x: Annotated[
        str, typer.Option(help="unique_images, images_seen, param_count, macs, ...")
    ] = "unique_images",
    y: Annotated[str, typer.Option(help="An accuracy; its error is fitted.")] = "top1",
    form: Annotated[
        str,
        typer.Option(
            help="power, offset, saturating; several with commas. Or: joint, over "
            "model size and data size."
        ),
    ] = "power,offset,saturating",
    group: Annotated[
        str, typer.Option(help="Columns that tell curves apart; default: all settings.")
    ] = "",
    size: Annotated[
        str | None,
        typer.Option(help="With joint: param_count (default), macs, training_flop."),
    ] = None,
    where: Annotated[
        list[str] | None,
        typer.Option(help="Only rows with this column=value; repeatable."),
    ] = None,
    format: Annotated[str, typer.Option(help="table, github, json or csv.")] = "table",
) -> int:
    """Fit error against data; say what identifies nothing; exit 1 if no curve does."""
    from bench.analysis import crossing, scaling

    if format not in FORMATS:
        raise StudyError(f"--format: {unknown('format', format, FORMATS)}")
    forms = _words(form)
    _check(forms, size)
    wanted = select.conditions(where or [], "--where")
    reading = results.read(rows, nested=())
    for message in reading.set_aside:
        _print.note(f"set aside: {message}")
    frame = select.where(results.to_frame(reading.table), wanted, "--where")
    if forms == [JOINT]:
        found_joint = _fit_joint.fitted(
            frame, x, size or "param_count", y, _words(group)
        )
        print(_fit_joint.shown(found_joint, format, x, size or "param_count"))
        return 0 if any(fit.surface for _, fit in found_joint) else 1
    lines = scaling.lines(frame, x, y, _words(group))
    if not lines:
        raise ResultsError(
            f"{', '.join(rows)}: no finished training row has {x} and {y}; "
            "run a study with mode: pretrain first"
        )
    found = [(line, scaling.fit_line(line, forms)) for line in lines]
    crossings = list(crossing.crossings(found))
    differences = scaling.differences(lines)
    print(_shown(found, crossings, differences, format, x))
    return 0 if any(one.curve for _, fits in found for one in fits) else 1


def _check(forms: list[str], size: str | None) -> None:
    from bench.analysis.forms import FORMS

    for form in forms:
        if form not in (*FORMS, JOINT):
            raise StudyError(f"--form: {unknown('form', form, (*FORMS, JOINT))}")
    if not forms:
        raise StudyError("--form: is empty; give power, offset, saturating or joint")
    if JOINT in forms and forms != [JOINT]:
        raise StudyError(
            f"--form: {','.join(forms)}: joint is a surface over two sizes and stands "
            "alone; fit the curves in a run of their own"
        )
    if size is not None and forms != [JOINT]:
        raise StudyError(f"--size: {size}: is for --form joint; a curve has --x alone")


def _words(text: str) -> list[str]:
    return [word.strip() for word in text.split(",") if word.strip()]


def _shown(
    found: Found,
    crossings: list[Crossing],
    differences: list[Difference],
    fmt: str,
    x: str,
) -> str:
    facts = [_facts(line, one) for line, fits in found for one in fits]
    if fmt == "csv":
        return _print.data(facts, "csv")
    if fmt == "json":
        return _print.as_json(
            {
                "fits": facts,
                "crossings": [dataclasses.asdict(one) for one in crossings],
                "differences": [dataclasses.asdict(one) for one in differences],
            }
        )
    return _tables(found, crossings, differences, fmt, x)


_PARAMETERS = ("beta", "c", "eps_inf", "alpha")


def _facts(line: Line, one: Fit) -> dict[str, Any]:
    """One fit as a flat line."""
    from bench.analysis.forms import EQUATIONS

    values = one.curve.parameters if one.curve else {}
    flat: dict[str, Any] = {}
    for name in _PARAMETERS:
        low, high = one.intervals.get(name, (None, None))
        flat |= {name: values.get(name), f"{name}_low": low, f"{name}_high": high}
    held = one.held_out
    return {
        "curve": line.label,
        "demo": line.demo,
        "form": one.form,
        "equation": EQUATIONS[one.form],
        "eps_0": line.data.error_0,
        "sizes": len(line.data.sizes),
        "runs": one.runs,
        "subsets": one.subsets,
        "seeds": one.seeds,
        **flat,
        "spread": one.spread,
        "p_missed": one.p_missed,
        "held_out_x": held and held.x,
        "held_out_error": held and held.form,
        "held_out_error_of_regression": held and held.regression,
        "refused": one.refused or None,
    }


def _tables(
    found: Found,
    crossings: list[Crossing],
    differences: list[Difference],
    fmt: str,
    x: str,
) -> str:

    parts = [_print.table(_fits_grid(found, x), fmt)]
    if crossings:
        parts += [
            "Where one family overtakes another.",
            _print.table(_cross(crossings), fmt),
        ]
    if differences:
        parts += [
            "Families at equal x, seeds paired.",
            _diff(differences, fmt),
        ]
    return "\n\n".join(parts)


def _fits_grid(found: Found, x: str) -> Grid:
    from bench.analysis import lack
    from bench.analysis.forms import EQUATIONS, HELD
    from bench.report.markup import Column, Grid, Group

    titles = ("c", "eps_inf", "alpha", "held-out error", "straight line's")
    columns = [
        Column("form", text=True),
        *map(Column, ("sizes", "runs", *titles)),
        Column("why not", text=True),
    ]
    several = [one for one in found if len(one[0].data.sizes) > 1]
    groups = [
        Group(line.label, [_fit_line(line, one) for one in fits])
        for line, fits in several or found
    ]
    used = dict.fromkeys(one.form for _, fits in found for one in fits)
    notes = [
        "; ".join(f"{form}: {EQUATIONS[form]}" for form in used)
        + f"; x is {x}, eps_0 the error of guessing, c < 0.",
        "Intervals are 95 %, Student's on the spread of whole curves of subset_seed "
        "and seed drawn again; with fewer than five curves there is none. Held-out "
        "error: the largest x predicted from the others, |log(predicted / observed)|; "
        "a straight line through log error against log x beside it.",
    ]
    notes.append(
        f"A form is refused where p < {lack.LEVEL:g} for means of the sizes as far off "
        "its curve, held against the scatter of whole curves (repeated-measures F, "
        "Greenhouse and Geisser). What is not refused may still be wrong: few curves "
        "reject little."
    )
    notes.append(" ".join(HELD[form] for form in used))
    if any(_bare_power(fits) for _, fits in found):
        notes.append(
            "An eps_inf that cannot be told from 0 need not be 0: power's c is then "
            "the slope over these sizes, with nothing said beyond them."
        )
    if several and len(several) < len(found):
        alone = _print.counted(len(found) - len(several), "more curve")
        notes.append(f"{alone} with runs at one x alone: nothing to fit.")
    if any(line.demo for line, _ in found):
        notes.append(f"{demo.NOTE.capitalize()}.")
    return Grid(columns, groups, notes)


def _bare_power(fits: list[Fit]) -> bool:
    """Whether power stands because offset's floor is not told from 0."""
    shown = any(one.form == "power" and one.curve for one in fits)
    return shown and any(one.refused.startswith("eps_inf cannot") for one in fits)


def _fit_line(line: Line, one: Fit) -> list[str]:
    held = one.held_out
    errors = (held.form, held.regression) if held else (None, None)
    return [
        one.form,
        str(len(line.data.sizes)),
        f"{one.runs} ({one.n})",
        *(_parameter(one, name) for name in ("c", "eps_inf", "alpha")),
        *(DASH if value is None else f"{value:.3f}" for value in errors),
        one.refused or _no_interval(one),
    ]


def _no_interval(one: Fit) -> str:
    from bench.analysis import lack
    from bench.analysis.stats import MIN_REPETITIONS

    said = []
    if not one.intervals:
        curves = _print.counted(one.resampled, "curve")
        said.append(f"no interval: {curves} of seeds, {MIN_REPETITIONS} needed")
    if one.p_missed is None:
        said.append(lack.UNTESTED)
    return "; ".join(said)


def _parameter(one: Fit, name: str) -> str:
    if one.curve is None or name not in one.curve.parameters:
        return DASH
    text = f"{one.curve.parameters[name]:.3f}"
    if name not in one.intervals:
        return text
    low, high = one.intervals[name]
    return f"{text} [{low:.3f}, {high:.3f}]"


def _cross(crossings: list[Crossing]) -> Grid:
    from bench.report.markup import Column, Grid, Group

    columns = [Column("from", text=True), Column("overtaken by", text=True)]
    columns += [
        Column("at x"),
        Column("95 % interval"),
        Column("where none", text=True),
    ]
    lines = [
        [
            one.first,
            one.second,
            DASH if one.x is None else significant(one.x),
            _ends(one),
            _where_none(one),
        ]
        for one in crossings
    ]
    note = "Sought between the sizes that both were trained at; nothing is said beyond."
    return Grid(columns, [Group("", lines)], [note])


def _where_none(one: Crossing) -> str:
    if one.x is not None:
        return ""
    if one.ahead is None:
        return "no range of x that both were trained at"
    which = "first" if one.ahead == one.first else "second"
    low, high = significant(one.start), significant(one.end)
    return f"not from {low} to {high}: the {which} is ahead throughout"


def _ends(one: Crossing) -> str:
    if one.share is None:
        return "none: fewer than five curves" if one.ahead or one.x else DASH
    crossed = f"{100 * one.share:.0f} % of resamples cross"
    if one.x is None:
        return crossed
    low = "before the data" if one.low is None else significant(one.low)
    high = "beyond the data" if one.high is None else significant(one.high)
    return f"{low} – {high} ({crossed})"


def _diff(differences: list[Difference], fmt: str) -> str:
    """A line for each pair with an interval; the others are counted."""
    from bench.analysis.seeds import MIN_RUNS

    tested = [one for one in differences if one.paired.n >= MIN_RUNS]
    few = len(differences) - len(tested)
    said = f"with fewer than {MIN_RUNS} shared runs: no interval; --format json has "
    counted = _print.counted(few, "more pair" if tested else "pair")
    notes = [f"{counted} {said}{'it' if few == 1 else 'them'}."] if few else []
    return _print.table(_pairs(tested, notes), fmt) if tested else notes[0]


def _pairs(tested: list[Difference], notes: list[str]) -> Grid:
    from bench.report.markup import Column, Grid, Group

    columns = [Column("from", text=True), Column("to", text=True)]
    columns += map(Column, ("x", "points", "95 % (alone)", "p (Holm)", "n"))
    lines = [
        [
            one.first,
            one.second,
            significant(one.x),
            f"{100 * one.paired.difference:+.2f}",
            _interval(one.paired),
            DASH if one.p_holm is None else f"{one.p_holm:.3g}",
            str(one.paired.n),
        ]
        for one in tested
    ]
    note = (
        "Accuracy of the second less the first; Student's t over pairs of runs. Each "
        "interval holds in 95 % for its own line alone, p is adjusted over all lines "
        "(Holm): an interval may leave out 0 where p is above 0.05."
    )
    return Grid(columns, [Group("", lines)], [note, *notes])


def _interval(pair: Paired) -> str:
    if pair.low is None or pair.high is None:
        return DASH
    return f"{100 * pair.low:+.2f} – {100 * pair.high:+.2f}"
