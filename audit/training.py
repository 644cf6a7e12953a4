"""Training on a task's own labels in folds, so that every picture is judged by a model that never learnt from it.

Per fold the trained weights and what they predict on the pictures held out lie in a folder; what lies there is not
done again.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from audit.core.annotations import Annotations, Predictions
from audit.core.evaluation import average_precision
from audit.core.labels import listing
from audit.errors import ServiceError
from audit.ports import Advance, PredictItem, Predictor, Progress
from audit.runs import atomic
from audit.training_plan import Training
from audit.training_ports import Trainer

FORWARD_SHARE = 0.35
"""Predicting a picture takes about this share of a training step's time for one: no way back through the network."""
STARTING_SECONDS = 3.0
"""Until a fold's first batch: loading weights and labels."""
HARDLY_LEARNT = 0.2
"""Below this average precision a label's findings are mostly the model's own mistakes."""


@dataclass(frozen=True)
class Estimate:
    """Seconds until all folds have predicted; per_batch: measured, 0 if there is nothing left to train."""

    seconds: float
    per_batch: float


def estimate(training: Training, trainer: Trainer) -> Estimate:
    """How long ``carry_out`` will take from here, from some batches trained for real."""
    schedule, data = training.schedule, training.data
    todo = [k for k in range(data.folds) if not training.finished(k)]
    left = {k: _batches(training, k) - _batches_done(training, trainer, k) for k in todo}
    if not todo:
        return Estimate(0.0, 0.0)
    rows = data.to_learn(todo[0])
    sample = data.examples(rows[: schedule.batch * 8])
    per_batch = trainer.seconds_per_batch(sample, training.names, schedule, training.folder)
    judged = sum(len(data.held_out(k)) for k in todo)
    seconds = sum(left.values()) * per_batch + judged * FORWARD_SHARE * per_batch / schedule.batch
    return Estimate(seconds + STARTING_SECONDS * len(todo), per_batch)


def _batches(training: Training, fold: int) -> int:
    return training.schedule.epochs * training.schedule.batches(len(training.data.to_learn(fold)))


def _batches_done(training: Training, trainer: Trainer, fold: int) -> int:
    if training.finished(fold):
        return _batches(training, fold)
    in_epoch = training.schedule.batches(len(training.data.to_learn(fold)))
    return trainer.epochs_done(training.fold(fold)) * in_epoch


def carry_out(training: Training, trainer: Trainer, progress: Progress) -> None:
    """Train and predict every fold that has not been, and write ``training.predictions``."""
    folds = range(training.data.folds)
    if not all(training.finished(k) for k in folds):
        with progress.task("Training", sum(_batches(training, k) for k in folds)) as advance:
            for k in folds:
                advance(_batches_done(training, trainer, k))
                if not training.finished(k):
                    _carry_out_fold(training, trainer, k, advance)
    _gather_predictions(training)
    for line in _quality(training):
        progress.note(line)


def _carry_out_fold(training: Training, trainer: Trainer, fold: int, advance: Advance) -> None:
    examples = training.data.examples(training.data.to_learn(fold))
    schedule, folder = training.schedule, training.fold(fold)
    weights = trainer.train(examples, training.names, schedule, folder, on_batch=lambda: advance(1))
    _judge(training, trainer, fold, weights)


def _judge(training: Training, trainer: Trainer, fold: int, weights: Path) -> None:
    """Predict what this fold's model has not learnt from; ``quality.json`` is written last and ends the fold."""
    folder, held_out = training.fold(fold), training.data.held_out(fold)
    model = trainer.open(weights, training.schedule.image_size)
    try:
        with atomic(folder / "predictions.jsonl", "w") as stream:
            found = Predictions.concat(_predicted(training, model, held_out, stream.write))
    finally:
        model.close()
    labels = _labels(training, held_out)
    quality = {training.names[c]: ap for c, ap in average_precision(labels, found).items()}
    with atomic(folder / "quality.json", "w") as stream:
        json.dump({"average_precision": quality, "objects": _counts(labels, training.names)}, stream, indent=2)


def _predicted(training: Training, model: Predictor, rows: Any, write: Any) -> Iterator[Predictions]:
    """What the model finds, picture by picture; every object becomes a line of JSON."""
    items, first = training.data.items(rows), training.data.first_of_picture()
    while batch := list(itertools.islice(items, model.batch_size)):
        for item, found in zip(batch, model.predict(batch), strict=True):
            if isinstance(found, str):
                raise ServiceError(f"{item.name} could be learnt from but not predicted: {found}")
            if first[item.frame]:
                write("".join(json.dumps(row) + "\n" for row in _rows(training, item, found)))
            yield found.replace(frame=np.full(len(found), item.frame))


def _rows(training: Training, item: PredictItem, found: Predictions) -> Iterator[dict[str, Any]]:
    """In the form of COCO's results; where the source has tasks, with the place by which names can repeat."""
    image = {"image_id": item.image_id} if item.image_id >= 0 else {}
    image |= {"task": item.task, "frame": item.number} if item.task >= 0 else {}
    xywh = np.hstack([found.xyxy[:, :2], found.xyxy[:, 2:] - found.xyxy[:, :2]]).round(2)
    for label, box, score in zip(found.label.tolist(), xywh.tolist(), found.score.tolist(), strict=True):
        category = {"category_id": training.label_ids[label]} if training.label_ids else {}
        name = {"category_name": training.names[label], "bbox": box, "score": round(score, 5)}
        yield {**image, "file_name": item.name, **category, **name}


def _labels(training: Training, rows: Any) -> Annotations:
    """The labels of these pictures, as the dataset holds them, in pixels."""
    parts = []
    for i, e in zip(rows.tolist(), training.data.examples(rows), strict=True):
        half = e.xywh[:, 2:].astype(np.float64) / 2
        corners = np.hstack([e.xywh[:, :2] - half, e.xywh[:, :2] + half])
        n, scale = len(e.label), np.array([e.size_hw[1], e.size_hw[0]] * 2)
        parts.append(
            Annotations(xyxy=corners * scale, frame=np.full(n, i), label=e.label, annotation_id=np.arange(n) + 1)
        )
    return Annotations.concat(parts)


def _counts(labels: Annotations, names: tuple[str, ...]) -> dict[str, int]:
    return dict(zip(names, np.bincount(labels.label, minlength=len(names)).tolist(), strict=True))


def _gather_predictions(training: Training) -> None:
    """All folds' predictions as one list."""
    parts = [training.fold(k) / "predictions.jsonl" for k in range(training.data.folds)]
    with atomic(training.predictions, "w") as stream:
        stream.write("[")
        for i, line in enumerate(_lines(parts)):
            stream.write(("\n" if i == 0 else ",\n") + line.rstrip("\n"))
        stream.write("\n]\n")


def _lines(parts: Iterable[Path]) -> Iterator[str]:
    for part in parts:
        with part.open(encoding="utf-8") as stream:
            yield from stream


def _quality(training: Training) -> Iterator[str]:
    """How well the models know each label on pictures that they did not learn from."""
    parts = [json.loads((training.fold(k) / "quality.json").read_text()) for k in range(training.data.folds)]
    means = {}
    for name in training.names:
        found = [(p["average_precision"][name], p["objects"][name]) for p in parts if p["objects"][name]]
        means[name] = sum(ap * n for ap, n in found) / max(sum(n for _, n in found), 1)
    shown = ", ".join(f"{name} {100 * ap:.0f} %" for name, ap in list(means.items())[:12])
    yield f"average precision (IoU 0.5) on pictures held out: {shown}"
    weak = [name for name, ap in means.items() if ap < HARDLY_LEARNT]
    if weak:
        yield f"hardly learnt, so do not trust findings about: {listing(weak)}. More epochs or more labels may help."
