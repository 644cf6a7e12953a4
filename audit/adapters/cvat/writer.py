"""The only file that writes to CVAT. Reads are retried by the connection; a write goes out once."""

from __future__ import annotations

import fcntl
import hashlib
import io
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from audit.adapters.cvat import edits, track_edits
from audit.adapters.cvat.address import parse_address
from audit.adapters.cvat.connection import MAX_JSON_BYTES, Connection
from audit.adapters.cvat.convert import digest_of
from audit.adapters.cvat.credentials import Credentials
from audit.adapters.cvat.edits import LabelSpec
from audit.adapters.cvat.patience import Patience, Refused, line_of
from audit.adapters.cvat.tracks import shapes_of_track
from audit.adapters.folders import state_dir
from audit.core.corrections import Correction
from audit.errors import ServiceError, UsageError
from audit.push_ports import SHAPES, TRACKS, IssueView, JobView, Place, Remark, Shape, by_id, without_key_ids

HEADERS = {"Accept": "application/vnd.cvat+json", "Content-Type": "application/json"}


class CvatWriter:
    """A ``PushTarget`` on the server of an audited source (``cvat://HOST/tasks/42``). Nothing is sent before use."""

    def __init__(self, source: str, credentials: Credentials, *, patience: Patience | None = None) -> None:
        patience, self._base = patience or Patience(), parse_address(source).base
        self._reads = Connection(self._base, credentials, patience=patience)
        # an answer that never came says nothing of whether the write was carried out: asking again could double it
        self._writes = Connection(self._base, credentials, patience=replace(patience, attempts=1))
        self._by_token = bool(credentials.token)
        self._labels: dict[int, dict[str, LabelSpec]] = {}

    def job(self, job: int) -> JobView:
        api = self._reads.api.jobs_api
        raw = self._reads.json(f"job {job}", api.retrieve, job)
        with self._sense():
            frames = range(int(raw["start_frame"]), int(raw["stop_frame"]) + 1)
            included = frames if raw.get("type") != "ground_truth" else self._included(job, frames)
            assignee = str((raw.get("assignee") or {}).get("username") or "")
            stage, state = str(raw.get("stage") or ""), str(raw.get("state") or "")
            return JobView(job, frozenset(included), stage, state, assignee, str(raw["updated_date"]))

    def shapes(self, job: int) -> dict[int, Shape]:
        what, call = f"the annotations of job {job}", self._reads.api.jobs_api.retrieve_annotations
        raw = self._reads.json(what, call, job)
        with self._sense():
            return by_id(raw["shapes"])

    def tracks(self, job: int) -> dict[int, Shape]:
        what, call = f"the annotations of job {job}", self._reads.api.jobs_api.retrieve_annotations
        raw = self._reads.json(what, call, job)
        with self._sense():
            found = by_id(raw["tracks"])
            for track in found.values():
                list(shapes_of_track(without_key_ids(track), ()))  # raises where keyframes make no sense
            return found

    def shown_on(self, track: Shape, numbers: Iterable[int]) -> list[int]:
        return [int(shape["frame"]) for shape in shapes_of_track(track, numbers)]

    def skeletons(self, job: int) -> dict[str, tuple[str, ...]]:
        """The points of each of the job's labels that is a skeleton, by its name."""
        return {
            name: tuple(part for part, _ in label.points)
            for name, label in self._labels_of(job).items()
            if label.type == "skeleton"
        }

    def digest(self, shape: Shape) -> str:
        return digest_of(shape)

    def same(self, stored: Shape, wanted: Shape) -> bool:
        return edits.same(stored, wanted)

    def twin(self, shapes: Mapping[int, Shape], wanted: Shape) -> int | None:
        place = (wanted["frame"], wanted["label_id"], wanted.get("points"))
        near = (i for i, s in shapes.items() if (s.get("frame"), s.get("label_id"), s.get("points")) == place)
        return next((i for i in near if edits.same(shapes[i], wanted)), None)

    def drawn(self, correction: Correction, place: Place) -> Shape:
        drawn = track_edits.drawn_track if correction.track else edits.drawn
        return drawn(correction, place, self._labels_of(place.job))

    def changed(self, shape: Shape, correction: Correction, place: Place) -> Shape:
        changed = track_edits.changed_track if correction.track else edits.changed
        return changed(shape, correction, place, self._labels_of(place.job))

    def write(self, job: int, action: str, shapes: Sequence[Shape], kind: str = SHAPES) -> frozenset[int]:
        endpoint = self._writes.api.jobs_api.partial_update_annotations_endpoint
        sent = [without_key_ids(shape) if kind == TRACKS else shape for shape in shapes]
        body: dict[str, Any] = {SHAPES: [], "tags": [], TRACKS: [], kind: sent}
        what = f"writing to job {job}"
        answer = self._send(what, endpoint, {"id": job}, body, [("action", action)])
        try:
            return frozenset(by_id(json.loads(answer)[kind]))
        except (KeyError, TypeError, ValueError):  # it was carried out or not: reading tells
            return frozenset()

    def issues(self, job: int) -> list[IssueView]:
        """All issues of the job, oldest first."""
        api, what = self._reads.api, f"the issues of job {job}"
        listed = list(self._reads.pages(what, api.issues_api.list, job_id=job))
        with self._sense():
            comments: dict[int, list[Remark]] = {int(raw["id"]): [] for raw in listed}
            if listed:
                said = self._reads.pages(what, api.comments_api.list, job_id=job)
                for raw in sorted(said, key=lambda c: int(c["id"])):
                    # a server that does not know the filter gives those of other jobs too
                    comments.get(int(raw["issue"]), []).append(_remark(raw))
            issues = [_issue(raw, comments[int(raw["id"])]) for raw in listed]
        return sorted((i for i in issues if i.job == job), key=lambda i: i.id)

    def open_issue(self, job: int, frame: int, position: Sequence[float], text: str) -> int:
        body = {"job": job, "frame": frame, "position": [float(v) for v in position], "message": text}
        answer = self._send(f"opening an issue in job {job}", self._writes.api.issues_api.create_endpoint, {}, body)
        with self._sense():
            return int(json.loads(answer)["id"])

    def delete_issue(self, issue: int) -> None:
        endpoint = self._writes.api.issues_api.destroy_endpoint
        self._send(f"deleting issue {issue}", endpoint, {"id": issue}, None)

    @contextmanager
    def holding(self, job: int) -> Iterator[None]:
        name = hashlib.sha256(f"{self._base}/jobs/{job}".encode()).hexdigest()[:32]
        path = state_dir("locks") / f"{name}.lock"
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise UsageError(f"another cvat-audit is writing to job {job}; wait for its end") from None
            yield
        finally:
            os.close(handle)

    def close(self) -> None:
        self._reads.close()
        self._writes.close()

    def _send(
        self, what: str, endpoint: Any, path: dict[str, Any], body: Any, query: Sequence[tuple[str, str]] = ()
    ) -> bytes:
        """Not through the SDK's models: they leave out fields they do not know, and an update replaces everything."""
        settings, received = endpoint.settings, io.BytesIO()

        def call(**kwargs: Any) -> Any:
            address, method, auth = settings["endpoint_path"], settings["http_method"], settings["auth"]
            send: Callable[..., Any] = self._writes.api.call_api
            return send(address, method, path, list(query), dict(HEADERS), body=body, auth_settings=auth, **kwargs)

        try:
            self._writes.save(what, received, MAX_JSON_BYTES, call)
        except Refused as error:
            if error.status == 403 and self._by_token:
                raise Refused(f"{error} (a read-only token cannot write)", 403) from None
            raise
        return received.getvalue()

    def _labels_of(self, job: int) -> dict[str, LabelSpec]:
        if job not in self._labels:
            listed = self._reads.pages(f"the labels of job {job}", self._reads.api.labels_api.list, job_id=job)
            with self._sense():
                self._labels[job] = {str(raw["name"]): LabelSpec.of(raw) for raw in listed if not raw.get("has_parent")}
        return self._labels[job]

    def _included(self, job: int, frames: range) -> Sequence[int]:
        """A ground-truth job's frames are not a range."""
        meta = self._reads.json(f"the frames of job {job}", self._reads.api.jobs_api.retrieve_data_meta, job)
        listed = meta.get("included_frames")
        return frames if listed is None else [int(n) for n in listed]

    @contextmanager
    def _sense(self) -> Iterator[None]:
        try:
            yield
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            host = self._reads.host
            raise ServiceError(f"{host} does not answer like a CVAT server ({line_of(repr(error), 80)})") from error


def _remark(raw: dict[str, Any]) -> Remark:
    author = str((raw.get("owner") or {}).get("username") or "")
    return Remark(author, str(raw.get("message") or ""), str(raw.get("created_date") or ""))


def _issue(raw: dict[str, Any], comments: Sequence[Remark]) -> IssueView:
    time = str(raw.get("updated_date") or "")
    return IssueView(int(raw["id"]), int(raw["job"]), int(raw["frame"]), bool(raw["resolved"]), time, tuple(comments))
