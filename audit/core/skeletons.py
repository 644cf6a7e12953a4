"""Which of a model's keypoints is which point of a task's skeleton."""

from __future__ import annotations

from collections.abc import Sequence

from audit.core.labels import listing, match_labels

COCO_KEYPOINTS = (
    "nose", "left_eye", "right_eye", "left_ear", "right_ear", "left_shoulder", "right_shoulder", "left_elbow",
    "right_elbow", "left_wrist", "right_wrist", "left_hip", "right_hip", "left_knee", "right_knee", "left_ankle",
    "right_ankle",
)  # fmt: skip
"""In COCO's order, for models with as many keypoints that name none themselves."""
COCO_BONES = (
    (1, 2), (1, 3), (2, 4), (3, 5), (6, 7), (6, 8), (8, 10), (7, 9), (9, 11), (6, 12), (7, 13), (12, 13),
    (12, 14), (14, 16), (13, 15), (15, 17),
)  # fmt: skip
"""Pairs of them, from 1, that a drawing joins."""


class NoPairingError(ValueError):
    """The points do not fit; the text says what there is on both sides."""


def paired(keypoints: Sequence[str], points: Sequence[str]) -> tuple[int, ...]:
    """For each of the skeleton's points the row of the model's keypoint that stands for it.

    By name (also but for case and "_-"), if every point of the skeleton has one; keypoints that are left over are not
    drawn. Where not one name is the same and there are as many, by their order. Raises NoPairingError.
    """
    codes = match_labels(points, keypoints, {}).codes.tolist()
    if len(set(codes)) == len(codes) and min(codes, default=-1) >= 0:
        return tuple(codes)
    if points and max(codes) < 0 and len(points) == len(keypoints):
        return tuple(range(len(points)))
    raise NoPairingError(
        f"its points are {listing(points)}, the model's {listing(keypoints)}: expected the same names, or as many "
        "points in the model's order under names of their own"
    )


def by_order(keypoints: Sequence[str], points: Sequence[str]) -> bool:
    """Whether points that ``paired`` takes are told by their order only."""
    return bool((match_labels(points, keypoints, {}).codes < 0).any())
