"""What a training in folds begins with: the source read once, its pictures shared out, the schedule chosen.

All of it lies in a folder, so that a later call takes it up; ``training.json`` comes last and says that it is whole.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from audit import dataset
from audit.core.annotations import Annotations, Frames, ShapeType, Snapshot
from audit.dataset import Dataset
from audit.errors import UsageError
from audit.locks import locked
from audit.loop import schedule as defaults
from audit.loop.folds import TooLittleError, groups, plan
from audit.ports import AnnotationStore, Progress
from audit.runs import atomic
from audit.training_ports import Schedule, Trainer

FORMAT = 1
LOCK = ".lock"
MARK = "Made by cvat-audit train, which deletes what lies in this folder when it begins anew.\n"
"""What stands in ``LOCK``. A folder without it, or a finished plan, is not a training's."""
SEED = 0
"""Of the folds and of every training: the same command gives the same result on the same machine."""
FOLDS = 5


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


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Holds the folder against another process, and marks it as a training's.

    Raises UsageError if one is at work there, or if other people's files are.
    """
    _check_own(folder)
    with locked(
        folder / LOCK, f"another process is training in {folder}; wait for it, or give another --out"
    ) as stream:
        stream.truncate(0)
        stream.write(MARK)
        stream.flush()
        yield


def prepare(
    store: AnnotationStore, folder: Path, trainer: Trainer, wishes: Wishes, progress: Progress, *, restart: bool = False
) -> Training:
    """Read the source and share its pictures out, or take up what an earlier call left in ``folder``.

    Raises UsageError if there is too little to learn from, or if the folder holds a training of something else.
    """
    _check_own(folder)
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


def _check_own(folder: Path) -> None:
    """Raises UsageError rather than let a training delete what no training made."""
    if folder.is_symlink():
        raise UsageError(f"{folder} is a link; a training deletes files in its folder. Give another --out.")
    try:
        names = {path.name for path in folder.iterdir()} - {LOCK}
        marked = (folder / LOCK).read_text(encoding="utf-8") == MARK
    except (FileNotFoundError, NotADirectoryError):
        names, marked = {p.name for p in folder.iterdir()} if folder.exists() else set(), False
    except (OSError, ValueError) as error:
        raise UsageError(f"{folder} cannot be used for a training ({error}). Give another --out.") from None
    if names and not marked and not {"training.json", "folds.csv"} <= names:
        raise UsageError(
            f"{folder} holds files that no training made ({sorted(names)[0]}), and would delete them. "
            "Give another --out."
        )


def _clear(folder: Path) -> None:
    """Everything but the lock, ``training.json`` first: without it the rest counts for nothing."""
    (folder / "training.json").unlink(missing_ok=True)
    for path in folder.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        elif path.name != LOCK:
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
