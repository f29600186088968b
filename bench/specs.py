"""Plain frozen data: a cell, a work item, a study. The words are the README's.

A cell is one point of a grid in one mode. Each field of `Cell` says which modes
declare it; `cell_id` hashes exactly those, leaving out fields at their default, so
that a new field never re-keys old rows.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from bench.identity import canonical as canonical
from bench.identity import short_hash as short_hash

SPEED_MODES = ("infer", "train")
TRAINING_MODES = ("pretrain", "finetune")
FINETUNE = ("finetune",)
MODES = SPEED_MODES + TRAINING_MODES

PROTOCOL = 1
"""Raised by hand whenever the semantics of timing or training change."""

PROBE_LOSSES = 2
"""How many losses a training step leaves in the row's `probe_outputs`."""

AUGMENTS = ("none", "flip", "crop", "inception")
EVALUATIONS = ("resize", "resize-crop", "resmall-crop")
DTYPES = ("float32", "bfloat16", "float16", "tf32", "float64")


def _on(
    modes: tuple[str, ...],
    default: Any,
    doc: str,
    choices: tuple[str, ...] = (),
    hashed: bool = True,
) -> Any:
    metadata = {"modes": modes, "doc": doc, "choices": choices, "hashed": hashed}
    return field(default=default, metadata=metadata)


@dataclass(frozen=True, kw_only=True)
class Cell:
    """The thing measured. Units and meaning stand beside each field."""

    mode: str
    model: str
    framework: str

    # What is computed
    image_size: int = _on(MODES, 224, "square input side, pixels")
    dtype: str = _on(MODES, "float32", "compute dtype; parameters float32", DTYPES)
    device: str = _on(MODES, "auto", "auto, or a device kind of bench.devices")
    pool: str | None = _on(MODES, None, "ViT: token is the default", ("token", "gap"))
    representation: bool = _on(
        ("pretrain",), False, "ViT: a tanh layer before the head; fine-tuning drops it"
    )
    tokens_mlp_dim: int | None = _on(MODES, None, "Mixer: D_S; None is the paper's")
    token_mixing: str = _on(
        MODES, "mlp", "Mixer: how tokens are mixed", ("mlp", "linear", "none")
    )
    tied_token_mixing: bool = _on(
        MODES, True, "Mixer: every channel shares the token-mixing weights"
    )
    position_embedding: str = _on(
        MODES, "learned", "ViT: learned, or none", ("learned", "none")
    )
    num_classes: int = _on(SPEED_MODES, 1000, "width of the head")
    batch_size: int | Literal["auto"] = _on(
        MODES, "auto", "images per step; auto sweeps, in speed modes only"
    )
    sweep_min: int = _on(SPEED_MODES, 8, "batch auto: the pilot doubles from here")
    sweep_max: int = _on(SPEED_MODES, 1024, "... to here; batch 1 is measured too")
    track: str = _on(
        SPEED_MODES,
        "protocol",
        "protocol: same policy for every family; tuned: the best variant",
        ("protocol", "tuned"),
    )
    variant: str | None = _on(
        SPEED_MODES, None, "how the step is built; protocol is jit or eager"
    )
    peer: str | None = _on(SPEED_MODES, None, "whose code; None is ours", ("timm",))

    # What is learned
    dataset: str | None = _on(TRAINING_MODES, None, "name in bench.data.DATASETS")
    data_dir: str | None = _on(
        TRAINING_MODES, None, "folder of a data set on disk", hashed=False
    )
    data_fingerprint: str | None = _on(
        TRAINING_MODES, None, "what data_dir holds; filled in where it is not given"
    )
    on_bad_image: str = _on(
        TRAINING_MODES,
        "error",
        "an image on disk that cannot be used stops the cell, or is left out",
        ("error", "skip"),
    )
    evaluation: str | None = _on(
        TRAINING_MODES,
        None,
        "how stored images become square; None is the data set's usual way",
        EVALUATIONS,
    )
    data_examples: int | None = _on(
        TRAINING_MODES, None, "training images; None is all"
    )
    data_fraction: float | None = _on(
        TRAINING_MODES, None, "share of the training images"
    )
    subset: str = _on(
        TRAINING_MODES, "random", "how drawn", ("random", "stratified", "balanced")
    )
    subset_seed: int = _on(TRAINING_MODES, 0, "draws the subset, apart from seed")
    shuffle: str = _on(
        TRAINING_MODES,
        "none",
        "one fixed permutation of every image",
        ("none", "patch_pixel", "global"),
    )
    seed: int = _on(TRAINING_MODES, 0, "initial weights and data order")
    total_steps: int | None = _on(TRAINING_MODES, None, "optimiser steps")
    total_epochs: float | None = _on(TRAINING_MODES, None, "passes over the subset")
    best_of: int | None = _on(
        ("pretrain",), None, "looks at validation; the best is reported, not the last"
    )
    recipe: str | None = _on(
        TRAINING_MODES, None, "where the values below started from", hashed=False
    )
    optimizer: str = _on(
        TRAINING_MODES, "adam", "decoupled decay; sgd has momentum 0.9", ("adam", "sgd")
    )
    learning_rate: float = _on(TRAINING_MODES, 1e-3, "peak learning rate")
    schedule: str = _on(
        TRAINING_MODES,
        "linear",
        "decay after warm-up; step divides by 10 at each boundary",
        ("linear", "cosine", "constant", "step"),
    )
    boundaries: str | None = _on(
        TRAINING_MODES, None, "schedule step: shares of the run, joined by + (1/3+2/3)"
    )
    warmup_steps: int | None = _on(
        TRAINING_MODES, None, "linear warm-up; None is 10,000 or a tenth of the run"
    )
    warmup_share: float | None = _on(
        TRAINING_MODES, None, "at most this share of the run is spent on warmup_steps"
    )
    weight_decay: float = _on(
        TRAINING_MODES, 0.0, "of kernels only; how it acts, says decay"
    )
    decay: str = _on(
        TRAINING_MODES,
        "decoupled",
        "decoupled: times the learning rate, as AdamW; coupled: joins the gradient",
        ("decoupled", "coupled"),
    )
    clip_norm: float | None = _on(
        TRAINING_MODES, 1.0, "global gradient norm; None is off"
    )
    loss: str = _on(
        TRAINING_MODES, "softmax", "form of the cross-entropy", ("softmax", "sigmoid")
    )
    head_bias: float = _on(
        TRAINING_MODES, 0.0, "where the head's bias starts; its kernel starts at 0"
    )
    dropout: float = _on(TRAINING_MODES, 0.0, "share of activations; see models/noise")
    stochastic_depth: float = _on(
        TRAINING_MODES, 0.0, "rate of the last branch, linear from 0 at the first"
    )
    accumulate: int = _on(
        TRAINING_MODES, 1, "parts that a batch is taken in, one after the other"
    )
    augment: str = _on(
        TRAINING_MODES, "none", "of training images; see data/augment", AUGMENTS
    )
    randaugment_layers: int = _on(
        TRAINING_MODES, 0, "RandAugment operations per image; 0 is off"
    )
    randaugment_magnitude: float = _on(
        TRAINING_MODES, 0.0, "their strength, 10 is an operation's full range"
    )
    mixup: float = _on(
        TRAINING_MODES, 0.0, "p of mixup's Beta(p, p), one draw per batch; 0 is off"
    )
    probe: str | None = _on(
        TRAINING_MODES,
        None,
        "few-shot targets, joined by + (digits+fractals); one may be on disk",
    )
    probe_dir: str | None = _on(
        TRAINING_MODES, None, "its folder; None is data_dir's", hashed=False
    )
    probe_fingerprint: str | None = _on(
        TRAINING_MODES, None, "what probe_dir holds; filled in"
    )
    probe_evaluation: str | None = _on(
        TRAINING_MODES, None, "as evaluation; None is resize-crop", EVALUATIONS
    )
    probe_examples: int | None = _on(
        TRAINING_MODES, None, "test images of each target; None is all"
    )

    # Where fine-tuning starts, and its search
    init: str | None = _on(
        FINETUNE,
        None,
        "weights file, or the pretrain cell's fields in a study",
        hashed=False,
    )
    init_sha256: str | None = _on(FINETUNE, None, "of the bytes of that file")
    parent_cell_id: str | None = _on(FINETUNE, None, "of that pretrain cell")
    learning_rates: str | None = _on(
        FINETUNE, None, "tried on the dev split, joined by + (0.003+0.01+0.03)"
    )
    dev_fraction: float = _on(
        FINETUNE, 0.1, "share of the training images that chooses among them"
    )
    polyak: float = _on(
        FINETUNE, 0.0, "share of the averaged weights that a step keeps; 0 is off"
    )

    @property
    def cell_id(self) -> str:
        """First 16 hex digits of sha256 over the declared, non-default fields."""
        return short_hash(self.declared())

    def declared(self) -> dict[str, Any]:
        """The fields that this mode declares and that differ from their default."""
        kept = {"mode": self.mode, "model": self.model, "framework": self.framework}
        for item in dataclasses.fields(self):
            if self.mode in item.metadata.get("modes", ()) and item.metadata["hashed"]:
                value = getattr(self, item.name)
                if value != item.default:
                    kept[item.name] = value
        return kept

    @property
    def label(self) -> str:
        """The cell in one short line, for progress and errors."""
        rest = {k: v for k, v in self.declared().items() if k in _LABEL_FIELDS}
        words = [self.mode, self.model, self.framework, f"{self.image_size}px"]
        words += [f"{_LABEL_FIELDS[key]}{value}" for key, value in rest.items()]
        words += [f"from {self.init}"] if self.init_sha256 else []
        words += [self.recipe] if self.recipe not in (None, "demo") else []
        return " ".join(words)


_LABEL_FIELDS = {
    "batch_size": "b",
    "dtype": "",
    "pool": "",
    "representation": "representation=",
    "track": "",
    "variant": "",
    "peer": "",
    "dataset": "",
    "data_fingerprint": "",
    "data_examples": "n=",
    "data_fraction": "f=",
    "tokens_mlp_dim": "D_S=",
    "token_mixing": "token_mixing=",
    "tied_token_mixing": "tied_token_mixing=",
    "position_embedding": "position_embedding=",
    "shuffle": "",
    "seed": "seed=",
    "parent_cell_id": "from ",
}


def fields_of(mode: str) -> tuple[str, ...]:
    """Names of the fields that `mode` declares, in the order of `Cell`."""
    identity = ("mode", "model", "framework")
    return identity + tuple(
        item.name
        for item in dataclasses.fields(Cell)
        if mode in item.metadata.get("modes", ())
    )


@dataclass(frozen=True, kw_only=True)
class Effort:
    """How long to measure. It never enters a cell's identity."""

    precision: float = 0.02
    """Stop a window when the 95 % interval of its median is this narrow (relative)."""
    window_s: float = 10.0
    """... or after this many seconds of measuring."""
    time_limit_s: float = 900.0
    """One attempt is stopped after this long."""
    evaluations: int = 4
    """Points of a learning curve, evenly spread; the last is the end."""
    checkpoint_steps: int | None = None
    """Steps between checkpoints of a training; None goes by the clock, so that they
    take a fiftieth of the time at most."""
    input: Literal["host", "resident"] = "host"
    """Where training images wait: made into batches on the host, or kept as bytes on
    the device, which takes out the same batches. The same bits, at another speed."""
    keep_weights: bool = False
    """Trained weights stay beside the results; `mixer-bench weights` draws them."""


@dataclass(frozen=True)
class Limit:
    """A rate that a model is held against, and where it comes from."""

    flop_per_sec: float
    source: str


@dataclass(frozen=True)
class Bandwidth:
    """How fast memory was copied, reading and writing counted, and by what."""

    bytes_per_sec: float
    source: str


@dataclass(frozen=True, kw_only=True)
class OwnCore:
    """The user's own definition of a core, for devices that nobody has defined yet."""

    kind: str
    per_device: float
    """How many of them the device has that one process times."""


@dataclass(frozen=True)
class Parent:
    """The pretrain cell that a finetune cell starts from, and the weights it left."""

    cell: Cell
    weights: str
    """Path of the file."""
    sha256: str
    """Of its tensors, as in the parent's row."""


@dataclass(frozen=True, kw_only=True)
class WorkItem:
    """One fresh-process measurement of a cell; role `pilot` ends after its sweep."""

    cell: Cell
    repetition: int = 0
    role: Literal["cell", "anchor", "pilot"] = "cell"
    effort: Effort = Effort()
    picked_batch: int | None = None
    """The batch that an earlier repetition's pilot picked; None runs the pilot."""
    ceiling: Limit | None = None
    """The largest product rate measured on this machine in the cell's dtype."""
    bandwidth: Bandwidth | None = None
    """The largest copy rate measured on this machine."""
    peak: Limit | None = None
    """The peak that the user gives for the cell's dtype; None asks the known parts."""
    own_core: OwnCore | None = None
    """What the user divides by; None is what the device says a core is."""
    checkpoints: str | None = None
    """Folder of this training's checkpoints; None keeps none."""
    asked_at: float | None = None
    """When the cores began to be held for it, seconds since 1970; None is the call."""
    parent: Parent | None = None
    """Where a finetune cell starts; None where it starts from the user's file."""
    keep_weights: str | None = None
    """Where a training cell leaves its weights, to start from or to look at."""

    @property
    def key(self) -> tuple[str, int, str]:
        return (self.cell.cell_id, self.repetition, self.role)


@dataclass(frozen=True, kw_only=True)
class Study:
    """A question, its cells and how often to repeat them."""

    name: str
    question: str
    cells: tuple[Cell, ...]
    repetitions: int = 1
    effort: Effort = Effort()
    anchor: Cell | None = None
    peaks: Mapping[str, Limit] = field(default_factory=dict)
    """Peaks of this device by dtype, where the user knows better than our table."""
    own_core: OwnCore | None = None
    source: str = ""
    """Where it was read from; empty for a study made by `mixer-bench time`."""

    @property
    def every_cell(self) -> tuple[Cell, ...]:
        """The cells, and the anchor if there is one."""
        return self.cells if self.anchor is None else (*self.cells, self.anchor)

    @property
    def frameworks(self) -> list[str]:
        """Every framework that running this study needs."""
        return sorted({cell.framework for cell in self.every_cell})
