"""What ``prelabel`` writes into a job: shapes to create, and earlier ones of its own to delete."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from audit.annotating.journalled import BoxOf, ByFrame, Own
from audit.core.annotations import Snapshot
from audit.core.boxes import iou_matrix
from audit.core.corrections import Correction
from audit.core.proposals import Box
from audit.core.table import BoolArray
from audit.journal import Chain, Item
from audit.loop.prelabels import SAME_PLACE, Rules, Wish, elsewhere
from audit.push_engine import Step
from audit.push_ports import Line, Place, PushTarget, Shape, Unfit

WORKED = "somebody has worked on this frame; with --fill it gets what is not labelled yet"


class Drawer:
    """Makes a job's steps. rows: frames to draw on, neither blind nor unreadable.

    labels: of every key it made a line for. drawn: what it found to fit, by key. outdated: earlier pre-labels that
    these settings would not draw.
    left: rows of frames that were left to the people who have worked on them.
    """

    def __init__(
        self,
        snapshot: Snapshot,
        wanted: Callable[[Sequence[int]], list[Wish]],
        rows: BoolArray,
        rules: Rules,
        target: PushTarget,
        box_of: BoxOf,
    ) -> None:
        self.snapshot, self.wanted, self.rows, self.rules = snapshot, wanted, rows, rules
        self.target, self.box_of = target, box_of
        self.labels: dict[str, str] = {}
        self.drawn: dict[str, Correction] = {}
        self.outdated = 0
        self.left: set[int] = set()
        self._elsewhere = elsewhere(snapshot)

    def steps(self, job: int, own: Own) -> tuple[list[Line], list[Step]]:
        """Of one job: lines for what stands already, and what to create and delete."""
        rows = [int(r) for r in np.flatnonzero((self.snapshot.frames.job == job) & self.rows)]
        wished = [replace(w, base=own.free_key(w.base)) for w in self.wanted(rows)]
        wanted = {w.base for w in wished}
        self.labels.update((w.base, w.label) for w in wished)
        row_of = {int(self.snapshot.frames.number[r]): r for r in rows}
        stale = [c for c in own.of_job(job).values() if not wanted & set(c.findings) and _number(c) in row_of]
        self.outdated += len(stale)
        room = _Room(self, job, own, {row_of[_number(c)] for c in stale})
        lines, steps = [], []
        for wish in wished:
            standing = own.stands(wish.base)
            line = Line((wish.base,), "create", job, "to do", frame=wish.row)
            if standing is not None:
                lines.append(replace(line, status="already", id=standing.id, reason="drawn by an earlier run"))
            else:
                steps.append(Step(line, "create", self._creation(wish, line, room)))
        if self.rules.replace:
            steps += [self._deletion(chain, row_of[_number(chain)], job, room) for chain in stale]
        return lines, steps

    def place(self, row: int) -> Place:
        f = self.snapshot.frames
        return Place(int(f.job[row]), int(f.number[row]), (int(f.height[row]), int(f.width[row])))

    def elsewhere(self, row: int) -> Sequence[tuple[Box, str]]:
        """What people see on a frame that is not among its job's single shapes, and how to name it."""
        return self._elsewhere.get(row, ())

    def _creation(self, wish: Wish, line: Line, room: _Room) -> Callable[[dict[int, Shape]], Item | Line]:
        def prepare(shapes: dict[int, Shape]) -> Item | Line:
            try:
                shape = self._drawn(wish)
            except Unfit as problem:
                return replace(line, status="conflict", reason=str(problem))
            twin = self.target.twin(shapes, shape)
            if twin is not None:
                return replace(line, status="already", id=twin, reason="this very shape is there")
            reason = room.taken(shapes, wish.row, self.box_of(shape))
            return replace(line, status="already", reason=reason) if reason else Item((wish.base,), None, None, shape)

        return prepare

    def _drawn(self, wish: Wish) -> Shape:
        """In the first type that the label takes. Raises Unfit with the reason of the last."""
        place, reason = self.place(wish.row), wish.lacking
        for correction in wish.alternatives:
            try:
                shape = self.target.drawn(correction, place)
                self.drawn[wish.base] = correction
                return shape
            except Unfit as problem:
                reason = str(problem)
        raise Unfit(reason)

    def _deletion(self, chain: Chain, row: int, job: int, room: _Room) -> Step:
        line = Line(chain.findings, "delete", job, "to do", frame=row, id=chain.id)

        def prepare(shapes: dict[int, Shape]) -> Item | Line:
            now = shapes.get(chain.id)
            if now is None:
                return replace(line, status="already", reason="somebody deleted it")
            if chain.after is None or not self.target.same(now, chain.after):
                return replace(line, status="already", reason="somebody changed it since; it stays")
            if room.worked(shapes, row):
                return replace(line, status="already", reason=WORKED)
            return Item(chain.findings, chain.id, now, None)

        return Step(line, "delete", prepare)


class _Room:
    """Whether a frame, or a place on it, is free for a pre-label."""

    def __init__(self, drawer: Drawer, job: int, own: Own, stale: set[int]) -> None:
        self._drawer, self._job, self._own, self._stale = drawer, job, own, stale
        self._by_frame = ByFrame()

    def taken(self, shapes: dict[int, Shape], row: int, box: Box) -> str:
        """Why nothing may be drawn there; "" if it may."""
        rules, number = self._drawer.rules, self._drawer.place(row).number
        if row in self._stale and not rules.replace:
            return "the frame holds pre-labels of other settings; --replace-auto replaces those nobody touched"
        if self.worked(shapes, row):
            return WORKED
        for shape in self._theirs(shapes, number):
            if _overlap(box, self._drawer.box_of(shape)) >= SAME_PLACE:
                return f"shape {shape['id']} is there"
        there = (what for other, what in self._drawer.elsewhere(row) if _overlap(box, other) >= SAME_PLACE)
        what = next(there, "")
        if what:
            return f"{what} is there"
        if any(_overlap(box, self._drawer.box_of(shape)) >= SAME_PLACE for shape in self._gone(shapes, number)):
            return "somebody deleted a pre-label there"
        return ""

    def worked(self, shapes: dict[int, Shape], row: int) -> bool:
        """Whether people have worked on a frame, so that it is left to them: drawn, changed or deleted something."""
        number = self._drawer.place(row).number
        if self._drawer.rules.fill:
            return False
        people = self._theirs(shapes, number) or self._drawer.elsewhere(row) or self._gone(shapes, number)
        if people:
            self._drawer.left.add(row)
        return bool(people)

    def _theirs(self, shapes: dict[int, Shape], number: int) -> list[Shape]:
        return [s for s in self._by_frame.at(shapes, number) if not self._own.untouched(self._job, s)]

    def _gone(self, shapes: dict[int, Shape], number: int) -> list[Shape]:
        """Our shapes that somebody deleted."""
        ours = self._own.at(self._job, number).values()
        return [c.after for c in ours if c.id not in shapes and c.after is not None]


def _number(chain: Chain) -> int:
    return int(chain.after["frame"]) if chain.after is not None else -1


def _overlap(a: Box, b: Box) -> float:
    boxes = np.array([a, b], np.float64)
    return float(iou_matrix(boxes[:1], boxes[1:])[0, 0]) if np.isfinite(boxes).all() else 0.0
