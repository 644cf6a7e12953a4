"""Learning from verdicts, what is left, when to stop: empties, laws, and simulated reviews whose truth is known."""

from __future__ import annotations

import math

import numpy as np
import pytest

from audit.core.findings import Findings, FindingType
from audit.core.table import FloatArray
from audit.loop.queue import bands, ordered
from audit.trust.left_over import (
    DRAWS,
    Drawn,
    Estimate,
    Sampled,
    by_type,
    drawn,
    rest_of_frames,
    rest_of_labels,
    together,
)
from audit.trust.stopping import advise, pace
from audit.trust.verdicts import OPEN, Facts, Recalibration, facts_of, learnt_from

NOTHING = learnt_from(Facts(), np.zeros(0), OPEN)


def facts(n: int, seed: int = 0) -> Facts:
    rng = np.random.default_rng(seed)
    score = np.clip(rng.beta(0.5, 3, n), 0.02, 0.999)
    return Facts(score=score, type=rng.integers(0, 4, n), label=rng.integers(0, 6, n))


def truth(chance: FloatArray, seed: int = 0) -> FloatArray:
    return (np.random.default_rng([seed, 1]).random(len(chance)) < chance).astype(float)


def log_odds(p: FloatArray) -> FloatArray:
    return np.log(p / (1 - p))


def waits(taught: Recalibration, some: Facts, number: int = DRAWS) -> Drawn:
    return drawn(taught, some, bands(some.score), taught.chance(some), number=number)


def left(taught: Recalibration, some: Facts, number: int = DRAWS) -> Estimate:
    return together(waits(taught, some, number))


def test_without_verdicts_chances_are_the_scores() -> None:
    some = facts(50)
    assert NOTHING.chance(some).tolist() == some.score.tolist()
    assert NOTHING.chance(Facts()).tolist() == []
    assert NOTHING.chance(Facts(score=[math.nan, 0.0, 1.0], type=[0, 0, 9])).tolist() == [0.0, 0.0, 1.0]


def test_facts_take_the_shape_s_label_or_the_proposed_one() -> None:
    found = Findings(type=[1, 0], frame=[0, 0], score=[0.5, 0.4], label=[3, -1], suggested_label=[4, 5])
    assert facts_of(found).label.tolist() == [3, 5]


def test_verdicts_from_all_over_bring_over_confident_scores_down() -> None:
    some = facts(4000)
    real_chance = 1 / (1 + np.exp(-(log_odds(some.score) - 1.5)))
    real = truth(real_chance)
    taught = learnt_from(some[:800], real[:800])
    before = np.abs(some.score[800:] - real_chance[800:]).mean()
    after = np.abs(taught.chance(some[800:]) - real_chance[800:]).mean()
    assert after < before / 4


def test_a_type_and_a_label_that_cry_wolf_are_told_from_the_others() -> None:
    some = facts(4000)
    wolf = (some.type == FindingType.EXTRA_ANNOTATION) | (some.label == 2)
    real = truth(np.where(wolf, some.score * 0.1, some.score))
    chance = learnt_from(some[:1500], real[:1500]).chance(some)
    assert (chance[wolf] < some.score[wolf]).mean() > 0.95
    assert np.abs(np.log(chance[~wolf] / some.score[~wolf])).mean() < 0.4


def test_verdicts_at_the_top_leave_the_bottom_less_certain_than_verdicts_there() -> None:
    some = facts(3000)
    real = truth(some.score)
    top, spread = np.argsort(-some.score)[:200], np.random.default_rng(0).permutation(3000)[:200]
    faint = some[some.score < 0.1]
    widths = []
    for rows in (top, spread):
        e = left(learnt_from(some[rows], real[rows], OPEN), faint)
        widths.append(e.high - e.low)
    assert widths[0] > 2 * widths[1]


def test_a_fit_does_not_depend_on_the_order_of_verdicts() -> None:
    some = facts(300)
    real = truth(some.score)
    turned = np.arange(300)[::-1]
    one, two = learnt_from(some, real), learnt_from(some[turned], real[turned])
    assert one.chance(some) == pytest.approx(two.chance(some), abs=1e-6)


def test_nothing_waiting_leaves_nothing() -> None:
    none = waits(NOTHING, Facts())
    assert together(none).high == 0
    assert by_type(none) == {}
    done = advise(none, found=7, seconds=math.nan)
    assert (done.stop, done.more, done.surely, done.waiting, done.share.low) == (True, 0, 0, 0, 1.0)
    assert advise(none, found=0, seconds=1.0).stop


def test_draws_are_the_same_each_time_and_grouping_loses_nothing() -> None:
    some = facts(500)
    one, two = (waits(NOTHING, some) for _ in range(2))
    assert (one.real == two.real).all()
    assert one.count.sum() == 500
    assert len(one.count) < 400
    assert (one.real <= one.count).all()
    assert together(one).expected == pytest.approx(some.score.sum())
    assert together(one).low < some.score.sum() < together(one).high
    assert all(e.low <= some.score[some.type == k].sum() <= e.high for k, e in by_type(one).items())


@pytest.mark.parametrize("shift", [0.0, -1.5])
def test_intervals_hold_the_truth_in_at_least_nine_of_ten_reviews(shift: float) -> None:
    held, audits = 0, 40
    for seed in range(audits):
        some = facts(600, seed)
        real = truth(1 / (1 + np.exp(-(log_odds(some.score) + shift))), seed)
        queue = ordered(some.score, seed)
        judged = np.zeros(600, bool)
        judged[queue[:80]] = True
        judged[np.random.default_rng([seed, 2]).permutation(600)[:15]] = True
        waiting = some[~judged]
        taught = learnt_from(some[judged], real[judged], OPEN)
        rest = left(taught, waiting, 300)
        held += rest.low <= real[~judged].sum() <= rest.high
    assert held >= 0.9 * audits


def test_a_sample_that_saw_everything_leaves_nothing_and_a_small_one_much() -> None:
    assert rest_of_labels(Sampled(30, 30, 2)).estimate().high == 0
    few, many = rest_of_labels(Sampled(1000, 10, 0)).estimate(), rest_of_labels(Sampled(1000, 300, 0)).estimate()
    assert (few.low, few.expected) == (0.0, 0.0)
    assert few.high > 250
    assert many.high < 20
    assert rest_of_labels(Sampled(1000, 100, 10)).estimate().expected == pytest.approx(90)
    assert rest_of_frames(Sampled(500, 100, 100)).estimate().low > 0
    assert rest_of_frames(Sampled(0, 0, 0)).estimate().high == 0


@pytest.mark.parametrize("rate", [0.002, 0.05, 0.4])
def test_sampled_intervals_hold_the_truth(rate: float) -> None:
    rng = np.random.default_rng(3)
    held = 0
    for _ in range(100):
        wrong = rng.random(800) < rate
        rest = rest_of_labels(Sampled(800, 60, int(wrong[:60].sum())), number=400).estimate()
        held += rest.low <= wrong[60:].sum() <= rest.high
    assert held >= 92


def test_advice_counts_down_and_ends() -> None:
    some = facts(800)
    real = truth(some.score)
    queue = ordered(some.score, 0)
    told = []
    for answered in (0, 100, 300, 500, 800):
        rows, waiting = queue[:answered], queue[answered:]
        taught = learnt_from(some[rows], real[rows], OPEN)
        told.append(advise(waits(taught, some[waiting]), int(real[rows].sum()), 4.0))
    assert told[2].more < min(told[0].more, told[1].more)
    assert all(a.more <= a.surely <= a.waiting for a in told)
    assert not told[0].stop
    assert told[-1].stop
    assert told[-1].waiting == 0


def test_the_number_of_answers_is_right_where_chances_are_known() -> None:
    """Chances of nearly 1 above, nearly 0 below: nine tenths of the mistakes are nine tenths of those above."""
    sure = learnt_from(*_clear(2000), OPEN)
    some, real = _clear(400)
    a = advise(waits(sure, some), 0, 2.0)
    assert 170 <= a.more <= 215
    assert real.sum() == 200


def _clear(n: int) -> tuple[Facts, FloatArray]:
    score = np.where(np.arange(n) < n // 2, 0.998, 0.03)
    return Facts(score=score, type=np.zeros(n, int)), (score > 0.5).astype(float)


def test_pace_leaves_breaks_out() -> None:
    assert math.isnan(pace([]))
    assert math.isnan(pace([0.0, math.nan]))
    assert pace([2.0] * 99 + [3000.0]) == pytest.approx(2.0)
