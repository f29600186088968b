"""Where a finetune cell of a study starts: a pretrain cell, or a file of weights.

In a study `init` is a path, or a mapping of the parent's fields. The parent takes what
the mapping leaves out from its child (`INHERITED`), and the rest from the settings.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

from bench import models
from bench.errors import StudyError, UserError
from bench.models import weights
from bench.models.mixer import FIRST_TOKEN_KERNEL, MixerSpec
from bench.specs import Cell

INHERITED = (
    *("model", "framework", "dtype", "device", "pool", "seed"),
    *("token_mixing", "tied_token_mixing", "position_embedding"),
)
DERIVED = ("parent_cell_id", "init_sha256")
"""Fields of a cell that are worked out here and never given."""

REMEDIES = {"learning_rates": "; join rates by +, as in 0.01+0.03; a list is an axis"}
"""What to do about a value of the wrong type."""

Values = dict[str, Any]


class Reader(Protocol):
    """What `bench.studies` offers to a part of it."""

    where: str

    def fail(self, key: str, problem: str) -> StudyError: ...
    def expand(self, where: str, grid: Any, shared: Values) -> Iterator[Values]: ...
    def cell(self, values: Values) -> Cell: ...


def with_parents(
    reader: Reader, where: str, values: Values, shared: Values
) -> Iterator[Values]:
    """A finetune cell's values, each time after those of a cell to start from."""
    given = values.get("init")
    if not isinstance(given, Mapping):
        yield values
        return
    where = f"{where}.init"
    for key in ("mode", "model"):
        if key in given:
            raise reader.fail(f"{where}.{key}", "is the child's; leave it out")
    inherited = {key: values[key] for key in INHERITED if key in values}
    grid = {**inherited, **given, "mode": "pretrain"}
    for parent in reader.expand(where, grid, shared):
        yield parent
        yield {**values, "init": parent}


def with_family(
    reader: Reader, every: list[Values], kept: list[Values]
) -> list[Values]:
    """What is left after excluding: a parent goes with its child, and never before it.

    Parents are told by identity: each was made for one child.
    """
    parent_of = {id(values.get("init")): values for values in every}
    held = {id(values) for values in kept}
    for values in kept:
        parent = values.get("init")
        if isinstance(parent, dict) and id(parent) not in held:
            raise reader.fail(
                "exclude",
                f"{_named(parent)}: a finetune cell starts from it; exclude that, too",
            )
    return [
        values
        for values in kept
        if id(values) not in parent_of or id(parent_of[id(values)]) in held
    ]


def _named(values: Values) -> str:
    return " ".join(str(values[key]) for key in ("mode", "model", "framework"))


def resolved(reader: Reader, values: Values) -> Values:
    """The fields of a cell; of a finetune cell also what follows from its start."""
    if values["mode"] != "finetune":
        return values
    given = values.get("init")
    if {"learning_rate", "learning_rates"} <= values.keys():
        raise reader.fail("learning_rate", "and learning_rates are given; keep one")
    try:
        if isinstance(given, dict):
            return _from_parent(values, reader.cell(given))
        return _from_file(values, given)
    except UserError as error:
        if str(error).startswith(f"{reader.where}: "):
            raise
        raise StudyError(f"{reader.where}: {error}") from error


def _from_parent(values: Values, parent: Cell) -> Values:
    start = {"init": parent.label, "parent_cell_id": parent.cell_id}
    return {**values, **_after_parent(values, parent), **start}


def _from_file(values: Values, path: str | None) -> Values:
    if path is None:
        raise StudyError(
            "init: is missing; give a weights file, or the fields of the pretrain cell "
            "to start from, as in init: {dataset: fractals, total_steps: 300}"
        )
    stamp = _stamp(Path(path))
    return {**values, **_after_file(values, path), "init_sha256": _sha256(path, stamp)}


def _after_parent(values: Values, parent: Cell) -> Values:
    spec = models.spec_of_cell(parent, num_classes=parent.num_classes)
    pool = values.get("pool", parent.pool)
    if pool != parent.pool:
        raise StudyError(f"pool: {pool}: the cell it starts from has another; give one")
    if not isinstance(spec, MixerSpec):
        return {"pool": pool}
    return _widened(values, spec.tokens, spec.tokens_mlp_dim)


def _after_file(values: Values, path: str) -> Values:
    spec = _spec(values)
    if not isinstance(spec, MixerSpec):
        return {}
    kernel = weights.read_file(path, spec).get(FIRST_TOKEN_KERNEL)
    if kernel is None or kernel.ndim != 2:
        return {}  # of another model: loading it will say so
    return _widened(values, *kernel.shape)


def _spec(values: Values) -> models.ModelSpec:
    return models.spec_for(
        values["model"], image_size=values.get("image_size", Cell.image_size)
    )


def _widened(values: Values, tokens: int, hidden: int) -> Values:
    """D_S grows by K^2 at K times the resolution (Mixer, appendix C)."""
    spec = _spec(values)
    assert isinstance(spec, MixerSpec)
    old = round(tokens**0.5) * spec.patch_size
    if spec.image_size % old:
        raise StudyError(
            f"image_size: {spec.image_size}: a Mixer trained at {old} px is fine-tuned "
            f"at whole multiples: {old}, {2 * old}, {3 * old} px"
        )
    wanted = hidden * (spec.image_size // old) ** 2
    given = values.get("tokens_mlp_dim")
    if given not in (None, wanted):
        raise StudyError(
            f"tokens_mlp_dim: {given}: at {spec.image_size} px, after {hidden} at "
            f"{old} px, it is {wanted}; leave it out"
        )
    default = wanted == spec.tokens_mlp_dim and given is None
    return {} if default else {"tokens_mlp_dim": wanted}


def _stamp(path: Path) -> tuple[int, int]:
    """What changes with the content, near enough for one reading of a study."""
    if not path.is_file():
        raise StudyError(
            f"init: {path}: no such file; give a .npz or .safetensors file, or a "
            "mapping of the fields of a pretrain cell"
        )
    status = path.stat()
    return status.st_mtime_ns, status.st_size


@functools.lru_cache(maxsize=16)
def _sha256(path: str, stamp: tuple[int, int]) -> str:
    """Of the bytes of a file; `stamp` keeps many cells from reading it again."""
    return weights.file_sha256(path)
