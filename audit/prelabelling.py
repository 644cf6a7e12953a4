"""Pre-labels: which of a model's objects become shapes in CVAT, and which frames are left blind.

Written against ports; knows no vendor.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from audit.adding import Box, BoxOf, ByFrame, Own
from audit.core.annotations import Annotations, Predictions, ShapeType, Snapshot
from audit.core.boxes import iou_matrix
from audit.core.corrections import Action, Correction
from audit.core.proposals import Proposal, boxed, masked, outlined
from audit.core.table import BoolArray, FloatArray
from audit.journal import Chain, Item
from audit.push_engine import Step
from audit.push_ports import Line, Place, PushTarget, Shape, Unfit

THRESHOLD = 0.25
"""What ultralytics' own ``predict`` keeps by default, and so our function inside CVAT."""
SAME_PLACE = 0.5
"""IoU from which a prediction shows what somebody has labelled already, or deleted."""
NO_MASK = "the model gives no mask of it that could be drawn so"
KINDS: Mapping[str, tuple[ShapeType, ...]] = {
    "auto": (ShapeType.MASK, ShapeType.POLYGON, ShapeType.RECTANGLE),
    "mask": (ShapeType.MASK,),
    "polygon": (ShapeType.POLYGON,),
    "rectangle": (ShapeType.RECTANGLE,),
}
"""The types of shape to draw, the first that fits the label and the prediction."""


@dataclass(frozen=True)
class Rules:
    """What to draw where.

    thresholds: lowest score by label name, under "" that of all others. kind: of ``KINDS``. replace: draw
    anew where this folder's earlier pre-labels stand untouched. fill: also frames that hold labels already.
    """

    thresholds: Mapping[str, float] = field(default_factory=lambda: {"": THRESHOLD})
    kind: str = "auto"
    replace: bool = False
    fill: bool = False

    def lowest(self, labels: Sequence[str]) -> FloatArray:
        """(n,) the threshold of each label."""
        return np.array([self.thresholds.get(name, self.thresholds[""]) for name in labels], np.float64)


@dataclass(frozen=True)
class Wish:
    """One object to draw, in the types that may fit it, best first; in none if only a mask will do. base: hashes

    the facts.
    """

    base: str
    row: int
    label: str
    alternatives: tuple[Correction, ...]


def wishes(snapshot: Snapshot, predictions: Predictions, rules: Rules, rows: Sequence[int], model: str) -> list[Wish]:
    """What the model would draw on these rows of frames, by frame, best first. model: digest, part of each key."""
    lowest = np.append(rules.lowest(snapshot.labels), np.inf)
    chosen = np.isin(predictions.frame, rows) & (predictions.score >= lowest[predictions.label])
    found = predictions[np.asarray(chosen)]
    order = np.lexsort([-found.score, found.frame])
    made = (_wish(snapshot, found, i, rules, model) for i in order.tolist())
    return list({wish.base: wish for wish in made if wish is not None}.values())


def _wish(snapshot: Snapshot, found: Predictions, i: int, rules: Rules, model: str) -> Wish | None:
    frames, frame = snapshot.frames, int(found.frame[i])
    hw = int(frames.height[frame]), int(frames.width[frame])
    box, counts, label = boxed(found.xyxy[i].tolist(), hw), found.mask[i], snapshot.labels[found.label[i]]
    if box is None:
        return None
    score = round(float(found.score[i]), 4)
    facts = (frames.job[frame], frames.number[frame], frames.name[frame], label, box.xyxy, counts, score)
    base = "pre-" + hashlib.blake2b(repr((facts, rules.kind, model)).encode(), digest_size=8).hexdigest()
    places = ((kind, _place(kind, box, counts, hw)) for kind in KINDS[rules.kind])
    options = [
        Correction(Action.CREATE, (base,), frame, label=label, shape=kind, geometry=place, score=score)
        for kind, place in places
        if place is not None
    ]
    return Wish(base, frame, label, tuple(options))


def _place(kind: ShapeType, box: Proposal, counts: bytes | None, hw: tuple[int, int]) -> Proposal | None:
    if kind is ShapeType.RECTANGLE:
        return box
    if counts is None:
        return None
    return (masked if kind is ShapeType.MASK else outlined)(counts, hw, box.xyxy)


class Drawer:
    """Makes a job's steps. rows: frames to draw on, neither blind nor unreadable.

    labels: of every key it made a line for. outdated: earlier pre-labels that these settings would not draw.
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
        self.outdated = 0
        self._tracks = _track_boxes(snapshot.annotations)

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
            steps += [self._deletion(chain, row_of[_number(chain)], job) for chain in stale]
        return lines, steps

    def place(self, row: int) -> Place:
        f = self.snapshot.frames
        return Place(int(f.job[row]), int(f.number[row]), (int(f.height[row]), int(f.width[row])))

    def tracks(self, row: int) -> Sequence[Box]:
        """Boxes of tracks that show on a frame: they are not among a job's single shapes."""
        return self._tracks.get(row, ())

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
        place, reason = self.place(wish.row), NO_MASK
        for correction in wish.alternatives:
            try:
                return self.target.drawn(correction, place)
            except Unfit as problem:
                reason = str(problem)
        raise Unfit(reason)

    def _deletion(self, chain: Chain, row: int, job: int) -> Step:
        line = Line(chain.findings, "delete", job, "to do", frame=row, id=chain.id)

        def prepare(shapes: dict[int, Shape]) -> Item | Line:
            now = shapes.get(chain.id)
            if now is None:
                return replace(line, status="already", reason="somebody deleted it")
            if chain.after is None or not self.target.same(now, chain.after):
                return replace(line, status="already", reason="somebody changed it since; it stays")
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
        here = self._by_frame.at(shapes, number)
        theirs = [s for s in here if not self._own.untouched(self._job, s)]
        tracks = self._drawer.tracks(row)
        ours = self._own.at(self._job, number)
        if (theirs or tracks) and not rules.fill and not (rules.replace and ours):
            return "somebody has labelled this frame; --fill draws there what is not labelled yet"
        for shape in theirs:
            if _overlap(box, self._drawer.box_of(shape)) >= SAME_PLACE:
                return f"shape {shape['id']} is there"
        if any(_overlap(box, track) >= SAME_PLACE for track in tracks):
            return "a track is there"
        gone = [c.after for c in ours.values() if c.id not in shapes and c.after is not None]
        if any(_overlap(box, self._drawer.box_of(shape)) >= SAME_PLACE for shape in gone):
            return "somebody deleted a pre-label there"
        return ""


def _number(chain: Chain) -> int:
    return int(chain.after["frame"]) if chain.after is not None else -1


def _overlap(a: Box, b: Box) -> float:
    boxes = np.array([a, b], np.float64)
    return float(iou_matrix(boxes[:1], boxes[1:])[0, 0]) if np.isfinite(boxes).all() else 0.0


def _track_boxes(annotations: Annotations) -> dict[int, list[Box]]:
    found: dict[int, list[Box]] = {}
    for row in np.flatnonzero(annotations.track & (annotations.shape != ShapeType.TAG)).tolist():
        x1, y1, x2, y2 = annotations.xyxy[row].tolist()
        found.setdefault(int(annotations.frame[row]), []).append((x1, y1, x2, y2))
    return found
