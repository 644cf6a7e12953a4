from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.stats import binomtest

from audit.core.annotations import Frames, Predictions, ShapeType
from audit.core.findings import Findings, FindingType
from audit.core.table import objects
from audit.report.statistics import NOBODY, Counting, Rates, Shapes, summarise, wilson
from audit.report.tables import annotations_at, frames_at, run_statistics, shape_columns
from audit.runs import BATCH_ROWS, RunFolder, table_writer
from tests.report.conftest import save_run

LABELS = ("car", "person", "never used")


def row(rates: Rates, name: str) -> dict[str, object]:
    at = rates.name.tolist().index(name)
    return {key: values[at] for key, values in rates.columns().items()}


@pytest.mark.parametrize(("k", "n"), [(0, 1), (1, 1), (0, 50), (50, 50), (1, 3), (7, 41), (500, 1000), (3, 10_000)])
def test_wilson_agrees_with_scipy(k: int, n: int) -> None:
    low, high = wilson(np.array([k]), np.array([n]))
    expected = binomtest(k, n).proportion_ci(confidence_level=0.95, method="wilson")
    assert (low[0], high[0]) == pytest.approx((expected.low, expected.high), abs=1e-12)


def test_wilson_without_trials_knows_nothing() -> None:
    low, high = wilson(np.array([0]), np.array([0]))
    assert (low[0], high[0]) == (0, 1)


def test_wilson_of_nothing_is_empty() -> None:
    assert [len(end) for end in wilson(np.array([], int), np.array([], int))] == [0, 0]


def test_empty_run() -> None:
    s = summarise(Shapes(), Frames(), Findings(), (), assignees={}, threshold=0.5)
    assert (s.total.annotations[0], s.total.findings[0], s.total.few[0]) == (0, 0, True)
    assert np.isnan(s.total.share[0])
    assert s.by_type.findings.tolist() == [0] * len(FindingType)
    assert len(s.by_label) == len(s.by_job) == len(s.by_annotator) == 0


@pytest.fixture
def scene() -> tuple[Shapes, Frames, Findings]:
    """Job 7 (anna): frames 0, 1 with 3 cars and a person; job 8 (boris): frame 2 with a polyline and a crowd."""
    shapes = Shapes(
        frame=[0, 0, 1, 1, 2, 2],
        label=[0, 0, 0, 1, 1, 1],
        shape=[0, 0, 0, 0, ShapeType.POLYLINE, 0],
        crowd=[0, 0, 0, 0, 0, 1],
    )
    frames = Frames(name=["a", "b", "c"], number=[0, 1, 2], job=[7, 7, 8])
    t = FindingType
    findings = Findings(
        # two findings about car 0 count as one object; one below the threshold; two missing persons
        type=[t.LOW_OVERLAP, t.DUPLICATE_ANNOTATION, t.EXTRA_ANNOTATION, t.MISSING_ANNOTATION, t.MISSING_ANNOTATION],
        frame=[0, 0, 1, 1, 2],
        score=[0.9, 0.8, 0.1, 0.7, 0.6],
        annotation=[0, 0, 2, -1, -1],
        label=[0, 0, 0, -1, -1],
        suggested_label=[0, -1, -1, 1, 1],
    )
    return shapes, frames, findings


def test_counts_by_hand(scene: tuple[Shapes, Frames, Findings]) -> None:
    s = summarise(*scene, LABELS, assignees={7: "anna", 8: "boris"}, threshold=0.5)
    told = ("annotations", "findings", "objects", "in_doubt", "share")
    # objects: 4 boxes, 2 missing; neither the polyline nor the crowd was compared
    assert [row(s.total, "all")[k] for k in told] == [6, 4, 6, 3, 0.5]
    assert [row(s.by_label, "car")[k] for k in told] == [3, 2, 3, 1, 1 / 3]
    assert [row(s.by_label, "person")[k] for k in told] == [3, 2, 3, 2, 2 / 3]
    assert [row(s.by_job, "job 7")[k] for k in told] == [4, 3, 5, 2, 0.4]
    assert [row(s.by_annotator, "boris")[k] for k in told] == [2, 1, 1, 1, 1.0]
    assert s.by_type.findings.tolist() == [2, 1, 0, 0, 1, 0, 0, 0, 0, 0]
    assert s.by_type.share.tolist() == [2 / 6, 1 / 4, 0, 0, 1 / 4, 0, 0, 0, 0, 0]


def test_labels_without_anything_are_left_out(scene: tuple[Shapes, Frames, Findings]) -> None:
    s = summarise(*scene, LABELS, assignees={}, threshold=0.5)
    assert set(s.by_label.name) == {"car", "person"}


def test_the_threshold_counts_itself(scene: tuple[Shapes, Frames, Findings]) -> None:
    assert summarise(*scene, LABELS, assignees={}, threshold=0.9).total.findings[0] == 1
    assert summarise(*scene, LABELS, assignees={}, threshold=0.0).total.findings[0] == 5


def test_an_invalid_polyline_is_an_object_in_doubt(scene: tuple[Shapes, Frames, Findings]) -> None:
    shapes, frames, _ = scene
    broken = Findings(type=[FindingType.INVALID_SHAPE], frame=[2], score=[1.0], annotation=[4], label=[1])
    s = summarise(shapes, frames, broken, LABELS, assignees={}, threshold=0.5)
    assert (s.total.objects[0], s.total.in_doubt[0]) == (5, 1)


def test_findings_about_frames_are_shares_of_frames_and_add_no_objects(
    scene: tuple[Shapes, Frames, Findings],
) -> None:
    shapes, frames, _ = scene
    t = FindingType
    told = Findings(
        type=[t.EMPTY_FRAME, t.INCONSISTENT_FRAMES, t.INCONSISTENT_FRAMES],
        frame=[2, 0, 0],
        score=[0.9, 0.8, 0.8],
        annotation=[-1, -1, -1],
        suggested_label=[-1, 0, 1],
    )
    s = summarise(shapes, frames, told, LABELS, assignees={}, threshold=0.5)
    assert [row(s.by_type, t.EMPTY_FRAME.title)[k] for k in ("findings", "objects", "in_doubt")] == [1, 3, 1]
    assert [row(s.by_type, t.INCONSISTENT_FRAMES.title)[k] for k in ("findings", "objects", "in_doubt")] == [2, 3, 1]
    assert (s.total.objects[0], s.total.in_doubt[0], s.total.findings[0]) == (4, 0, 3)


def test_jobs_of_one_person_are_added_up(scene: tuple[Shapes, Frames, Findings]) -> None:
    s = summarise(*scene, LABELS, assignees={7: "anna", 8: "anna"}, threshold=0.5)
    assert s.by_annotator.name.tolist() == ["anna"]
    assert s.by_annotator.annotations.tolist() == [6]


def test_without_assignees_there_are_no_annotators(scene: tuple[Shapes, Frames, Findings]) -> None:
    assert len(summarise(*scene, LABELS, assignees={7: ""}, threshold=0.5).by_annotator) == 0
    some = summarise(*scene, LABELS, assignees={7: "anna"}, threshold=0.5)
    assert set(some.by_annotator.name) == {"anna", NOBODY}


def test_without_jobs_there_is_no_table_of_jobs(scene: tuple[Shapes, Frames, Findings]) -> None:
    shapes, frames, findings = scene
    s = summarise(shapes, frames.replace(job=[-1, -1, -1]), findings, LABELS, assignees={}, threshold=0.5)
    assert len(s.by_job) == 0


@pytest.mark.parametrize(("n", "k", "few"), [(29, 0, True), (30, 0, False), (30, 15, True), (1000, 500, False)])
def test_few_objects_or_a_wide_interval_judge_nobody(n: int, k: int, few: bool) -> None:
    shapes = Shapes(frame=[0] * n, label=[0] * n)
    findings = Findings(type=[1] * k, frame=[0] * k, score=[1.0] * k, annotation=range(k), label=[0] * k)
    s = summarise(shapes, Frames(name=["a"], number=[0]), findings, LABELS, assignees={}, threshold=0.5)
    assert s.by_label.few.tolist() == [few]


def test_the_columns_of_a_run_are_those_of_its_annotations(real_run: RunFolder) -> None:
    shapes, annotations = shape_columns(real_run), real_run.annotations()
    for name, values in shapes.columns().items():
        assert values.tolist() == getattr(annotations, name).tolist(), name


def test_statistics_of_a_run(real_run: RunFolder) -> None:
    s = run_statistics(real_run, threshold=0.5)
    assert (s.total.annotations[0], s.total.findings[0]) == (8, 6)
    assert set(s.by_annotator.name) == {"anna", NOBODY}


@pytest.mark.parametrize("rows", [[], [0], [2, 3, 7]])
def test_rows_of_large_tables_are_taken_one_by_one(real_run: RunFolder, rows: list[int]) -> None:
    taken, all_of_them = annotations_at(real_run, np.array(rows, int)), real_run.annotations()
    assert taken.annotation_id.tolist() == all_of_them.annotation_id[rows].tolist()
    assert [p is None for p in taken.points] == [all_of_them.points[row] is None for row in rows]


def test_rows_are_found_in_any_row_group_and_batch(tmp_path: Path) -> None:
    n = 3 * BATCH_ROWS
    everything = Predictions(
        xyxy=np.arange(4.0 * n).reshape(n, 4), frame=range(n), label=np.arange(n) % 4, score=np.linspace(0, 1, n)
    )
    run = save_run(tmp_path / "run")
    with table_writer(run.path / "predictions.parquet", Predictions, run.labels) as write:
        for start, stop in ((0, 10), (10, 2 * BATCH_ROWS + 5), (2 * BATCH_ROWS + 5, n)):
            write(everything[start:stop])
    rows = np.array([0, 9, 10, BATCH_ROWS + 9, BATCH_ROWS + 10, 2 * BATCH_ROWS + 5, n - 1])
    taken = run.predictions_at(rows)
    assert taken.frame.tolist() == rows.tolist()
    assert taken.label.tolist() == (rows % 4).tolist()
    assert np.array_equal(taken.xyxy, everything.xyxy[rows])


def test_counting_piece_by_piece_gives_the_same(scene: tuple[Shapes, Frames, Findings]) -> None:
    shapes, frames, findings = scene
    whole = summarise(shapes, frames, findings, LABELS, assignees={7: "anna"}, threshold=0.5)
    counting = Counting(frames.job, len(shapes), LABELS, assignees={7: "anna"}, threshold=0.5)
    for row in range(len(findings)):
        counting.findings(findings[row : row + 1])
    for start in range(0, len(shapes), 2):
        counting.shapes(shapes[start : start + 2])
    pieces = counting.statistics()
    for name in ("total", "by_type", "by_label", "by_job", "by_annotator"):
        for column, values in getattr(whole, name).columns().items():
            assert np.array_equal(getattr(getattr(pieces, name), column), values, equal_nan=column == "share"), column


def test_only_the_frames_asked_for_are_filled(real_run: RunFolder) -> None:
    every, rows = real_run.frames(), np.array([1, 1])
    some = frames_at(real_run, rows)
    for name, values in every.columns().items():
        assert len(some) == len(every)
        assert getattr(some, name)[1] == values[1]
    assert some.name[0] == ""
    assert len(frames_at(real_run, rows[:0])) == len(every)


def test_a_track_is_one_object_however_many_frames_show_it() -> None:
    """One finding about 300 frames puts one of two objects in doubt, not one of 301."""
    frames = Frames(name=objects(["a"] * 300), number=np.arange(300), job=np.full(300, 1))
    shapes = Shapes(
        frame=np.append(np.arange(300), 0),
        label=np.append(np.zeros(300, int), 1),
        track=np.append(np.ones(300, bool), False),
        annotation_id=np.append(np.full(300, 7), 7),
    )
    found = Findings(type=[2], frame=[120], score=[0.9], annotation=[120], label=[0])  # type: ignore[arg-type]  # lists do
    job_of_frame, assignees = frames.job, {1: "ann"}
    counting = Counting(job_of_frame, len(shapes), ("car", "bus"), assignees=assignees, threshold=0.5)
    counting.findings(found)
    for start in range(0, 301, 40):
        counting.shapes(shapes[start : start + 40])
    s = counting.statistics()
    assert (s.total.annotations[0], s.total.objects[0], s.total.in_doubt[0]) == (301, 2, 1)
    assert dict(zip(s.by_label.name.tolist(), s.by_label.share.tolist(), strict=True)) == {"car": 1.0, "bus": 0.0}
    assert s.by_annotator.objects.tolist() == [2]
    assert (s.by_type.objects[2], s.by_type.in_doubt[2], s.by_type.in_doubt[1]) == (2, 1, 0)
