"""Plants mistakes into clean labels, and judges findings by them.

Written apart from ``audit.trust.planting``, from which the tool learns: a tool that is judged by the
very code it learns from would only show that it knows that code.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from audit.core.annotations import Annotations
from audit.core.boxes import iou_matrix
from audit.core.findings import Findings, FindingType
from audit.core.table import BoolArray, FloatArray

RATE = 0.05
"""Boxes spoilt per type, as a share of all boxes."""
SAME_PLACE_IOU = 0.5
"""A proposed box is the dropped one from this overlap on."""
TYPES = (
    FindingType.MISSING_ANNOTATION,
    FindingType.LOW_OVERLAP,
    FindingType.MISMATCHING_LABEL,
    FindingType.EXTRA_ANNOTATION,
    FindingType.DUPLICATE_ANNOTATION,
)
"""Those that are planted."""
_OF_A_BOX = tuple(kind for kind in TYPES if kind != FindingType.EXTRA_ANNOTATION)
"""Done to a box that is there: dropped, shifted, renamed, doubled."""


@dataclass
class Spoilt:
    """Labels with known mistakes. wrong: type and id of each shape spoilt. pairs: copied id → its copy's id.

    planted: mistakes of each type.
    """

    annotations: Annotations
    dropped: Annotations
    wrong: set[tuple[int, int]] = field(default_factory=set)
    pairs: dict[int, int] = field(default_factory=dict)
    planted: dict[FindingType, int] = field(default_factory=dict)


def spoil(
    clean: Annotations,
    frame_hw: np.ndarray,
    seed: int,
    *,
    rate: float | Mapping[FindingType, float] = RATE,
    plausible: bool = False,
) -> Spoilt:
    """Drop, shift to IoU 0.4 to 0.8, relabel, invent and double ``rate`` of the boxes each; one mistake a box.

    Labels are wrong by pure chance, sides are off one by one. plausible: harder, more as people err: wrong names
    are those that are frequent, slipped boxes keep their size, invented ones have the size of their name.
    rate: of each type alike, then at least one; or of each type its own, 0 for those left out.
    """
    rng, n = np.random.default_rng(seed), len(clean)
    many = {kind: _number(rate, kind, n) for kind in TYPES}
    order, ends = rng.permutation(n), np.cumsum([0, *(many[kind] for kind in TYPES if kind in _OF_A_BOX)])
    drop, shift, rename, double = (order[ends[i] : ends[i + 1]] for i in range(4))
    xyxy, label = clean.xyxy.copy(), clean.label.copy()
    names = clean.label if plausible else np.unique(clean.label)
    ids = np.arange(n) + 1
    spoilt = Spoilt(clean, clean[np.sort(drop)], planted=many)
    for i in shift:
        xyxy[i] = _shifted(clean.xyxy[i], frame_hw[clean.frame[i]], rng, whole=plausible)
        spoilt.wrong.add((FindingType.LOW_OVERLAP, int(ids[i])))
    for i in rename:
        label[i] = rng.choice(names[names != label[i]]) if (names != label[i]).any() else label[i]
        spoilt.wrong.add((FindingType.MISMATCHING_LABEL, int(ids[i])))
    rows = [clean.replace(xyxy=xyxy, label=label, annotation_id=ids)[np.setdiff1d(np.arange(n), drop)]]
    k = many[FindingType.EXTRA_ANNOTATION]
    for extra in range(k):
        rows.append(_invented(clean, frame_hw, n + 1 + extra, rng, own_name=plausible))
        spoilt.wrong.add((FindingType.EXTRA_ANNOTATION, n + 1 + extra))
    for copy, i in enumerate(double, start=n + 1 + k):
        wh = xyxy[i, 2:] - xyxy[i, :2]
        box = xyxy[i] + rng.normal(0, 0.03, 4) * np.tile(wh, 2)
        rows.append(Annotations(xyxy=[box], frame=[clean.frame[i]], label=[label[i]], annotation_id=[copy]))
        spoilt.wrong.add((FindingType.DUPLICATE_ANNOTATION, copy))
        spoilt.pairs[int(ids[i])] = copy
    together = Annotations.concat(rows)
    spoilt.annotations = together[np.argsort(together.frame, kind="stable")]
    return spoilt


def _number(rate: float | Mapping[FindingType, float], kind: FindingType, labels: int) -> int:
    if isinstance(rate, Mapping):
        return round(rate.get(kind, 0.0) * labels)
    return max(1, round(rate * labels))


def _shifted(box: FloatArray, hw: np.ndarray, rng: np.random.Generator, *, whole: bool) -> FloatArray:
    wh, limit = np.tile(box[2:] - box[:2], 2), np.tile(hw[::-1], 2)
    for _ in range(500):
        way = np.tile(rng.normal(0, 0.2, 2), 2) if whole else rng.normal(0, 0.15, 4)
        moved = np.clip(box + way * wh, 0, limit)
        if (moved[2:] > moved[:2] + 2).all() and 0.4 <= iou_matrix(moved[None], box[None])[0, 0] <= 0.8:
            return np.asarray(moved)
    return np.asarray(box + np.array([0, 0, 0.5, 0]) * wh)


def _invented(
    clean: Annotations, frame_hw: np.ndarray, new_id: int, rng: np.random.Generator, *, own_name: bool
) -> Annotations:
    frame, like = rng.integers(len(frame_hw)), rng.integers(len(clean))
    room = frame_hw[frame][::-1]
    wh = np.minimum(clean.xyxy[like, 2:] - clean.xyxy[like, :2], 0.8 * room)
    there = clean.xyxy[clean.frame == frame]
    for _ in range(50):
        corner = rng.uniform(0, 1, 2) * (room - wh)
        box = np.concatenate([corner, corner + wh])
        if not len(there) or iou_matrix(box[None], there).max() < 0.3:
            break
    label = clean.label[like] if own_name else rng.choice(np.unique(clean.label))
    return Annotations(xyxy=[box], frame=[frame], label=[label], annotation_id=[new_id])


def judge(findings: Findings, spoilt: Spoilt) -> BoolArray:
    """(n,) whether each finding, best first, is a planted mistake that none before it was.

    By type and annotation id (either of a doubled pair), a missing label by label and overlap.
    """
    hits, used = np.zeros(len(findings), bool), set()
    rows: Any = zip(
        findings.type.tolist(),
        findings.frame.tolist(),
        findings.annotation_id.tolist(),
        findings.suggested_label.tolist(),
        findings.suggested_xyxy,
        strict=True,
    )
    for i, (kind, frame, annotation, label, box) in enumerate(rows):
        if kind == FindingType.MISSING_ANNOTATION:
            truth = _dropped_at(spoilt.dropped, frame, label, box, used)
        else:
            same = spoilt.pairs.get(annotation, annotation) if kind == FindingType.DUPLICATE_ANNOTATION else annotation
            truth = (kind, same) if (kind, same) in spoilt.wrong else None
        if truth is not None and truth not in used:
            hits[i] = True
            used.add(truth)
    return hits


def _dropped_at(
    dropped: Annotations, frame: int, label: int, box: FloatArray, used: set[Any]
) -> tuple[int, int] | None:
    for row in np.flatnonzero((dropped.frame == frame) & (dropped.label == label)).tolist():
        truth = (int(FindingType.MISSING_ANNOTATION), row)
        if truth not in used and iou_matrix(box[None], dropped.xyxy[[row]])[0, 0] >= SAME_PLACE_IOU:
            return truth
    return None


def average_precision(hits: BoolArray, planted: int) -> float:
    """Mean precision at the planted mistakes; those not found count 0. NaN if none was planted."""
    if not planted:
        return float("nan")
    precision = np.cumsum(hits) / np.arange(1, len(hits) + 1)
    return float((precision * hits).sum() / planted)


def figures(findings: Findings, spoilt: Spoilt) -> dict[str, float]:
    """Average precision over the common ranking, without duplicates, per type; precision in the top 50."""
    hits, many = judge(findings, spoilt), spoilt.planted
    plain = findings.type != FindingType.DUPLICATE_ANNOTATION
    by_type = {t.code.split("_")[0]: average_precision(hits[findings.type == t], many[t]) for t in TYPES}
    everything, doubled = sum(many.values()), many[FindingType.DUPLICATE_ANNOTATION]
    return {
        "all": average_precision(hits, everything),
        "no dup.": average_precision(hits[plain], everything - doubled),
        **by_type,
        "top 50": float(hits[:50].sum() / min(50, everything)) if everything else float("nan"),
    }
