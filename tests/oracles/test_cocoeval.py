"""Overlap, matching and average precision against pycocotools on seeded scenes."""

from __future__ import annotations

import contextlib
import io

import numpy as np
import pytest
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from audit.core.annotations import Predictions, Snapshot
from audit.core.boxes import iou_matrix
from audit.core.evaluation import average_precision
from tests.scenes import boxes, scene


def xywh(xyxy: np.ndarray) -> np.ndarray:
    return np.hstack([xyxy[:, :2], xyxy[:, 2:] - xyxy[:, :2]])


def evaluated(snapshot: Snapshot, predictions: Predictions) -> COCOeval:
    """The same scene through COCOeval: IoU 0.5, all areas, no bound on detections."""
    a, p = snapshot.annotations, predictions
    rows = zip(xywh(a.xyxy).tolist(), a.frame.tolist(), a.label.tolist(), a.crowd.tolist(), strict=True)
    truth = COCO()
    truth.dataset = {
        "images": [{"id": i, "width": 600, "height": 600} for i in range(len(snapshot.frames))],
        "categories": [{"id": i, "name": n} for i, n in enumerate(snapshot.labels)],
        "annotations": [
            {"id": i + 1, "image_id": f, "category_id": c, "bbox": b, "area": b[2] * b[3], "iscrowd": int(crowd)}
            for i, (b, f, c, crowd) in enumerate(rows)
        ],
    }
    found = [
        {"image_id": f, "category_id": c, "bbox": b, "score": s}
        for b, f, c, s in zip(xywh(p.xyxy).tolist(), p.frame.tolist(), p.label.tolist(), p.score.tolist(), strict=True)
    ]
    with contextlib.redirect_stdout(io.StringIO()):
        truth.createIndex()
        ev = COCOeval(truth, truth.loadRes(found), "bbox")
        ev.params.iouThrs, ev.params.maxDets, ev.params.areaRng = np.array([0.5]), [10_000], [[0, 1e10]]
        ev.params.areaRngLbl = ["all"]
        ev.evaluate()
        ev.accumulate()
    return ev


@pytest.mark.parametrize("seed", range(5))
def test_iou(seed: int) -> None:
    rng = np.random.default_rng(seed)
    a, b = boxes(rng, 30), boxes(rng, 50)
    assert iou_matrix(a, b) == pytest.approx(coco_mask.iou(xywh(a), xywh(b), [0] * 50), abs=1e-12)


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("crowds", [False, True])
def test_average_precision_and_matches(seed: int, crowds: bool) -> None:
    snapshot, predictions = scene(seed, frames=25)
    a = snapshot.annotations
    if crowds:
        crowd = np.random.default_rng(seed).random(len(a)) < 0.15
        a = a.replace(crowd=crowd)
        snapshot = Snapshot(snapshot.source, snapshot.labels, snapshot.frames, a)
    ev = evaluated(snapshot, predictions)
    theirs = {i: float(ev.eval["precision"][0, :, i, 0, 0].mean()) for i in range(len(snapshot.labels))}
    ours = average_precision(a, predictions, iou=0.5)
    assert ours == pytest.approx({i: theirs[i] for i in ours}, abs=1e-9)
    assert 0.1 < np.mean(list(ours.values())) < 0.95
