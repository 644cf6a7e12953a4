"""A model's keypoints and a task's points: by name, by order, or not at all."""

from __future__ import annotations

import pytest

from audit.core.skeletons import NoPairingError, by_order, paired

MODEL = ("nose", "left_eye", "right_eye")


@pytest.mark.parametrize(("keypoints", "points"), [((), ()), (MODEL, ()), ((), ("nose",))])
def test_nothing_pairs_with_nothing(keypoints: tuple[str, ...], points: tuple[str, ...]) -> None:
    with pytest.raises(NoPairingError, match="expected the same names"):
        paired(keypoints, points)


@pytest.mark.parametrize(
    ("points", "rows", "ordered"),
    [
        (("nose", "left_eye", "right_eye"), (0, 1, 2), False),
        (("right_eye", "nose", "left_eye"), (2, 0, 1), False),
        (("Left Eye", "right-eye"), (1, 2), False),  # the task may have fewer points
        (("1", "2", "3"), (0, 1, 2), True),
    ],
)
def test_by_name_else_by_order(points: tuple[str, ...], rows: tuple[int, ...], ordered: bool) -> None:
    assert (paired(MODEL, points), by_order(MODEL, points)) == (rows, ordered)


@pytest.mark.parametrize(
    "points",
    [("nose", "2", "3"), ("1", "2"), ("1", "2", "3", "4"), ("nose", "left_eye", "right_eye", "chin"), ("nose", "Nose")],
)
def test_what_could_be_meant_in_two_ways_is_refused(points: tuple[str, ...]) -> None:
    with pytest.raises(NoPairingError, match="the model's 'nose', 'left_eye', 'right_eye'"):
        paired(MODEL, points)
