from __future__ import annotations

import numpy as np
import pytest

from audit.core.annotations import Annotations, Predictions
from audit.trust.agreement import LEAST, SHARPNESS, trust_in
from audit.trust.fusion import fuse

N = 40
BOXES = np.array([[50.0, 50, 150, 150]] * N)
LABELS = Annotations(xyxy=BOXES, frame=np.arange(N), label=np.arange(N) % 2, annotation_id=np.arange(N) + 1)
BOTH = np.ones((2, 2), bool)


def predicted(model: int, *, shift: float = 0.0, wrong: bool = False) -> Predictions:
    """One prediction of each label, moved to the right, or of the other name."""
    label = 1 - LABELS.label if wrong else LABELS.label
    xyxy = BOXES + np.array([shift, 0, shift, 0])
    return Predictions(xyxy=xyxy, frame=LABELS.frame, label=label, score=np.full(N, 0.8), model=np.full(N, model))


def together(*parts: Predictions) -> Predictions:
    p = Predictions.concat(parts)
    return p[np.argsort(p.frame, kind="stable")]


@pytest.mark.parametrize("models", [0, 1, 2])
def test_nothing_to_go_by_leaves_models_alike(models: int) -> None:
    found = trust_in(Annotations(), Predictions(), np.ones((models, 3), bool))
    assert found.votes.shape == (models, 3)
    assert found.votes == pytest.approx(LEAST**SHARPNESS)
    assert len(set(found.exactness.tolist())) <= 1


def test_who_agrees_with_the_labels_has_the_votes() -> None:
    found = trust_in(LABELS, together(predicted(0), predicted(1, wrong=True)), BOTH)
    assert found.votes[0] == pytest.approx([1.0, 1.0])
    assert found.votes[1] == pytest.approx([0, 0])


def test_agreement_is_told_by_name_and_shrunk() -> None:
    half = predicted(0)[LABELS.label == 0]
    found = trust_in(LABELS, half, np.ones((1, 2), bool))
    assert 1 > found.votes[0, 0] > found.votes[0, 1] > LEAST**SHARPNESS


def test_who_does_not_know_a_name_has_no_vote() -> None:
    found = trust_in(LABELS, together(predicted(0), predicted(1)), np.array([[True, True], [True, False]]))
    assert found.votes[1, 1] == 0 < found.votes[1, 0]


def test_tight_boxes_weigh_more_and_the_fused_box_lies_nearer_to_them() -> None:
    both = together(predicted(0), predicted(1, shift=20))
    trusted = trust_in(LABELS, both, BOTH)
    assert trusted.exactness[0] > 4 * trusted.exactness[1]
    fused, _ = fuse(both, BOTH, trusted)
    assert len(fused) == N
    assert (fused.xyxy[:, 0] - 50 < 4).all()


def test_a_useless_model_changes_nothing() -> None:
    good, noise = predicted(0), predicted(1, wrong=True)
    for first, second in ((good, noise), (noise.replace(model=np.zeros(N)), good.replace(model=np.ones(N)))):
        both = together(first, second)
        fused, members = fuse(both, BOTH, trust_in(LABELS, both, BOTH))
        assert fused.label.tolist() == LABELS.label.tolist()
        assert fused.score == pytest.approx(good.score)
        assert both.label[members].tolist() == LABELS.label.tolist()


def test_a_useless_model_is_heard_on_what_only_it_knows() -> None:
    good, noise = predicted(0)[LABELS.label == 0], predicted(1, wrong=True)
    knows = np.array([[True, False], [True, True]])
    trusted = trust_in(LABELS, together(good, noise), knows)
    assert trusted.votes[1, 0] == 0 < trusted.votes[1, 1]
    fused, _ = fuse(together(good, noise), knows, trusted)
    assert np.bincount(fused.label).tolist() == [N // 2, N // 2]


def test_four_labels_silence_nobody() -> None:
    both = together(predicted(0), predicted(1, wrong=True))
    for few, silent in ((4, False), (8, True)):
        kept = both[both.frame < few]
        assert (trust_in(LABELS[:few], kept, BOTH).votes[1] == 0).all() == silent


def test_two_useless_models_are_both_heard() -> None:
    noise = together(predicted(0, wrong=True), predicted(1, wrong=True))
    assert (trust_in(LABELS, noise, BOTH).votes > 0).all()


def test_predictions_of_score_zero_are_merged_without_dividing_by_it() -> None:
    none = together(predicted(0), predicted(1)).replace(score=np.zeros(2 * N))
    fused, _ = fuse(none, BOTH, trust_in(LABELS, none, BOTH))
    assert np.isfinite(fused.score).all()
    assert (fused.score == 0).all()
