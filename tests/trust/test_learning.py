import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audit.trust.learning import fitted, probability

PRIOR, STRENGTH = np.array([-1.0, 2.0]), np.array([1.0, 1.0])


def data(n: int, weights: np.ndarray, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    traits = np.column_stack([np.ones(n), rng.normal(0, 1, n)])
    truth = (rng.random(n) < probability(traits, weights)).astype(float)
    return traits, truth, np.ones(n)


def test_without_examples_the_prior_stays() -> None:
    assert fitted(*data(0, PRIOR), PRIOR, STRENGTH) == pytest.approx(PRIOR)


def test_few_examples_change_little_many_change_much() -> None:
    real = np.array([1.0, -1.0])
    few, many = (np.abs(fitted(*data(n, real), PRIOR, 10 * STRENGTH) - real).max() for n in (5, 5000))
    assert few > 1.5
    assert many < 0.15


def test_an_example_of_importance_two_counts_as_two() -> None:
    traits, truth, ones = data(40, PRIOR)
    twice = fitted(np.vstack([traits, traits]), np.tile(truth, 2), np.tile(ones, 2), PRIOR, STRENGTH)
    assert fitted(traits, truth, 2 * ones, PRIOR, STRENGTH) == pytest.approx(twice, abs=1e-6)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 60))
def test_no_step_from_the_result_is_better(seed: int, n: int) -> None:
    """The gradient vanishes, also where the examples could be parted without error."""
    rng = np.random.default_rng(seed)
    traits = np.column_stack([np.ones(n), rng.normal(0, 3, (n, 2))])
    truth = (traits[:, 1] > 0).astype(float)
    prior, strength = np.zeros(3), np.full(3, 0.5)
    weights = fitted(traits, truth, np.ones(n), prior, strength)
    gradient = traits.T @ (probability(traits, weights) - truth) + strength * weights
    assert np.abs(gradient).max() < 1e-2


def test_probabilities_stay_finite() -> None:
    assert probability(np.array([[1e9], [-1e9]]), np.array([1.0])) == pytest.approx([1, 0], abs=1e-9)
