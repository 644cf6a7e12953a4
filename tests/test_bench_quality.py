"""What the bench of quality plants, how it judges, the rivals it compares with, and the fit of starting weights."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from audit.checks.calibration import TRAITS
from audit.core.annotations import Predictions, Snapshot
from audit.core.boxes import iou_matrix
from audit.core.findings import Findings
from audit.core.findings import FindingType as T
from audit.trust.prior import PRIOR
from scripts.benchmarks import fit as fitting
from scripts.benchmarks.labelled import LabelledSet, from_files, together
from scripts.benchmarks.mistakes import TYPES, Spoilt, average_precision, figures, judge, spoil
from scripts.benchmarks.quality import IDEAS, ours, without
from scripts.benchmarks.rivals import objectlab, simple_rule
from scripts.benchmarks.worst import alarms, misses
from tests.scenes import scene

FRAMES = 40
HW = np.full((FRAMES, 2), 600)


@pytest.fixture(scope="module")
def data() -> LabelledSet:
    snapshot, predictions = scene(1, frames=FRAMES, per_frame=4, predicted=6)
    return LabelledSet("scene", snapshot, predictions)


@pytest.mark.parametrize("plausible", [False, True])
@pytest.mark.parametrize("rate", [0.02, 0.1])
def test_as_many_of_each_type_as_asked_and_all_known(data: LabelledSet, rate: float, plausible: bool) -> None:
    clean = data.snapshot.annotations
    spoilt = spoil(clean, HW, 3, rate=rate, plausible=plausible)
    k = round(rate * len(clean))
    assert spoilt.planted == dict.fromkeys(TYPES, k)
    assert len(spoilt.dropped) == k
    for kind in TYPES[1:]:
        assert sum(t == kind for t, _ in spoilt.wrong) == k
    assert len(spoilt.annotations) == len(clean) + k
    assert (np.diff(spoilt.annotations.frame) >= 0).all()
    assert len(set(spoilt.annotations.annotation_id.tolist())) == len(spoilt.annotations)


@pytest.mark.parametrize("plausible", [False, True])
def test_mistakes_are_what_they_are_called(data: LabelledSet, plausible: bool) -> None:
    clean = data.snapshot.annotations
    spoilt = spoil(clean, HW, 5, rate=0.1, plausible=plausible)
    now = {int(i): r for r, i in enumerate(spoilt.annotations.annotation_id)}
    for kind, i in spoilt.wrong:
        row = spoilt.annotations[[now[i]]]
        if kind == T.MISMATCHING_LABEL:
            assert row.label[0] != clean.label[i - 1]
            assert np.array_equal(row.xyxy[0], clean.xyxy[i - 1])
        if kind == T.LOW_OVERLAP:
            assert 0.4 <= iou_matrix(row.xyxy, clean.xyxy[[i - 1]])[0, 0] <= 0.8
            if plausible:
                inside = (row.xyxy > 0).all() and (row.xyxy < 600).all()
                size = (row.xyxy[0, 2:] - row.xyxy[0, :2]) - (clean.xyxy[i - 1, 2:] - clean.xyxy[i - 1, :2])
                assert not inside or size == pytest.approx([0, 0])
    for original, copy in spoilt.pairs.items():
        pair = spoilt.annotations[[now[original], now[copy]]]
        assert pair.label[0] == pair.label[1]
        assert iou_matrix(pair.xyxy[:1], pair.xyxy[1:])[0, 0] > 0.6


def perfect(spoilt: Spoilt) -> Findings:
    """Every planted mistake, told once, as it is."""
    d, n = spoilt.dropped, len(spoilt.wrong)
    kinds, ids = zip(*sorted(spoilt.wrong), strict=True)
    return Findings(
        type=[*kinds, *[T.MISSING_ANNOTATION] * len(d)],
        frame=[*[0] * n, *d.frame],
        score=np.ones(n + len(d)),
        annotation_id=[*ids, *[-1] * len(d)],
        suggested_label=[*[-1] * n, *d.label],
        suggested_xyxy=np.vstack([np.full((n, 4), np.nan), d.xyxy]),
    )


def test_who_finds_all_has_full_marks_and_who_finds_nothing_has_none(data: LabelledSet) -> None:
    spoilt = spoil(data.snapshot.annotations, HW, 0)
    assert set(figures(perfect(spoilt), spoilt).values()) == {1.0}
    assert set(figures(Findings(), spoilt).values()) == {0.0}


def test_a_mistake_counts_once_and_only_under_its_type(data: LabelledSet) -> None:
    spoilt = spoil(data.snapshot.annotations, HW, 0)
    told = perfect(spoilt)
    again = Findings.concat([told, told])
    assert judge(again, spoilt).tolist() == [True] * len(told) + [False] * len(told)
    swapped = {T.LOW_OVERLAP: T.EXTRA_ANNOTATION, T.EXTRA_ANNOTATION: T.LOW_OVERLAP}
    other = told.replace(type=[swapped.get(T(t), T(t)) for t in told.type])
    right = judge(other, spoilt)
    assert not right[np.isin(told.type, list(swapped))].any()
    assert right[~np.isin(told.type, list(swapped))].all()


def test_average_precision_by_hand() -> None:
    assert average_precision(np.array([True, False, True]), 4) == pytest.approx((1 + 2 / 3) / 4)
    assert average_precision(np.zeros(0, bool), 3) == 0


def test_rivals_find_what_is_plain(data: LabelledSet) -> None:
    spoilt = spoil(data.snapshot.annotations, HW, 0)
    snapshot = Snapshot("x", data.snapshot.labels, data.snapshot.frames, spoilt.annotations)
    for rival in (simple_rule, ours):
        assert figures(rival(snapshot, data.predictions), spoilt)["duplicate"] > 0.5
    found = simple_rule(snapshot, data.predictions)
    assert (np.diff(found.score) <= 0).all()
    assert set(found.type.tolist()) <= set(TYPES)
    assert len(simple_rule(snapshot, data.predictions[:0])) > 0


def test_objectlab_has_no_score_for_extra_or_doubled_boxes(data: LabelledSet) -> None:
    pytest.importorskip("cleanlab")
    found = objectlab(data.snapshot, data.predictions, 0.5, 0.1)
    assert not {T.EXTRA_ANNOTATION, T.DUPLICATE_ANNOTATION} & {T(t) for t in found.type}


def mean_ap(data: LabelledSet, predictions: Predictions) -> float:
    """Average precision over the common ranking, of three seeds."""
    each = []
    for seed in range(3):
        spoilt = spoil(data.snapshot.annotations, HW, seed)
        snapshot = Snapshot("x", data.snapshot.labels, data.snapshot.frames, spoilt.annotations)
        each.append(figures(ours(snapshot, predictions), spoilt)["all"])
    return float(np.mean(each))


def test_two_models_are_no_worse_than_the_better_one(data: LabelledSet) -> None:
    rng = np.random.default_rng(0)
    p = data.predictions
    poor = p.replace(score=p.score * rng.uniform(0, 1, len(p)), xyxy=p.xyxy + rng.normal(0, 8, p.xyxy.shape))
    both = together("both", [data, LabelledSet("poor", data.snapshot, poor)])
    assert both.predictions.model.tolist().count(1) == len(p)
    assert mean_ap(data, both.predictions) >= max(mean_ap(data, p), mean_ap(data, poor)) - 0.01


def test_a_model_of_noise_changes_nothing(data: LabelledSet) -> None:
    rng, p = np.random.default_rng(0), data.predictions
    noise = p.replace(
        frame=np.sort(rng.permutation(p.frame)), label=rng.permutation(p.label), xyxy=rng.permutation(p.xyxy)
    )
    both = together("both", [LabelledSet("noise", data.snapshot, noise), data])
    assert mean_ap(data, both.predictions) == pytest.approx(mean_ap(data, p))


def test_every_idea_switches_traits_off(data: LabelledSet) -> None:
    names = {name for kind in TRAITS.values() for name in kind}
    before = ours(data.snapshot, data.predictions)
    for idea, words in IDEAS.items():
        assert any(w in name for w in words for name in names)
        after = without(words, PRIOR)(data.snapshot, data.predictions)
        # on these scenes no two names are predicted on one object
        assert np.array_equal(before.score, after.score) == (idea == "names it confuses")
    assert np.array_equal(before.score, ours(data.snapshot, data.predictions).score)


def test_fitted_weights_have_the_right_signs_and_shapes(data: LabelledSet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fitting, "COPIES", 3)
    weights = fitting.fit([data])
    for kind, names in TRAITS.items():
        assert weights[kind].shape == (len(names),)
        for name, sign in fitting.SIGNS.get(kind, {}).items():
            assert sign * weights[kind][names.index(name)] >= 0, (kind, name)
    for kind, signs in fitting.SIGNS.items():
        assert set(signs) <= set(TRAITS[kind])


def test_coco_files_are_read_and_parted(tmp_path: Path) -> None:
    images = [{"id": 7 + i, "file_name": f"{i}.jpg", "width": 60, "height": 40} for i in range(3)]
    shapes = [{"id": i, "image_id": 7 + i, "category_id": 5, "bbox": [1, 2, 10, 20]} for i in range(3)]
    labels = {"images": images, "categories": [{"id": 5, "name": "dog"}], "annotations": shapes}
    (tmp_path / "labels.json").write_text(json.dumps(labels))
    rows = [{"image_id": 9, "category_id": c, "score": 0.5, "bbox": [1, 2, 10, 20]} for c in (5, 6)]
    (tmp_path / "results.json").write_text(json.dumps(rows))
    read = from_files("set", tmp_path / "labels.json", tmp_path / "results.json")
    assert len(read.predictions) == 1
    assert read.predictions.frame.tolist() == [2]
    assert read.part(0).predictions.frame.tolist() == [1]
    assert len(read.part(1).predictions) == 0
    assert len(read.part(1).snapshot.annotations) == 1


def test_worst_cases_are_told_from_hits(data: LabelledSet) -> None:
    spoilt = spoil(data.snapshot.annotations, HW, 0)
    labels, clean = data.snapshot.labels, data.snapshot.annotations
    assert alarms(perfect(spoilt), spoilt, labels) == []
    assert len(misses(Findings(), spoilt, clean, labels, most=1000)) == sum(spoilt.planted.values())
    wrong = Findings(
        type=[T.EXTRA_ANNOTATION], frame=[0], score=[0.9], annotation_id=[-5], label=[0], xyxy=[[0, 0, 9, 9]]
    )
    assert len(alarms(wrong, spoilt, labels)) == 1
