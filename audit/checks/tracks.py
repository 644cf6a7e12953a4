"""Does a track stay with its object? Needs no model, only where the track's boxes lie, frame by frame."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from audit.checks.sequences import Places, median_by, places_of
from audit.core.annotations import NO_ID, Annotations, Frames
from audit.core.boxes import area, overlapping_pairs
from audit.core.findings import Findings, FindingType
from audit.core.table import BoolArray, FloatArray, IntArray, objects

JUMP_SIDES = 0.6
"""A jump is longer than this, in side lengths of the box: the object would leave its own place."""
JUMP_RATIO = 5.0
"""... and so many times as long as the track's usual step, by which a quick object is told from a broken track."""
USUAL_STEP = 0.04
"""Least usual step, in side lengths: hands draw no stiller than this."""
SIZE_STEP = 1.0
"""A change of size by a factor of 2 of the side length (one octave) from one frame to the next."""
JUMP_SCORE = 0.9
"""What the longest jump comes to: an object thrown or a camera moved looks like one."""
ENOUGH_STEPS = 4
"""Steps from which a track has habits of its own."""
LONGEST_BLINK = 5
"""Frames a track may be away and still be called blinking; a longer absence is told of on purpose."""
BLINK_IOU = 0.4
"""... if it comes back to where it was or would be: an object hidden for a while usually comes back elsewhere."""
BLINK_SCORE = 0.6
"""What a blink of one frame on one spot comes to: some guidelines hide what is covered for a moment."""
SWAP_SCORE = 0.9
SWAP_IOU, STAY_IOU = 0.5, 0.3
"""Each track lies where the other was (at least so well), and not where it was itself (at most so well)."""


@dataclass(frozen=True)
class _Event:
    """Breaks of one kind. row: of the annotations, where it is seen. before: the row one step earlier."""

    row: IntArray
    score: FloatArray
    reason: Sequence[str]
    frame: IntArray
    expected: FloatArray
    related: IntArray


def broken_tracks(annotations: Annotations, frames: Frames) -> Findings:
    """One finding for each place at which a track jumps, blinks or changes places with another.

    Of annotations only boxes, labels, ids, frames, shapes and flags are looked at; they are sorted by frame.
    A jump stands on the frame where the box lies elsewhere, with the place where it was expected as the
    suggested one; a blink on the first frame without the box.
    """
    at = places_of(annotations, frames)
    if not len(at.row):
        return Findings()
    box = annotations.xyxy[at.row]
    step = _Steps.of(at, box)
    swapped, other = _swaps(at, box)
    jumps = _jumps(at, box, step, swapped)
    blinks = _blinks(at, box)
    swaps = _swap_events(at, swapped, other)
    return Findings.concat(_findings(event, annotations) for event in (swaps, jumps, blinks))


@dataclass(frozen=True)
class _Steps:
    """From each place to the next of the same track. move: sides; growth: octaves; usual: of the track, sides.

    follows: whether there is a place of this track on the frame before; of others the numbers mean nothing.
    """

    follows: BoolArray
    move: FloatArray
    growth: FloatArray
    usual: FloatArray
    steady: BoolArray

    @classmethod
    def of(cls, at: Places, box: FloatArray) -> _Steps:
        n = len(box)
        follows = at.follows()
        shift, side, growth = np.zeros((n, 2)), np.ones(n), np.zeros(n)
        later, size = np.flatnonzero(follows), np.sqrt(np.maximum(area(box), 1.0))
        centre = (box[:, :2] + box[:, 2:]) / 2
        shift[later] = centre[later] - centre[later - 1]
        side[later] = np.maximum(size[later], size[later - 1])
        growth[later] = np.abs(np.log2(size[later] / size[later - 1]))
        shift[later] -= _camera(at.place[later], shift[later])
        move = np.hypot(*shift.T) / side
        usual, count = median_by(at.track[later], move[later], at.n_tracks)
        return cls(follows, move, growth, np.maximum(usual, USUAL_STEP)[at.track], (count >= ENOUGH_STEPS)[at.track])


def _camera(place: IntArray, shift: FloatArray) -> FloatArray:
    """(n, 2) how far everything moved on that frame: the median over its tracks, 0 where there are fewer than three.

    A cut or a pan moves all of them; that breaks no track.
    """
    n = int(place.max(initial=-1)) + 1
    moved = np.zeros_like(shift)
    for axis in (0, 1):
        middle, count = median_by(place, shift[:, axis], n)
        moved[:, axis] = np.where(count >= 3, middle, 0.0)[place]
    return moved


def _jumps(at: Places, box: FloatArray, step: _Steps, swapped: BoolArray) -> _Event:
    """Steps out of all proportion. Back again at once, it is the frame in between that is wrong, told once."""
    far = (step.move > JUMP_SIDES) & (step.move > JUMP_RATIO * step.usual)
    grows = step.growth > SIZE_STEP
    jump = step.follows & step.steady & ~swapped & (far | grows)
    returns = jump & np.append(False, jump[:-1]) & (_apart(box) < JUMP_SIDES)
    jump &= ~returns
    rows = np.flatnonzero(jump)
    ratio = step.move[rows] / step.usual[rows]
    score = JUMP_SCORE * np.maximum(
        np.where(far[rows], 1 - JUMP_RATIO / np.maximum(ratio, JUMP_RATIO), 0),
        np.where(grows[rows], 1 - SIZE_STEP / np.maximum(step.growth[rows], SIZE_STEP), 0),
    )
    back = np.append(returns[1:], False)[rows]
    score = np.where(back, np.maximum(score, JUMP_SCORE / 2), score)
    reason = [
        _jump_words(bool(f), move, usual, 2**growth, bool(b))
        for f, move, usual, growth, b in zip(
            far[rows], step.move[rows], step.usual[rows], step.growth[rows], back, strict=True
        )
    ]
    expected = box[rows - 1].copy()
    expected[back] = (box[rows[back] - 1] + box[rows[back] + 1]) / 2
    return _Event(at.row[rows], score, reason, at.frame[rows], expected, np.full(len(rows), NO_ID))


def _apart(box: FloatArray) -> FloatArray:
    """(n,) how far each box lies from the one two rows before, in side lengths; infinite for the first two."""
    centre, side = (box[:, :2] + box[:, 2:]) / 2, np.sqrt(np.maximum(area(box), 1.0))
    apart = np.full(len(box), np.inf)
    apart[2:] = np.hypot(*(centre[2:] - centre[:-2]).T) / side[2:]
    return apart


def _jump_words(far: bool, move: float, usual: float, growth: float, back: bool) -> str:
    after = ", and back on the next" if back else ""
    if far:
        at_most = " or less" if usual <= USUAL_STEP else ""
        return (
            f"From one frame to the next this track moves by {move:.1f} times its own size{after}; "
            f"it usually moves by {usual:.2f}{at_most}, not counting what moves all alike."
        )
    return f"From one frame to the next this track changes its size {growth:.1f}-fold{after}."


def _blinks(at: Places, box: FloatArray) -> _Event:
    """Short absences of a track that comes back to the same spot, or to where it was heading."""
    same = np.append(False, at.track[1:] == at.track[:-1])
    away = np.append(0, at.place[1:] - at.place[:-1] - 1)
    later = np.flatnonzero(same & (away >= 1) & (away <= LONGEST_BLINK))
    overlap = np.maximum(_iou(box[later - 1], box[later]), _iou(_headed(at, box, same, later, away[later]), box[later]))
    later, overlap = later[overlap >= BLINK_IOU], overlap[overlap >= BLINK_IOU]
    score = BLINK_SCORE * overlap / np.sqrt(away[later])
    reason = [
        f"This track is missing on {_frames(k)} and then goes on where it left off (IoU {100 * iou:.0f} %)."
        for k, iou in zip(away[later].tolist(), overlap.tolist(), strict=True)
    ]
    weight = (1 / (away[later] + 1))[:, None]
    expected = box[later - 1] * (1 - weight) + box[later] * weight
    return _Event(at.row[later - 1], score, reason, at.frame_after(later - 1), expected, np.full(len(later), NO_ID))


def _headed(at: Places, box: FloatArray, same: BoolArray, later: IntArray, away: IntArray) -> FloatArray:
    """(n, 4) where tracks would be after so many frames away if they kept their last step. later: rows after that."""
    last = later - 1
    stepped = same[last] & (at.place[last] - at.place[last - 1] == 1)
    step = np.where(stepped[:, None], box[last] - box[last - 1], 0.0)
    return np.asarray(box[last] + step * (away + 1)[:, None])


def _frames(k: int) -> str:
    return "one frame" if k == 1 else f"{k} frames"


def _swaps(at: Places, box: FloatArray) -> tuple[BoolArray, IntArray]:
    """(n,) places at which a track has just changed places with another, and (n,) that other's place there, or -1."""
    n = len(box)
    follows = at.follows()
    now = np.flatnonzero(follows)
    now = now[np.argsort(at.place[now], kind="stable")]
    pairs = overlapping_pairs(box[now - 1], at.place[now], box[now], at.place[now])
    mine, theirs = now[pairs.left], now[pairs.right]
    moved = (pairs.iou >= SWAP_IOU) & (at.track[mine] != at.track[theirs])
    stays = np.zeros(n)
    own = mine == theirs
    stays[mine[own]] = pairs.iou[own]
    moved &= (stays[mine] <= STAY_IOU) & (stays[theirs] <= STAY_IOU)
    heir = np.full(n, NO_ID)
    heir[mine[moved]] = theirs[moved]
    swapped = (heir >= 0) & (heir[heir] == np.arange(n))
    return swapped, np.where(swapped, heir, NO_ID)


def _swap_events(at: Places, swapped: BoolArray, other: IntArray) -> _Event:
    """Both tracks are named in one finding, on the row that stands first."""
    rows = np.flatnonzero(swapped & (np.arange(len(swapped)) < other))
    reason = ["From one frame to the next this track and another change places."] * len(rows)
    nowhere = np.full((len(rows), 4), np.nan)
    score = np.full(len(rows), SWAP_SCORE)
    return _Event(at.row[rows], score, reason, at.frame[rows], nowhere, at.row[other[rows]])


def _findings(event: _Event, annotations: Annotations) -> Findings:
    """A finding whose frame lacks the row stands on no shape of that frame."""
    n, a = len(event.row), annotations[event.row]
    here = a.frame == event.frame
    return Findings(
        type=np.full(n, FindingType.BROKEN_TRACK),
        frame=event.frame,
        score=event.score,
        annotation=np.where(here, event.row, NO_ID),
        related=event.related,
        annotation_id=a.annotation_id,
        label=a.label,
        suggested_label=np.where(here, NO_ID, a.label),
        xyxy=np.where(here[:, None], a.xyxy, np.nan),
        suggested_xyxy=event.expected,
        iou=np.where(here, _iou(a.xyxy, event.expected), np.nan),
        reason=objects(event.reason),
    )


def _iou(a: FloatArray, b: FloatArray) -> FloatArray:
    """(n,) overlap row by row; 0 where one has no area."""
    with np.errstate(invalid="ignore", divide="ignore"):
        size = np.clip(np.minimum(a[:, 2:], b[:, 2:]) - np.maximum(a[:, :2], b[:, :2]), 0, None)
        shared = size[:, 0] * size[:, 1]
        union = area(a) + area(b) - shared
        return np.where(union > 0, np.nan_to_num(shared / union), 0.0)
