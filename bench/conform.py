"""A file of any schema version as today's columns, or as many of them as are asked."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from bench import asked, record
from bench.errors import ResultsError
from bench.specs import Cell

_VERSION_KEY = b"mixer_bench_schema"
_DEFAULTS = {
    item.name: item
    for item in dataclasses.fields(Cell)
    if "modes" in item.metadata and item.default not in (None, "auto")
}


def schema(nested: Collection[str]) -> pa.Schema:
    """The record, of its nested columns only those named."""
    left = set(record.NESTED) - set(nested)
    kept = [item for item in record.SCHEMA if item.name not in left]
    return pa.schema(kept, metadata=record.SCHEMA.metadata)


def to_schema(table: pa.Table, schema: pa.Schema, path: Path) -> pa.Table:
    """The columns of `schema` from a file of any version up to today's.

    Raises:
        ResultsError: the file is not ours, or newer than this code.
    """
    metadata = table.schema.metadata or {}
    if not metadata.get(_VERSION_KEY, b"").isdigit():
        raise ResultsError(
            f"{path}: a parquet file, but not of mixer-bench (no schema version); "
            "allowed are files written by mixer-bench run or time"
        )
    version = int(metadata[_VERSION_KEY])
    if version > record.SCHEMA_VERSION:
        raise ResultsError(
            f"{path}: schema version {version}, this mixer-bench reads up to "
            f"{record.SCHEMA_VERSION}; upgrade mixer-bench"
        )
    columns = []
    changed = record.CHANGED_MEANING if version < record.CEILING_OF_MACHINE else ()
    for item in schema:  # null: what an old file lacks, or meant otherwise
        if item.name in changed:
            columns.append(pa.nulls(table.num_rows, item.type))
        elif item.name == "command" and item.name in table.schema.names:
            columns.append(_commands(table))
        elif item.name in table.schema.names:
            columns.append(table[item.name].cast(item.type))
        elif (
            item.name in _DEFAULTS and "source" in table.schema.names
        ):  # a field that is newer than the file
            columns.append(_default(table, item))
        else:
            columns.append(pa.nulls(table.num_rows, item.type))
    return pa.table(columns, schema=schema)


def _commands(table: pa.Table) -> pa.ChunkedArray:
    """The commands, less the output folders that rows told until version 9."""
    column = table["command"].cast(pa.string()).combine_chunks().dictionary_encode()
    words = [
        text and asked.without_places(text) for text in column.dictionary.to_pylist()
    ]
    found = pa.array(words, pa.string()).take(column.indices)
    return pa.chunked_array([found])


def _default(table: pa.Table, item: pa.Field) -> pa.Array:
    """What a cell's new field was before it had a name: its default, if measured.

    So an old row and a new one of the same cell_id are the same setting.
    """
    default = pa.scalar(_DEFAULTS[item.name].default, item.type)
    measured = pc.equal(table["source"], "measured")
    return pc.if_else(measured, default, pa.scalar(None, item.type))
