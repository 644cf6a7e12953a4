"""Where the contract suite runs: a server, how to log in, and one small task on it."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image

if TYPE_CHECKING:
    from cvat_sdk import Client

SIZE = (64, 48)
FRAMES = 4
SEGMENT = 2
POLL_S = 0.5
# defaults are stated: without one CVAT 2.73 takes the first value, 2.54 an empty text
POSE = {"values": ["stands", "sits"], "default_value": "stands"}
SELECT = {"name": "pose", "mutable": True, "input_type": "select", **POSE}
CHECK = {"name": "checked", "mutable": False, "input_type": "checkbox", "values": ["false"], "default_value": "false"}
SVG = (
    '<line x1="20" y1="20" x2="60" y2="60" data-type="edge" data-node-from="1" data-node-to="2"></line>'
    '<circle r="0.75" cx="20" cy="20" data-type="element node" data-element-id="1" data-node-id="1" '
    'data-label-name="head"></circle>'
    '<circle r="0.75" cx="60" cy="60" data-type="element node" data-element-id="2" data-node-id="2" '
    'data-label-name="tail"></circle>'
)
LABELS: list[dict[str, Any]] = [
    {"name": "person", "type": "any", "attributes": [SELECT, CHECK]},
    {"name": "thing", "type": "any", "attributes": []},
    {
        "name": "body",
        "type": "skeleton",
        "attributes": [],
        "svg": SVG,
        "sublabels": [{"name": name, "type": "points", "attributes": []} for name in ("head", "tail")],
    },
]


@dataclass(frozen=True)
class Connection:
    """A server and either a token or a user with a password."""

    url: str
    token: str = ""
    user: str = ""
    password: str = ""

    def client(self) -> Client:
        """A logged-in client of the real SDK."""
        from cvat_sdk import make_client

        if self.token:
            client = make_client(self.url, access_token=self.token)
        else:
            client = make_client(self.url, credentials=(self.user, self.password))
        client.config.status_check_period = POLL_S
        return client


@dataclass
class Place:
    """A task of four frames in two jobs, made for one run of the suite and deleted afterwards."""

    connection: Connection
    client: Client
    task_id: int
    pictures: dict[str, bytes]
    labels: dict[str, Any]
    scores: bool = True
    """Whether the server keeps a score with each shape: 2.73 does, 2.54 does not."""

    def label(self, name: str) -> int:
        """The id of a label."""
        return int(self.labels[name].id)

    def spec(self, name: str) -> int:
        """The id of an attribute of ``person``."""
        return next(int(spec.id) for spec in self.labels["person"].attributes if spec.name == name)

    def kept(self, shape: dict[str, Any]) -> dict[str, Any]:
        """What of a shape as sent this server shows again."""
        return {k: v for k, v in shape.items() if k != "score" or self.scores}

    def jobs(self) -> list[Any]:
        """The task's jobs, in the order of their frames."""
        return sorted(self.client.tasks.retrieve(self.task_id).get_jobs(), key=lambda job: int(job.start_frame))

    def call(self, method: str, path: str, body: Any = None, **query: str) -> tuple[int, Any]:
        """One request with the client's own login. Returns status and decoded answer (None if empty)."""
        from cvat_sdk.core.helpers import make_request_headers

        headers = {**make_request_headers(self.client.api_client), "Accept": "application/vnd.cvat+json"}
        answer = self.client.api_client.rest_client.request(
            method,
            f"{self.connection.url}/api{path}",
            query_params=list(query.items()),
            headers={**headers, "Content-Type": "application/json"},
            body=body,
            _check_status=False,
        )
        return answer.status, json.loads(answer.data) if answer.data else None


def pictures() -> dict[str, bytes]:
    """Small JPEG files that differ."""
    found = {}
    for number in range(FRAMES):
        out = io.BytesIO()
        Image.new("RGB", SIZE, (60 * number, 90, 30)).save(out, "JPEG", quality=95)
        found[f"contract_{number}.jpg"] = out.getvalue()
    return found


@contextmanager
def make_place(connection: Connection, folder: Path) -> Iterator[Place]:
    """Make a project with a task through the SDK; delete the project, and with it everything, at the end."""
    from cvat_sdk import models

    with connection.client() as client:
        labels = [models.PatchedLabelRequest(**label) for label in LABELS]
        project = client.projects.create(models.ProjectWriteRequest(name="cvat-audit contract test", labels=labels))
        try:
            yield _make_task(connection, client, project.id, folder)
        finally:
            project.remove()


def _make_task(connection: Connection, client: Client, project_id: int, folder: Path) -> Place:
    from cvat_sdk import models
    from cvat_sdk.core.proxies.tasks import ResourceType

    files = pictures()
    for name, data in files.items():
        (folder / name).write_bytes(data)
    task = client.tasks.create_from_data(
        models.TaskWriteRequest(name="cvat-audit contract test", project_id=project_id, segment_size=SEGMENT),
        resources=[folder / name for name in files],
        resource_type=ResourceType.LOCAL,
        data_params={"image_quality": 70, "chunk_size": SEGMENT},
    )
    place = Place(connection, client, task.id, files, {label.name: label for label in task.get_labels()})
    place.scores = _keeps_scores(place)
    return place


def _keeps_scores(place: Place) -> bool:
    shape = {"type": "points", "frame": 0, "label_id": place.label("thing"), "points": [1.0, 1.0]}
    path, empty = f"/tasks/{place.task_id}/annotations", {"version": 0, "tags": [], "tracks": [], "shapes": []}
    place.call("PUT", path, {**empty, "shapes": [shape]})
    found = place.call("GET", path)[1]["shapes"]
    place.call("PUT", path, empty)
    return "score" in found[0]
