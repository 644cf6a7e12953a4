"""How two masks differ: Boundary IoU, and which parts one has and the other lacks. Looks at the masks' boxes only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy  # loads its parts when they are used, which most audits do not
from numpy.typing import NDArray
from pycocotools import mask as coco_mask

from audit.core.masks import runs_of
from audit.core.outline_fit import Fit, coarse, fit_of, middle
from audit.core.table import BoolArray, FloatArray, ObjectArray

BOUNDARY_SHARE = 0.02
"""Width of the boundary band as a share of the image's diagonal (Cheng et al. 2021, "Boundary IoU", section 4)."""
RIM_SHARE = 0.02
"""Differences thinner than twice this share of the object's side are its rim, no part of it."""
PART_CELLS = 160
"""Larger pairs of masks are looked through for parts at about so many cells across, which bounds the cost."""
BAND_CELLS = 16
"""Wider boundary bands (of frames above 800 px on the diagonal) are compared at half as many cells or more."""
SURROUNDING = 0.25
"""A part whose middle lies closer to the object's middle than this share of its half side has no direction."""
SIDES = ("", "right", "lower right", "bottom", "lower left", "left", "upper left", "top", "upper right", "middle")
"""Where a part lies, by code; 0 for all around."""
ALL_AROUND = 0.75
"""A part without a direction that is at least this share of the whole wide and high runs around it."""


@dataclass(frozen=True)
class Difference:
    """What mask ``b`` has and mask ``a`` lacks, and the other way round.

    boundary_iou: in [0, 1], 1 for two empty masks. missing, extra: the largest connected part, thicker than a
    rim, of b without a as a share of b, and of a without b as a share of a. missing_at, extra_at: where it
    lies in the two together, a code of ``SIDES``. drift: (2,) way in px from the middle of b to that of a.
    fit: how a would have to grow or move.
    """

    boundary_iou: float
    missing: float
    extra: float
    missing_at: int
    extra_at: int
    drift: tuple[float, float]
    fit: Fit


def areas(masks: ObjectArray, hw: NDArray[Any]) -> FloatArray:
    """(n,) pixels of each mask (RLE counts); 0 for None. hw: (n, 2) height and width."""
    sizes = hw.tolist()
    found = [
        0 if counts is None else coco_mask.area({"size": sizes[i], "counts": counts}) for i, counts in enumerate(masks)
    ]
    return np.array(found, np.float64)


def boundary_width(hw: tuple[int, int]) -> int:
    """Width of the boundary band in whole pixels, at least 1, as Cheng et al. have it."""
    return max(1, round(BOUNDARY_SHARE * float(np.hypot(*hw))))


def boundary_iou(a: bytes, b: bytes, hw: tuple[int, int]) -> float:
    """IoU of the inner boundary bands of two masks (RLE counts of the frame's size); 1 for two empty masks."""
    return _bands_iou(*crop_pair(a, b, hw)[:2], boundary_width(hw))


def difference(a: bytes, b: bytes, hw: tuple[int, int]) -> Difference:
    """How two masks (RLE counts of the frame's size) differ. a: as labelled. b: as predicted."""
    left, right, _ = crop_pair(a, b, hw)
    n_left, n_right = int(left.sum()), int(right.sum())
    step = max(1, -(-max(left.shape) // PART_CELLS))
    rim = round(RIM_SHARE * float(np.sqrt(max(n_left, n_right))) / step)
    missing, missing_at = _part(coarse(right & ~left, step), rim)
    extra, extra_at = _part(coarse(left & ~right, step), rim)
    drift = middle(left) - middle(right) if n_left and n_right else np.zeros(2)
    return Difference(
        _bands_iou(left, right, boundary_width(hw)),
        min(missing * step**2 / max(n_right, 1), 1.0),
        min(extra * step**2 / max(n_left, 1), 1.0),
        missing_at,
        extra_at,
        (float(drift[0]), float(drift[1])),
        fit_of(left, right),
    )


def crop_pair(a: bytes, b: bytes, hw: tuple[int, int]) -> tuple[BoolArray, BoolArray, tuple[int, int]]:
    """Both masks within the box around the two, and that box's left and top. Both (0, 0) if they are empty."""
    boxes = coco_mask.toBbox([{"size": list(hw), "counts": counts} for counts in (a, b)])
    boxes = boxes[boxes[:, 2] > 0]
    if not len(boxes):
        return np.zeros((0, 0), bool), np.zeros((0, 0), bool), (0, 0)
    x, y = boxes[:, :2].min(axis=0).astype(int).tolist()
    right, bottom = (boxes[:, :2] + boxes[:, 2:]).max(axis=0).astype(int).tolist()
    return crop(a, hw, (x, y, right, bottom)), crop(b, hw, (x, y, right, bottom)), (x, y)


def crop(counts: bytes, hw: tuple[int, int], xyxy: tuple[int, int, int, int]) -> BoolArray:
    """The part of a mask within whole pixels ``xyxy`` of the frame, without unrolling the rest of it.

    Pixels that broken counts do not tell of are background.
    """
    left, top, right, bottom = xyxy
    runs = runs_of(counts)
    first, last = left * hw[0], right * hw[0]
    ends = np.append(np.clip(np.cumsum(runs), first, last), last)  # column by column, as COCO counts
    lengths = np.maximum(ends - np.concatenate([[first], ends[:-1]]), 0)
    inside = np.append(np.arange(len(runs)) % 2 == 1, False)
    columns = np.repeat(inside, lengths)[: last - first].reshape(right - left, hw[0])
    return np.ascontiguousarray(columns[:, top:bottom].T)


def _bands_iou(left: BoolArray, right: BoolArray, width: int) -> float:
    step = max(1, width // BAND_CELLS)
    one, other = (_band(coarse(mask, step), round(width / step)) for mask in (left, right))
    union = int((one | other).sum())
    return int((one & other).sum()) / union if union else 1.0


def _band(mask: BoolArray, width: int) -> BoolArray:
    """Pixels of a mask at most ``width`` from a pixel outside it (and the image's edge), by the larger of dx and dy."""
    if not mask.size:
        return mask
    inner = mask.view(np.uint8)
    for axis in (0, 1):
        inner = scipy.ndimage.minimum_filter1d(inner, 2 * width + 1, axis=axis, mode="constant", cval=0)
    return np.asarray(mask & (inner == 0))


def _part(rest: BoolArray, rim: int) -> tuple[int, int]:
    """Pixels of the largest connected part that is thicker than a rim, and the side at which it lies."""
    if not rest.any():
        return 0, 0
    parts, n = scipy.ndimage.label(_opened(rest, rim) if rim else rest)
    if not n:
        return 0, 0
    sizes = np.bincount(parts.ravel())[1:]
    largest = int(sizes.argmax()) + 1
    return int(sizes[largest - 1]), _side(parts == largest)


def _opened(mask: BoolArray, radius: int) -> BoolArray:
    """A mask without what is thinner than 2 * radius + 1 px; nothing counts as set beyond the crop."""
    out = mask.view(np.uint8)
    for shrink in (scipy.ndimage.minimum_filter1d, scipy.ndimage.maximum_filter1d):
        for axis in (0, 1):
            out = shrink(out, 2 * radius + 1, axis=axis, mode="constant", cval=0)
    return np.asarray(out > 0)


def _side(part: BoolArray) -> int:
    half = np.array([part.shape[1], part.shape[0]]) / 2
    x, y = (middle(part) - half) / half
    if max(abs(x), abs(y)) < SURROUNDING:
        extent = [part.any(axis=axis).sum() / part.shape[1 - axis] for axis in (0, 1)]
        return 0 if min(extent) >= ALL_AROUND else len(SIDES) - 1
    return round(float(np.arctan2(y, x)) / (np.pi / 4)) % 8 + 1
