"""What a run's decisions say is left, in text, JSON and the report."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from audit import decisions
from audit.calibration import write_calibration
from audit.checks.held_out import HeldOut
from audit.core.decisions import Decision, Verdict
from audit.core.findings import FindingType
from audit.core.questions import Answer
from audit.remaining import Remaining, remaining
from audit.report.html import write_report
from audit.report.remaining_text import advice_line, remaining_json, remaining_rows
from audit.report.review_summary import summary
from audit.report.review_text import write_review_json, write_review_text
from audit.report.trust import trust_of
from audit.review import BLIND, Plan, Review
from audit.runs import RunFolder
from tests.report.conftest import Silent, save_run
from tests.test_review_blind import write


def told(run: RunFolder) -> Remaining:
    return remaining(run, run.findings(), decisions.read(run.path))


def reviewed(run: RunFolder, number: int, blind: float = 0.4) -> Review:
    """A review in which findings above a half are right and a third of the labels drawn by chance are wrong."""
    review = Review(run, "ann", Plan(blind=blind))
    for turn in range(number):
        ready = review.ask(1)
        if not ready:
            break
        row, asked = review.row(ready[0]), review.question(ready[0])
        wrong = turn % 3 == 0 if review.is_blind(row) else review.findings.score[row] > 0.5
        refuses = Answer.NO if asked.accepts is Answer.YES else Answer.YES
        review.answer(ready[0], asked.accepts if wrong else refuses, seconds=3.0)
    review.close()
    return review


def test_an_empty_run_has_nothing_left(tmp_path: Path) -> None:
    run = save_run(tmp_path)
    left = told(run)
    assert (left.judged, left.waiting, left.findings.high, left.total, left.trusted) == (0, 0, 0, None, None)
    assert advice_line(left.advice, left.judged) == "Every finding has a verdict."
    assert not trust_of(run)
    stream = io.StringIO()
    write_review_text(summary(run), stream)
    assert "still left" not in stream.getvalue()


def test_before_any_verdict_the_scores_speak(tmp_path: Path) -> None:
    run = write(tmp_path / "run")
    left = told(run)
    scores = run.findings().score
    assert left.findings.low < scores.sum() < left.findings.high
    assert advice_line(left.advice, left.judged).startswith("Going by the scores alone, review ")
    assert left.labels is None
    assert "Labels no finding is about" not in [name for name, _, _ in remaining_rows(left)]


def test_verdicts_and_blind_answers_make_the_estimate(tmp_path: Path) -> None:
    run = write(tmp_path / "run")
    reviewed(run, 50)
    left = told(run)
    said = decisions.read(run.path)
    assert left.judged == len(said)
    assert left.waiting == 60 - len(said)
    assert left.found == sum(d.verdict is Verdict.ACCEPT for d in said)
    assert left.labels is not None
    assert left.frames is not None
    assert left.total is not None
    assert (left.labels.sample.units, left.frames.sample.units) == (60, 12)
    assert left.labels.sample.asked + left.frames.sample.asked == len(decisions.read(run.path / BLIND))
    assert len(left.mistakes) == left.labels.sample.wrong > 0
    assert left.total.low <= left.findings.high
    assert left.advice.seconds == pytest.approx(3.0)
    assert left.trusted is not None
    assert 0 <= left.trusted.learnt_error <= 1


def test_unsure_and_disputed_findings_stay_open(tmp_path: Path) -> None:
    run = write(tmp_path / "run")
    one, two, three = run.findings().id[:3].tolist()
    lines = [(one, Verdict.UNSURE, "ann"), (two, Verdict.ACCEPT, "ann"), (two, Verdict.REJECT, "bob")]
    lines += [(three, Verdict.ACCEPT, "ann"), ("elsewhere", Verdict.ACCEPT, "ann")]
    decisions.append(run.path, [Decision(i, v, who, decisions.now()) for i, v, who in lines])
    left = told(run)
    assert (left.judged, left.found, left.waiting) == (1, 1, 59)


def test_when_all_is_judged_nothing_is_left_among_findings(tmp_path: Path) -> None:
    run = write(tmp_path / "run")
    reviewed(run, 200, blind=0.0)
    left = told(run)
    assert (left.waiting, left.findings.high, left.advice.stop, left.by_type) == (0, 0.0, True, {})


def test_the_report_says_it_in_text_json_and_html(tmp_path: Path) -> None:
    run = write(tmp_path / "run")
    reviewed(run, 50)
    rng = np.random.default_rng(0)
    chance = rng.uniform(0.02, 1, 200)
    judged = HeldOut(chance=chance, real=(rng.random(200) < chance).astype(float), type=[0] * 200)
    rates = {FindingType.MISSING_ANNOTATION: 0.0123, FindingType.DUPLICATE_ANNOTATION: 0.0002}
    write_calibration(run.path, judged, rates)
    text, document = io.StringIO(), io.StringIO()
    write_review_text(summary(run), text)
    write_review_json(summary(run), document)
    for words in (
        "Mistakes still left (95 % interval)",
        "In all",
        "Found so far:",
        "calibration error",
        "by chance, which",
    ):
        assert words in text.getvalue()
    parsed = json.loads(document.getvalue())
    assert {"left_over", "stop", "calibration", "blind_mistakes"} <= set(parsed)
    assert parsed["left_over"]["labels_without_finding"]["of"] == 60
    assert parsed["blind_mistakes"][0]["image"].endswith(".jpg")
    write_report(run, run.path / "report.html", progress=Silent())
    page = (run.path / "report.html").read_text()
    for words in (
        "How far scores can be trusted",
        "Scores against planted mistakes",
        "Mistakes expected for every 100 labels, which the scores rest on: Missing label 1.2, Duplicate",
        "Scores against verdicts",
        "In all",
    ):
        assert words in page


def test_json_never_holds_a_number_that_is_none(tmp_path: Path) -> None:
    run = write(tmp_path / "run")
    parsed = json.loads(json.dumps(remaining_json(told(run), run.frames().name.tolist()), allow_nan=False))
    assert parsed["stop"]["seconds_each"] is None
    assert parsed["calibration"] is None
    assert parsed["left_over"]["all"] is None


def test_in_a_video_it_is_said_that_an_overlooked_object_counts_once(tmp_path: Path) -> None:
    run = write(tmp_path / "run")
    reviewed(run, 50)
    left = told(run)
    assert left.frames is not None and left.frames.span == 1.0
    assert not any("counted once" in basis for _, _, basis in remaining_rows(left))
    filmed = replace(left, frames=replace(left.frames, span=86.2))
    assert "each object counted once, as on about 86 frames" in [
        b.partition("; ")[2] for _, _, b in remaining_rows(filmed)
    ]
    told_json = remaining_json(filmed, run.frames().name.tolist())["left_over"]
    assert told_json["overlooked_without_finding"]["frames_per_object"] == 86.2
