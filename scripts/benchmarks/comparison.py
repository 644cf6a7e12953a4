"""(a) From loaded columns to ranked findings, against ObjectLab, COCOeval and FiftyOne, in one run.

The set is made, seeded, and of the size of COCO val: 5,000 images, 36,000 labels, 360,000
predictions down to a score of 0.01, 80 classes.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from audit.checks import find
from audit.checks.evidence import combine, gather
from audit.core.annotations import Predictions, Snapshot
from scripts.benchmarks.output import show
from tests.scenes import scene

FRAMES, PER_FRAME, PREDICTED, CLASSES = 5000, 7.2, 72.0, 80
FIFTYONE_FRAMES = 100
"""FiftyOne is run on a sample and scaled by the number of frames; a whole run takes most of an hour."""


def timed(work: Callable[[], Any], repeats: int = 1) -> float:
    """Best wall time of some runs, seconds."""
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - start)
    return min(seconds)


def ours(snapshot: Snapshot, predictions: Predictions) -> int:
    """Everything: evidence, all six checks, one finding per cause, scores, ids, ranking."""
    hw = np.column_stack([snapshot.frames.height, snapshot.frames.width])
    judged = np.ones(len(snapshot.annotations), bool)
    evidence = gather(snapshot.annotations, predictions, judged=judged, frame_hw=hw)
    return len(find(combine([evidence]), snapshot))


def objectlab(snapshot: Snapshot, predictions: Predictions) -> Callable[[], Any]:
    """cleanlab's ObjectLab, its input prepared beforehand."""
    from cleanlab.object_detection.rank import get_label_quality_scores

    a, p = snapshot.annotations, predictions
    n = len(snapshot.frames)
    a_ends, p_ends = (np.searchsorted(t.frame, np.arange(n + 1)) for t in (a, p))
    rows = np.hstack([p.xyxy, p.score[:, None]])
    labels, predicted = [], []
    for i in range(n):
        own = slice(a_ends[i], a_ends[i + 1])
        labels.append({"bboxes": a.xyxy[own], "labels": a.label[own]})
        mine = slice(p_ends[i], p_ends[i + 1])
        per_class = [rows[mine][p.label[mine] == c] for c in range(CLASSES)]
        predicted.append(np.array([*per_class, None], dtype=object)[:-1])
    return lambda: get_label_quality_scores(labels, predicted, verbose=False)


def cocoeval(snapshot: Snapshot, predictions: Predictions) -> Callable[[], Any]:
    """pycocotools' evaluation with its own settings (10 thresholds, 3 ranges of size), index made beforehand."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    a, p = snapshot.annotations, predictions
    wh = a.xyxy[:, 2:] - a.xyxy[:, :2]
    boxes = np.hstack([a.xyxy[:, :2], wh]).tolist()
    rows = zip(boxes, a.frame.tolist(), a.label.tolist(), wh.prod(axis=1).tolist(), strict=True)
    truth = COCO()
    truth.dataset = {
        "images": [{"id": i} for i in range(len(snapshot.frames))],
        "categories": [{"id": i, "name": n} for i, n in enumerate(snapshot.labels)],
        "annotations": [
            {"id": i + 1, "image_id": f, "category_id": c, "bbox": b, "area": area, "iscrowd": 0}
            for i, (b, f, c, area) in enumerate(rows)
        ],
    }
    truth.createIndex()
    found = np.column_stack([p.frame, p.xyxy[:, :2], p.xyxy[:, 2:] - p.xyxy[:, :2], p.score, p.label])
    results = truth.loadRes(found)

    def work() -> None:
        evaluation = COCOeval(truth, results, "bbox")
        evaluation.evaluate()
        evaluation.accumulate()

    return work


def fiftyone(snapshot: Snapshot, predictions: Predictions, frames: int) -> float:
    """FiftyOne's evaluate_detections and mistakenness on the first frames; seconds."""
    from audit.adapters.fiftyone.database import database
    from audit.cli.progress import TerminalProgress

    with database(TerminalProgress()):
        import fiftyone as fo
        import fiftyone.brain as fob

        dataset = fo.Dataset()
        try:
            dataset.add_samples(_samples(fo, snapshot, predictions, frames), progress=False)

            def work() -> None:
                dataset.evaluate_detections("predictions", gt_field="truth", eval_key="eval", progress=False)
                fob.compute_mistakenness(dataset, "predictions", label_field="truth", progress=False)

            return timed(work)
        finally:
            dataset.delete()


def _samples(fo: Any, snapshot: Snapshot, predictions: Predictions, frames: int) -> list[Any]:
    return [
        fo.Sample(
            filepath=f"{i}.jpg",
            truth=detections(fo, snapshot, snapshot.annotations, i),
            predictions=detections(fo, snapshot, predictions, i),
        )
        for i in range(frames)
    ]


def detections(fo: Any, snapshot: Snapshot, table: Any, frame: int) -> Any:
    """One frame's rows as FiftyOne's detections, in their order."""
    size = np.array([snapshot.frames.width[frame], snapshot.frames.height[frame]])
    items = []
    for i in np.flatnonzero(table.frame == frame):
        corner, side = table.xyxy[i, :2] / size, (table.xyxy[i, 2:] - table.xyxy[i, :2]) / size
        score = float(table.score[i]) if hasattr(table, "score") else None
        name = snapshot.labels[table.label[i]]
        items.append(fo.Detection(label=name, bounding_box=[*corner, *side], confidence=score))
    return fo.Detections(detections=items)


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, default=FRAMES)
    parser.add_argument("--no-fiftyone", action="store_true")
    args = parser.parse_args()
    snapshot, predictions = scene(0, frames=args.frames, per_frame=PER_FRAME, predicted=PREDICTED, labels=CLASSES)
    show("set", frames=args.frames, labels=len(snapshot.annotations), predictions=len(predictions))
    base = timed(lambda: ours(snapshot, predictions), repeats=5)
    show("cvat-audit", seconds=base, findings=ours(snapshot, predictions))
    quiet = io.StringIO()
    with contextlib.redirect_stdout(quiet):
        coco = timed(cocoeval(snapshot, predictions))
        lab = timed(objectlab(snapshot, predictions))
    show("pycocotools COCOeval", seconds=coco, times_ours=coco / base)
    show("cleanlab ObjectLab", seconds=lab, times_ours=lab / base)
    if not args.no_fiftyone:
        sample = min(FIFTYONE_FRAMES, args.frames)
        scaled = fiftyone(snapshot, predictions, sample) * args.frames / sample
        show("FiftyOne evaluate + mistakenness", seconds=scaled, times_ours=scaled / base, scaled_from_frames=sample)


if __name__ == "__main__":
    main()
