"""Overlaps, by masks where both sides have one, and the best of each group."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from audit.core.annotations import NO_ID, Annotations, Predictions
from audit.core.boxes import Pairs
from audit.core.masks import pair_iou, rle_of_rings
from audit.core.table import BoolArray, FloatArray, IntArray, ObjectArray, present


def outlined(labels: Annotations) -> BoolArray:
    """(n,) rows that have a mask or an outline, not only a box."""
    return present(labels.mask) | present(labels.points)


@dataclass(frozen=True)
class Masks:
    """The masks (RLE counts) behind pairs of labels and predictions. labels, predictions: None where there is none.

    hw: (labels, 2) height and width of each label's frame. by_mask: (pairs,) whether their IoU is that of masks.
    """

    labels: ObjectArray
    predictions: ObjectArray
    hw: IntArray
    by_mask: BoolArray


def with_mask_iou(
    pairs: Pairs, labels: Annotations, predictions: Predictions, frame_hw: IntArray
) -> tuple[Pairs, Masks | None]:
    """Where the label has an outline and the prediction a mask, their masks' IoU replaces that of the boxes.

    Also gives those masks; None where no prediction has one.
    """
    has_mask = present(predictions.mask)
    if not has_mask.any():
        return pairs, None
    hw = frame_hw[labels.frame]
    by_mask = has_mask[pairs.right] & outlined(labels)[pairs.left] & (hw[pairs.left] > 0).all(axis=1)
    chosen = np.flatnonzero(by_mask)
    drawn = drawn_masks(labels, np.unique(pairs.left[chosen]), frame_hw)
    return refined(pairs, chosen, drawn, predictions.mask, hw), Masks(drawn, predictions.mask, hw, by_mask)


def drawn_masks(labels: Annotations, rows: IntArray, frame_hw: IntArray) -> ObjectArray:
    """(n,) masks (RLE counts) of these rows; others stay None."""
    drawn = np.empty(len(labels), object)
    for i in rows:
        h, w = frame_hw[labels.frame[i]].tolist()
        drawn[i] = labels.mask[i] if labels.mask[i] is not None else rle_of_rings(labels.points[i], (h, w))
    return drawn


def refined(pairs: Pairs, chosen: IntArray, left: ObjectArray, right: ObjectArray, left_hw: IntArray) -> Pairs:
    iou = pairs.iou.copy()
    iou[chosen] = pair_iou(left[pairs.left[chosen]], right[pairs.right[chosen]], left_hw[pairs.left[chosen]])
    return pairs.replace(iou=iou)


def highest(group: IntArray, values: FloatArray, n: int) -> FloatArray:
    """(n,) the highest value of each group; 0 where none is positive."""
    found = np.zeros(n)
    np.maximum.at(found, group, values)
    return found


def best(group: IntArray, values: FloatArray, n: int) -> tuple[FloatArray, IntArray]:
    """Per group the highest positive value and the first index where it stands; 0 and -1 for none."""
    most = highest(group, values, n)
    where = np.full(n, NO_ID)
    winners = np.flatnonzero((values == most.take(group)) & (values > 0))[::-1]
    where[group.take(winners)] = winners
    return most, where


def at(values: np.ndarray, index: IntArray, none: float) -> np.ndarray:
    """values[index], with ``none`` where the index is -1."""
    absent = np.flatnonzero(index < 0)
    if len(absent) == len(index):
        return np.full((len(index), *values.shape[1:]), none, values.dtype)
    out = values.take(index, axis=0)  # -1 takes the last row, which is overwritten
    out[absent] = none
    return out
