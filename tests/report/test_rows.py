from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path

import jsonschema
import numpy as np
import pytest

from audit import decisions
from audit.core.annotations import Frames
from audit.core.decisions import Decision, Verdict
from audit.core.findings import Findings, FindingType
from audit.errors import UsageError
from audit.report.rows import FIELDS, finding_rows
from audit.runs import RunFolder, write_table

SCHEMA = json.loads((Path(__file__).parents[1] / "golden" / "findings.schema.json").read_text())


def test_a_run_without_findings_gives_an_empty_list(run_of: Callable[..., RunFolder]) -> None:
    assert finding_rows(run_of()) == []


def test_rows_follow_the_published_schema(real_run: RunFolder) -> None:
    rows = finding_rows(real_run)
    jsonschema.validate(json.loads(json.dumps(rows, allow_nan=False)), SCHEMA)
    assert len(rows) == 7
    assert all(tuple(row) == FIELDS for row in rows)


def test_the_schema_refuses_what_breaks_the_contract(real_run: RunFolder) -> None:
    good = finding_rows(real_run)[0]
    for broken in ({"type": "overlooked"}, {"bbox_xyxy": [1, 2, 3]}, {"score": None}, {"annotation_id": "18"}):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate([{**good, **broken}], SCHEMA)


def test_a_missing_label_has_no_shape_of_its_own(real_run: RunFolder) -> None:
    row = next(r for r in finding_rows(real_run) if r["image"] == "bus.jpg" and r["type"] == "missing_annotation")
    assert {key: row[key] for key in FIELDS if key != "id"} == {
        "type": "missing_annotation",
        "image": "bus.jpg",
        "frame": 0,
        "annotation_id": None,
        "label": None,
        "suggested_label": "person",
        "bbox_xyxy": None,
        "suggested_bbox_xyxy": [221.0, 405.0, 344.0, 857.0],
        "iou": None,
        "prediction_score": 0.86,
        "score": 0.999,
        "reason": "",
        "link": "https://cvat.example/tasks/42/jobs/7?frame=0",
        "job": 7,
        "assignee": "anna",
        "p_error": 0.999,
        "frames": 1,
        "first_frame": 0,
        "last_frame": 0,
    }


def test_a_box_with_a_coordinate_that_is_no_number_is_null(real_run: RunFolder) -> None:
    row = next(r for r in finding_rows(real_run) if r["type"] == "invalid_shape")
    assert row["bbox_xyxy"] is None
    assert row["annotation_id"] == 18


def test_rows_come_worst_first_even_if_the_table_is_not(run_of: Callable[..., RunFolder]) -> None:
    run = run_of(frames=Frames(name=["a.jpg"], number=[3]))
    unsorted = Findings(
        type=[0] * 4, frame=[0] * 4, score=[0.2, 0.9, 0.5, 0.9], suggested_label=[0, 1, 2, 3], id=list("abcd")
    )
    write_table(run.path / "findings.parquet", unsorted, run.labels)
    rows = finding_rows(run)
    assert [r["id"] for r in rows] == ["b", "d", "c", "a"]
    assert [r["frame"] for r in rows] == [3] * 4


@pytest.mark.parametrize(
    ("options", "count"),
    [
        ({}, 7),
        ({"types": [FindingType.MISSING_ANNOTATION]}, 2),
        ({"types": [FindingType.MISSING_ANNOTATION, FindingType.LOW_OVERLAP]}, 3),
        ({"labels": ["tie"]}, 2),  # a tie labelled twice, and a person who is rather a tie
        ({"labels": ["cat"], "types": [FindingType.MISSING_ANNOTATION]}, 1),
        ({"min_score": 0.885}, 4),
        ({"min_score": 1.01}, 0),
        ({"limit": 2}, 2),
        ({"limit": 0}, 0),
        ({"limit": 100}, 7),
    ],
)
def test_filters(real_run: RunFolder, options: dict[str, object], count: int) -> None:
    assert len(finding_rows(real_run, **options)) == count  # type: ignore[arg-type]  # one table for all options


def test_verdicts_make_chances_certain_and_correct_the_others(real_run: RunFolder) -> None:
    before = finding_rows(real_run)
    assert all(r["p_error"] == r["score"] for r in before)
    said = [(before[0], Verdict.REJECT), (before[1], Verdict.ACCEPT), (before[2], Verdict.UNSURE)]
    decisions.append(real_run.path, [Decision(r["id"], v, "ann", "2026-11-21T10:00:00+00:00") for r, v in said])
    after = finding_rows(real_run)
    assert [r["id"] for r in after] == [r["id"] for r in before]
    assert [r["score"] for r in after] == [r["score"] for r in before]
    assert [r["p_error"] for r in after[:2]] == [0.0, 1.0]
    assert all(0 < r["p_error"] < 1 and r["p_error"] != r["score"] for r in after[2:])


def test_a_precision_gives_the_longest_list_that_has_it(run_of: Callable[..., RunFolder]) -> None:
    run = run_of(frames=Frames(name=["a.jpg"], number=[3]))
    table = Findings(
        type=[0] * 4, frame=[0] * 4, score=[0.9, 0.95, 0.6, 0.1], suggested_label=[0, 1, 2, 3], id=list("abcd")
    )
    write_table(run.path / "findings.parquet", table, run.labels)
    told = {p: [r["id"] for r in finding_rows(run, precision=p)] for p in (1.0, 0.95, 0.9, 0.81, 0.8, 0.0)}
    assert told == {1.0: [], 0.95: ["b"], 0.9: ["b", "a"], 0.81: ["b", "a", "c"], 0.8: ["b", "a", "c"], 0.0: [*"bacd"]}
    assert [r["id"] for r in finding_rows(run, precision=0.8, limit=1)] == ["b"]
    assert finding_rows(run, precision=0.5, labels=["cat"]) == []


def test_an_unknown_label_is_named_with_those_there_are(real_run: RunFolder) -> None:
    with pytest.raises(UsageError, match=r"'lorry' is not in this run; it has: person, bus, tie, cat"):
        finding_rows(real_run, labels=["lorry"])


def test_without_jobs_and_links_these_are_null(run_of: Callable[..., RunFolder]) -> None:
    run = run_of(
        frames=Frames(name=["a.jpg"], number=[0]),
        findings=Findings(type=[0], frame=[0], score=[0.5]),
        link="",
        jobs=[],
    )
    row = finding_rows(run)[0]
    assert (row["link"], row["job"], row["assignee"]) == (None, None, None)


def test_a_hundred_thousand_findings_take_seconds(run_of: Callable[..., RunFolder]) -> None:
    n, rng = 100_000, np.random.default_rng(0)
    frames = Frames(name=[f"{i}.jpg" for i in range(20_000)], number=range(20_000), task=[1] * 20_000, job=[7] * 20_000)
    findings = Findings(
        type=rng.integers(0, 6, n),
        frame=rng.integers(0, 20_000, n),
        score=rng.random(n),
        label=rng.integers(-1, 4, n),
        xyxy=rng.random((n, 4)),
    )
    run = run_of(frames=frames, findings=findings)
    start = time.process_time()
    rows = finding_rows(run)
    assert len(rows) == n
    assert time.process_time() - start < 10  # 1 s where it was measured; a loop over numpy scalars took 30
