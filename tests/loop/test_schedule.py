from __future__ import annotations

import numpy as np
import pytest

from audit.loop.schedule import CPU_SIZES, EPOCHS, batch, epochs, image_size


@pytest.mark.parametrize(
    ("pictures", "on_gpu", "expected"),
    [(0, False, EPOCHS[1]), (10, False, EPOCHS[1]), (100, False, 20), (100_000, False, EPOCHS[0]), (1000, True, 20)],
)
def test_fewer_rounds_over_more_pictures(pictures: int, on_gpu: bool, expected: int) -> None:
    assert epochs(pictures, on_gpu) == expected


def test_small_tasks_have_small_batches() -> None:
    assert batch(1) == batch(500) == 8
    assert batch(501) == 16


@pytest.mark.parametrize(
    ("side", "longest", "on_gpu", "expected"),
    [
        (0.2, 1920, False, CPU_SIZES[0]),
        (0.03, 1920, False, 416),
        (0.001, 1920, False, CPU_SIZES[-1]),
        (0.03, 200, False, 224),
        (0.2, 1920, True, 640),
        (0.01, 4000, True, 960),
    ],
)
def test_small_objects_need_large_pictures(side: float, longest: int, on_gpu: bool, expected: int) -> None:
    assert image_size(np.full(50, side), longest, on_gpu) == expected


def test_no_objects_ask_for_nothing() -> None:
    assert image_size(np.zeros(0), 640, False) == CPU_SIZES[0]
