"""What a push must do, on a fixture ``place``: the double here, a real server in ``tests/live``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from audit.core.decisions import Verdict
from audit.errors import UsageError
from audit.pushing import ISSUES
from tests.contract.place import Place
from tests.push.place import Audited, audit
from tests.push.scenes import OTHER, PERSON, THING, T, blob, box, full_house, ids, rich


@pytest.fixture(autouse=True)
def no_issues(place: Place) -> None:
    """Every test begins without issues."""
    for issue in place.call("GET", "/issues", task_id=str(place.task_id), page_size="100")[1]["results"]:
        place.call("DELETE", f"/issues/{issue['id']}")


def statuses(report: Any) -> list[str]:
    return [line.status for line in report.lines]


def test_nothing_accepted_sends_nothing(place: Place, tmp_path: Path) -> None:
    audited = audit(place, tmp_path / "run", [box(place)])
    audited.finding(T.EXTRA_ANNOTATION, ids(audited)[0])
    found = audited.write()
    before = audited.stored()
    assert audited.push().lines == []
    audited.decide([str(found.id[0])], Verdict.REJECT)
    assert audited.push().lines == []
    assert audited.stored() == before


def test_a_missing_label_is_created_with_source_and_score(place: Place, tmp_path: Path) -> None:
    audited = audit(place, tmp_path / "run", [box(place, frame=2)])
    audited.finding(T.MISSING_ANNOTATION, frame=2, suggested_label=PERSON, suggested_xyxy=[-5.0, 4.0, 20.127, 30.0])
    audited.accept_all()
    before = audited.stored()
    assert statuses(audited.push()) == ["done"]
    (made,) = [s for key, s in audited.stored().items() if key not in before]
    assert (made["type"], made["frame"], made["label_id"]) == ("rectangle", 2, place.label("person"))
    expected = place.kept({"points": [0.0, 4.0, 20.13, 30.0], "source": "auto", "score": 0.8123})
    assert {key: made[key] for key in expected} == expected
    assert {k: v for k, v in audited.stored().items() if k in before} == before


def test_a_mask_task_gets_a_mask_and_a_polygon_task_a_polygon(place: Place, tmp_path: Path) -> None:
    shapes = [
        box(place, type="mask", points=(1, 2, 1, 10, 10, 11, 11)),
        {**box(place, type="polygon", points=(3, 3, 20, 3, 20, 20)), "label_id": place.label("person")},
    ]
    audited = audit(place, tmp_path / "run", shapes)
    for label in (THING, PERSON):
        audited.finding(
            T.MISSING_ANNOTATION, frame=1, suggested_label=label, suggested_xyxy=[12.0, 10.0, 40.0, 31.0], mask=blob()
        )
    audited.accept_all()
    before = audited.stored()
    assert statuses(audited.push()) == ["done", "done"]
    made = {s["label_id"]: s for key, s in audited.stored().items() if key not in before}
    assert made[place.label("thing")]["type"] == "mask"
    assert made[place.label("thing")]["points"] == [0.0, 28.0 * 21, 12.0, 10.0, 39.0, 30.0]
    polygon = made[place.label("person")]
    assert polygon["type"] == "polygon"
    corners = np.array(polygon["points"]).reshape(-1, 2)
    assert corners.min(axis=0).tolist() == [12, 10]
    assert corners.max(axis=0).tolist() == [40, 31]


def test_an_update_keeps_the_id_and_all_the_rest(place: Place, tmp_path: Path) -> None:
    audited = audit(place, tmp_path / "run", [rich(place), rich(place, frame=1)])
    (target, other) = ids(audited)
    audited.finding(T.LOW_OVERLAP, target, suggested_label=PERSON, suggested_xyxy=OTHER)
    audited.accept_all()
    before = audited.stored()
    assert statuses(audited.push()) == ["done"]
    assert audited.stored() == {target: {**before[target], "points": OTHER}, other: before[other]}


def test_a_turned_box_keeps_its_turn_when_it_is_renamed_and_is_not_redrawn(place: Place, tmp_path: Path) -> None:
    audited = audit(place, tmp_path / "run", [rich(place, rotation=30.0), rich(place, rotation=45.0)])
    first, second = ids(audited)
    audited.finding(T.MISMATCHING_LABEL, first, suggested_label=THING, suggested_xyxy=OTHER)
    audited.finding(T.LOW_OVERLAP, second, suggested_label=PERSON, suggested_xyxy=OTHER)
    audited.accept_all()
    before = audited.stored()
    report = audited.push()
    assert sorted((line.action, line.status) for line in report.lines) == [("issue", "done"), ("relabel", "done")]
    renamed = {**before[first], "label_id": place.label("thing"), "attributes": []}
    assert audited.stored() == {first: renamed, second: before[second]}
    assert any("attributes" in line.note for line in report.lines)
    audited.undo()
    assert audited.stored() == before


def test_a_label_the_reviewer_chose_goes_first(place: Place, tmp_path: Path) -> None:
    audited = audit(place, tmp_path / "run", [box(place), box(place, frame=3)])
    first, second = ids(audited)
    audited.finding(T.EXTRA_ANNOTATION, first)
    audited.finding(T.LOW_OVERLAP, second, suggested_label=THING, suggested_xyxy=OTHER)
    audited.accept_all(_0="person", _1="person")
    before = audited.stored()
    assert statuses(audited.push()) == ["done", "done"]
    person, stored = place.label("person"), audited.stored()
    assert [stored[i]["label_id"] for i in (first, second)] == [person, person]
    assert [stored[i]["points"] for i in (first, second)] == [before[i]["points"] for i in (first, second)]


def test_extra_and_duplicate_are_deleted_and_come_back_under_their_ids(place: Place, tmp_path: Path) -> None:
    audited = audit(place, tmp_path / "run", [rich(place), rich(place), box(place, frame=2)])
    one, two, extra = ids(audited)
    audited.finding(T.DUPLICATE_ANNOTATION, two, related_id=one)
    audited.finding(T.EXTRA_ANNOTATION, extra)
    audited.accept_all()
    before = audited.stored()
    assert statuses(audited.push()) == ["done", "done"]
    assert audited.stored() == {one: before[one]}
    assert statuses(audited.undo()) == ["done", "done"]
    assert audited.stored() == before


def test_of_an_object_in_two_pieces_one_becomes_the_whole_and_the_other_goes(place: Place, tmp_path: Path) -> None:
    audited = audit(place, tmp_path / "run", [box(place), box(place), box(place, frame=2)])
    whole, piece, other = ids(audited)
    audited.finding(T.LOW_OVERLAP, whole, related_id=piece, suggested_label=THING, suggested_xyxy=OTHER)
    audited.accept_all()
    before = audited.stored()
    report = audited.push()
    assert sorted((line.action, line.status) for line in report.lines) == [("delete", "done"), ("update", "done")]
    assert audited.stored() == {whole: {**before[whole], "points": OTHER}, other: before[other]}
    assert statuses(audited.push()) == ["already", "already"]
    audited.undo()
    assert audited.stored() == before


def test_the_other_piece_stays_if_the_whole_was_changed_meanwhile(place: Place, tmp_path: Path) -> None:
    audited = audit(place, tmp_path / "run", [box(place), box(place)])
    whole, piece = ids(audited)
    audited.finding(T.LOW_OVERLAP, whole, related_id=piece, suggested_label=THING, suggested_xyxy=OTHER)
    audited.accept_all()
    audited.patch("update", {**audited.stored()[whole], "points": [1.0, 1.0, 9.0, 9.0]})
    before = audited.stored()
    assert statuses(audited.push()) == ["conflict", "conflict"]
    assert audited.stored() == before


def test_a_duplicate_stays_if_the_other_one_is_gone(place: Place, tmp_path: Path) -> None:
    audited = audit(place, tmp_path / "run", [box(place), box(place)])
    one, two = ids(audited)
    audited.finding(T.DUPLICATE_ANNOTATION, two, related_id=one)
    audited.accept_all()
    audited.patch("delete", audited.stored()[one])
    report = audited.push()
    assert statuses(report) == ["conflict"]
    assert str(one) in report.lines[0].reason
    assert list(audited.stored()) == [two]


def test_invalid_shapes_are_repaired_where_there_is_one_way(place: Place, tmp_path: Path) -> None:
    shapes = [
        box(place, points=(30.0, 40.0, 1.0, 2.0)),
        box(place, points=(50.0, 10.0, 90.0, 20.0)),
        box(place, points=(5.0, 5.0, 5.2, 9.0)),
        box(place, points=(100.0, 5.0, 120.0, 9.0)),
        box(place, type="polygon", points=(50.0, 10.0, 90.0, 10.0, 90.0, 30.0, 50.0, 30.0)),
    ]
    audited = audit(place, tmp_path / "run", shapes)
    keys = ids(audited)
    for key in keys:
        audited.finding(T.INVALID_SHAPE, key)
    audited.accept_all()
    assert set(statuses(audited.push())) == {"done"}
    stored = audited.stored()
    assert sorted(stored) == [keys[0], keys[1], keys[4]]
    assert [stored[keys[i]]["points"] for i in (0, 1)] == [[1.0, 2.0, 30.0, 40.0], [50.0, 10.0, 64.0, 20.0]]
    assert np.array(stored[keys[4]]["points"]).max() == 64


def test_a_second_push_does_nothing(place: Place, tmp_path: Path) -> None:
    audited = full_house(place, tmp_path)
    first = audited.push()
    assert set(statuses(first)) == {"done"}
    stored, versions = audited.stored(), _versions(audited)
    assert set(statuses(audited.push())) == {"already"}
    assert (audited.stored(), _versions(audited)) == (stored, versions)


def test_a_dry_run_writes_nothing_and_tells_what_a_push_does(place: Place, tmp_path: Path) -> None:
    audited = full_house(place, tmp_path)
    before, versions = audited.stored(), _versions(audited)
    dry = audited.push(execute=False)
    assert (audited.stored(), _versions(audited)) == (before, versions)
    assert not (audited.path / "journal.jsonl").exists()
    assert set(statuses(dry)) == {"to do"}
    real = audited.push()
    told = {(line.findings, line.action): (line.before, _shown(place, line.after)) for line in dry.lines}
    assert told == {(line.findings, line.action): (line.before, _shown(place, line.after)) for line in real.lines}


def test_without_a_journal_nothing_is_created_twice(place: Place, tmp_path: Path) -> None:
    audited = full_house(place, tmp_path)
    audited.push()
    audited.push(ISSUES)
    stored = audited.stored()
    (audited.path / "journal.jsonl").unlink()
    again = audited.push()
    assert not {"done", "to do"} & set(statuses(again))
    assert set(statuses(audited.push(ISSUES))) == {"already"}
    assert audited.stored() == stored


def test_what_others_changed_since_the_audit_is_left_alone(place: Place, tmp_path: Path) -> None:
    audited = audit(place, tmp_path / "run", [box(place), box(place, frame=1), box(place, frame=1)])
    moved, gone, fine = ids(audited)
    for key in (moved, gone, fine):
        audited.finding(T.LOW_OVERLAP, key, suggested_label=THING, suggested_xyxy=OTHER)
    audited.accept_all()
    audited.patch("update", {**audited.stored()[moved], "occluded": True})
    audited.patch("delete", audited.stored()[gone])
    before = audited.stored()
    report = audited.push()
    assert sorted(statuses(report)) == ["conflict", "conflict", "done"]
    assert audited.stored() == {**before, fine: {**before[fine], "points": OTHER}}


def test_a_later_decision_on_a_shape_we_changed_ourselves_is_no_conflict(place: Place, tmp_path: Path) -> None:
    audited = audit(place, tmp_path / "run", [box(place)])
    (key,) = ids(audited)
    audited.finding(T.LOW_OVERLAP, key, suggested_label=THING, suggested_xyxy=OTHER)
    audited.finding(T.MISMATCHING_LABEL, key, suggested_label=PERSON, suggested_xyxy=OTHER)
    low, wrong = (str(i) for i in audited.write().id)
    before = audited.stored()
    audited.decide([low])
    assert statuses(audited.push()) == ["done"]
    audited.decide([wrong])
    assert statuses(audited.push()) == ["done"]
    now = audited.stored()[key]
    assert (now["points"], now["label_id"]) == (OTHER, place.label("person"))
    audited.undo()
    assert audited.stored() == before


def test_decisions_that_exclude_each_other_are_not_carried_out(place: Place, tmp_path: Path) -> None:
    audited = audit(place, tmp_path / "run", [box(place)])
    (key,) = ids(audited)
    audited.finding(T.LOW_OVERLAP, key, suggested_label=THING, suggested_xyxy=OTHER)
    audited.finding(T.EXTRA_ANNOTATION, key)
    audited.accept_all()
    before = audited.stored()
    assert statuses(audited.push()) == ["conflict"]
    assert audited.stored() == before


def test_an_issue_stands_at_the_spot_once(place: Place, tmp_path: Path) -> None:
    audited = audit(place, tmp_path / "run", [box(place, frame=3)])
    audited.finding(T.EXTRA_ANNOTATION, ids(audited)[0])
    audited.finding(T.MISSING_ANNOTATION, frame=2, suggested_label=PERSON, suggested_xyxy=[4.0, 4.0, 20.0, 30.0])
    keys = audited.accept_all()
    assert statuses(audited.push(ISSUES)) == ["done", "done"]
    found = sorted(issues(audited), key=lambda issue: issue["frame"])
    assert [(i["frame"], i["position"]) for i in found] == [(2, [4.0, 4.0, 20.0, 30.0]), (3, [1.0, 2.0, 30.0, 40.0])]
    assert [i["job"] for i in found] == [audited.job_ids[1]] * 2
    assert found[0]["text"].startswith("Missing label: person (90.0 %)")
    assert keys[1] in found[0]["text"]
    assert statuses(audited.push(ISSUES)) == ["already", "already"]
    assert len(issues(audited)) == 2
    assert statuses(audited.undo()) == ["done", "done"]
    assert issues(audited) == []


def test_an_answered_issue_is_not_taken_back(place: Place, tmp_path: Path) -> None:
    audited = audit(place, tmp_path / "run", [box(place)])
    audited.finding(T.EXTRA_ANNOTATION, ids(audited)[0])
    audited.accept_all()
    audited.push(ISSUES)
    (issue,) = issues(audited)
    place.call("POST", "/comments", {"issue": issue["id"], "message": "why?"})
    assert statuses(audited.undo()) == ["conflict"]
    assert len(issues(audited)) == 1
    place.call("DELETE", f"/issues/{issue['id']}")


def test_text_of_labels_is_kept_to_the_letter(place: Place, tmp_path: Path) -> None:
    audited = audit(place, tmp_path / "run", [box(place)])
    strange = '<script>alert("x")</script> \u202eשלום 😀 ' + "x" * 10_000
    audited.finding(T.EXTRA_ANNOTATION, ids(audited)[0], reason=strange)
    audited.accept_all()
    assert statuses(audited.push(ISSUES)) == ["done"]
    assert strange in issues(audited)[0]["text"]
    audited.undo()


def test_a_signed_off_job_is_written_to_only_when_asked(place: Place, tmp_path: Path) -> None:
    audited = audit(place, tmp_path / "run", [box(place)])
    audited.finding(T.EXTRA_ANNOTATION, ids(audited)[0])
    audited.accept_all()
    job = audited.job_ids[0]
    place.call("PATCH", f"/jobs/{job}", {"stage": "acceptance"})
    place.call("PATCH", f"/jobs/{job}", {"state": "completed"})
    try:
        report = audited.push()
        assert statuses(report) == ["conflict"]
        assert "--include-completed" in report.lines[0].reason
        assert statuses(audited.push(include_completed=True)) == ["done"]
    finally:
        place.call("PATCH", f"/jobs/{job}", {"stage": "annotation"})
        place.call("PATCH", f"/jobs/{job}", {"state": "new"})


def test_only_one_push_of_a_run_at_a_time(place: Place, tmp_path: Path) -> None:
    from audit.journal import opened

    audited = full_house(place, tmp_path)
    with opened(audited.path), pytest.raises(UsageError, match="under way"):
        audited.push()
    with audited.writer() as other, other.holding(audited.job_ids[0]):
        report = audited.push()
    assert {line.status for line in report.lines if line.job == audited.job_ids[0]} == {"failed"}


def issues(audited: Audited) -> list[dict[str, Any]]:
    """The issues of the task's jobs with their texts."""
    found = []
    for job in audited.job_ids:
        for issue in audited.place.call("GET", "/issues", job_id=str(job), page_size="100")[1]["results"]:
            comments = audited.place.call("GET", "/comments", issue_id=str(issue["id"]))[1]["results"]
            found.append({**issue, "text": comments[0]["message"]})
    return found


def _versions(audited: Audited) -> list[str]:
    return [audited.place.call("GET", f"/jobs/{job}")[1]["updated_date"] for job in audited.job_ids]


def _shown(place: Place, shape: Any) -> Any:
    """What the server will show of a shape, but for the id it gives; numbers as they compare."""
    kept = {k: v for k, v in place.kept(shape or {}).items() if k != "id"}
    return json.loads(json.dumps(kept, sort_keys=True)) if shape else shape
