"""FakeCvat: what a test holds in its hands. Seeds the double, starts it, and shows what it was asked."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.doubles.cvat.faults import Faults

ADMIN = "admin"
ADMIN_PASSWORD = "admin-password"
ADMIN_TOKEN = "admin-token"


class FakeCvat:
    """A CVAT 2.73.0 on a loopback port, as far as the recorded exchanges go. Use it as a context manager.

    A superuser ``admin`` (password ``admin-password``, access token ``admin-token``) is always there and owns
    what is added without an owner. Everything that ``add_*`` makes gets consecutive ids, as on the server.
    """

    url: str
    faults: Faults
    requests: list[Any]  # of Logged(method, path, query: dict[str, str], headers: dict[str, str], status)

    def __enter__(self) -> FakeCvat:
        raise NotImplementedError

    def __exit__(self, *_: object) -> None:
        raise NotImplementedError

    def add_user(self, name: str, password: str = "", token: str = "", *, is_superuser: bool = False) -> int:
        """A user with group ``user``. token: accepted as ``Authorization: Bearer`` (and SDK ``access_token``)."""
        raise NotImplementedError

    def add_organization(self, slug: str, *, owner: str = ADMIN, members: tuple[str, ...] = ()) -> int:
        """An organization; its owner and members may use its slug."""
        raise NotImplementedError

    def add_project(
        self, name: str, labels: list[dict[str, Any]], *, organization: str | None = None, owner: str = ADMIN
    ) -> int:
        """A project with labels (the form of ``POST /api/projects``). Returns its id."""
        raise NotImplementedError

    def add_task(
        self,
        name: str,
        images: dict[str, bytes],
        labels: list[dict[str, Any]] | None = None,
        *,
        segment_size: int = 0,
        overlap: int = 0,
        chunk_size: int | None = None,
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
        chunk_size None: 72, as the server chooses for ordinary images. Returns the task's id.
        """
        raise NotImplementedError

    def jobs(self, task_id: int) -> list[dict[str, Any]]:
        """The task's jobs as the API shows them, oldest first (the API lists newest first)."""
        raise NotImplementedError

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
        raise NotImplementedError

    def set_annotations(self, job_id: int, data: dict[str, Any]) -> dict[str, Any]:
        """Replace a job's annotations; checked like a PUT. Returns them with their ids."""
        raise NotImplementedError

    def annotations(self, job_id: int) -> dict[str, Any]:
        """What the API's GET shows for the job."""
        raise NotImplementedError

    def add_function(
        self,
        id: str,
        kind: str,
        labels: list[dict[str, Any]] | list[str],
        handler: Callable[[dict[str, Any]], Any],
    ) -> None:
        """A Nuclio function. kind: detector, interactor, ... handler gets ``{"image": base64, ...}`` as CVAT sends it

        and returns the decoded JSON answer; an exception becomes the 500 that CVAT passes on.
        """
        raise NotImplementedError
