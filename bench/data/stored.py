"""What every data set on disk shares: skipped images, held-out images, fingerprints."""

from __future__ import annotations

import hashlib
import stat
import threading
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np

from bench.data import Classes, Decoded, Picks, Source, Split, augment, subset
from bench.data.decode import BadImage, decode
from bench.errors import DataError, StudyError, unknown

ON_BAD_IMAGE = ("error", "skip")

HELD_OUT = ((10_000, 0.10), (100_000, 0.02), (float("inf"), 0.01))
"""Below so many training images, this share is kept for selection: 10 % of Pets and
Flowers, 2 % of CIFAR, 1 % of ImageNet, as in Table 4 of the ViT paper."""
HELD_OUT_SEED = 0

HASH_WHOLE = 2**30
"""Up to so many bytes the fingerprint covers the contents, above it names and sizes."""


class Skips:
    """Images that cannot be used, under the study's rule. Threads may share it."""

    def __init__(self, rule: str) -> None:
        if rule not in ON_BAD_IMAGE:
            raise StudyError(unknown("on_bad_image", rule, ON_BAD_IMAGE))
        self._rule = rule
        self._found: dict[str, str] = {}
        self._lock = threading.Lock()

    def refuse(self, where: str, problem: str) -> None:
        """Note a bad image, or stop at it.

        Raises:
            DataError: the rule is `error`.
        """
        if self._rule == "error":
            raise DataError(
                f"{where}: {problem}; mend or remove it, or set on_bad_image: skip "
                "to leave it out and have it counted"
            )
        with self._lock:
            self._found[where] = problem

    def found(self) -> dict[str, str]:
        """Where -> what is wrong there, sorted."""
        with self._lock:
            return dict(sorted(self._found.items()))

    def decoded(self, where: str, read: Callable[[], bytes]) -> Decoded | None:
        """The image whose bytes `read` gives, or None once it is noted as bad."""
        try:
            return decode(read())
        except BadImage as error:
            self.refuse(where, str(error))
        except OSError as error:
            self.refuse(where, f"cannot be read: {error.strerror or error}")
        return None


def split(
    labels: Classes,
    picks: Picks,
    read: Callable[[int], Decoded | None],
    fit: Callable[[Decoded], Decoded],
    accepted: Sequence[frozenset[int]] | None = None,
) -> Split:
    """The images at `picks` of a stored list, read one by one."""
    chosen = np.asarray(picks, dtype=np.int64)

    def make(positions: Picks) -> list[Decoded | None]:
        return [read(int(chosen[position])) for position in positions]

    return Split(labels=labels[chosen], make=make, fit=fit, accepted=accepted)


def held_out(labels: Classes) -> tuple[Picks, Picks]:
    """Training positions, and those kept for selection: stratified, always the same."""
    count = len(labels)
    share = next(share for limit, share in HELD_OUT if count < limit)
    kept = max(1, round(share * count))
    if count < 2:
        raise DataError(
            f"a training split of {count} images leaves none for selection; give 2 up"
        )
    order = subset.order(labels, "stratified", HELD_OUT_SEED)
    return order[kept:], order[:kept]


def existing(folder: Path, *names: str) -> Path:
    """The first of these below the folder that exists.

    Raises:
        DataError: none does; the line names what was looked for.
    """
    for name in names:
        if (folder / name).exists():
            return folder / name
    raise DataError(
        f"data_dir {folder}: holds no {' or '.join(names)}; give the folder that does"
    )


def fingerprint(root: Path, files: Iterable[Path]) -> str:
    """What tells two data sets apart, wherever they lie.

    Starts with `content-` if every byte counts, with `listing-` if the set is so large
    that only names and sizes do.
    """
    listed = sorted((str(f.relative_to(root)), _size(f), f) for f in files)
    whole = sum(size or 0 for _, size, _ in listed) <= HASH_WHOLE
    digest = hashlib.sha256()
    for name, size, path in listed:
        digest.update(f"{name}\0{size}\0".encode("utf-8", "surrogateescape"))
        if whole and size is not None:
            digest.update(path.read_bytes())
    return f"{'content' if whole else 'listing'}-{digest.hexdigest()[:16]}"


def _size(path: Path) -> int | None:
    """Bytes of a file; None for a link to nothing, a pipe and the like."""
    try:
        held = path.stat()
    except FileNotFoundError:
        return None
    return held.st_size if stat.S_ISREG(held.st_mode) else None


def fitting(
    source: Source, usual: str, size: int
) -> tuple[Callable[[Decoded], Decoded], str]:
    """How evaluation makes stored images square, as a function and in words."""
    name = source.evaluation or usual
    return augment.evaluation(name, size), augment.described(name, size)


def bounded(path: Path, root: Path) -> bool:
    """Whether the path, its links followed, stays below the (resolved) root."""
    return path.resolve().is_relative_to(root)


def named(source: Source) -> str:
    """A name for a set that brings none: two different sets never share it."""
    name = resolved(source.folder).name
    known = source.fingerprint
    return name if known is None else f"{name}@{known.rpartition('-')[2][:8]}"


def resolved(folder: Path) -> Path:
    """The folder itself, its own links followed.

    Raises:
        DataError: there is no such folder.
    """
    if not folder.is_dir():
        raise DataError(f"data_dir {folder}: no such folder")
    return folder.resolve()
