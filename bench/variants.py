"""How a step may be built: the words of `variant`, and what each is allowed with.

`base+extra+extra`. The protocol track uses one base for every family, `jit` and
`eager`; the tuned track may use any. Words only; `variants_torch` knows how.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

from bench.errors import StudyError, unknown
from bench.specs import SPEED_MODES

DEFAULT = {"jax": "jit", "torch": "eager"}
"""The protocol track's: what users of the framework do who tune nothing."""

BASES = {
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
_EVERY = ("mixer", "vit", "resnet", "resnet_v1")
_EXTRAS = {
    CHANNELS_LAST: (("torch",), ("resnet", "resnet_v1"), ("cpu", "cuda")),
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


def candidates(
    framework: str, mode: str, family: str, device_kind: str
) -> tuple[str, ...]:
    """Every variant that can be tried, the default first."""
    return tuple(_candidates(framework, mode, family, device_kind))


def _candidates(
    framework: str, mode: str, family: str, device_kind: str
) -> Iterator[str]:
    extras = [
        extra
        for extra, (frameworks, families, kinds) in sorted(_EXTRAS.items())
        if framework in frameworks and family in families and device_kind in kinds
    ]
    for base, modes in BASES[framework].items():
        if mode in modes:
            for count in range(len(extras) + 1):
                for chosen in combinations(extras, count):
                    yield "+".join((base, *chosen))


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
    allowed = candidates(framework, mode, family, device_kind)
    if made not in allowed:
        where = f"{framework} {mode} of {family} on {device_kind}"
        raise StudyError(f"{unknown('variant', variant, allowed)} (for {where})")
    return made


def process_environment(variant: str | None) -> dict[str, str]:
    """Variables that the process of this variant must be started with."""
    with_malloc = variant is not None and MALLOC in split(variant)[1]
    return dict(MALLOC_ENVIRONMENT) if with_malloc else {}
