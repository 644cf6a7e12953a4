"""A push that is cut off at any point is found by the next one: finished, or reported, never guessed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from audit import journal as journals
from audit.core.annotations import Predictions
from audit.errors import ServiceError, UsageError
from audit.push_engine import settled
from audit.pushing import FIXES, ISSUES
from audit.runs import write_table
from tests.contract.place import Connection, Place, make_place
from tests.doubles.cvat import ADMIN_TOKEN, FakeCvat
from tests.push.cases import issues, no_issues, statuses
from tests.push.place import LABELS, Audited, audit
from tests.push.scenes import OTHER, PERSON, THING, T, box, full_house, ids
from tests.push.track_cases import audited_tracks, bare, track, tracks
from tests.push.track_cases import key as shown

__all__ = ["no_issues"]
ANNOTATIONS = r"/annotations/?\?action="
CHILD = """
import os, signal, sys
from pathlib import Path
from audit import journal
from audit.adapters.cvat.credentials import Credentials
from audit.adapters.cvat.writer import CvatWriter
from audit.pushing import intent_of, push, undo
from audit.runs import RunFolder
from tests.push.place import Quiet

run, command, mode, point, left = Path(sys.argv[1]), *sys.argv[2:5], int(sys.argv[5])

def counted(owner, name, after):
    real = getattr(owner, name)
    def wrapped(*arguments, **more):
        global left
        if not after and left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        answer = real(*arguments, **more)
        if after and left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        left -= 1
        return answer
    setattr(owner, name, wrapped)

# the three points of a request: before it is sent, after it was carried out, after its fate was written down
{"begun": lambda: counted(journal.Journal, "begin", True),
 "sent": lambda: counted(CvatWriter, "_send", True),
 "closed": lambda: counted(journal.Journal, "close", True)}[point]()
opened = RunFolder.open(run)
target = CvatWriter(opened.manifest["source"], Credentials(token=sys.argv[6]))
if command == "push":
    push(run, intent_of(opened, mode), target, execute=True, progress=Quiet())
else:
    undo(run, target, execute=True, progress=Quiet())
"""


@pytest.fixture
def server() -> Iterator[FakeCvat]:
    with FakeCvat() as running:
        yield running


@pytest.fixture
def place(server: FakeCvat, tmp_path: Path) -> Iterator[Place]:
    with make_place(Connection(server.url, ADMIN_TOKEN), tmp_path) as made:
        yield made


@pytest.fixture(autouse=True)
def own_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


def killed(audited: Audited, command: str, mode: str, point: str, after: int) -> bool:
    """Run the command in a process that kills itself; False if it came to its end before."""
    arguments = [sys.executable, "-c", CHILD, str(audited.path), command, mode, point, str(after), ADMIN_TOKEN]
    done = subprocess.run(arguments, capture_output=True, text=True, timeout=60, check=False, cwd=Path.cwd())
    assert done.returncode in (0, -signal.SIGKILL), done.stderr
    return done.returncode != 0


@pytest.mark.parametrize("point", ["begun", "sent", "closed"])
def test_killed_at_each_request_the_same_push_ends_as_if_nothing_was(place: Place, tmp_path: Path, point: str) -> None:
    audited = full_house(place, tmp_path)
    before = [audited.annotations(job) for job in audited.job_ids]
    cuts = 0
    # every run is cut at its first request, so that the next goes on from there: each request is cut once
    while killed(audited, "push", FIXES, point, 0):
        cuts += 1
        assert cuts < 40
        if point == "begun":  # nothing was ever sent: a push that lives must finish it
            break
    assert cuts >= (1 if point == "begun" else 4)
    assert {"conflict", "failed"}.isdisjoint(statuses(audited.push()))
    after = audited.stored()
    assert set(statuses(audited.push())) == {"already"}
    assert audited.stored() == after
    created = [s for s in after.values() if s["source"] == "auto"]
    assert len(created) == 1
    assert len(after) == sum(len(part["shapes"]) for part in before) + 1 - 6
    while killed(audited, "undo", FIXES, point, 0) and point != "begun":
        cuts += 1
        assert cuts < 80
    audited.undo()
    assert [audited.annotations(job) for job in audited.job_ids] == before


@pytest.mark.parametrize("point", ["begun", "sent", "closed"])
def test_killed_while_tracks_are_changed_it_ends_as_if_nothing_was(place: Place, tmp_path: Path, point: str) -> None:
    audited = audited_tracks(place, tmp_path / "run", track(place), track(place), track(place, shown(2), shown(3)))
    renamed, extra, outlasting = sorted(tracks(audited))
    audited.finding(T.MISMATCHING_LABEL, renamed, suggested_label=PERSON, frames=2, first_frame=0, last_frame=1)
    audited.finding(T.EXTRA_ANNOTATION, extra, frames=2, first_frame=0, last_frame=1)
    audited.finding(T.EXTRA_ANNOTATION, outlasting, first_frame=3, last_frame=3)
    missed = {"frame": 2, "suggested_label": PERSON, "suggested_xyxy": OTHER, "frames": 2}
    audited.finding(T.MISSING_ANNOTATION, **missed, first_frame=2, last_frame=3)
    audited.accept_all()
    seen = Predictions(
        xyxy=np.array([OTHER] * 4), frame=np.array([2, 2, 3, 3]), label=np.zeros(4, int), score=np.ones(4)
    )
    write_table(audited.path / "predictions.parquet", seen, LABELS)
    before = bare(tracks(audited))
    cuts = 0
    while killed(audited, "push", FIXES, point, 0) and point != "begun":
        cuts += 1
        assert cuts < 20
    assert cuts == {"begun": 0, "sent": 4, "closed": 4}[point]
    assert {"conflict", "failed"}.isdisjoint(statuses(audited.push()))
    after = tracks(audited)
    assert set(statuses(audited.push())) == {"already"}
    assert tracks(audited) == after
    assert len(after) == 3
    assert [t["source"] for i, t in after.items() if i not in before] == ["auto"]
    while killed(audited, "undo", FIXES, point, 0) and point != "begun":
        cuts += 1
        assert cuts < 40
    audited.undo()
    assert bare(tracks(audited)) == before


@pytest.mark.parametrize("point", ["begun", "sent", "closed"])
@pytest.mark.parametrize("after", range(3))
def test_killed_while_issues_are_opened_none_is_there_twice(
    place: Place, tmp_path: Path, point: str, after: int
) -> None:
    audited = audit(place, tmp_path / "run", [box(place), box(place, frame=1), box(place, frame=3)])
    for key in ids(audited):
        audited.finding(T.EXTRA_ANNOTATION, key)
    audited.accept_all()
    assert killed(audited, "push", ISSUES, point, after)
    audited.push(ISSUES)
    assert len(issues(audited)) == 3
    assert set(statuses(audited.push(ISSUES))) == {"already"}
    assert set(statuses(audited.undo())) == {"done"}
    assert issues(audited) == []


def three_boxes(place: Place, tmp_path: Path) -> Audited:
    audited = audit(place, tmp_path / "run", [box(place), box(place, frame=1)])
    for key in ids(audited):
        audited.finding(T.LOW_OVERLAP, key, suggested_label=THING, suggested_xyxy=OTHER)
    audited.finding(T.MISSING_ANNOTATION, frame=0, suggested_label=THING, suggested_xyxy=[40.0, 5.0, 60.0, 20.0])
    audited.accept_all()
    return audited


@pytest.mark.parametrize("action", ["update", "create"])
def test_an_answer_that_is_lost_is_looked_up_and_nothing_is_sent_again(
    server: FakeCvat, place: Place, tmp_path: Path, action: str
) -> None:
    audited = three_boxes(place, tmp_path)
    lost = server.faults.add(ANNOTATIONS + action, kill_after_bytes=10)  # carried out, and the line breaks
    server.requests.clear()
    report = audited.push()
    assert lost.hits == 1
    assert report.failure is None
    assert set(statuses(report)) == {"done"}
    assert sum(r.query.get("action") == action for r in server.requests) == 1
    assert len(audited.stored()) == 3


def test_a_line_that_breaks_before_the_server_heard_ends_the_push_and_the_next_goes_on(
    server: FakeCvat, place: Place, tmp_path: Path
) -> None:
    audited = three_boxes(place, tmp_path)
    server.faults.add(ANNOTATIONS + "create", drop=True)
    report = audited.push()
    assert isinstance(report.failure, ServiceError)
    assert sorted(statuses(report)) == ["done", "done", "failed"]
    assert journals.read(audited.path).pending() == []
    again = audited.push()
    assert sorted(statuses(again)) == ["already", "already", "done"]
    assert len(audited.stored()) == 3


def test_a_server_that_is_gone_leaves_the_request_open_in_the_journal(
    server: FakeCvat, place: Place, tmp_path: Path
) -> None:
    audited = three_boxes(place, tmp_path)
    server.faults.add(ANNOTATIONS + "update", kill_after_bytes=3)
    fault = server.faults.add("/annotations", "GET", times=-1, status=503)
    fault.times = 0
    server.observers.append(lambda request, answer: setattr(fault, "times", -1) if request.method == "PATCH" else None)
    report = audited.push()
    assert isinstance(report.failure, ServiceError)
    assert len(journals.read(audited.path).pending()) == 1
    server.observers.clear()
    server.faults.clear()
    dry = audited.push(execute=False)
    assert "cut off" in dry.notes[0]
    again = audited.push()
    assert "2 of its 2 changes had been carried out" in again.notes[0]
    assert sorted(statuses(again)) == ["already", "already", "done"]


def test_somebody_writing_between_check_and_write_is_seen_and_the_job_read_anew(
    server: FakeCvat, place: Place, tmp_path: Path
) -> None:
    audited = three_boxes(place, tmp_path)
    first = ids(audited)[0]
    moved = {**audited.stored()[first], "points": [2.0, 2.0, 9.0, 9.0]}
    calls, held = [], audited.job_ids[0]

    def meddle(request: object, answer: object) -> None:
        reads = request.method == "GET" and "/annotations" in request.path  # type: ignore[attr-defined]
        if reads and not calls:
            calls.append(1)
            job = server.state.jobs[held]
            job.tables.shapes[first]["points"] = moved["points"]
            server.state.touch(job)

    server.observers.append(meddle)
    report = audited.push()
    server.observers.clear()
    assert sorted(statuses(report)) == ["conflict", "done", "done"]
    assert audited.stored()[first]["points"] == moved["points"]


def test_a_job_that_never_rests_is_left_alone(server: FakeCvat, place: Place, tmp_path: Path) -> None:
    audited = three_boxes(place, tmp_path)
    before = audited.stored()
    job = server.state.jobs[audited.job_ids[0]]
    server.observers.append(lambda request, answer: server.state.touch(job))
    report = audited.push()
    server.observers.clear()
    assert set(statuses(report)) == {"conflict"}
    assert audited.stored() == before


def test_somebody_writing_at_the_same_moment_is_reported(server: FakeCvat, place: Place, tmp_path: Path) -> None:
    audited = three_boxes(place, tmp_path)
    first, second = ids(audited)

    def meddle(request: object, answer: object) -> None:
        if request.method == "PATCH":  # type: ignore[attr-defined]
            shapes = server.state.jobs[audited.job_ids[0]].tables.shapes
            shapes[first]["points"] = [1.0, 1.0, 5.0, 5.0]
            shapes.pop(second, None)

    server.observers.append(meddle)
    report = audited.push()
    server.observers.clear()
    reasons = " ".join(line.reason for line in report.lines)
    assert sorted(statuses(report)) == ["conflict", "conflict", "done"]
    assert "changed by somebody else" in reasons
    assert "is gone" in reasons


def test_one_refused_shape_does_not_stop_its_batch(server: FakeCvat, place: Place, tmp_path: Path) -> None:
    audited = three_boxes(place, tmp_path)
    body = b'"duplicate key value violates unique constraint"'
    server.faults.add(ANNOTATIONS + "update", status=400, body=body, times=2)
    report = audited.push()
    # the batch of two, then the first by itself, were refused; the second by itself was not
    assert sorted(statuses(report)) == ["conflict", "done", "done"]


def test_a_job_that_may_not_be_written_is_told_and_the_others_go_on(
    server: FakeCvat, place: Place, tmp_path: Path
) -> None:
    audited = audit(place, tmp_path / "run", [box(place), box(place, frame=3)])
    for key in ids(audited):
        audited.finding(T.EXTRA_ANNOTATION, key)
    audited.accept_all()
    server.faults.add(f"/jobs/{audited.job_ids[0]}/annotations.*action", status=403)
    report = audited.push()
    assert sorted(statuses(report)) == ["done", "failed"]
    (failed,) = [line for line in report.lines if line.status == "failed"]
    assert f"job {audited.job_ids[0]}" in failed.reason
    assert "access token" in failed.reason


def test_a_torn_journal_line_counts_as_never_written(place: Place, tmp_path: Path) -> None:
    audited = three_boxes(place, tmp_path)
    audited.push()
    stored = audited.stored()
    path = audited.path / journals.FILE
    path.write_bytes(path.read_bytes()[:-20])
    again = audited.push()
    assert "cut off" in again.notes[0]
    assert set(statuses(again)) == {"already"}
    assert audited.stored() == stored


def test_a_full_disk_sends_nothing(place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    audited = three_boxes(place, tmp_path)
    before = audited.stored()

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    report = audited.push()
    monkeypatch.undo()
    assert isinstance(report.failure, ServiceError)
    assert "nothing more is sent" in str(report.failure)
    assert audited.stored() == before


def test_a_shape_that_was_there_before_is_not_taken_for_the_one_we_sent(place: Place, tmp_path: Path) -> None:
    audited = audit(place, tmp_path / "run", [box(place)])
    (old,) = ids(audited)
    sent = {k: v for k, v in audited.stored()[old].items() if k != "id"}
    item = journals.Item(("f",), None, None, sent)
    with audited.writer() as target:
        stored = target.shapes(audited.job_ids[0])
        later = journals.Request(0, audited.job_ids[0], "shapes", "create", False, (item, item), above=old)
        earlier = journals.Request(0, audited.job_ids[0], "shapes", "create", False, (item, item), above=old - 1)
        assert [r.outcome for r in settled(target, later, stored)] == [journals.NOT_DONE] * 2
        found = settled(target, earlier, stored)
    assert [(r.outcome, r.id) for r in found] == [(journals.DONE, old), (journals.NOT_DONE, None)]


def test_a_damaged_journal_is_not_guessed_at(place: Place, tmp_path: Path) -> None:
    audited = three_boxes(place, tmp_path)
    audited.push()
    path = audited.path / journals.FILE
    lines = path.read_text().splitlines(keepends=True)
    path.write_text('{"event": "begin"}\n' + "".join(lines[1:]))
    with pytest.raises(UsageError, match="line 1 is damaged"):
        audited.push()


def test_a_create_that_the_server_carries_out_late_is_found_and_undone(
    server: FakeCvat, place: Place, tmp_path: Path
) -> None:
    audited = three_boxes(place, tmp_path)
    before = audited.stored()
    server.faults.add(ANNOTATIONS + "create", drop=True)
    (lost,) = [line for line in audited.push().lines if line.action == "create"]
    assert lost.after is not None
    audited.patch("create", lost.after)  # the request arrives after all
    again = audited.push()
    assert set(statuses(again)) == {"already"}
    assert len(audited.stored()) == len(before) + 1
    assert set(statuses(audited.undo())) == {"done"}
    assert audited.stored() == before


def test_the_same_shape_drawn_by_somebody_else_at_that_moment_stays_theirs(
    server: FakeCvat, place: Place, tmp_path: Path
) -> None:
    audited = audit(place, tmp_path / "run", [box(place)])
    audited.finding(T.MISSING_ANNOTATION, frame=1, suggested_label=THING, suggested_xyxy=OTHER)
    audited.accept_all()
    before = audited.stored()
    wanted = audited.push(execute=False).lines[0].after
    assert wanted is not None
    looks, held = list[int](), audited.job_ids[0]

    def meddle(request: object, answer: object) -> None:
        looks_at_job = request.method == "GET" and request.path.endswith(f"/jobs/{held}")  # type: ignore[attr-defined]
        looks.extend([1] if looks_at_job else [])
        if looks_at_job and len(looks) == 3:  # whether it is signed off, before reading, and after: now it is sent
            key = server.state.next_id("shapes")
            server.state.jobs[held].tables.shapes[key] = {**wanted, "id": key}

    server.observers.append(meddle)
    report = audited.push()
    server.observers.clear()
    (theirs, ours) = sorted(audited.stored().keys() - before.keys())
    assert [(line.status, line.id) for line in report.lines] == [("done", ours)]
    assert statuses(audited.undo()) == ["done"]
    assert sorted(audited.stored()) == sorted([*before, theirs])
