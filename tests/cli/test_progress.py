"""What the commands say about what was skipped."""

from __future__ import annotations

import json
import os
import subprocess
import sys
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


@pytest.mark.parametrize(
    ("said", "live"),
    [({}, False), ({"FORCE_COLOR": "1"}, True), ({"FORCE_COLOR": ""}, False), ({"TTY_COMPATIBLE": "1"}, True),
     ({"TTY_COMPATIBLE": "0", "FORCE_COLOR": "1"}, False)],
)  # fmt: skip
def test_bars_come_where_they_are_wanted(said: dict[str, str], live: bool) -> None:
    code = (
        "import sys; from audit.cli.progress import TerminalProgress as P; p = P(); p.note('a [b] \\x1b c')\n"
        "with p.task('Step [1]', 3) as advance: advance(3)\n"
        "print('rich' in sys.modules)"
    )
    kept = {k: v for k, v in os.environ.items() if k not in ("FORCE_COLOR", "TTY_COMPATIBLE")}
    done = subprocess.run([sys.executable, "-c", code], env={**kept, **said, "TERM": "xterm"}, capture_output=True,
                          text=True, check=True)  # fmt: skip
    assert done.stdout.strip() == str(live)
    assert "a [b]   c" in done.stderr
    assert "Step [1]" in done.stderr
    assert ("\x1b" in done.stderr) is live
