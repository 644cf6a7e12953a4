"""What is usual around an object: how often its like is labelled, what its frame holds, where it is cut off."""

from __future__ import annotations

import numpy as np
import pytest

from audit.checks.evidence import Evidence, combine, gather
from audit.checks.extra import TRAITS as EXTRA
from audit.checks.extra import extra_candidates
from audit.checks.habits import habits_of
from audit.checks.missing import TRAITS as MISSING
from audit.checks.missing import missing_candidates
from audit.checks.surroundings import surroundings
from audit.checks.track_record import SCORES, SIZES, TrackRecord, counts, track_record
from audit.checks.traits import logit
from audit.core.annotations import Annotations, Predictions
from audit.core.table import FloatArray

PERSON, CAR = 0, 1


def squares(sides: list[float]) -> FloatArray:
    return np.array([[10.0, 10, 10 + s, 10 + s] for s in sides]).reshape(-1, 4)


def record(right: list[tuple[int, float, float]], wrong: list[tuple[int, float, float]]) -> TrackRecord:
    """Of predictions given by name, score and side."""
    rows = [(np.array([r[0] for r in t], np.int64), np.array([r[1] for r in t], float), t) for t in (right, wrong)]
    return track_record(*(counts(name, score, squares([r[2] for r in t]), 3) for name, score, t in rows))


def share(of: TrackRecord, name: int, score: float, side: float) -> float:
    return float(of.share(np.array([name]), np.array([score]), squares([side]))[0])


def test_without_predictions_the_record_says_little() -> None:
    empty = record([], [])
    assert share(empty, PERSON, 0.5, 50) == pytest.approx(0.6)
    assert len(empty.share(np.zeros(0, np.int64), np.zeros(0), squares([]))) == 0


def test_small_ones_that_nobody_labels_are_told_from_large_ones_that_all_label() -> None:
    of = record([(PERSON, 0.8, 200)] * 20, [(PERSON, 0.8, 12)] * 20)
    assert share(of, PERSON, 0.8, 200) > 0.9
    assert share(of, PERSON, 0.8, 12) < 0.2


def test_what_holds_for_one_name_holds_for_another_less() -> None:
    of = record([(PERSON, 0.8, 100)] * 20 + [(CAR, 0.8, 100)], [(CAR, 0.8, 100)] * 15)
    assert share(of, CAR, 0.8, 100) < 0.3
    assert share(of, PERSON, 0.8, 100) > 0.8


def test_a_prediction_is_no_witness_against_itself() -> None:
    one = record([(PERSON, 0.8, 100)] * 5, [(PERSON, 0.8, 100)])
    none = record([(PERSON, 0.8, 100)] * 5, [])
    two = record([(PERSON, 0.8, 100)] * 5, [(PERSON, 0.8, 100)] * 2)
    assert share(two, PERSON, 0.8, 100) < share(one, PERSON, 0.8, 100)
    assert share(one, PERSON, 0.8, 100) == pytest.approx(share(none, PERSON, 0.8, 100), abs=0.02)


def test_no_name_has_the_last_row_and_extremes_their_bins() -> None:
    found = counts(np.array([-1, 0]), np.array([0.0, 1.0]), squares([1, 1e6]), 3)
    assert found.named[2, 0].max() == 1
    assert found.named[0, SCORES - 1, SIZES - 1] == 1
    assert found.named[1].max() == 0


def test_the_smallest_label_of_a_name_in_a_frame() -> None:
    a = Annotations(xyxy=squares([40, 20, 8]), frame=[3, 3, 3], label=[PERSON, PERSON, CAR], annotation_id=[1, 2, 3])
    around = surroundings(a, Predictions(xyxy=squares([5]), frame=[4], label=[2], score=[0.5]))
    frame, name = np.array([3, 3, 4, 3, 3]), np.array([PERSON, CAR, PERSON, 2, -1])
    assert np.array_equal(around.smallest(frame, name), [20, 8, np.nan, np.nan, np.nan], equal_nan=True)


def evidence(labels: Annotations, predictions: Predictions) -> Evidence:
    hw = np.full((2, 2), 400)
    return combine([gather(labels, predictions, judged=np.ones(len(labels), bool), frame_hw=hw)])


def row(left: float, side: float) -> list[float]:
    return [left, 100, left + side, 100 + side]


def test_one_box_around_two_labels_and_a_smaller_one_than_any() -> None:
    labels = Annotations(xyxy=[row(100, 40), row(150, 40)], frame=[0, 0], label=[CAR, CAR], annotation_id=[1, 2])
    predictions = Predictions(xyxy=[[95, 80, 195, 170], row(300, 10)], frame=[0, 0], label=[CAR, CAR], score=[0.6, 0.7])
    found = evidence(labels, predictions)
    assert found.unexplained.covers_count.tolist() == [2, 0]
    assert found.unexplained.smallest.tolist() == [40, 40]
    traits = missing_candidates(found, habits_of(found, 2)).traits
    smaller = traits[:, MISSING.index("smaller than the smallest")]
    assert smaller == pytest.approx([np.log2(40 / np.sqrt(100 * 90)), 2])


def test_what_lies_beside_a_label() -> None:
    labels = Annotations(
        xyxy=[row(100, 40), row(120, 40), row(100, 40)],
        frame=[0, 0, 0],
        label=[CAR, CAR, PERSON],
        annotation_id=[1, 2, 3],
    )
    predictions = Predictions(
        xyxy=[row(100, 40), row(110, 40), row(120, 40)], frame=[0] * 3, label=[2, 2, 2], score=[0.02, 0.2, 0.5]
    )
    e = evidence(labels, predictions).labels
    assert e.label_iou == pytest.approx([1, 1 / 3, 1])
    assert e.twin_iou == pytest.approx([1 / 3, 1 / 3, 0])
    assert e.any_iou[0] == 1
    assert e.seen_iou[0] == pytest.approx(0.6)
    assert e.sure_iou[0] == pytest.approx(1 / 3)
    assert e.rival_total[0] == pytest.approx(0.02 + 0.2 * 0.6**2 + 0.5 / 9)


def test_others_of_its_name_count_only_if_seen() -> None:
    labels = Annotations(
        xyxy=[row(10, 40), row(100, 40), row(200, 40), row(10, 40)],
        frame=[0, 0, 0, 1],
        label=[CAR, CAR, CAR, CAR],
        annotation_id=[1, 2, 3, 4],
    )
    seen = Predictions(xyxy=[row(100, 40), row(200, 40)], frame=[0, 0], label=[CAR, CAR], score=[0.9, 0.9])
    found = evidence(labels, seen)
    traits = extra_candidates(found, habits_of(found, 2))
    share = traits.traits[:, EXTRA.index("others of its name seen")]
    assert found.labels.row[traits.rows].tolist() == [0, 3]
    assert share == pytest.approx(logit(np.array([(2 + (2 + 2.5 / 4) / 3) / 3, 2.5 / 4])) / 2)
