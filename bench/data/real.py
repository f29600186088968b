"""ReaL: every label that people found right for an image of ImageNet's validation set.

Beyer et al., 2020. `real.json` is a list of 50,000 lists; list i belongs to the file
`ILSVRC2012_val_<i + 1>.JPEG`. An empty list leaves its image out of the count.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path

from bench.errors import DataError

NAME = "real.json"
_NUMBERED = re.compile(r"ILSVRC2012_val_(\d{8})\.\w+")

Accepted = tuple[frozenset[int], ...]


def accepted(path: Path, images: Sequence[str], classes: Sequence[str]) -> Accepted:
    """The labels that are right for each image, by the number in its file name.

    Raises:
        DataError: the file is not of that form, an image has no list, or the classes
            are not in the order that the labels count in (sorted WordNet ids).
    """
    if list(classes) != sorted(classes):
        raise DataError(
            f"{path}: counts classes in the order of sorted folder names, the class "
            "index has another; remove one of the two files"
        )
    lists = _read(path, len(classes))
    return tuple(frozenset(lists[_number(path, name, len(lists))]) for name in images)


def _read(path: Path, classes: int) -> list[list[int]]:
    try:
        lists = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: is not JSON; download it again") from error
    if not isinstance(lists, list) or not all(isinstance(one, list) for one in lists):
        raise DataError(f"{path}: must be a list with one list of labels per image")
    for position, labels in enumerate(lists):
        for label in labels:
            if type(label) is not int or not 0 <= label < classes:
                raise DataError(
                    f"{path}: list {position}: {label!r} is not one of the labels 0 to "
                    f"{classes - 1}"
                )
    return lists


def _number(path: Path, image: str, lists: int) -> int:
    match = _NUMBERED.fullmatch(image)
    number = int(match[1]) if match else 0
    if not 1 <= number <= lists:
        raise DataError(
            f"{path}: has {lists:,} lists and none for {image}; its images are named "
            f"ILSVRC2012_val_00000001.JPEG to ILSVRC2012_val_{lists:08d}.JPEG"
        )
    return number - 1
