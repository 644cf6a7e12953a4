"""A run in FiftyOne: filled, filled again, and what people added to it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import bson
import numpy as np
import pytest

from audit.adapters.fiftyone import appearance, samples
from audit.adapters.fiftyone.board import default_name, import_run, read_decisions
from audit.core.annotations import Annotations, Frames, Predictions, Snapshot
from audit.core.findings import Findings, with_ids
from audit.errors import UsageError
from audit.runs import RunFolder
from tests.adapters.fiftyone import runs
from tests.adapters.fiftyone.conftest import Notes

pytestmark = pytest.mark.usefixtures("uri")

HOSTILE = (
    "<script>alert(1)</script>",
    "a.b.$c",
    "🚗👩‍👩‍👧",
    "شاحنة \u202egnol\u202c",
    "x" * 10_000,
    "new\nline\x00nul",
)


def load(name: str) -> Any:
    import fiftyone as fo

    return fo.load_dataset(name)


def imported(run: RunFolder, **options: Any) -> Any:
    return load(import_run(run, progress=Notes(), **options))


def labels(dataset: Any, field: str) -> list[Any]:
    return [d for found in dataset.values(f"{field}.detections") for d in found or []]


def test_a_run_without_frames_is_an_empty_dataset(tmp_path: Path) -> None:
    empty = Snapshot("nothing", (), Frames(), Annotations())
    dataset = imported(runs.write_run(tmp_path, empty, Findings(), Predictions()))
    assert len(dataset) == 0
    assert dataset.load_saved_view(appearance.WORST_FIRST).count() == 0


def test_a_run_is_filled_in(tmp_path: Path) -> None:
    notes = Notes()
    run = runs.small_run(tmp_path)
    dataset = load(import_run(run, progress=notes))
    assert (dataset.persistent, dataset.media_type, len(dataset), notes.steps) == (True, "image", 2, 2)
    assert notes.lines == []
    first = dataset.sort_by("worst_score", reverse=True).first()
    assert (first.name, first.number, first.task, first.job, first.assignee) == ("street/bus.jpg", 0, 42, 7, "anna")
    assert first.cvat_link == "http://localhost:8080/tasks/42/jobs/7?frame=0"
    assert (first.metadata.width, first.metadata.height) == (810, 1080)
    assert dataset.count("annotations.detections") == 7
    assert dataset.count("annotation_outlines.polylines") == 1
    assert sorted(dataset.distinct("findings.detections.label")) == [
        "Extra label: backpack",
        "Low IoU: person",
        "Missing label: person",
        "Wrong label: person, rather bus",
    ]
    wrong = next(d for d in labels(dataset, "findings") if d.type == "Wrong label")
    assert (wrong.existing_label, wrong.suggested_label, wrong.annotation_id) == ("person", "bus", 11)
    assert (wrong.job, wrong.assignee, wrong.score, wrong.iou) == (7, "anna", 0.94, 1.0)
    assert {d.finding_id for d in labels(dataset, "findings")} == set(run.findings().id)
    missing = next(d for d in labels(dataset, "findings") if d.type == "Missing label")
    assert (missing.annotation_id, missing.iou) == (None, None)


def test_weak_predictions_are_left_out_and_that_is_said(tmp_path: Path) -> None:
    run = runs.small_run(tmp_path)
    dataset = imported(run)
    assert dataset.count("predictions.detections") == 7
    assert dataset.info["cvat_audit"]["min_prediction_score"] == 0.25
    assert imported(run, min_score=0.8).count("predictions.detections") == 5
    assert imported(run, min_score=0.0).count("predictions.detections") == 8


def test_the_documents_are_those_that_fiftyone_writes_itself(tmp_path: Path) -> None:
    import fiftyone as fo

    dataset = imported(runs.small_run(tmp_path))
    ours = list(dataset._sample_collection.find())
    copy = fo.Dataset()
    copy.add_samples([s.copy() for s in dataset])
    theirs = {d["filepath"]: d for d in copy._sample_collection.find()}
    copy.delete()
    for mine in ours:
        assert without_names(mine) == without_names(theirs[mine["filepath"]])


def without_names(document: Any) -> Any:
    """A document without what differs between two copies: ids and times; absent and null mean the same."""
    own = {"_id", "_dataset_id", "_rand", "created_at", "last_modified_at"}
    if isinstance(document, dict):
        return {k: without_names(v) for k, v in document.items() if k not in own and v is not None}
    return [without_names(v) for v in document] if isinstance(document, list) else document


def test_masks_arrive_as_masks(tmp_path: Path) -> None:
    dataset = imported(runs.small_run(tmp_path))
    mask = next(d.mask for d in labels(dataset, "predictions") if d.mask is not None)
    assert mask.shape == (513, 988)
    assert mask.sum() == 513 * 988 - 203 * 277


def test_views_and_colours(tmp_path: Path) -> None:
    dataset = imported(runs.small_run(tmp_path))
    views = dataset.list_saved_views()
    assert {"Worst first", "Missing label", "Low IoU", "Wrong label", "Extra label", "Duplicate"} <= set(views)
    assert dataset.load_saved_view("Worst first").values("worst_score") == [0.94, 0.7]
    patches = dataset.load_saved_view("Findings one by one")
    assert patches.values("findings.score") == [0.94, 0.86, 0.7, 0.61]
    low = dataset.load_saved_view("Low IoU")
    assert low.distinct("findings.detections.type") == ["Low IoU"]
    assert len(dataset.load_saved_view("Duplicate")) == 0
    colours = {f["path"]: f["fieldColor"] for f in dataset.app_config.color_scheme.fields}
    assert len({colours[f] for f in ("annotations", "suggestions", "findings", "predictions")}) == 4
    assert "predictions" not in dataset.app_config.active_fields.paths
    assert "findings" in dataset.app_config.active_fields.paths


def test_a_second_import_keeps_what_people_added(tmp_path: Path) -> None:
    run = runs.small_run(tmp_path)
    dataset = imported(run)
    before = [(str(s.id), [d.id for d in s.findings.detections]) for s in dataset]
    sample = dataset.first()
    sample.tags.append("seen by anna")
    sample["mood"] = "fine"
    sample.findings.detections[0].tags.append("unsure")
    sample.findings.detections[0]["decision"] = "accept"
    sample.save()
    dataset.save_view("my own", dataset.limit(1))
    dataset.app_config.color_scheme.opacity = 0.1
    dataset.save()
    again = imported(run)
    assert [(str(s.id), [d.id for d in s.findings.detections]) for s in again] == before
    sample = again.first()
    assert (sample.tags, sample.mood) == (["seen by anna"], "fine")
    assert (sample.findings.detections[0].tags, sample.findings.detections[0].decision) == (["unsure"], "accept")
    assert "my own" in again.list_saved_views()
    assert again.app_config.color_scheme.opacity == 0.1


def test_what_is_no_longer_in_the_run_vanishes(tmp_path: Path) -> None:
    run = runs.small_run(tmp_path)
    assert imported(run).count("findings.detections") == 4
    found = run.findings()
    runs.write_run(run.path, run.snapshot(), found[found.type == 1])
    dataset = imported(RunFolder.open(run.path))
    assert dataset.distinct("findings.detections.type") == ["Low IoU"]
    assert len(dataset.load_saved_view("Missing label")) == 0
    seen = run.snapshot()
    only = replace(seen, frames=seen.frames[:1], annotations=seen.annotations[:3])
    smaller = runs.write_run(run.path, only, Findings(), runs.predictions()[:4])
    assert [s.name for s in imported(smaller)] == ["street/bus.jpg"]


def test_decisions_are_shown_the_last_one_counts_and_broken_lines_are_said(tmp_path: Path) -> None:
    run = runs.small_run(tmp_path)
    ids = run.findings().id
    lines = [
        {"finding": ids[0], "verdict": "accept", "reviewer": "anna", "time": "2026-11-21T10:00:00Z", "seconds": 2},
        {"finding": ids[0], "verdict": "reject", "reviewer": "bela", "time": "2026-11-21T11:00:00Z", "seconds": 3},
        {"finding": ids[1], "verdict": "maybe"},
        ["no", "object"],
    ]
    text = "\n".join(json.dumps(line) for line in lines) + '\n\n{"finding": "cut o'
    (run.path / "decisions.jsonl").write_text(text)
    notes = Notes()
    dataset = load(import_run(run, progress=notes))
    decided = {d.finding_id: (d.decision, d.reviewer) for d in labels(dataset, "findings") if d.has_field("decision")}
    assert {k: v for k, v in decided.items() if v[0]} == {ids[0]: ("reject", "bela")}
    assert "3 lines are no decisions" in notes.lines[0]
    (run.path / "decisions.jsonl").unlink()
    assert read_decisions(run.path / "decisions.jsonl", notes) == {}


@pytest.mark.parametrize("label", HOSTILE)
def test_any_text_survives_as_text(tmp_path: Path, label: str) -> None:
    seen = runs.snapshot(tmp_path / "photos", (label, "bus", "tie", "backpack"))
    dataset = imported(runs.write_run(tmp_path / "run", seen, runs.findings(seen)))
    assert label in {d.label for d in labels(dataset, "annotations")}
    assert label in {d.existing_label for d in labels(dataset, "findings")}
    assert dataset.count("findings.detections") == 4


def test_frames_without_an_image_are_counted_and_said(tmp_path: Path) -> None:
    run = runs.small_run(tmp_path)
    seen = run.snapshot()
    seen = replace(seen, frames=seen.frames.replace(path=["", str(tmp_path / "gone.jpg")]))
    notes = Notes()
    dataset = load(import_run(runs.write_run(run.path, seen, run.findings()), progress=notes))
    assert len(dataset) == 0
    assert "2 frames cannot be shown in FiftyOne (street/bus.jpg: has no image file" in notes.lines[0]
    assert dataset.info["cvat_audit"]["frames_without_image"] == 2


def test_a_size_that_the_source_does_not_tell_is_read_from_the_image(tmp_path: Path) -> None:
    run = runs.small_run(tmp_path)
    seen = run.snapshot()
    seen = replace(seen, frames=seen.frames.replace(width=[0, 0], height=[0, 0]))
    sample = imported(runs.write_run(run.path, seen, run.findings())).first()
    assert (sample.metadata.width, sample.metadata.height) == (810, 1080)


def test_an_invalid_shape_without_a_place_is_shown_on_the_whole_picture(tmp_path: Path) -> None:
    seen = runs.snapshot(tmp_path / "photos")
    broken = with_ids(Findings(type=[5], frame=[0], score=[1.0], label=[0], annotation_id=[11]), seen)
    dataset = imported(runs.write_run(tmp_path / "run", seen, broken))
    assert [d.bounding_box for d in labels(dataset, "findings")] == [[0, 0, 1, 1]]


def test_a_frame_with_more_labels_than_fit_loses_its_predictions_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = runs.small_run(tmp_path)
    larger = max(len(bson.encode(d)) for d in imported(run)._sample_collection.find())
    monkeypatch.setattr(samples, "MAX_DOCUMENT_BYTES", larger - 500)
    dataset = imported(run)
    assert dataset.count("findings.detections") == 4
    assert 0 < dataset.count("predictions.detections") < 7
    monkeypatch.setattr(samples, "MAX_DOCUMENT_BYTES", 10)
    notes = Notes()
    assert len(load(import_run(run, progress=notes))) == 0
    assert "more labels than fit" in notes.lines[0]


def test_names_tell_runs_apart_and_stay(tmp_path: Path) -> None:
    one, other = runs.small_run(tmp_path / "1"), runs.small_run(tmp_path / "2")
    assert default_name(one) == default_name(RunFolder.open(one.path))
    assert default_name(one) != default_name(other)
    assert default_name(one).startswith("audit-localhost-tasks-42-")
    odd = RunFolder(one.path, {**one.manifest, "source": "/ä/ 🚗" * 100})
    assert len(default_name(odd)) < 100


def test_a_name_that_is_taken_or_impossible_is_one_line(tmp_path: Path) -> None:
    import fiftyone as fo

    run = runs.small_run(tmp_path)
    fo.Dataset("my holiday", persistent=True)
    for name in ("my holiday", "🚗", "x" * 5000):
        with pytest.raises(UsageError):
            import_run(run, name=name, progress=Notes())
    assert len(load("my holiday")) == 0
    assert import_run(run, name="the street", progress=Notes()) == "the street"


def test_batches_give_what_one_batch_gives(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = runs.small_run(tmp_path)
    whole = [without_names(d) for d in imported(run)._sample_collection.find()]
    monkeypatch.setattr(samples, "BATCH", 1)
    apart = [without_names(d) for d in imported(run, name="apart")._sample_collection.find()]
    assert apart == whole
    assert np.unique([d["frame_key"] for d in apart]).size == 2
