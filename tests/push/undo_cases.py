"""What taking a push back must do, on a fixture ``place``: the double here, a real server in ``tests/live``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from audit.core.decisions import Verdict
from tests.contract.place import Place
from tests.push.cases import statuses
from tests.push.place import Audited, as_read, audit
from tests.push.scenes import OTHER, PERSON, THING, T, box, full_house, ids


def test_undo_brings_the_task_back_field_for_field(place: Place, tmp_path: Path) -> None:
    audited = full_house(place, tmp_path)
    before = _everything(audited)
    audited.push()
    assert _everything(audited) != before
    assert set(statuses(audited.undo())) == {"done"}
    assert _everything(audited) == before
    assert audited.undo().lines == []
    assert set(statuses(audited.push())) == {"done"}
    audited.undo()
    assert _everything(audited) == before


def _everything(audited: Audited) -> list[dict[str, Any]]:
    """All that the jobs hold. The order of the shapes is the server's own: it changes with every write."""
    found = [audited.annotations(job) for job in audited.job_ids]
    return [{**data, "shapes": sorted(data["shapes"], key=lambda shape: int(shape["id"]))} for data in found]


def test_undo_leaves_alone_what_others_touched_since(place: Place, tmp_path: Path) -> None:
    audited = audit(place, tmp_path / "run", [box(place), box(place, frame=1)])
    first, second = ids(audited)
    for key in (first, second):
        audited.finding(T.LOW_OVERLAP, key, suggested_label=THING, suggested_xyxy=OTHER)
    audited.finding(T.MISSING_ANNOTATION, frame=0, suggested_label=THING, suggested_xyxy=[40.0, 5.0, 60.0, 20.0])
    audited.accept_all()
    before = audited.stored()
    audited.push()
    (made,) = audited.stored().keys() - before.keys()
    audited.patch("update", {**audited.stored()[first], "z_order": 9})
    audited.patch("update", {**audited.stored()[made], "points": [40.0, 5.0, 61.0, 20.0]})
    theirs = audited.stored()
    assert sorted(statuses(audited.undo())) == ["conflict", "conflict", "done"]
    assert audited.stored() == {first: theirs[first], second: before[second], made: theirs[made]}


@pytest.mark.parametrize("undone", [False, True])
def test_undo_goes_back_to_what_others_made_of_it_between_two_pushes(
    place: Place, tmp_path: Path, *, undone: bool
) -> None:
    audited = audit(place, tmp_path / "run", [box(place), box(place)])
    changed, deleted = ids(audited)
    for key in (changed, deleted):
        audited.finding(T.LOW_OVERLAP, key, suggested_label=THING, suggested_xyxy=OTHER)
    audited.accept_all()
    assert statuses(audited.push()) == ["done", "done"]
    if undone:
        assert statuses(audited.undo()) == ["done", "done"]
    for key in (changed, deleted):
        audited.patch("update", {**audited.stored()[key], "points": [3.0, 3.0, 33.0, 33.0], "occluded": True})
    theirs = audited.stored()
    again = as_read(place, tmp_path / "run")
    again.finding(T.MISMATCHING_LABEL, changed, suggested_label=PERSON)
    again.finding(T.EXTRA_ANNOTATION, deleted)
    again.accept_all()
    assert statuses(again.push()) == ["done", "done"]
    assert again.stored().keys() == {changed}
    assert statuses(again.undo()) == ["done", "done"]
    assert again.stored() == theirs
    assert again.undo().lines == []


def test_what_was_taken_back_is_not_done_because_the_shape_was_changed_again(place: Place, tmp_path: Path) -> None:
    audited = audit(place, tmp_path / "run", [box(place)])
    (key,) = ids(audited)
    audited.finding(T.LOW_OVERLAP, key, suggested_label=THING, suggested_xyxy=OTHER)
    audited.finding(T.MISMATCHING_LABEL, key, suggested_label=PERSON)
    low, wrong = (str(i) for i in audited.write().id)
    audited.decide([low])
    audited.push()
    audited.undo()
    audited.decide([low], Verdict.REJECT)
    audited.decide([wrong])
    assert statuses(audited.push()) == ["done"]
    audited.decide([low])
    assert statuses(audited.push()) == ["done"]
    assert audited.stored()[key]["points"] == OTHER
    audited.undo()
