"""A task's labels and pictures as a YOLO dataset on disk, written once: what a training reads, again and again.

``images/`` links to the pictures where they lie (or holds a plain copy of one that trainers read in another
way than we do), ``labels/`` has a text per picture, ``folds.csv`` tells each picture's fold.
"""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from audit.adapters.pictures import UNREADABLE, PictureError, decode_rgb, open_image, size_hw
from audit.core.annotations import Annotations, Frames, Problem, Snapshot, comparable
from audit.core.likeness import Hashes, difference_hash
from audit.core.table import BoolArray, IntArray
from audit.core.table import objects as object_array
from audit.errors import ServiceError, UsageError
from audit.loop.folds import Plan
from audit.ports import AnnotationStore, FrameImage, FrameProblem, PredictItem, Progress
from audit.runs import atomic
from audit.training_ports import Example

COLUMNS = ("picture", "name", "task", "job", "number", "image_id", "width", "height", "group", "fold", "learnt")
PLAIN = {"JPEG": ".jpg", "PNG": ".png", "BMP": ".bmp", "WEBP": ".webp"}
"""Kinds of pictures that every trainer reads as we do, if they are 8-bit grey or RGB."""
JPEG_END = b"\xff\xd9"
THUMBNAIL = (144, 128)
"""Pixels that are enough to tell whether two pictures look alike; a JPEG is decoded no larger than needed."""


@dataclass(frozen=True)
class Pictures:
    """Those that can be used. frames: as in the snapshot, with the sizes found; row: (n,) their rows there.

    files: (n,) names within ``images/``. hashes: (n,) of what they show. problems: those that cannot be used.
    """

    frames: Frames
    row: IntArray
    files: tuple[str, ...]
    hashes: Hashes
    problems: tuple[Problem, ...]


def gather(store: AnnotationStore, snapshot: Snapshot, folder: Path, progress: Progress) -> Pictures:
    """Read every picture once, whole, and link to it (or copy it) in ``folder/images``."""
    images = folder / "images"
    images.mkdir(parents=True, exist_ok=True)
    row: list[int] = []
    files, sizes, hashes, problems = [], [], [], []
    every = range(len(snapshot.frames))
    with progress.task("Reading images", len(every)) as advance:
        for image in store.images(snapshot, every):
            advance()
            try:
                file, hw, value = _placed(image, snapshot.frames, images)
            except PictureError as error:
                problems.append(Problem(str(snapshot.frames.name[image.frame]), str(error)))
                continue
            row.append(image.frame)
            files.append(file)
            sizes.append(hw)
            hashes.append(value)
    rows, sizes_hw = np.array(row, np.int64), np.array(sizes, np.int64).reshape(-1, 2)
    frames = snapshot.frames[rows].replace(height=sizes_hw[:, 0], width=sizes_hw[:, 1])
    return Pictures(frames, rows, tuple(files), np.array(hashes, np.uint64), tuple(problems))


def _placed(image: FrameImage | FrameProblem, frames: Frames, images: Path) -> tuple[str, tuple[int, int], np.uint64]:
    """File name, size and hash of a picture that now stands in ``images``. Raises PictureError."""
    if isinstance(image, FrameProblem):
        raise PictureError(image.reason)
    stated = int(frames.height[image.frame]), int(frames.width[image.frame])
    extension, thumbnail = _plain(image.data)
    if extension and stated in ((0, 0), hw := size_hw(image.data)):
        file = images / f"{image.frame:06d}{extension}"
        _link(image.path.absolute(), file)
        return file.name, hw, difference_hash(thumbnail)
    rgb = decode_rgb(image.data, stated)
    file = images / f"{image.frame:06d}.png"
    with atomic(file) as stream:
        Image.fromarray(rgb).save(stream, "PNG", compress_level=1)
    return file.name, (rgb.shape[0], rgb.shape[1]), difference_hash(rgb)


def _plain(data: bytes) -> tuple[str, Any]:
    """File extension and a small grey picture; no extension if trainers might read (or repair) it in another way."""
    try:
        with open_image(io.BytesIO(data)) as image:
            whole = image.format != "JPEG" or data.endswith(JPEG_END)
            if image.format not in PLAIN or image.mode not in ("RGB", "L") or not whole:
                return "", None
            image.draft("L", THUMBNAIL)
            return PLAIN[image.format], np.asarray(image.convert("L"))  # decodes it, so that a broken one shows here
    except UNREADABLE:
        return "", None


def _link(target: Path, link: Path) -> None:
    try:
        link.unlink(missing_ok=True)
        link.symlink_to(target)
    except OSError as error:
        raise ServiceError(f"cannot write {link}: {error.strerror or error}") from error


def learnable(annotations: Annotations) -> Annotations:
    """Those with an area, as boxes: what a detector learns from. Masks and polygons count with their box."""
    sides = annotations.xyxy[:, 2:] - annotations.xyxy[:, :2]
    return annotations[comparable(annotations) & np.isfinite(annotations.xyxy).all(axis=1) & (sides > 0).all(axis=1)]


def objects(annotations: Annotations, pictures: Pictures, labels: int) -> IntArray:
    """(pictures, labels) how many of each label a picture holds."""
    place = np.full(int(max(pictures.row.max(initial=-1), annotations.frame.max(initial=-1))) + 1, -1)
    place[pictures.row] = np.arange(len(pictures.row))
    at = place[annotations.frame]
    counts = np.zeros((len(pictures.row), labels), np.int64)
    np.add.at(counts, (at[at >= 0], annotations.label[at >= 0]), 1)
    return counts


def write(folder: Path, pictures: Pictures, annotations: Annotations, plan: Plan) -> None:
    """Labels, and the table of folds. annotations: ``learnable`` ones of the snapshot."""
    (folder / "labels").mkdir(exist_ok=True)
    code = np.full(max(plan.labels) + 1, -1)
    code[list(plan.labels)] = np.arange(len(plan.labels))
    a = annotations[np.isin(annotations.label, plan.labels)]
    a = a[np.argsort(a.frame, kind="stable")]
    first, last = (np.searchsorted(a.frame, pictures.row, side) for side in ("left", "right"))
    f = pictures.frames
    for i, file in enumerate(pictures.files):
        own = a[slice(int(first[i]), int(last[i]))]
        lines = _lines(own.xyxy, code[own.label], (int(f.height[i]), int(f.width[i])))
        _text(_labels_of(folder, file), lines)
    with atomic(folder / "folds.csv", "w") as stream:
        out = csv.writer(stream)
        out.writerow(COLUMNS)
        ids = (f.name, f.task, f.job, f.number, f.image_id, f.width, f.height, plan.group, plan.fold + 1, plan.trained)
        out.writerows((file, *(c[i] for c in ids[:-1]), int(ids[-1][i])) for i, file in enumerate(pictures.files))


def _lines(xyxy: Any, label: IntArray, hw: tuple[int, int]) -> str:
    """YOLO's text: label, centre and size in shares of the picture's; what lies outside is cut off."""
    scale = np.array([hw[1], hw[0], hw[1], hw[0]], np.float64)
    box = np.clip(xyxy / scale, 0, 1)
    wh = box[:, 2:] - box[:, :2]
    rows = np.hstack([(box[:, :2] + box[:, 2:]) / 2, wh])
    seen = (wh > 0).all(axis=1)
    return "".join(
        f"{c} {' '.join(f'{v:.6f}' for v in r)}\n"
        for c, r in zip(label[seen].tolist(), rows[seen].tolist(), strict=True)
    )


def _text(path: Path, text: str) -> None:
    try:
        path.write_text(text)
    except OSError as error:
        raise ServiceError(f"cannot write {path}: {error.strerror or error}") from error


def _labels_of(folder: Path, file: str) -> Path:
    return (folder / "labels" / file).with_suffix(".txt")


@dataclass(frozen=True)
class Dataset:
    """What ``write`` left in ``folder``, read back. fold: (n,) from 0. learnt: (n,) whether models learn from it."""

    folder: Path
    files: tuple[str, ...]
    frames: Frames
    fold: IntArray
    learnt: BoolArray

    @property
    def folds(self) -> int:
        """How many there are."""
        return int(self.fold.max(initial=-1)) + 1

    def to_learn(self, fold: int) -> IntArray:
        """Rows that the model of this fold learns from: none of its own."""
        return np.flatnonzero((self.fold != fold) & self.learnt)

    def held_out(self, fold: int) -> IntArray:
        """Rows that the model of this fold judges."""
        return np.flatnonzero(self.fold == fold)

    def first_of_picture(self) -> BoolArray:
        """(n,) False for frames of a picture that an earlier frame shows, as jobs that overlap have them.

        A results file knows pictures, not frames.
        """
        f, seen = self.frames, set[tuple[Any, ...]]()
        first = np.zeros(len(f), bool)
        for i, picture in enumerate(zip(f.task.tolist(), f.name, f.image_id.tolist(), strict=True)):
            first[i] = picture not in seen
            seen.add(picture)
        return first

    def examples(self, rows: Sequence[int] | IntArray) -> list[Example]:
        """With their labels, as read from disk. Raises UsageError if one is gone."""
        return [self._example(int(i)) for i in rows]

    def items(self, rows: IntArray) -> Iterator[PredictItem]:
        """To predict; no size is stated, since the pictures here have been turned the right way."""
        f = self.frames
        for i in rows.tolist():
            yield PredictItem(
                frame=i,
                name=str(f.name[i]),
                image_id=int(f.image_id[i]),
                task=int(f.task[i]),
                number=int(f.number[i]),
                size_hw=(0, 0),
                sha256="",
                data=_bytes(self.folder / "images" / self.files[i]),
            )

    def _example(self, i: int) -> Example:
        file = self.folder / "images" / self.files[i]
        if not file.exists():
            raise UsageError(f"{file} is gone, or what it links to. Begin anew with --restart.")
        numbers = [line.split() for line in _bytes(_labels_of(self.folder, self.files[i])).decode().splitlines()]
        table = np.array(numbers, np.float64).reshape(-1, 5)
        hw = int(self.frames.height[i]), int(self.frames.width[i])
        return Example(file, hw, table[:, 0].astype(np.int64), table[:, 1:].astype(np.float32))


def read(folder: Path) -> Dataset:
    """The inverse of ``write``. Raises UsageError if it cannot be read."""
    path = folder / "folds.csv"
    try:
        with path.open(newline="", encoding="utf-8") as stream:
            rows = list(csv.DictReader(stream))
        if not rows:
            raise ValueError("it lists no pictures")
        columns = {name: [r[name] for r in rows] for name in COLUMNS}
        numbers = {n: np.array(columns[n], np.int64) for n in COLUMNS[2:]}
    except (OSError, KeyError, ValueError, csv.Error) as error:
        raise UsageError(f"{path} cannot be read ({error}). Begin anew with --restart.") from None
    frames = Frames(
        name=object_array(columns["name"]),
        number=numbers["number"],
        width=numbers["width"],
        height=numbers["height"],
        task=numbers["task"],
        job=numbers["job"],
        image_id=numbers["image_id"],
    )
    return Dataset(folder, tuple(columns["picture"]), frames, numbers["fold"] - 1, numbers["learnt"] > 0)


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UsageError(
            f"{path} cannot be read ({os.strerror(error.errno or 0)}). Begin anew with --restart."
        ) from None
