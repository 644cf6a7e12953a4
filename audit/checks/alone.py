"""What all labels together tell without a model: shapes, tracks and frames that are unlike the rest."""

from __future__ import annotations

from collections.abc import Callable, Collection

import numpy as np

from audit.checks.empties import empty_frames
from audit.checks.look_alikes import Differences, differences, findings_of
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


def after_models(told: Findings, lacking: np.ndarray) -> Findings:
    """What models leave of them. lacking: (frames,) where a model sees an object that nobody labelled.

    Such a frame's missing labels are told one by one; where a model sees nothing, an empty frame is likely empty.
    """
    empty = told.type == FindingType.EMPTY_FRAME
    told = told.replace(score=np.where(empty, SEEN_EMPTY * told.score, told.score))
    return told[~(empty & lacking[told.frame])]
