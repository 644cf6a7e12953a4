"""push, undo, pull-issues and decide as a user calls them."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from audit import decisions as stored
from audit.cli.decide import decide
from audit.cli.push import pull_issues, push, undo
from audit.core.decisions import Verdict, agreed
from audit.core.findings import FindingType
from audit.errors import UsageError
from tests.contract.place import Connection, Place, make_place
from tests.doubles.cvat import ADMIN_TOKEN, FakeCvat
from tests.push.cases import issues, no_issues
from tests.push.place import Audited, audit
from tests.push.scenes import OTHER, PERSON, THING, T, box, ids, rich

__all__ = ["no_issues"]


@pytest.fixture(scope="module")
def server() -> Iterator[FakeCvat]:
    with FakeCvat() as running:
        running.add_user("ann", "ann-password", "ann-token")
        yield running


@pytest.fixture(scope="module")
def place(server: FakeCvat, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with make_place(Connection(server.url, ADMIN_TOKEN), tmp_path_factory.mktemp("pictures")) as made:
        yield made


@pytest.fixture(autouse=True)
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("CVAT_ACCESS_TOKEN", ADMIN_TOKEN)


@pytest.fixture
def audited(place: Place, tmp_path: Path) -> Audited:
    made = audit(place, tmp_path / "run", [box(place), box(place, frame=3)])
    made.finding(T.LOW_OVERLAP, ids(made)[0], suggested_label=THING, suggested_xyxy=OTHER)
    made.finding(T.EXTRA_ANNOTATION, ids(made)[1])
    return made


def call(command: Any, *arguments: object) -> Result:
    return CliRunner().invoke(command, [str(a) for a in arguments])


def refused(command: Any, *arguments: object) -> str:
    result = call(command, *arguments)
    assert isinstance(result.exception, UsageError), result.output
    return str(result.exception)


def test_the_whole_way(place: Place, audited: Audited) -> None:
    first, second = (str(i) for i in audited.write().id)
    before = audited.stored()
    nothing = call(push, audited.path, "--as", "fixes")
    assert (nothing.exit_code, nothing.stdout) == (0, "Nothing accepted, nothing to do.\n")
    assert call(decide, audited.path, "--accept", f"{first},{second}", "--reviewer", "rita").exit_code == 0

    dry = call(push, audited.path, "--as", "fixes")
    assert dry.exit_code == 0
    assert audited.stored() == before
    assert f"update {ids(audited)[0]}" in dry.stdout
    assert f"points {OTHER}" in dry.stdout
    assert f"{place.connection.url}/tasks/{place.task_id}/jobs/{audited.job_ids[1]}?frame=3" in dry.stdout
    assert "2 to do" in dry.stdout
    assert dry.stdout == call(push, audited.path, "--as", "fixes", "--dry-run").stdout

    sent = call(push, audited.path, "--as", "fixes", "--yes")
    assert (sent.exit_code, "2 done" in sent.stdout) == (0, True)
    assert list(audited.stored()) == ids(audited)[:1]
    again = call(push, audited.path, "--as", "fixes", "--yes")
    assert (again.exit_code, "2 already" in again.stdout) == (0, True)

    assert "2 to do" in call(undo, audited.path).stdout
    assert audited.stored() != before
    assert "2 done" in call(undo, audited.path, "--yes").stdout
    assert audited.stored() == before
    assert call(undo, audited.path, "--yes").stdout == "Nothing of this run's pushes is left to take back.\n"
    assert ADMIN_TOKEN not in dry.output + sent.output + again.output


def test_labels_are_told_by_name_and_lost_attributes_where_there_were_some(place: Place, tmp_path: Path) -> None:
    made = audit(place, tmp_path / "run", [box(place), rich(place, frame=1)])
    bare, full = ids(made)
    made.finding(T.MISMATCHING_LABEL, bare, suggested_label=PERSON, suggested_xyxy=OTHER)
    made.finding(T.MISMATCHING_LABEL, full, suggested_label=THING, suggested_xyxy=OTHER)
    made.finding(T.MISSING_ANNOTATION, frame=2, suggested_label=PERSON, suggested_xyxy=OTHER)
    made.accept_all()
    for sent in (call(push, made.path, "--as", "fixes"), call(push, made.path, "--as", "fixes", "--yes")):
        rows = {name: next(line for line in sent.stdout.splitlines() if name in line)
                for name in (f"relabel {bare}", f"relabel {full}", "create")}  # fmt: skip
        assert "label person" in rows[f"relabel {bare}"]
        assert "are lost" not in rows[f"relabel {bare}"]
        assert "label thing, attributes []; attributes of the old label are lost" in rows[f"relabel {full}"]
        assert "label person, type rectangle, points" in rows["create"]
        assert "label_id" not in sent.stdout
    assert "are lost" not in call(push, made.path, "--as", "fixes").stdout


def test_json_tells_every_shape_as_sent(audited: Audited) -> None:
    audited.accept_all()
    body = json.loads(call(push, audited.path, "--as", "fixes", "--json").stdout)
    assert (body["sent"], body["counts"]) == (False, {"to do": 2})
    update = next(row for row in body["changes"] if row["action"] == "update")
    assert update["before"] == audited.stored()[ids(audited)[0]]
    assert update["after"] == {**update["before"], "points": OTHER}
    assert update["link"].endswith("?frame=0")


def test_a_conflict_is_exit_code_one(audited: Audited) -> None:
    audited.accept_all()
    audited.patch("update", {**audited.stored()[ids(audited)[0]], "occluded": True})
    done = call(push, audited.path, "--as", "fixes", "--yes")
    assert (done.exit_code, "1 done, 1 conflict" in done.stdout) == (1, True)
    assert "was changed since the audit" in done.stdout


def test_a_user_without_rights_is_told(audited: Audited, monkeypatch: pytest.MonkeyPatch) -> None:
    audited.accept_all()
    monkeypatch.setenv("CVAT_ACCESS_TOKEN", "ann-token")
    done = call(push, audited.path, "--as", "fixes", "--yes")
    assert (done.exit_code, "2 failed" in done.stdout) == (1, True)
    assert f"job {audited.job_ids[0]}" in done.stdout
    assert "ann-token" not in done.output
    monkeypatch.setenv("CVAT_ACCESS_TOKEN", "no-such-token")
    assert "does not accept the access token" in refused(push, audited.path, "--as", "fixes", "--yes")


def test_a_server_that_fails_in_the_middle(server: FakeCvat, audited: Audited) -> None:
    audited.accept_all()
    server.faults.add(f"jobs/{audited.job_ids[0]}/annotations.*action", status=500)
    done = call(push, audited.path, "--as", "fixes", "--yes")
    server.faults.clear()
    assert getattr(done.exception, "exit_code", None) == 3
    assert "1 changes were not sent; the same push goes on" in str(done.exception)
    assert call(push, audited.path, "--as", "fixes", "--yes").exit_code == 0


def test_wrong_use(audited: Audited, tmp_path: Path) -> None:
    audited.write()
    assert "exclude each other" in refused(push, audited.path, "--as", "fixes", "--yes", "--dry-run")
    assert "--to is for exports" in refused(push, audited.path, "--as", "fixes", "--to", tmp_path / "x")
    assert "is not a run" in refused(push, tmp_path, "--as", "fixes")
    assert call(push, audited.path).exit_code == 2


def test_issues_and_what_people_made_of_them(place: Place, audited: Audited) -> None:
    low, extra = audited.accept_all()
    assert call(push, audited.path, "--as", "issues", "--yes").exit_code == 0
    assert call(pull_issues, audited.path).stdout.endswith("2 issues of this run, 0 new decisions.\n")
    by_frame = {issue["frame"]: issue for issue in issues(audited)}
    place.call("PATCH", f"/issues/{by_frame[0]['id']}", {"resolved": True})
    place.call("POST", "/comments", {"issue": by_frame[3]["id"], "message": "No, that is a <b>thing</b>."})
    pulled = call(pull_issues, audited.path)
    assert (pulled.exit_code, "2 new decisions" in pulled.stdout) == (0, True)
    assert "admin: No, that is a <b>thing</b>." in pulled.stdout
    said = [(d.finding, d.verdict, d.reviewer) for d in stored.read(audited.path) if d.origin == "issue"]
    assert sorted(said) == sorted([(low, Verdict.ACCEPT, "CVAT"), (extra, Verdict.REJECT, "admin")])
    assert "0 new decisions" in call(pull_issues, audited.path).stdout
    assert extra not in agreed(stored.read(audited.path))  # rita accepted it, admin did not

    place.call("PATCH", f"/issues/{by_frame[0]['id']}", {"resolved": False})
    rows = json.loads(call(pull_issues, audited.path, "--json").stdout)
    assert {row["finding"]: row["state"] for row in rows} == {low: "reopened", extra: "open"}
    assert stored.read(audited.path)[-1].verdict is Verdict.UNDONE
    assert "0 new decisions" in call(pull_issues, audited.path).stdout
    place.call("PATCH", f"/issues/{by_frame[0]['id']}", {"resolved": True})
    assert "1 new decision." in call(pull_issues, audited.path).stdout


def test_ids_may_be_short_if_they_are_clear(audited: Audited) -> None:
    first, second = (str(i) for i in audited.write().id)
    short = next(first[:n] for n in range(1, 17) if not second.startswith(first[:n]))
    assert call(decide, audited.path, "--unsure", short, "--reviewer", "rita").exit_code == 0
    (said,) = stored.read(audited.path)
    assert (said.finding, said.verdict, said.origin) == (first, Verdict.UNSURE, "command")
    assert "'zz' is not in this run" in refused(decide, audited.path, "--accept", "zz")
    assert "is not in this run" in refused(decide, audited.path, "--accept", "")
    assert "is not in this run" in refused(decide, audited.path, "--accept", first, "--reject", "unknown")
    assert len(stored.read(audited.path)) == 1, "all or nothing"


def test_wrong_decisions(audited: Audited) -> None:
    first, _ = (str(i) for i in audited.write().id)
    assert "nothing to decide" in refused(decide, audited.path)
    assert "'lorry' is not in this run" in refused(decide, audited.path, "--accept", first, "--label", "lorry")
    assert "--label goes with --accept" in refused(decide, audited.path, "--reject", first, "--label", "person")
    assert "decided twice" in refused(decide, audited.path, "--accept", first, "--reject", first)
    assert stored.read(audited.path) == []
    assert call(decide, audited.path, "--accept", first, "--label", "person", "--reviewer", "r").exit_code == 0
    assert call(decide, audited.path, "--retract", first, "--reviewer", "r").exit_code == 0
    assert agreed(stored.read(audited.path)) == {}


def test_decisions_from_a_csv(audited: Audited, tmp_path: Path) -> None:
    first, second = (str(i) for i in audited.write().id)
    path = tmp_path / "decisions.csv"
    with path.open("w", encoding="utf-8-sig", newline="") as stream:
        rows = [
            ["finding", "verdict", "label", "reviewer"],
            [first, "Accept", "person", "Łucja"],
            [second, "reject", "", ""],
        ]
        csv.writer(stream).writerows(rows)
    assert call(decide, audited.path, "--from", path, "--reviewer", "rita").exit_code == 0
    said = [(d.finding, d.verdict.value, d.label, d.reviewer) for d in stored.read(audited.path)]
    assert said == [(first, "accept", "person", "Łucja"), (second, "reject", "", "rita")]
    for text, expected in (
        ("finding\nx\n", "no column 'verdict'"),
        ("", "no column 'finding'"),
        (f"finding,verdict\n{first},maybe\n", "line 2: verdict 'maybe'"),
        (f"finding,verdict\n{first},\n", "line 2: verdict ''"),
    ):
        path.write_text(text)
        assert expected in refused(decide, audited.path, "--from", path)
    path.write_bytes(b"\xff\xfe\x00")
    assert "UTF-8" in refused(decide, audited.path, "--from", path)
    assert len(stored.read(audited.path)) == 2


def test_findings_of_every_type_have_a_plain_line(place: Place, tmp_path: Path) -> None:
    made = audit(place, tmp_path / "run", [box(place), box(place)])
    one, two = ids(made)
    made.finding(FindingType.DUPLICATE_ANNOTATION, two, related_id=one)
    made.finding(FindingType.MISSING_ANNOTATION, frame=1, suggested_label=THING, suggested_xyxy=OTHER)
    made.accept_all()
    shown = call(push, made.path, "--as", "fixes").stdout
    assert f"delete {two}" in shown
    assert f"points {OTHER}" in shown
