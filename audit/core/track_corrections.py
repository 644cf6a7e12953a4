"""What a fix changes in a track: a key frame moved, an end cut off. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from audit.core.annotations import Snapshot
from audit.core.proposals import Proposal
from audit.core.table import IntArray


@dataclass(frozen=True)
class TrackEdit:
    """A change between two frames of a track. first, last: their numbers in the task, both included.

    at, geometry: the frame whose new box stands for the key frames in between; without a geometry the track does not
    show there any more. Then at is the frame on which it shows next, -1 if it is at its end. resume: with a geometry,
    the frame on which it shows next, -1 for none.
    """

    first: int
    last: int
    at: int = -1
    geometry: Proposal | None = None
    resume: int = -1


@dataclass(frozen=True)
class KeyBox:
    """A key frame of a new track. number: of the frame in the task. geometry: None: hidden from there on."""

    number: int
    geometry: Proposal | None


def track_numbers(snapshot: Snapshot, annotation: int) -> IntArray:
    """The numbers of the frames on which the track of this annotation shows, ascending."""
    a, f = snapshot.annotations, snapshot.frames
    same = a.track & (a.annotation_id == a.annotation_id[annotation])
    frames = a.frame[same]
    return np.unique(f.number[frames[f.task[frames] == f.task[a.frame[annotation]]]])


def covers(span: tuple[int, int], numbers: IntArray) -> bool:
    """Whether a span of frame numbers holds all frames of a track."""
    return bool(span[0] <= numbers[0] and numbers[-1] <= span[1])


def cut_off(span: tuple[int, int], numbers: IntArray) -> TrackEdit | None:
    """A track without these frames at its end or its beginning; None if they are in its middle."""
    first, last = span
    if last >= numbers[-1]:
        return TrackEdit(first, last)
    if first <= numbers[0]:
        return TrackEdit(first, last, at=int(numbers[numbers > last][0]))
    return None


def key_boxes(boxes: Sequence[tuple[int, Proposal]], end: int, tolerance: float) -> tuple[KeyBox, ...]:
    """As few key frames as keep every box within so many pixels of where it was seen.

    boxes: by frame number, ascending, each number once. end: the number of the first frame without the object, -1 if
    it stays to the end. Douglas and Peucker's method, along time.
    """
    number = np.array([n for n, _ in boxes])
    xyxy = np.array([p.xyxy for _, p in boxes])
    keep = np.zeros(len(boxes), bool)
    keep[[0, -1]] = True
    stack = [(0, len(boxes) - 1)]
    while stack:
        a, z = stack.pop()
        if z - a < 2:
            continue
        share = ((number[a + 1 : z] - number[a]) / (number[z] - number[a]))[:, None]
        away = np.abs(xyxy[a + 1 : z] - (xyxy[a] * (1 - share) + xyxy[z] * share)).max(axis=1)
        worst = a + 1 + int(away.argmax())
        if away.max() > tolerance:
            keep[worst] = True
            stack += [(a, worst), (worst, z)]
    keys = [KeyBox(n, p) for (n, p), kept in zip(boxes, keep.tolist(), strict=True) if kept]
    return (*keys, KeyBox(end, None)) if end >= 0 else tuple(keys)
