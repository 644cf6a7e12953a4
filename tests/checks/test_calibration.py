"""Learning from mistakes planted into the data itself."""

from __future__ import annotations

import numpy as np
import pytest

from audit.checks import calibration, find
from audit.checks.calibration import CANDIDATES, RATE, TRAITS, candidates, examples, learnt, weights_from
from audit.checks.evidence import SAMPLE_FRAMES, Evidence, combine, gather
from audit.checks.habits import Habits, habits_of
from audit.checks.track_record import counts, track_record
from audit.core.annotations import Annotations, Predictions
from audit.core.findings import FindingType as T
from audit.trust.learning import probability
from audit.trust.prevalence import shift
from audit.trust.prior import PRIOR, WEIGHTS
from tests.checks.test_held_out import scene as well_detected
from tests.scenes import scene


def evidence_of(annotations: Annotations, predictions: Predictions, frames: int) -> Evidence:
    judged = np.ones(len(annotations), bool)
    return combine([gather(annotations, predictions, judged=judged, frame_hw=np.full((frames, 2), 600))])


def test_every_trait_has_a_name_and_a_weight() -> None:
    snapshot, predictions = scene(0)
    evidence = evidence_of(snapshot.annotations, predictions, 20)
    found = candidates(evidence, habits_of(evidence, 5))
    assert set(found) == set(TRAITS) == set(WEIGHTS) == set(CANDIDATES)
    for kind, rows in found.items():
        assert rows.traits.shape == (len(rows.rows), len(TRAITS[kind]))
        assert tuple(WEIGHTS[kind]) == TRAITS[kind]
        assert np.isfinite(rows.traits).all() and np.abs(rows.traits).max(initial=0) < 20


def test_nothing_to_learn_from_leaves_the_prior() -> None:
    for a, p in ((Annotations(), Predictions()), (scene(0)[0].annotations[:4], Predictions())):
        evidence = evidence_of(a, p, 20)
        told = learnt(evidence, 5, habits_of(evidence, 5), PRIOR)
        assert told.weights is PRIOR
        assert told.rates == {}


def test_planted_mistakes_are_among_the_examples() -> None:
    snapshot, predictions = scene(0, frames=60)
    evidence = evidence_of(snapshot.annotations, predictions, 60)
    part = next(examples(evidence.sample, evidence.frame_hw, 5, None))
    planted = round(0.05 * len(snapshot.annotations))
    assert part[T.EXTRA_ANNOTATION][1].sum() == planted
    assert part[T.DUPLICATE_ANNOTATION][1].sum() == pytest.approx(planted, abs=3)
    for kind in (T.MISSING_ANNOTATION, T.LOW_OVERLAP, T.MISMATCHING_LABEL):
        assert 0 < part[kind][1].sum() <= 2 * planted


def test_a_model_that_sees_nothing_makes_no_label_extra() -> None:
    """What it never sees says nothing by not being seen: learning and habits must both bring the score down."""
    snapshot, _ = scene(1, frames=60)
    found = find(evidence_of(snapshot.annotations, Predictions(), 60), snapshot, types=(T.EXTRA_ANNOTATION,))
    assert found.score.max(initial=0) < 0.5
    assert np.median(found.score) < 0.15


def test_learning_tells_a_good_model_from_a_poor_one() -> None:
    """Unsupported labels are suspect where all others are supported, not where half are not."""
    snapshot, _ = scene(2, frames=80)
    a = snapshot.annotations
    rng = np.random.default_rng(0)
    chances = []
    for share in (0.98, 0.5):
        seen = a[np.flatnonzero(rng.random(len(a)) < share)]
        predictions = Predictions(xyxy=seen.xyxy, frame=seen.frame, label=seen.label, score=np.full(len(seen), 0.8))
        found = find(evidence_of(a, predictions, 80), snapshot, types=(T.EXTRA_ANNOTATION,))
        chances.append(np.median(found.score[found.iou == 0]))
    assert chances[0] > 2 * chances[1]


def test_many_frames_are_sampled() -> None:
    frames = 3 * SAMPLE_FRAMES
    snapshot, predictions = scene(0, frames=frames, per_frame=1, predicted=2)
    sample = evidence_of(snapshot.annotations, predictions, frames).sample
    assert sample.step == 3
    assert set(sample.annotations.frame % 3) == {0}
    assert len(np.unique(sample.annotations.frame)) <= SAMPLE_FRAMES


def test_better_support_never_makes_a_label_more_extra() -> None:
    """Of the starting weights: a law of the score, whatever the numbers; a label well confirmed is no candidate."""
    none = counts(np.zeros(0, np.int64), np.zeros(0), np.zeros((0, 4)), 3)
    rates = [np.full(3, 20.0)] * 3 + [np.zeros(3)] * 2
    habits = Habits(*rates, track_record(none, none), np.full(14, 0.9), np.full(14, 0.05))
    box = np.array([[100.0, 100, 300, 300]])
    a = Annotations(xyxy=box, frame=[0], label=[0], annotation_id=[1])
    chances = []
    for score in (0.01, 0.05, 0.2, 0.5, 0.9):
        evidence = evidence_of(a, Predictions(xyxy=box, label=[0], score=[score]), 1)
        traits = candidates(evidence, habits)[T.EXTRA_ANNOTATION].traits
        chances.append(probability(traits, PRIOR[T.EXTRA_ANNOTATION]).max(initial=0))
    assert (np.diff(chances[:3]) < 0).all()
    assert chances[2] > chances[3] == chances[4] == 0


def seen_well(share_dropped: float, frames: int = 80) -> Evidence:
    """Labels nearly all of which a detector sees, some of them taken away afterwards."""
    sample, hw = well_detected(frames)
    kept = np.random.default_rng(3).random(len(sample.annotations)) >= share_dropped
    a = sample.annotations[kept]
    return combine([gather(a, sample.predictions, judged=np.ones(len(a), bool), frame_hw=hw)])


def test_how_many_are_wrong_is_learnt_from_the_labels_as_they_are() -> None:
    rates = []
    for share in (0.0, 0.02, 0.08):
        evidence = seen_well(share)
        rates.append(learnt(evidence, 3, habits_of(evidence, 3), PRIOR).rates)
    missing = [r[T.MISSING_ANNOTATION] for r in rates]
    assert missing == sorted(missing)
    assert missing[0] < 0.01 < missing[1] < 0.025 < missing[2] < 0.13
    for kind in (T.LOW_OVERLAP, T.MISMATCHING_LABEL, T.DUPLICATE_ANNOTATION):
        assert max(r[kind] for r in rates) < 0.3 * RATE


def test_the_rate_moves_all_of_a_type_alike() -> None:
    evidence = seen_well(0.02)
    habits = habits_of(evidence, 3)
    told = learnt(evidence, 3, habits, PRIOR)
    parts = list(examples(evidence.sample, evidence.frame_hw, 3, None, 6, habits.kin))
    for kind, before in PRIOR.items():
        difference = told.weights[kind] - weights_from([p[kind] for p in parts], before)
        assert difference[0] == pytest.approx(shift(told.rates[kind], RATE))
        assert not difference[1:].any()


def test_of_very_many_frames_some_tell_how_much_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    evidence = seen_well(0.04, frames=120)
    habits = habits_of(evidence, 3)
    everything = learnt(evidence, 3, habits, PRIOR).rates
    monkeypatch.setattr(calibration, "COUNTED_FRAMES", 40)
    some = learnt(evidence, 3, habits, PRIOR).rates
    assert some != everything
    assert 0.02 < some[T.MISSING_ANNOTATION] < 0.08
    assert max(some[kind] for kind in (T.LOW_OVERLAP, T.MISMATCHING_LABEL, T.DUPLICATE_ANNOTATION)) < 0.01
