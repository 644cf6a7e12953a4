"""What a push minds about tracks beyond single shapes: they go on where an audit of some frames did not look. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

import numpy as np

from audit.core.annotations import Frames
from audit.core.correction import Action, Correction
from audit.core.track_corrections import KeyBox
from audit.push_ports import JobView, Shape

ShownOn = Callable[[Shape, Iterable[int]], list[int]]
"""On which of these frames, by number, a stored track shows."""


def beyond(frames: Frames, view: JobView) -> tuple[int, ...]:
    """Numbers of a job's frames before the first and after the last of those read; what lacks in between is deleted."""
    numbers = frames.number[frames.job == view.id]
    if not len(numbers):
        return ()
    first, last = int(np.min(numbers)), int(np.max(numbers))
    return tuple(sorted(n for n in view.frames if not first <= n <= last))


def unseen(c: Correction, track: Shape, beyond: Iterable[int], shown_on: ShownOn) -> str:
    """Why a track may not go, or lose an end; "" if it shows nowhere that was not audited."""
    there = shown_on(track, [n for n in beyond if _takes(c, n)])
    if not there:
        return ""
    where = f"frame {there[0]}" if len(there) == 1 else f"{len(there)} frames ({there[0]} to {there[-1]})"
    return f"track {c.annotation_id} also shows on {where}, which {'was' if len(there) == 1 else 'were'} not audited"


def ended(c: Correction, beyond: Sequence[int]) -> Correction:
    """What is drawn ends on the first frame that was not audited: a new track, and a box for a stretch."""
    if c.keys and c.keys[-1].geometry is not None:
        later = _after(c.keys[-1].number, beyond)
        return replace(c, keys=(*c.keys, KeyBox(later, None))) if later >= 0 else c
    edits = (replace(e, resume=_after(e.last, beyond)) if e.geometry and e.resume < 0 else e for e in c.edits)
    return replace(c, edits=tuple(edits))


def _after(number: int, beyond: Iterable[int]) -> int:
    return min((n for n in beyond if n > number), default=-1)


def _takes(c: Correction, number: int) -> bool:
    """Whether the track would no longer show on a frame that was not audited."""
    if c.action is Action.DELETE:
        return True
    cuts = [edit for edit in c.edits if edit.geometry is None]
    return any(number > edit.last if edit.at < 0 else number < edit.first for edit in cuts)
