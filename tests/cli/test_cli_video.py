"""A video from its export on disk to findings, the report and a review: one line for each cause."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from audit.core.findings import FindingType
from audit.review import Review
from audit.runs import RunFolder
from tests.cli.conftest import Command
from tests.cli.test_cli_cvat import POINTS, photos
from tests.doubles.cvat import ADMIN_TOKEN, FakeCvat
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


@pytest.fixture
def server() -> Iterator[FakeCvat]:
    with FakeCvat() as running:
        yield running


def test_tracks_of_a_task_in_two_jobs_from_the_audit_to_the_fix_and_back(
    cvat_audit: Command, server: FakeCvat, tmp_path: Path
) -> None:
    """The wrong label of a track is one finding in each of its jobs, one write, and one thing to take back."""
    task = server.add_task("t", photos(), [{"name": "person"}, {"name": "car"}], segment_size=3)
    labels, jobs = server.labels(task), [int(job["id"]) for job in server.jobs(task)]
    for job, first in zip(jobs, (0, 3), strict=True):
        wrong = track(labels["car"], first, POINTS)
        right = track(labels["person"], first, [110.0, 100.0, 190.0, 190.0])
        server.set_annotations(job, {"shapes": [], "tags": [], "tracks": [wrong, right]})
    places = [(i, box) for i in range(6) for box in ([20.0, 30.0, 80.0, 60.0], [110.0, 100.0, 80.0, 90.0])]
    rows = [{"file_name": f"{i:03d}.jpg", "category_name": "person", "bbox": box, "score": 0.9} for i, box in places]
    (tmp_path / "results.json").write_text(json.dumps([*rows, {**rows[0], "category_name": "car", "score": 0.01}]))
    source = server.url.replace("http://", "cvat://") + f"/tasks/{task}"
    own = {"CVAT_ACCESS_TOKEN": ADMIN_TOKEN}
    done = cvat_audit("run", source, "--predictions", "results.json", "--out", "out", "--no-fiftyone", **own)
    assert done.returncode == 0, done.stderr
    listed = json.loads(cvat_audit("findings", "out", "--json", "--type", "mismatching_label").stdout)
    assert sorted((r["job"], r["frames"], r["first_frame"], r["last_frame"]) for r in listed) == [
        (jobs[0], 3, 0, 2),
        (jobs[1], 3, 3, 5),
    ]
    before = [server.annotations(job)["tracks"] for job in jobs]
    cvat_audit("decide", "out", "--accept", ",".join(r["id"] for r in listed), "--reviewer", "rita")
    sent = cvat_audit("push", "out", "--as", "fixes", "--yes", **own)
    assert sent.returncode == 0, sent.stdout + sent.stderr
    assert "2 done" in sent.stdout
    after = [server.annotations(job)["tracks"] for job in jobs]
    assert all(one["label_id"] == labels["person"] for tracks in after for one in tracks)
    back = cvat_audit("undo", "out", "--yes", **own)
    assert back.returncode == 0, back.stdout + back.stderr
    again = [server.annotations(job)["tracks"] for job in jobs]
    assert [[bare(t) for t in tracks] for tracks in again] == [[bare(t) for t in tracks] for tracks in before]


def test_a_track_that_is_deleted_and_one_that_is_drawn_are_told_in_words_and_taken_back(
    cvat_audit: Command, server: FakeCvat, tmp_path: Path
) -> None:
    task = server.add_task("t", photos(), [{"name": "person"}, {"name": "car"}])
    labels, job = server.labels(task), int(server.jobs(task)[0]["id"])
    false, right = track(labels["car"], 0, POINTS), track(labels["person"], 0, [110.0, 100.0, 190.0, 190.0])
    server.set_annotations(job, {"shapes": [], "tags": [], "tracks": [false, {**right, "frame": 3}]})
    rows = [{"file_name": f"{i:03d}.jpg", "category_name": "person", "bbox": [110, 100, 80, 90], "score": 0.9}
            for i in range(6)]  # fmt: skip
    (tmp_path / "results.json").write_text(json.dumps([*rows, {**rows[0], "category_name": "car", "score": 0.01}]))
    source = server.url.replace("http://", "cvat://") + f"/tasks/{task}"
    own = {"CVAT_ACCESS_TOKEN": ADMIN_TOKEN}
    done = cvat_audit("run", source, "--predictions", "results.json", "--out", "out", "--no-fiftyone", **own)
    assert done.returncode == 0, done.stderr
    kinds = ("--type", "extra_annotation", "--type", "missing_annotation")
    listed = json.loads(cvat_audit("findings", "out", "--json", *kinds).stdout)
    assert {r["type"] for r in listed} >= {"extra_annotation"}
    before = server.annotations(job)["tracks"]
    cvat_audit("decide", "out", "--accept", ",".join(r["id"] for r in listed), "--reviewer", "rita")
    for command in (("push", "out", "--as", "fixes"), ("undo", "out")):
        for really in ((), ("--yes",)):
            said = cvat_audit(*command, *really, **own)
            assert (said.returncode, "Traceback" in said.stderr) == (0, False), said.stderr
    assert "restore" in said.stdout and "shapes on 2 key frames" in said.stdout
    again = server.annotations(job)["tracks"]
    assert sorted(map(str, map(bare, again))) == sorted(map(str, map(bare, before)))


def track(label: int, first: int, points: list[float]) -> dict[str, Any]:
    """Two keyframes, and one frame between them."""
    keys = [
        {"type": "rectangle", "frame": first + i, "points": points, "occluded": False, "outside": False, "z_order": 0,
         "rotation": 0.0, "attributes": []} for i in (0, 2)
    ]  # fmt: skip
    return {"label_id": label, "frame": first, "group": 0, "source": "manual", "attributes": [], "shapes": keys,
            "elements": []}  # fmt: skip


def bare(one: dict[str, Any]) -> dict[str, Any]:
    return {**one, "shapes": [{k: v for k, v in key.items() if k != "id"} for key in one["shapes"]]}
