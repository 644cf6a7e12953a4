import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit.core import boxes
from audit.core.boxes import area, iou_matrix, overlapping_pairs, pairs_within
from tests.scenes import boxes as random_boxes


@pytest.mark.parametrize(("n", "m"), [(0, 0), (0, 3), (3, 0)])
def test_empties(n: int, m: int) -> None:
    rng = np.random.default_rng(0)
    assert iou_matrix(random_boxes(rng, n), random_boxes(rng, m)).shape == (n, m)


def test_known_overlaps() -> None:
    a = np.array([[0, 0, 10, 10]])
    b = np.array([[0, 0, 10, 10], [5, 0, 15, 10], [10, 0, 20, 10], [0, 0, 5, 5]])
    assert iou_matrix(a, b)[0] == pytest.approx([1, 1 / 3, 0, 0.25])


def test_boxes_without_area_overlap_nothing() -> None:
    bad = np.array([[5, 5, 5, 9], [9, 9, 1, 1], [np.nan, 0, 5, 5], [0, 0, np.inf, 5]])
    good = np.array([[0, 0, 10, 10]])
    assert area(bad).tolist() == [0, 0, 0, 0]
    assert not iou_matrix(bad, good).any()
    assert not iou_matrix(good, bad).any()


@given(st.integers(0, 2**32 - 1), st.integers(0, 12), st.integers(0, 12))
def test_symmetric_and_bounded(seed: int, n: int, m: int) -> None:
    rng = np.random.default_rng(seed)
    a, b = random_boxes(rng, n), random_boxes(rng, m)
    overlap = iou_matrix(a, b)
    assert np.array_equal(overlap, iou_matrix(b, a).T)
    assert ((overlap >= 0) & (overlap <= 1)).all()
    assert np.diag(iou_matrix(a, a)) == pytest.approx(np.ones(n))


def test_pairs_stay_within_their_frames_whatever_the_block(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(1)
    a, b = random_boxes(rng, 40), random_boxes(rng, 60)
    fa, fb = np.sort(rng.integers(0, 9, 40)), np.sort(rng.integers(0, 9, 60))
    whole = overlapping_pairs(a, fa, b, fb)
    expected = [(i, j) for i in range(40) for j in range(60) if fa[i] == fb[j] and iou_matrix(a[[i]], b[[j]])[0, 0] > 0]
    assert list(zip(whole.left.tolist(), whole.right.tolist(), strict=True)) == expected
    for block in (1, 7, 100):
        monkeypatch.setattr(boxes, "BLOCK", block)
        pieces = overlapping_pairs(a, fa, b, fb)
        assert np.array_equal(pieces.left, whole.left)
        assert np.array_equal(pieces.iou, whole.iou)


@given(st.integers(0, 2**32 - 1), st.integers(0, 40), st.sampled_from([1, 20, 600, 1e6]))
def test_pairs_from_some_overlap_up_are_those_among_all(seed: int, n: int, step: float) -> None:
    rng = np.random.default_rng(seed)
    # corners on few numbers: many boxes touch, share a side or lie in the middle of one another
    corners = rng.integers(-3, 3, (n, 2, 2)).astype(np.float64) * step
    xyxy = np.sort(corners, axis=1).reshape(n, 4)
    frame = np.sort(rng.integers(0, 3, n))
    every = pairs_within(xyxy, frame)
    matrix = iou_matrix(xyxy, xyxy)
    assert list(zip(every.left.tolist(), every.right.tolist(), strict=True)) == [
        (i, j) for i in range(n) for j in range(i + 1, n) if frame[i] == frame[j] and matrix[i, j] > 0
    ]
    for least in (0.2, 0.5, 0.7):
        some, wanted = pairs_within(xyxy, frame, least=least), every[every.iou >= least]
        assert all(np.array_equal(values, wanted.columns()[name]) for name, values in some.columns().items())


def plain_iou(a: np.ndarray, b: np.ndarray) -> float:
    """By definition, one pair."""
    sides = np.clip(np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2]), 0, None)
    whole = sum(np.clip(x[2:] - x[:2], 0, None).prod() for x in (a, b))
    return float(sides.prod() / max(whole - sides.prod(), 1e-12))


@given(st.integers(0, 2**32 - 1), st.sampled_from([0.001, 1, 1e9]))
def test_overlaps_are_those_of_the_definition(seed: int, scale: float) -> None:
    rng = np.random.default_rng(seed)
    a, b = random_boxes(rng, 7) * scale, (random_boxes(rng, 9) - 200) * scale
    a[0], b[0] = [0, 0, 5000 * scale, 3 * scale], [-9000 * scale, -5 * scale, 1 * scale, 4000 * scale]
    assert iou_matrix(a, b) == pytest.approx(np.array([[plain_iou(x, y) for y in b] for x in a]))


def test_unsorted_frames_are_refused() -> None:
    rng = np.random.default_rng(1)
    with pytest.raises(ValueError, match="sorted"):
        overlapping_pairs(random_boxes(rng, 2), np.array([1, 0]), random_boxes(rng, 1), np.array([0]))
