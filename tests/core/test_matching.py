import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from audit.core.matching import greedy_matching, highest_matching, suppress


def sequential(left: np.ndarray, right: np.ndarray, order: np.ndarray) -> list[int]:
    """The rule written down plainly: best first, each end once."""
    used_left: set[int] = set()
    used_right: set[int] = set()
    chosen = []
    for k in order.tolist():
        if left[k] not in used_left and right[k] not in used_right:
            used_left.add(left[k])
            used_right.add(right[k])
            chosen.append(k)
    return sorted(chosen)


@given(st.integers(0, 2**32 - 1), st.integers(0, 40))
def test_equals_the_sequential_rule(seed: int, k: int) -> None:
    rng = np.random.default_rng(seed)
    left, right = rng.integers(0, 8, k), rng.integers(0, 8, k)
    order = rng.permutation(k)
    assert greedy_matching(left, right, order, n_left=8, n_right=8).tolist() == sequential(left, right, order)


@given(st.integers(0, 2**32 - 1), st.integers(0, 40))
def test_of_equal_values_the_first_is_taken(seed: int, k: int) -> None:
    rng = np.random.default_rng(seed)
    left, right = rng.integers(0, 8, k), rng.integers(0, 8, k)
    value = rng.integers(0, 4, k).astype(float)
    order = np.argsort(-value, kind="stable")
    assert highest_matching(left, right, value, n_left=8, n_right=8).tolist() == sequential(left, right, order)


def test_pairs_without_a_value_are_left_out() -> None:
    left, right, value = np.array([0, 0, 1]), np.array([0, 1, 1]), np.array([np.nan, 0.2, 0.1])
    assert highest_matching(left, right, value, n_left=2, n_right=2).tolist() == [1]


def test_no_pairs() -> None:
    none = np.zeros(0, np.int64)
    assert greedy_matching(none, none, none, n_left=0, n_right=3).tolist() == []


@given(st.integers(0, 2**32 - 1), st.integers(0, 12), st.integers(0, 40))
def test_suppression_equals_the_sequential_rule(seed: int, n: int, k: int) -> None:
    rng = np.random.default_rng(seed)
    k = k if n else 0
    left, right = (rng.integers(0, max(n, 1), k) for _ in range(2))
    score = rng.integers(0, 5, n).astype(float)  # of equals the first row is taken
    kept: list[int] = []
    for row in np.argsort(-score, kind="stable").tolist():
        enemies = set(right[left == row].tolist()) | set(left[right == row].tolist())
        if not enemies & set(kept) - {row}:
            kept.append(row)
    assert np.flatnonzero(suppress(left, right, score)).tolist() == sorted(kept)
