"""Whether the boxes of a results file lie as boxes in pixels do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from audit.errors import UsageError

BEYOND = 1.1
"""A box that ends further out, in sizes of its picture, is unlikely; detectors pass the edge by a little at most."""
MANY_BEYOND = 0.1
"""So many such boxes among all are worth a line."""
WITHIN_ONE_PIXEL = 1.5
"""A file of which every box ends before this, in pixels, holds shares of the picture."""


@dataclass
class Places:
    """How many boxes lie as if they were not [x, y, width, height] in pixels.

    sized: boxes in pictures of known size. beyond, shares: of these, which end outside, or within one pixel.
    broken: whether any coordinate is no whole number.
    """

    sized: int = 0
    beyond: int = 0
    shares: int = 0
    broken: bool = False

    def add(self, xyxy: Sequence[float], size_hw: tuple[int, int]) -> None:
        """Note one box; of a picture without known size nothing can be told."""
        h, w = size_hw
        if h and w:
            self.sized += 1
            self.beyond += xyxy[2] > BEYOND * w or xyxy[3] > BEYOND * h
            self.shares += max(xyxy[2:]) <= WITHIN_ONE_PIXEL < min(h, w)
            self.broken |= any(value % 1 for value in xyxy)

    def check(self, path: Path) -> None:
        """Raises UsageError for shares of the picture."""
        if self.broken and self.shares == self.sized:
            raise UsageError(
                f"{path}: every box lies within one pixel of the corner. bbox must be [x, y, width, height] in pixels, "
                "not in shares of the image"
            )

    def notes(self, path: Path) -> tuple[str, ...]:
        """A line if boxes look like corners."""
        if self.beyond <= MANY_BEYOND * self.sized:
            return ()
        said = f"{path.name}: {self.beyond} of {self.sized} boxes end far outside of their image"
        return (
            f"{said}. bbox must be [x, y, width, height] in pixels: are these corners, or of images of another size?",
        )
