"""Framed records of a tfrecord file: length, its checksum, the data, its checksum.

All little-endian; the length has 64 bits. The checksum is CRC-32C (Castagnoli), rotated
and shifted by a constant, as in TensorFlow's `record_writer.h`. There is no index in
such a file: its lengths are walked once, then any record can be read alone.
"""

from __future__ import annotations

import functools
import operator
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

_HEAD, _CRC = struct.Struct("<QI"), struct.Struct("<I")
_POLYNOMIAL, _MASK = 0x82F63B78, 0xA282EAD8
_CHUNK = 1024
"""Bytes that are looked up at once in a checksum."""


class Damaged(ValueError):
    """Bytes that are not what their format says; the message says what is wrong."""


@dataclass(frozen=True)
class Frame:
    """Where the data of one record lies in its file, and the data."""

    offset: int
    data: memoryview


def frames(path: Path) -> Iterator[Frame]:
    """Every record of the file in order; the data's own checksum is not looked at.

    Raises:
        Damaged: a length is not what was written, or the file ends too soon.
    """
    size = path.stat().st_size
    held = np.memmap(path, np.uint8, "r").data if size else memoryview(b"")
    at = number = 0
    while at < size:
        head = held[at : at + _HEAD.size]
        if len(head) < _HEAD.size:
            raise Damaged(f"ends inside record {number}: cut short")
        length, check = _HEAD.unpack(head)
        if masked(bytes(head[:8])) != check:
            raise Damaged(f"record {number}: the checksum of its length does not hold")
        offset = at + _HEAD.size
        at = offset + length + _CRC.size
        if at > size:
            raise Damaged(f"ends inside record {number}: cut short")
        yield Frame(offset, held[offset : offset + length])
        number += 1


def read(path: Path, offset: int, length: int) -> bytes:
    """The data of one record.

    Raises:
        Damaged: it is not what was written.
    """
    with path.open("rb") as file:
        file.seek(offset)
        data, check = file.read(length), file.read(_CRC.size)
    if len(data) < length or _CRC.pack(masked(data)) != check:
        raise Damaged("is damaged: the checksum of its data does not hold")
    return data


def masked(data: bytes) -> int:
    """CRC-32C as it stands in the file."""
    found = crc32c(data)
    return (((found >> 15) | (found << 17)) + _MASK) & 0xFFFFFFFF


def crc32c(data: bytes) -> int:
    """CRC-32C (RFC 3720): Python has only the other polynomial, and jpegs are long.

    >>> hex(crc32c(b"123456789"))
    '0xe3069283'
    """
    crc, short = 0xFFFFFFFF, len(data) % _CHUNK
    steps = _bytewise()
    for byte in data[:short]:
        crc = steps[(crc ^ byte) & 255] ^ (crc >> 8)
    # What a byte adds depends on its place alone, so whole chunks are looked up; the
    # sum so far joins the first four bytes of the next.
    tables, first = _tables()
    rest = np.frombuffer(data, np.uint8, offset=short).reshape(-1, _CHUNK)
    looked_up = tables.take(rest + np.arange(0, tables.size, 256))
    for part in np.bitwise_xor.reduce(looked_up, axis=1).tolist():
        bytes_of_sum = zip(first, _CRC.pack(crc), strict=True)
        crc = functools.reduce(operator.xor, (t[b] for t, b in bytes_of_sum), part)
    return crc ^ 0xFFFFFFFF


@functools.cache
def _bytewise() -> tuple[int, ...]:
    """What one byte makes of an empty sum."""
    found = []
    for value in range(256):
        for _ in range(8):
            value = (value >> 1) ^ (_POLYNOMIAL if value & 1 else 0)
        found.append(value)
    return tuple(found)


@functools.cache
def _tables() -> tuple[np.ndarray, list[list[int]]]:
    """What each byte adds by its place in a chunk, flat; the first four apart."""
    found = np.empty((_CHUNK, 256), np.uint32)
    found[-1] = last = np.array(_bytewise(), np.uint32)
    for place in range(_CHUNK - 1, 0, -1):
        after = found[place]
        found[place - 1] = last[after & 255] ^ (after >> 8)
    return found.ravel(), found[:4].tolist()
