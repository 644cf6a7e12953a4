"""boxes2masks from end to end: pull, ask SAM, judge, write. Written against ports."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from audit import out_folder
from audit.annotating.boxes2masks_steps import Converter
from audit.annotating.journalled import (
    BoxOf,
    accepted,
    carry_out,
    check_folder,
    open_to_all,
    write_folder,
    write_predictions,
)
from audit.annotating.segmenting import Segmenter, cuts
from audit.asking import Cache
from audit.core.annotations import Predictions, Problem, ShapeType, Snapshot
from audit.core.labels import listing
from audit.core.table import objects
from audit.core.words import amount
from audit.errors import UsageError
from audit.loop.masks_of_boxes import (
    Cut,
    Masked,
    Outline,
    Wanted,
    as_box,
    as_polygon,
    by_frame,
    judged,
    prompt,
    rectangles,
)
from audit.ports import AnnotationStore, FrameImage, Progress
from audit.push_ports import PushTarget, Report
from audit.runs import RunFolder

COMMAND = "boxes2masks"


@dataclass(frozen=True)
class Found:
    """Every rectangle's mask, by frame. outline: of a mask as one polygon."""

    run: RunFolder
    snapshot: Snapshot
    masks: tuple[Masked, ...]
    outline: Callable[[bytes, tuple[int, int]], Outline]
    wanted: Wanted


def find(
    store: AnnotationStore,
    open_segmenter: Callable[[], Segmenter],
    out: Path,
    *,
    wanted: Wanted,
    cache: Cache,
    progress: Progress,
) -> Found:
    """Ask SAM for a mask of each rectangle and write the folder ``out``; what was asked before is not run again.

    Raises UsageError or ServiceError; the same call goes on from there.
    """
    snapshot = store.snapshot(progress)
    check_folder(out, COMMAND, snapshot.source)
    strange = [name for name in wanted.labels if name not in snapshot.labels]
    if strange:
        raise UsageError(f"--label {strange[0]}: there is no such label; there are {listing(snapshot.labels)}")
    if not store.has_images():
        raise UsageError("SAM needs the images, and there are none")
    segmenter = open_segmenter()
    out_folder.claim(out, COMMAND, snapshot.source)
    looker = _Looker(snapshot, segmenter, wanted, cache)
    found = tuple(looker.masks(store, by_frame(snapshot.annotations, rectangles(snapshot, wanted.labels)), progress))
    snapshot = looker.snapshot(_left_out(snapshot))
    write_predictions(out, _table(snapshot, found), snapshot.labels)
    model = {"name": segmenter.name, "digest": segmenter.digest, "labels": []}
    settings = asdict(wanted)
    run = write_folder(out, COMMAND, snapshot, [model], settings=settings)
    return Found(run, snapshot, found, segmenter.outline, wanted)


def send(
    found: Found,
    target: PushTarget,
    box_of: BoxOf,
    *,
    replace_boxes: bool,
    execute: bool,
    include_completed: bool = False,
    progress: Progress,
) -> tuple[Report, dict[str, str]]:
    """Write the masks. Gives the report, and the label behind each line's key. See ``carry_out``.

    replace_boxes: delete each rectangle whose mask stands; with kind "box", really change them.
    """
    if execute and found.wanted.kind == "box" and not replace_boxes:
        raise UsageError("--as box changes the rectangles themselves: say --replace too, or look at it without --yes")
    converter = Converter(
        found.snapshot,
        found.masks,
        target,
        box_of,
        kind=found.wanted.kind,
        replace_boxes=replace_boxes,
        outline=found.outline,
        min_overlap=found.wanted.limits.overlap,
        execute=execute,
    )
    report = carry_out(
        found.run.path,
        [int(j) for j in dict.fromkeys(found.snapshot.frames.job.tolist())],
        converter.steps,
        target,
        execute=execute,
        closed=open_to_all if include_completed else accepted,
        progress=progress,
    )
    return report, converter.labels


class _Looker:
    """Asks SAM, frame by frame, and keeps what the images told."""

    def __init__(self, snapshot: Snapshot, segmenter: Segmenter, wanted: Wanted, cache: Cache) -> None:
        self._before, self._segmenter, self._wanted, self._cache = snapshot, segmenter, wanted, cache
        self._sha256, self._path = (np.array(t, object) for t in (snapshot.frames.sha256, snapshot.frames.path))
        self._problems: list[Problem] = []

    def masks(self, store: AnnotationStore, frames: dict[int, list[int]], progress: Progress) -> Iterator[Masked]:
        total = sum(map(len, frames.values()))
        with progress.task("Rectangles", total) as advance:
            for image in store.images(self._before, list(frames)):
                rows = frames[image.frame]
                if isinstance(image, FrameImage):
                    yield from self._of_frame(image, rows)
                else:
                    self._problem(image.frame, image.reason)
                advance(len(rows))

    def snapshot(self, more: Sequence[Problem]) -> Snapshot:
        """What was read, with the images' digests and files, and what could not be used."""
        frames = self._before.frames.replace(sha256=self._sha256, path=self._path)
        return replace(self._before, frames=frames, problems=(*self._before.problems, *more, *self._problems))

    def _of_frame(self, image: FrameImage, rows: list[int]) -> Iterator[Masked]:
        f = self._before.frames
        self._sha256[image.frame], self._path[image.frame] = image.sha256, str(image.path)
        hw = int(f.height[image.frame]), int(f.width[image.frame])
        if min(hw) < 1:
            self._problem(image.frame, "the server does not state its size")
            return
        boxes = [box for row in rows if (box := prompt(self._before, row)) is not None]
        found = cuts(self._segmenter, self._cache, image.data, image.sha256, hw, np.array(boxes))
        if isinstance(found, str):
            self._problem(image.frame, found)
            return
        for row, box, cut in zip(rows, boxes, found, strict=True):
            yield self._judged(row, box, cut, hw)

    def _judged(self, row: int, box: tuple[float, float, float, float], cut: Cut, hw: tuple[int, int]) -> Masked:
        found = judged(row, box, cut, hw, self._wanted.limits)
        if self._wanted.kind == "box":
            return as_box(found, box)
        if self._wanted.kind != "polygon" or cut.counts is None:
            return found
        return as_polygon(found, self._segmenter.outline(cut.counts, hw))

    def _problem(self, frame: int, reason: str) -> None:
        self._problems.append(Problem(str(self._before.frames.name[frame]), reason))


def _left_out(snapshot: Snapshot) -> list[Problem]:
    """Rectangles that are never turned into masks, and why."""
    a = snapshot.annotations
    single = (a.shape == ShapeType.RECTANGLE) & ~a.track
    flat = Counter(int(a.frame[r]) for r in np.flatnonzero(single).tolist() if prompt(snapshot, r) is None)
    said = [
        Problem(str(snapshot.frames.name[f]), f"{amount(n, 'rectangle')} without area left out")
        for f, n in flat.items()
    ]
    tracks = len(np.unique(a.annotation_id[(a.shape == ShapeType.RECTANGLE) & a.track]))
    if tracks:
        said.append(
            Problem(snapshot.source, f"{amount(tracks, 'track')} of rectangles left out: tracks stay as they are")
        )
    return said


def _table(snapshot: Snapshot, found: Sequence[Masked]) -> Predictions:
    """The masks as predictions, poor ones too."""
    a, rows = snapshot.annotations, np.array([m.row for m in found], np.int64)
    return Predictions(
        xyxy=np.array([m.box for m in found], np.float64).reshape(-1, 4),
        frame=a.frame[rows],
        label=a.label[rows],
        score=np.array([m.cut.score for m in found], np.float64),
        mask=objects(m.cut.counts for m in found),
    )
