"""The judge: by type and place, never generous."""

from __future__ import annotations

import json
from typing import Any

from click.testing import CliRunner

from audit.core.findings import FindingType
from audit.demo.__main__ import main
from audit.demo.export import planted
from audit.demo.judge import judge, lines, others

ALL = planted()
BY_WHAT = {p.mistake.what: p for p in ALL}
TRUCK = BY_WHAT["bus labelled as a truck"]
RIGHT_MAN = BY_WHAT["man at the right edge not labelled"]
TWICE = BY_WHAT["motorcycle labelled twice"]


def finding(kind: str, image: str, annotation_id: int | None, box: Any = None, score: float = 0.5) -> dict[str, Any]:
    return {
        "type": kind,
        "image": image,
        "annotation_id": annotation_id,
        "suggested_bbox_xyxy": box,
        "score": score,
    }


def test_nothing_planted_and_nothing_found() -> None:
    assert judge([], []) == []


def test_without_findings_nothing_is_found() -> None:
    outcomes = judge(ALL, [])
    assert len(outcomes) == len(ALL)
    assert all(o.rank == 0 and not o.exact for o in outcomes)
    text = lines(outcomes, [])
    assert sum("NOT FOUND" in line for line in text) == len(ALL)
    assert text[-2].startswith(f"0 of {len(ALL)} found") and text[-2].endswith(f"{len(ALL)} not found.")
    assert text[-1] == "Findings that belong to no planted mistake: 0 likely, 0 weak."


def test_the_hard_ones_say_why_they_are_hard() -> None:
    assert any("railing" in line for line in lines(judge(ALL, []), []))


def test_the_annotation_and_the_type_make_it_found() -> None:
    rows = [finding("mismatching_label", "images/bus.jpg", TRUCK.annotation_ids[0], score=0.91)]
    (outcome,) = judge([TRUCK], rows)
    assert (outcome.exact, outcome.rank, outcome.type) == (True, 1, FindingType.MISMATCHING_LABEL)
    assert "found (rank 1, 91.0 %)" in lines([outcome], rows)[1]


def test_far_down_the_list_is_not_found() -> None:
    rows = [finding("mismatching_label", "bus.jpg", TRUCK.annotation_ids[0], score=0.49)]
    text = lines(judge([TRUCK], rows), rows)
    assert "weak: far down the list (rank 1, 49.0 %)" in text[1]
    assert text[-2] == (
        "0 of 1 found, 1 only as a weak finding (below 50%), 0 noticed under another name, 0 not found."
    )


def test_false_alarms_are_counted() -> None:
    rows = [finding("extra_annotation", "bus.jpg", 99, score=s) for s in (0.9, 0.5, 0.2)]
    assert lines(judge([TRUCK], rows), rows)[-1].endswith(": 2 likely, 1 weak.")


def test_another_type_at_the_same_annotation_is_only_noticed() -> None:
    rows = [finding("extra_annotation", "bus.jpg", TRUCK.annotation_ids[0])]
    (outcome,) = judge([TRUCK], rows)
    assert not outcome.exact and outcome.rank == 1
    assert "noticed as Extra label" in lines([outcome], rows)[1]


def test_the_planted_type_counts_before_a_higher_rank() -> None:
    i = TRUCK.annotation_ids[0]
    rows = [finding("extra_annotation", "bus.jpg", i), finding("mismatching_label", "bus.jpg", i)]
    (outcome,) = judge([TRUCK], rows)
    assert (outcome.exact, outcome.rank) == (True, 2)


def test_another_annotation_or_image_does_not_count() -> None:
    i = TRUCK.annotation_ids[0]
    rows = [finding("mismatching_label", "bus.jpg", i + 1), finding("mismatching_label", "zidane.jpg", i)]
    assert judge([TRUCK], rows)[0].rank == 0
    assert others(judge([TRUCK], rows), rows) == [1, 2]


def test_a_missing_label_is_judged_by_its_place() -> None:
    at, beside = [671, 395, 810, 879], [400, 395, 540, 879]
    rows = [finding("missing_annotation", "bus.jpg", None, beside), finding("missing_annotation", "bus.jpg", None, at)]
    (outcome,) = judge([RIGHT_MAN], rows)
    assert (outcome.exact, outcome.rank) == (True, 2)
    assert others([outcome], rows) == [1]


def test_a_finding_on_a_neighbours_annotation_is_not_the_missing_label() -> None:
    rows = [finding("low_overlap", "bus.jpg", 3, [671, 395, 810, 879])]
    assert judge([RIGHT_MAN], rows)[0].rank == 0


def test_either_of_two_duplicates_will_do() -> None:
    for i in TWICE.annotation_ids:
        assert judge([TWICE], [finding("duplicate_annotation", "motorcycle_left.png", i)])[0].exact


def test_the_command_reads_what_findings_printed(tmp_path: Any) -> None:
    rows = [finding("mismatching_label", "bus.jpg", TRUCK.annotation_ids[0])]
    (tmp_path / "findings.json").write_text(json.dumps(rows))
    result = CliRunner().invoke(main, ["judge", str(tmp_path / "findings.json")])
    assert result.exit_code == 0
    assert f"1 of {len(ALL)} found" in result.output
