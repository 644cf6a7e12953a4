"""Is a frame without labels empty, or was it left out? Needs no model, only how many labels the others have."""

from __future__ import annotations

import numpy as np

from audit.checks.sequences import in_order
from audit.core.annotations import Frames
from audit.core.findings import Findings, FindingType
from audit.core.table import FloatArray, IntArray, objects

MOST_EMPTY = 0.3
"""From this share of empty frames on, an empty frame is nothing unusual."""
FEWEST_FRAMES = 10
"""Fewer tell nothing of what is usual."""
PHOTO_SCORE, VIDEO_SCORE = 0.2, 0.7
"""What a frame comes to whose like are never empty. Photos are chosen one by one, and an empty one may be meant so
(the only one among the 33 of coco128-permissive is a landscape); in a video, objects seldom leave for one frame.
Both are judgements, not measured."""
FOLLOWING = 0.4
"""Correlation of the numbers of labels on one frame and on the next from which frames are a video."""
NEIGHBOURS = 2
"""Frames on each side that say whether a frame lies in the midst of full ones."""
MOST_BESIDE = 4
"""Neighbours with more labels than this are all alike full."""
LONG_RUN = 20
"""So many empty frames in a row are a stretch of video without objects as often as work left undone."""


def empty_frames(labels: IntArray, frames: Frames) -> Findings:
    """One finding for each run of frames without any label among frames that have labels. labels: (frames,) how many.

    How many frames may be empty by nature is told from how many have one label and how many two, by Chao's
    estimator of what a sample of counts leaves unseen (A. Chao, "Estimating the population size for
    capture-recapture data with unequal catchability", Biometrics 43 (1987) 783-791): ``f1² / 2 f2``. Where every
    frame has at least five labels it gives none, and among photos with one object each more than there are.
    """
    order, sequence = in_order(frames)
    count = labels[order]
    empty = count == 0
    if len(frames) < FEWEST_FRAMES or not empty.any() or empty.mean() > MOST_EMPTY:
        return Findings()
    begins = empty & np.append(True, ~empty[:-1] | (sequence[1:] != sequence[:-1]))
    length = np.bincount(np.cumsum(begins)[empty] - 1)
    kept = np.flatnonzero(begins | ~empty)  # a run of empty frames counts as one
    run = np.flatnonzero(count[kept] == 0)
    video = _is_video(count[kept], sequence[kept])
    beside = _fewest_beside(count[kept], sequence[kept])
    usual = float(np.median(count[~empty]))
    return Findings(
        type=np.full(len(run), FindingType.EMPTY_FRAME),
        frame=order[kept[run]],
        score=(VIDEO_SCORE if video else PHOTO_SCORE)
        * _left_out(count[kept], beside * video)[run]
        * np.where(length > LONG_RUN, 0.5, 1.0),
        reason=objects(_reason(n, usual, b) for n, b in zip(length.tolist(), beside[run].tolist(), strict=True)),
    )


def _is_video(count: IntArray, sequence: IntArray) -> bool:
    """Whether a frame has about as many labels as the one before: those without any tell nothing of it."""
    near = (sequence[1:] == sequence[:-1]) & (count[1:] > 0) & (count[:-1] > 0)
    one, other = count[:-1][near], count[1:][near]
    if len(one) < FEWEST_FRAMES:
        return False
    if np.ptp(one) == 0 or np.ptp(other) == 0:
        return bool(np.array_equal(one, other)) and one[0] > 1  # always the same two or more
    return bool(np.corrcoef(one, other)[0, 1] >= FOLLOWING)


def _fewest_beside(count: IntArray, sequence: IntArray) -> IntArray:
    """(n,) the fewest labels on the frames around each one; 0 where a side has fewer than ``NEIGHBOURS``."""
    places = np.arange(len(count))
    fewest = np.full(len(count), np.iinfo(np.int64).max)
    for step in (*range(-NEIGHBOURS, 0), *range(1, NEIGHBOURS + 1)):
        near = np.clip(places + step, 0, len(count) - 1)
        same = (near == places + step) & (sequence[near] == sequence)
        fewest = np.minimum(fewest, np.where(same, count[near], 0))
    return fewest


def _left_out(count: IntArray, beside: IntArray) -> FloatArray:
    """(n,) the share of empty frames that nature does not account for, where each one stands.

    Counted among all frames, and among those whose neighbours have at least as many labels: in a video an empty
    frame between full ones is rarer. beside: the fewest labels on the frames around each, 0 if that says nothing.
    """
    levels = np.minimum(beside, MOST_BESIDE)
    share = {level: _excess(count[beside >= level]) for level in {0, *levels.tolist()}}
    return np.array([max(share[0], share[level]) for level in levels.tolist()], float)


def _excess(count: IntArray) -> float:
    """The share of the frames without labels that is over what Chao's estimator expects, in [0, 1]."""
    none, one, two = (int((count == k).sum()) for k in range(3))
    if not none or len(count) < FEWEST_FRAMES:
        return 0.0
    # the form with the correction for bias, which needs no frame with two labels
    return max(0.0, 1 - one * (one - 1) / (2 * (two + 1)) / none)


def _reason(length: int, usual: float, beside: int) -> str:
    run = "This frame has" if length == 1 else f"This frame and the {length - 1} after it have"
    around = f"; those just before and after have at least {beside}" if beside else ""
    return f"{run} no label; a frame that has any has {usual:.0f} (median){around}."
