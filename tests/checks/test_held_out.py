"""Chances held against planted mistakes that they were not learnt from, and the file that tells of it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from audit.calibration import FILE, read_calibration, write_calibration
from audit.checks.held_out import COPIES, HeldOut, held_out
from audit.checks.tables import Sample
from audit.core.annotations import Annotations, Predictions
from audit.core.findings import FindingType
from audit.core.masks import ellipse_outline, rle_of_rings
from audit.core.table import objects
from audit.trust.prior import PRIOR


def scene(frames: int, seed: int = 0) -> tuple[Sample, np.ndarray]:
    """Frames with eight labels each, nearly all of which a detector sees, a little beside them."""
    rng = np.random.default_rng(seed)
    n = frames * 8
    corner = np.column_stack([rng.uniform(0, 60, n) + 100 * (np.arange(n) % 8), rng.uniform(0, 500, n)])
    xyxy = np.hstack([corner, corner + rng.uniform(30, 60, (n, 2))])
    frame, label = np.repeat(np.arange(frames), 8), rng.integers(0, 3, n)
    annotations = Annotations(xyxy=xyxy, frame=frame, label=label, annotation_id=np.arange(n))
    seen = np.flatnonzero(rng.random(n) < 0.99)
    predictions = Predictions(
        xyxy=xyxy[seen] + rng.normal(0, 2, (len(seen), 4)),
        frame=frame[seen],
        label=label[seen],
        score=rng.uniform(0.3, 0.99, len(seen)),
    )
    return Sample(annotations, np.ones(n, bool), predictions, 1), np.full((frames, 2), 800)


def with_masks(sample: Sample, hw: np.ndarray) -> Sample:
    """The same labels and predictions as ellipses in their boxes."""
    return replace(
        sample,
        annotations=sample.annotations.replace(mask=drawn(sample.annotations, hw)),
        predictions=sample.predictions.replace(mask=drawn(sample.predictions, hw)),
    )


def drawn(shapes: Annotations | Predictions, hw: np.ndarray) -> np.ndarray:
    across, down = ((shapes.xyxy[:, i + 2] - shapes.xyxy[:, i]) / 2 for i in (0, 1))
    middle = (shapes.xyxy[:, :2] + shapes.xyxy[:, 2:]) / 2
    rows = zip(middle.tolist(), across.tolist(), down.tolist(), hw[shapes.frame].tolist(), strict=True)
    return objects(rle_of_rings([ellipse_outline(m, (a, d))], (h, w)) for m, a, d, (h, w) in rows)


@pytest.mark.parametrize("frames", [0, 1])
def test_too_little_gives_nothing(frames: int, tmp_path: Path) -> None:
    sample, hw = scene(frames)
    assert len(held_out(sample, hw, 3, PRIOR)) == 0
    (tmp_path / FILE).write_text("of an earlier audit")
    write_calibration(tmp_path, HeldOut())
    assert not (tmp_path / FILE).exists()
    assert read_calibration(tmp_path) is None


def test_chances_of_planted_mistakes_hold_on_frames_they_were_not_learnt_from(tmp_path: Path) -> None:
    sample, hw = scene(80)
    judged = held_out(sample, hw, 3, PRIOR)
    assert set(np.unique(judged.real)) == {0.0, 1.0}
    assert {FindingType.MISSING_ANNOTATION, FindingType.LOW_OVERLAP} <= {FindingType(t) for t in np.unique(judged.type)}
    assert (judged.chance >= 0.02).all()
    write_calibration(tmp_path, judged, {FindingType.MISSING_ANNOTATION: 0.004})
    told = read_calibration(tmp_path)
    assert told is not None
    assert told.rates == {FindingType.MISSING_ANNOTATION: 0.004}
    assert told.error < 0.1
    assert told.bins.count.sum() == len(judged)
    assert sum(n for _, n in told.by_type.values()) == len(judged)


def test_mistakes_that_the_labels_hold_are_not_held_against_the_chances(tmp_path: Path) -> None:
    sample, hw = scene(80)
    a = sample.annotations
    copies, shaken = a[::10], np.random.default_rng(1).normal(0, 1.5, (len(a[::10]), 4))
    copies = copies.replace(annotation_id=copies.annotation_id + len(a), xyxy=copies.xyxy + shaken)
    doubled = Annotations.concat([a, copies])
    doubled = doubled[np.argsort(doubled.frame, kind="stable")]
    judged = held_out(replace(sample, annotations=doubled, judged=np.ones(len(doubled), bool)), hw, 3, PRIOR)
    twice = judged[judged.type == FindingType.DUPLICATE_ANNOTATION]
    assert 1.3 < twice.stands_for.mean() < 4  # two were there for each that was planted; the estimate is careful
    assert judged.stands_for.min() >= 1
    write_calibration(tmp_path, judged)
    told = read_calibration(tmp_path)
    assert told is not None
    assert told.planted_error > told.error + 0.03


@pytest.mark.filterwarnings("ignore:__array__ implementation")
def test_chances_of_spoilt_masks_are_judged_too(tmp_path: Path) -> None:
    sample, hw = scene(40)
    masks = held_out(with_masks(sample, hw), hw, 3, PRIOR)
    low = masks[masks.type == FindingType.LOW_OVERLAP]
    assert 5 <= low.real.sum() <= 2 * COPIES * 0.06 * len(sample.annotations)
    assert low.chance[low.real > 0].mean() > 0.4 > low.chance[low.real == 0].mean()
    write_calibration(tmp_path, masks)
    told = read_calibration(tmp_path)
    assert told is not None
    assert told.by_type[FindingType.LOW_OVERLAP][0] < 0.2


def test_it_is_the_same_each_time() -> None:
    sample, hw = scene(30)
    one, two = held_out(sample, hw, 3, PRIOR), held_out(sample, hw, 3, PRIOR)
    assert (one.chance == two.chance).all()


def test_what_an_earlier_version_wrote_says_nothing_of_rates(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    chance = rng.random(200)
    write_calibration(tmp_path, HeldOut(chance=chance, real=(rng.random(200) < chance).astype(float), type=[0] * 200))
    document = json.loads((tmp_path / FILE).read_text())
    del document["rates"]
    (tmp_path / FILE).write_text(json.dumps(document))
    told = read_calibration(tmp_path)
    assert told is not None
    assert told.rates == {}


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"bins": {"expected": 3}}', '{"bins": []}'])
def test_a_damaged_file_tells_nothing(text: str, tmp_path: Path) -> None:
    (tmp_path / FILE).write_text(text)
    assert read_calibration(tmp_path) is None
