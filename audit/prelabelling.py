"""Pre-labels: which of a model's objects become shapes in CVAT, and which frames are left blind.

Written against ports; knows no vendor.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from audit.adding import Box, BoxOf, ByFrame, Own
from audit.core.annotations import Predictions, ShapeType, Snapshot
from audit.core.boxes import iou_matrix
from audit.core.corrections import Action, Correction
from audit.core.masks import rle_of_rings
from audit.core.proposals import Proposal, boxed, masked, outlined, posed, turned_box
from audit.core.table import BoolArray, FloatArray
from audit.journal import Chain, Item
from audit.push_engine import Step
from audit.push_ports import Line, Place, PushTarget, Shape, Unfit

THRESHOLD = 0.25
"""What ultralytics' own ``predict`` keeps by default, and so our function inside CVAT."""
SAME_PLACE = 0.5
"""IoU from which a prediction shows what somebody has labelled already, or deleted."""
VISIBLE = 0.5
"""A keypoint of which the model is less sure is hidden (CVAT's "outside"), as in the function inside CVAT."""
NO_MASK = "the model gives no mask of it that could be drawn so"
NO_SKELETON = "the model gives no keypoint of it that is sure enough"
KINDS: Mapping[str, tuple[ShapeType, ...]] = {
    "auto": (ShapeType.MASK, ShapeType.POLYGON, ShapeType.RECTANGLE),
    "mask": (ShapeType.MASK,),
    "polygon": (ShapeType.POLYGON,),
    "rectangle": (ShapeType.RECTANGLE,),
    "skeleton": (ShapeType.SKELETON,),
}
"""The types of shape to draw, the first that fits the label and the prediction."""
SKELETON_KINDS = ("auto", "skeleton")
"""With which keypoints are drawn as skeletons."""


@dataclass(frozen=True)
class Rules:
    """What to draw where.

    thresholds: lowest score by label name, under "" that of all others. kind: of ``KINDS``. replace: draw
    anew where this folder's earlier pre-labels stand untouched. fill: also frames that hold labels already.
    keypoints: by label name, the model's names of the points of its skeletons.
    """

    thresholds: Mapping[str, float] = field(default_factory=lambda: {"": THRESHOLD})
    kind: str = "auto"
    replace: bool = False
    fill: bool = False
    keypoints: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def lowest(self, labels: Sequence[str]) -> FloatArray:
        """(n,) the threshold of each label."""
        return np.array([self.thresholds.get(name, self.thresholds[""]) for name in labels], np.float64)


@dataclass(frozen=True)
class Wish:
    """One object to draw, in the types that may fit it, best first. base: hashes the facts.

    lacking: why there is no such type, if there is none.
    """

    base: str
    row: int
    label: str
    alternatives: tuple[Correction, ...]
    lacking: str = NO_MASK


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
    points = found.points[i]
    more = () if points is None else ([ring.tolist() for ring in points],)
    told = (facts, rules.kind, model, *more)
    base = "pre-" + hashlib.blake2b(repr(told).encode(), digest_size=8).hexdigest()
    if points is None:
        places = [(kind, _place(kind, box, counts, hw)) for kind in KINDS[rules.kind]]
    elif len(points) == 1:
        places = _turned_places(rules.kind, points[0], float(found.rotation[i]), hw)
    else:
        places = _posed_places(rules, label, box, points)
    options = [
        Correction(Action.CREATE, (base,), frame, label=label, shape=kind, geometry=place, score=score)
        for kind, place in places
        if place is not None
    ]
    lacking = NO_SKELETON if points is not None and len(points) > 1 and rules.kind in SKELETON_KINDS else NO_MASK
    return Wish(base, frame, label, tuple(options), lacking)


def _place(kind: ShapeType, box: Proposal, counts: bytes | None, hw: tuple[int, int]) -> Proposal | None:
    if kind is ShapeType.RECTANGLE:
        return box
    if counts is None:
        return None
    return (masked if kind is ShapeType.MASK else outlined)(counts, hw, box.xyxy)


def _turned_places(
    kind: str, corners: FloatArray, rotation: float, hw: tuple[int, int]
) -> list[tuple[ShapeType, Proposal | None]]:
    """Of a turned box: itself, or as the kind asks for its outline or its pixels."""
    turned = turned_box(corners, rotation)
    if kind == "mask":
        return [(ShapeType.MASK, masked(rle_of_rings([corners], hw), hw, turned.around) if min(hw) > 0 else None)]
    shape = ShapeType.POLYGON if kind == "polygon" else ShapeType.RECTANGLE
    return [(shape, None if kind == "skeleton" else turned)]


def _posed_places(
    rules: Rules, label: str, box: Proposal, points: Sequence[FloatArray]
) -> list[tuple[ShapeType, Proposal | None]]:
    """Of an object with keypoints: the skeleton, or its box where boxes are asked for."""
    if rules.kind not in SKELETON_KINDS:
        return [(ShapeType.RECTANGLE, box if rules.kind == "rectangle" else None)]
    names, (xy, sure) = rules.keypoints.get(label, ()), points
    drawn = posed(names, xy, sure[:, 0], least=VISIBLE) if len(names) == len(xy) else None
    return [(ShapeType.SKELETON, drawn)]


class Drawer:
    """Makes a job's steps. rows: frames to draw on, neither blind nor unreadable.

    labels: of every key it made a line for. outdated: earlier pre-labels that these settings would not draw.
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
        self.outdated = 0
        self.left: set[int] = set()
        self._elsewhere = _elsewhere(snapshot)

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
                return self.target.drawn(correction, place)
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


WORKED = "somebody has worked on this frame; with --fill it gets what is not labelled yet"


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


def once(snapshot: Snapshot) -> BoolArray:
    """(frames,) True for one row of every frame: one that two jobs share is drawn in the first that is still open."""
    f, done = snapshot.frames, {j.id: is_done(j.stage, j.state) for j in snapshot.jobs}
    chosen = np.ones(len(f), bool)
    for rows in _shared(snapshot):
        chosen[rows] = False
        chosen[min(rows, key=lambda row: (done.get(int(f.job[row]), False), row))] = True
    return chosen


def is_done(stage: str, state: str) -> bool:
    """Whether people are done with annotating a job, so that no pre-label helps them."""
    return state == "completed" or stage in ("validation", "acceptance")


def _shared(snapshot: Snapshot) -> list[list[int]]:
    """Rows of each frame that several jobs share."""
    f, found = snapshot.frames, dict[tuple[int, int], list[int]]()
    for row, job in enumerate(f.job.tolist()):
        if job >= 0:
            found.setdefault((int(f.task[row]), int(f.number[row])), []).append(row)
    return [rows for rows in found.values() if len(rows) > 1]


def _elsewhere(snapshot: Snapshot) -> dict[int, list[tuple[Box, str]]]:
    """By row: boxes of its tracks, and of what another job holds on the same frame."""
    a, others = snapshot.annotations, dict[int, list[int]]()
    for rows in _shared(snapshot):
        others.update((row, [r for r in rows if r != row]) for row in rows)
    found: dict[int, list[tuple[Box, str]]] = {}
    for row in np.flatnonzero(a.shape != ShapeType.TAG).tolist():
        x1, y1, x2, y2 = a.xyxy[row].tolist()
        frame = int(a.frame[row])
        if a.track[row]:
            found.setdefault(frame, []).append(((x1, y1, x2, y2), "a track"))
        for other in others.get(frame, ()):
            found.setdefault(other, []).append(((x1, y1, x2, y2), f"a label of job {snapshot.frames.job[frame]}"))
    return found
