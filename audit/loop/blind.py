"""Questions drawn at random, where no finding is: is this label right, does this photo lack one?

Findings only show what a model doubts. What it overlooks can only be estimated by looking at places chosen by chance.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from audit.core.annotations import NO_ID, Annotations, Frames, ShapeType, Snapshot
from audit.core.findings import Findings, FindingType, with_ids
from audit.core.table import BoolArray, IntArray

MOST = 500
"""Questions kept ready of each kind: more than a review of 40,000 questions draws of them."""
SHARES = (0.5, 0.25, 0.25)
"""Of the blind questions, those about findings, labels and frames. Findings hold most of what is to be found."""


@dataclass(frozen=True)
class Blind:
    """labels, frames: at most ``MOST`` questions each, like findings, with ids, in the order to be asked in.

    Of a label: its type is Low IoU, without a proposal. Of a frame: Missing label, without any box.
    of_labels, of_frames: how many the questions were drawn from. span: on how many frames of a video a labelled
    object shows, on average; 1 in photos.
    """

    labels: Findings
    frames: Findings
    of_labels: int
    of_frames: int
    span: float = 1.0

    @property
    def together(self) -> Findings:
        """Labels, then frames."""
        return Findings.concat([self.labels, self.frames])


NO_QUESTIONS = Blind(Findings(), Findings(), 0, 0)


def blind_questions(snapshot: Snapshot, findings: Findings) -> Blind:
    """All that can be asked blind. findings: all of the run; their labels are left out.

    Ids hash the facts, as those of findings do, so their order is one by chance, the same for all reviewers
    and in every session. Without any photo there is nothing to ask. A frame that two jobs share is asked in each.
    """
    seen = np.asarray(snapshot.frames.path) != ""
    labels = _in_order(_of_labels(snapshot, findings, seen), snapshot)
    frames = _in_order(_of_frames(seen), snapshot)
    return Blind(labels[:MOST], frames[:MOST], len(labels), len(frames), _span(snapshot))


def _of_labels(snapshot: Snapshot, findings: Findings, seen: BoolArray) -> Findings:
    """One question for each label, and one for each track without findings, on one of its frames."""
    a = snapshot.annotations
    doubted = np.isin(np.arange(len(a)), np.union1d(findings.annotation, findings.related))
    track = _tracks(a, snapshot.frames)
    silent = ~doubted & ~(a.track & np.isin(track, track[doubted & a.track]))
    rows = np.flatnonzero(silent & seen[a.frame] & (a.shape != ShapeType.TAG) & ~a.crowd & _drawn(a))
    rows = np.sort(np.append(rows[~a.track[rows]], _one_each(rows[a.track[rows]], track)))
    return Findings(
        type=np.full(len(rows), FindingType.LOW_OVERLAP),
        frame=a.frame[rows],
        score=np.zeros(len(rows)),
        annotation=rows,
        annotation_id=a.annotation_id[rows],
        label=a.label[rows],
        xyxy=a.xyxy[rows],
    )


def _tracks(a: Annotations, frames: Frames) -> IntArray:
    """(n,) the number of each row's track, -1 for none. Ids of tracks are those of their task."""
    track = np.full(len(a), NO_ID)
    rows = np.flatnonzero(a.track)
    keys = np.column_stack([frames.task[a.frame[rows]], a.annotation_id[rows]])
    track[rows] = np.unique(keys, axis=0, return_inverse=True)[1].reshape(-1)
    return track


def _span(snapshot: Snapshot) -> float:
    a = snapshot.annotations
    shown = (a.shape != ShapeType.TAG) & ~a.crowd
    tracks = np.unique(_tracks(a, snapshot.frames)[shown & a.track])
    objects = len(tracks) + int((shown & ~a.track).sum())
    return float(shown.sum() / objects) if objects else 1.0


def _one_each(rows: IntArray, track: IntArray) -> IntArray:
    """Of each track one of these rows, drawn by chance, but the same in every session."""
    drawn = np.random.default_rng(0).permutation(len(rows))
    first = np.unique(track[rows[drawn]], return_index=True)[1]
    return rows[drawn[first]]


def _drawn(a: Annotations) -> BoolArray:
    return np.asarray(np.isfinite(a.xyxy).all(axis=1))


def _of_frames(seen: BoolArray) -> Findings:
    rows = np.flatnonzero(seen)
    return Findings(type=np.full(len(rows), FindingType.MISSING_ANNOTATION), frame=rows, score=np.zeros(len(rows)))


def _in_order(questions: Findings, snapshot: Snapshot) -> Findings:
    told = with_ids(questions, snapshot)
    return told[np.argsort(told.id.astype(str), kind="stable")]
