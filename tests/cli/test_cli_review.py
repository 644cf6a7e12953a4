"""review and review-report as commands; the App itself is tested in tests/adapters/fiftyone."""

from __future__ import annotations

import json
from pathlib import Path

import click
import pytest

from audit import decisions
from audit.cli.options import share
from audit.core.decisions import Decision, Verdict
from tests.cli.conftest import Command
from tests.report.conftest import real_tables, save_run


@pytest.mark.parametrize(("text", "value"), [("10%", 0.1), ("0.1", 0.1), (" 2.5 % ", 0.025), ("0", 0), ("100%", 1)])
def test_a_share_is_a_percentage_or_a_fraction(text: str, value: float) -> None:
    assert share(text) == pytest.approx(value)


@pytest.mark.parametrize("text", ["", "%", "ten", "-1%", "101%", "1.5", "nan", "inf%"])
def test_what_is_no_share_is_refused(text: str) -> None:
    with pytest.raises(click.BadParameter, match="not a share between 0% and 100%"):
        share(text)


def test_wrong_use_is_one_line(cvat_audit: Command, tmp_path: Path) -> None:
    for arguments in (["review", "nowhere", "--reviewer", "ann"], ["review", "nowhere", "--reviewer", " "]):
        done = cvat_audit(*arguments)
        assert done.returncode == 2
        assert done.stderr.count("\n") == 1
    assert "--reviewer" in cvat_audit("review", "nowhere").stderr


def test_one_decision_is_one_decision(cvat_audit: Command, tmp_path: Path) -> None:
    run = save_run(tmp_path / "run", **real_tables(tmp_path))
    done = cvat_audit("decide", "run", "--reject", str(run.findings().id[0]), "--reviewer", "ann")
    assert done.stdout.startswith("1 decision noted. What it changes:")
    assert "ann  1 verdict " in cvat_audit("review-report", "run").stdout


def test_a_report_for_people_and_for_programs(cvat_audit: Command, tmp_path: Path) -> None:
    run = save_run(tmp_path / "run", **real_tables(tmp_path))
    decisions.append(run.path, [Decision(str(run.findings().id[0]), Verdict.ACCEPT, "ann", "1", 1.2)])
    text = cvat_audit("review-report", "run")
    assert text.returncode == 0, text.stderr
    assert text.stdout.startswith(f"1 of {len(run.findings())} findings decided.")
    assert json.loads(cvat_audit("review-report", "run", "--json").stdout)["decided"] == 1
