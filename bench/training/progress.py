"""How far a training is: what its loop keeps beside weights and optimiser.

With `best_of` the network that is reported is the one that was best on the upstream
validation split, as in MLP-Mixer's Figure 2 (right): its weights are kept when it is
seen. All steps are taken all the same, and all of them cost core-days.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from bench.backend import Learner
from bench.checkpoints import Saved
from bench.errors import UnfitCheckpoint
from bench.models.spec import scope, under
from bench.training.task import Task

Rows = list[dict[str, Any]]
_KEPT = ("step", "curve", "baselines", "selected_step", "skipped", "bad")


@dataclass
class Progress:
    """How far a training is."""

    step: int = 0
    curve: Rows = field(default_factory=list)
    baselines: Rows | None = None
    """Probes that precede the first step; None before they are taken."""
    selects: bool = False
    """Whether the best network on validation is reported, rather than the last."""
    selected_step: int | None = None
    best: dict[str, np.ndarray] = field(default_factory=dict)
    """Its weights, under their canonical names."""
    skipped: dict[str, str] = field(default_factory=dict)
    """Images that earlier processes of this training left out as bad, and why."""
    bad: list[int] = field(default_factory=list)
    """Positions of those of them that are training images."""

    @classmethod
    def of(cls, saved: Saved) -> Progress:
        """What a checkpoint tells of it.

        Raises:
            UnfitCheckpoint: it names a best network and has no weights of it.
        """
        known = {name: saved.facts[name] for name in _KEPT if name in saved.facts}
        made = cls(**known, best=scope("best", saved.arrays))
        if made.selected_step is not None and not made.best:
            raise UnfitCheckpoint("has no weights of its best network")
        return made

    def facts(self) -> dict[str, Any]:
        """What of it JSON can say."""
        return {name: getattr(self, name) for name in _KEPT}

    def arrays(self) -> dict[str, np.ndarray]:
        """The rest."""
        return under("best", self.best)

    def note(self, point: dict[str, Any], learner: Learner) -> None:
        """A point of the learning curve; of equally good ones the first is the best."""
        before = max((known["top1"] for known in self.curve), default=-1.0)
        self.curve.append(point)
        if self.selects and point["top1"] > before:
            self.selected_step = point["step"]
            # copies: the next step may write where these lie
            self.best = {n: np.array(a) for n, a in learner.state_dict().items()}

    def put_best(self, learner: Learner) -> None:
        """Make the learner the one that is reported."""
        if self.selects:
            learner.restore({**learner.snapshot(), **under("weights", self.best)})

    def count_skips(self, task: Task) -> None:
        """Add the images that this process left out so far."""
        for dataset in (task.dataset, *(target.dataset for target in task.targets)):
            self.skipped = {**self.skipped, **dataset.skipped()}
        self.bad = sorted({*self.bad, *task.loader.bad})

    def columns(self, task: Task) -> dict[str, Any]:
        """The columns of the record that it knows."""
        self.count_skips(task)
        unique = len(task.loader.labels) - len(self.bad)
        where, problem = next(iter(sorted(self.skipped.items())), ("", ""))
        return {
            "selected_step": self.selected_step,
            "unique_images": unique,
            "epochs": task.steps * task.loader.batch_size / unique,
            "images_skipped": len(self.skipped),
            "images_skipped_example": f"{where}: {problem}" if self.skipped else None,
        }
