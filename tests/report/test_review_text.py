"""What review-report says, as text and as JSON."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest

from audit import decisions
from audit.core.decisions import Decision, Verdict
from audit.report.review_summary import ReviewSummary, summary
from audit.report.review_text import write_review_json, write_review_text
from audit.review import CHECKS, SOLUTION
from audit.runs import RunFolder
from tests.report.conftest import real_tables, save_run

A, R, U = Verdict.ACCEPT, Verdict.REJECT, Verdict.UNSURE


def told(write: Any, what: ReviewSummary) -> str:
    stream = io.StringIO()
    write(what, stream)
    return stream.getvalue()


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    return save_run(tmp_path, **real_tables(tmp_path))


def test_without_findings_and_decisions_there_is_one_line(tmp_path: Path) -> None:
    what = summary(save_run(tmp_path))
    assert told(write_review_text, what) == "0 of 0 findings decided.\n"
    document = json.loads(told(write_review_json, what))
    assert (document["types"], document["reviewers"], document["agreement"]["alpha"]) == ({}, {}, None)


def test_decisions_of_two_reviewers_are_summed_up(run: RunFolder) -> None:
    assert json.loads(told(write_review_json, summary(run)))["errors"]["at_least"] is True
    ids = [str(i) for i in run.findings().id]
    said = [Decision(i, A if n % 3 else R, "ann", f"2026-11-21T10:00:{n:02d}", 1.5) for n, i in enumerate(ids)]
    said += [Decision(i, A, "bob\x1b[31m", f"2026-11-21T11:00:{n:02d}", 3.0) for n, i in enumerate(ids[:3])]
    decisions.append(run.path, [*said, Decision("0" * 16, A, "ann", "1")])
    what = summary(run)
    text, document = told(write_review_text, what), json.loads(told(write_review_json, what))
    assert f"{len(ids)} of {len(ids)} findings decided." in text
    assert "Findings decided earlier that this audit no longer has: 1." in text
    assert "Krippendorff's alpha 0.00" in text or "Krippendorff's alpha -" in text
    assert "ann" in text
    assert "median 1.5 s" in text
    assert r"bob\x1b[31m" in text
    assert "\x1b" not in text
    assert "too few to judge" in text
    assert "Errors per label" in text
    assert "Errors per annotator" in text
    tallied = document["types"].values()
    assert sum(t["accepted"] + t["rejected"] + t["disputed"] for t in tallied) == len(ids)
    assert sum(t["disputed"] for t in tallied) == 1
    assert all(0 <= t["interval"][0] <= t["interval"][1] <= 1 for t in tallied)
    assert document["agreement"]["findings"] == 3
    assert document["reviewers"]["ann"]["verdicts"] == len(ids)
    accepted = sum(t["accepted"] for t in tallied)
    assert sum(row["errors"] for row in document["errors"]["labels"]) <= accepted
    assert document["errors"]["at_least"] is False


def test_a_yes_man_shows_in_the_checks(run: RunFolder) -> None:
    (run.path / CHECKS).mkdir()
    planted = [Decision(str(i), A if i % 2 else R, SOLUTION, "0") for i in range(10)]
    decisions.append(run.path / CHECKS, planted + [Decision(str(i), A, "yes-man", "1") for i in range(10)])
    what = summary(run)
    text = told(write_review_text, what)
    assert "yes-man  5 of 5, 100 % (57 % to 100 %) accepted  0 of 5, 0 % (0 % to 43 %) rejected" in text
    assert "leaning to the suggestion: +1.00" in text
    checks = json.loads(told(write_review_json, what))["reviewers"]["yes-man"]["checks"]
    assert (checks["wrong"]["accepted"], checks["true"]["rejected"], checks["bias"]) == (5, 0, 1.0)
    assert what.decided == 0


def test_open_findings_make_the_errors_a_lower_bound(run: RunFolder) -> None:
    first = str(run.findings().id[0])
    decisions.append(run.path, [Decision(first, A, "ann", "1"), Decision(first, U, "bob", "2")])
    text = told(write_review_text, summary(run))
    open_ = len(run.findings()) - 1
    assert f"at least so many: {open_} findings undecided" in text
    assert "Agreement: all said the same on 0 % of 1 finding judged by several; too few" in text
