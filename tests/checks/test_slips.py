"""Whether a box slipped: displacements, the predictions around it, the frame's border, its neighbours."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audit.checks import find
from audit.checks.box_traits import TRAITS, box_candidates
from audit.checks.evidence import Evidence, LabelEvidence, combine, gather
from audit.checks.habits import habits_of
from audit.checks.nearby import Nearby, sides_at_border
from audit.checks.sides import LEAST_SPREAD, Sides, offsets, pair_offsets, usual_sides
from audit.checks.slips import LEAST, MOST, slip_evidence
from audit.core.annotations import Annotations, Frames, Predictions, Snapshot
from audit.core.findings import FindingType as T

TRUTH = np.array([200.0, 200, 400, 500])
Change = Callable[[float], np.ndarray]


def moved(share: float) -> np.ndarray:
    return TRUTH + share * np.array([200, 300, 200, 300])


def cut_below(share: float) -> np.ndarray:
    return TRUTH - share * np.array([0, 0, 0, 300])


def grown(share: float) -> np.ndarray:
    return TRUTH + share / 2 * np.array([-200, -300, 200, 300])


def too_wide(share: float) -> np.ndarray:
    return TRUTH + share * np.array([0, 0, 200, 0])


def seen(*labels: np.ndarray, score: float = 0.9) -> LabelEvidence:
    """Labels of an object that is predicted at ``TRUTH``."""
    n = len(labels)
    return LabelEvidence(
        row=np.arange(n),
        frame=np.zeros(n),
        label=np.zeros(n),
        xyxy=np.reshape(labels, (n, 4)),
        own_prediction=np.arange(n),
        own_score=np.full(n, score),
        own_xyxy=np.tile(TRUTH, (n, 1)),
    )


def evidence_of(labels: list[np.ndarray], predictions: list[tuple[np.ndarray, float]], hw: int = 600) -> Evidence:
    """Labels and predictions of one name in one square frame."""
    a = Annotations(xyxy=labels, frame=[0] * len(labels), label=[0] * len(labels), annotation_id=range(len(labels)))
    p = Predictions(xyxy=[b for b, _ in predictions], score=[s for _, s in predictions], label=[0] * len(predictions))
    return combine([gather(a, p, judged=np.ones(len(a), bool), frame_hw=np.array([[hw, hw]]))])


def trait(evidence: Evidence, name: str) -> list[float]:
    """One trait of every candidate."""
    found = box_candidates(evidence, habits_of(evidence, 1))
    return np.asarray(found.traits[:, TRAITS.index(name)]).tolist()


def chance(label: np.ndarray, *predictions: tuple[np.ndarray, float]) -> float:
    """The score of the Low IoU finding of this label, 0 if there is none."""
    evidence = evidence_of([label], list(predictions))
    snapshot = Snapshot(
        "x", ("person",), Frames(name=["a"], number=[0], width=[600], height=[600]), evidence.annotations
    )
    found = find(evidence, snapshot, types=(T.LOW_OVERLAP,))
    return float(found.score.max(initial=0))


def test_nothing_gives_nothing() -> None:
    assert slip_evidence(LabelEvidence(), Sides(), Nearby()).shape == (0,)
    assert offsets(LabelEvidence()).shape == (0, 4)
    assert usual_sides(LabelEvidence()).spread.tolist() == Sides().spread.tolist()
    assert box_candidates(evidence_of([], []), habits_of(evidence_of([], []), 1)).traits.shape == (0, len(TRAITS))


def test_a_box_that_fits_speaks_against_a_slip() -> None:
    (log_ratio,) = slip_evidence(seen(TRUTH), Sides(), Nearby())
    assert LEAST <= log_ratio < -2


@pytest.mark.parametrize("change", [moved, cut_below, grown, too_wide])
def test_the_further_off_the_more_it_speaks_for_a_slip(change: Change) -> None:
    log_ratio = slip_evidence(seen(*(change(share) for share in np.linspace(0, 0.3, 13))), Sides(), Nearby())
    assert (np.diff(log_ratio) > 0).all()


@pytest.mark.parametrize("change", [moved, grown])
def test_far_off_at_several_sides_is_likelier_slipped_than_sound(change: Change) -> None:
    assert slip_evidence(seen(change(0.25)), Sides(), Nearby())[0] > 0.5


def test_a_box_that_leaves_out_half_the_object_speaks_for_a_slip() -> None:
    """Measured by its own height it would be off by all of it, and no slipped side is."""
    assert pair_offsets(cut_below(0.5)[:, None], TRUTH[:, None])[0].T.tolist() == [[0, 0, 0, 0.5]]
    assert offsets(seen(cut_below(0.5)))[0].tolist() == [0, 0, 0, 1]
    little, much = slip_evidence(seen(cut_below(0.1), cut_below(0.5)), Sides(), Nearby())
    assert much > little
    found = [chance(cut_below(share), (TRUTH, 0.95)) for share in (0.1, 0.2, 0.4)]
    assert found[0] < found[1] < found[2]
    assert found[2] > 0.2


def test_a_slipped_box_is_likely_and_a_sound_one_is_not() -> None:
    assert chance(moved(0.15), (TRUTH, 0.9)) > 0.5
    assert chance(moved(0.03), (TRUTH, 0.9)) < 0.1


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=30, deadline=None)
def test_label_and_prediction_exchanged_are_as_far_apart(seed: int) -> None:
    corner = np.random.default_rng(seed).uniform(0, 300, (2, 5, 2))
    one, two = (np.hstack([c, c + np.random.default_rng(seed).uniform(5, 300, (5, 2))]) for c in corner)
    there, back = seen(*one).replace(own_xyxy=two), seen(*two).replace(own_xyxy=one)
    assert np.allclose(pair_offsets(one.T, two.T)[0], -pair_offsets(two.T, one.T)[0])
    assert np.allclose(*(slip_evidence(e, Sides(), Nearby()) for e in (there, back)))


@given(st.integers(0, 2**32 - 1), st.floats(0.01, 0.5))
@settings(max_examples=30, deadline=None)
def test_it_stays_within_its_bounds_and_permuting_what_lies_near_changes_nothing(seed: int, spread: float) -> None:
    rng = np.random.default_rng(seed)
    e = seen(*(TRUTH + rng.normal(0, 60, (4, 4))))
    rows = np.sort(rng.integers(0, 4, 9))
    near = Nearby(row=rows, xyxy=TRUTH + rng.normal(0, 60, (9, 4)), score=rng.uniform(0.01, 1, 9))
    sides = Sides(spread=np.full(4, spread))
    log_ratio = slip_evidence(e, sides, near)
    assert (log_ratio >= LEAST).all() and (log_ratio <= MOST).all()
    assert np.allclose(log_ratio, slip_evidence(e, sides, near[rng.permutation(9)]))
    each = [slip_evidence(e[[i]], sides, near)[0] for i in range(4)]
    assert np.allclose(log_ratio, each)


def test_a_faint_prediction_that_fits_the_label_speaks_against_a_slip() -> None:
    label = moved(0.15)
    alone, doubted = chance(label, (TRUTH, 0.6)), chance(label, (TRUTH, 0.6), (label, 0.1))
    assert alone > 0.3
    assert doubted < 0.1
    evidence = seen(label)
    fainter = [
        slip_evidence(evidence, Sides(), Nearby(row=[0], xyxy=[label], score=[score]))[0]
        for score in (0.01, 0.05, 0.3, 0.9)
    ]
    assert (np.diff([slip_evidence(evidence, Sides(), Nearby())[0], *fainter]) < 0).all()


def test_predictions_near_a_label_are_those_beside_its_own() -> None:
    far = TRUTH + 350
    evidence = evidence_of([TRUTH + 12, moved(0.2)], [(TRUTH, 0.9), (moved(0.25), 0.8), (moved(0.3), 0.05), (far, 0.9)])
    near = evidence.nearby
    assert (np.diff(near.row) >= 0).all()
    own = evidence.labels.own_xyxy
    for row, box in zip(near.row.tolist(), near.xyxy.tolist(), strict=True):
        assert box != own[row].tolist() and box != far.tolist()
    assert near.score[near.row == 1].tolist() == [0.9, 0.05]


def test_a_label_that_fits_snugly_needs_no_predictions_near_it() -> None:
    assert len(evidence_of([TRUTH], [(TRUTH, 0.9), (moved(0.1), 0.5)]).nearby) == 0


def test_rows_are_those_of_the_whole_snapshot() -> None:
    a = Annotations(xyxy=[TRUTH * [1, 1, 0, 0], moved(0.2)], frame=[0, 0], label=[0, 0], annotation_id=[1, 2])
    p = Predictions(xyxy=[TRUTH, moved(0.05)], score=[0.9, 0.2], label=[0, 0])
    block = gather(a, p, judged=np.ones(2, bool), frame_hw=np.array([[600, 600]]), first_annotation=40)
    assert block.labels.row.tolist() == block.nearby.row.tolist() == [41]


def test_labels_that_are_not_judged_have_no_predictions_near_them() -> None:
    a = Annotations(xyxy=[moved(0.2)], frame=[0], label=[0], annotation_id=[1])
    p = Predictions(xyxy=[TRUTH, moved(0.05)], score=[0.9, 0.2], label=[0, 0])
    assert len(gather(a, p, judged=np.zeros(1, bool), frame_hw=np.array([[600, 600]])).nearby) == 0


def test_a_prediction_that_another_label_shares_is_doubtful() -> None:
    alone = evidence_of([moved(0.2)], [(TRUTH, 0.9)])
    crowd = evidence_of([moved(0.2), moved(-0.2)], [(TRUTH, 0.9)])
    assert alone.labels.own_shared.tolist() == [0]
    assert 0 < crowd.labels.own_shared.max() < 1
    assert trait(crowd, "own prediction shared") == [crowd.labels.own_shared.max()]


def test_sides_at_the_border() -> None:
    boxes = np.array([[0.0, 0, 100, 100], [20, 1, 300, 399.5], [20, 20, 580, 380], [0, 0, 600, 400]])
    assert sides_at_border(boxes, np.full((4, 2), (400, 600))).tolist() == [2, 2, 0, 4]
    assert sides_at_border(boxes, np.zeros((4, 2), np.int64)).tolist() == [0, 0, 0, 0]
    assert trait(evidence_of([TRUTH], [(TRUTH * [0, 1, 1, 1], 0.9)]), "own prediction at the border") == [0.25]


def test_the_usual_displacement_is_that_of_most_labels() -> None:
    rng = np.random.default_rng(0)
    sound = [TRUTH + rng.normal(0, 0.02, 4) * [200, 300, 200, 300] for _ in range(200)]
    slipped = [moved(0.2) for _ in range(20)]
    e = seen(*sound, *slipped).replace(own_iou=np.full(220, 0.8))
    spread = usual_sides(e).spread
    assert (spread >= LEAST_SPREAD).all() and (spread < 0.035).all()


def drawn(rng: np.random.Generator, share: float, pixels: float) -> LabelEvidence:
    """Labels of many sizes whose sides are off by so much, and their predictions."""
    wh = np.exp(rng.uniform(np.log(15), np.log(500), (600, 2)))
    truth = np.hstack([np.full((600, 2), 50.0), 50 + wh])
    off = rng.normal(0, share, (600, 4)) * np.hstack([wh, wh]) + rng.normal(0, pixels, (600, 4))
    return seen(*(truth + off)).replace(own_xyxy=truth, own_iou=np.full(600, 0.8))


def test_a_coarse_network_is_told_from_a_loose_one() -> None:
    rng = np.random.default_rng(1)
    coarse, loose = usual_sides(drawn(rng, 0.01, 5)), usual_sides(drawn(rng, 0.06, 0.1))
    assert coarse.pixels > 2 > loose.pixels
    small, large = np.full((4, 1), 20.0), np.full((4, 1), 400.0)
    assert (coarse.usual(small) > loose.usual(small)).all()
    assert (coarse.usual(large) < loose.usual(large)).all()


def test_boxes_of_one_size_tell_nothing_of_pixels() -> None:
    square = np.array([200.0, 200, 400, 400])
    labels = seen(*(square + i % 5 for i in range(100)))
    sides = usual_sides(labels.replace(own_xyxy=np.tile(square, (100, 1)), own_iou=np.full(100, 0.9)))
    assert np.isfinite(sides.usual(np.full((4, 3), 100.0))).all() and 0 <= sides.pixels <= Sides().pixels


def test_a_box_moved_as_a_whole_keeps_its_size() -> None:
    names = ("smaller than its own prediction", "larger than its own prediction")
    for label, expected in (
        (moved(0.1), (0, 0)),
        (cut_below(0.4), (-np.log(0.6), 0)),
        (grown(0.5), (0, 2 * np.log(1.5))),
    ):
        evidence = evidence_of([label], [(TRUTH, 0.9)])
        assert np.allclose([trait(evidence, name)[0] for name in names], expected)
