"""Reliability, precision lists: empties, laws, and chances that are known to be right or wrong."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import beta

from audit.trust.calibrated import calibration_error, jeffreys, reliability
from audit.trust.precision import longest_list

CHANCES = st.lists(st.floats(0, 1), max_size=40)


def test_nothing_gives_no_bins_and_no_error() -> None:
    bins = reliability(np.zeros(0), np.zeros(0))
    assert len(bins) == 0
    assert np.isnan(calibration_error(bins))
    assert longest_list(np.zeros(0), 0.9).tolist() == []


def test_bins_hold_about_as_many_each_and_all_together() -> None:
    rng = np.random.default_rng(0)
    chance = rng.beta(0.5, 5, 1003)
    bins = reliability(chance, np.zeros(1003))
    assert bins.count.sum() == 1003
    assert bins.count.max() - bins.count.min() <= 1
    assert (np.diff(bins.expected) > 0).all()


def test_right_chances_have_a_small_error_and_wrong_ones_theirs() -> None:
    rng = np.random.default_rng(1)
    chance = rng.uniform(0, 0.8, 20_000)
    right = reliability(chance, (rng.random(20_000) < chance).astype(float))
    assert calibration_error(right) < 0.015
    assert ((right.low <= right.expected) & (right.expected <= right.high)).mean() >= 0.8
    wrong = reliability(chance, (rng.random(20_000) < chance + 0.2).astype(float))
    assert calibration_error(wrong) == pytest.approx(0.2, abs=0.015)


def test_intervals_agree_with_scipy_and_reach_the_ends() -> None:
    low, high = jeffreys(np.array([0.0, 3.0, 10.0]), np.array([10.0, 10.0, 10.0]))
    assert (low[0], high[2]) == (0.0, 1.0)
    assert low[1] == pytest.approx(beta.ppf(0.025, 3.5, 7.5))
    assert high[1] == pytest.approx(beta.ppf(0.975, 3.5, 7.5))


@given(CHANCES, st.floats(0, 1))
def test_the_list_has_the_share_and_one_more_would_not(chances: list[float], wanted: float) -> None:
    p = np.array(chances)
    rows = longest_list(p, wanted)
    assert len(set(rows.tolist())) == len(rows)
    if len(rows):
        assert p[rows].mean() >= wanted - 1e-6
    rest = np.setdiff1d(np.arange(len(p)), rows)
    if len(rest):
        assert np.append(p[rows], p[rest].max()).mean() < wanted + 1e-6


def test_those_that_are_known_stand_for_others() -> None:
    chance, real = np.full(40, 0.8), np.repeat([1.0, 0.0], [16, 24])
    plain, told = reliability(chance, real, bins=1), reliability(chance, real, stands_for=np.full(40, 2.0), bins=1)
    assert (plain.share[0], told.share[0]) == (pytest.approx(0.4), pytest.approx(0.8))
    assert told.low[0] == pytest.approx(2 * plain.low[0])
    assert reliability(chance, real, stands_for=np.full(40, 9.0), bins=1).share[0] == 1
    every = reliability(chance, np.ones(40), stands_for=np.full(40, 2.0), bins=1)
    assert (every.share[0], every.low[0]) == (1, reliability(chance, np.ones(40), bins=1).low[0])
    none = reliability(chance, np.zeros(40), stands_for=np.full(40, 2.0), bins=1)
    assert none.share[0] == 0 < none.high[0] < 1
