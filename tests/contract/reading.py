"""What our own reader must make of a server, on a fixture ``place``: the double, or a real server (``tests/live``)."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from audit.adapters.cvat.credentials import Credentials
from audit.adapters.cvat.function import list_functions, open_function
from audit.adapters.cvat.images import ImageSource
from audit.adapters.cvat.store import CvatStore, open_store
from audit.adapters.pictures import ImageCache
from audit.core.annotations import Predictions, ShapeType
from audit.errors import AuditError, UsageError
from audit.ports import FrameImage, PredictItem
from tests.contract.cases import box, every_shape, put, stored
from tests.contract.place import FRAMES, SEGMENT, SIZE, Place
from tests.doubles.progress import Told

Opener = Callable[..., CvatStore]


def login(place: Place) -> Credentials:
    return Credentials(place.connection.user, place.connection.password, place.connection.token)


@pytest.fixture
def opened(place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Opener]:
    """Opens a store; the path stands behind the server's address. All stores of a test share one cache."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    stores: list[CvatStore] = []

    def opener(path: str, **options: Any) -> CvatStore:
        options = {"credentials": login(place), "cache": ImageCache(tmp_path / "images"), **options}
        stores.append(open_store(place.connection.url + path, **options))
        return stores[-1]

    yield opener
    for store in stores:
        store.close()


def digests(store: CvatStore) -> list[str]:
    snapshot = store.snapshot(Told())
    items = list(store.images(snapshot, range(len(snapshot.frames))))
    return [item.sha256 for item in items if isinstance(item, FrameImage)]


def uploaded(place: Place) -> list[str]:
    return [hashlib.sha256(data).hexdigest() for data in place.pictures.values()]


def test_an_empty_task_has_its_frames(place: Place, opened: Opener) -> None:
    put(place)
    snapshot = opened(f"/tasks/{place.task_id}").snapshot(Told())
    assert len(snapshot.annotations) == 0
    assert snapshot.frames.name.tolist() == list(place.pictures)
    assert snapshot.frames.number.tolist() == list(range(FRAMES))
    assert set(zip(snapshot.frames.width, snapshot.frames.height, strict=True)) == {SIZE}
    jobs = [int(job.id) for job in place.jobs()]
    assert snapshot.frames.job.tolist() == [job for job in jobs for _ in range(SEGMENT)]
    assert [job.id for job in snapshot.jobs] == jobs
    assert (snapshot.problems, snapshot.notes) == ((), ())


def test_every_kind_of_annotation_is_read(place: Place, opened: Opener) -> None:
    person = place.label("person")
    keys = [{"type": "rectangle", "frame": f, "points": [1.0, 1.0, 9.0 + f, 9.0], "attributes": []} for f in (2, 3)]
    put(
        place,
        shapes=every_shape(place),
        tags=[{"frame": 0, "label_id": person}],
        tracks=[{"frame": 2, "label_id": person, "shapes": keys}],
    )
    snapshot = opened(f"/tasks/{place.task_id}").snapshot(Told())
    found, held = snapshot.annotations, stored(place)
    single = ~found.track & (found.shape != ShapeType.TAG)
    kinds = {
        int(key): ShapeType(kind) for key, kind in zip(found.annotation_id[single], found.shape[single], strict=True)
    }
    assert kinds == {shape["id"]: ShapeType[shape["type"].upper()] for shape in held["shapes"]}
    assert snapshot.problems == ()
    assert set(snapshot.labels) == {"person", "thing", "body"}
    tracked = found.xyxy[found.track]
    assert np.array_equal(tracked, [[1, 1, 11, 9], [1, 1, 12, 9]])
    assert int((found.shape == ShapeType.TAG).sum()) == 1


def test_jobs_and_projects_are_parts_and_wholes_of_it(place: Place, opened: Opener) -> None:
    put(place, shapes=[box(place, frame) for frame in range(FRAMES)])
    second = place.jobs()[1]
    of_job = opened(f"/jobs/{second.id}").snapshot(Told())
    assert of_job.frames.number.tolist() == [2, 3]
    assert len(of_job.annotations) == SEGMENT
    project = place.client.tasks.retrieve(place.task_id).project_id
    of_project = opened(f"/projects/{project}").snapshot(Told())
    assert of_project.frames.number.tolist() == list(range(FRAMES))
    of_task = opened(f"/tasks/{place.task_id}").snapshot(Told())
    assert of_project.annotations.digest.tolist() == of_task.annotations.digest.tolist()
    assert opened(f"/tasks/{place.task_id}", frames=range(1, 3)).snapshot(Told()).frames.number.tolist() == [1, 2]


def test_images_are_the_uploaded_bytes_and_downloaded_once(
    place: Place, opened: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert digests(opened(f"/tasks/{place.task_id}")) == uploaded(place)
    assert digests(opened(f"/jobs/{place.jobs()[1].id}")) == uploaded(place)[SEGMENT:]

    def no_more(*_: object, **__: object) -> None:
        raise AssertionError("downloaded again")

    monkeypatch.setattr(ImageSource, "_download", no_more)
    assert digests(opened(f"/tasks/{place.task_id}")) == uploaded(place)


def test_a_wrong_password_and_what_does_not_exist_are_one_line(place: Place, opened: Opener) -> None:
    wrong = Credentials(token="no-such-token")
    with pytest.raises(UsageError, match="does not accept the access token"):
        opened(f"/tasks/{place.task_id}", credentials=wrong).snapshot(Told())
    wrong = Credentials("cvat-audit-nobody", "no-such-password")
    with pytest.raises(UsageError, match="does not know user 'cvat-audit-nobody'"):
        opened(f"/tasks/{place.task_id}", credentials=wrong).snapshot(Told())
    with pytest.raises(UsageError, match="task 987654321 does not exist"):
        opened("/tasks/987654321").snapshot(Told())


def test_a_detector_there_predicts_a_frame(place: Place) -> None:
    """With whatever detector the server has; without one the server must say so."""
    url = f"{place.connection.url}/tasks/{place.task_id}"
    try:
        listed = list_functions(url, credentials=login(place))
    except AuditError as error:
        assert getattr(error, "status", None) == 503, error
        return
    detectors = [str(entry["id"]) for entry in listed if entry["kind"] == "detector"]
    if not detectors:
        with pytest.raises(UsageError, match="there are: none"):
            open_function(url, "cvat-audit-yolo", credentials=login(place))
        return
    detector = open_function(url, detectors[0], credentials=login(place))
    try:
        asked = PredictItem(0, "contract_0.jpg", -1, place.task_id, 0, (SIZE[1], SIZE[0]), "", None)
        (found,) = detector.predict([asked])
        assert isinstance(found, Predictions), found
        assert set(found.score.tolist()) <= {1.0}
        (refused,) = detector.predict([replace(asked, number=FRAMES + 5)])
        assert isinstance(refused, str)
    finally:
        detector.close()
