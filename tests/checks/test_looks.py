"""What pictures add: nothing where there are none, and knowledge where there are."""

from __future__ import annotations

import numpy as np
import pytest

from audit.checks import find, study
from audit.checks.box_traits import TRAITS as LOW_OVERLAP
from audit.checks.calibration import TRAITS, candidates, examples
from audit.checks.evidence import Evidence, combine, gather
from audit.checks.extra import TRAITS as EXTRA
from audit.checks.habits import habits_of
from audit.checks.held_out import held_out
from audit.checks.looks import EXTRA_TRAITS, LOW_OVERLAP_TRAITS, USUAL, extra_looks
from audit.checks.tables import Look
from audit.core.annotations import Annotations, Predictions, Snapshot
from audit.core.findings import FindingType as T
from audit.trust.prior import PRIOR
from audit.trust.prior_pictures import WEIGHTS, with_pictures
from tests.scenes import scene

HW = np.full((60, 2), 600)


def nothing(frame: np.ndarray, xyxy: np.ndarray) -> np.ndarray:
    """Of pictures that cannot be read."""
    return np.full((len(frame), 3), np.nan)


def evidence_of(annotations: Annotations, predictions: Predictions, look: Look | None) -> Evidence:
    judged = np.ones(len(annotations), bool)
    return combine([gather(annotations, predictions, judged=judged, frame_hw=HW, look=look)])


def told_by(boxes: np.ndarray) -> Look:
    """Edges at the sides of exactly these boxes."""
    known = {tuple(b) for b in boxes.tolist()}

    def look(frame: np.ndarray, xyxy: np.ndarray) -> np.ndarray:
        there = np.array([tuple(b) in known for b in xyxy.tolist()], float)
        return USUAL + np.column_stack([there - 0.5, there - 0.5, there - 0.5])

    return look


def test_usual_and_unseen_boxes_have_no_traits() -> None:
    assert extra_looks(np.zeros((0, 3))).shape == (0, len(EXTRA_TRAITS))
    assert not extra_looks(np.array([USUAL, [np.nan] * 3])).any()


def test_every_trait_of_pictures_has_a_weight() -> None:
    snapshot, predictions = scene(0, frames=60)
    plain, pictured = (evidence_of(snapshot.annotations, predictions, look) for look in (None, nothing))
    ours, theirs = (candidates(e, habits_of(e, 5)) for e in (plain, pictured))
    prior = with_pictures(PRIOR)
    for kind, names in ((T.EXTRA_ANNOTATION, EXTRA_TRAITS), (T.LOW_OVERLAP, LOW_OVERLAP_TRAITS)):
        assert tuple(WEIGHTS[kind]) == ("constant", *names)
        assert theirs[kind].traits.shape[1] == len(TRAITS[kind]) + len(names) == len(prior[kind])
        assert np.array_equal(theirs[kind].traits[:, : -len(names)], ours[kind].traits)
        assert not theirs[kind].traits[:, -len(names) :].any()
    others = set(PRIOR) - set(WEIGHTS)
    assert all(np.array_equal(prior[kind], PRIOR[kind]) for kind in others)
    assert all(np.array_equal(theirs[kind].traits, ours[kind].traits) for kind in others)
    assert len(EXTRA) == len(TRAITS[T.EXTRA_ANNOTATION]) and len(LOW_OVERLAP) == len(TRAITS[T.LOW_OVERLAP])


def test_planted_mistakes_are_looked_at_all_together_and_each_box_once() -> None:
    snapshot, predictions = scene(0, frames=60)
    calls: list[int] = []

    def look(frame: np.ndarray, xyxy: np.ndarray) -> np.ndarray:
        calls.append(len(frame))
        return nothing(frame, xyxy)

    evidence = evidence_of(snapshot.annotations, predictions, look)
    assert calls.pop() == len(evidence.labels)
    parts = list(examples(evidence.sample, HW, 5, None, copies=3))
    assert len(calls) == 4 and calls[0] == pytest.approx(sum(calls[1:]), rel=0.01)
    assert parts[0][T.EXTRA_ANNOTATION][0].shape[1] == len(EXTRA) + len(EXTRA_TRAITS)


def test_chances_are_held_against_planted_mistakes_with_pictures_too() -> None:
    snapshot, predictions = scene(0, frames=60)
    sample = evidence_of(snapshot.annotations, predictions, told_by(snapshot.annotations.xyxy)).sample
    assert len(held_out(sample, HW, 5, PRIOR)) > 20


def test_a_box_on_nothing_is_likelier_extra_and_a_slipped_one_likelier_slipped() -> None:
    """Labels lie on edges, but for the invented and the slipped ones."""
    snapshot, predictions = scene(3, frames=60)
    clean = snapshot.annotations
    look, blind = told_by(clean.xyxy), None
    rng = np.random.default_rng(0)
    slipped = np.sort(rng.choice(len(clean), 20, replace=False))
    xyxy = clean.xyxy.copy()
    xyxy[slipped, 0::2] += 0.2 * (xyxy[slipped, 2] - xyxy[slipped, 0])[:, None]
    frame = rng.integers(0, 60, 20)
    corner = rng.uniform(0, 450, (20, 2))
    invented = Annotations(
        xyxy=np.hstack([corner, corner + 100]),
        frame=frame,
        label=rng.integers(0, 5, 20),
        annotation_id=9000 + np.arange(20),
    )
    wrong = Annotations.concat([clean.replace(xyxy=xyxy), invented])
    wrong = wrong[np.argsort(wrong.frame, kind="stable")]
    spoilt = Snapshot("scene", snapshot.labels, snapshot.frames, wrong)

    def real(look: Look | None, kind: T) -> float:
        """Mean precision at the mistakes of a type."""
        found = find(evidence_of(wrong, predictions, look), spoilt, types=(kind,))
        ids = {*clean.annotation_id[slipped].tolist()} if kind == T.LOW_OVERLAP else {*range(9000, 9020)}
        hits = np.isin(found.annotation_id, list(ids))
        return float((np.cumsum(hits) / np.arange(1, len(hits) + 1) * hits).sum() / len(ids))

    for kind in (T.EXTRA_ANNOTATION, T.LOW_OVERLAP):
        assert real(look, kind) > real(blind, kind) + 0.02


def test_pictures_that_cannot_be_read_leave_scores_nearly_as_they_are() -> None:
    snapshot, predictions = scene(4, frames=60)
    chances = []
    for look in (None, nothing):
        evidence = evidence_of(snapshot.annotations, predictions, look)
        found = find(evidence, snapshot, knowledge=study(evidence, 5), types=(T.LOW_OVERLAP, T.EXTRA_ANNOTATION))
        chances.append(dict(zip(found.id.tolist(), found.score.tolist(), strict=True)))
    both = set(chances[0]) & set(chances[1])
    assert len(both) > 0.9 * len(chances[0]) > 20
    assert np.median([abs(chances[0][i] - chances[1][i]) for i in both]) < 0.05
