"""What all labels together tell without a model: shapes, tracks and frames that are unlike the rest."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable

import numpy as np

from audit.checks.alike_tracks import by_track
from audit.checks.empties import empty_frames
from audit.checks.look_alikes import Differences, differences, findings_of, look_alikes
from audit.checks.overlaps import at
from audit.checks.tables import LabelEvidence
from audit.checks.tracks import broken_tracks
from audit.checks.unusual import unusual_shapes
from audit.core.annotations import NO_ID, Annotations, Frames
from audit.core.findings import MODEL_FREE, Findings, FindingType
from audit.core.likeness import Hashes
from audit.core.table import BoolArray, FloatArray, IntArray

Look = Callable[[Differences], FloatArray]
"""(n,) how far the pictures of each row's two frames differ at its place, in standard deviations; NaN: cannot tell."""
SEEN_EMPTY = 0.3
"""What is left of an empty frame's score once a model has looked at it and seen nothing either."""
SEEN_SO = 0.1
"""What is left of an unusual shape's score if a model sees it just so."""
CONFIRMED = 0.4
"""Score × IoU of a prediction of the same name from which it says so."""


def model_free(
    blocks: Iterable[Annotations],
    frames: Frames,
    labels: tuple[str, ...],
    *,
    hashes: Hashes | None = None,
    look: Look | None = None,
    types: Collection[FindingType] = MODEL_FREE,
) -> Findings:
    """Findings of the types ``MODEL_FREE``, with reasons, without ids.

    blocks: all annotations, sorted by frame, in pieces, gone through several times; outlines and masks may be left
    out. labels: names by code.
    hashes: (frames,) of the pictures, for frames that look the same; look: compares two pictures at a place.
    Time and memory grow with the number of rows, not with its square.
    """
    parts, told_of = [], np.zeros(0, np.int64)
    if FindingType.UNUSUAL_SHAPE in types:
        parts.append(unusual_shapes(blocks, frames, labels))
    if FindingType.BROKEN_TRACK in types:
        tracks, rows = _chosen(blocks, lambda block: block.track)
        parts.append(_in_all(broken_tracks(tracks, frames), rows))
    if FindingType.INCONSISTENT_FRAMES in types and hashes is not None:
        pairs = look_alikes(frames, hashes)
        paired = np.zeros(len(frames), bool)
        paired[pairs] = True
        alike, rows = _chosen(blocks, lambda block: paired[block.frame])
        found = differences(alike, frames, pairs)
        unlike = np.full(len(found), np.nan) if look is None else look(found)
        each = findings_of(found, unlike, alike, frames)
        told_of = each.frame
        parts.append(_in_all(by_track(each, alike, frames), rows))
    told = Findings.concat(parts)
    if FindingType.EMPTY_FRAME in types:
        empty = empty_frames(_per_frame(blocks, len(frames)), frames)
        told = Findings.concat([told, empty[~np.isin(empty.frame, told_of)]])
    return told


def _chosen(blocks: Iterable[Annotations], wanted: Callable[[Annotations], BoolArray]) -> tuple[Annotations, IntArray]:
    """Some of the annotations, and (n,) their rows among all."""
    parts, rows, first = [], [np.zeros(0, np.int64)], 0
    for block in blocks:
        here = np.flatnonzero(wanted(block))
        if len(here):
            parts.append(block[here])
            rows.append(here + first)
        first += len(block)
    return Annotations.concat(parts), np.concatenate(rows)


def _in_all(found: Findings, rows: IntArray) -> Findings:
    """Findings of some annotations, as of all of them. rows: see ``_chosen``."""
    return found.replace(annotation=at(rows, found.annotation, NO_ID), related=at(rows, found.related, NO_ID))


def _per_frame(blocks: Iterable[Annotations], frames: int) -> IntArray:
    """(frames,) how many annotations each has."""
    count = np.zeros(frames, np.int64)
    for block in blocks:
        count += np.bincount(block.frame, minlength=frames)
    return count


class ModelsWord:
    """What models say of such findings, gathered block by block of frames. told: all of them; frames: how many."""

    def __init__(self, told: Findings, frames: int) -> None:
        self.told = told
        self._lacking = np.zeros(frames, bool)
        self._unusual = told.annotation[told.type == FindingType.UNUSUAL_SHAPE]
        self._confirmed: set[int] = set()
        self._doubt: dict[int, float] = {}

    def hear(self, found: Findings, labels: LabelEvidence, first: int) -> None:
        """Of one block. found: its findings. labels: what models say of its annotations, whose rows begin at first."""
        self._lacking[found.frame[found.type == FindingType.MISSING_ANNOTATION]] = True
        seen = labels.row[labels.own_support >= CONFIRMED] + first
        self._confirmed.update(seen[np.isin(seen, self._unusual)].tolist())
        rows = np.flatnonzero(np.isin(found.annotation, self._unusual))
        rows = rows[np.argsort(found.score[rows], kind="stable")]  # the likeliest of one annotation comes last
        self._doubt.update(zip(found.annotation[rows].tolist(), found.score[rows].tolist(), strict=True))

    def left(self) -> Findings:
        """What is left of the findings.

        A frame on which a model sees objects has its missing labels told one by one; one on which it sees nothing is
        likely empty. An unusual shape that a model sees just so is likely right; one that has a likelier finding by
        a model is told by that: one cause gives one finding.
        """
        t, empty = self.told, self.told.type == FindingType.EMPTY_FRAME
        unusual = t.type == FindingType.UNUSUAL_SHAPE
        right = unusual & np.isin(t.annotation, list(self._confirmed))
        score = t.score * np.where(empty, SEEN_EMPTY, np.where(right, SEEN_SO, 1.0))
        return t.replace(score=score)[~((empty & self._lacking[t.frame]) | self._told_otherwise(score))]

    def once(self) -> Findings:
        """All of them where no model was asked, but for unusual shapes of which something likelier is told."""
        return self.told[~self._told_otherwise(self.told.score)]

    def _told_otherwise(self, score: FloatArray) -> BoolArray:
        other = np.array([self._doubt.get(row, 0.0) for row in self.told.annotation.tolist()], float)
        return np.asarray((self.told.type == FindingType.UNUSUAL_SHAPE) & (other >= score))
