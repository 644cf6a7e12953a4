"""Frames that look the same and differ by one and the same track, as one finding. Pure.

Where the pictures of a video come twice (two tasks of one recording, a loop), a track with another name there, or
with none here, differs on every frame, and is one question.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from audit.checks.causes import Clock, cause_of
from audit.core.annotations import NO_ID, Annotations, Frames
from audit.core.findings import Findings
from audit.core.table import IntArray


def by_track(found: Findings, annotations: Annotations, frames: Frames) -> Findings:
    """One finding for each track that has another name, or none at all, where the same is seen.

    found: of frames that look the same; ``related`` is the row of the label on the other frame, and left out of what
    is given back. What is about a single shape, here or there, stands for itself.
    """
    tracked = np.append(annotations.track, False)
    of_tracks = tracked[found.related] & ((found.annotation < 0) | tracked[found.annotation])
    there, found = found.related, found.replace(related=np.full(len(found), NO_ID))
    gathered = _gathered(found[of_tracks], there[of_tracks], annotations, frames)
    return Findings.concat([found[~of_tracks], *gathered])


def _gathered(f: Findings, there: IntArray, a: Annotations, frames: Frames) -> Iterator[Findings]:
    """Of every track here and the one there, told by the surest frame; of a job, which has labels of its own."""
    if not len(f):
        return
    clock = Clock.of(frames, np.ones(len(frames), bool))
    here = (frames.task[f.frame], frames.job[f.frame], f.annotation_id, f.label)
    other = (frames.task[a.frame[there]], a.annotation_id[there], f.suggested_label)
    track = np.unique(np.column_stack([*here, *other]), axis=0, return_inverse=True)[1].reshape(-1)
    order = np.lexsort([-f.score, clock.place[f.frame], track])
    # a frame that differs from two others counts once
    new = np.append(True, (np.diff(track[order]) != 0) | (np.diff(f.frame[order]) != 0))
    order = order[new]
    for rows in np.split(order, np.flatnonzero(np.diff(track[order])) + 1):
        part = f[rows]
        if len(rows) == 1:
            yield part
            continue
        words = "of this track" if part.annotation_id[0] != NO_ID else "of the track there"
        yield cause_of(part, float(part.score.max()), part.frame, clock, words).findings
