"""Extra, where the recordings lie beside the repository: every annotation that CVAT ever answered converts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from audit.adapters.cvat.convert import annotations_of
from tests.adapters.cvat.test_convert import job_frames

EXCHANGES = Path(__file__).resolve().parents[3].parent / "shared" / "cvat" / "exchanges"
RECORDINGS = sorted(EXCHANGES.glob("*.json"))


def answers(recording: Path) -> list[dict[str, Any]]:
    found = []
    for exchange in json.loads(recording.read_text(encoding="utf-8")):
        request, body = exchange["request"], exchange["response"]["body"]
        if request["method"] == "GET" and request["path"].rstrip("/").endswith("/annotations"):
            found.extend([body] if isinstance(body, dict) and "shapes" in body else [])
    return found


@pytest.mark.parametrize("recording", RECORDINGS, ids=lambda path: path.stem)
def test_recorded_annotations_convert(recording: Path) -> None:
    for data in answers(recording):
        listed = [*data["tags"], *data["shapes"], *data["tracks"]]
        labels = {raw["label_id"]: 0 for raw in listed}
        table, problems = annotations_of(data, job_frames(range(12)), labels)
        shown = {*table.annotation_id.tolist()}
        said = {int(problem.where.rsplit(" ", 1)[1]) for problem in problems}
        assert {raw["id"] for raw in listed} == shown | said
        for problem in problems:  # recorded on purpose: see the facts of flow 05
            assert "outside of its job" in problem.reason or "the mask" in problem.reason
