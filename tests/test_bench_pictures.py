"""The bench with pictures: where they are found, what is printed, and the fit of their weights."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from audit.checks.looks import USUAL
from audit.core.findings import FindingType as T
from audit.trust.prior_pictures import WEIGHTS
from scripts.benchmarks import fit_pictures as fitting
from scripts.benchmarks.labelled import LabelledSet, from_files
from scripts.benchmarks.quality import ours, table
from tests.scenes import scene


@pytest.fixture(scope="module")
def data() -> LabelledSet:
    """Edges lie at the sides of the labels as they are, and nowhere else."""
    snapshot, predictions = scene(1, frames=40, per_frame=4, predicted=6)
    sound = {tuple(box) for box in snapshot.annotations.xyxy.tolist()}

    def look(frame: np.ndarray, xyxy: np.ndarray) -> np.ndarray:
        return USUAL + np.array([[0.5 if tuple(box) in sound else -0.5] * 3 for box in xyxy.tolist()]).reshape(-1, 3)

    return LabelledSet("scene", snapshot, predictions, look)


def test_pictures_are_found_by_name_and_asked_for_by_frame(tmp_path: Path) -> None:
    for name, grey in (("a.png", 0), ("b.png", 255)):
        pixels = np.full((80, 80), grey, np.uint8)
        pixels[20:60, 20:60] = 128 if grey else 0  # nothing to be seen in the first
        Image.fromarray(pixels).save(tmp_path / name)
    images = [
        {"id": i, "file_name": f"elsewhere/{n}", "width": 80, "height": 80} for i, n in enumerate(("a.png", "b.png"))
    ]
    box = {"image_id": 1, "category_id": 1, "bbox": [20, 20, 40, 40]}
    (tmp_path / "labels.json").write_text(
        json.dumps({"images": images, "annotations": [box], "categories": [{"id": 1, "name": "x"}]})
    )
    (tmp_path / "found.json").write_text(json.dumps([{**box, "score": 0.5}]))
    files = tmp_path / "labels.json", tmp_path / "found.json"
    assert from_files("x", *files).look is None
    whole = from_files("x", *files, tmp_path)
    odd = whole.part(1)
    assert whole.look is not None and odd.look is not None
    at = np.array([[20.0, 20, 60, 60]])
    assert np.allclose(whole.look(np.array([0]), at), 0)
    assert np.array_equal(odd.look(np.array([0]), at), whole.look(np.array([1]), at))
    assert odd.look(np.array([0]), at)[0, 0] > 0.5
    with pytest.raises(SystemExit, match=r"does not hold a\.png"):
        from_files("x", *files, tmp_path / "nowhere")


def test_the_fit_learns_that_sound_boxes_lie_on_edges(data: LabelledSet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fitting, "COPIES", 2)
    fit = fitting.fit_pictures([data])
    assert {kind: tuple(names) for kind, names in fit.items()} == {
        kind: tuple(names) for kind, names in WEIGHTS.items()
    }
    for kind in (T.LOW_OVERLAP, T.EXTRA_ANNOTATION):
        assert fit[kind]["edges at its sides"] < -0.3


def test_figures_with_pictures_stand_below_those_without(data: LabelledSet, capsys: pytest.CaptureFixture[str]) -> None:
    table(data, {"cvat-audit": ours}, range(1))
    lines = capsys.readouterr().out.splitlines()
    plain, pictured = (next(line for line in lines if line.startswith(name)) for name in ("cvat-audit", "+ pictures"))
    assert float(pictured.split()[2]) > float(plain.split()[1])  # average precision of all types
