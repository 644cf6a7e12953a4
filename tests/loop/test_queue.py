"""Who is asked what, and in which order."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit.loop.queue import EVERYTHING, Candidates, Filter, bands, is_open, ordered, seed_of, voices

SCORES = st.lists(st.floats(0, 1), max_size=60)


@given(SCORES, st.integers(0, 5))
def test_the_order_names_every_row_once_and_never_puts_a_lower_band_first(scores: list[float], seed: int) -> None:
    rows = ordered(np.array(scores), seed)
    assert sorted(rows.tolist()) == list(range(len(scores)))
    assert (np.diff(bands(np.array(scores)[rows])) <= 0).all()


def test_within_a_band_the_order_is_the_reviewer_s_own_and_always_the_same() -> None:
    scores = np.linspace(0.81, 0.89, 50)
    first, again, other = ordered(scores, 1), ordered(scores, 1), ordered(scores, 2)
    assert (first == again).all()
    assert (first != other).any()
    assert not (np.diff(scores[first]) <= 0).all()


def test_scores_that_are_no_numbers_come_last() -> None:
    assert ordered(np.array([np.nan, 0.0, 1.0]), 0).tolist() == [2, 1, 0]


def test_bands_are_tenths_and_finer_below_the_first() -> None:
    scores = np.array([np.nan, 0.0, 0.0249, 0.025, 0.05, 0.0999, 0.1, 0.29, 0.3, 0.9, 1.0])
    assert bands(scores).tolist() == [0, 1, 1, 2, 3, 3, 4, 5, 6, 12, 12]


@pytest.mark.parametrize(("share", "low", "high"), [(0.0, 0, 0), (0.1, 80, 120), (1.0, 1000, 1000)])
def test_a_share_of_the_findings_is_given_to_two(share: float, low: int, high: int) -> None:
    ids = [f"{i:016x}" for i in range(1000)]
    assert low <= sum(v == 2 for v in voices(ids, share).values()) <= high


def test_a_larger_share_keeps_those_already_given_to_two() -> None:
    ids = [f"{i:016x}" for i in range(300)]
    few, more = voices(ids, 0.1), voices(ids, 0.2)
    assert all(more[i] == 2 for i in ids if few[i] == 2)


NAMES = st.sets(st.sampled_from("abc"))


@given(st.sampled_from("abc"), st.integers(1, 2), NAMES, NAMES)
def test_nobody_is_asked_twice_and_no_more_people_than_needed(
    reviewer: str, wanted: int, said: set[str], held: set[str]
) -> None:
    free = is_open(reviewer, wanted, said, held)
    assert free == (reviewer not in said | held and len(said | held) < wanted)


def test_filters_join_and_a_label_matches_either_side() -> None:
    table = Candidates(
        id=["1", "2", "3"],
        score=[0.1, 0.2, 0.3],
        type=["missing_annotation", "low_overlap", "low_overlap"],
        label=["", "car", "bus"],
        suggested=["car", "car", "car"],
        annotator=["anna", "anna", "bela"],
        job=[-1, 7, 8],
    )
    kept = {
        EVERYTHING: [True, True, True],
        Filter(type="low_overlap"): [False, True, True],
        Filter(label="car"): [True, True, True],
        Filter(label="bus"): [False, False, True],
        Filter(type="low_overlap", annotator="anna"): [False, True, False],
        Filter(job=8): [False, False, True],
    }
    for wanted, rows in kept.items():
        assert wanted.keep(table).tolist() == rows
    assert EVERYTHING.keep(Candidates()).tolist() == []


def test_a_seed_depends_on_every_fact() -> None:
    assert seed_of("a", "bc") != seed_of("ab", "c")
    assert seed_of("x", 1) == seed_of("x", "1")
