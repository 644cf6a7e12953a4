"""Labels and projects."""

from __future__ import annotations

import re
import zlib
from typing import Any

from tests.doubles.cvat import access, listing
from tests.doubles.cvat.auth import show_user, workspace_id
from tests.doubles.cvat.state import Attribute, Label, Project, State
from tests.doubles.cvat.web import (
    ApiError,
    Request,
    Response,
    Routes,
    absolute,
    forbidden,
    not_found,
    server_error,
)

INPUT_TYPES = ("checkbox", "radio", "number", "text", "select")
NAME_LENGTH = 256


def _color(name: str) -> str:
    return f"#{zlib.crc32(name.encode()) & 0xFFFFFF:06x}"


def check_labels(labels: Any) -> None:
    """The server's complaints about written labels."""
    for label in labels:
        for sub in label.get("sublabels", []):
            if "has_parent" in sub:
                raise server_error()
    wrong = [_label_errors(label) for label in labels]
    if any(wrong):
        raise ApiError(400, {"labels": wrong})
    names = [label.get("name") for label in labels if not label.get("deleted")]
    if len(set(names)) != len(names):
        raise ApiError(400, ["All label names must be unique"])


def _label_errors(label: dict[str, Any]) -> dict[str, Any]:
    wrong: list[dict[str, list[str]]] = []
    for attribute in label.get("attributes", []):
        kind = attribute.get("input_type")
        ok = kind in INPUT_TYPES
        wrong.append({} if ok else {"input_type": [f'"{kind}" is not a valid choice.']})
    return {"attributes": wrong} if any(wrong) else {}


def add_labels(
    state: State, labels: list[dict[str, Any]], *, project: int | None = None, task: int | None = None
) -> None:
    """Store labels in the form of ``POST /api/projects``, for a project or for a task."""
    for given in labels:
        label = _label(state, given, project, task)
        label.sublabels = [_label(state, sub, project, task) for sub in given.get("sublabels", [])]
        label.svg = _numbered(given.get("svg", ""), label.sublabels)
        state.labels[label.id] = label


def _label(state: State, given: dict[str, Any], project: int | None, task: int | None) -> Label:
    attributes = [_attribute(state, item) for item in given.get("attributes", [])]
    return Label(
        id=state.next_id("label"),
        name=given["name"],
        color=given.get("color") or _color(given["name"]),
        type=given.get("type", "any"),
        attributes=attributes,
        project=project,
        task=task,
    )


def _attribute(state: State, given: dict[str, Any]) -> Attribute:
    values = [str(value) for value in given.get("values", [])]
    default = str(given.get("default_value", values[0] if values else ""))
    return Attribute(
        state.next_id("attribute"), given["name"], bool(given.get("mutable")), given["input_type"], default, values
    )


def _numbered(svg: str, sublabels: list[Label]) -> str:
    """The drawing of a skeleton, with label ids where names were sent."""
    ids = {label.name: label.id for label in sublabels}
    return re.sub(r'data-label-name="([^"]*)"', lambda match: f'data-label-id="{ids.get(match[1], "")}"', svg)


def show_label(label: Label) -> dict[str, Any]:
    shown = {
        **_show_part(label),
        "sublabels": [{**_show_part(sub), "has_parent": True} for sub in label.sublabels],
        "parent_id": None,
        "has_parent": False,
    }
    shown.update({"project_id": label.project} if label.project is not None else {"task_id": label.task})
    if label.type == "skeleton":
        shown["svg"] = label.svg
    return shown


def _show_part(label: Label) -> dict[str, Any]:
    attributes = [
        {
            "id": item.id,
            "name": item.name,
            "mutable": item.mutable,
            "input_type": item.input_type,
            "default_value": item.default_value,
            "values": item.values,
        }
        for item in label.attributes
    ]
    return {
        "id": label.id,
        "name": label.name,
        "color": label.color,
        "attributes": attributes,
        "type": label.type,
    }


def _visible(request: Request, label: Label) -> bool:
    state = request.state
    if label.project is not None:
        project = state.projects[label.project]
        tasks = [task for task in state.tasks.values() if task.project == project.id]
        return access.sees_project(state, request.user, project) or any(_works_in(request, task.id) for task in tasks)
    return label.task is not None and _works_in(request, label.task)


def _works_in(request: Request, task_id: int) -> bool:
    state = request.state
    if access.runs_task(state, request.user, state.tasks[task_id]):
        return True
    return any(job.assignee == request.user.id for job in state.task_jobs(task_id))


def list_labels(request: Request) -> Response:
    """Labels of a project, a task or a job, oldest first; sublabels stand inside their parents."""
    state = request.state
    rows = list(state.labels.values())
    task_id = request.query.get("task_id")
    if "job_id" in request.query:
        job = state.jobs.get(int(request.query["job_id"]))
        task_id = str(job.task) if job else "0"
    if task_id is not None:
        task = state.tasks.get(int(task_id))
        rows = state.labels_of(task) if task else []
    if "project_id" in request.query:
        rows = [label for label in rows if str(label.project) == request.query["project_id"]]
    rows = [label for label in rows if _visible(request, label)]
    return listing.page(request, rows, show_label)


def get_label(request: Request) -> Response:
    label = request.state.labels.get(request.number("id"))
    if label is None:
        raise not_found("Label")
    if not _visible(request, label):
        raise forbidden()
    return Response(200, show_label(label))


def check_name(body: dict[str, Any], *, required: bool = True) -> None:
    """The server's complaints about a project's or task's name."""
    if "name" not in body:
        if required:
            raise ApiError(400, {"name": ["This field is required."]})
        return
    if not str(body["name"]).strip():
        raise ApiError(400, {"name": ["This field may not be blank."]})
    if len(str(body["name"])) > NAME_LENGTH:
        raise ApiError(400, {"name": [f"Ensure this field has no more than {NAME_LENGTH} characters."]})


def organization_slug(state: State, organization_id: int | None) -> str | None:
    found = state.organizations.get(organization_id) if organization_id is not None else None
    return found.slug if found else None


def show_project(request: Request, project: Project) -> dict[str, Any]:
    state = request.state
    tasks = [task for task in state.tasks.values() if task.project == project.id]
    query = [("project_id", str(project.id))]
    return {
        "url": absolute(request, f"/api/projects/{project.id}"),
        "id": project.id,
        "name": project.name,
        "owner": show_user(request, project.owner),
        "assignee": show_user(request, project.assignee),
        "guide_id": None,
        "bug_tracker": project.bug_tracker,
        "created_date": project.created,
        "updated_date": project.updated,
        "status": "annotation",
        "dimension": "2d" if any(task.media for task in tasks) else None,
        "organization": project.organization,
        "organization_id": project.organization,
        "target_storage": None,
        "source_storage": None,
        "tasks": {"count": len(tasks), "url": absolute(request, "/api/tasks", query)},
        "labels": {"url": absolute(request, "/api/labels", query)},
        "assignee_updated_date": project.assignee_updated,
        "task_subsets": sorted({task.subset for task in tasks if task.subset}),
    }


def list_projects(request: Request) -> Response:
    state = request.state
    rows = [
        project
        for project in state.projects.values()
        if access.sees_project(state, request.user, project) and access.in_workspace(request, project.organization)
    ]
    rows = listing.select(request, rows, lambda p: {"id": p.id, "name": p.name, "updated_date": p.updated}, ["name"])
    return listing.page(request, rows, lambda project: show_project(request, project))


def create_project(request: Request) -> Response:
    body = request.object()
    check_name(body)
    check_labels(body.get("labels", []))
    state = request.state
    now = state.now()
    project = Project(state.next_id("project"), str(body["name"]), request.user.id, now, state.now())
    project.bug_tracker = str(body.get("bug_tracker", ""))
    project.organization = workspace_id(request)
    state.projects[project.id] = project
    add_labels(state, body.get("labels", []), project=project.id)
    shown = show_project(request, project)
    return Response(201, shown, {"Location": shown["url"]})


def _project(request: Request) -> Project:
    project = request.state.projects.get(request.number("id"))
    if project is None:
        raise not_found("Project")
    if not access.sees_project(request.state, request.user, project):
        raise forbidden()
    return project


def get_project(request: Request) -> Response:
    return Response(200, show_project(request, _project(request)))


def change_project(request: Request) -> Response:
    """Name, bug tracker, labels (new ones, or ``{"id": ..., "deleted": true}``)."""
    project = _project(request)
    body = request.object()
    if set(body) - {"name", "labels", "bug_tracker", "assignee_id", "owner_id"}:
        raise ApiError(403, {"detail": "Attempted to update an unknown field"})
    check_name(body, required=False)
    labels = body.get("labels", [])
    check_labels(labels)
    state = request.state
    for label in labels:
        if label.get("deleted"):
            state.labels.pop(label.get("id"), None)
    add_labels(state, [label for label in labels if "id" not in label], project=project.id)
    project.name = str(body.get("name", project.name))
    project.bug_tracker = str(body.get("bug_tracker", project.bug_tracker))
    project.updated = state.now()
    return Response(200, show_project(request, project))


def delete_project(request: Request) -> Response:
    """The project, its labels, its tasks and everything in them."""
    project = _project(request)
    state = request.state
    for task in [task for task in state.tasks.values() if task.project == project.id]:
        drop_task(state, task.id)
    for label in [label for label in state.labels.values() if label.project == project.id]:
        del state.labels[label.id]
    del state.projects[project.id]
    return Response(204)


def drop_task(state: State, task_id: int) -> None:
    """Remove a task with its jobs, issues and own labels."""
    jobs = {job.id for job in state.task_jobs(task_id)}
    issues = {issue.id for issue in state.issues.values() if issue.job in jobs}
    state.comments = {key: item for key, item in state.comments.items() if item.issue not in issues}
    state.issues = {key: item for key, item in state.issues.items() if key not in issues}
    state.jobs = {key: item for key, item in state.jobs.items() if key not in jobs}
    state.labels = {key: item for key, item in state.labels.items() if item.task != task_id}
    del state.tasks[task_id]


def routes(table: Routes) -> None:
    table.add("/api/labels", GET=list_labels)
    table.add("/api/labels/{id}", also="PATCH DELETE", GET=get_label)
    table.add("/api/projects", GET=list_projects, POST=create_project)
    table.add("/api/projects/{id}", GET=get_project, PATCH=change_project, DELETE=delete_project)
