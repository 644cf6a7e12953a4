"""Rectangles into masks: which are asked about, and which of a SAM's answers are good enough."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from pycocotools import mask as coco_mask

from audit.core.annotations import Annotations, ShapeType, Snapshot
from audit.core.boxes import iou_matrix
from audit.core.masks import box_of
from audit.core.proposals import Box, Ring, boxed, ordered
from audit.core.table import IntArray

KINDS = {"mask": ShapeType.MASK, "polygon": ShapeType.POLYGON, "box": ShapeType.RECTANGLE}
"""What a rectangle may become."""
MAX_LOST = 0.2
"""Holes and other parts, as a share of the mask, up to which a polygon may stand for it."""


@dataclass(frozen=True)
class Cut:
    """What SAM gives for one box. counts: of a compressed COCO RLE of the frame's size, None for nothing.

    score: the model's own estimate of how well the mask fits, in [0, 1].
    """

    counts: bytes | None
    score: float


@dataclass(frozen=True)
class Outline:
    """One polygon around a mask's largest part, of a bounded number of points.

    note: what it cannot show. lost: the holes it fills and the parts it leaves out, as a share of the mask.
    """

    ring: Ring
    note: str
    lost: float = 0.0


@dataclass(frozen=True)
class Limits:
    """A mask below one of these is poor. score: SAM's own. overlap: IoU of the mask's box with the rectangle.

    inside: share of the mask's pixels that lie in the rectangle.
    """

    score: float = 0.5
    overlap: float = 0.6
    inside: float = 0.8


@dataclass(frozen=True)
class Wanted:
    """What the user asks for. kind: of ``KINDS``. labels: only rectangles of these; all if there are none."""

    kind: str = "mask"
    labels: tuple[str, ...] = ()
    limits: Limits = Limits()


@dataclass(frozen=True)
class Masked:
    """A rectangle (row of the snapshot's annotations) with its mask. poor: why it is left alone, "" if it is not."""

    row: int
    cut: Cut
    box: Box
    overlap: float
    poor: str


def rectangles(snapshot: Snapshot, labels: Sequence[str] = ()) -> IntArray:
    """Rows of single rectangles with some area inside the frame; of these labels only, if any are given."""
    a = snapshot.annotations
    chosen = (a.shape == ShapeType.RECTANGLE) & ~a.track
    if labels:
        chosen &= np.isin(a.label, [snapshot.labels.index(name) for name in labels])
    rows = np.flatnonzero(chosen)
    return np.array([r for r in rows if prompt(snapshot, int(r)) is not None], np.int64)


def prompt(snapshot: Snapshot, row: int) -> Box | None:
    """The rectangle cut to its frame, with its corners the right way round; None if nothing is left of it."""
    a, f = snapshot.annotations, snapshot.frames
    frame = a.frame[row]
    found = boxed(ordered(a.xyxy[row]), (int(f.height[frame]), int(f.width[frame])), least=1.0)
    return found.xyxy if found is not None else None


def judged(row: int, rectangle: Box, cut: Cut, hw: tuple[int, int], limits: Limits) -> Masked:
    """Whether a mask is good enough to stand for its rectangle."""
    if cut.counts is None:
        return Masked(row, cut, rectangle, 0.0, "the model finds nothing there")
    x1, y1, x2, y2 = (float(v) for v in box_of(cut.counts, hw))
    overlap = float(iou_matrix(np.array([rectangle]), np.array([[x1, y1, x2, y2]]))[0, 0])
    inside = _inside(cut.counts, rectangle, hw)
    poor = ""
    if cut.score < limits.score:
        poor = f"the model is not sure (score {cut.score:.2f}, limit {limits.score:g})"
    elif inside < limits.inside:
        poor = f"only {100 * inside:.0f}% of the mask lie in the rectangle (limit {100 * limits.inside:g}%)"
    elif overlap < limits.overlap:
        poor = (
            f"the mask fills too little of the rectangle (IoU of their boxes {overlap:.2f}, limit {limits.overlap:g})"
        )
    return Masked(row, cut, (x1, y1, x2, y2), overlap, poor)


def as_polygon(masked: Masked, outline: Outline) -> Masked:
    """Also poor if a polygon would be something else than the mask."""
    if masked.poor or outline.lost <= MAX_LOST:
        return masked
    return replace(masked, poor=f"a polygon cannot show it ({outline.note})")


def as_box(masked: Masked, rectangle: Box) -> Masked:
    """The mask's box where it is inside the rectangle: a tighter box never grows, though the mask may stick out."""
    x1, y1 = (max(a, b) for a, b in zip(masked.box[:2], rectangle[:2], strict=True))
    x2, y2 = (min(a, b) for a, b in zip(masked.box[2:], rectangle[2:], strict=True))
    if masked.poor or x2 <= x1 or y2 <= y1:
        return masked
    overlap = float(iou_matrix(np.array([rectangle]), np.array([[x1, y1, x2, y2]]))[0, 0])
    return replace(masked, box=(x1, y1, x2, y2), overlap=overlap)


def _inside(counts: bytes, rectangle: Box, hw: tuple[int, int]) -> float:
    """Share of the mask's pixels within the rectangle, whose edges count as inside."""
    x1, y1 = np.floor(rectangle[:2])
    x2, y2 = np.ceil(rectangle[2:])
    mask = {"counts": counts, "size": list(hw)}
    box: Any = coco_mask.frPyObjects(np.array([[x1, y1, x2 - x1, y2 - y1]]), *hw)[0]
    common = coco_mask.area(coco_mask.merge([mask, box], intersect=True))
    return float(common) / max(float(coco_mask.area(mask)), 1.0)


def by_frame(annotations: Annotations, rows: IntArray) -> dict[int, list[int]]:
    """Rows of annotations by row of frames, both ascending."""
    found: dict[int, list[int]] = {}
    for row in rows[np.argsort(annotations.frame[rows], kind="stable")].tolist():
        found.setdefault(int(annotations.frame[row]), []).append(row)
    return found
