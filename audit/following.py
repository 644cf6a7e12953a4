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
    return key_boxes(boxes, int(f.number[after]) if goes_on else -1, TOLERANCE_PX) if boxes else ()


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
