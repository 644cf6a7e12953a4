"""Findings on the frames of a track are gathered by cause: one wrong label, one copy, one slip each."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audit.checks.causes import Causes, Clock, Sightings, likeliest, track_causes
from audit.checks.chains import Chains
from audit.checks.evidence_over_time import log_odds, stretches, tail, together
from audit.checks.twin_tracks import Shared, duplicate_causes, pair_keys, shared_frames
from audit.core.annotations import Annotations, Frames
from audit.core.findings import Findings, FindingType
from audit.core.table import objects

T = FindingType
FLOOR = 0.02
ODDS = st.lists(st.floats(-4.6, 4.6), max_size=40).map(np.array)


def frames_of(n: int, *, task: int = 1) -> Frames:
    return Frames(name=[f"{i}.jpg" for i in range(n)], number=np.arange(n) + 10, task=np.full(n, task), job=[1] * n)


def clock_of(n: int) -> Clock:
    return Clock.of(frames_of(n), np.ones(n, bool))


def found(kind: FindingType, frames: object, score: object, *, track: int = 7, suggested: object = 1) -> Findings:
    at = np.asarray(frames)
    n = len(at)
    return Findings(
        type=np.full(n, kind),
        frame=at,
        score=np.broadcast_to(np.asarray(score, float), n),
        annotation=at + 100 * track,
        annotation_id=np.full(n, track),
        label=np.zeros(n, int),
        suggested_label=np.broadcast_to(np.asarray(suggested), n),
        xyxy=np.tile([10.0, 10, 50, 50], (n, 1)),
        suggested_xyxy=np.tile([12.0, 10, 52, 50], (n, 1)),
        reason=objects(["Because."] * n),
    )


def seen(n: int, own: object = 0.0, *, track: int = 7) -> Sightings:
    return Sightings(track=np.full(n, track), frame=np.arange(n), seen=np.broadcast_to(np.asarray(own, float), n))


def told(causes: Causes) -> list[tuple[str, int, int, int]]:
    f = causes.findings
    kinds = [FindingType(t).code for t in f.type.tolist()]
    return list(zip(kinds, f.frames.tolist(), f.first_frame.tolist(), f.last_frame.tolist(), strict=True))


def test_nothing_gives_nothing() -> None:
    nothing = track_causes(Findings(), Sightings(), clock_of(3), FLOOR)
    assert len(nothing.findings) == len(nothing.whole) == 0
    assert len(duplicate_causes(Findings(), np.zeros(0, int), {}, clock_of(3), FLOOR).findings) == 0
    assert len(likeliest(nothing, clock_of(3)).findings) == 0
    assert stretches(np.zeros(0)) == []
    assert tail(np.zeros(0)) == 0
    chains = Chains(clock_of(3), np.ones(3, int))
    assert len(chains.take(Findings())) == len(chains.rest()) == 0


def test_a_wrong_label_on_every_frame_is_one_finding() -> None:
    score = np.full(300, 0.6)
    score[40] = 0.9
    causes = track_causes(found(T.MISMATCHING_LABEL, range(300), score), seen(300), clock_of(300), FLOOR)
    assert told(causes) == [("mismatching_label", 300, 0, 299)]
    assert causes.whole.tolist() == [True]
    assert causes.findings.frame.tolist() == [40]
    assert 0.6 < causes.findings.score[0] < 0.8, "300 alike frames are no 300 witnesses"
    words = "Because. So it is on all 300 frames of this track that were compared (10 to 309)."
    assert causes.findings.reason[0] == words


def test_a_wrong_label_on_few_frames_is_unlikely() -> None:
    """On the others the model sees just what the label says."""
    own = np.full(300, 0.8)
    own[:20] = 0
    causes = track_causes(found(T.MISMATCHING_LABEL, range(20), 0.95), seen(300, own), clock_of(300), FLOOR)
    assert told(causes) == []
    hidden = track_causes(found(T.MISMATCHING_LABEL, range(20), 0.95), seen(300), clock_of(300), FLOOR)
    assert told(hidden) == [("mismatching_label", 20, 0, 299)], "frames on which nothing is seen say nothing"


def test_the_name_with_most_evidence_is_suggested() -> None:
    names = np.where(np.arange(60) < 40, 2, 3)
    causes = track_causes(found(T.MISMATCHING_LABEL, range(60), 0.7, suggested=names), seen(60), clock_of(60), FLOOR)
    assert causes.findings.suggested_label.tolist() == [2]
    assert causes.findings.frames.tolist() == [40]
    assert causes.findings.score[0] > 0.7


def test_a_track_along_which_nothing_is_predicted() -> None:
    causes = track_causes(found(T.EXTRA_ANNOTATION, range(50), 0.7), seen(50), clock_of(50), FLOOR)
    assert told(causes) == [("extra_annotation", 50, 0, 49)]
    assert causes.whole.all()


def test_a_track_that_outlasts_its_object_at_either_end() -> None:
    """Hidden in the middle it is there all the same."""
    unseen = [*range(8), *range(40, 60), *range(88, 100)]
    own = np.full(100, 0.9)
    own[unseen] = 0
    causes = track_causes(found(T.EXTRA_ANNOTATION, unseen, 0.8), seen(100, own), clock_of(100), FLOOR)
    assert told(causes) == [("extra_annotation", 12, 88, 99)]
    assert not causes.whole.any()


def test_of_stretches_that_share_frames_the_likeliest_stays() -> None:
    f = found(T.LOW_OVERLAP, [10, 30, 50], [0.7, 0.8, 0.9])
    f = f.replace(first_frame=[5, 30, 50], last_frame=[15, 33, 52])
    end = found(T.EXTRA_ANNOTATION, [3], 0.75).replace(first_frame=[0], last_frame=[29])
    kept = likeliest(Causes(Findings.concat([f, end]), np.zeros(4, bool)), clock_of(60))
    assert kept.findings.frame.tolist() == [30, 50, 3]


def test_each_slip_of_a_box_is_one_finding() -> None:
    score = np.full(200, 0.1)
    score[20:50] = np.concatenate([np.linspace(0.3, 0.95, 15), np.linspace(0.95, 0.3, 15)])
    score[[33, 36]] = 0.3  # a doubtful frame does not break it
    score[120:140] = 0.7
    causes = track_causes(found(T.LOW_OVERLAP, range(200), score), seen(200, 0.9), clock_of(200), FLOOR)
    (kind, n, first, last), (_, m, start, stop) = told(causes)
    assert kind == "low_overlap"
    assert first < 30
    assert last > 40
    assert n == last - first + 1
    assert (m, start, stop) == (20, 120, 139)
    assert causes.findings.frame.tolist() == [34, 120]


def test_a_slip_ends_where_its_track_is_hidden() -> None:
    at = np.r_[0:10, 15:25]
    sightings = Sightings(track=np.full(20, 7), frame=at, seen=np.full(20, 0.9))
    causes = track_causes(found(T.LOW_OVERLAP, at, 0.9), sightings, clock_of(25), FLOOR)
    assert told(causes) == [("low_overlap", 10, 0, 9), ("low_overlap", 10, 15, 24)]


def test_a_frame_that_was_not_audited_is_no_gap() -> None:
    audited = np.ones(25, bool)
    audited[10:15] = False
    at = np.r_[0:10, 15:25]
    sightings = Sightings(track=np.full(20, 7), frame=at, seen=np.full(20, 0.9))
    causes = track_causes(found(T.LOW_OVERLAP, at, 0.9), sightings, Clock.of(frames_of(25), audited), FLOOR)
    assert told(causes) == [("low_overlap", 20, 0, 24)]


def test_a_doubtful_track_has_one_weak_finding() -> None:
    score = np.full(100, 0.1)
    score[60:70] = 0.4
    causes = track_causes(found(T.LOW_OVERLAP, range(100), score), seen(100, 0.9), clock_of(100), FLOOR)
    assert told(causes) == [("low_overlap", 10, 60, 69)]
    assert causes.findings.score[0] == pytest.approx(0.4)


def test_a_single_frame_keeps_its_score_and_its_words() -> None:
    for kind in (T.LOW_OVERLAP, T.EXTRA_ANNOTATION, T.MISMATCHING_LABEL):
        causes = track_causes(found(kind, [0], 0.37), seen(1), clock_of(1), FLOOR)
        assert causes.findings.score[0] == pytest.approx(0.37)
        assert causes.findings.reason[0] == "Because."


def test_the_same_fault_of_shape_is_told_once() -> None:
    broken = found(T.INVALID_SHAPE, range(30), np.linspace(0.3, 0.6, 30))
    causes = track_causes(broken, Sightings(), clock_of(30), FLOOR)
    assert told(causes) == [("invalid_shape", 30, 0, 29)]
    assert causes.findings.score[0] == 0.6


def twins(n: int, score: float, *, named: int = 8, other: int = 7) -> tuple[Findings, np.ndarray]:
    f = found(T.DUPLICATE_ANNOTATION, range(n), score, track=named)
    return f.replace(related=np.arange(n) + 100 * other), np.full(n, other)


def test_two_tracks_on_one_object_are_one_duplicate() -> None:
    f, other = twins(90, 0.9)
    causes = duplicate_causes(f, other, {(1, 7, 8): Shared(100, 100, 100)}, clock_of(100), FLOOR)
    assert told(causes) == [("duplicate_annotation", 90, 0, 89)]
    assert causes.findings.annotation_id.tolist() == [8]
    assert causes.findings.reason[0].endswith("on 90 of the 100 frames that it shares with track 7 (10 to 99).")


def test_tracks_that_cross_are_no_duplicate() -> None:
    f, other = twins(10, 0.9)
    assert not told(duplicate_causes(f, other, {(1, 7, 8): Shared(100, 100, 100)}, clock_of(100), FLOOR))


def test_of_two_tracks_the_one_that_the_other_covers_goes() -> None:
    """Deleting the long one would lose what only it shows."""
    f, other = twins(30, 0.9, named=8, other=7)
    causes = duplicate_causes(f, other, {(1, 7, 8): Shared(30, 30, 200)}, clock_of(30), FLOOR)
    assert causes.findings.annotation_id.tolist() == [7]
    assert causes.findings.annotation.tolist() == [700]
    assert causes.findings.related.tolist() == [800]
    assert (causes.findings.label[0], causes.findings.suggested_label[0]) == (1, 0)


def test_frames_shared_are_counted_by_task() -> None:
    frames = Frames(name=["a"] * 4, number=[0, 1, 0, 1], task=[1, 1, 2, 2])
    clock = Clock.of(frames, np.ones(4, bool))
    rows = Annotations(xyxy=np.zeros((6, 4)), frame=[0, 0, 1, 2, 2, 3], label=[0] * 6, annotation_id=[7, 8, 7, 7, 8, 8])
    assert shared_frames([rows[:3], rows[3:]], [(1, 7, 8)], clock) == {(1, 7, 8): Shared(1, 2, 1)}
    f = found(T.DUPLICATE_ANNOTATION, [0, 2], 0.9, track=8)
    assert pair_keys(f, np.array([7, 7]), clock) == [(1, 7, 8), (2, 7, 8)]


def test_one_cause_of_the_whole_and_slips_that_are_likelier() -> None:
    kinds = [T.MISMATCHING_LABEL, T.EXTRA_ANNOTATION, T.LOW_OVERLAP, T.LOW_OVERLAP, T.INVALID_SHAPE]
    scores = [0.3, 0.4, 0.45, 0.35, 0.1]
    f = Findings.concat(found(k, [i], s) for i, (k, s) in enumerate(zip(kinds, scores, strict=True)))
    kept = likeliest(Causes(f, np.array([True, True, False, False, False])), clock_of(5))
    assert kept.findings.frame.tolist() == [1, 2, 4]
    sure = f.replace(score=[0.6, 0.4, 0.99, 0.35, 0.1])
    kept = likeliest(Causes(sure, np.array([True, True, False, False, False])), clock_of(5))
    assert kept.findings.frame.tolist() == [0, 4], "where the name is wrong, boxes cannot fit those of that name"


def missing(frames: object, score: object, box: object = (10, 10, 50, 50), *, label: int = 0) -> Findings:
    at = np.asarray(frames)
    n = len(at)
    return Findings(
        type=np.full(n, T.MISSING_ANNOTATION),
        frame=at,
        score=np.broadcast_to(np.asarray(score, float), n),
        prediction=np.arange(n),
        suggested_label=np.full(n, label),
        suggested_xyxy=np.broadcast_to(np.asarray(box, float), (n, 4)),
        reason=objects(["Because."] * n),
    )


def chained(parts: list[Findings], n: int, job: np.ndarray | None = None) -> Findings:
    chains = Chains(clock_of(n), np.ones(n, int) if job is None else job)
    return Findings.concat([*[chains.take(part) for part in parts], chains.rest()])


def test_an_object_missed_on_many_frames_is_one_finding() -> None:
    moving = np.array([10.0, 10, 50, 50]) + np.arange(80)[:, None] * 4
    score = np.full(80, 0.7)
    score[33] = 0.9
    f = chained([missing(range(80), score, moving)], 80)
    assert (f.frames.tolist(), f.first_frame.tolist(), f.last_frame.tolist()) == ([80], [0], [79])
    assert f.frame.tolist() == [33]
    assert f.reason.tolist() == ["Because. So it is on 80 frames (10 to 89)."]


def test_an_object_far_away_at_first_is_told_from_where_it_is_likely() -> None:
    f = chained([missing(range(60), np.r_[np.full(40, 0.05), np.full(20, 0.9)])], 60)
    assert (f.frames.tolist(), f.first_frame.tolist()) == ([20], [40])
    assert f.score[0] > 0.85


def test_other_names_other_places_and_long_gaps_are_other_objects() -> None:
    here, there = (10, 10, 50, 50), (300, 10, 340, 50)
    f = chained([Findings.concat([missing(range(9), 0.9, here), missing(range(9), 0.9, there)])], 9)
    assert sorted(f.frames.tolist()) == [9, 9]
    f = chained([Findings.concat([missing(range(9), 0.9), missing(range(9), 0.9, label=1)])], 9)
    assert sorted(f.frames.tolist()) == [9, 9]
    assert chained([missing([0, 5, 11, 18], 0.9)], 20).frames.tolist() == [3, 1]


def test_a_chain_never_leaves_its_job() -> None:
    f = chained([missing(range(20), 0.9)], 20, np.repeat([1, 2], 10))
    assert sorted(zip(f.first_frame.tolist(), f.last_frame.tolist(), strict=True)) == [(0, 9), (10, 19)]


def test_a_flash_on_one_frame_is_doubted() -> None:
    one = missing([3], 0.9)
    after = chained([one], 7)
    assert after.score[0] == pytest.approx(0.52, abs=0.01)
    assert after.reason.tolist() == one.reason.tolist()
    assert (after.frames[0], after.first_frame[0], after.last_frame[0]) == (1, -1, -1)


def test_a_job_of_one_frame_leaves_it_as_it_is() -> None:
    one = missing([3], 0.3)
    after = chained([one], 5, np.arange(5))
    for name, column in one.columns().items():
        assert np.array_equal(column, after.columns()[name], equal_nan=column.dtype.kind == "f"), name


@given(ODDS)
def test_stretches_are_apart_positive_and_cannot_grow(odds: np.ndarray) -> None:
    found_ = stretches(odds)
    inside = np.zeros(len(odds), bool)
    for part in found_:
        assert not inside[part].any()
        inside[part] = True
        assert odds[part].sum() > 0
        assert odds[part][0] > 0
        assert odds[part][-1] > 0
    assert inside[odds > 0].all()
    assert [s.start for s in found_] == sorted(s.start for s in found_)


@given(st.lists(st.floats(0.01, 0.99), min_size=1, max_size=300).map(np.array))
def test_many_frames_are_worth_two_looks_at_most(chance: np.ndarray) -> None:
    both, alone = together(log_odds(chance)), log_odds(chance)
    assert together(alone[:1]) == pytest.approx(chance[0])
    mean = alone.mean()
    assert abs(log_odds(np.array([both]))[0]) <= 2 * abs(mean) + 1e-9
    assert (both - 0.5) * mean >= 0


@settings(deadline=None, max_examples=40)  # tables of one row are slow, and the machine may be busy
@given(st.integers(0, 2**32 - 1), st.lists(st.integers(1, 79), max_size=6, unique=True))
def test_missed_objects_do_not_depend_on_where_blocks_end(seed: int, cuts: list[int]) -> None:
    rng = np.random.default_rng(seed)
    at = np.sort(rng.integers(0, 80, 120))
    corner = rng.choice([10.0, 30, 200], (120, 2)) + rng.normal(0, 3, (120, 2))
    f = missing(at, rng.beta(1, 1, 120), np.hstack([corner, corner + 40]))
    f = f.replace(suggested_label=rng.integers(0, 2, 120))
    blocks = [f[(f.frame >= a) & (f.frame < b)] for a, b in zip([0, *sorted(cuts)], [*sorted(cuts), 80], strict=True)]
    whole, parts = chained([f], 80), chained(blocks, 80)
    order = [np.lexsort([t.prediction, t.frame, t.suggested_label]) for t in (whole, parts)]
    for name, column in whole[order[0]].columns().items():
        assert np.array_equal(column, parts[order[1]].columns()[name], equal_nan=column.dtype.kind == "f"), name
