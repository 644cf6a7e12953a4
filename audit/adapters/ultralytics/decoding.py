"""From a YOLO network's raw numbers to detections: threshold, suppression of overlaps, masks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco_mask

from audit.adapters.ultralytics.environment import load_opencv
from audit.adapters.ultralytics.geometry import Placement

MAX_CANDIDATES = 30_000
"""Boxes that enter suppression, best first: a bound on its time for a very low confidence."""


@dataclass(frozen=True)
class Thresholds:
    """confidence: rows at or below it are dropped. iou: of two boxes of one class that overlap by more than

    this, the weaker is dropped. max_detections: per frame, best first.
    """

    confidence: float = 0.01
    iou: float = 0.7
    max_detections: int = 300


@dataclass(frozen=True)
class Detections:
    """Highest score first. xyxy: (n, 4) pixels of the network's input. score, label: (n,).

    coefficients: (n, k) weights of the mask prototypes, k = 0 for models without masks.
    """

    xyxy: NDArray[np.float32]
    score: NDArray[np.float32]
    label: NDArray[np.int64]
    coefficients: NDArray[np.float32]

    def __getitem__(self, index: NDArray[np.int64]) -> Detections:
        return Detections(self.xyxy[index], self.score[index], self.label[index], self.coefficients[index])


def detections(raw: NDArray[np.float32], classes: int, end_to_end: bool, thresholds: Thresholds) -> Detections:
    """Detections of one frame.

    raw: (4 + classes + k, anchors) centre-size boxes, class scores and mask coefficients; or, for
    models that suppress overlaps themselves (``end_to_end``), rows (n, 6 + k) of xyxy, score, class.
    """
    if end_to_end:
        return _from_rows(raw, thresholds)
    best = raw[4 : 4 + classes].max(axis=0)
    # an untrained network may give boxes of negative size; they are nothing to anybody
    found = np.flatnonzero((best > thresholds.confidence) & (raw[2:4] > 0).all(axis=0))
    order = found[np.argsort(-best[found], kind="stable")][:MAX_CANDIDATES]
    columns = raw[:, order]
    half = columns[2:4] / np.float32(2)
    all_found = Detections(
        xyxy=np.vstack([columns[:2] - half, columns[:2] + half]).T,
        score=best[order],
        label=columns[4 : 4 + classes].argmax(axis=0),
        coefficients=columns[4 + classes :].T,
    )
    return _without_overlaps(all_found, thresholds)


def _from_rows(rows: NDArray[np.float32], thresholds: Thresholds) -> Detections:
    kept = rows[rows[:, 4] > thresholds.confidence]
    kept = kept[np.argsort(-kept[:, 4], kind="stable")][: thresholds.max_detections]
    return Detections(kept[:, :4], kept[:, 4], kept[:, 5].astype(np.int64), kept[:, 6:])


def _without_overlaps(found: Detections, thresholds: Thresholds) -> Detections:
    if not len(found.score):
        return found
    xywh = np.hstack([found.xyxy[:, :2], found.xyxy[:, 2:] - found.xyxy[:, :2]]).astype(np.float64)
    # the score threshold was applied above; -1 switches OpenCV's own off
    kept = load_opencv().dnn.NMSBoxesBatched(xywh, found.score, found.label.astype(np.int32), -1.0, thresholds.iou)
    return found[np.sort(np.asarray(kept, np.int64).reshape(-1))[: thresholds.max_detections]]


def frame_masks(
    found: Detections,
    xyxy: NDArray[np.float32],
    prototypes: NDArray[np.float32],
    placement: Placement,
    *,
    mirrored: bool = False,
) -> list[bytes | None]:
    """Per detection the counts of its compressed RLE of the frame's size; None if no pixel is inside.

    xyxy: (n, 4) the detections' boxes in the frame; masks are cut off at them. prototypes: (k, h, w).
    mirrored: the network saw the frame mirrored, left for right; boxes are as it saw them, masks are turned back.
    """
    k, h, w = prototypes.shape
    logits = (found.coefficients @ prototypes.reshape(k, -1)).reshape(-1, h, w)
    return [_frame_mask(one, box, placement, mirrored) for one, box in zip(logits, xyxy, strict=True)]


def _frame_mask(
    logits: NDArray[np.float32], box: NDArray[np.float32], placement: Placement, mirrored: bool
) -> bytes | None:
    left, top, right, bottom = (int(v) for v in np.ceil(box))
    if right <= left or bottom <= top:
        return None
    cv2 = load_opencv()
    to_logits = _pixel_map(placement, logits.shape, left, top)
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    size = (right - left, bottom - top)
    inside = cv2.warpAffine(logits, to_logits, size, flags=flags, borderMode=cv2.BORDER_REPLICATE) > 0
    if not inside.any():
        return None
    if mirrored:
        inside, left = inside[:, ::-1], placement.frame_hw[1] - right
    return rle_of_part(inside, (top, left), placement.frame_hw)


def _pixel_map(placement: Placement, logits_hw: tuple[int, ...], left: int, top: int) -> NDArray[np.float64]:
    """(2, 3) from pixel centres of the cut-out to those of the logits, through frame and network input."""
    gain_y, gain_x = placement.gain_yx
    scale_y, scale_x = logits_hw[0] / placement.input_hw[0], logits_hw[1] / placement.input_hw[1]
    x = ((left + 0.5) * gain_x + placement.left) * scale_x - 0.5
    y = ((top + 0.5) * gain_y + placement.top) * scale_y - 0.5
    return np.array([[gain_x * scale_x, 0, x], [0, gain_y * scale_y, y]])


def rle_of_part(part: NDArray[np.bool_], top_left: tuple[int, int], frame_hw: tuple[int, int]) -> bytes:
    """Counts of a frame's mask that is empty outside ``part``, without drawing the whole frame."""
    h, w = frame_hw
    (top, left), (rows, columns) = top_left, part.shape
    padded = np.zeros((columns, rows + 2), np.int8)  # a zero above and below: runs end with their column
    padded[:, 1:-1] = part.T
    column, row = np.nonzero(np.diff(padded, axis=1))  # alternately the start and the end of a run
    edges = (column + left) * h + row + top
    # a run that reaches the bottom goes on at the top of the next column: one run for COCO
    joined = np.flatnonzero(edges[1:-1:2] == edges[2::2])
    edges = np.delete(edges, np.concatenate([2 * joined + 1, 2 * joined + 2]))
    counts = np.diff(np.concatenate([[0], edges, [h * w]]))
    if counts[-1] == 0:
        counts = counts[:-1]
    return bytes(coco_mask.frPyObjects({"size": [h, w], "counts": counts.tolist()}, h, w)["counts"])
