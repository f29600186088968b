"""Owner of `studies/`: a YAML file becomes a `Study` of validated cells.

The form is in the README. A scalar is fixed, a list is an axis, in any grid; grids form
a union and equal cells merge. Precedence: recipe, then settings, then grid, then
overrides. Every refusal is one line: file, key, value, what is allowed.
"""

from __future__ import annotations

import dataclasses
import itertools
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from bench import (
    anchors,
    data,
    devices,
    feasible,
    inits,
    models,
    peers,
    study_values,
    variants,
    yaml_strict,
)
from bench._shipped import shipped
from bench.backend import FRAMEWORKS
from bench.data import folders
from bench.errors import StudyError, UserError, unknown
from bench.recipes import finetuning, papers
from bench.specs import MODES, TRAINING_MODES, Cell, Effort, Study, fields_of

_TOP = "question settings grids exclude overrides repetitions anchor".split()
_CELL = {f.name: f for f in dataclasses.fields(Cell) if f.name not in inits.DERIVED}
_EFFORT = {item.name: item for item in dataclasses.fields(Effort)}
Values = dict[str, Any]


def find(name: str) -> Path:
    """The file behind `name`: a path that exists wins over a shipped study.

    Raises:
        StudyError: neither; the line lists the shipped studies.
    """
    path = Path(name)
    if path.is_dir():
        raise StudyError(f"{name}: is a folder; give a study file (YAML)")
    if path.exists():
        return path
    known = _shipped_names()
    if name in known:
        return known[name]
    raise StudyError(
        f"{name}: no such file; shipped studies: {', '.join(known) or 'none'}"
    )


def is_one(name: str) -> bool:
    """Whether a word on the command line means a study, rather than results."""
    if Path(name).suffix.lower() in (".yaml", ".yml"):
        return True
    return not Path(name).exists() and name in _shipped_names()


def _shipped_names() -> dict[str, Path]:
    return {file.stem: file for file in sorted(shipped("studies").glob("*.yaml"))}


def load(name: str) -> Study:
    """Read, check and expand a study by path or shipped name."""
    path = find(name)
    return _Reader(str(path), {}).study(path.stem, yaml_strict.read(path))


def from_values(
    name: str, document: Mapping[str, Any], options: Mapping[str, str] | None = None
) -> Study:
    """A study from plain values, as `mixer-bench time` makes one.

    `options` says by what option the user gave a key, so that an error names that.
    """
    return _Reader(name, options or {}).study(name, dict(document))


class _Reader(study_values.Checked):
    """Checks one document."""

    # document ---------------------------------------------------------------

    def study(self, name: str, document: Any) -> Study:
        folders.forget()
        top = self.mapping("the file", document, _TOP)
        settings = self.mapping("settings", top.get("settings", {}), None)
        effort, shared = self.split_settings(settings)
        grids = self.sequence("grids", top.get("grids", []))
        if not grids:
            raise self.fail("grids", "is empty; give at least one grid with a mode")
        bare, used = [], set()
        for index, grid in enumerate(grids):
            for values in self.expand(f"grids[{index}]", grid, shared):
                used |= set(fields_of(values["mode"]))
                bare.append(values)
        self.check_used(shared, used)
        overridden = self.override(
            bare, self.sequence("overrides", top.get("overrides", []))
        )
        kept = self.exclude(
            overridden, self.sequence("exclude", top.get("exclude", []))
        )
        kept = inits.with_family(self, bare, kept)
        cells = {cell.cell_id: cell for cell in map(self.cell, kept)}
        if not cells:
            raise self.fail("exclude", "leaves no cell; loosen it")
        self.check_effort(cells.values(), effort)
        return Study(
            name=self.name(name),
            question=self.text("question", top.get("question", "")),
            cells=tuple(cells.values()),
            repetitions=self.repetitions(top.get("repetitions", 1)),
            effort=effort,
            anchor=self.anchor(top.get("anchor", anchors.usual(cells.values()))),
            source=self.where,
        )

    def name(self, stem: str) -> str:
        """A study names a folder of results, so it must be fit for one."""
        if not re.fullmatch(r"[A-Za-z0-9][\w.-]*", stem):
            raise self.fail(
                "the file's name", f"{stem!r}: use letters, digits, - and _"
            )
        return stem

    def repetitions(self, value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise self.fail("repetitions", f"{value!r}: must be a whole number from 1")
        return value

    def anchor(self, value: Any) -> Cell | None:
        if value is None or isinstance(value, Cell):
            return value
        if isinstance(value, Mapping) and any(
            isinstance(v, list) for v in value.values()
        ):
            raise self.fail("anchor", "is one cell; lists are not allowed")
        (values,) = self.expand("anchor", value, {})
        cell = self.cell(values)
        if cell.mode in TRAINING_MODES or cell.batch_size == "auto":
            raise self.fail("anchor", "must be mode infer or train with a batch_size")
        return cell

    def split_settings(self, settings: Values) -> tuple[Effort, Values]:
        known = [name for name in (*_EFFORT, *_CELL) if name != "mode"]
        for key, value in settings.items():
            if key == "mode":
                raise self.fail(
                    "settings.mode", "each grid names its own; put it there"
                )
            if key not in known:
                raise self.fail("settings", unknown("key", key, known))
            if isinstance(value, list):
                raise self.fail(
                    f"settings.{key}", "a list is an axis; put it in a grid"
                )
        effort = {
            k: self.typed(f"settings.{k}", k, v)
            for k, v in settings.items()
            if k in _EFFORT
        }
        shared = {
            k: self.typed(f"settings.{k}", k, v)
            for k, v in settings.items()
            if k in _CELL
        }
        return Effort(**effort), shared

    def check_effort(self, cells: Iterable[Cell], effort: Effort) -> None:
        try:
            feasible.check_effort(list(cells), effort)
        except UserError as error:
            raise self.fail("settings", str(error)) from error

    def check_used(self, shared: Values, used: set[str]) -> None:
        for key in shared:
            if key not in used:
                raise self.fail(
                    f"settings.{key}", "no grid has a mode that uses it; remove it"
                )

    # grids ------------------------------------------------------------------

    def expand(self, where: str, grid: Any, shared: Values) -> Iterator[Values]:
        """Every combination of the grid's axes, `shared` filled in below them."""
        given = self.mapping(where, grid, list(_CELL))
        for key in ("mode", "model", "framework"):
            if key not in given and key not in shared:
                raise self.fail(where, f"key {key!r} is missing")
        modes = self.axis(where, "mode", given.get("mode"))
        for mode in modes:
            if mode not in MODES:
                raise self.fail(f"{where}.mode", unknown("mode", mode, MODES))
            declared = fields_of(mode)
            for key in given:
                if key not in declared:
                    raise self.fail(
                        f"{where}.{key}",
                        f"mode {mode} does not use it; it uses {', '.join(declared)}",
                    )
        axes = {key: self.axis(where, key, value) for key, value in given.items()}
        for point in itertools.product(*axes.values()):
            values = dict(zip(axes, point, strict=True))
            declared = fields_of(values["mode"])
            below = {k: v for k, v in shared.items() if k in declared}
            filled = self.with_recipe(where, {**below, **values})
            for made in self.with_variants(filled):
                yield from inits.with_parents(self, where, made, shared)

    def axis(self, where: str, key: str, value: Any) -> list[Any]:
        values = value if isinstance(value, list) else [value]
        if not values:
            raise self.fail(f"{where}.{key}", "is an empty list; the grid has no cell")
        return [self.typed(f"{where}.{key}", key, item) for item in values]

    def with_recipe(self, where: str, values: Values) -> Values:
        name = values.get("recipe")
        if name is None:
            return values
        try:
            family = models.family_of(values["model"])
            filled = papers.recipe_fields(
                name,
                values["model"],
                family,
                values["mode"],
                batch_size=values.get("batch_size"),
            )
        except UserError as error:
            raise self.fail(f"{where}.recipe", str(error)) from error
        return finetuning.under(filled, values)

    def with_variants(self, values: Values) -> Iterator[Values]:
        """The tuned track tries every variant, unless one is given."""
        if values.get("track") != "tuned" or values.get("variant") is not None:
            yield values
            return
        family = models.family_of(values["model"])
        kind = devices.describe(values.get("device", "auto")).kind
        step = variants.Step(
            framework=values["framework"],
            mode=values["mode"],
            family=family,
            device_kind=kind,
            peer=values.get("peer"),
        )
        yield from ({**values, "variant": variant} for variant in step.tried())

    # selection ---------------------------------------------------------------

    def override(self, cells: list[Values], rules: list[Any]) -> list[Values]:
        for index, rule in enumerate(rules):
            where = f"overrides[{index}]"
            parts = self.mapping(where, rule, ["when", "set"])
            when = self.condition(f"{where}.when", parts.get("when", {}))
            change = self.mapping(f"{where}.set", parts.get("set", {}), list(_CELL))
            for key in ("mode", "model", "recipe", "init"):
                if key in change:
                    raise self.fail(f"{where}.set.{key}", "cannot be set; use a grid")
            typed = {k: self.typed(f"{where}.set.{k}", k, v) for k, v in change.items()}
            hits = [values for values in cells if _matches(values, when)]
            if not hits:
                raise self.fail(f"{where}.when", "matches no cell")
            for values in hits:
                for key in typed:
                    if key not in fields_of(values["mode"]):
                        raise self.fail(
                            f"{where}.set.{key}",
                            f"mode {values['mode']} does not use it",
                        )
                values.update(typed)
                if "learning_rate" in typed:  # one rate ends a recipe's search
                    values.pop("learning_rates", None)
        return cells

    def exclude(self, cells: list[Values], rules: list[Any]) -> list[Values]:
        for index, rule in enumerate(rules):
            when = self.condition(f"exclude[{index}]", rule)
            kept = [values for values in cells if not _matches(values, when)]
            if len(kept) == len(cells):
                raise self.fail(f"exclude[{index}]", "matches no cell")
            cells = kept
        return cells

    def condition(self, where: str, value: Any) -> dict[str, list[Any]]:
        given = self.mapping(where, value, [*_CELL, "family"])
        if not given:
            raise self.fail(where, "is empty; give at least one key to match")
        return {
            key: [str(v) for v in (item if isinstance(item, list) else [item])]
            if key == "family"
            else self.axis(where, key, item)
            for key, item in given.items()
        }

    # values ------------------------------------------------------------------

    def typed(self, where: str, key: str, value: Any) -> Any:
        """`value` typed and in canonical form, or one clear line."""
        if key == "init" and isinstance(value, dict):
            return value  # a pretrain cell's fields, checked where it is expanded
        try:
            value = study_values.typed(key, value)
        except StudyError as error:
            remedy = inits.REMEDIES.get(key, "")
            raise self.fail(where, f"{error}{remedy}") from error
        choices = self.choices(key)
        if choices and value is not None and value not in choices:
            raise self.fail(where, unknown(key, value, choices))
        return self.canonical(where, key, value)

    def choices(self, key: str) -> tuple[str, ...]:
        named = {"mode": MODES, "framework": FRAMEWORKS, "dataset": data.DATASETS}
        if key in named:
            return named[key]
        if key in _CELL:
            found: tuple[str, ...] = _CELL[key].metadata.get("choices", ())
            return found
        return ()

    def canonical(self, where: str, key: str, value: Any) -> Any:
        if key == "model":
            try:
                return models.canonical_name(value)
            except UserError as error:
                raise self.fail(where, str(error)) from error
        if key == "probe" and value is not None:
            for name in value.split("+"):
                if name not in data.DATASETS:
                    raise self.fail(where, unknown("dataset", name, data.DATASETS))
        return None if (key, value) == ("pool", "token") else value

    def cell(self, values: Values) -> Cell:
        """One checked cell: what only the whole combination can tell."""
        resolved = inits.resolved(self, values)
        cell = self.with_canonical_variant(Cell(**resolved))
        if cell.batch_size != "auto":  # without a sweep its range says nothing
            cell = dataclasses.replace(
                cell, sweep_min=Cell.sweep_min, sweep_max=Cell.sweep_max
            )
        try:
            cell = folders.placed(cell, Path(self.where))
            feasible.check(cell)
        except UserError as error:
            raise self.refused(error) from error
        return cell

    def with_canonical_variant(self, cell: Cell) -> Cell:
        """One name for one way to build a step."""
        family = models.family_of(cell.model)
        try:
            kind = devices.describe(cell.device).kind
            peers.check_framework(cell.peer, cell.framework)
            return dataclasses.replace(
                cell, variant=variants.of_cell(cell, family, kind)
            )
        except UserError as error:
            raise self.refused(error) from error


def _matches(values: Values, when: Mapping[str, list[Any]]) -> bool:
    def actual(key: str) -> Any:
        if key == "family":
            return models.family_of(values["model"])
        return values.get(key, _CELL[key].default)

    return all(actual(key) in allowed for key, allowed in when.items())
