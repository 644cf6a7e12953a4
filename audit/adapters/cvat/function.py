"""A detector deployed in CVAT (a Nuclio function) as a ``Predictor``: CVAT runs it on its own copy of the frame."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from pycocotools import mask as coco_mask

from audit.adapters.cvat.address import parse_server
from audit.adapters.cvat.connection import Connection
from audit.adapters.cvat.credentials import Credentials
from audit.adapters.cvat.geometry import Geometry, ShapeError, geometry
from audit.adapters.cvat.patience import Patience, Refused, ServerFailed, line_of
from audit.core.annotations import AREA_SHAPES, Predictions, ShapeType
from audit.core.labels import match_labels
from audit.core.table import objects
from audit.errors import ServiceError, UsageError
from audit.ports import PredictItem

FUNCTION_PATIENCE = Patience(read=150.0, answer=300.0, attempts=3)
"""CVAT gives a function 120 s, and a second call rarely cures what the first has met."""

MAX_FAILED_ITEMS = 3
"""Frames in a row on which the function may fail before anything has worked."""

Raw = Mapping[str, Any]
_ID = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]*")  # what CVAT takes for a function's id


def open_function(  # noqa: PLR0913 - one keyword for each option of the command line
    server: str,
    name: str,
    *,
    credentials: Credentials,
    organization: str | None = None,
    mapping: Mapping[str, str] | None = None,
    labels: Sequence[str] = (),
    threshold: float | None = None,
    patience: Patience = FUNCTION_PATIENCE,
) -> CvatFunction:
    """Find a detector by its id or its name on the server that an address such as ``cvat://HOST/tasks/4`` names.

    mapping: the function's labels to the task's; others match by name, as in ``match_labels``.
    labels: the audited task's, on which the answer depends and so the digest. threshold: sent to the
    function; ``None`` leaves it to the function's own. Raises UsageError, listing what detectors there are.
    """
    connection = Connection(parse_server(server), credentials, organization=organization, patience=patience)
    try:
        entry = _entry(connection, name)
    except BaseException:
        connection.close()
        raise
    return CvatFunction(connection, entry, mapping=mapping or {}, labels=labels, threshold=threshold)


class CvatFunction:
    """Predicts frames of one server's tasks. Needs no image, since CVAT sends its own to the function.

    CVAT drops the function's confidence, so every score is 1.0 (``notes`` says so). Only labels that the
    task has come back; of shapes, rectangles, ellipses, polygons and masks are taken.
    """

    needs_images = False
    batch_size = 1

    def __init__(
        self,
        connection: Connection,
        entry: Raw,
        *,
        mapping: Mapping[str, str],
        labels: Sequence[str],
        threshold: float | None,
    ) -> None:
        self._connection, self._id, self._mapping, self._threshold = connection, str(entry["id"]), mapping, threshold
        self.name = f"{entry.get('name') or self._id} ({connection.host})"
        self._specs = {str(spec["name"]): str(spec.get("type") or "any") for spec in entry.get("labels_v2") or []}
        self.labels = tuple(self._specs)
        facts = [connection.base, dict(entry), sorted(mapping.items()), list(labels), threshold]
        self.digest = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()
        self.notes = (f"{self.name}: CVAT does not pass a function's scores on; every prediction counts as 1.0",)
        self._tasks: dict[int, tuple[dict[str, Any], dict[int, int]]] = {}
        self._worked, self._failed = False, 0

    def predict(self, items: Sequence[PredictItem]) -> list[Predictions | str]:
        """One call for each frame. Raises ServiceError if the server is gone or the function never works."""
        return [self._predict(item) for item in items]

    def close(self) -> None:
        self._connection.close()

    def _predict(self, item: PredictItem) -> Predictions | str:
        what = f"function '{self._id}' on frame {item.number} of task {item.task}"
        try:
            mapping, codes = self._labels_of(item.task)
            answer = self._call(what, item, mapping) if mapping else {}
            predictions = _predictions(answer, codes, item.size_hw)
        except Refused as error:
            if error.status == 401:
                raise
            return str(error)
        except ServerFailed as error:
            self._failed += 1
            if not self._worked and self._failed >= MAX_FAILED_ITEMS:
                raise
            return str(error)
        except (ShapeError, KeyError, TypeError, ValueError, AttributeError) as error:
            return f"{what} gives no usable answer ({line_of(repr(error), 80)})"
        self._worked = True
        return predictions

    def _call(self, what: str, item: PredictItem, mapping: dict[str, Any]) -> Any:
        body: dict[str, Any] = {"task": int(item.task), "frame": int(item.number), "mapping": mapping}
        if self._threshold is not None:
            body["threshold"] = self._threshold
        return self._connection.value(what, self._post, body)

    def _post(self, body: dict[str, Any], **kwargs: Any) -> Any:
        """Not through ``lambda_api.create_functions``: its model makes a float of the frame number."""
        api = self._connection.api
        endpoint = api.lambda_api.create_functions_endpoint.settings
        headers = {"Accept": "application/vnd.cvat+json", "Content-Type": "application/json"}
        path = {"func_id": self._id}
        auth = endpoint["auth"]
        return api.call_api(
            endpoint["endpoint_path"], "POST", path, [], headers, body=body, auth_settings=auth, **kwargs
        )

    def _labels_of(self, task: int) -> tuple[dict[str, Any], dict[int, int]]:
        """The mapping to send for a task, and from its label ids to codes into ``labels``."""
        if task not in self._tasks:
            what, call = f"the labels of task {task}", self._connection.api.labels_api.list
            theirs = {str(label["name"]): label for label in self._connection.pages(what, call, task_id=task)}
            if not theirs:
                raise Refused(f"task {task} has no labels on {self._connection.host}, or does not exist", 404)
            names = list(theirs)
            given = {a: b for a, b in self._mapping.items() if a in self._specs and b in theirs}
            lost = [a for a in self._mapping if a not in given]
            matched = zip(self.labels, match_labels(self.labels, names, given).codes, strict=True)
            known = {a: names[code] for a, code in matched if code >= 0 and a not in lost}
            known = {a: b for a, b in known.items() if _fits(self._specs[a], theirs[b].get("type"))}
            codes = {int(theirs[b]["id"]): self.labels.index(a) for a, b in reversed(known.items())}
            self._tasks[task] = ({a: {"name": b} for a, b in known.items()}, codes)
        return self._tasks[task]


def _entry(connection: Connection, name: str) -> Raw:
    """One by one first: a single broken function makes CVAT fail to list them all."""
    api = connection.api.lambda_api
    try:
        entry = connection.json(f"function '{name}'", api.retrieve_functions, name) if _ID.fullmatch(name) else {}
        if entry.get("kind") == "detector":
            return entry
    except Refused as error:
        if error.status == 401:
            raise
    except ServerFailed as error:
        if error.status == 503:
            raise ServiceError(f"{connection.host} cannot reach its functions (Nuclio is down, says CVAT)") from None
        raise
    listed = connection.value("the list of functions", api.list_functions)
    detectors = [f for f in listed if isinstance(f, dict) and f.get("kind") == "detector"]
    for candidate in detectors:
        if name == candidate.get("name"):
            return dict(candidate)
    names = ", ".join(sorted(line_of(f"{d.get('id')} ({d.get('name')})", 80) for d in detectors)) or "none"
    raise UsageError(f"{connection.host} has no detector '{name}'; there are: {names}")


def list_functions(server: str, *, credentials: Credentials) -> list[Raw]:
    """All functions that a CVAT lists. Raises UsageError or ServiceError, with the server's status."""
    connection = Connection(parse_server(server), credentials, patience=Patience(attempts=1))
    try:
        listed = connection.value("the list of functions", connection.api.lambda_api.list_functions)
    finally:
        connection.close()
    if not isinstance(listed, list) or not all(isinstance(f, dict) for f in listed):
        raise ServiceError(f"{connection.host} does not answer like a CVAT server (asked for the list of functions)")
    return list(listed)


def _fits(ours: str, theirs: Any) -> bool:
    """Whether CVAT takes a function's label of one type for a task's of another."""
    return ours == theirs or "any" in (ours, theirs) or {ours, theirs} == {"mask", "polygon"}


def _predictions(answer: Any, codes: Mapping[int, int], size_hw: tuple[int, int]) -> Predictions:
    places: list[Geometry] = []
    labels, scores = list[int](), list[float]()
    for raw in answer.get("shapes") or []:
        place = geometry(raw, size_hw)
        if place.shape in AREA_SHAPES and int(raw["label_id"]) in codes:
            places.append(place)
            labels.append(codes[int(raw["label_id"])])
            scores.append(min(max(float(raw.get("score", 1.0)), 0.0), 1.0))
    return Predictions(
        xyxy=np.array([p.xyxy for p in places], dtype=np.float64).reshape(-1, 4),
        label=np.array(labels, dtype=np.int64),
        score=np.array(scores, dtype=np.float64),
        mask=objects(_mask(p, size_hw) for p in places),
    )


def _mask(place: Geometry, size_hw: tuple[int, int]) -> bytes | None:
    if place.shape is not ShapeType.POLYGON or place.points is None or min(size_hw) < 1:
        return place.mask
    if not np.isfinite(place.points[0]).all():
        return None
    rings = coco_mask.frPyObjects([ring.ravel().tolist() for ring in place.points], *size_hw)
    return bytes(coco_mask.merge(rings)["counts"])
