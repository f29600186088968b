"""YAML 1.2 scalars through one strict safe loader.

PyYAML speaks YAML 1.1: `1e-3` is a string there, `on` and `no` are booleans, a second
equal key silently wins. Here unquoted `1e-3` is a number, only true and false are
booleans, a duplicate key and any tag are refused, each with its line.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from bench.errors import StudyError


class _Loader(yaml.SafeLoader):
    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012  (PyYAML's own name)

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, str):
                _refuse(key_node, f"key {key!r} is not a word")
            if key in seen:
                _refuse(key_node, f"key {key!r} is given twice; keep one")
            seen.add(key)
        return super().construct_mapping(node, deep=deep)

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):  # ten lines of them can fill a memory
            event: Any = self.peek_event()  # type: ignore[no-untyped-call]
            raise yaml.constructor.ConstructorError(
                None, None, "aliases are not allowed; write it out", event.start_mark
            )
        return super().compose_node(parent, index)

    def construct_undefined(self, node: Any) -> Any:
        _refuse(node, f"tag {node.tag!r} is not allowed; use plain values")


def _refuse(node: Any, problem: str) -> None:
    raise yaml.constructor.ConstructorError(None, None, problem, node.start_mark)


def _float(loader: yaml.SafeLoader, node: Any) -> float:
    text = loader.construct_scalar(node).lower()
    return float(text.replace(".inf", "inf").replace(".nan", "nan"))


def _int(loader: yaml.SafeLoader, node: Any) -> int:
    text = loader.construct_scalar(node)
    if len(text) > 20:
        _refuse(node, "a number of more than 20 digits")
    return int(text, 10)


_SCALARS = {
    "bool": (r"true|True|TRUE|false|False|FALSE", "tTfF"),
    "int": (r"[-+]?[0-9]+", "-+0123456789"),
    "float": (
        r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|"
        r"\.(nan|NaN|NAN)",
        "-+0123456789.",
    ),
    "null": (r"~|null|Null|NULL|", ["~", "n", "N", ""]),
}
for _name, (_pattern, _first) in _SCALARS.items():
    _Loader.add_implicit_resolver(
        f"tag:yaml.org,2002:{_name}", re.compile(rf"^(?:{_pattern})$"), list(_first)
    )
_Loader.add_constructor("tag:yaml.org,2002:int", _int)
_Loader.add_constructor("tag:yaml.org,2002:float", _float)
for _tag in ("binary", "timestamp", "omap", "pairs", "set", "merge"):
    _Loader.add_constructor(f"tag:yaml.org,2002:{_tag}", _Loader.construct_undefined)
_Loader.add_constructor(None, _Loader.construct_undefined)


def read(path: Path) -> Any:
    """The one document in `path`.

    Raises:
        StudyError: not text, not YAML, a duplicate key, a tag; one line with its place.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise StudyError(f"{path}: not a text file; a study is YAML") from error
    except OSError as error:
        raise StudyError(f"{path}: cannot read: {error.strerror}") from error
    try:
        return yaml.load(text, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        line = f":{mark.line + 1}" if mark else ""
        problem = (error.problem or "not YAML").replace("\n", " ")
        raise StudyError(f"{path}{line}: {problem}") from error
    except RecursionError as error:
        raise StudyError(f"{path}: nested too deeply to be a study") from error
    except yaml.YAMLError as error:
        problem = str(error).split("\n")[0]
        raise StudyError(f"{path}: not a YAML file: {problem}") from error
