import numpy as np
import pytest

from audit.core.annotations import Predictions
from audit.trust.fusion import fuse

BOX = [100.0, 100, 200, 200]


def predicted(*rows: tuple[int, list[float], int, float]) -> Predictions:
    """Rows of (model, box, label, score) in one frame."""
    return Predictions(
        xyxy=[r[1] for r in rows], label=[r[2] for r in rows], score=[r[3] for r in rows], model=[r[0] for r in rows]
    )


def test_one_model_is_left_alone() -> None:
    one = predicted((0, BOX, 0, 0.9))
    fused, members = fuse(one, np.ones((1, 1), bool))
    assert fused is one
    assert members.tolist() == [0]


def test_agreeing_models_keep_their_score_and_meet_in_the_middle() -> None:
    other = [110.0, 100, 210, 200]
    fused, members = fuse(predicted((0, BOX, 0, 0.9), (1, other, 0, 0.3)), np.ones((2, 1), bool))
    assert fused.score == pytest.approx([0.6])
    assert fused.xyxy[0] == pytest.approx([102.5, 100, 202.5, 200])
    assert members.tolist() == [0]


def test_an_object_that_one_of_two_sees_counts_half() -> None:
    fused, _ = fuse(predicted((0, BOX, 0, 0.9)), np.ones((2, 1), bool))
    assert fused.score == pytest.approx([0.45])


def test_a_model_that_does_not_know_the_label_has_no_vote() -> None:
    fused, _ = fuse(predicted((0, BOX, 0, 0.9)), np.array([[True], [False]]))
    assert fused.score == pytest.approx([0.9])


def test_names_are_not_mixed_and_frames_stay_sorted() -> None:
    p = predicted((0, BOX, 0, 0.9), (1, BOX, 1, 0.8)).replace(frame=[0, 1])
    fused, members = fuse(p, np.ones((2, 2), bool))
    assert fused.label.tolist() == [0, 1]
    assert fused.frame.tolist() == [0, 1]
    assert members.tolist() == [0, 1]


def test_no_predictions() -> None:
    fused, members = fuse(Predictions(), np.ones((2, 3), bool))
    assert len(fused) == len(members) == 0
