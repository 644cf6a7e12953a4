"""A task, job or project read through the real SDK from the double."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from audit.adapters.cvat.credentials import Credentials
from audit.adapters.cvat.store import CvatStore
from audit.core.annotations import Annotations
from audit.errors import UsageError
from audit.ports import FrameImage, FrameProblem
from tests.adapters.cvat.conftest import LABELS, photos
from tests.doubles.cvat import ADMIN, ADMIN_PASSWORD, ADMIN_TOKEN, FakeCvat
from tests.doubles.progress import Told

Opened = Callable[..., CvatStore]


def box(label: int, frame: int, points: list[float]) -> dict[str, Any]:
    return {"type": "rectangle", "frame": frame, "label_id": label, "points": points, "attributes": []}


def downloads(cvat: FakeCvat) -> list[tuple[str, dict[str, str]]]:
    return [(r.path.rstrip("/"), r.query) for r in cvat.requests if r.path.rstrip("/").endswith("/data")]


def digests(items: Any) -> list[str]:
    return [item.sha256 if isinstance(item, FrameImage) else f"problem: {item.reason}" for item in items]


def shas(images: dict[str, bytes]) -> list[str]:
    return [hashlib.sha256(data).hexdigest() for data in images.values()]


def test_a_task_without_annotations_gives_its_frames(cvat: FakeCvat, opened: Opened) -> None:
    task = cvat.add_task("t", photos(3), LABELS)
    told = Told()
    snapshot = opened(f"/tasks/{task}").snapshot(told)
    assert snapshot.labels == ("person", "car")
    assert len(snapshot.annotations) == 0
    assert snapshot.frames.name.tolist() == ["photo_0.jpg", "photo_1.jpg", "photo_2.jpg"]
    assert snapshot.frames.number.tolist() == [0, 1, 2]
    assert set(zip(snapshot.frames.width, snapshot.frames.height, strict=True)) == {(32, 24)}
    assert set(snapshot.frames.task) == {task}
    assert snapshot.problems == snapshot.notes == ()
    assert told.steps == told.totals == {"Reading annotations": 1}


def test_a_task_without_data_or_a_job_that_is_filtered_away_is_one_line(cvat: FakeCvat, opened: Opened) -> None:
    empty = cvat.add_task("t", {}, LABELS)
    with pytest.raises(UsageError, match=r"holds no frame to audit .*has no images yet"):
        opened(f"/tasks/{empty}").snapshot(Told())
    task = cvat.add_task("t", photos(1), LABELS)
    with pytest.raises(UsageError, match="1 job of task 2 left out: not 'completed'"):
        opened(f"/tasks/{task}", job_state="completed").snapshot(Told())
    with pytest.raises(UsageError, match=r"holds no frame to audit \(none from 5 to 9; there are 0 to 0\)"):
        opened(f"/tasks/{task}", frames=range(5, 10)).snapshot(Told())


def test_annotations_belong_to_their_jobs_even_where_jobs_overlap(cvat: FakeCvat, opened: Opened) -> None:
    cvat.add_user("ann", "pw")
    task = cvat.add_task("t", photos(5), LABELS, segment_size=3, overlap=1, assignee="ann")
    first, second = (job["id"] for job in cvat.jobs(task))
    label = cvat.labels(task)["car"]
    cvat.set_annotations(first, {"shapes": [box(label, 2, [1, 2, 3, 4])]})
    cvat.set_annotations(second, {"shapes": [box(label, 2, [5, 6, 7, 8]), box(label, 4, [0, 0, 9, 9])]})
    snapshot = opened(f"/tasks/{task}").snapshot(Told())
    f, a = snapshot.frames, snapshot.annotations
    assert f.number.tolist() == [0, 1, 2, 2, 3, 4]
    assert f.job.tolist() == [first] * 3 + [second] * 3
    assert a.frame.tolist() == [2, 3, 5]
    assert a.xyxy.tolist() == [[1, 2, 3, 4], [5, 6, 7, 8], [0, 0, 9, 9]]
    assert [snapshot.labels[code] for code in a.label] == ["car"] * 3
    assert [(j.id, j.assignee, j.stage, j.state) for j in snapshot.jobs] == [
        (first, "ann", "annotation", "new"),
        (second, "ann", "annotation", "new"),
    ]
    assert snapshot.frame_link(3) == f"{cvat.url}/tasks/{task}/jobs/{second}?frame=2"


def test_other_kinds_of_jobs_and_deleted_frames_are_left_out_and_said(cvat: FakeCvat, opened: Opened) -> None:
    task = cvat.add_task("t", photos(4), LABELS, segment_size=2, deleted_frames=[1])
    first = cvat.jobs(task)[0]["id"]
    truth = cvat.add_job("ground_truth", task_id=task, frames=[0, 3])
    replica = cvat.add_job("consensus_replica", parent_job_id=first)
    label = cvat.labels(task)["person"]
    cvat.set_annotations(truth, {"shapes": [box(label, 0, [1, 1, 2, 2])]})
    cvat.set_annotations(replica, {"shapes": [box(label, 0, [3, 3, 4, 4])]})
    cvat.set_annotations(first, {"shapes": [box(label, 0, [5, 5, 6, 6]), box(label, 1, [7, 7, 8, 8])]})
    snapshot = opened(f"/tasks/{task}").snapshot(Told())
    assert snapshot.frames.number.tolist() == [0, 2, 3]
    assert snapshot.annotations.xyxy.tolist() == [[5, 5, 6, 6]]
    assert snapshot.problems == ()
    assert sorted(snapshot.notes) == [
        f"1 consensus replica of job {first} left out",
        f"1 deleted frame of job {first} left out",
        f"ground-truth job {truth} of task {task} left out (2 frames)",
    ]


def test_a_ground_truth_job_that_is_named_is_audited(cvat: FakeCvat, opened: Opened) -> None:
    images = photos(5)
    task = cvat.add_task("t", images, LABELS, segment_size=2, chunk_size=2)
    truth = cvat.add_job("ground_truth", task_id=task, frames=[0, 3, 4])
    label = cvat.labels(task)["person"]
    cvat.set_annotations(truth, {"shapes": [box(label, 3, [1, 1, 2, 2])]})
    store = opened(f"/jobs/{truth}")
    snapshot = store.snapshot(Told())
    assert snapshot.frames.number.tolist() == [0, 3, 4]
    assert snapshot.frames.name.tolist() == ["photo_0.jpg", "photo_3.jpg", "photo_4.jpg"]
    assert snapshot.annotations.frame.tolist() == [1]
    assert snapshot.notes == (f"job {truth} is a ground truth job, audited since it was named",)
    wanted = [shas(images)[i] for i in (0, 3, 4)]
    assert digests(store.images(snapshot, [0, 1, 2])) == wanted


def test_frames_stages_and_states_select(cvat: FakeCvat, opened: Opened) -> None:
    task = cvat.add_task("t", photos(6), LABELS, segment_size=2, chunk_size=2)
    jobs = [job["id"] for job in cvat.jobs(task)]
    cvat.set_job(jobs[1], stage="acceptance", state="completed")
    assert opened(f"/tasks/{task}", frames=range(1, 3)).snapshot(Told()).frames.number.tolist() == [1, 2]
    done = opened(f"/tasks/{task}", job_stage="acceptance").snapshot(Told())
    assert done.frames.job.tolist() == [jobs[1]] * 2
    assert done.notes == (f"2 jobs of task {task} left out: not 'acceptance'",)
    assert opened(f"/tasks/{task}", job_state="NEW").snapshot(Told()).frames.number.tolist() == [0, 1, 4, 5]
    with pytest.raises(UsageError, match="'done' is no job state; CVAT has: new, in progress, completed, rejected"):
        opened(f"/tasks/{task}", job_state="done")


def test_a_project_is_all_its_tasks_with_labels_by_name(cvat: FakeCvat, opened: Opened) -> None:
    project = cvat.add_project("p", LABELS)
    first = cvat.add_task("a", photos(2), project_id=project)
    cvat.add_task("empty", {}, project_id=project)
    second = cvat.add_task("b", photos(1), project_id=project)
    cvat.add_task("elsewhere", photos(1), LABELS)
    snapshot = opened(f"/projects/{project}").snapshot(Told())
    assert snapshot.frames.task.tolist() == [first, first, second]
    assert snapshot.labels == ("person", "car")
    assert len(snapshot.notes) == 1


def test_images_come_in_the_order_asked_byte_for_byte(cvat: FakeCvat, opened: Opened, tmp_path: Path) -> None:
    images = photos(7)
    task = cvat.add_task("t", images, LABELS, segment_size=3, chunk_size=2)
    store = opened(f"/tasks/{task}", workers=3)
    snapshot = store.snapshot(Told())
    order = [6, 0, 3, 3, 5, 1]
    items = list(store.images(snapshot, order))
    assert [item.frame for item in items] == order
    assert digests(items) == [shas(images)[i] for i in order]
    for item in items:
        assert isinstance(item, FrameImage)
        assert item.path.read_bytes() == item.data
    asked = sorted(int(query["number"]) for _, query in downloads(cvat))
    assert asked == [0, 1, 2, 3]  # each chunk once
    assert list(store.images(snapshot, [])) == []


def test_only_chunks_that_hold_asked_frames_are_fetched(cvat: FakeCvat, opened: Opened) -> None:
    task = cvat.add_task("t", photos(8), LABELS, chunk_size=2)
    store = opened(f"/tasks/{task}", frames=range(4, 5))
    snapshot = store.snapshot(Told())
    assert len(list(store.images(snapshot, [0]))) == 1
    assert [query["number"] for _, query in downloads(cvat)] == ["2"]
    assert {query["quality"] for _, query in downloads(cvat)} == {"original"}


def test_a_second_run_downloads_nothing_and_a_stopped_one_goes_on(cvat: FakeCvat, opened: Opened) -> None:
    images = photos(6)
    task = cvat.add_task("t", images, LABELS, chunk_size=2)
    first = opened(f"/tasks/{task}", workers=1)
    snapshot = first.snapshot(Told())
    begun = first.images(snapshot, range(6))
    next(begun)
    begun.close()  # stopped in the middle
    fetched = len(downloads(cvat))
    assert 1 <= fetched <= 3
    second = opened(f"/tasks/{task}")
    assert digests(second.images(second.snapshot(Told()), range(6))) == shas(images)
    assert len(downloads(cvat)) == 3
    third = opened(f"/tasks/{task}")
    assert digests(third.images(third.snapshot(Told()), range(6))) == shas(images)
    assert len(downloads(cvat)) == 3


KILLED = """
import os, sys
from pathlib import Path
from audit.adapters.cvat.credentials import credentials_from
from audit.adapters.cvat.store import open_store
from audit.adapters.pictures import ImageCache
from tests.doubles.progress import Told

address, folder = sys.argv[1:]
store = open_store(address, credentials=credentials_from(None, os.environ), cache=ImageCache(Path(folder)), workers=1)
for item in store.images(store.snapshot(Told()), range(20)):
    if item.frame == 5:
        os.kill(os.getpid(), 9)
"""


def test_a_killed_run_goes_on_where_it_was(cvat: FakeCvat, opened: Opened, tmp_path: Path) -> None:
    images = photos(20)
    task = cvat.add_task("t", images, LABELS, chunk_size=2)
    address = cvat.url.replace("http://", "cvat://") + f"/tasks/{task}"
    environment = {**os.environ, "CVAT_ACCESS_TOKEN": ADMIN_TOKEN}
    killed = subprocess.run(
        [sys.executable, "-c", KILLED, address, str(tmp_path / "images")],
        cwd=Path(__file__).resolve().parents[3],
        env=environment,
        timeout=60,
        check=False,
    )
    assert killed.returncode == -9
    before = {query["number"] for _, query in downloads(cvat)}
    assert {"0", "1", "2"} <= before
    cvat.requests.clear()
    store = opened(f"/tasks/{task}")
    assert digests(store.images(store.snapshot(Told()), range(20))) == shas(images)
    again = before & {query["number"] for _, query in downloads(cvat)}
    assert len(again) <= 1  # at most the one that was under way


def test_deleted_frames_of_a_job_that_is_named_are_left_out(cvat: FakeCvat, opened: Opened) -> None:
    task = cvat.add_task("t", photos(6), LABELS, segment_size=3, chunk_size=2, deleted_frames=[1, 4])
    second = cvat.jobs(task)[1]["id"]
    store = opened(f"/jobs/{second}")
    snapshot = store.snapshot(Told())
    assert snapshot.frames.number.tolist() == [3, 5]
    assert digests(store.images(snapshot, [0, 1])) == [shas(photos(6))[3], shas(photos(6))[5]]


def test_a_damaged_or_lost_file_of_the_cache_is_fetched_again(cvat: FakeCvat, opened: Opened) -> None:
    images = photos(3)
    task = cvat.add_task("t", images, LABELS)
    store = opened(f"/tasks/{task}")
    snapshot = store.snapshot(Told())
    paths = [item.path for item in store.images(snapshot, range(3)) if isinstance(item, FrameImage)]
    paths[0].write_bytes(b"damaged")
    paths[2].unlink()
    assert digests(store.images(snapshot, range(3))) == shas(images)


def test_a_damaged_index_is_begun_anew(cvat: FakeCvat, opened: Opened, tmp_path: Path) -> None:
    task = cvat.add_task("t", photos(1), LABELS)
    (tmp_path / "cache" / "cvat-audit" / "cvat").mkdir(parents=True)
    (tmp_path / "cache" / "cvat-audit" / "cvat" / "frames.sqlite").write_bytes(b"no database at all" * 100)
    store = opened(f"/tasks/{task}")
    assert digests(store.images(store.snapshot(Told()), [0])) == shas(photos(1))


def test_images_can_be_read_with_a_snapshot_of_an_earlier_run(cvat: FakeCvat, opened: Opened) -> None:
    task = cvat.add_task("t", photos(2), LABELS)
    snapshot = opened(f"/tasks/{task}").snapshot(Told())
    assert digests(opened(f"/tasks/{task}").images(snapshot, [1])) == shas(photos(2))[1:]


def test_an_assignee_who_may_not_read_the_task_audits_the_own_jobs(cvat: FakeCvat, opened: Opened) -> None:
    cvat.add_user("ann", token="ann-token")
    images = photos(5)
    task = cvat.add_task("t", images, LABELS, segment_size=3, chunk_size=2)
    mine = cvat.jobs(task)[1]["id"]
    cvat.set_job(mine, assignee="ann")
    credentials = Credentials(token="ann-token")
    for path in (f"/tasks/{task}", f"/jobs/{mine}"):
        store = opened(path, credentials=credentials)
        snapshot = store.snapshot(Told())
        assert snapshot.frames.number.tolist() == [3, 4]
        assert digests(store.images(snapshot, [1, 0])) == [shas(images)[4], shas(images)[3]]
    assert all(path.startswith("/api/jobs/") for path, _ in downloads(cvat))


def test_user_and_password_log_in_once(cvat: FakeCvat, opened: Opened) -> None:
    task = cvat.add_task("t", photos(2), LABELS, chunk_size=1)
    store = opened(f"/tasks/{task}", credentials=Credentials(ADMIN, ADMIN_PASSWORD))
    assert digests(store.images(store.snapshot(Told()), [0, 1])) == shas(photos(2))
    assert sum("/api/auth/login" in r.path for r in cvat.requests) == 1
    assert not any("logout" in r.path for r in cvat.requests)


def test_an_organization_is_named_in_every_request(cvat: FakeCvat, opened: Opened) -> None:
    cvat.add_organization("lab")
    task = cvat.add_task("t", photos(1), LABELS, organization="lab")
    assert len(opened(f"/tasks/{task}", organization="lab").snapshot(Told()).frames) == 1
    headers = [{k.lower(): v for k, v in r.headers.items()} for r in cvat.requests]
    assert {h.get("x-organization") for h in headers} == {"lab"}
    with pytest.raises(UsageError, match="no such organization"):
        opened(f"/tasks/{task}", organization="nowhere").snapshot(Told())


def test_bytes_that_are_no_image_are_handed_on_for_others_to_judge(cvat: FakeCvat, opened: Opened) -> None:
    images = {"a.jpg": b"", "b.jpg": photos(1)["photo_0.jpg"][:200], "c.jpg": photos(2)["photo_1.jpg"]}
    task = cvat.add_task("t", images, LABELS)
    store = opened(f"/tasks/{task}")
    items = list(store.images(store.snapshot(Told()), range(3)))
    assert digests(items) == shas(images)
    assert not any(isinstance(item, FrameProblem) for item in items)


def test_nothing_is_said_on_stdout_or_stderr(cvat: FakeCvat, opened: Opened, capfd: Any) -> None:
    task = cvat.add_task("t", photos(2), LABELS)
    store = opened(f"/tasks/{task}")
    list(store.images(store.snapshot(Told()), range(2)))
    assert capfd.readouterr() == ("", "")


def test_annotations_can_be_taken_job_by_job(cvat: FakeCvat, opened: Opened) -> None:
    task = cvat.add_task("t", photos(6), LABELS, segment_size=2)
    label = cvat.labels(task)["car"]
    for place, job in enumerate(cvat.jobs(task)):
        cvat.set_annotations(job["id"], {"shapes": [box(label, 2 * place, [1, 2, 3, 4])]})
    whole = opened(f"/tasks/{task}").snapshot(Told())
    pieces: list[Annotations] = []
    streamed = opened(f"/tasks/{task}").snapshot(Told(), lambda table, _: pieces.append(table))
    assert len(pieces) == 3
    assert Annotations.concat(pieces).annotation_id.tolist() == whole.annotations.annotation_id.tolist() != []
    assert len(streamed.annotations) == 0
