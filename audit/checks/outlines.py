"""How masks differ from those predicted: what is missing, what is too much, merged objects and split ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from functools import lru_cache

import numpy as np
from pycocotools import mask as coco_mask

from audit.checks.overlaps import Masks, at, best
from audit.checks.tables import Outlines
from audit.core.annotations import NO_ID, Predictions
from audit.core.boxes import Pairs
from audit.core.outline_fit import Fit
from audit.core.outlines import Difference, areas, difference
from audit.core.table import BoolArray, FloatArray, IntArray

MOSTLY = 0.7
"""A mask lies in another if this share of it does."""
APART = 0.3
"""Two masks are apart if they share at most this part of the smaller one."""
LEAST_SHARE = 0.08
"""What fills less of a mask than this is a detail of it, no object of its own."""
FAINTEST_MEMBER = 0.1
"""Predictions below this score do not speak for several objects."""

FIT = tuple(field.name for field in fields(Fit))
"""Columns of ``Outlines`` that come from there."""

FITTING_IOU = 0.5
"""A label that fits its own prediction at least so well is no piece of another."""

REMEMBERED = 4096
"""Differences kept: learning compares most masks of the same sample again and again. About 4 MB."""


def masked(pairs: Pairs, matched: IntArray, masks: Masks) -> BoolArray:
    """(labels,) whose matched pair was compared by masks."""
    found = np.zeros(len(masks.labels), bool)
    found[pairs.left[matched]] = masks.by_mask[matched]
    return found


def outline_evidence(
    predictions: Predictions,
    pairs: Pairs,
    same: BoolArray,
    matched: IntArray,
    masks: Masks,
    told: IntArray,
    rows: IntArray,
) -> Outlines:
    """One row per label among ``told`` that is matched to a prediction by masks.

    pairs: with the IoU of masks. same: (pairs,) of one name. matched: indices of the pairs that are one object.
    rows: (labels,) their rows in the snapshot.
    """
    own = matched[masks.by_mask[matched] & np.isin(pairs.left[matched], told)]
    own = own[np.argsort(pairs.left[own], kind="stable")]
    if not len(own):
        return Outlines()
    left, right = pairs.left[own], pairs.right[own]
    seen = [_difference(masks, a, b) for a, b in zip(left, right, strict=True)]
    sizes = _Sizes(pairs, masks)
    label_px, predicted_px, shared = sizes.labels[left], sizes.predictions[right], sizes.shared[own]
    objects = _Objects(predictions.score, pairs, same, matched, masks, sizes)
    merged = [objects.merged(i) for i in left.tolist()]
    split = [objects.split(i, j) for i, j in zip(left.tolist(), right.tolist(), strict=True)]
    return Outlines(
        row=rows[left],
        boundary_iou=np.array([d.boundary_iou for d in seen]),
        missing=1 - shared / np.maximum(predicted_px, 1),
        extra=1 - shared / np.maximum(label_px, 1),
        missing_part=np.array([d.missing for d in seen]),
        extra_part=np.array([d.extra for d in seen]),
        missing_at=np.array([d.missing_at for d in seen]),
        extra_at=np.array([d.extra_at for d in seen]),
        growth=np.log(np.maximum(label_px, 1) / np.maximum(predicted_px, 1)),
        drift=np.array([d.drift for d in seen]) / np.sqrt(np.maximum(predicted_px, 1))[:, None],
        merged=np.array([m[0] for m in merged]),
        merged_count=np.array([m[1] for m in merged]),
        merged_score=np.array([m[2] for m in merged]),
        split=np.array([s[0] for s in split]),
        split_with=np.array([rows[s[1]] if s[1] >= 0 else NO_ID for s in split]),
        **{name: np.array([getattr(d.fit, name) for d in seen]) for name in FIT},
    )


def _difference(masks: Masks, a: int, b: int) -> Difference:
    h, w = masks.hw[a].tolist()
    return _remembered(masks.labels[a], masks.predictions[b], (h, w))


@lru_cache(REMEMBERED)
def _remembered(label: bytes, prediction: bytes, hw: tuple[int, int]) -> Difference:
    return difference(label, prediction, hw)


class _Sizes:
    """Pixels of the masks, and of what each pair shares (0 where boxes were compared)."""

    def __init__(self, pairs: Pairs, masks: Masks) -> None:
        chosen = np.flatnonzero(masks.by_mask)
        hw = np.zeros((len(masks.predictions), 2), np.int64)
        hw[pairs.right[chosen]] = masks.hw[pairs.left[chosen]]
        used = np.array([m if h else None for m, (h, _) in zip(masks.predictions, hw, strict=True)] + [None], object)
        self.labels, self.predictions = areas(masks.labels, masks.hw), areas(used[:-1], hw)
        both = self.labels[pairs.left] + self.predictions[pairs.right]
        self.shared: FloatArray = np.where(masks.by_mask, pairs.iou / (1 + pairs.iou) * both, 0.0)


class _Objects:
    """Finds labels over several predicted objects, and predicted objects under several labels, of one name."""

    def __init__(
        self, score: FloatArray, pairs: Pairs, same: BoolArray, matched: IntArray, masks: Masks, sizes: _Sizes
    ) -> None:
        self.score, self.pairs, self.masks, self.sizes = score, pairs, masks, sizes
        usable = np.flatnonzero(same & masks.by_mask)
        self.by_label = _grouped(pairs.left[usable], usable)
        self.by_prediction = _grouped(pairs.right[usable], usable)
        n = len(score)
        self.explained_by = at(pairs.left[usable], best(pairs.right[usable], pairs.iou[usable], n)[1], NO_ID)

        fitting = matched[pairs.iou[matched] >= FITTING_IOU]
        self.own_score = np.zeros(len(masks.labels))
        self.own_score[pairs.left[fitting]] = score[pairs.right[fitting]]

    def merged(self, label: int) -> tuple[float, int, float]:
        """Gain in IoU of several predictions apart from one another over the best single one, how many, least score."""
        p, sizes = self.pairs, self.sizes
        of = self.by_label.get(label, np.zeros(0, np.int64))
        inside = sizes.shared[of] / np.maximum(sizes.predictions[p.right[of]], 1)
        filled = sizes.shared[of] / max(sizes.labels[label], 1)
        score = self.score[p.right[of]]
        explained = self.explained_by[p.right[of]] == label
        good = (inside >= MOSTLY) & (filled >= LEAST_SHARE) & (score >= FAINTEST_MEMBER) & explained
        members = of[good][np.argsort(-(score * filled)[good], kind="stable")]
        chosen = self._apart([self.masks.predictions[j] for j in p.right[members]], label)
        if len(chosen) < 2:
            return 0.0, 0, 0.0
        members = members[chosen]
        weakest = float(self.score[p.right[members]].min())
        rivals = of[self.score[p.right[of]] >= weakest / 2]
        together = self._union_iou(
            [self.masks.predictions[j] for j in p.right[members]], self.masks.labels[label], label
        )
        return max(together - float(p.iou[rivals].max()), 0.0), len(members), weakest

    def split(self, label: int, prediction: int) -> tuple[float, int]:
        """Gain in IoU of this and other labels of its name, apart from one another, over this alone; the largest."""
        p, sizes = self.pairs, self.sizes
        of = self.by_prediction[prediction]
        inside = sizes.shared[of] / np.maximum(sizes.labels[p.left[of]], 1)
        filled = sizes.shared[of] / max(sizes.predictions[prediction], 1)
        taken = (self.own_score[p.left[of]] >= self.score[prediction] / 2) | (p.left[of] == label)
        others = of[(inside >= MOSTLY) & (filled >= LEAST_SHARE) & ~taken]
        if not len(others):
            return 0.0, NO_ID
        pieces = [label, *p.left[others[np.argsort(-sizes.shared[others], kind="stable")]].tolist()]
        chosen = self._apart([self.masks.labels[i] for i in pieces], label)
        if len(chosen) < 2:
            return 0.0, NO_ID
        pieces = [pieces[i] for i in chosen]
        together = self._union_iou([self.masks.labels[i] for i in pieces], self.masks.predictions[prediction], label)
        alone = float(p.iou[of[p.left[of] == label]].max())
        return max(together - alone, 0.0), pieces[1]

    def _apart(self, counts: Sequence[bytes], label: int) -> list[int]:
        """Which of these masks to keep so that all are apart, earlier ones first."""
        if len(counts) < 2:
            return list(range(len(counts)))
        rles = self._rles(counts, label)
        iou = np.asarray(coco_mask.iou(rles, rles, [0] * len(rles)))
        size = np.asarray(coco_mask.area(rles), np.float64)
        shared = iou / (1 + iou) * (size[:, None] + size) / np.maximum(np.minimum(size[:, None], size), 1)
        kept: list[int] = []
        for i in range(len(rles)):
            if all(shared[i, j] <= APART for j in kept):
                kept.append(i)
        return kept

    def _union_iou(self, parts: Sequence[bytes], whole: bytes, label: int) -> float:
        union = coco_mask.merge(self._rles(parts, label))
        return float(coco_mask.iou([union], self._rles([whole], label), [0])[0, 0])

    def _rles(self, counts: Sequence[bytes], label: int) -> list[dict[str, object]]:
        return [{"size": self.masks.hw[label].tolist(), "counts": c} for c in counts]


def _grouped(keys: IntArray, values: IntArray) -> dict[int, IntArray]:
    """The values of each key."""
    order = np.argsort(keys, kind="stable")
    found, first = np.unique(keys[order], return_index=True)
    return dict(zip(found.tolist(), np.split(values[order], first[1:]), strict=True)) if len(found) else {}
