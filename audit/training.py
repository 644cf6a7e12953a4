"""Training on a task's own labels in folds, so that every picture is judged by a model that never learnt from it.

What is done lies in a folder and is not done again: the dataset with its folds (``training.json`` says that it is
whole), and per fold the trained weights and what they predict on the pictures held out.
"""

from __future__ import annotations

import fcntl
import hashlib
import itertools
import json
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from audit import dataset
from audit.core.annotations import Annotations, Frames, Predictions, ShapeType, Snapshot
from audit.core.evaluation import average_precision
from audit.core.labels import listing
from audit.dataset import Dataset
from audit.errors import ServiceError, UsageError
from audit.loop import schedule as defaults
from audit.loop.folds import TooLittleError, groups, plan
from audit.ports import AnnotationStore, PredictItem, Predictor, Progress
from audit.runs import atomic
from audit.training_ports import Schedule, Trainer

FORMAT = 1
SEED = 0
"""Of the folds and of every training: the same command gives the same result on the same machine."""
FOLDS = 5
FORWARD_SHARE = 0.35
"""Predicting a picture takes about this share of a training step's time for one: no way back through the network."""
STARTING_SECONDS = 3.0
"""Until a fold's first batch: loading weights and labels."""
HARDLY_LEARNT = 0.2
"""Below this average precision a label's findings are mostly the model's own mistakes."""


@dataclass(frozen=True)
class Wishes:
    """What the user asked for; None: as the training in the folder was begun, else chosen from the data."""

    folds: int | None = None
    epochs: int | None = None
    image_size: int | None = None
    batch: int | None = None


@dataclass(frozen=True)
class Training:
    """A training begun in ``folder``. names: of the labels that are learnt. notes: what the user should know."""

    folder: Path
    data: Dataset
    names: tuple[str, ...]
    label_ids: tuple[int, ...]
    schedule: Schedule
    notes: tuple[str, ...]

    @property
    def predictions(self) -> Path:
        """The COCO results file that comes out."""
        return self.folder / "predictions.json"

    def fold(self, number: int) -> Path:
        """Where one fold's files lie. number: from 0."""
        return self.folder / f"fold-{number + 1}"

    def finished(self, number: int) -> bool:
        """Whether this fold has been trained and has predicted."""
        return (self.fold(number) / "quality.json").exists()


@dataclass(frozen=True)
class Estimate:
    """Seconds until all folds have predicted; per_batch: measured, 0 if there is nothing left to train."""

    seconds: float
    per_batch: float


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Holds the folder against another process. Raises UsageError if one is at work there."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        stream = (folder / ".lock").open("w")
    except OSError as error:
        raise ServiceError(f"cannot write to {folder}: {error.strerror or error}") from error
    with stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UsageError(f"another process is training in {folder}; wait for it, or give another --out") from None
        yield


def prepare(
    store: AnnotationStore, folder: Path, trainer: Trainer, wishes: Wishes, progress: Progress, *, restart: bool = False
) -> Training:
    """Read the source and share its pictures out, or take up what an earlier call left in ``folder``.

    Raises UsageError if there is too little to learn from, or if the folder holds a training of something else.
    """
    snapshot = store.snapshot(progress)
    if restart:
        _clear(folder)
    state = _begun(folder)
    if state is None:
        _clear(folder)
        state = _begin(store, snapshot, folder, trainer, wishes, progress)
    else:
        _check_same(state, snapshot, trainer, wishes, folder)
        if state["annotations"] != _annotations_digest(snapshot.annotations):
            progress.note("the labels have changed since this training began; --restart trains on them as they are now")
    return Training(
        folder,
        dataset.read(folder),
        tuple(state["labels"]),
        tuple(state["label_ids"]),
        Schedule(**state["schedule"]),
        tuple(state["notes"]),
    )


def _clear(folder: Path) -> None:
    """Everything but the lock, ``training.json`` first: without it the rest counts for nothing."""
    (folder / "training.json").unlink(missing_ok=True)
    for path in folder.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        elif path.name != ".lock":
            path.unlink(missing_ok=True)


def _begun(folder: Path) -> dict[str, Any] | None:
    path = folder / "training.json"
    try:
        state = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise UsageError(f"{path} cannot be read: {error}. Begin anew with --restart.") from None
    if not isinstance(state, dict) or state.get("format") != FORMAT:
        raise UsageError(f"{path} is of another version of this program. Begin anew with --restart.")
    return state


def _begin(
    store: AnnotationStore, snapshot: Snapshot, folder: Path, trainer: Trainer, wishes: Wishes, progress: Progress
) -> dict[str, Any]:
    if not store.has_images():
        raise UsageError("training needs the images, and there are none. Say where they are with --images DIR.")
    pictures = dataset.gather(store, snapshot, folder, progress)
    annotations = dataset.learnable(snapshot.annotations)
    objects = dataset.objects(annotations, pictures, len(snapshot.labels))
    moved = _moved(annotations, pictures.row)
    group = groups(pictures.frames, pictures.hashes, moved)
    try:
        planned = plan(pictures.frames, group, objects, snapshot.labels, wishes.folds or FOLDS, seed=SEED)
    except TooLittleError as error:
        raise UsageError(f"{snapshot.source}: {error}") from None
    dataset.write(folder, pictures, annotations, planned)
    learnt = moved[np.isin(moved.label, planned.labels)]
    n = int((planned.trained & (planned.fold != 0)).sum())
    notes = planned.notes
    outlines = int((learnt.shape != ShapeType.RECTANGLE).sum())
    if outlines:
        notes += (f"{outlines} of {len(learnt)} objects are polygons, masks or ellipses and are learnt as boxes",)
    if pictures.problems:
        first = pictures.problems[0]
        notes += (f"pictures that cannot be used: {len(pictures.problems)} ({first.where}: {first.reason})",)
    state = {
        "format": FORMAT,
        **_identity(snapshot, trainer),
        "folds": wishes.folds or FOLDS,
        "schedule": asdict(_schedule(wishes, n, learnt, pictures.frames, trainer.device != "cpu")),
        "labels": [snapshot.labels[i] for i in planned.labels],
        "label_ids": [snapshot.label_ids[i] for i in planned.labels] if snapshot.label_ids else [],
        "annotations": _annotations_digest(snapshot.annotations),
        "notes": list(notes),
    }
    with atomic(folder / "training.json", "w") as stream:
        json.dump(state, stream, indent=2, ensure_ascii=False)
    return state


def _moved(annotations: Annotations, row: Any) -> Annotations:
    """The annotations of these frames, whose ``frame`` now counts among them."""
    place = np.full(int(max(row.max(initial=-1), annotations.frame.max(initial=-1))) + 1, -1)
    place[row] = np.arange(len(row))
    kept = annotations[place[annotations.frame] >= 0]
    return kept.replace(frame=place[kept.frame])


def _schedule(wishes: Wishes, pictures: int, learnt: Annotations, frames: Frames, on_gpu: bool) -> Schedule:
    longest = np.maximum(frames.width, frames.height)
    wh = learnt.xyxy[:, 2:] - learnt.xyxy[:, :2]
    sides = np.sqrt(wh.prod(axis=1)) / longest[learnt.frame]
    return Schedule(
        epochs=wishes.epochs or defaults.epochs(pictures, on_gpu),
        image_size=wishes.image_size or defaults.image_size(sides, int(longest.max()), on_gpu),
        batch=wishes.batch or defaults.batch(pictures),
        seed=SEED,
    )


def _identity(snapshot: Snapshot, trainer: Trainer) -> dict[str, Any]:
    """What may not change between calls that go on with each other."""
    f = snapshot.frames
    frames = zip(f.name, f.task.tolist(), f.job.tolist(), f.number.tolist(), strict=True)
    return {
        "source": snapshot.source,
        "frames": hashlib.sha256(json.dumps(list(frames)).encode()).hexdigest(),
        "start": hashlib.sha256(trainer.start.read_bytes()).hexdigest(),
    }


def _annotations_digest(a: Annotations) -> str:
    digest = hashlib.sha256()
    for column in (a.xyxy, a.frame, a.label):
        digest.update(np.ascontiguousarray(column).tobytes())
    return digest.hexdigest()


def _check_same(state: dict[str, Any], snapshot: Snapshot, trainer: Trainer, wishes: Wishes, folder: Path) -> None:
    differing = {"source": "the source", "frames": "the source's frames", "start": "the weights to begin with"}
    for key, value in _identity(snapshot, trainer).items():
        if state[key] != value:
            raise UsageError(
                f"{folder} holds a training in which {differing[key]} were others. "
                "Begin anew with --restart, or give another --out."
            )
    held = {**state["schedule"], "folds": state["folds"]}
    for name, wish in asdict(wishes).items():
        if wish is not None and wish != held[name]:
            option = "--" + name.replace("_", "-")
            raise UsageError(
                f"{folder} holds a training with {option} {held[name]}, not {wish}. Leave the option out to go on "
                "with it, begin anew with --restart, or give another --out."
            )


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
    with progress.task("Training", sum(_batches(training, k) for k in folds)) as advance:
        for k in folds:
            advance(_batches_done(training, trainer, k))
            if not training.finished(k):
                examples = training.data.examples(training.data.to_learn(k))
                weights = trainer.train(
                    examples, training.names, training.schedule, training.fold(k), on_batch=lambda: advance(1)
                )
                _judge(training, trainer, k, weights)
    _gather_predictions(training)
    for line in _quality(training):
        progress.note(line)


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
