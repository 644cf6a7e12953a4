"""What stood on the recorded server, and what happened there between the exchanges that are replayed."""

from __future__ import annotations

import io
import itertools
from collections.abc import Callable
from typing import Any

from PIL import Image

from tests.doubles.cvat import ADMIN, FakeCvat, FunctionStatus, lambdas
from tests.doubles.cvat.state import State

PICTURE = (320, 240)
ANNOTATOR, STRANGER = "annot1", "annot2"
PICTURES = 6


def picture(shade: int, size: tuple[int, int] = PICTURE) -> bytes:
    """A JPEG of one colour."""
    out = io.BytesIO()
    Image.new("RGB", size, (shade, 100, 50)).save(out, "JPEG")
    return out.getvalue()


def seed(server: FakeCvat) -> dict[str, bytes]:
    """Put in what was there before the first exchange. Returns the pictures that clients upload, by name."""
    server.add_user(ANNOTATOR, "pw", "annotator-token")
    server.add_user(STRANGER, "pw", "stranger-token", group="worker")
    for name in (ADMIN, ANNOTATOR, STRANGER):
        user = server.state.user_named(name)
        assert user is not None
        user.last_login = server.state.now()
    server.state.keys = {"key-1": 1, "key-2": 2, "key-3": 3}
    server.request_polls = 1
    _add_functions(server)
    counters = {"token": 12, "project": 15, "label": 72, "attribute": 32, "task": 17, "job": 26, "comment": 6}
    set_counters(server.state, {**counters, "shapes": 352, "tags": 6, "tracks": 3, "keyframes": 7})
    pictures = {f"photo_{i}.jpg": picture(40 * i) for i in range(PICTURES)}
    return {**pictures, "broken.jpg": b"not a jpeg"}


def set_counters(state: State, counters: dict[str, int]) -> None:
    """Give out these ids next."""
    state._counters.update({name: itertools.count(first) for name, first in counters.items()})


def _add_functions(server: FakeCvat) -> None:
    """The recorded server's functions, and the answers of its stubs."""
    person = {"name": "person", "type": "rectangle"}
    mode = {"name": "occluded_by", "input_type": "select", "values": ["none", "car"]}
    parts: list[dict[str, Any]] = [{**person, "attributes": [mode]}, {"name": "blob", "type": "mask"}]
    parts += [{"name": "outline", "type": "polygon"}, {"name": "whole", "type": "tag"}]
    server.add_function("det-demo", "detector", parts, lambda _: DETECTIONS, name="Demo detector")
    clicks: dict[str, Any] = {"startswith_box_optional": True, "help_message": "click the object", "version": 2}
    server.add_function("sam-demo", "interactor", [], lambda _: MASK, name="Demo interactor", **clicks)
    server.add_function("sam-legacy", "interactor", [], lambda _: {"mask": LEGACY}, name="Legacy interactor")
    kinds = {"any": "any", "rect": "rectangle", "poly": "polygon", "mask": "mask"}
    labels = [{"name": name, "type": kind} for name, kind in kinds.items()]
    server.add_function("stub-echo", "detector", labels, lambda _: ECHO, name="Echo")
    server.add_function("det-broken", "detector", [person], _fails(500), name="Answers 500")
    server.add_function(
        "det-badjson", "detector", [person], lambda _: b"<html>not json</html>", name="Answers non-JSON"
    )
    server.add_function("det-busy", "detector", [person], _fails(503), name="Answers 503 with Retry-After")


def _fails(status: int) -> Any:
    def handler(_: dict[str, Any]) -> Any:
        raise FunctionStatus(status)

    return handler


BLOB = [int(pixel) for pixel in "01101101110110111011011001101101"]
LEGACY = [[int(4 <= x < 8 and 2 <= y < 5) for x in range(12)] for y in range(8)]
MASK_POINTS = [2, 4, 4, 4, 4, 4, 4, 4, 2, 40, 30, 47, 33]
MASK = {"shapes": [{"type": "mask", "points": MASK_POINTS, "attributes": [{"spec_id": 0, "value": "0.93"}]}]}
DETECTIONS = [
    {
        "confidence": "0.93",
        "label": "person",
        "points": [30.5, 40.25, 120.0, 200.75],
        "type": "rectangle",
        "attributes": [{"name": "occluded_by", "value": "car"}],
    },
    {"label": "blob", "type": "mask", "points": [10, 20, 17, 20, 17, 23, 10, 23], "mask": [*BLOB, 10, 20, 17, 23]},
    {"label": "outline", "type": "polygon", "points": [5, 5, 60, 5, 60, 50, 5, 50]},
    {"label": "whole", "type": "tag", "points": []},
    {"label": "not-in-spec", "type": "rectangle", "points": [1, 1, 5, 5]},
]
ECHO = [
    {"label": "rect", "type": "rectangle", "points": [10.5, 20.25, 110.0, 200.0]},
    {"label": "poly", "type": "polygon", "points": [5, 5, 60, 5, 60, 50]},
    {
        "label": "mask",
        "type": "mask",
        "points": [],
        "mask": [0, 1, 1, 0, 1, 1, 1, 1, 0, 1, 1, 0, 10, 20, 13, 22],
    },
]

# What happened on the recorded server between the exchanges that are replayed.
BETWEEN: dict[tuple[str, int], dict[str, int]] = {
    ("02-project-labels", 13): {"label": 83},
    ("10-consensus", 0): {"job": 41},
    ("11-lambda", 44): {"shapes": 848},
    ("11-lambda", 52): {"shapes": 866},
    ("11-lambda", 57): {"shapes": 872},
    ("12-organizations", 15): {"job": 48},
}


def _join_organization(server: FakeCvat) -> None:
    server.state.organizations[1].members[2] = "worker"


def _one_shape(server: FakeCvat) -> None:
    set_counters(server.state, {"shapes": 469})
    server.set_annotations(26, {"shapes": [_rectangle(1, [11.0, 11.0, 22.0, 22.0])]})


def _start_of_concurrency(server: FakeCvat) -> None:
    """Ground truth has been finished, and one shape is left."""
    server.set_job(29, stage="acceptance", state="completed")
    server.set_job(26, state="in progress")
    server.set_annotations(27, {})
    set_counters(server.state, {"shapes": 519})
    server.set_annotations(26, {"shapes": [_rectangle(0, [1.0, 1.0, 20.0, 20.0])]})


def _rectangle(frame: int, points: list[float]) -> dict[str, Any]:
    return {"type": "rectangle", "frame": frame, "label_id": 72, "points": points}


def _finish_batch(server: FakeCvat) -> None:
    next(iter(server.state.batches.values())).polls_left = 0


def _carry_batch_on(server: FakeCvat) -> None:
    """One poll that was left out of the golden file."""
    batch = next(iter(server.state.batches.values()))
    batch.polls_left = 1
    lambdas.advance(server.state, batch)


def _finish_creation(server: FakeCvat) -> None:
    for background in server.state.background.values():
        background.polls_left = 0


MEANWHILE: dict[tuple[str, int], Callable[[FakeCvat], None]] = {
    ("05b-annotations-errors", 126): _one_shape,
    ("10-consensus", 5): _finish_creation,
    ("12-organizations", 20): _finish_creation,
    ("14-concurrency", 0): _start_of_concurrency,
    ("11-lambda", 44): _finish_batch,
    ("11-lambda", 52): _carry_batch_on,
    ("11-lambda", 57): _finish_batch,
    ("12-organizations", 15): _join_organization,
}
