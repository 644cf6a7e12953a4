"""What the recordings don't hold but tests build on: seeding, overlap, deleted frames, rights, functions."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.contract.place import Connection
from tests.doubles.cvat import ADMIN_TOKEN, FakeCvat, FunctionStatus
from tests.doubles.cvat.lambdas import runs
from tests.doubles.recorded_server import picture

LABELS = [{"name": "person"}, {"name": "car"}]


@pytest.fixture
def server() -> Iterator[FakeCvat]:
    with FakeCvat() as fake:
        yield fake


def pictures(count: int) -> dict[str, bytes]:
    return {f"{number}.jpg": picture(number, (32, 24)) for number in range(count)}


def box(server: FakeCvat, task: int, frame: int, x: float = 1.0) -> dict[str, Any]:
    points = [x, 1.0, x + 8, 9.0]
    return {"type": "rectangle", "frame": frame, "label_id": server.labels(task)["person"], "points": points}


def test_a_task_without_images_has_no_jobs(server: FakeCvat) -> None:
    assert server.jobs(server.add_task("empty", {}, LABELS)) == []


@pytest.mark.parametrize(
    ("count", "segment", "overlap", "spans"),
    [
        (1, 0, 0, [(0, 0)]),
        (5, 0, 0, [(0, 4)]),
        (5, 9, 0, [(0, 4)]),
        (5, 2, 0, [(0, 1), (2, 3), (4, 4)]),
        (6, 4, 2, [(0, 3), (2, 5)]),
    ],
)
def test_jobs_cover_the_frames(
    server: FakeCvat, count: int, segment: int, overlap: int, spans: list[tuple[int, int]]
) -> None:
    task = server.add_task("t", pictures(count), LABELS, segment_size=segment, overlap=overlap)
    assert [(job["start_frame"], job["stop_frame"]) for job in server.jobs(task)] == spans


def test_a_shape_in_two_overlapping_jobs_is_shown_once(server: FakeCvat) -> None:
    task = server.add_task("t", pictures(6), LABELS, segment_size=4, overlap=2)
    for job in server.jobs(task):
        server.set_annotations(job["id"], {"shapes": [box(server, task, 3)]})
    with Connection(server.url, ADMIN_TOKEN).client() as client:
        assert len(client.tasks.retrieve(task).get_annotations().shapes) == 1


def test_deleted_frames_are_told_to_task_and_job(server: FakeCvat) -> None:
    task = server.add_task("t", pictures(4), LABELS, segment_size=2, deleted_frames=[1, 3])
    with Connection(server.url, ADMIN_TOKEN).client() as client:
        assert list(client.tasks.retrieve(task).get_meta().deleted_frames) == [1, 3]
        found = {job.start_frame: list(job.get_meta().deleted_frames) for job in client.tasks.retrieve(task).get_jobs()}
    assert found == {0: [1], 2: [3]}


def test_replicas_and_ground_truth_are_not_in_the_view_of_the_task(server: FakeCvat) -> None:
    task = server.add_task("t", pictures(2), LABELS)
    parent = server.jobs(task)[0]["id"]
    replica = server.add_job("consensus_replica", parent_job_id=parent)
    truth = server.add_job("ground_truth", task_id=task, frames=[1])
    for job, x in ((parent, 1.0), (replica, 2.0), (truth, 3.0)):
        server.set_annotations(job, {"shapes": [box(server, task, 1, x)]})
    with Connection(server.url, ADMIN_TOKEN).client() as client:
        found = client.tasks.retrieve(task).get_annotations().shapes
    assert [shape.points[0] for shape in found] == [1.0]
    kinds = {job["id"]: (job["type"], job["parent_job_id"]) for job in server.jobs(task)}
    assert kinds == {
        parent: ("annotation", None),
        replica: ("consensus_replica", parent),
        truth: ("ground_truth", None),
    }


def test_a_track_over_the_border_of_jobs_is_cut_there(server: FakeCvat) -> None:
    """As recorded of a video task: an interpolated key on either side of the border."""
    task = server.add_task("t", pictures(12), LABELS, segment_size=6)
    keys = [(0, 10.0, False), (8, 50.0, False), (10, 50.0, True)]
    shapes = [
        {"type": "rectangle", "frame": frame, "points": [x, 10.0, x + 50, 80.0], "outside": outside}
        for frame, x, outside in keys
    ]
    track = {"frame": 0, "label_id": server.labels(task)["person"], "shapes": shapes}
    with Connection(server.url, ADMIN_TOKEN).client() as client:
        client.tasks.retrieve(task).set_annotations({"shapes": [], "tags": [], "tracks": [track]})
        found = client.tasks.retrieve(task).get_annotations().tracks
    parts = [[(key.frame, key.points[0], key.outside) for key in part.shapes] for part in found]
    assert parts == [
        [(0, 10.0, False), (5, 35.0, False), (6, 35.0, True)],
        [(6, 40.0, False), (8, 50.0, False), (10, 50.0, True)],
    ]


def test_who_has_a_job_reads_the_job_but_not_the_task(server: FakeCvat) -> None:
    from cvat_sdk.exceptions import ApiException

    server.add_user("anna", token="anna-token")
    task = server.add_task("t", pictures(2), LABELS, segment_size=1)
    server.set_job(server.jobs(task)[0]["id"], assignee="anna")
    with Connection(server.url, "anna-token").client() as client:
        jobs = client.jobs.list()
        assert [(job.id, job.task_name) for job in jobs] == [(server.jobs(task)[0]["id"], None)]
        assert jobs[0].get_frame(0, quality="original").read() == picture(0, (32, 24))
        with pytest.raises(ApiException) as caught:
            client.tasks.retrieve(task)
    assert caught.value.status == 403


def test_broken_pictures_can_be_seeded(server: FakeCvat) -> None:
    task = server.add_task("t", {"cut.jpg": picture(1)[:200], "empty.jpg": b"", "no.jpg": b"text"}, LABELS)
    with Connection(server.url, ADMIN_TOKEN).client() as client:
        found = client.tasks.retrieve(task)
        assert [frame.width for frame in found.get_meta().frames][1:] == [0, 0]
        assert found.get_frame(2, quality="original").read() == b"text"


def test_a_detector_gets_the_original_and_is_answered_with_task_labels(server: FakeCvat) -> None:
    seen: list[dict[str, Any]] = []

    def detect(payload: dict[str, Any]) -> Any:
        seen.append(payload)
        return [{"label": "human", "type": "rectangle", "points": [1, 2, 3, 4], "confidence": "0.9"}]

    server.add_function("yolo", "detector", ["human", "dog"], detect)
    task = server.add_task("t", pictures(2), LABELS)
    with Connection(server.url, ADMIN_TOKEN).client() as client:
        body = {"task": task, "frame": 1, "threshold": 0.2, "mapping": {"human": {"name": "person"}}}
        answer = client.api_client.rest_client.POST(
            f"{server.url}/api/lambda/functions/yolo",
            headers={"Authorization": f"Bearer {ADMIN_TOKEN}", "Content-Type": "application/json"},
            body=body,
        )
    shape = json.loads(answer.data)["shapes"][0]
    assert (shape["label_id"], shape["frame"], shape["score"]) == (server.labels(task)["person"], 1, 1)
    assert base64.b64decode(seen[0].pop("image")) == picture(1, (32, 24))
    assert seen == [{"threshold": 0.2}]


def test_seeding_complains_about_what_it_does_not_know(server: FakeCvat) -> None:
    with pytest.raises(ValueError, match="no user 'nobody'"):
        server.add_task("t", pictures(1), LABELS, assignee="nobody")
    with pytest.raises(ValueError, match="consensus_replica with parent_job_id"):
        server.add_job("annotation", task_id=1)


@pytest.mark.parametrize(
    ("pixels", "expected"),
    [([], []), ([0], [1]), ([1], [0, 1]), ([0, 1, 1, 0], [1, 2, 1]), ([1, 0, 0], [0, 1, 2])],
)
def test_runs_begin_with_zeros(pixels: list[int], expected: list[int]) -> None:
    assert runs(pixels) == expected


def test_the_status_of_a_function_is_kept() -> None:
    assert FunctionStatus(503).status == 503
