"""What all labels together tell without a model: shapes, tracks and frames that are unlike the rest."""

from __future__ import annotations

from collections.abc import Callable, Collection

import numpy as np

from audit.checks.empties import empty_frames
from audit.checks.look_alikes import Differences, differences, findings_of
from audit.checks.tables import LabelEvidence
from audit.checks.tracks import broken_tracks
from audit.checks.unusual import unusual_shapes
from audit.core.annotations import Annotations, Frames
from audit.core.findings import MODEL_FREE, Findings, FindingType
from audit.core.likeness import Hashes
from audit.core.table import FloatArray

Look = Callable[[Differences], FloatArray]
"""(n,) how far the pictures of each row's two frames differ at its place, in standard deviations; NaN: cannot tell."""
SEEN_EMPTY = 0.3
"""What is left of an empty frame's score once a model has looked at it and seen nothing either."""
SEEN_SO = 0.1
"""What is left of an unusual shape's score if a model sees it just so."""
CONFIRMED = 0.4
"""Score × IoU of a prediction of the same name from which it says so."""


def model_free(
    annotations: Annotations,
    frames: Frames,
    labels: tuple[str, ...],
    *,
    hashes: Hashes | None = None,
    look: Look | None = None,
    types: Collection[FindingType] = MODEL_FREE,
) -> Findings:
    """Findings of the types ``MODEL_FREE``, with reasons, without ids.

    annotations: all of them, sorted by frame; outlines and masks may be left out. labels: names by code.
    hashes: (frames,) of the pictures, for frames that look the same; look: compares two pictures at a place.
    Time and memory grow with the number of rows, not with its square.
    """
    parts = []
    if FindingType.UNUSUAL_SHAPE in types:
        parts.append(unusual_shapes(annotations, frames, labels))
    if FindingType.BROKEN_TRACK in types:
        parts.append(broken_tracks(annotations, frames))
    if FindingType.INCONSISTENT_FRAMES in types and hashes is not None:
        found = differences(annotations, frames, hashes)
        unlike = np.full(len(found), np.nan) if look is None else look(found)
        parts.append(findings_of(found, unlike, annotations, frames))
    told = Findings.concat(parts)
    if FindingType.EMPTY_FRAME in types:
        empty = empty_frames(annotations, frames)
        alike = told.frame[told.type == FindingType.INCONSISTENT_FRAMES]
        told = Findings.concat([told, empty[~np.isin(empty.frame, alike)]])
    return told


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
        other = np.array([self._doubt.get(row, 0.0) for row in t.annotation.tolist()], float)
        return t.replace(score=score)[~((empty & self._lacking[t.frame]) | (unusual & (other >= score)))]
