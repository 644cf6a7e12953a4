"""Pre-labels: which of a model's objects become which shapes, and on which frames."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from audit.core.annotations import Predictions, ShapeType, Snapshot
from audit.core.corrections import Action, Correction
from audit.core.masks import rle_of_rings
from audit.core.proposals import Box, Proposal, boxed, masked, outlined, posed, turned_box
from audit.core.table import BoolArray, FloatArray

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


def once(snapshot: Snapshot, standing: Collection[tuple[int, int]] = ()) -> BoolArray:
    """(frames,) True for one row of every frame: one that two jobs share is drawn in the first that is still open.

    standing: job and frame number of what was drawn before; a frame stays with that job.
    """
    f, done = snapshot.frames, {j.id: is_done(j.stage, j.state) for j in snapshot.jobs}
    places = list(zip(f.job.tolist(), f.number.tolist(), strict=True))
    chosen = np.ones(len(f), bool)
    for rows in _shared(snapshot):
        chosen[rows] = False
        chosen[min(rows, key=lambda r: (places[r] not in standing, done.get(places[r][0], False), r))] = True
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


def elsewhere(snapshot: Snapshot) -> dict[int, list[tuple[Box, str]]]:
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
