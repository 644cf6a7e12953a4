"""Precision, agreement, pace and bias from decisions, checked by hand and by laws."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audit.core.decisions import Decision, Verdict
from audit.loop.agreement import Checked, Tally, agreement, checked, seconds, tallies

A, R, U, X = Verdict.ACCEPT, Verdict.REJECT, Verdict.UNSURE, Verdict.UNDONE


def said(finding: str, verdict: Verdict, reviewer: str = "ann", time: str = "1", took: float = 0.0) -> Decision:
    return Decision(finding, verdict, reviewer, time, took)


def test_nothing_said_gives_nothing() -> None:
    assert tallies([], {}) == {}
    assert agreement([]).findings == 0
    assert math.isnan(agreement([]).alpha)
    assert seconds([]) == {} == checked([], {})


def test_a_type_s_precision_counts_each_finding_once_and_contradictions_apart() -> None:
    lines = [said("1", A), said("1", A, "bob"), said("2", R), said("3", A), said("3", R, "bob"), said("4", U)]
    lines += [said("5", A), said("5", X, time="2"), said("elsewhere", A)]
    assert tallies(lines, dict.fromkeys("12345", "low")) == {"low": Tally(1, 1, 1, 1)}
    assert Tally(1, 1, 1, 1).judged == 2


def test_alpha_of_krippendorff_s_own_example() -> None:
    """K. Krippendorff, "Computing Krippendorff's Alpha-Reliability" (2011), binary data, two observers: 0.095."""
    first, second = "0100000000", "1110010010"
    lines = [said(str(i), A if v == "1" else R, "meg") for i, v in enumerate(first)]
    lines += [said(str(i), A if v == "1" else R, "owen") for i, v in enumerate(second)]
    told = agreement(lines)
    assert told.alpha == pytest.approx(0.095, abs=5e-4)
    assert (told.findings, told.same) == (10, 0.6)
    assert told.low < told.alpha < told.high


@settings(deadline=None, max_examples=10)
@given(st.lists(st.sampled_from([A, R, U]), min_size=2, max_size=20))
def test_perfect_agreement_is_one_or_cannot_be_said(verdicts: list[Verdict]) -> None:
    lines = [said(str(i), v, who) for i, v in enumerate(verdicts) for who in ("ann", "bob")]
    told = agreement(lines)
    assert told.same == 1
    assert math.isnan(told.alpha) if len(set(verdicts)) == 1 else told.alpha == 1


def test_clicking_at_random_agrees_as_by_chance() -> None:
    rng = np.random.default_rng(3)
    draws = rng.integers(0, 2, (400, 2)).tolist()
    lines = [
        said(str(i), (A, R)[v], who)
        for i, pair in enumerate(draws)
        for who, v in zip(("ann", "bob"), pair, strict=True)
    ]
    told = agreement(lines)
    assert told.low < 0 < told.high
    assert told == agreement(lines)


def test_times_are_of_verdicts_that_stand_and_were_timed() -> None:
    lines = [
        said("1", A, took=2),
        said("2", R, took=4),
        said("2", X, took=0),
        said("3", A),
        said("1", A, "bob", took=9),
    ]
    assert {name: values.tolist() for name, values in seconds(lines).items()} == {"ann": [2.0], "bob": [9.0]}


def test_whoever_says_yes_to_everything_is_seen() -> None:
    expected = {str(i): A if i % 2 else R for i in range(20)}
    yes = [said(i, A, "yes-man") for i in expected]
    good = [said(i, v, "ann") for i, v in expected.items()]
    naysayer = [said(i, R, "no-man") for i in expected]
    told = checked([*yes, *good, *naysayer, said("not planted", A)], expected)
    assert told["yes-man"] == Checked(10, 10, 10, 0)
    assert [told[name].bias for name in ("yes-man", "ann", "no-man")] == [1, 0, -1]
    assert math.isnan(checked(good[:1], expected)["ann"].bias)
