"""Planted questions: made from what is certain, half true, half wrong, and looking like any other."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audit.core.annotations import Annotations, Predictions
from audit.core.boxes import iou_matrix
from audit.core.decisions import Verdict
from audit.core.findings import Findings, FindingType
from audit.loop.planting import plant

WH = np.array([[1000, 800]] * 12)


def scene(rng: np.random.Generator, frames: int = 12) -> tuple[Annotations, Predictions]:
    """One confirmed and one unconfirmed label in every frame, and a weak guess."""
    corner = rng.uniform(0, 300, (frames, 2))
    sure = np.hstack([corner, corner + rng.uniform(40, 200, (frames, 2))])
    alone = sure + 400
    frame = np.repeat(np.arange(frames), 2)
    boxes = np.stack([sure, alone], axis=1).reshape(-1, 4)
    label = np.tile([0, 1], frames)
    annotations = Annotations(xyxy=boxes, frame=frame, label=label, annotation_id=np.arange(2 * frames) + 1)
    guess = np.array([[700.0, 20, 760, 90]] * frames)
    predictions = Predictions(
        xyxy=np.vstack([sure + 2, guess]),
        frame=np.tile(np.arange(frames), 2),
        label=[0] * frames + [1] * frames,
        score=[0.9] * frames + [0.02] * frames,
    )
    return annotations, predictions


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 10_000), st.integers(0, 30))
def test_true_checks_are_confirmed_labels_and_wrong_ones_lie_where_nothing_is(seed: int, number: int) -> None:
    annotations, predictions = scene(np.random.default_rng(seed))
    planted = plant(annotations, predictions, Findings(), WH, number=number, labels=3, seed=seed)
    f = planted.findings
    assert len(f) == len(planted.expected) <= number
    for row, expected in enumerate(planted.expected):
        box, frame = f.suggested_xyxy[row : row + 1], f.frame[row]
        own = annotations[annotations.frame == frame]
        near = iou_matrix(box, own.xyxy)[0]
        if expected is Verdict.ACCEPT:
            assert f.type[row] == FindingType.MISSING_ANNOTATION
            assert own.label[near == 1].tolist() == [f.suggested_label[row]] == [0]
        elif f.type[row] == FindingType.MISMATCHING_LABEL:
            assert near.max() == 1
            assert f.suggested_label[row] != f.label[row] == 0
            assert annotations.annotation_id[f.annotation[row]] == f.annotation_id[row]
        else:
            seen = predictions.xyxy[predictions.frame == frame]
            assert near.max() == 0 == iou_matrix(box, seen).max()
            assert (box >= 0).all() and (box[0, 2:] <= WH[frame]).all()


def test_half_are_true_and_the_draw_is_repeatable() -> None:
    annotations, predictions = scene(np.random.default_rng(1))
    one, two = (plant(annotations, predictions, Findings(), WH, number=8, labels=3, seed=4) for _ in range(2))
    assert one.expected.count(Verdict.ACCEPT) == one.expected.count(Verdict.REJECT) == 4
    assert one.expected == two.expected
    assert (one.findings.suggested_xyxy == two.findings.suggested_xyxy).all()
    assert set(one.findings.type) == {FindingType.MISSING_ANNOTATION, FindingType.MISMATCHING_LABEL}


def test_a_label_in_doubt_is_never_a_check() -> None:
    annotations, predictions = scene(np.random.default_rng(2))
    doubted = Findings(type=[1] * 12, frame=np.arange(12), score=[0.5] * 12, annotation_id=np.arange(1, 25, 2))
    assert len(plant(annotations, predictions, doubted, WH, number=8, labels=3, seed=0).findings) == 0


@pytest.mark.parametrize("number", [0, 5])
def test_nothing_certain_gives_no_checks(number: int) -> None:
    empty = plant(Annotations(), Predictions(), Findings(), WH, number=number, labels=0, seed=0)
    assert (len(empty.findings), empty.expected) == (0, ())
