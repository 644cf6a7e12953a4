"""Decisions: appended, never lost, and what follows from several people's."""

from __future__ import annotations

import multiprocessing
from pathlib import Path

import pytest

from audit import decisions
from audit.core.decisions import Decision, Verdict, agreed, standing
from audit.errors import ServiceError, UsageError


def said(finding: str, verdict: Verdict, reviewer: str = "ann", time: str = "1", label: str = "") -> Decision:
    return Decision(finding, verdict, reviewer, time, label=label)


def test_what_is_appended_is_read_back(tmp_path: Path) -> None:
    assert decisions.read(tmp_path) == []
    first = Decision("a", Verdict.ACCEPT, "Ünïcode <b> 'x'\u202e", decisions.now(), 1.5, "car\n")
    decisions.append(tmp_path, [first])
    decisions.append(tmp_path, [])
    decisions.append(tmp_path, [said("b", Verdict.REJECT)])
    assert decisions.read(tmp_path) == [first, said("b", Verdict.REJECT)]


def test_a_line_cut_by_a_kill_costs_only_itself(tmp_path: Path) -> None:
    decisions.append(tmp_path, [said("a", Verdict.ACCEPT), said("b", Verdict.ACCEPT)])
    file = tmp_path / decisions.FILE
    file.write_bytes(file.read_bytes()[:-20])
    assert [d.finding for d in decisions.read(tmp_path)] == ["a"]
    decisions.append(tmp_path, [said("c", Verdict.ACCEPT)])
    assert [d.finding for d in decisions.read(tmp_path)] == ["a", "c"]


def test_a_strange_line_is_an_error_that_names_it(tmp_path: Path) -> None:
    (tmp_path / decisions.FILE).write_text('{"finding": "x", "verdict": "maybe"}\n')
    with pytest.raises(UsageError, match="line 1 is not a decision"):
        decisions.read(tmp_path)


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ServiceError, match="cannot write"):
        decisions.append(tmp_path / "gone", [said("a", Verdict.ACCEPT)])


def write_many(run: Path, reviewer: str) -> None:
    for i in range(50):
        decisions.append(run, [said(str(i), Verdict.ACCEPT, reviewer)])


def test_several_writers_at_once_lose_nothing(tmp_path: Path) -> None:
    writers = [multiprocessing.Process(target=write_many, args=(tmp_path, name)) for name in ("ann", "bob", "cyd")]
    for w in writers:
        w.start()
    for w in writers:
        w.join()
    assert len(decisions.read(tmp_path)) == 150


def test_the_last_word_of_each_person_stands() -> None:
    words = [said("a", Verdict.ACCEPT), said("a", Verdict.REJECT), said("b", Verdict.ACCEPT), said("b", Verdict.UNDONE)]
    assert [d.verdict for d in standing(words).values()] == [Verdict.REJECT]


def test_contradiction_leaves_a_finding_open_and_unsure_yields() -> None:
    words = [
        said("a", Verdict.ACCEPT), said("a", Verdict.REJECT, "bob"),
        said("b", Verdict.UNSURE), said("b", Verdict.ACCEPT, "bob"),
        said("c", Verdict.ACCEPT, label="car"), said("c", Verdict.ACCEPT, "bob", label="truck"),
        said("d", Verdict.UNSURE),
    ]  # fmt: skip
    assert {f: d.verdict for f, d in agreed(words).items()} == {"b": Verdict.ACCEPT, "d": Verdict.UNSURE}


def test_who_only_shows_what_else_there_is_passes_bad_lines_over(tmp_path: Path) -> None:
    decisions.append(tmp_path, [Decision("f1", Verdict.ACCEPT, "ann", "2026-11-21T10:00:00+00:00")])
    with (tmp_path / decisions.FILE).open("a") as stream:
        stream.write('{"finding": "x"}\n')
    with pytest.raises(UsageError, match="line 2"):
        decisions.read(tmp_path)
    assert [d.finding for d in decisions.read(tmp_path, strict=False)] == ["f1"]
