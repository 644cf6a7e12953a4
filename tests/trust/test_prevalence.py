"""How many labels are wrong, by what the scores of planted mistakes make of the labels as they are."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit.core.table import FloatArray
from audit.trust.prevalence import DOUBTFUL, HIGHEST, Witness, prevalence, shift

ASSUMED = 0.05
NONE = np.zeros(0)


def log_odds(x: FloatArray) -> FloatArray:
    """What is learnt of a trait that is normal about 3 in mistakes and about -1 in sound labels."""
    return np.asarray(4 * (x - 1) + np.log(ASSUMED / (1 - ASSUMED)))


def labels_of(rate: float, number: int, seed: int = 0) -> Witness:
    """So many labels of which the rate is wrong, and 400 planted mistakes of the same kind."""
    wrong = round(rate * number)
    planted, real, sound = (np.random.default_rng([seed, i]) for i in range(3))
    x = np.concatenate([real.normal(3, 1, wrong), sound.normal(-1, 1, number)[wrong:]])
    return Witness(log_odds(x), log_odds(planted.normal(3, 1, 400)), 400)


def test_of_nothing_nothing_is_told() -> None:
    assert prevalence({}, 0, ASSUMED) == {}
    assert prevalence({}, 100, ASSUMED) == {}


@pytest.mark.parametrize(
    ("witness", "labels"),
    [
        (Witness(NONE, NONE, 0), 0),
        (Witness(NONE, NONE, 10), 500),
        (Witness(np.full(9, -4.0), np.full(5, -4.0), 10), 500),
        (Witness(np.full(9, 4.0), np.full(5, 4.0), 10), 0),
    ],
)
def test_without_likely_planted_mistakes_or_labels_the_assumed_rate_stays(witness: Witness, labels: int) -> None:
    assert prevalence({"a": witness}, labels, ASSUMED)["a"] == pytest.approx(ASSUMED)


@pytest.mark.parametrize("z", [-5.0, 5.0])
def test_one_label_changes_little(z: float) -> None:
    told = prevalence({"a": Witness(np.array([z]), np.array([4.0]), 1)}, 1, ASSUMED)["a"]
    assert 0.8 * ASSUMED < told < 1.5 * ASSUMED
    assert (told > ASSUMED) == (z > 0)


@pytest.mark.parametrize("rate", [0.005, 0.02, 0.05, 0.1])
def test_the_true_rate_is_found(rate: float) -> None:
    told = prevalence({"a": labels_of(rate, 20_000)}, 20_000, ASSUMED)["a"]
    assert told == pytest.approx(rate, rel=0.15)


def test_one_bad_type_among_clean_ones_is_found() -> None:
    kinds = {k: labels_of(0.08 if k == 2 else 0.001, 5000, k) for k in range(5)}
    told = prevalence(kinds, 5000, ASSUMED)
    assert told[2] == pytest.approx(0.08, rel=0.2)
    assert max(told[k] for k in (0, 1, 3, 4)) < 0.005


def test_clean_labels_bring_the_rate_down_the_more_there_are_but_never_to_nothing() -> None:
    told = [prevalence({"a": labels_of(0, n)}, n, ASSUMED)["a"] for n in (30, 300, 3000, 200_000)]
    assert told[0] < ASSUMED
    assert told == sorted(told, reverse=True)
    assert 0 < told[-1] < 0.002


@given(st.floats(0, 0.05), st.integers(200, 1500), st.integers(0, 3))
def test_twice_as_many_mistakes_raise_the_rate(rate: float, number: int, seed: int) -> None:
    before = labels_of(rate, number, seed)
    more = log_odds(np.random.default_rng(seed).normal(3, 1, max(round(rate * number), 3)))
    after = Witness(np.append(before.actual, more), before.planted, before.plantings)
    one, two = (prevalence({"a": w}, number, ASSUMED)["a"] for w in (before, after))
    assert one < two


@given(st.permutations(range(200)), st.sampled_from([0.0, 0.03, 0.2]))
def test_the_order_tells_nothing(order: list[int], rate: float) -> None:
    w = labels_of(rate, 200)
    mixed = Witness(w.actual[order], w.planted[::-1], w.plantings)
    assert prevalence({"a": mixed}, 200, ASSUMED)["a"] == pytest.approx(prevalence({"a": w}, 200, ASSUMED)["a"])


def test_the_order_of_the_types_tells_nothing() -> None:
    kinds = {k: labels_of(r, 400, k) for k, r in enumerate((0.0, 0.02, 0.1))}
    back = prevalence(dict(reversed(kinds.items())), 400, ASSUMED)
    assert back == pytest.approx(prevalence(kinds, 400, ASSUMED))


def test_a_type_of_which_nothing_is_known_follows_the_others() -> None:
    clean = {k: labels_of(0.001, 2000, k) for k in range(4)}
    told = prevalence({**clean, "masks": Witness(NONE, NONE, 0)}, 2000, ASSUMED)
    assert min(told[k] for k in range(4)) < told["masks"] < 0.2 * ASSUMED


def test_few_labels_lean_on_the_other_types() -> None:
    alone = prevalence({"a": labels_of(0, 60)}, 60, ASSUMED)["a"]
    beside = {k: labels_of(0.1, 60, k) for k in range(4)}
    assert prevalence({"a": labels_of(0, 60), **beside}, 60, ASSUMED)["a"] > alone


@given(st.floats(0, 1))
def test_a_model_that_doubts_everything_is_not_believed(share: float) -> None:
    """Half of the labels unseen and taken for likely mistakes: no half of them is wrong."""
    z = np.where(np.arange(1000) < 1000 * share, 2.0, -6.0)
    told = prevalence({"a": Witness(z, np.full(50, 2.0), 50)}, 1000, ASSUMED)["a"]
    assert 0 < told <= 1.01 * DOUBTFUL * ASSUMED < HIGHEST
    if share > 0.4:
        assert told == pytest.approx(ASSUMED)


def test_a_shift_makes_scores_right_at_another_rate() -> None:
    assert shift(ASSUMED, ASSUMED) == 0
    rng = np.random.default_rng(1)
    x = np.concatenate([rng.normal(3, 1, 500), rng.normal(-1, 1, 99_500)])
    chance = 1 / (1 + np.exp(-log_odds(x) - shift(0.005, ASSUMED)))
    assert chance.sum() == pytest.approx(500, rel=0.05)


def test_small_differences_between_types_are_taken_for_chance() -> None:
    kinds = {k: labels_of(0.04 + 0.004 * k, 500, k) for k in range(5)}
    told = prevalence(kinds, 500, ASSUMED)
    assert max(told.values()) < 1.25 * min(told.values())


def test_where_mistakes_are_few_types_keep_their_order_in_the_common_list() -> None:
    """Three among 600 labels and eight are no other rate: what is learnt of one type would be shuffled among others."""
    kinds = {k: labels_of(8 / 600 if k == 2 else 3 / 600, 600, k) for k in range(5)}
    told = prevalence(kinds, 600, ASSUMED)
    assert told[2] == pytest.approx(told[0], rel=0.15)
    many = {k: labels_of(8 / 600 if k == 2 else 3 / 600, 60_000, k) for k in range(5)}
    told = prevalence(many, 60_000, ASSUMED)
    assert told[2] > 2 * told[0]


def test_a_type_that_differs_much_is_told_apart_the_better_the_more_labels_there_are() -> None:
    told = [
        prevalence({k: labels_of(0.05 if k == 2 else 0.01, n, k) for k in range(5)}, n, ASSUMED) for n in (200, 5000)
    ]
    assert told[1][2] > 3 * told[1][0]
    assert told[0][2] / told[0][0] < told[1][2] / told[1][0]
