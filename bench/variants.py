"""How a step may be built: the words of `variant`, and what each is allowed with.

`base+extra+extra`. The protocol track uses one base for every family, `jit` and
`eager`; the tuned track may use any. Words only; `variants_torch` knows how.
"""

from __future__ import annotations

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

# extra: frameworks, families, device kinds
CONVOLUTIONAL = ("resnet", "resnet_v1")
_EVERY = ("mixer", "vit", "resnet", "resnet_v1")
_EXTRAS: dict[str, tuple[tuple[str, ...], ...]] = {
    CHANNELS_LAST: (("torch",), CONVOLUTIONAL, ("cpu", "cuda")),
    CUDNN_ATTENTION: (("torch",), ("vit",), ("cuda",)),
    MALLOC: (("torch", "jax"), _EVERY, ("cpu",)),
}

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


def allowed(
    framework: str, mode: str, family: str, device_kind: str
) -> tuple[str, ...]:
    """Every variant that can be built, the default first."""
    extras = _extras(framework, family, device_kind)
    chosen = [c for n in range(len(extras) + 1) for c in combinations(extras, n)]
    return tuple(
        "+".join((base, *some))
        for base, modes in BASES[framework].items()
        if mode in modes
        for some in chosen
    )


def tried(framework: str, mode: str, family: str, device_kind: str) -> tuple[str, ...]:
    """What the tuned track tries: each base bare and with every extra at once.

    On the default base each extra also stands alone, to see which of them it was.
    """
    every = _extras(framework, family, device_kind)

    def worth_it(variant: str) -> bool:
        base, extras = split(variant)
        return base == DEFAULT[framework] or extras in ((), every)

    return tuple(filter(worth_it, allowed(framework, mode, family, device_kind)))


def _extras(framework: str, family: str, device_kind: str) -> tuple[str, ...]:
    return tuple(
        extra
        for extra, (frameworks, families, kinds) in sorted(_EXTRAS.items())
        if framework in frameworks and family in families and device_kind in kinds
    )


def canonical(
    variant: str, *, framework: str, mode: str, family: str, device_kind: str
) -> str:
    """`variant` with its base first and its extras in order.

    Raises:
        StudyError: it does not fit; the line names the ones that do.
    """
    words = variant.split("+")
    bases = [word for word in words if word in BASES[framework]]
    extras = sorted({word for word in words if word not in bases})
    made = "+".join([*(bases or [DEFAULT[framework]]), *extras])
    known = allowed(framework, mode, family, device_kind)
    if made not in known:
        where = f"{framework} {mode} of {family} on {device_kind}"
        raise StudyError(f"{unknown('variant', variant, known)} (for {where})")
    return made


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
    made = canonical(
        cell.variant,
        framework=cell.framework,
        mode=cell.mode,
        family=family,
        device_kind=device_kind,
    )
    if cell.track == "tuned":
        return made
    own = DEFAULT[cell.framework]
    if made != own:
        raise StudyError(
            f"variant {made}: track protocol builds {cell.framework} as {own}; "
            "say track: tuned"
        )
    return None


def process_environment(variant: str | None) -> dict[str, str]:
    """Variables that the process of this variant must be started with."""
    with_malloc = variant is not None and MALLOC in split(variant)[1]
    return dict(MALLOC_ENVIRONMENT) if with_malloc else {}
