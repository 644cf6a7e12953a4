"""Edges of a picture at the sides of boxes, by sums: against the same worked out pixel by pixel."""

from __future__ import annotations

import numpy as np
import pytest

from audit.core.edges import LOOKS, SHIFTS, edge_map, looks, share_of_edges


def square(size: int = 120, at: tuple[int, int, int, int] = (40, 30, 80, 90)) -> np.ndarray:
    """A bright square on dark ground."""
    grey = np.full((size, size), 20, np.uint8)
    grey[at[1] : at[3], at[0] : at[2]] = 200
    return grey


def test_no_boxes() -> None:
    assert looks(edge_map(square()), np.zeros((0, 4))).shape == (0, LOOKS)


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (9, 1), (2, 2), (50, 60)])
def test_an_even_picture_shows_nothing_whatever_its_size(shape: tuple[int, int]) -> None:
    boxes = np.array([[0, 0, shape[1], shape[0]], [-50, -50, 300, 300], [0.2, 0.2, 0.3, 0.3], [400, 400, 500, 500]])
    assert np.allclose(looks(edge_map(np.full(shape, 77, np.uint8)), boxes), 0)


def test_a_box_on_its_object_lies_on_edges_and_a_slipped_one_does_not() -> None:
    boxes = np.array([[40.0, 30, 80, 90], [50, 30, 90, 90], [40, 45, 80, 105], [48, 39, 72, 81], [0, 0, 20, 20]])
    sides, around, against = looks(edge_map(square()), boxes).T
    assert sides[0] > sides[1:4].max() + 0.3
    assert around[:4].min() > around[4] + 0.5  # nothing is around the box in the corner
    assert np.allclose(against - around, -np.log1p(edge_map(square()).mean))


def test_sums_are_those_of_the_pixels() -> None:
    grey = np.random.default_rng(0).integers(0, 256, (40, 50)).astype(np.uint8)
    levels = grey.astype(int)
    across, down = np.zeros(grey.shape), np.zeros(grey.shape)
    across[:, 1:-1] = abs(levels[:, 2:] - levels[:, :-2])
    across[:, 0], across[:, -1] = abs(levels[:, 1] - levels[:, 0]), abs(levels[:, -1] - levels[:, -2])
    down[1:-1] = abs(levels[2:] - levels[:-2])
    down[0], down[-1] = abs(levels[1] - levels[0]), abs(levels[-1] - levels[-2])
    edges = edge_map(grey)
    assert np.array_equal(edges.across[1:, 1:], across.T.cumsum(0).cumsum(1))
    assert np.array_equal(edges.down[1:, 1:], down.cumsum(0).cumsum(1))
    assert edges.mean == pytest.approx(across.mean() + down.mean())
    # a box of 20 px: strips are one pixel thick, moved by half pixels
    x1, y1, x2, y2 = box = (15, 10, 35, 30)
    fine_across, fine_down = np.repeat(across, 2, axis=1) / 2, np.repeat(down, 2, axis=0) / 2
    strength = np.array(
        [
            [fine_across[y1:y2, (m := round(2 * (x + way * s * 20))) - 1 : m + 1].sum(1).mean() for s in SHIFTS]
            for x, way in ((x1, -1), (x2, 1))
        ]
        + [
            [fine_down[(m := round(2 * (y + way * s * 20))) - 1 : m + 1, x1:x2].sum(0).mean() for s in SHIFTS]
            for y, way in ((y1, -1), (y2, 1))
        ]
    )
    around = np.log1p(strength.mean(axis=1)).mean()
    at = np.log1p(strength[:, len(SHIFTS) // 2]).mean()
    assert looks(edges, np.array([box], float))[0] == pytest.approx(
        [at - around, around, around - np.log1p(edges.mean)]
    )


def test_turned_and_mirrored_pictures_show_the_same() -> None:
    grey = np.random.default_rng(1).integers(0, 256, (60, 80)).astype(np.uint8)
    box = np.array([[12.5, 20.25, 50.0, 41.0]])
    plain = looks(edge_map(grey), box)[0]
    x1, y1, x2, y2 = box[0]
    assert looks(edge_map(grey[:, ::-1]), np.array([[80 - x2, y1, 80 - x1, y2]]))[0] == pytest.approx(plain)
    assert looks(edge_map(grey.T), np.array([[y1, x1, y2, x2]]))[0] == pytest.approx(plain)


def test_the_same_texture_everywhere_is_as_strong_around_a_box_as_anywhere() -> None:
    assert share_of_edges(np.zeros((0, LOOKS))).shape == (0,)
    grey = np.random.default_rng(2).integers(0, 256, (200, 200)).astype(np.uint8)
    boxes = np.array([[50.0, 50, 150, 150], [20, 30, 90, 140]])
    assert share_of_edges(looks(edge_map(grey), boxes)) == pytest.approx([1, 1], abs=0.1)
    grey[:, :100] = 7
    edges = edge_map(grey)
    assert share_of_edges(looks(edges, np.array([[20.0, 20, 60, 160], [130, 20, 180, 160]]))) == pytest.approx(
        [0, 2], abs=0.2
    )
