"""Are two frames that look the same labelled the same? Needs no model, only hashes of the pictures.

A still camera's frames all look the same to a hash of 64 bits, while cars come and go. So a difference of labels
between frames that are not the very same file counts only where the pictures agree at that very spot; somebody who
can see the pictures must say so (``findings_of``).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from audit.core.annotations import NO_ID, Annotations, Frames, comparable
from audit.core.boxes import Pairs, area, overlapping_pairs
from audit.core.findings import Findings, FindingType
from audit.core.likeness import Hashes, near_pairs
from audit.core.table import BoolArray, FloatArray, IntArray, Table, column, objects

SAME_IOU = 0.5
"""Two shapes of one label that overlap at least so well are the same one on both frames."""
APART_IOU = 0.2
"""A shape is on one frame only if nothing on the other overlaps it better."""
PARTNERS = 2
"""Frames that one frame is compared with, those closest in time first."""
PAIRS_AT_ONCE = 1 << 11
"""Pairs of frames compared in one go: bounds the memory in use."""
SAME_SPOT = 0.25
"""Mean difference of two spots, in standard deviations of the picture there, up to which they show the same:
compressing a photo twice makes about 0.1, another object about 1."""
SAME_FILE_SCORE, SAME_SPOT_SCORE = 0.9, 0.7
"""One of two labellings of one file is wrong; of two frames an object may just have gone where nobody sees it."""


@dataclass(frozen=True, eq=False)
class Differences(Table):
    """The plainest difference between the labels of two frames that look the same, one row per pair of frames.

    frame: where a label seems to be missing or wrong. other: the frame with which it was compared. here: row of the
    annotation on ``frame``, -1 if there is none; there: that on ``other``. number: differences of these two frames.
    same_file: whether both are the very same bytes. xyxy: the place (4,).
    """

    frame: IntArray = column(np.int64, NO_ID, required=True)
    other: IntArray = column(np.int64, NO_ID, required=True)
    here: IntArray = column(np.int64, NO_ID)
    there: IntArray = column(np.int64, NO_ID)
    number: IntArray = column(np.int64, 0)
    same_file: BoolArray = column(np.bool_, False)
    xyxy: FloatArray = column(np.float64, np.nan, width=4)


def differences(annotations: Annotations, frames: Frames, pairs: IntArray) -> Differences:
    """What is labelled differently on frames that look the same.

    annotations: of those frames at least, sorted by frame. pairs: see ``look_alikes``.
    """
    usable = np.flatnonzero(comparable(annotations) & (area(annotations.xyxy) > 0))
    a = annotations[usable]
    starts = range(0, len(pairs), PAIRS_AT_ONCE)
    return Differences.concat(_of_pairs(pairs[i : i + PAIRS_AT_ONCE], a, usable, frames) for i in starts)


def _of_pairs(pairs: IntArray, a: Annotations, usable: IntArray, frames: Frames) -> Differences:
    """Of these pairs of frames. a: the annotations that can be compared; usable: (a,) their rows among all."""
    left, left_pair = _rows_of(a.frame, pairs[:, 0])
    right, right_pair = _rows_of(a.frame, pairs[:, 1])
    both = overlapping_pairs(a.xyxy[left], left_pair, a.xyxy[right], right_pair)
    same = (a.label[left[both.left]] == a.label[right[both.right]]) & (both.iou >= SAME_IOU)
    free = _unmatched(both.left, both.iou, same, len(left)), _unmatched(both.right, both.iou, same, len(right))
    renamed = _renamed(both, same, len(left), len(right))
    of_pair, here, there, on_left = _listed(renamed, free, (left_pair, right_pair))
    rows_here = np.where(on_left, _at(left, here), _at(right, here))
    rows_there = np.where(on_left, _at(right, there), _at(left, there))
    plainest, number = _largest(of_pair, area(a.xyxy)[rows_there])
    chosen, first = pairs[of_pair[plainest]], on_left[plainest]
    frame, other = np.where(first, chosen[:, 0], chosen[:, 1]), np.where(first, chosen[:, 1], chosen[:, 0])
    return Differences(
        frame=frame,
        other=other,
        here=np.where(rows_here[plainest] >= 0, usable[rows_here[plainest]], NO_ID),
        there=usable[rows_there[plainest]],
        number=number,
        same_file=_same_file(frames, frame, other),
        xyxy=a.xyxy[rows_there[plainest]],
    )


def findings_of(found: Differences, unlike: FloatArray, annotations: Annotations, frames: Frames) -> Findings:
    """Findings for the differences at places that show the same.

    unlike: (n,) how far the pictures differ at the place, in standard deviations; NaN if nobody looked, which tells
    something of the very same file only. ``related`` is the label on the other frame (see ``by_track``).
    """
    with np.errstate(invalid="ignore"):
        shown = np.flatnonzero(found.same_file | (unlike <= SAME_SPOT))
    d = _once(found[shown], annotations)
    mine, theirs = annotations[d.here], annotations[d.there]
    here = d.here >= 0
    label = np.where(here, mine.label, NO_ID)
    return Findings(
        type=np.full(len(d), FindingType.INCONSISTENT_FRAMES),
        frame=d.frame,
        score=np.where(d.same_file, SAME_FILE_SCORE, SAME_SPOT_SCORE),
        annotation=d.here,
        related=d.there,
        annotation_id=np.where(here, mine.annotation_id, NO_ID),
        label=label,
        suggested_label=theirs.label,
        xyxy=np.where(here[:, None], mine.xyxy, np.nan),
        suggested_xyxy=d.xyxy,
        reason=objects(
            _reason(bool(same), str(name), int(number), bool(on), int(n))
            for same, name, number, on, n in zip(
                d.same_file, frames.name[d.other], frames.number[d.other], here, d.number, strict=True
            )
        ),
    )


def _once(d: Differences, annotations: Annotations) -> Differences:
    """A difference that two other frames show is one difference: the surer one stays."""
    facts = np.column_stack([d.frame, d.here, annotations.label[d.there], d.xyxy])
    order = np.argsort(~d.same_file, kind="stable")
    _, first = np.unique(facts[order], axis=0, return_index=True)
    return d[np.sort(order[first])]


def _reason(same_file: bool, name: str, number: int, here: bool, differing: int) -> str:
    alike = "is the very same picture as" if same_file else "looks the same as"
    what = "this object has another label there" if here else "an object is labelled there that is not labelled here"
    more = f" In all, {differing} labels differ." if differing > 1 else ""
    return f"This frame {alike} frame {number} ({name}), but {what}.{more}"


def look_alikes(frames: Frames, hashes: Hashes) -> IntArray:
    """(k, 2) frames that look the same and are as large, each frame in few pairs. hashes: (frames,).

    A frame that several jobs share is not compared with itself: there it is the annotators who are compared.
    """
    pairs = near_pairs(hashes)
    one, other = pairs.T
    f = frames
    shared = (f.task[one] == f.task[other]) & (f.number[one] == f.number[other]) & (f.job[one] != f.job[other])
    fits = (f.width[one] == f.width[other]) & (f.height[one] == f.height[other])
    pairs = pairs[fits & ~shared]
    nearest = np.argsort(pairs[:, 1] - pairs[:, 0], kind="stable")
    kept = (_turn(pairs[nearest, 0]) < PARTNERS) & (_turn(pairs[nearest, 1]) < PARTNERS)
    return np.asarray(pairs[np.sort(nearest[kept])])


def _turn(values: IntArray) -> IntArray:
    """(n,) how often each value came before."""
    order = np.argsort(values, kind="stable")
    ordered = values[order]
    turn = np.empty(len(values), np.int64)
    turn[order] = np.arange(len(values)) - np.searchsorted(ordered, ordered, "left")
    return turn


def _rows_of(frame: IntArray, wanted: IntArray) -> tuple[IntArray, IntArray]:
    """Rows of each wanted frame, one wanted after the other, and which of the wanted they are of. frame: ascending."""
    first, last = np.searchsorted(frame, wanted, "left"), np.searchsorted(frame, wanted, "right")
    count = last - first
    of = np.repeat(np.arange(len(wanted)), count)
    return np.arange(len(of)) + np.repeat(first - np.cumsum(count) + count, count), of


def _unmatched(end: IntArray, iou: FloatArray, same: BoolArray, n: int) -> BoolArray:
    """(n,) shapes that have nothing like them, and nothing at all on their place, on the other frame."""
    free = np.ones(n, bool)
    free[end[same | (iou >= APART_IOU)]] = False
    return free


def _renamed(both: Pairs, same: BoolArray, n_left: int, n_right: int) -> tuple[IntArray, IntArray]:
    """Shapes on one place with another label, none of which has its like on the other frame."""
    alone_left, alone_right = np.ones(n_left, bool), np.ones(n_right, bool)
    alone_left[both.left[same]], alone_right[both.right[same]] = False, False
    other = (both.iou >= SAME_IOU) & ~same & alone_left[both.left] & alone_right[both.right]
    return both.left[other], both.right[other]


def _listed(
    renamed: tuple[IntArray, IntArray], free: tuple[BoolArray, BoolArray], pair: tuple[IntArray, IntArray]
) -> tuple[IntArray, IntArray, IntArray, BoolArray]:
    """All differences: their pair of frames, the row here (-1: none) and there, and whether "here" is the left frame.

    A renamed shape is told on the right frame, an absent one on the frame that lacks it.
    """
    only_left, only_right = np.flatnonzero(free[0]), np.flatnonzero(free[1])
    none = np.full(len(only_left) + len(only_right), NO_ID)
    return (
        np.concatenate([pair[0][renamed[0]], pair[0][only_left], pair[1][only_right]]),
        np.concatenate([renamed[1], none]),
        np.concatenate([renamed[0], only_left, only_right]),
        np.repeat([False, False, True], [len(renamed[0]), len(only_left), len(only_right)]),
    )


def _at(rows: IntArray, places: IntArray) -> IntArray:
    """``rows[places]``, -1 where the place is -1 or beyond (it is then of the other frame)."""
    padded = np.append(rows, NO_ID)
    return padded[np.where((places >= 0) & (places < len(rows)), places, len(rows))]


def _largest(group: IntArray, size: FloatArray) -> tuple[IntArray, IntArray]:
    """Of each group the row with the largest size, and how many the group has."""
    order = np.lexsort([-size, group])
    ordered = group[order]
    first = np.flatnonzero(np.append(True, ordered[1:] != ordered[:-1])[: len(ordered)])
    return order[first], np.diff(np.append(first, len(ordered)))


def _same_file(frames: Frames, one: IntArray, other: IntArray) -> BoolArray:
    first, second = frames.sha256[one], frames.sha256[other]
    return np.asarray((first != "") & (first == second), bool)
