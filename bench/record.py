"""The row: one work item of one mode, measured or published. The project's contract.

Schema history
1: first form.
2: compile_cached.
3: executor, precision_goal, window_goal_s, and the sweep's range as cell fields.
4: adds sitting_id, timer, mfu with its peak, energy, clocks, throttling, host peak
   memory. `ceiling_flop_per_sec` is the machine's (every library, fresh processes); in
   earlier versions it was that of the framework that ran.
5: attention_kernel.
6: peer, peer_version, probe_outputs, probe_reference, variant as a cell field.
   `layout` is the one computed in; earlier rows of torch ResNets may say NHWC.
7: bandwidth; boundaries, warmup_share, decay, head_bias, dropout, stochastic_depth,
   accumulate as cell fields;
   images_skipped, images_skipped_example, n_eval_real; as cell fields data_dir,
   data_fingerprint, on_bad_image, evaluation, randaugment_layers,
   randaugment_magnitude, mixup;
   resumes, resumed_step, carried_s, inexact_resume, and as cell fields token_mixing,
   tied_token_mixing, position_embedding;
   finetune rows, with init, init_sha256, parent_cell_id, learning_rates and
   dev_fraction as cell fields; init_report, init_weights_sha256, search, search_s,
   core_days_finetune, core_days_search;
   predicted_s, predicted_core_days, predicted_from; `source` may name an import.
8: product_dtype;
   as cell fields probe_dir, probe_fingerprint, probe_evaluation, probe_examples;
   fewshot in a curve's point; n_test, chance and preprocess in a few-shot entry;
   polyak as a cell field; train_input.
9: cpu_cores_used, selected_step, warmup_steps_taken; representation and best_of as cell
   fields; core_days_extrapolated for every recipe of a paper, not for four.

Every `Cell` field is a column of the same name, so a new axis is recorded the day it
is declared. Units stand in the field metadata, the version in the schema metadata.
Absent is null, never zero.
"""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Iterable, Mapping
from typing import Any

import pyarrow as pa

from bench.specs import Cell

SCHEMA_VERSION = 9

CEILING_OF_MACHINE = 4
CHANGED_MEANING = ("ceiling_flop_per_sec", "ceiling_method", "ceiling_share")
"""Until version 4 the framework's own; read as null, lest two ceilings be mixed."""

STATUSES = ("ok", "oom", "diverged", "timeout", "failed", "skipped")

_STRINGS = pa.map_(pa.string(), pa.string())
_SWEEP = pa.list_(
    pa.struct(
        [
            ("batch_size", pa.int64()),
            ("status", pa.string()),
            ("step_s", pa.float64()),
            ("peak_bytes", pa.int64()),
        ]
    )
)
_SHOT = pa.struct([("dataset", pa.string()), ("accuracy", pa.float64())])
_CURVE = pa.list_(
    pa.struct(
        [
            ("step", pa.int64()),
            ("images_seen", pa.int64()),
            ("train_s", pa.float64()),
            ("train_loss", pa.float64()),
            ("top1", pa.float64()),
            ("fewshot", pa.list_(_SHOT)),
        ]
    )
)
_FEWSHOT = pa.list_(
    pa.struct(
        [
            ("dataset", pa.string()),
            ("shots", pa.int64()),
            ("seed", pa.int64()),
            ("accuracy", pa.float64()),
            ("baseline", pa.string()),
            ("n_test", pa.int64()),
            ("chance", pa.float64()),
            ("preprocess", pa.string()),
        ]
    )
)
_SEARCH = pa.list_(
    pa.struct(
        [
            ("learning_rate", pa.float64()),
            ("status", pa.string()),
            ("top1", pa.float64()),
            ("train_loss", pa.float64()),
        ]
    )
)
_CAUTIONS = pa.list_(
    pa.struct(
        [
            ("kind", pa.string()),
            ("seen", pa.string()),
            ("cause", pa.string()),
            ("remedy", pa.string()),
        ]
    )
)

# name, type, unit, what it is
_COLUMNS: list[tuple[str, pa.DataType, str, str]] = [
    # identity
    ("attempt_id", pa.string(), "", "uuid of this try"),
    ("cell_id", pa.string(), "", "hash of the cell's declared fields"),
    ("repetition", pa.int64(), "", "0-based fresh process of the same cell"),
    ("role", pa.string(), "", "cell or anchor"),
    ("study", pa.string(), "", "study that asked for it"),
    ("sitting_id", pa.string(), "", "uuid of the run that measured it, with anchors"),
    ("protocol", pa.int64(), "", "raised when measurement semantics change"),
    ("source", pa.string(), "", "measured, published, or the name of an import"),
    ("status", pa.string(), "", "ok, oom, diverged, timeout, failed, skipped"),
    ("error_class", pa.string(), "", "exception class of a failure"),
    ("error_message", pa.string(), "", "its message"),
    ("traceback", pa.string(), "", "its traceback"),
    ("started_at", pa.timestamp("us", tz="UTC"), "UTC", "start of the attempt"),
    ("finished_at", pa.timestamp("us", tz="UTC"), "UTC", "end of the attempt"),
    # the model, by closed form
    ("family", pa.string(), "", "mixer, vit, resnet, resnet_v1, or a published family"),
    ("param_count", pa.int64(), "1", "parameters, head included"),
    ("macs", pa.int64(), "MAC/image", "multiply-accumulates of one forward pass"),
    ("tokens", pa.int64(), "1", "sequence length; null for ResNet"),
    # where
    ("machine_id", pa.string(), "", "hash of the hardware"),
    ("machine", pa.string(), "", "readable name of the hardware"),
    ("hardware", _STRINGS, "", "the hardware, part by part"),
    ("environment_id", pa.string(), "", "hash of versions, driver and flags"),
    ("environment", _STRINGS, "", "versions, driver and flags"),
    ("device_kind", pa.string(), "", "cpu, cuda, ..."),
    ("device_name", pa.string(), "", "part name"),
    (
        "core_kind",
        pa.string(),
        "",
        "tpu_core, gpu, gcd, mig_slice, cpu_core, vcpu, ...",
    ),
    ("cores", pa.float64(), "core", "cores this process may use"),
    ("parallelism", pa.string(), "", "intra_op (one batch shared) or replica"),
    ("git_sha", pa.string(), "", "commit of the code, or null"),
    ("git_dirty", pa.bool_(), "", "uncommitted changes"),
    ("executor", pa.string(), "", "process (a fresh one per attempt) or inline"),
    ("command", pa.string(), "", "command line that asks for it, less output folders"),
    ("predicted_s", pa.float64(), "s", "forecast of finished_at - started_at"),
    ("predicted_core_days", pa.float64(), "core-day", "forecast of core_days_measured"),
    ("predicted_from", pa.string(), "", "same cell, same step or probe; null: none"),
    # speed
    ("batch_rule", pa.string(), "", "fixed, or auto (pilot sweep, then fresh)"),
    ("peer_version", pa.string(), "", "version of the peer; null is our own code"),
    ("layout", pa.string(), "", "memory layout computed in: NHWC or NCHW"),
    ("attention_kernel", pa.string(), "", "how attention ran; null without attention"),
    ("input", pa.string(), "", "resident, h2d or pipeline"),
    ("product_dtype", pa.string(), "", "of operands in the program; null: not told"),
    ("effective_precision", pa.string(), "", "measured by a probe matmul"),
    ("img_per_sec", pa.float64(), "image/s", "whole device, median block"),
    ("img_per_sec_core", pa.float64(), "image/s/core", "img_per_sec / cores"),
    ("step_s", pa.float64(), "s", "median step"),
    (
        "samples",
        pa.list_(pa.float64()),
        "s",
        "seconds per step of every block, in order",
    ),
    ("steps_per_sample", pa.int64(), "1", "steps between two barriers"),
    ("warmup_steps_run", pa.int64(), "1", "steps before the first sample"),
    ("stop_reason", pa.string(), "", "precision or time"),
    ("precision_goal", pa.float64(), "1", "half-width at which a window may stop"),
    ("window_goal_s", pa.float64(), "s", "longest window"),
    ("timer", pa.string(), "", "clock of the blocks: host, or the device's events"),
    (
        "within_run_halfwidth",
        pa.float64(),
        "1",
        "relative 95 % half-width, this process",
    ),
    ("compile_s", pa.float64(), "s", "trace and compile; null where eager"),
    (
        "compile_cached",
        pa.bool_(),
        "",
        "compile_s read a program from the compile cache: not a cold compile",
    ),
    (
        "probe_outputs",
        pa.list_(pa.float64()),
        "",
        "of the step that was timed: logits, or losses (then logits if narrow)",
    ),
    (
        "probe_reference",
        pa.list_(pa.float64()),
        "",
        "the same logits in float64, where the dtype is narrower than float32",
    ),
    ("first_step_s", pa.float64(), "s", "first executed step"),
    ("barrier_s", pa.float64(), "s", "cost of an idle barrier"),
    (
        "ms_per_image_batch1",
        pa.float64(),
        "ms/image",
        "step at batch 1, steps back to back (pilot); only in repetition 0",
    ),
    ("sweep", _SWEEP, "", "pilot sweep over batch sizes"),
    ("batch_knee", pa.int64(), "image", "smallest batch within 1 % of the best pilot"),
    (
        "flop_per_sec",
        pa.float64(),
        "FLOP/s",
        "closed form; training counts 3 x forward",
    ),
    ("ceiling_flop_per_sec", pa.float64(), "FLOP/s", "machine's matmul rate"),
    ("ceiling_method", pa.string(), "", "library and size behind the ceiling"),
    ("ceiling_share", pa.float64(), "1", "flop_per_sec / ceiling"),
    ("bandwidth_bytes_per_sec", pa.float64(), "B/s", "machine's copy, read + write"),
    ("bandwidth_method", pa.string(), "", "library behind the bandwidth"),
    ("peak_flop_per_sec", pa.float64(), "FLOP/s", "of the part in this dtype, dense"),
    ("peak_source", pa.string(), "", "data sheet, or who gave the peak"),
    ("mfu", pa.float64(), "1", "flop_per_sec / peak; null where the part is unknown"),
    ("energy_j", pa.float64(), "J", "over the timed window"),
    ("energy_j_per_image", pa.float64(), "J/image", "energy_j / images in the window"),
    ("energy_method", pa.string(), "", "nvml_counter or rapl; null where not counted"),
    ("clock_mhz_before", pa.float64(), "MHz", "device clock before the window"),
    ("clock_mhz_after", pa.float64(), "MHz", "the same, after"),
    ("throttled_by", pa.list_(pa.string()), "", "what held the device back"),
    ("cpu_cores_used", pa.float64(), "core", "this process's CPU time / the window's"),
    ("host_peak_memory_bytes", pa.int64(), "B", "peak resident of the process"),
    ("peak_memory_bytes", pa.int64(), "B", "peak of the process or the device"),
    ("peak_memory_method", pa.string(), "", "where that figure comes from"),
    ("load_before", pa.float64(), "1", "host load average of one minute, before"),
    ("load_after", pa.float64(), "1", "the same, after"),
    ("cautions", _CAUTIONS, "", "what was seen, likely cause, what to do"),
    # training
    ("unique_images", pa.int64(), "image", "distinct training images"),
    ("images_seen", pa.int64(), "image", "training images shown"),
    ("epochs", pa.float64(), "1", "images_seen / unique_images"),
    ("steps", pa.int64(), "1", "optimiser steps taken"),
    ("warmup_steps_taken", pa.int64(), "1", "of steps, those of the warm-up"),
    ("selected_step", pa.int64(), "1", "whose weights are reported; null: the last"),
    ("train_loss", pa.float64(), "nat", "mean over the last tenth of the steps"),
    ("curve", _CURVE, "", "on validation; fewshot is linear 5-shot, median draw"),
    ("top1", pa.float64(), "1", "accuracy on eval_split"),
    ("chance", pa.float64(), "1", "share of the largest class in eval_split"),
    ("train_img_per_sec_core", pa.float64(), "image/s/core", "while stepping"),
    (
        "fewshot",
        _FEWSHOT,
        "",
        "linear probes; baseline null, raw_pixels or random_init",
    ),
    ("pretrain_dataset", pa.string(), "", "what the weights were trained on"),
    ("pretrain_image_size", pa.int64(), "px", "at which resolution"),
    ("eval_dataset", pa.string(), "", "what top1 was measured on"),
    ("eval_split", pa.string(), "", "its split"),
    ("eval_preprocess", pa.string(), "", "its preprocessing"),
    ("n_eval", pa.int64(), "image", "size of eval_split"),
    (
        "n_eval_real",
        pa.int64(),
        "image",
        "of those, with ReaL labels: behind real_top1",
    ),
    ("images_skipped", pa.int64(), "image", "stored images left out as bad"),
    ("images_skipped_example", pa.string(), "", "one of them, and what is wrong"),
    ("train_input", pa.string(), "", "host or resident (on the device); null: host"),
    ("data_wait_s", pa.float64(), "s", "waiting for data while training"),
    ("data_wait_fraction", pa.float64(), "1", "data_wait_s / measured training time"),
    ("allocated_s", pa.float64(), "s", "measured + excluded + repeated + idle"),
    ("measured_s", pa.float64(), "s", "training steps, data wait included"),
    ("excluded_s", pa.float64(), "s", "compile, evaluation, checkpoint"),
    ("repeated_s", pa.float64(), "s", "steps done again after a resume"),
    ("idle_s", pa.float64(), "s", "allocated and unused"),
    ("carried_s", pa.float64(), "s", "of allocated_s, what earlier processes held"),
    ("resumes", pa.int64(), "1", "processes that began this training and died"),
    ("resumed_step", pa.int64(), "1", "the last one went on from here; null: from 0"),
    (
        "inexact_resume",
        pa.bool_(),
        "",
        "a resume may have changed bits; a caution says why; null: none",
    ),
    ("core_days_measured", pa.float64(), "core-day", "cores x measured time"),
    ("core_days_extrapolated", pa.float64(), "core-day", "of the full recipe, not run"),
    ("weights_sha256", pa.string(), "", "of the final weights, canonical order"),
    # fine-tuning, whose cost is never part of pre-training core-days
    ("init_weights_sha256", pa.string(), "", "of the weights started from, as found"),
    ("init_report", pa.string(), "", "what was loaded, carried over, or made anew"),
    ("search", _SEARCH, "", "each learning rate tried; top1 is on the dev split"),
    ("search_s", pa.float64(), "s", "spent on the search; a part of excluded_s"),
    ("core_days_finetune", pa.float64(), "core-day", "cores x fine-tuning time"),
    ("core_days_search", pa.float64(), "core-day", "cores x search_s"),
    # published rows
    ("table", pa.string(), "", "table of the paper"),
    ("run_id", pa.string(), "", "the same run quoted twice counts once"),
    ("printed_model", pa.string(), "", "the model's name as printed"),
    ("printed", _STRINGS, "", "column -> the number as printed"),
    ("regime", pa.string(), "", "block of the table"),
    ("pretrain_epochs", pa.float64(), "1", "as published"),
    ("real_top1", pa.float64(), "1", "ImageNet with reassessed labels"),
    ("avg5_top1", pa.float64(), "1", "mean of five transfer sets"),
    ("vtab19", pa.float64(), "1", "mean of the VTAB-1k tasks"),
    ("core_days_halfwidth", pa.float64(), "core-day", "rounding of the printed figure"),
    ("train_exaflops", pa.float64(), "EFLOP", "as published"),
    ("accuracy_source", pa.string(), "", "this paper, or who passed the number on"),
    ("bibkey", pa.string(), "", "citation key"),
    ("citation", pa.string(), "", "paper and table, or file"),
    ("note", pa.string(), "", "what a reader must know"),
]

_PLAIN = {str: pa.string(), int: pa.int64(), float: pa.float64(), bool: pa.bool_()}


def _arrow_type(hint: Any) -> pa.DataType:
    for kind in (float, int, bool, str):  # a union records its widest plain member
        if hint is kind or kind in typing.get_args(hint):
            return _PLAIN[kind]
    raise TypeError(f"no column type for {hint!r}")


def _fields() -> Iterable[pa.Field]:
    def made(name: str, kind: pa.DataType, unit: str, doc: str) -> pa.Field:
        return pa.field(name, kind, metadata={"unit": unit, "doc": doc})

    hints = typing.get_type_hints(Cell)
    for item in dataclasses.fields(Cell):
        doc = item.metadata.get("doc", item.name)
        yield made(item.name, _arrow_type(hints[item.name]), "", doc)
    for column in _COLUMNS:
        yield made(*column)


SCHEMA = pa.schema(
    list(_fields()), metadata={"mixer_bench_schema": str(SCHEMA_VERSION)}
)
COLUMNS = tuple(SCHEMA.names)

NESTED = tuple(
    name
    for name in COLUMNS
    if pa.types.is_nested(SCHEMA.field(name).type) or name == "traceback"
)


def row(values: Mapping[str, Any]) -> dict[str, Any]:
    """A full row: `values`, and null elsewhere. An unknown column is our mistake."""
    strangers = set(values) - set(COLUMNS)
    assert not strangers, f"not in the record: {sorted(strangers)}"
    return {name: values.get(name) for name in COLUMNS}


def table(rows: Iterable[Mapping[str, Any]]) -> pa.Table:
    """Rows as an Arrow table of `SCHEMA`; a wrong type raises pyarrow's own error."""
    return pa.Table.from_pylist([row(values) for values in rows], schema=SCHEMA)
