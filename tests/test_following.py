"""A missed object is followed along its frames, by what was predicted there."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from audit.core.annotations import Annotations, Frames, Predictions, Snapshot
from audit.core.findings import Findings, FindingType
from audit.following import followed
from audit.runs import RunFolder, write_table

LABELS = ("person", "car")
N = 40


def snapshot(n: int = N) -> Snapshot:
    frames = Frames(
        name=np.array([f"{i}.jpg" for i in range(n)], object), number=np.arange(n) + 100, width=np.full(n, 640),
        height=np.full(n, 480), task=np.full(n, 1), job=np.where(np.arange(n) < 30, 1, 2),
    )  # fmt: skip
    return Snapshot("x", LABELS, frames, Annotations())


def finding(first: int, last: int, at: int, left: float) -> Findings:
    return Findings(
        type=np.array([FindingType.MISSING_ANNOTATION]), frame=np.array([at]), score=np.array([0.9]),
        suggested_label=np.array([0]), suggested_xyxy=np.array([[left, 10.0, left + 40, 50]]),
        frames=np.array([last - first + 1]), first_frame=np.array([first]), last_frame=np.array([last]),
    )  # fmt: skip


def run_of(folder: Path, predictions: Predictions) -> RunFolder:
    write_table(folder / "predictions.parquet", predictions[np.argsort(predictions.frame, kind="stable")], LABELS)
    return RunFolder(folder, {"labels": list(LABELS), "models": []})


def moving(frames: np.ndarray, *, label: int = 0, speed: float = 3.0, left: float = 20.0) -> Predictions:
    x = left + frames * speed
    return Predictions(
        xyxy=np.column_stack([x, np.full(len(x), 10.0), x + 40, np.full(len(x), 50.0)]),
        frame=frames, label=np.full(len(x), label), score=np.full(len(x), 0.8),
    )  # fmt: skip


def test_it_is_followed_both_ways_past_others_and_gaps(tmp_path: Path) -> None:
    frames = np.delete(np.arange(2, 20), [6, 7])
    others = [moving(frames, label=1), moving(frames, left=300.0), moving(np.arange(25, 30))]
    run = run_of(tmp_path, Predictions.concat([moving(frames), *others]))
    keys = followed(run, finding(2, 19, 10, 50.0), 0, snapshot())
    assert [key.number for key in keys] == [102, 119, 120]
    assert [key.geometry and key.geometry.xyxy[0] for key in keys] == [26.0, 77.0, None]


def test_at_the_end_of_its_job_a_track_just_ends(tmp_path: Path) -> None:
    run = run_of(tmp_path, moving(np.arange(20, 30)))
    keys = followed(run, finding(20, 29, 25, 95.0), 0, snapshot())
    assert [key.number for key in keys] == [120, 129]
    assert all(key.geometry is not None for key in keys)


def test_where_it_is_labelled_already_the_track_is_hidden(tmp_path: Path) -> None:
    frames = np.delete(np.arange(2, 20), [10])  # the detector loses it on frame 12
    run = run_of(tmp_path, moving(frames))
    there = moving(np.array([5, 12, 13]))
    labels = Annotations(xyxy=there.xyxy, frame=there.frame, label=np.zeros(3, int), annotation_id=np.arange(3))
    view = replace(snapshot(), annotations=labels)
    keys = followed(run, finding(2, 19, 10, 50.0), 0, view)
    assert [(key.number, key.geometry is not None) for key in keys] == [
        (102, True), (104, True), (105, False), (106, True), (111, True), (112, False), (114, True), (119, True),
        (120, False),
    ]  # fmt: skip
    others = labels.replace(label=np.array([1, 1, 1]))
    assert len(followed(run, finding(2, 19, 10, 50.0), 0, replace(view, annotations=others))) == 3


def test_an_object_on_one_frame_is_a_shape(tmp_path: Path) -> None:
    assert followed(run_of(tmp_path, Predictions()), finding(3, 3, 3, 29.0), 0, snapshot()) == ()


def test_where_predictions_are_gone_only_its_own_box_is_left(tmp_path: Path) -> None:
    keys = followed(run_of(tmp_path, Predictions()), finding(3, 9, 5, 35.0), 0, snapshot())
    assert [(key.number, key.geometry is None) for key in keys] == [(105, False), (110, True)]
