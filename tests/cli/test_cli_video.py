"""A video from its export on disk to findings, the report and a review: one line for each cause."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from audit.core.findings import FindingType
from audit.review import Review
from audit.runs import RunFolder
from tests.cli.conftest import Command
from tests.videos import Video, video, write_export


@pytest.fixture(scope="module")
def made() -> Video:
    return video(6, frames=300, visible=4, length=100, planted=5)


def test_a_video_is_told_by_causes(cvat_audit: Command, tmp_path: Path, made: Video) -> None:
    export, results = write_export(tmp_path / "export", made)
    done = cvat_audit("run", export, "--predictions", results, "--out", "out", "--no-fiftyone")
    assert done.returncode == 0, done.stderr
    listed = json.loads(cvat_audit("findings", "out", "--json", "--min-score", "0.5").stdout)
    assert len(listed) <= 12
    on_tracks = [row for row in listed if row["annotation_id"] is not None]
    by_track = {(row["annotation_id"], row["type"]): row for row in on_tracks}
    assert len(by_track) == len(on_tracks)
    for cause in made.causes[:3]:
        row = by_track[cause.track, cause.kind.code]
        assert row["frames"] > 50
        assert row["first_frame"] <= row["frame"] <= row["last_frame"]
        assert f"({row['first_frame']} to {row['last_frame']})" in row["reason"]
    wrong = by_track[made.causes[0].track, "mismatching_label"]
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert f"on {wrong['frames']} frames, {wrong['first_frame']} to {wrong['last_frame']}" in page
    table = cvat_audit("findings", "out", "--min-score", "0.5").stdout
    assert f"({wrong['first_frame']}-{wrong['last_frame']})" in table
    review = Review(RunFolder.open(tmp_path / "out"), "rita")
    asked = review.question(wrong["id"]).text
    review.close()
    assert f"On {wrong['frames']} frames, {wrong['first_frame']} to {wrong['last_frame']} (" in asked


def test_an_object_missed_across_a_border_of_jobs_is_told_in_each(
    cvat_audit: Command, tmp_path: Path, made: Video
) -> None:
    """Every job has labels of its own; the export of the planted video has a border at frame 150."""
    export, results = write_export(tmp_path / "export", made)
    done = cvat_audit("run", export, "--predictions", results, "--out", "out", "--no-fiftyone", "--no-report")
    assert done.returncode == 0, done.stderr
    rows = json.loads(cvat_audit("findings", "out", "--json").stdout)
    missed = [r for r in rows if r["type"] == FindingType.MISSING_ANNOTATION.code and r["frames"] > 1]
    assert all((r["first_frame"] < 150) == (r["last_frame"] < 150) for r in missed)
    assert {r["job"] for r in rows} == {1, 2}
