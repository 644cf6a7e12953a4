"""The same labels and predictions through other tools: a simple rule, cleanlab's ObjectLab, FiftyOne's mistakenness."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from audit.core.annotations import Predictions, Snapshot
from audit.core.boxes import iou_matrix
from audit.core.findings import Findings, FindingType

Row = tuple[FindingType, int, float, int, int]
"""Type, frame, score, annotation row, prediction row."""


def simple_rule(snapshot: Snapshot, predictions: Predictions, least: float = 0.5) -> Findings:
    """What one writes first: predictions of at least 0.5, IoU 0.5; sorted by the prediction's score."""
    rows: list[Row] = []
    for frame in range(len(snapshot.frames)):
        a = np.flatnonzero(snapshot.annotations.frame == frame)
        p = np.flatnonzero((predictions.frame == frame) & (predictions.score >= least))
        iou = iou_matrix(snapshot.annotations.xyxy[a], predictions.xyxy[p])
        same = snapshot.annotations.label[a][:, None] == predictions.label[p]
        rows += [
            (FindingType.MISSING_ANNOTATION, frame, float(predictions.score[j]), -1, int(j))
            for j, column in zip(p, iou.T, strict=True)
            if not (column >= 0.5).any()
        ]
        for i, overlap, own in zip(a, iou, same, strict=True):
            mine, others = (overlap * own).max(initial=0), (overlap * ~own).max(initial=0)
            if mine < 0.5 <= others:
                rows.append((FindingType.MISMATCHING_LABEL, frame, float(others), int(i), -1))
            elif mine < 0.1:
                rows.append((FindingType.EXTRA_ANNOTATION, frame, 0.5, int(i), -1))
            elif mine < 0.8:
                rows.append((FindingType.LOW_OVERLAP, frame, float(1 - mine), int(i), -1))
        twins = np.triu(iou_matrix(snapshot.annotations.xyxy[a], snapshot.annotations.xyxy[a]), 1)
        rows += [
            (FindingType.DUPLICATE_ANNOTATION, frame, float(twins[i, j]), int(a[j]), -1)
            for i, j in np.argwhere(twins >= 0.8)
        ]
    return _findings(rows, snapshot, predictions)


def objectlab(snapshot: Snapshot, predictions: Predictions, high: float = 0.95, low: float = 0.5) -> Findings:
    """cleanlab's three scores per box (overlooked, badly located, swapped); it has none for extra or double boxes.

    high, low: its thresholds for predictions to trust and to look at; the defaults are its own.
    """
    from cleanlab.object_detection import rank

    frames, n_labels = range(len(snapshot.frames)), len(snapshot.labels)
    a_rows = [np.flatnonzero(snapshot.annotations.frame == f) for f in frames]
    p_rows = [np.flatnonzero(predictions.frame == f) for f in frames]
    labels = [
        {"bboxes": snapshot.annotations.xyxy[r].astype(np.float32), "labels": snapshot.annotations.label[r]}
        for r in a_rows
    ]
    ordered = [r[np.argsort(predictions.label[r], kind="stable")] for r in p_rows]  # cleanlab flattens by class
    boxes = np.hstack([predictions.xyxy, predictions.score[:, None]])
    given = [
        np.array([*(boxes[r][predictions.label[r] == c] for c in range(n_labels)), None], dtype=object)[:-1]
        for r in p_rows
    ]
    both = {"labels": labels, "predictions": given}
    overlooked = rank.compute_overlooked_box_scores(**both, high_probability_threshold=high)
    slipped = rank.compute_badloc_box_scores(**both, low_probability_threshold=low)
    swapped = rank.compute_swap_box_scores(**both, high_probability_threshold=high)
    rows: list[Row] = []
    for f in frames:
        rows += _scored(FindingType.MISSING_ANNOTATION, f, overlooked[f], p=ordered[f])
        rows += _scored(FindingType.LOW_OVERLAP, f, slipped[f], a=a_rows[f])
        rows += _scored(FindingType.MISMATCHING_LABEL, f, swapped[f], a=a_rows[f])
    return _findings(rows, snapshot, predictions)


def _scored(kind: FindingType, frame: int, quality: Any, *, a: Any = None, p: Any = None) -> Iterable[Row]:
    """Rows for cleanlab's qualities: 1 is good, NaN is not judged."""
    for i, value in enumerate(np.asarray(quality, np.float64)):
        if np.isfinite(value) and value < 1:
            yield kind, frame, float(1 - value), int(a[i]) if a is not None else -1, int(p[i]) if p is not None else -1


def fiftyone(snapshot: Snapshot, predictions: Predictions) -> Findings:
    """FiftyOne's evaluation and mistakenness, as it is, on the predictions given."""
    import fiftyone as fo
    import fiftyone.brain as fob

    from scripts.benchmarks.comparison import detections

    dataset = fo.Dataset()
    try:
        dataset.add_samples(
            [
                fo.Sample(
                    filepath=f"{f}.jpg",
                    truth=detections(fo, snapshot, snapshot.annotations, f),
                    predictions=detections(fo, snapshot, predictions, f),
                )
                for f in range(len(snapshot.frames))
            ],
            progress=False,
        )
        fob.compute_mistakenness(dataset, "predictions", label_field="truth", progress=False)
        rows: list[Row] = []
        for f, sample in enumerate(dataset.iter_samples()):
            rows += _mistaken(sample, f, snapshot, predictions)
    finally:
        dataset.delete()
    return _findings(rows, snapshot, predictions)


def _mistaken(sample: Any, frame: int, snapshot: Snapshot, predictions: Predictions) -> Iterable[Row]:
    a = np.flatnonzero(snapshot.annotations.frame == frame)
    p = np.flatnonzero(predictions.frame == frame)
    for i, d in zip(a.tolist(), sample.truth.detections, strict=False):  # what it adds as missing comes after
        for kind, name in (
            (FindingType.MISMATCHING_LABEL, "mistakenness"),
            (FindingType.LOW_OVERLAP, "mistakenness_loc"),
            (FindingType.EXTRA_ANNOTATION, "possible_spurious"),
        ):
            value = d[name] if d.has_field(name) else None
            if value:
                yield kind, frame, float(value), i, -1
    for j, d in zip(p.tolist(), sample.predictions.detections, strict=True):
        if d.has_field("possible_missing") and d["possible_missing"]:
            yield FindingType.MISSING_ANNOTATION, frame, float(d.confidence), -1, j


def _findings(rows: list[Row], snapshot: Snapshot, predictions: Predictions) -> Findings:
    rows = sorted(rows, key=lambda r: -r[2])
    a, p = (np.array([r[c] for r in rows], np.int64) for c in (3, 4))
    ids, on = np.full(len(rows), -1), a >= 0
    ids[on] = snapshot.annotations.annotation_id[a[on]]
    label, xyxy, proposed = np.full(len(rows), -1), np.full((len(rows), 4), np.nan), p >= 0
    label[proposed], xyxy[proposed] = predictions.label[p[proposed]], predictions.xyxy[p[proposed]]
    return Findings(
        type=[r[0] for r in rows],
        frame=[r[1] for r in rows],
        score=[r[2] for r in rows],
        annotation=a,
        annotation_id=ids,
        prediction=p,
        suggested_label=label,
        suggested_xyxy=xyxy,
    )
