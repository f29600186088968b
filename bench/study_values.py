"""The values of a study: their shapes, types, and the ranges that their keys allow."""

from __future__ import annotations

import functools
import typing
from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import ConfigDict, TypeAdapter, ValidationError

from bench.errors import StudyError, UserError, unknown
from bench.specs import Cell, Effort

_HINTS = {**typing.get_type_hints(Cell), **typing.get_type_hints(Effort)}
_POSITIVE = (
    "image_size tokens_mlp_dim num_classes batch_size data_examples data_fraction "
    "total_steps total_epochs learning_rate clip_norm precision window_s sweep_min "
    "sweep_max time_limit_s accumulate evaluations checkpoint_steps dev_fraction "
    "probe_examples best_of"
).split()
_NOT_NEGATIVE = (
    "subset_seed seed warmup_steps weight_decay dropout stochastic_depth warmup_share "
    "randaugment_layers randaugment_magnitude mixup polyak"
).split()
_BELOW_ONE = "dropout stochastic_depth warmup_share polyak".split()


def typed(key: str, value: Any) -> Any:
    """`value` in the type of its key.

    Raises:
        StudyError: the value and what is allowed; file and key are the caller's.
    """
    if isinstance(value, (list, dict)):
        raise StudyError(f"{_shown(value)}: must be a single value")
    try:
        value = _adapter(key).validate_python(value)
    except ValidationError as error:
        raise StudyError(f"{_shown(value)}: must be {_said(_HINTS[key])}") from error
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        _check_range(key, value)
    return value


def _check_range(key: str, value: float) -> None:
    if key in _POSITIVE and not 0 < value < float("inf"):
        raise StudyError(f"{value!r}: must be a finite number above 0")
    if key in _NOT_NEGATIVE and not 0 <= value < float("inf"):
        raise StudyError(f"{value!r}: must be a finite number from 0")
    if key in _BELOW_ONE and value >= 1:
        raise StudyError(f"{value!r}: must be a share below 1")


@functools.cache
def _adapter(key: str) -> TypeAdapter[Any]:
    return TypeAdapter(_HINTS[key], config=ConfigDict(strict=True))


def _said(hint: Any) -> str:
    words = {
        int: "a whole number",
        float: "a number",
        str: "text",
        bool: "true or false",
    }
    parts = [
        words.get(part) or ("null" if part is type(None) else _literal(part))
        for part in (typing.get_args(hint) or (hint,))
    ]
    return " or ".join(parts)


def _literal(part: Any) -> str:
    """Words that stand for themselves."""
    return part if isinstance(part, str) else " or ".join(typing.get_args(part))


def _shown(value: Any) -> str:
    """`value` as given, cut where it would fill the screen."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:60]}..."


class Checked:
    """Something read from a document: every refusal opens with where that stands.

    `options` says by what option of the command line the user gave a key, if by one.
    """

    def __init__(self, where: str, options: Mapping[str, str]) -> None:
        self.where = where
        self.options = options

    def fail(self, key: str, problem: str) -> StudyError:
        option = self.options.get(key.rpartition(".")[2])
        return StudyError(f"{option or f'{self.where}: {key}'}: {problem}")

    def refused(self, error: UserError) -> StudyError:
        """The same for an error whose own text may open with the key."""
        key, _, problem = str(error).partition(": ")
        if key in self.options:
            return self.fail(key, problem)
        return StudyError(f"{self.where}: {error}")

    def mapping(
        self, where: str, value: Any, known: Iterable[str] | None
    ) -> dict[str, Any]:
        if not isinstance(value, Mapping):
            shown = type(value).__name__ if value is not None else "nothing"
            raise self.fail(where, f"must be a mapping of keys to values, not {shown}")
        for key in value:
            if known is not None and key not in list(known):
                raise self.fail(where, unknown("key", key, known))
        return dict(value)

    def sequence(self, where: str, value: Any) -> list[Any]:
        if not isinstance(value, list):
            raise self.fail(where, f"must be a list, not {type(value).__name__}")
        return value

    def text(self, where: str, value: Any) -> str:
        if not isinstance(value, str):
            raise self.fail(where, f"{value!r}: must be text")
        return value
