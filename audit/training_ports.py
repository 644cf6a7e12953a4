"""What training on a task's own labels needs from a trainer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from audit.ports import Predictor


@dataclass(frozen=True)
class Example:
    """One picture to learn from. label: (n,) codes. xywh: (n, 4) centre and size, in shares of the picture's."""

    file: Path
    size_hw: tuple[int, int]
    label: NDArray[np.int64]
    xywh: NDArray[np.float32]


@dataclass(frozen=True)
class Schedule:
    """What decides how a training comes out. image_size: longer side in pixels. batch: pictures per step."""

    epochs: int
    image_size: int
    batch: int
    seed: int = 0

    def batches(self, pictures: int) -> int:
        """In one epoch."""
        return -(-pictures // self.batch)


class Trainer(Protocol):
    """Makes a detector out of examples."""

    @property
    def start(self) -> Path:
        """The weights that a training begins with."""

    @property
    def device(self) -> str:
        """Where it runs: "cpu", "cuda" ..."""

    def seconds_per_batch(
        self, examples: Sequence[Example], names: Sequence[str], schedule: Schedule, folder: Path
    ) -> float:
        """Measured by training some batches, of which nothing is kept. folder: where that may write."""

    def train(
        self,
        examples: Sequence[Example],
        names: Sequence[str],
        schedule: Schedule,
        folder: Path,
        *,
        on_batch: Callable[[], None],
    ) -> Path:
        """Weights trained on the examples; goes on from the last whole epoch if ``folder`` holds one.

        names: of the labels, by code. on_batch is called after each batch. The weights lie in ``folder``; while they
        lie there, another call gives them at once. Raises UsageError or ServiceError.
        """

    def epochs_done(self, folder: Path) -> int:
        """Whole epochs that a training in this folder has behind it and goes on from."""

    def open(self, weights: Path, image_size: int) -> Predictor:
        """The trained detector, on the same device."""
