"""A reviewer's session: what is handed out, what is on disk when, several reviewers at once, kills."""

from __future__ import annotations

import math
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from audit import decisions
from audit.core.annotations import Annotations, Frames, Predictions
from audit.core.decisions import Decision, Verdict, standing
from audit.core.findings import MODEL_FREE, Findings, FindingType
from audit.core.questions import Answer
from audit.errors import ServiceError, UsageError
from audit.leases import Leases
from audit.loop.queue import Filter
from audit.report.review_summary import summary
from audit.review import CHECKS, SOLUTION, Plan, Review
from audit.runs import RunFolder
from audit.tail import Tail
from tests.report.conftest import save_run

LABELS = ("person", "bus", "tie")

WORKER = """
import random, sys, time
from pathlib import Path
from audit.core.questions import Answer
from audit.review import Plan, Review
from audit.runs import RunFolder
run, name, overlap = RunFolder.open(Path(sys.argv[1])), sys.argv[2], float(sys.argv[3])
review = Review(run, name, Plan(overlap=overlap))
print("up", flush=True)
while True:
    ready = review.ask(3)
    if not ready:
        break
    review.answer(ready[0], random.choice([Answer.YES, Answer.NO]), seconds=0.1)
    print(ready[0], flush=True)
review.close()
"""


def write(path: Path, findings: int = 30, frames: int = 10) -> RunFolder:
    """Labels of which a model confirms all, and findings about other places."""
    rng = np.random.default_rng(1)
    frame = np.sort(rng.integers(0, frames, findings))
    corner = rng.uniform(0, 300, (findings, 2))
    box = np.hstack([corner, corner + rng.uniform(30, 90, (findings, 2))])
    sure = np.array([[500.0, 500, 600, 620]] * frames)
    table = Frames(
        name=[f"{i}.jpg" for i in range(frames)],
        number=np.arange(frames),
        width=[1000] * frames,
        height=[800] * frames,
        job=np.where(np.arange(frames) % 2 == 0, 7, 8),
        task=[42] * frames,
        path=["not read.jpg"] * frames,
    )
    annotations = Annotations(xyxy=sure, frame=np.arange(frames), label=[0] * frames, annotation_id=np.arange(frames))
    predictions = Predictions(xyxy=sure, frame=np.arange(frames), label=[0] * frames, score=[0.9] * frames)
    found = Findings(
        type=[FindingType.MISSING_ANNOTATION] * findings,
        frame=frame,
        score=np.linspace(0.99, 0.01, findings),
        suggested_label=rng.integers(0, 3, findings),
        suggested_xyxy=box,
        reason=["seen"] * findings,
    )
    return save_run(path, table, annotations, predictions, found, labels=list(LABELS))


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    return write(tmp_path / "run")


def test_a_run_without_findings_has_nothing_to_ask(tmp_path: Path) -> None:
    review = Review(save_run(tmp_path), "ann", Plan(overlap=0.5, checks=0.5))
    assert review.ask(5) == []
    assert review.undo() is None
    assert review.counts().total == 0
    assert review.choices() == {"types": [], "labels": [], "annotators": [], "jobs": []}


@pytest.mark.parametrize("kind", [k for k in MODEL_FREE if k is not FindingType.UNUSUAL_SHAPE])
def test_a_question_about_a_frame_or_a_track_takes_no_label(run: RunFolder, kind: FindingType) -> None:
    review = Review(run, "ann")
    review.findings = review.findings.replace(type=np.full(len(review.findings), kind))
    (one,) = review.ask(1)
    with pytest.raises(UsageError, match="not about the label"):
        review.answer(one, Answer.OTHER, label="tie")
    review.answer(one, Answer.YES)


def test_worst_first_and_each_answer_is_on_disk_when_the_call_returns(run: RunFolder) -> None:
    review = Review(run, " ann ")
    scores = dict(zip(run.findings().id, run.findings().score, strict=True))
    asked = []
    while ready := review.ask(4):
        asked.append(ready[0])
        review.answer(ready[0], Answer.UNSURE, seconds=1.25)  # which teaches no other order
        last = decisions.read(run.path)[-1]
        assert (last.finding, last.verdict, last.reviewer, last.seconds) == (ready[0], Verdict.UNSURE, "ann", 1.25)
    assert sorted(asked) == sorted(scores)
    bands = [int(scores[i] * 10) for i in asked]
    assert bands == sorted(bands, reverse=True)
    assert (review.counts().left, review.counts().done) == (0, 30)


def test_what_is_asked_stays_asked_until_answered(run: RunFolder) -> None:
    review = Review(run, "ann")
    first = review.ask(3)
    assert review.ask(3) == first
    more = review.ask(2, known=first)
    assert len(more) == 2
    assert not set(more) & set(first)


def test_undo_goes_back_through_earlier_sessions(run: RunFolder) -> None:
    review = Review(run, "ann")
    one, two = review.ask(2)
    review.answer(one, Answer.YES)
    review.answer(two, Answer.NO)
    review.close()
    again = Review(run, "ann")
    assert again.undo() == two
    assert again.ask(1) == [two]
    assert again.undo() == one
    assert again.undo() is None
    assert standing(decisions.read(run.path)) == {}
    again.answer(one, Answer.UNSURE)
    assert standing(decisions.read(run.path))[one, "ann"].verdict is Verdict.UNSURE


def test_another_label_accepts_with_that_label(run: RunFolder) -> None:
    review = Review(run, "ann")
    one, two = review.ask(2)
    with pytest.raises(UsageError, match="'lorry' is not in this run"):
        review.answer(one, Answer.OTHER, label="lorry")
    review.answer(one, Answer.OTHER, label="tie")
    review.answer(two, Answer.NO, label="tie")
    said = decisions.read(run.path)
    assert [(d.verdict, d.label) for d in said] == [(Verdict.ACCEPT, "tie"), (Verdict.REJECT, "")]
    with pytest.raises(UsageError, match="no finding 'nowhere'"):
        review.answer("nowhere", Answer.YES)


def test_the_label_that_a_shape_has_is_no_other_label(tmp_path: Path) -> None:
    slipped = Findings(type=[FindingType.LOW_OVERLAP], frame=[0], score=[0.5], annotation=[0], label=[2])
    annotations = Annotations(xyxy=np.zeros((1, 4)), frame=[0], label=[2], annotation_id=[1])
    run = save_run(tmp_path, Frames(name=["0.jpg"], number=[0]), annotations, findings=slipped, labels=list(LABELS))
    review = Review(run, "ann")
    (asked,) = review.ask(1)
    with pytest.raises(UsageError, match="labelled 'tie' already; choose another"):
        review.answer(asked, Answer.OTHER, label="tie")
    assert decisions.read(run.path) == []


@pytest.mark.parametrize("seconds", [-1.0, math.nan, math.inf, 1e9])
def test_odd_times_are_bounded(run: RunFolder, seconds: float) -> None:
    review = Review(run, "ann")
    review.answer(review.ask(1)[0], Answer.YES, seconds=seconds)
    assert 0 <= decisions.read(run.path)[0].seconds <= 3600


@pytest.mark.parametrize("name", ["", "  ", "a\nb", "x" * 101, SOLUTION])
def test_a_name_nobody_could_be_known_by_is_refused(run: RunFolder, name: str) -> None:
    with pytest.raises(UsageError, match="no reviewer's name"):
        Review(run, name)


def test_a_filter_hands_back_what_it_leaves_out(run: RunFolder) -> None:
    ann, bob = Review(run, "ann"), Review(run, "bob")
    ann.ask(30)
    assert bob.ask(30) == []
    ann.ask(30, Filter(job=7))
    given_back = bob.ask(30)
    jobs = run.frames().job[run.findings().frame]
    assert len(given_back) == int((jobs == 8).sum()) > 0
    counts = ann.counts(Filter(job=7))
    assert counts.total + len(given_back) == 30


def test_each_finding_goes_to_one_reviewer_and_a_share_to_two(run: RunFolder) -> None:
    plan = Plan(overlap=0.4)
    people = {name: Review(run, name, plan) for name in ("ann", "bob", "cyd")}
    busy = True
    while busy:
        busy = False
        for review in people.values():
            for finding in review.ask(2)[:1]:
                review.answer(finding, Answer.YES)
                busy = True
    times = Counter(finding for finding, _ in standing(decisions.read(run.path)))
    assert len(times) == 30
    assert set(times.values()) == {1, 2}
    assert {i for i, n in times.items() if n == 2} == {i for i, n in people["ann"]._wanted.items() if n == 2}


def test_what_was_decided_elsewhere_is_not_asked(run: RunFolder) -> None:
    review = Review(run, "ann")
    first = review.ask(1)[0]
    others = [str(i) for i in run.findings().id if i != first]
    decisions.append(run.path, [Decision(i, Verdict.REJECT, "lead", decisions.now(), origin="command") for i in others])
    assert review.ask(5) == [first]


@pytest.mark.parametrize("overlap", [0.0, 0.3])
def test_processes_that_answer_and_are_killed_lose_and_double_nothing(tmp_path: Path, overlap: float) -> None:
    run = write(tmp_path / "run", findings=60)

    def worker(name: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", WORKER, str(run.path), name, str(overlap)]
        return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)

    victims = [worker("ann"), worker("bob")]
    confirmed: list[str] = []
    for victim in victims:
        assert victim.stdout is not None
        lines = [victim.stdout.readline() for _ in range(6)]
        victim.send_signal(signal.SIGKILL)
        confirmed += [
            line.strip() for line in [*lines[1:], *victim.stdout.read().splitlines(keepends=True)] if line[-1:] == "\n"
        ]
        victim.wait()
    assert set(confirmed) <= {finding for finding, _ in standing(decisions.read(run.path))}
    # what the killed ones held is handed out again, and to nobody twice
    survivors = [worker("ann"), worker("cyd")]
    assert [p.wait(60) for p in survivors] == [0, 0]
    said = decisions.read(run.path)
    times = Counter((d.finding, d.reviewer) for d in said)
    assert max(times.values()) == 1
    voices = Counter(d.finding for d in said)
    assert len(voices) == 60
    assert max(voices.values()) == (2 if overlap else 1)


def test_planted_questions_look_like_others_and_are_answered_elsewhere(run: RunFolder) -> None:
    review = Review(run, "yes-man", Plan(checks=0.3))
    planted = {str(i) for i in review.findings.id} - {str(i) for i in run.findings().id}
    assert len(planted) == 9
    asked = []
    while ready := review.ask(5):
        asked.append(ready[0])
        review.answer(ready[0], Answer.YES, seconds=0.5)
    assert planted & set(asked)
    assert {d.finding for d in decisions.read(run.path)} == set(run.findings().id)
    assert review.counts().done == 30
    expected = {d.finding: d.verdict for d in decisions.read(run.path / CHECKS) if d.reviewer == SOLUTION}
    assert set(expected) == planted
    told = summary(run).checks["yes-man"]
    assert told.wrong_accepted == told.wrong
    assert told.true_rejected == 0
    assert told.wrong + told.true == len(planted & set(asked))
    # the same checks again in the next session, and only those not answered yet
    Review(run, "yes-man", Plan(checks=0.3))
    assert len([d for d in decisions.read(run.path / CHECKS) if d.reviewer == SOLUTION]) == 9


def test_a_folder_that_cannot_be_written_is_one_line(run: RunFolder) -> None:
    (run.path / "review").write_text("in the way")
    with pytest.raises(ServiceError, match="cannot write"):
        Review(run, "ann")


def test_a_lease_ends_with_its_process_and_not_before(tmp_path: Path) -> None:
    code = (
        "import sys, time; from pathlib import Path; from audit.leases import Leases\n"
        "leases = Leases(Path(sys.argv[1]), 'ann'); leases.take(lambda held: ['f1', 'f2']); leases.release(['f2'])\n"
        "print('up', flush=True); time.sleep(60)"
    )
    holder = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    assert holder.stdout.readline() == "up\n"
    seen: list[dict[str, set[str]]] = []
    leases = Leases(tmp_path, "bob")
    leases.take(lambda held: seen.append(held) or [])  # type: ignore[func-returns-value]  # append returns None
    os.kill(holder.pid, signal.SIGKILL)
    holder.wait()
    leases.take(lambda held: seen.append(held) or [])  # type: ignore[func-returns-value]  # append returns None
    assert seen == [{"f1": {"ann"}}, {}]


def test_damaged_assignments_are_passed_over(tmp_path: Path) -> None:
    first = Leases(tmp_path, "ann")
    first.take(lambda held: ["f1"])
    with (tmp_path / "review" / "assignments.jsonl").open("a") as stream:
        stream.write('{"session": "../../etc", "reviewer": "x", "take": ["f9"]}\n[1]\nnot json\n{"session": 1}\n{"torn')
    second = Leases(tmp_path, "bob")
    held = []
    second.take(lambda h: held.append(h) or ["f2"])  # type: ignore[func-returns-value]  # append returns None
    assert held == [{"f1": {"ann"}}]
    first.take(lambda h: held.append(h) or [])  # type: ignore[func-returns-value]  # append returns None
    assert held[1] == {"f2": {"bob"}}


def test_a_tail_gives_whole_lines_once(tmp_path: Path) -> None:
    file = tmp_path / "lines"
    tail = Tail(file)
    assert list(tail.lines()) == []
    file.write_text('{"a": 1}\n{"a"')
    assert list(tail.lines()) == [{"a": 1}]
    with file.open("a") as stream:
        stream.write(": 2}\n")
    assert list(tail.lines()) == [{"a": 2}]
    assert list(tail.lines()) == []


def test_ten_thousand_findings_are_handed_out_fast(tmp_path: Path) -> None:
    run = write(tmp_path / "run", findings=10_000, frames=500)
    review = Review(run, "ann", Plan(overlap=0.1))
    review.ask(8)
    took = []
    for _ in range(20):
        began = time.perf_counter()
        review.answer(review.ask(8)[0], Answer.YES)
        review.ask(8)
        review.counts()
        took.append(time.perf_counter() - began)
    assert np.median(took) < 0.25
