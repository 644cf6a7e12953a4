"""FakeCvat: what a test holds in its hands. Seeds the double, starts it, and shows what it was asked."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

from tests.doubles.cvat import annotating, shapes, tasks
from tests.doubles.cvat.auth import add_organization, add_token
from tests.doubles.cvat.faults import Faults
from tests.doubles.cvat.jobs import new_ground_truth, show_job
from tests.doubles.cvat.projects import add_labels
from tests.doubles.cvat.state import Function, Job, Project, State, User
from tests.doubles.cvat.transport import Logged, Observer, Server
from tests.doubles.cvat.web import Request

ADMIN = "admin"
ADMIN_PASSWORD = "admin-password"
ADMIN_TOKEN = "admin-token"
INTERACTOR = {
    "min_pos_points": 1,
    "min_neg_points": 0,
    "startswith_box": False,
    "startswith_box_optional": False,
    "help_message": "",
    "animated_gif": "",
}


class FakeCvat:
    """A CVAT 2.73.0 on a loopback port, as far as the recorded exchanges go. Use it as a context manager.

    A superuser ``admin`` (password ``admin-password``, access token ``admin-token``) is always there and owns
    what is added without an owner. Everything that ``add_*`` makes gets consecutive ids, as on the server.

    Not covered: export and import, quality reports, consensus merges, honeypots, video, cloud storages.
    """

    def __init__(self) -> None:
        self.state = State()
        self.faults = Faults()
        self._server = Server(self.state, self.faults)
        self.add_user(ADMIN, ADMIN_PASSWORD, ADMIN_TOKEN, is_superuser=True)

    def __enter__(self) -> FakeCvat:
        self._server.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.stop()

    @property
    def url(self) -> str:
        """Scheme, host and port, without a slash at the end."""
        return self._server.url

    @property
    def requests(self) -> list[Logged]:
        """Every request so far, in the order of their answers. Clear it with ``.clear()``."""
        return self._server.log

    @property
    def observers(self) -> list[Observer]:
        """Called with every request and its answer, before that is sent (not for ordered faults)."""
        return self._server.observers

    @property
    def request_polls(self) -> int:
        """How many polls of a request made from now on answer "started" before the end; large = never ends.

        For the creation of tasks and for batches of functions (which then do one frame a poll).
        """
        return self.state.request_polls

    @request_polls.setter
    def request_polls(self, count: int) -> None:
        self.state.request_polls = count

    @property
    def functions_down(self) -> bool:
        """Whether the functions server refuses connections (503 from CVAT)."""
        return self.state.functions_down

    @functions_down.setter
    def functions_down(self, down: bool) -> None:
        self.state.functions_down = down

    @property
    def scores(self) -> bool:
        """Whether shapes have a score. 2.54 (seen on a server of that version) ignores one and shows none."""
        return self.state.scores

    @scores.setter
    def scores(self, kept: bool) -> None:
        self.state.scores = kept

    def add_user(
        self, name: str, password: str = "", token: str = "", *, is_superuser: bool = False, group: str = "user"
    ) -> int:
        """A user. token: accepted as ``Authorization: Bearer`` (SDK ``access_token``). "" = can't log in that way."""
        groups = ["admin"] if is_superuser else [group]
        user = User(self.state.next_id("user"), name, password, groups, is_superuser, self.state.now())
        self.state.users[user.id] = user
        if token:
            add_token(self.state, user.id, token, "seeded")
        return user.id

    def add_organization(self, slug: str, *, owner: str = ADMIN, members: tuple[str, ...] = ()) -> int:
        """An organization; its owner and members (as workers) may use its slug."""
        found = add_organization(self.state, slug, slug, self._user(owner))
        found.members.update((self._user(name), "worker") for name in members)
        return found.id

    def _user(self, name: str) -> int:
        user = self.state.user_named(name)
        if user is None:
            raise ValueError(f"no user {name!r} was added")
        return user.id

    def _organization(self, slug: str | None) -> int | None:
        return next((item.id for item in self.state.organizations.values() if item.slug == slug), None)

    def add_project(
        self, name: str, labels: list[dict[str, Any]], *, organization: str | None = None, owner: str = ADMIN
    ) -> int:
        """A project with labels (the form of ``POST /api/projects``). Returns its id."""
        now = self.state.now()
        project = Project(self.state.next_id("project"), name, self._user(owner), now, self.state.now())
        project.organization = self._organization(organization)
        self.state.projects[project.id] = project
        add_labels(self.state, labels, project=project.id)
        return project.id

    def add_task(
        self,
        name: str,
        images: dict[str, bytes],
        labels: list[dict[str, Any]] | None = None,
        *,
        segment_size: int = 0,
        overlap: int = 0,
        chunk_size: int | None = None,
        image_quality: int = 70,
        project_id: int | None = None,
        assignee: str | None = None,
        deleted_frames: list[int] | None = None,
        organization: str | None = None,
        owner: str = ADMIN,
        consensus_replicas: int = 0,
    ) -> int:
        """A task with its data and jobs. images: file name to bytes, one frame each, in this order.

        labels: ``[{"name": ..., "type": "any", "attributes": [...], "sublabels": [...]}]``, None with a project.
        assignee: a user's name, put on the task and on each of its jobs. segment_size 0: one job.
        chunk_size None: by the size of the images, at most 72. Bytes that no reader knows are taken as well
        (a real server refuses those); such a frame is stated as 0 x 0. No images: a task without data.
        Returns the task's id.
        """
        given = {
            "project_id": project_id,
            "labels": labels,
            "segment_size": segment_size,
            "overlap": overlap,
            "consensus_replicas": consensus_replicas,
            "assignee_id": self._user(assignee) if assignee else None,
        }
        task = tasks.new_task(self.state, name, self._user(owner), given)
        task.organization = self._organization(organization)
        if images:
            fields = {"chunk_size": chunk_size, "image_quality": image_quality}
            tasks.fill(self.state, task, list(images.items()), fields)
        if task.media:
            task.media.deleted = set(deleted_frames or [])
        for job in self.state.task_jobs(task.id):
            job.assignee = task.assignee
        return task.id

    def _admin_request(self) -> Request:
        """What the superuser would see."""
        request = Request("GET", "/", {}, {}, b"", self.url, self.state)
        request.account = self.state.user_named(ADMIN)
        return request

    def jobs(self, task_id: int) -> list[dict[str, Any]]:
        """The task's jobs as the API shows them, oldest first (the API lists newest first)."""
        return [show_job(self._admin_request(), job) for job in self.state.task_jobs(task_id)]

    def add_job(
        self,
        type: str,
        *,
        task_id: int | None = None,
        frames: list[int] | None = None,
        parent_job_id: int | None = None,
        assignee: str | None = None,
    ) -> int:
        """A ``ground_truth`` job (task_id, frames) or a ``consensus_replica`` (parent_job_id). Returns its id."""
        job = self._new_job(type, task_id, frames or [], parent_job_id)
        job.assignee = self._user(assignee) if assignee else None
        return job.id

    def _new_job(self, kind: str, task_id: int | None, frames: list[int], parent_id: int | None) -> Job:
        if kind == "ground_truth" and task_id is not None:
            return new_ground_truth(self.state, self.state.tasks[task_id], frames)
        if kind == "consensus_replica" and parent_id is not None:
            parent = self.state.jobs[parent_id]
            task = self.state.tasks[parent.task]
            task.consensus_replicas += 1
            job = tasks.new_job(self.state, task, kind, parent.start, parent.stop)
            job.parent = parent.id
            return job
        raise ValueError(f"{kind!r}: expected ground_truth with task_id, or consensus_replica with parent_job_id")

    def set_job(self, job_id: int, *, stage: str = "", state: str = "", assignee: str | None = None) -> None:
        """Change a job behind the API's back; what isn't given stays."""
        job = self.state.jobs[job_id]
        job.stage, job.state = stage or job.stage, state or job.state
        if assignee is not None:
            job.assignee = self._user(assignee)
        job.updated = self.state.now()

    def set_annotations(self, job_id: int, data: dict[str, Any]) -> dict[str, Any]:
        """Replace a job's annotations; checked like a PUT. Returns them with their ids."""
        with self.state.lock:
            job = self.state.jobs[job_id]
            labels = self.state.labels_of(self.state.tasks[job.task])
            checked = shapes.check(copy.deepcopy(data), labels, ids_allowed=False)
            annotating.write_job(self.state, job, checked, "replace")
            return annotating.read_job(self.state, job)

    def annotations(self, job_id: int) -> dict[str, Any]:
        """What the API's GET shows for the job."""
        with self.state.lock:
            return annotating.read_job(self.state, self.state.jobs[job_id])

    def labels(self, task_id: int) -> dict[str, int]:
        """Label name to id; names of sublabels as ``parent/sub``."""
        found: dict[str, int] = {}
        for label in self.state.labels_of(self.state.tasks[task_id]):
            found[label.name] = label.id
            found.update((f"{label.name}/{sub.name}", sub.id) for sub in label.sublabels)
        return found

    def add_function(
        self,
        id: str,
        kind: str,
        labels: list[dict[str, Any]] | list[str],
        handler: Callable[[dict[str, Any]], Any],
        *,
        name: str = "",
        description: str = "",
        broken: bool = False,
        **extra: Any,
    ) -> None:
        """A Nuclio function. kind: detector, interactor, ... handler gets ``{"image": base64, ...}`` as CVAT sends it

        and returns the decoded JSON answer (or bytes, taken as the raw body). An exception becomes the 500 that
        CVAT passes on, ``FunctionStatus(503)`` another status. broken: an object without ``status`` (list = 500).
        extra: further fields of the description, such as ``min_pos_points``.
        """
        rows: list[dict[str, Any]] = [
            {"name": label, "type": "any"} if isinstance(label, str) else label for label in labels
        ]
        shown = [
            {"name": row["name"], "type": row.get("type", "any"), "attributes": row.get("attributes", [])}
            for row in rows
        ]
        more = {"version": 1, **(INTERACTOR if kind == "interactor" else {}), **extra}
        self.state.functions[id] = Function(id, kind, shown, handler, name or id, description, more, broken)
