"""Findings as pictures for review: context, size, what is missing, and how many are kept."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from audit.core.annotations import Frames
from audit.core.findings import Findings
from audit.report import spots
from audit.report.spots import CONTEXT, LONG_SIDE_PX, Spots
from tests.report.conftest import real_tables, save_run


def test_every_kind_of_finding_has_a_picture_or_a_reason(tmp_path: Path) -> None:
    run = save_run(tmp_path, **real_tables(tmp_path))
    findings = run.findings()
    made = Spots(run, findings)
    made.prepare(range(len(findings)))
    for row in range(len(findings)):
        spot = made.spot(row)
        assert (spot.photo == b"") == (spot.problem != "")
        if spot.photo:
            assert max(Image.open(io.BytesIO(spot.photo)).size) <= LONG_SIDE_PX
        if np.isfinite(findings.xyxy[row]).all():
            assert "existing" in {path.role for path in spot.paths}
    made.close()


def test_a_speck_is_shown_with_its_surroundings_and_few_spots_are_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Image.new("RGB", (4000, 3000)).save(tmp_path / "large.jpg")
    frames = Frames(name=["large.jpg"], number=[0], width=[4000], height=[3000], path=[str(tmp_path / "large.jpg")])
    rows = 5
    box = np.array([[2000.0, 1500, 2010, 1508]] * rows) + np.arange(rows)[:, None]
    findings = Findings(type=[3] * rows, frame=[0] * rows, score=[0.5] * rows, xyxy=box, label=[0] * rows)
    made = Spots(save_run(tmp_path / "run", frames, findings=findings), findings)
    monkeypatch.setattr(spots, "KEPT", 2)
    views = [made.spot(row).view for row in range(rows)]
    assert all(v.width >= CONTEXT * 4000 for v in views)
    assert len(made._made) == 2
    assert made.spot(0).view == views[0]
    made.close()
