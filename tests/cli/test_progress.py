"""What the commands say about what was skipped."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from audit.cli.progress import PROBLEMS_SHOWN, TerminalProgress, note_problems
from audit.core.annotations import Frames, Problem
from audit.core.findings import Findings
from tests.cli.conftest import COMMAND
from tests.report.conftest import save_run


@pytest.mark.parametrize("more", [-PROBLEMS_SHOWN, 0, 3])
def test_the_first_problems_are_told_and_the_rest_counted(more: int, capsys: pytest.CaptureFixture[str]) -> None:
    problems = [Problem(f"{i}.jpg", "is no picture") for i in range(PROBLEMS_SHOWN + more)]
    note_problems(TerminalProgress(), problems, Path("out"))
    said = " ".join(capsys.readouterr().err.split())
    assert [f"{i}.jpg: is no picture" in said for i in range(PROBLEMS_SHOWN + more)] == (
        [True] * min(PROBLEMS_SHOWN, PROBLEMS_SHOWN + more) + [False] * max(more, 0)
    )
    assert ("and 3 more problems, see out/manifest.json" in said) is (more == 3)


def test_a_long_list_of_findings_shows_a_bar_on_a_terminal_only(tmp_path: Path) -> None:
    run = save_run(tmp_path, Frames(name=["a.jpg"], number=[0]), findings=Findings(type=[0], frame=[0], score=[0.5]))
    command = [*COMMAND, "findings", str(run.path), "--json"]
    quiet = subprocess.run(command, capture_output=True, check=True)
    assert not quiet.stderr and len(json.loads(quiet.stdout)) == 1
    ours, theirs = os.openpty()
    shown = subprocess.run(command, stdout=subprocess.PIPE, stderr=theirs, check=True)
    os.close(theirs)
    assert b"Findings" in os.read(ours, 10_000)
    os.close(ours)
    assert shown.stdout == quiet.stdout
