"""Where an object that was missed on many frames was predicted along them: the boxes of a track to draw."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from audit.checks.chains import GAP, LINK_IOU
from audit.core.annotations import Predictions, Snapshot
from audit.core.boxes import iou_matrix
from audit.core.findings import Findings
from audit.core.proposals import Proposal, boxed
from audit.core.table import FloatArray
from audit.core.track_corrections import KeyBox, key_boxes
from audit.runs import RunFolder

TOLERANCE_PX = 2.0
"""How far a drawn track may leave the predicted boxes: as far as these tremble from frame to frame."""
SAME_PLACE = 0.5
"""IoU from which a label of the same name is the object's own."""
LEAST_SCORE = 0.02
"""Fainter predictions are followed by chance rather than by the object."""


def followed(run: RunFolder, findings: Findings, row: int, snapshot: Snapshot) -> tuple[KeyBox, ...]:
    """Key frames for the missing label in this row, () if it shows on one frame only or cannot be followed."""
    if findings.frames[row] <= 1:
        return ()
    first, last = (int(end[row]) for end in findings.span())
    seen = run.predictions(first, last + 1)
    seen = seen[(seen.label == findings.suggested_label[row]) & (seen.score >= LEAST_SCORE)]
    start, box = int(findings.frame[row]), findings.suggested_xyxy[row]
    found = {start: box}
    found |= dict(_from(seen, box, range(start + 1, last + 1)))
    found |= dict(_from(seen, box, range(start - 1, first - 1, -1)))
    f = snapshot.frames
    hw = (int(f.height[start]), int(f.width[start]))
    drawn = [(int(f.number[frame]), boxed(found[frame].tolist(), hw)) for frame in sorted(found)]
    boxes: list[tuple[int, Proposal]] = [(number, place) for number, place in drawn if place is not None]
    after = last + 1
    goes_on = after < len(f) and (f.job[after], f.task[after]) == (f.job[last], f.task[last])
    ends = [int(f.number[frame]) for frame in _labelled(snapshot, int(findings.suggested_label[row]), found, start)]
    return _around(boxes, [*ends, int(f.number[after]) if goes_on else -1])


def _around(boxes: list[tuple[int, Proposal]], ends: list[int]) -> tuple[KeyBox, ...]:
    """Key frames between frames on which the object is not to be drawn. ends: their numbers, -1 for no end at last."""
    keys: list[KeyBox] = []
    for before, end in zip([-1, *ends], ends, strict=False):
        part = [(n, place) for n, place in boxes if before < n and (end < 0 or n < end)]
        keys += key_boxes(part, end, TOLERANCE_PX) if part else ()
    return tuple(keys)


def _labelled(snapshot: Snapshot, label: int, found: dict[int, FloatArray], start: int) -> list[int]:
    """Frames along the way, but the one asked about, on which somebody has labelled the object."""
    a, way = snapshot.annotations, sorted(found)
    near = np.flatnonzero((a.frame > way[0]) & (a.frame < way[-1]) & (a.frame != start) & (a.label == label))
    there = np.array(way)[np.searchsorted(way, a.frame[near], side="right") - 1]
    boxes = zip(near.tolist(), there.tolist(), strict=True)
    on_it = [row for row, seen in boxes if iou_matrix(a.xyxy[row][None], found[seen][None])[0, 0] >= SAME_PLACE]
    return np.unique(a.frame[on_it]).tolist() if on_it else []


def _from(seen: Predictions, box: FloatArray, frames: range) -> Iterator[tuple[int, FloatArray]]:
    """The object's box on each of these frames on which it is seen, one after the other; by overlap, then by score."""
    lost = 0
    for frame in frames:
        here = seen[slice(*np.searchsorted(seen.frame, [frame, frame + 1]))]
        iou = iou_matrix(box[None], here.xyxy)[0]
        if not len(iou) or iou.max() < LINK_IOU:
            lost += 1
            if lost > GAP:
                return
            continue
        best = int((iou + here.score / 10).argmax())
        box, lost = here.xyxy[best], 0
        yield frame, box
