"""The demo's run for the tests that look at it: real photographs, a real detector, planted mistakes."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
from click.testing import CliRunner

from audit.cli import cli
from audit.demo.export import write_export
from audit.demo.scenes import SCENES
from audit.errors import ServiceError


def audited(folder: Path) -> Path:
    """The run folder of an audit as ``scripts/demo`` makes it; skips the test where that cannot be had."""
    needed = {"ultralytics", "torch", *(s.package for s in SCENES)}
    if missing := sorted(p for p in needed if importlib.util.find_spec(p) is None):
        pytest.skip(f"needs the extras: {', '.join(missing)}")
    from audit.adapters.ultralytics.weights import find_weights

    try:
        weights = find_weights("yolo11n")
    except ServiceError as error:
        pytest.skip(f"without a network there are no weights: {error}")
    write_export(folder / "export.zip")
    command = ["run", str(folder / "export.zip"), "--model", str(weights), "--out", str(folder / "run")]
    result = CliRunner().invoke(cli, [*command, "--no-fiftyone", "--no-report"], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return folder / "run"
