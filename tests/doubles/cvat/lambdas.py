"""Functions on the (imagined) Nuclio behind the server: list, call for one frame, batch."""

from __future__ import annotations

import base64
import io
import itertools
import json
from typing import Any

from PIL import Image as Pillow

from tests.doubles.cvat import access, media
from tests.doubles.cvat import shapes as checks
from tests.doubles.cvat.annotating import write_job
from tests.doubles.cvat.shapes import Item
from tests.doubles.cvat.state import Batch, Function, Job, Label, State, Task
from tests.doubles.cvat.web import ApiError, Request, Response, Routes, forbidden, server_error

NUCLIO = "http://nuclio.test:8070"
REASONS = {500: "Server Error: Internal Server Error", 503: "Server Error: Service Unavailable"}


class FunctionStatus(Exception):
    """Raised by a handler: the function answered with this HTTP status. CVAT passes on the status, not the body."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


def show_function(function: Function) -> dict[str, Any]:
    return {
        "id": function.id,
        "kind": function.kind,
        "labels_v2": function.labels,
        "description": function.description,
        "name": function.name,
        **function.extra,
    }


def _reach(state: State, path: str) -> None:
    if state.functions_down:
        host = "host='nuclio.test', port=8070"
        cause = f'NewConnectionError("HTTPConnection({host}): Failed to establish a new connection: '
        cause += '[Errno 111] Connection refused")'
        raise ApiError(503, f"HTTPConnectionPool({host}): Max retries exceeded with url: {path} (Caused by {cause})")


def list_functions(request: Request) -> Response:
    """One function object without a status makes the whole list a 500."""
    _reach(request.state, "/api/functions")
    functions = request.state.functions.values()
    if any(function.broken for function in functions):
        raise server_error()
    return Response(200, [show_function(function) for function in functions])


def _function(state: State, function_id: str) -> Function:
    path = f"/api/functions/{function_id}"
    _reach(state, path)
    if function_id not in state.functions:
        raise ApiError(404, f"404 Client Error: Not Found for url: {NUCLIO}{path}")
    return state.functions[function_id]


def get_function(request: Request) -> Response:
    return Response(200, show_function(_function(request.state, request.path_args["id"])))


def call_function(request: Request) -> Response:
    """One frame of a task or job. Nothing is stored."""
    body = request.object()
    job, task = _target(request, body)
    function = _function(request.state, request.path_args["id"])
    if task is None:
        raise ApiError(400, f"`{function.id}` lambda function was run with wrong arguments ('task')")
    return Response(200, invoke(request.state, function, task, job, body))


def _target(request: Request, body: dict[str, Any]) -> tuple[Job | None, Task | None]:
    state = request.state
    if "job" in body:
        job = state.jobs.get(body["job"])
        if job is None:
            raise ApiError(400, ["Job matching query does not exist."])
        if not access.works_on_job(state, request.user, job):
            raise forbidden()
        return job, state.tasks[job.task]
    if "task" not in body:
        return None, None
    task = state.tasks.get(body["task"])
    if task is None:
        raise ApiError(400, ["Task matching query does not exist."])
    if not access.runs_task(state, request.user, task):
        raise forbidden()
    return None, task


def invoke(state: State, function: Function, task: Task, job: Job | None, body: dict[str, Any]) -> Any:
    """Call the handler for one frame and translate its answer as CVAT does."""
    mapping = _mapping(function, state.labels_of(task), body.get("mapping"))
    payload = _payload(function, body)
    payload["image"] = _image(task, job, _mandatory(function, body, "frame"), body.get("roi"))
    answer = _run(function, payload)
    if function.kind == "interactor":
        return _moved(answer, body.get("roi"))
    frame = int(body["frame"])
    return _detections(answer, mapping, frame, bool(body.get("conv_mask_to_poly")))


def _mandatory(function: Function, body: dict[str, Any], name: str) -> Any:
    if name not in body:
        raise ApiError(400, f"`{function.id}` lambda function was called without mandatory argument: {name}")
    return body[name]


def _payload(function: Function, body: dict[str, Any]) -> dict[str, Any]:
    if function.kind != "interactor":
        return {"threshold": body["threshold"]} if body.get("threshold") is not None else {}
    names = ("pos_points", "neg_points")
    points = {name: _mandatory(function, body, name) for name in names}
    points["obj_bbox"] = body.get("obj_bbox")
    if body.get("roi"):
        x0, y0 = body["roi"][:2]
        points = {name: [[x - x0, y - y0] for x, y in rows] if rows else rows for name, rows in points.items()}
    return points


def _image(task: Task, job: Job | None, frame: int, roi: list[int] | None) -> str:
    """The original file in base64; with a region of interest the crop, encoded again."""
    assert task.media is not None, "a function is called on a task with data"
    size = len(task.media.images)
    if job is not None and frame not in job.frames:
        raise ApiError(400, "The frame is outside the job range")
    try:
        number = media.frame_number(str(frame), range(size), size, None)
    except ApiError as error:
        raise ApiError(400, [error.response.body]) from error
    data = task.media.images[number].data
    if roi:
        out = io.BytesIO()
        with Pillow.open(io.BytesIO(data)) as image:
            image.convert("RGB").crop(tuple(roi)).save(out, "JPEG")
        data = out.getvalue()
    return base64.b64encode(data).decode()


def _run(function: Function, payload: dict[str, Any]) -> Any:
    """The handler's answer. Its exceptions and non-JSON (bytes) become the errors that CVAT shows."""
    where = f"for url: {NUCLIO}/api/function_invocations"
    try:
        answer = function.handler(payload)
    except FunctionStatus as error:
        reason = REASONS.get(error.status, "Error")
        raise ApiError(error.status, f"{error.status} {reason} {where}") from error
    except Exception as error:  # a function that falls over answers 500, whatever it was
        raise ApiError(500, f"500 {REASONS[500]} {where}") from error
    if not isinstance(answer, bytes):
        return answer
    try:
        return json.loads(answer)
    except ValueError as error:
        raise ApiError(500, str(error)) from error


def _moved(answer: Any, roi: list[int] | None) -> Any:
    """An interactor's answer is passed on as it is; after a crop its shapes move back."""
    if not roi or not isinstance(answer, dict) or "shapes" not in answer:
        return answer
    x0, y0 = roi[:2]
    rows = []
    for shape in answer["shapes"]:
        points = list(shape["points"])
        first = len(points) - 4 if shape["type"] == "mask" else 0
        points[first:] = [value + (x0, y0)[i % 2] for i, value in enumerate(points[first:])]
        rows.append({**shape, "points": points})
    return {**answer, "shapes": rows}


Mapping = dict[str, tuple[Label, dict[str, int]]]


def _mapping(function: Function, labels: list[Label], asked: dict[str, Any] | None) -> Mapping:
    """Model label to task label and attributes; without a mapping what bears the same names."""
    mine = {label.name: label for label in labels}
    theirs = {label["name"]: label for label in function.labels}
    if asked is None:
        asked = {
            name: {"name": name, "attributes": {item["name"]: item["name"] for item in label["attributes"]}}
            for name, label in theirs.items()
            if name in mine
        }
    found: Mapping = {}
    for name, target in asked.items():
        if name not in theirs:
            raise ApiError(400, f'Invalid mapping. Unknown model label "{name}"')
        if target["name"] not in mine:
            raise ApiError(400, f'Invalid mapping. Unknown db label "{target["name"]}"')
        label = mine[target["name"]]
        specs = {item.name: item.id for item in label.attributes}
        wanted = target.get("attributes", {})
        found[name] = label, {model: specs[own] for model, own in wanted.items() if own in specs}
    return found


def _detections(answer: Any, mapping: Mapping, frame: int, to_polygons: bool) -> dict[str, Any]:
    """Labels that aren't mapped are skipped; the confidence is lost."""
    tags: list[Item] = []
    shapes: list[Item] = []
    for item in answer:
        if item["label"] not in mapping:
            continue
        label, specs = mapping[item["label"]]
        shared = {
            "id": None,
            "label_id": label.id,
            "group": 0,
            "source": "auto",
            "frame": frame,
            "attributes": [
                {"spec_id": specs[given["name"]], "value": str(given["value"])}
                for given in item.get("attributes", [])
                if given["name"] in specs
            ],
        }
        if item["type"] == "tag":
            tags.append(shared)
        else:
            shapes.append({**_place(item, to_polygons), **shared, "score": 1})
    return {"version": 0, "tags": tags, "shapes": shapes, "tracks": [], "intervals": []}


def _place(item: Item, to_polygons: bool) -> Item:
    kind, points = item["type"], item["points"]
    if kind == "mask" and to_polygons:
        kind = "polygon"
    elif kind == "mask":
        points = [*runs(item["mask"][:-4]), *item["mask"][-4:]]
    fixed = {"occluded": False, "outside": False, "z_order": 0, "rotation": item.get("rotation", 0)}
    return {"type": kind, **fixed, "points": list(points)}


def runs(pixels: list[int]) -> list[int]:
    """Lengths of runs of a flat 0/1 mask, the first one of zeros (0 if it begins with a one)."""
    groups = [(value, len(list(group))) for value, group in itertools.groupby(pixels)]
    lead = [0] if groups and groups[0][0] else []
    return lead + [count for _, count in groups]


def _batch_id(task: int) -> str:
    return f"action=autoannotate&target=task&target_id={task}"


def create_batch(request: Request) -> Response:
    """Queues a batch; one a task at a time (409). It is carried on by the polls."""
    body = request.object()
    if "function" not in body:
        raise ApiError(400, {"function": ["This field is required."]})
    job, task = _target(request, body)
    if task is None:
        raise ApiError(400, {"task": ["This field is required."]})
    function = _function(request.state, body["function"])
    state = request.state
    old = state.batches.get(_batch_id(task.id))
    if old is not None and old.status in ("queued", "started"):
        raise ApiError(409, f"Only one running request is allowed for the same task #{task.id}")
    batch = Batch(
        id=_batch_id(task.id),
        function=function.id,
        task=task.id,
        job=job.id if job else None,
        threshold=body.get("threshold"),
        options=body,
        owner=request.user.id,
        enqueued=state.now(),
        polls_left=state.request_polls,
        frames=_batch_frames(state, task, job),
        exc_info=old.exc_info if old else None,  # the server shows the last failure while queued
    )
    state.batches[batch.id] = batch
    return Response(200, _show_batch(batch))


def _batch_frames(state: State, task: Task, job: Job | None) -> list[int]:
    size = len(task.media.images) if task.media else 0
    deleted = task.media.deleted if task.media else set()
    return [frame for frame in (job.frames if job else range(size)) if frame not in deleted]


def _show_batch(batch: Batch) -> dict[str, Any]:
    function: dict[str, Any] = {"id": batch.function, "task": batch.task}
    if batch.job is not None:
        function["job"] = batch.job
    return {
        "id": batch.id,
        "function": {**function, "threshold": batch.threshold},
        "status": batch.status,
        "progress": batch.progress,
        "enqueued": batch.enqueued,
        "started": batch.started,
        "ended": batch.ended,
        "exc_info": batch.exc_info,
    }


def _batch(request: Request) -> Batch:
    found = request.state.batches.get(request.path_args["rq"])
    if found is None:
        raise ApiError(404, f"{request.path_args['rq']} lambda job is not found")
    return found


def list_batches(request: Request) -> Response:
    return Response(200, [_show_batch(batch) for batch in request.state.batches.values()])


def get_batch(request: Request) -> Response:
    batch = _batch(request)
    advance(request.state, batch)
    return Response(200, _show_batch(batch))


def advance(state: State, batch: Batch) -> None:
    """With polls left: start, then one frame a poll. Without: all the rest at once."""
    if batch.status == "queued":
        batch.status, batch.started, batch.exc_info = "started", state.now(), None
        if batch.options.get("cleanup"):
            _clean(state, batch)
    elif batch.status != "started":
        return
    steps = 1 if batch.polls_left > 0 else len(batch.frames)
    batch.polls_left -= 1
    try:
        _work(state, batch, steps)
    except ApiError as error:
        batch.status, batch.ended = "failed", state.now()
        batch.exc_info = f"Traceback (most recent call last):\n  <cut>\n{error}"


def _work(state: State, batch: Batch, steps: int) -> None:
    function, task = state.functions[batch.function], state.tasks[batch.task]
    total = len(batch.frames) + len(batch.results)
    for frame in batch.frames[:steps]:
        if function.kind == "detector":
            body = {**batch.options, "frame": frame}
            batch.results.append((frame, invoke(state, function, task, None, body)))
            batch.progress = 100 * len(batch.results) // total
    del batch.frames[:steps]
    if not batch.frames:
        _store(state, batch)
        batch.status, batch.ended = "finished", state.now()


def _targets(state: State, batch: Batch) -> list[Job]:
    return [state.jobs[batch.job]] if batch.job is not None else state.parts(batch.task)


def _clean(state: State, batch: Batch) -> None:
    for job in _targets(state, batch):
        write_job(state, job, {"tags": [], "shapes": [], "tracks": []}, "replace")


def _store(state: State, batch: Batch) -> None:
    """Add what was found so far to the jobs; checked like any write."""
    labels = state.labels_of(state.tasks[batch.task])
    for job in _targets(state, batch):
        inside = [data for frame, data in batch.results if frame in job.frames]
        found = {kind: [item for data in inside for item in data[kind]] for kind in ("tags", "shapes")}
        if any(found.values()):
            write_job(state, job, checks.check(found, labels, ids_allowed=False), "create")
    batch.results = []


def delete_batch(request: Request) -> Response:
    """Cancels a running batch: what is done so far is stored."""
    batch = _batch(request)
    if batch.status == "started":
        _store(request.state, batch)
    del request.state.batches[batch.id]
    return Response(204)


def routes(table: Routes) -> None:
    table.add("/api/lambda/functions", GET=list_functions)
    table.add("/api/lambda/functions/{id}", GET=get_function, POST=call_function)
    table.add("/api/lambda/requests", GET=list_batches, POST=create_batch)
    table.add("/api/lambda/requests/{rq}", GET=get_batch, DELETE=delete_batch)
