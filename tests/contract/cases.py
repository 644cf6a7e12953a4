"""The contract suite itself, on a fixture ``place``. Each test clears what it wrote; none relies on another.

The facts are those recorded from CVAT 2.73.0 (see ``../shared/cvat/README.md`` where there is one).
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from typing import Any

import pytest
from PIL import Image
from urllib3.exceptions import MaxRetryError

from tests.contract.place import FRAMES, SEGMENT, SIZE, Place

UNKNOWN_ID = 987654321
EMPTY: dict[str, Any] = {"version": 0, "tags": [], "shapes": [], "tracks": []}


@pytest.fixture(autouse=True)
def clean(place: Place) -> Iterator[None]:
    """Every test begins without annotations."""
    place.client.tasks.retrieve(place.task_id).remove_annotations()
    yield


def box(
    place: Place, frame: int = 0, points: tuple[float, ...] = (1.0, 2.0, 30.0, 40.0), **more: Any
) -> dict[str, Any]:
    return {"type": "rectangle", "frame": frame, "label_id": place.label("thing"), "points": list(points), **more}


def every_shape(place: Place) -> list[dict[str, Any]]:
    """One of each type, of the smallest allowed size where there is one."""
    thing, skeleton = place.label("thing"), place.labels["body"]
    corners = [5.0, 5.0, 5.0, 20.0, 20.0, 5.0, 20.0, 20.0, 25.0, 2.0, 25.0, 17.0, 10.0, 2.0, 10.0, 17.0]
    points = {
        "rectangle": [1.0, 2.0, 30.0, 40.0],
        "polygon": [3.0, 3.0, 20.0, 3.0, 20.0, 20.0],
        "polyline": [3.0, 3.0, 20.0, 20.0],
        "points": [7.0, 8.0],
        "ellipse": [30.0, 20.0, 40.0, 10.0],
        "cuboid": corners,
        "mask": [1.0, 2.0, 1.0, 10.0, 10.0, 11.0, 11.0],
    }
    shapes = [{"type": kind, "frame": 1, "label_id": thing, "points": values} for kind, values in points.items()]
    elements = [
        {
            "type": "points",
            "frame": 1,
            "label_id": sub.id,
            "points": [10.0 * place_ + 5.0, 6.0],
            "occluded": place_ == 1,
        }
        for place_, sub in enumerate(skeleton.sublabels)
    ]
    return [*shapes, {"type": "skeleton", "frame": 1, "label_id": skeleton.id, "points": [], "elements": elements}]


def put(place: Place, **data: Any) -> dict[str, Any]:
    status, body = place.call("PUT", f"/tasks/{place.task_id}/annotations", {**EMPTY, **data})
    assert status == 200, body
    return dict(body)


def patch(place: Place, action: str, **data: Any) -> tuple[int, Any]:
    return place.call("PATCH", f"/tasks/{place.task_id}/annotations", data, action=action)


def stored(place: Place) -> dict[str, Any]:
    status, body = place.call("GET", f"/tasks/{place.task_id}/annotations")
    assert status == 200
    return dict(body)


def test_nothing_is_stored_at_first(place: Place) -> None:
    assert {key: stored(place)[key] for key in EMPTY} == EMPTY


def test_task_states_its_frames_and_jobs(place: Place) -> None:
    task = place.client.tasks.retrieve(place.task_id)
    meta = task.get_meta()
    assert (task.size, task.segment_size) == (FRAMES, SEGMENT)
    assert [frame.name for frame in meta.frames] == list(place.pictures)
    assert {(frame.width, frame.height) for frame in meta.frames} == {SIZE}
    assert (meta.start_frame, meta.stop_frame, list(meta.deleted_frames)) == (0, FRAMES - 1, [])
    assert [(job.start_frame, job.stop_frame) for job in place.jobs()] == [(0, 1), (2, 3)]


def test_jobs_are_listed_newest_first(place: Place) -> None:
    ids = [job.id for job in place.client.tasks.retrieve(place.task_id).get_jobs()]
    assert ids == sorted(ids, reverse=True)


def test_labels_are_those_of_the_project(place: Place) -> None:
    assert sorted(place.labels) == ["body", "person", "thing"]
    assert [sub.name for sub in place.labels["body"].sublabels] == ["head", "tail"]
    assert {spec.name: spec.default_value for spec in place.labels["person"].attributes} == {
        "pose": "stands",
        "checked": "false",
    }


def test_original_frames_are_the_uploaded_bytes(place: Place) -> None:
    task = place.client.tasks.retrieve(place.task_id)
    for number, data in enumerate(place.pictures.values()):
        assert task.get_frame(number, quality="original").read() == data
    compressed = task.get_frame(0, quality="compressed").read()
    assert Image.open(io.BytesIO(compressed)).size == SIZE


def test_chunks_hold_frames_in_order(place: Place) -> None:
    job = place.jobs()[1]
    api = place.client.api_client.jobs_api
    _, answer = api.retrieve_data(job.id, type="chunk", index=0, quality="original", _parse_response=False)
    with zipfile.ZipFile(io.BytesIO(answer.data)) as archive:
        found = [archive.read(member) for member in archive.infolist()]
    assert found == list(place.pictures.values())[2:]


@pytest.mark.parametrize("number", [FRAMES, -1])
def test_a_frame_out_of_range_is_refused(place: Place, number: int) -> None:
    status, text = place.call(
        "GET", f"/tasks/{place.task_id}/data", type="frame", number=str(number), quality="original"
    )
    assert status == 400
    assert f"'{number}'" in text


def test_every_shape_type_is_read_back_as_written(place: Place) -> None:
    sent = every_shape(place)
    put(place, shapes=sent)
    found = {shape["type"]: shape for shape in stored(place)["shapes"]}
    assert sorted(found) == sorted(shape["type"] for shape in sent)
    for shape in sent:
        assert found[shape["type"]]["points"] == shape["points"]
    assert [part["occluded"] for part in found["skeleton"]["elements"]] == [False, True]
    typed = place.client.tasks.retrieve(place.task_id).get_annotations()
    assert len({shape.id for shape in typed.shapes}) == len(sent)


def test_what_is_left_out_gets_defaults(place: Place) -> None:
    defaults = {"source": "manual", "score": 1.0, "z_order": 0, "rotation": 0.0, "occluded": False, "outside": False}
    expected = place.kept(defaults)
    put(place, shapes=[{**box(place), "label_id": place.label("person")}])
    shape = stored(place)["shapes"][0]
    assert {key: shape[key] for key in expected} == expected
    assert shape["group"] in (0, None)  # 2.73 and 2.54
    values = {given["spec_id"]: given["value"] for given in shape["attributes"]}
    assert values == {place.spec("pose"): "stands", place.spec("checked"): "false"}


def test_score_source_and_rotation_are_kept(place: Place) -> None:
    sent = box(place, score=0.25, source="auto", rotation=30.0, z_order=3, group=2, occluded=True)
    expected = place.kept(sent)
    put(place, shapes=[sent])
    shape = stored(place)["shapes"][0]
    assert {key: shape[key] for key in expected} == expected


def test_a_tag_and_a_track_are_read_back(place: Place) -> None:
    person = place.label("person")
    keys = [
        {"type": "rectangle", "frame": 2, "points": [1.0, 1.0, 9.0, 9.0], "attributes": []},
        {"type": "rectangle", "frame": 3, "points": [2.0, 1.0, 9.0, 9.0], "outside": True, "attributes": []},
    ]
    keys[0]["attributes"] = [{"spec_id": place.spec("pose"), "value": "sits"}]
    put(place, tags=[{"frame": 0, "label_id": person}], tracks=[{"frame": 2, "label_id": person, "shapes": keys}])
    data = stored(place)
    assert [(tag["frame"], tag["label_id"]) for tag in data["tags"]] == [(0, person)]
    shapes = data["tracks"][0]["shapes"]
    assert [(shape["frame"], shape["outside"]) for shape in shapes] == [(2, False), (3, True)]
    assert [shape["attributes"][0]["value"] for shape in shapes] == ["sits", "sits"]


def test_put_replaces_everything_with_new_ids(place: Place) -> None:
    first = put(place, shapes=[box(place), box(place, 1)])["shapes"]
    second = put(place, shapes=[box(place)])["shapes"]
    assert len(stored(place)["shapes"]) == 1
    assert second[0]["id"] not in {shape["id"] for shape in first}


def test_what_get_answers_cannot_be_put_back(place: Place) -> None:
    put(place, shapes=[box(place)])
    before = stored(place)
    status, body = place.call("PUT", f"/tasks/{place.task_id}/annotations", before)
    assert (status, body) == (400, {"shapes": [{"id": ["must be absent"]}]})
    assert stored(place) == before


def test_update_keeps_the_id_and_replaces_the_whole_object(place: Place) -> None:
    bare = place.kept({"points": [2.0, 2.0, 9.0, 9.0], "score": 1.0, "source": "manual", "z_order": 0})
    shape = put(place, shapes=[box(place, score=0.4, source="auto", z_order=5)])["shapes"][0]
    status, _ = patch(place, "update", shapes=[{**box(place, points=(2.0, 2.0, 9.0, 9.0)), "id": shape["id"]}])
    found = stored(place)["shapes"]
    assert status == 200
    assert [item["id"] for item in found] == [shape["id"]]
    assert {key: found[0][key] for key in bare} == bare


def test_update_of_a_deleted_shape_brings_it_back(place: Place) -> None:
    shape = put(place, shapes=[box(place)])["shapes"][0]
    place.client.tasks.retrieve(place.task_id).remove_annotations(ids=[shape["id"]])
    assert stored(place)["shapes"] == []
    status, _ = patch(place, "update", shapes=[{**box(place), "id": shape["id"]}])
    assert status == 200
    assert [item["id"] for item in stored(place)["shapes"]] == [shape["id"]]


def test_delete_needs_the_whole_object_but_looks_at_the_id_only(place: Place) -> None:
    shape = put(place, shapes=[box(place), box(place, 1)])["shapes"][0]
    required = ["This field is required."]
    missing = {"type": required, "label_id": required, "frame": required}
    assert patch(place, "delete", shapes=[{"id": shape["id"]}]) == (400, {"shapes": [missing]})
    other = box(place, points=(9.0, 9.0, 11.0, 11.0))
    assert patch(place, "delete", shapes=[{**other, "id": shape["id"]}])[0] == 200
    assert [item["frame"] for item in stored(place)["shapes"]] == [1]


def test_deleting_an_unknown_id_does_nothing(place: Place) -> None:
    put(place, shapes=[box(place)])
    before = stored(place)
    assert patch(place, "delete", shapes=[{**box(place), "id": UNKNOWN_ID}])[0] == 200
    place.client.tasks.retrieve(place.task_id).remove_annotations(ids=[UNKNOWN_ID])
    assert stored(place) == before


def test_one_bad_object_refuses_the_whole_write(place: Place) -> None:
    bad_score = [(box(place, score=1.5), {"score": ["Ensure this value is less than or equal to 1."]})]
    bad = [
        *(bad_score if place.scores else []),
        (box(place, points=(1.0, 2.0, 3.0)), {"points": ["invalid length for shape type 'rectangle'"]}),
        (box(place, frame=-1), {"frame": ["Ensure this value is greater than or equal to 0."]}),
    ]
    put(place, shapes=[box(place)])
    before = stored(place)
    for shape, complaint in bad:
        assert patch(place, "create", shapes=[box(place), shape]) == (400, {"shapes": [{}, complaint]})
    wrong_label = {**box(place), "label_id": UNKNOWN_ID}
    assert patch(place, "create", shapes=[box(place), wrong_label]) == (400, [f"label_id `{UNKNOWN_ID}` is invalid"])
    assert stored(place) == before


def test_a_frame_beyond_the_task_is_silently_dropped(place: Place) -> None:
    answer = put(place, shapes=[box(place), box(place, FRAMES + 5)])
    assert [shape["frame"] for shape in answer["shapes"]] == [0]
    assert len(stored(place)["shapes"]) == 1


def test_a_shape_of_another_job_cannot_be_updated_through_this_one(place: Place) -> None:
    shape = put(place, shapes=[box(place)])["shapes"][0]
    path = f"/jobs/{place.jobs()[1].id}/annotations"
    status, text = place.call("PATCH", path, {"shapes": [{**box(place, 2), "id": shape["id"]}]}, action="update")
    assert status == 400
    assert "duplicate key" in str(text)
    assert [item["frame"] for item in stored(place)["shapes"]] == [0]


def test_patch_without_an_action_is_refused(place: Place) -> None:
    status, body = place.call("PATCH", f"/tasks/{place.task_id}/annotations", {"shapes": []})
    assert (status, body) == (400, ["Please specify a correct 'action' for the request"])


def test_every_write_changes_the_date_of_its_job_only(place: Place) -> None:
    first, second = place.jobs()
    task = place.client.tasks.retrieve(place.task_id)
    place.call("GET", f"/jobs/{first.id}/annotations")
    assert [job.updated_date for job in place.jobs()] == [first.updated_date, second.updated_date]
    patch(place, "create", shapes=[box(place)])
    after = place.jobs()
    assert after[0].updated_date > first.updated_date
    assert after[1].updated_date == second.updated_date
    assert place.client.tasks.retrieve(place.task_id).updated_date > task.updated_date


def test_an_issue_with_its_comments(place: Place) -> None:
    job = place.jobs()[0]
    before = job.updated_date
    status, issue = place.call(
        "POST", "/issues", {"job": job.id, "frame": 0, "position": [1, 2, 30, 40], "message": "too wide"}
    )
    assert status == 201
    place.call("POST", "/comments", {"issue": issue["id"], "message": "really"})
    found = job.get_issues()
    assert [(item.id, list(item.position), item.resolved) for item in found] == [(issue["id"], [1, 2, 30, 40], False)]
    assert sorted(comment.message for comment in found[0].get_comments()) == ["really", "too wide"]
    assert place.call("PATCH", f"/issues/{issue['id']}", {"resolved": True})[1]["resolved"] is True
    assert place.jobs()[0].updated_date == before
    found[0].remove()
    assert place.call("GET", f"/issues/{issue['id']}")[0] == 404


def test_an_issue_without_a_message_or_position_is_refused(place: Place) -> None:
    job = place.jobs()[0].id
    blank = {"job": job, "frame": 0, "position": [1, 1, 5, 5], "message": ""}
    assert place.call("POST", "/issues", blank) == (400, {"message": ["This field may not be blank."]})
    nowhere = {"job": job, "frame": 0, "position": [], "message": "x"}
    assert place.call("POST", "/issues", nowhere) == (400, {"position": ["This list may not be empty."]})


def test_what_does_not_exist_is_a_404(place: Place) -> None:
    assert place.call("GET", f"/tasks/{UNKNOWN_ID}") == (404, {"detail": "No Task matches the given query."})
    assert place.call("GET", f"/jobs/{UNKNOWN_ID}") == (404, {"detail": "No Job matches the given query."})
    assert place.call("GET", "/labels", task_id=str(place.task_id), page="99") == (404, {"detail": "Invalid page."})


def test_a_wrong_token_is_a_401(place: Place) -> None:
    from cvat_sdk import make_client
    from cvat_sdk.exceptions import ApiException

    with (
        make_client(place.connection.url, access_token="no-such-token") as client,
        pytest.raises(ApiException) as caught,
    ):
        client.users.retrieve_current_user()
    assert caught.value.status == 401


def test_an_unknown_field_of_a_job_is_refused(place: Place) -> None:
    status, body = place.call("PATCH", f"/jobs/{place.jobs()[0].id}", {"status": "completed"})
    assert (status, body) == (403, {"detail": "Attempted to update an unknown field"})


def test_functions_are_a_list(place: Place) -> None:
    """Servers without functions behind them answer 503 instead, which the SDK asks for again and again."""
    try:
        status, body = place.call("GET", "/lambda/functions")
    except MaxRetryError as error:
        assert "503" in str(error.reason)
    else:
        assert (status, type(body)) == (200, list)
