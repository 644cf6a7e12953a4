"""The demo from export to verdict, with the real detector on the real photographs."""

from __future__ import annotations

import json
from typing import Any

import pytest
from click.testing import CliRunner

from audit.cli import cli
from audit.demo.export import planted
from audit.demo.judge import Outcome, judge, others, verdict
from tests.demo.audited import audited


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """The findings as ``cvat-audit findings --json`` prints them."""
    run = audited(tmp_path_factory.mktemp("demo"))
    result = CliRunner().invoke(cli, ["findings", str(run), "--json"], catch_exceptions=False)
    return list(json.loads(result.stdout))


@pytest.fixture(scope="module")
def outcomes(rows: list[dict[str, Any]]) -> list[Outcome]:
    return judge(planted(), rows)


def test_all_mistakes_but_the_hard_ones_are_found(outcomes: list[Outcome]) -> None:
    missed = [o.planted.mistake.what for o in outcomes if verdict(o) != "found" and not o.planted.mistake.hard]
    assert missed == []


def test_likely_findings_that_are_no_planted_mistake_are_few(
    outcomes: list[Outcome], rows: list[dict[str, Any]]
) -> None:
    false_alarms = [rows[rank - 1] for rank in others(outcomes, rows) if rows[rank - 1]["score"] >= 0.5]
    assert len(false_alarms) <= 1, false_alarms
