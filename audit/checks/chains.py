"""An object that is missed on one frame of a video after the other is one missing label. Frame by frame, in order."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from audit.checks.causes import Clock
from audit.checks.evidence_over_time import half_as_likely, log_odds, stretches, together
from audit.core.boxes import iou_matrix
from audit.core.findings import Findings
from audit.core.table import FloatArray, IntArray

LINK_IOU = 0.3
"""Overlap from which a box and the one some frames earlier are one object (SORT: Bewley et al. 2016, "Simple online and
realtime tracking", section 4)."""
GAP = 5
"""Frames on which a detector may lose an object between two that it sees: a fifth of a second."""
QUIET = -1.0
"""Log odds that a frame gives on which an object is not seen, between two frames on which it is, or next to them: what
is there stays there for more than a moment, while detectors' ghosts flicker. A judgement: two quiet neighbours make
52 % of a single frame's 90 %."""


@dataclass(eq=False)
class _Chain:
    """One object. where: task and job. best: row of its likeliest finding among those in work."""

    where: tuple[int, int]
    label: int
    box: FloatArray
    place: int
    best: int
    best_score: float
    odds: list[float] = field(default_factory=list)
    places: list[int] = field(default_factory=list)
    frames: list[int] = field(default_factory=list)

    def add(self, row: int, score: float, odds: float, frame: int) -> None:
        self.odds.append(odds)
        self.places.append(self.place)
        self.frames.append(frame)
        if score > self.best_score:
            self.best, self.best_score = row, score


class Chains:
    """Takes missing labels in the order of frames and gives objects back once they are out of sight.

    In memory are only those still in sight. clock: of all frames. job: (frames,) ids; a chain never leaves its job,
    since every job has labels of its own.
    """

    def __init__(self, clock: Clock, job: IntArray) -> None:
        self._clock, self._job = clock, job
        self._ends = _ends(clock, job)
        self._open: list[_Chain] = []
        self._carried = Findings()
        self._where = (-1, -1)

    def take(self, missing: Findings) -> Findings:
        """More missing labels, all of later frames. Gives the objects that ended meanwhile, without ids."""
        if not len(missing):
            return Findings()
        f = missing[np.lexsort([missing.prediction, missing.frame])]
        work = Findings.concat([self._carried, f])
        shift = len(self._carried)
        for i, chain in enumerate(self._open):
            chain.best = i
        closed: list[_Chain] = []
        odds, starts = log_odds(f.score), np.flatnonzero(np.append(True, np.diff(f.frame) > 0)[: len(f)])
        for start, stop in zip(starts.tolist(), [*starts[1:].tolist(), len(f)], strict=True):
            closed += self._step(f, slice(start, stop), odds, shift)
        self._carried = work[np.array([c.best for c in self._open], np.int64)]
        return self._ended(closed, work)

    def rest(self) -> Findings:
        """The objects still in sight, when no more frames follow."""
        ended = self._ended(self._open, self._carried, in_order=True)
        self._open, self._carried = [], Findings()
        return ended

    def _step(self, f: Findings, rows: slice, odds: FloatArray, shift: int) -> list[_Chain]:
        """One frame."""
        frame = int(f.frame[rows.start])
        place, where = int(self._clock.place[frame]), (int(self._clock.task[frame]), int(self._job[frame]))
        near = [c for c in self._open if where == self._where and 0 < place - c.place <= GAP + 1]
        closed = [c for c in self._open if c not in near]
        self._where = where
        labels, boxes = f.suggested_label[rows], f.suggested_xyxy[rows]
        follows = _linked(near, labels, boxes)
        for i, row in enumerate(range(rows.start, rows.stop)):
            chain = follows.get(i)
            if chain is None:
                chain = _Chain(where, int(labels[i]), boxes[i], place, shift + row, -1.0)
                near.append(chain)
            chain.box, chain.place = boxes[i], place
            chain.add(shift + row, float(f.score[row]), float(odds[row]), frame)
        self._open = near
        return closed

    def _ended(self, chains: Iterable[_Chain], work: Findings, *, in_order: bool = False) -> Findings:
        listed = list(chains)
        rows = np.arange(len(listed)) if in_order else np.array([c.best for c in listed], np.int64)
        best = (work[np.array([row])] for row in rows)
        return Findings.concat(
            [_object(c, b, self._clock, self._ends[c.where]) for c, b in zip(listed, best, strict=True)]
        )


def _linked(near: list[_Chain], labels: IntArray, boxes: FloatArray) -> dict[int, _Chain]:
    """By position of the box, the chain that it goes on; each at most once, best overlap first."""
    if not near:
        return {}
    iou = iou_matrix(np.array([c.box for c in near]), boxes)
    iou[np.array([c.label for c in near])[:, None] != labels] = 0.0
    linked: dict[int, _Chain] = {}
    used: set[int] = set()
    for place in np.argsort(-iou, axis=None, kind="stable").tolist():
        chain, box = divmod(place, len(labels))
        if iou[chain, box] < LINK_IOU:
            break
        if chain not in used and box not in linked:
            linked[box] = near[chain]
            used.add(chain)
    return linked


def _ends(clock: Clock, job: IntArray) -> dict[tuple[int, int], tuple[int, int]]:
    """First and last place of each task's jobs."""
    keys, of = np.unique(np.column_stack([clock.task, job]), axis=0, return_inverse=True)
    first, last = np.full(len(keys), np.iinfo(np.int64).max), np.full(len(keys), -1)
    np.minimum.at(first, of.reshape(-1), clock.place)
    np.maximum.at(last, of.reshape(-1), clock.place)
    pairs = zip(first.tolist(), last.tolist(), strict=True)
    return {(task, number): (a, z) for (task, number), (a, z) in zip(keys.tolist(), pairs, strict=True)}


def _object(chain: _Chain, best: Findings, clock: Clock, ends: tuple[int, int]) -> Findings:
    """One finding, told by the likeliest frame; of an object that is only sometimes likely, from where it is.

    ends: first and last place of its job.
    """
    places, frames, seen = np.array(chain.places), np.array(chain.frames), np.array(chain.odds)
    start, stop = max(ends[0], chain.places[0] - 1), min(ends[1], chain.places[-1] + 1)
    odds = np.full(stop - start + 1, QUIET)
    odds[places - start] = seen
    likely = np.zeros(len(odds), bool)
    above = np.full(len(odds), QUIET)
    above[places - start] = seen - half_as_likely(seen)
    for part in stretches(above):
        likely[part] = True
    shown = likely[places - start]
    shown[seen.argmax()] = True
    first, last, many = int(frames[shown][0]), int(frames[shown][-1]), int(shown.sum())
    around = odds[max(places[shown][0] - start - 1, 0) : places[shown][-1] - start + 2]
    if many == 1:
        return best.replace(score=[together(around)]) if len(around) > 1 else best
    reason = f"{best.reason[0]} So it is on {many} frames ({clock.number[first]} to {clock.number[last]})."
    return best.replace(
        score=[together(around)],
        frames=[many],
        first_frame=[first],
        last_frame=[last],
        reason=np.array([reason, None], dtype=object)[:1],
    )
