"""One `tf.train.Example`: a protocol buffer of few fields, read without generated code.

Example.features = 1; Features.feature = 1, a map from name to Feature; Feature holds
one of bytes_list = 1, float_list = 2, int64_list = 3; the values of each are field 1.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeVar

from bench.data.tfrecord import Damaged

T = TypeVar("T")

_BYTES_LIST, _INT64_LIST = 1, 3
_VARINT, _LENGTH = 0, 2
_FIXED = {1: 8, 5: 4}
"""Bytes of a value, by wire type."""


def blob(example: memoryview, name: str) -> bytes:
    """The only bytes value of that name.

    Raises:
        Damaged: there is none or more than one, or it is no such message.
    """
    return bytes(_only(name, _blobs(_feature(example, name))))


def integer(example: memoryview, name: str) -> int:
    """The only int64 value of that name.

    Raises:
        Damaged: there is none or more than one, or it is no such message.
    """
    value = _only(name, _integers(_feature(example, name)))
    return value - 2**64 if value >= 2**63 else value


def _only(name: str, values: Sequence[T]) -> T:
    if len(values) != 1:
        raise Damaged(f"has {len(values)} values of feature {name!r}; one is needed")
    return values[0]


def _feature(example: memoryview, name: str) -> memoryview:
    """The Feature of that name; an empty one where it is absent."""
    wanted, found = name.encode(), memoryview(b"")
    for features in _messages(example, 1):
        for entry in _messages(features, 1):
            key = b"".join(_messages(entry, 1))
            if key == wanted:
                found = next(iter(_messages(entry, 2)), found)
    return found


def _blobs(feature: memoryview) -> list[memoryview]:
    return [
        value
        for values in _messages(feature, _BYTES_LIST)
        for value in _messages(values, 1)
    ]


def _integers(feature: memoryview) -> list[int]:
    """Packed, as they are written today, or one by one."""
    found: list[int] = []
    for values in _messages(feature, _INT64_LIST):
        for number, value in _fields(values):
            if number != 1:
                continue
            if isinstance(value, int):
                found.append(value)
                continue
            at = 0
            while at < len(value):
                one, at = _varint(value, at)
                found.append(one)
    return found


def _messages(held: memoryview, wanted: int) -> list[memoryview]:
    """Every field of that number that is a run of bytes."""
    return [
        value
        for number, value in _fields(held)
        if number == wanted and not isinstance(value, int)
    ]


def _fields(held: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """Number and value of each field of a message."""
    at = 0
    while at < len(held):
        tag, at = _varint(held, at)
        number, wire = tag >> 3, tag & 7
        if wire == _VARINT:
            value, at = _varint(held, at)
            yield number, value
            continue
        if wire == _LENGTH:
            length, at = _varint(held, at)
        elif wire in _FIXED:
            length = _FIXED[wire]
        else:
            raise Damaged(f"is no tf.train.Example: wire type {wire}")
        if at + length > len(held):
            raise Damaged("is no whole tf.train.Example: a field runs past its end")
        yield number, held[at : at + length]
        at += length


def _varint(held: memoryview, at: int) -> tuple[int, int]:
    """A number of seven bits a byte, the lowest first, and where it ends."""
    value = shift = 0
    while at < len(held) and shift < 70:
        byte = held[at]
        value |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return value, at
    raise Damaged("is no whole tf.train.Example: a number has no end")
