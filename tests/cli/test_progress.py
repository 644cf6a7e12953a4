"""What the commands say about what was skipped."""

from __future__ import annotations

from pathlib import Path

import pytest

from audit.cli.progress import PROBLEMS_SHOWN, TerminalProgress, note_problems
from audit.core.annotations import Problem


@pytest.mark.parametrize("more", [-PROBLEMS_SHOWN, 0, 3])
def test_the_first_problems_are_told_and_the_rest_counted(more: int, capsys: pytest.CaptureFixture[str]) -> None:
    problems = [Problem(f"{i}.jpg", "is no picture") for i in range(PROBLEMS_SHOWN + more)]
    note_problems(TerminalProgress(), problems, Path("out"))
    said = " ".join(capsys.readouterr().err.split())
    assert [f"{i}.jpg: is no picture" in said for i in range(PROBLEMS_SHOWN + more)] == (
        [True] * min(PROBLEMS_SHOWN, PROBLEMS_SHOWN + more) + [False] * max(more, 0)
    )
    assert ("and 3 more problems, see out/manifest.json" in said) is (more == 3)
