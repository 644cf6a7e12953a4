"""What becomes of the rectangles on a server: a mask or polygon beside each, or in its place, or a tight box.

Written against ports; knows no vendor.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import numpy as np

from audit.annotating.journalled import BoxOf, ByFrame, Own
from audit.core.annotations import Snapshot
from audit.core.boxes import iou_matrix
from audit.core.corrections import Action, Correction
from audit.core.proposals import Proposal
from audit.journal import Chain, Item
from audit.loop.masks_of_boxes import KINDS, Masked, Outline
from audit.push_engine import Step
from audit.push_ports import Line, Place, PushTarget, Shape, Unfit

COVERED = 0.6
"""IoU of a mask's box with a rectangle from which it is taken for the rectangle's own, if masks must fit so well."""
TIGHT = 0.97
"""IoU of the tightened box with the rectangle from which nothing is gained by writing it."""
SOURCE = "semi-auto"
"""CVAT's word for what a person began and a model finished."""
KEPT = ("attributes", "occluded", "z_order", "group")
"""What a mask takes over from its rectangle, beside label and frame."""


class Converter:
    """Makes a job's steps. found: every rectangle's mask. labels: of every key it made a line for."""

    def __init__(  # noqa: PLR0913 - what to write, and how to look at what is there
        self,
        snapshot: Snapshot,
        found: Sequence[Masked],
        target: PushTarget,
        box_of_shape: BoxOf,
        *,
        kind: str,
        replace_boxes: bool,
        outline: Callable[[bytes, tuple[int, int]], Outline],
        min_overlap: float,
        execute: bool,
    ) -> None:
        self.snapshot, self.target, self.box_of = snapshot, target, box_of_shape
        self.kind, self._replace, self._outline, self._execute = kind, replace_boxes, outline, execute
        self._covered = min(COVERED, min_overlap)
        self.labels: dict[str, str] = {}
        self._outlines: dict[int, Outline] = {}
        self._of_job: dict[int, list[Masked]] = {}
        for masked in found:
            frame = snapshot.annotations.frame[masked.row]
            self._of_job.setdefault(int(snapshot.frames.job[frame]), []).append(masked)

    def steps(self, job: int, own: Own) -> tuple[list[Line], list[Step]]:
        """Of one job: lines for what is done or left alone, and what to create, change and delete."""
        lines: list[Line] = []
        steps: list[Step] = []
        frames = ByFrame()
        for masked in self._of_job.get(job, ()):
            made = list(self._of_one(masked, job, own, frames))
            lines += [part for part in made if isinstance(part, Line)]
            steps += [part for part in made if isinstance(part, Step)]
        return lines, steps

    def _of_one(self, masked: Masked, job: int, own: Own, frames: ByFrame) -> Iterator[Line | Step]:
        a = self.snapshot.annotations
        rectangle, label = int(a.annotation_id[masked.row]), self.snapshot.labels[a.label[masked.row]]
        key = own.free_key(f"{self.kind}-of-{rectangle}")
        action = "update" if self.kind == "box" else "create"
        line = Line((key,), action, job, "to do", frame=int(a.frame[masked.row]), note=f"rectangle {rectangle}")
        self.labels |= {key: label, f"rectangle-{rectangle}": label}
        standing = self._standing(rectangle, own)
        if standing is not None:
            yield replace(line, status="already", id=standing.id, reason="done by an earlier run")
        elif masked.poor:
            yield replace(line, status="conflict", id=rectangle, reason=masked.poor)
            return
        elif self.kind == "box":
            yield Step(line, "update", self._tightening(masked, replace(line, id=rectangle)))
        else:
            if self.kind == "polygon":
                line = replace(line, note=", ".join(t for t in (line.note, self._outline_of(masked).note) if t))
            yield Step(line, "create", self._creation(masked, line, own, frames))
        if self._replace and self.kind != "box":
            deletion = replace(line, findings=(f"rectangle-{rectangle}",), action="delete", id=rectangle, note="")
            yield Step(deletion, "delete", self._deletion(masked, deletion, rectangle, own))

    def _standing(self, rectangle: int, own: Own) -> Chain | None:
        """What we made of a rectangle already, be it in the other kind: one object needs no mask and polygon."""
        kinds = ("box",) if self.kind == "box" else ("mask", "polygon")
        found = (own.stands(own.free_key(f"{kind}-of-{rectangle}")) for kind in kinds)
        return next((chain for chain in found if chain is not None), None)

    def _outline_of(self, masked: Masked) -> Outline:
        if masked.row not in self._outlines and masked.cut.counts is not None:
            self._outlines[masked.row] = self._outline(masked.cut.counts, self._place(masked, -1).size_hw)
        return self._outlines[masked.row]

    def _creation(
        self, masked: Masked, line: Line, own: Own, frames: ByFrame
    ) -> Callable[[dict[int, Shape]], Item | Line]:
        def prepare(shapes: dict[int, Shape]) -> Item | Line:
            rectangle = self._as_read(masked, shapes)
            if isinstance(rectangle, str):
                return replace(line, status="conflict", reason=rectangle)
            cover = self._cover(rectangle, line.job, frames.at(shapes, int(rectangle["frame"])), own)
            if cover is not None:
                return replace(line, status="already", reason=f"shape {cover} covers it")
            try:
                wanted = self._drawn(masked, rectangle, line.job)
            except Unfit as problem:
                return replace(line, status="conflict", reason=str(problem))
            return Item(line.findings, None, None, wanted)

        return prepare

    def _tightening(self, masked: Masked, line: Line) -> Callable[[dict[int, Shape]], Item | Line]:
        def prepare(shapes: dict[int, Shape]) -> Item | Line:
            rectangle = self._as_read(masked, shapes)
            if isinstance(rectangle, str):
                return replace(line, status="conflict", reason=rectangle)
            if float(rectangle.get("rotation") or 0) % 360:
                return replace(line, status="conflict", reason="it is turned, and a tight box would not be")
            if masked.overlap >= TIGHT:
                return replace(line, status="already", reason="it is tight")
            place, change = self._place(masked, line.job), self._correction(masked, Action.UPDATE)
            return Item(line.findings, line.id, rectangle, self.target.changed(rectangle, change, place))

        return prepare

    def _deletion(self, masked: Masked, line: Line, key: int, own: Own) -> Callable[[dict[int, Shape]], Item | Line]:
        def prepare(shapes: dict[int, Shape]) -> Item | Line:
            rectangle, made = self._as_read(masked, shapes), self._standing(key, own)
            if isinstance(rectangle, str):
                return replace(line, status="conflict", reason=rectangle)
            # in a dry run the mask is only about to be made
            if self._execute and (made is None or made.id not in shapes):
                return replace(line, status="conflict", reason=f"no {self.kind} of ours stands for it; it stays")
            return Item(line.findings, line.id, rectangle, None)

        return prepare

    def _as_read(self, masked: Masked, shapes: dict[int, Shape]) -> Shape | str:
        """The rectangle if it is still what SAM was asked about, else what is the matter."""
        a = self.snapshot.annotations
        key = int(a.annotation_id[masked.row])
        now = shapes.get(key)
        if now is None:
            return f"rectangle {key} was deleted since it was read"
        unchanged = self.target.digest(now) == a.digest[masked.row]
        return now if unchanged else f"rectangle {key} was changed since it was read; run again"

    def _cover(self, rectangle: Shape, job: int, here: Sequence[Shape], own: Own) -> int | None:
        """A mask or polygon of the same label in the same place, which we did not make for another rectangle."""
        box = np.array([self.box_of(rectangle)])
        for shape in here:
            alike = shape["type"] in ("mask", "polygon") and shape["label_id"] == rectangle["label_id"]
            if not alike or own.untouched(job, shape):
                continue
            if iou_matrix(box, np.array([self.box_of(shape)]))[0, 0] >= self._covered:
                return int(shape["id"])
        return None

    def _drawn(self, masked: Masked, rectangle: Shape, job: int) -> Shape:
        shape = self.target.drawn(self._correction(masked, Action.CREATE), self._place(masked, job))
        return {**shape, **{name: rectangle[name] for name in KEPT if name in rectangle}, "source": SOURCE}

    def _correction(self, masked: Masked, action: Action) -> Correction:
        a = self.snapshot.annotations
        ring = self._outline_of(masked).ring if self.kind == "polygon" else ()
        label = self.snapshot.labels[a.label[masked.row]]
        geometry = Proposal(masked.box, ring, masked.cut.counts)
        return Correction(
            action,
            (),
            int(a.frame[masked.row]),
            label="" if action is Action.UPDATE else label,
            shape=KINDS[self.kind],
            geometry=geometry,
            score=masked.cut.score,
        )

    def _place(self, masked: Masked, job: int) -> Place:
        f, row = self.snapshot.frames, int(self.snapshot.annotations.frame[masked.row])
        return Place(job, int(f.number[row]), (int(f.height[row]), int(f.width[row])))
