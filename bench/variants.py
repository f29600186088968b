"""How a step may be built: the words of `variant`, and what each is allowed with.

`base+extra+extra`. The protocol track uses one base for every family, `jit` and
`eager`; the tuned track may use any. Words only; `variants_torch` knows how.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

from bench.errors import StudyError, unknown
from bench.specs import SPEED_MODES, Cell

DEFAULT = {"jax": "jit", "torch": "eager"}
"""The protocol track's: what users of the framework do who tune nothing."""

BASES: dict[str, dict[str, tuple[str, ...]]] = {
    "jax": {"jit": SPEED_MODES},
    "torch": {
        "eager": SPEED_MODES,
        "compile": SPEED_MODES,
        "compile-max-autotune": SPEED_MODES,
        "compile-freeze": ("infer",),  # weights become constants of the program
    },
}
MALLOC, CHANNELS_LAST, CUDNN_ATTENTION = "malloc", "channels-last", "cudnn-attention"
ONEDNN = "onednn"

# extra: bases, families, device kinds
CONVOLUTIONAL = ("resnet", "resnet_v1")
_EVERY = ("mixer", "vit", "resnet", "resnet_v1")
_TORCH = tuple(BASES["torch"])
_EXTRAS: dict[str, tuple[tuple[str, ...], ...]] = {
    CHANNELS_LAST: (_TORCH, CONVOLUTIONAL, ("cpu", "cuda")),
    CUDNN_ATTENTION: (_TORCH, ("vit",), ("cuda",)),
    MALLOC: ((*_TORCH, "jit"), _EVERY, ("cpu",)),
    ONEDNN: (("eager", "compile"), ("mixer", "vit", "resnet"), ("cpu",)),
}
_IN_TRAINING_ONLY = (("compile", ONEDNN),)
"""For inference it is eager: its weights are laid out at the first call."""
_AT_INFERENCE_ONLY = (("resnet", ONEDNN),)
"""Its kernels are standardised once, so that nothing could learn."""
OURS_ALONE = (ONEDNN,)
"""It rewrites our layers; a peer's have no such form."""

MALLOC_ENVIRONMENT = {
    "MALLOC_MMAP_THRESHOLD_": str(4 * 2**30),
    "MALLOC_TRIM_THRESHOLD_": str(8 * 2**30),
    "MALLOC_TOP_PAD_": str(256 * 2**20),
}
"""glibc keeps freed activations instead of giving their pages back at every step."""


def split(variant: str) -> tuple[str, tuple[str, ...]]:
    """Base and extras of a canonical variant.

    >>> split("eager+channels-last+malloc")
    ('eager', ('channels-last', 'malloc'))
    """
    base, *extras = variant.split("+")
    return base, tuple(extras)


def is_default(variant: str) -> bool:
    """Whether nothing is compiled beyond what the protocol compiles."""
    return split(variant)[0] in DEFAULT.values()


@dataclass(frozen=True, kw_only=True)
class Step:
    """What decides which variants there are."""

    framework: str
    mode: str
    family: str
    device_kind: str
    peer: str | None = None

    def __str__(self) -> str:
        whose = f"{self.peer}'s " if self.peer else ""
        return f"{self.framework} {self.mode} of {whose}{self.family} on " + (
            self.device_kind
        )

    def bases(self) -> tuple[str, ...]:
        """Every base of the framework that the mode allows."""
        return tuple(
            b for b, modes in BASES[self.framework].items() if self.mode in modes
        )

    def extras(self, base: str) -> tuple[str, ...]:
        """Every extra that goes with this base."""
        return tuple(
            extra
            for extra, (bases, families, kinds) in sorted(_EXTRAS.items())
            if base in bases
            and self.family in families
            and self.device_kind in kinds
            and not (self.peer and extra in OURS_ALONE)
            and (self.mode == "train" or (base, extra) not in _IN_TRAINING_ONLY)
            and (self.mode == "infer" or (self.family, extra) not in _AT_INFERENCE_ONLY)
        )

    def allowed(self) -> tuple[str, ...]:
        """Every variant that can be built, the default first."""
        return tuple(
            "+".join((base, *some))
            for base in self.bases()
            for count in range(len(self.extras(base)) + 1)
            for some in combinations(self.extras(base), count)
        )

    def tried(self) -> tuple[str, ...]:
        """What the tuned track tries: each base bare and with every extra at once.

        On the default base each extra also stands alone, to see which of them it was.
        """

        def worth_it(variant: str) -> bool:
            base, extras = split(variant)
            if base == DEFAULT[self.framework] and len(extras) < 2:
                return True
            return extras in ((), self.extras(base))

        return tuple(filter(worth_it, self.allowed()))

    def canonical(self, variant: str) -> str:
        """`variant` with its base first and its extras in order.

        Raises:
            StudyError: it does not fit; the line names the ones that do.
        """
        words = variant.split("+")
        bases = [word for word in words if word in BASES[self.framework]]
        extras = sorted({word for word in words if word not in bases})
        made = "+".join([*(bases or [DEFAULT[self.framework]]), *extras])
        if made not in self.allowed():
            known = unknown("variant", variant, self.allowed())
            raise StudyError(f"{known} (for {self})")
        return made


def step_of(cell: Cell, family: str, device_kind: str) -> Step:
    """What decides about the variants of a cell."""
    return Step(
        framework=cell.framework,
        mode=cell.mode,
        family=family,
        device_kind=device_kind,
        peer=cell.peer,
    )


def of_cell(cell: Cell, family: str, device_kind: str) -> str | None:
    """The cell's variant in canonical form; None on the protocol track.

    Raises:
        StudyError: the tuned track without one, or the protocol track with another
            than its own.
    """
    if cell.variant is None:
        if cell.track == "tuned":
            raise StudyError("variant: is missing; track tuned needs one")
        return None
    made = step_of(cell, family, device_kind).canonical(cell.variant)
    if cell.track == "tuned":
        return made
    own = DEFAULT[cell.framework]
    if made != own:
        raise StudyError(
            f"variant {made}: track protocol builds {cell.framework} as {own}; "
            "say track: tuned"
        )
    return None


def is_channels_last(variant: str) -> bool:
    """Whether convolutions compute in channels last, which oneDNN does faster."""
    return not {CHANNELS_LAST, ONEDNN}.isdisjoint(split(variant)[1])


def process_environment(variant: str | None) -> dict[str, str]:
    """Variables that the process of this variant must be started with."""
    with_malloc = variant is not None and MALLOC in split(variant)[1]
    return dict(MALLOC_ENVIRONMENT) if with_malloc else {}
