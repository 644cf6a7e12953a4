"""The demo from export to verdict, with the real detector on the real photographs."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from audit.cli import cli
from audit.demo.export import planted, write_export
from audit.demo.judge import Outcome, judge, others, verdict
from audit.demo.scenes import SCENES
from audit.errors import ServiceError

NEEDED = sorted({"ultralytics", "torch", *(s.package for s in SCENES)})
pytestmark = pytest.mark.skipif(
    any(importlib.util.find_spec(p) is None for p in NEEDED), reason=f"needs the extras: {', '.join(NEEDED)}"
)


@pytest.fixture(scope="module")
def weights() -> Path:
    from audit.adapters.ultralytics.weights import find_weights

    try:
        return find_weights("yolo11n")
    except ServiceError as error:
        pytest.skip(f"without a network there are no weights: {error}")


@pytest.fixture(scope="module")
def rows(weights: Path, tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """The findings as ``cvat-audit findings --json`` prints them."""
    folder = tmp_path_factory.mktemp("demo")
    write_export(folder / "export.zip")
    command = ["run", str(folder / "export.zip"), "--model", str(weights), "--out", str(folder / "run")]
    result = CliRunner().invoke(cli, [*command, "--no-fiftyone", "--no-report"], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    result = CliRunner().invoke(cli, ["findings", str(folder / "run"), "--json"], catch_exceptions=False)
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
