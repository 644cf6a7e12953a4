"""Who may do what, as far as the recordings show it."""

from __future__ import annotations

from tests.doubles.cvat.state import Issue, Job, Organization, Project, State, Task, User
from tests.doubles.cvat.web import ApiError, Request, forbidden

MANAGERS = ("owner", "maintainer")


def organization(request: Request) -> Organization | None:
    """The organization that a request names (query first, then header). 404 if unknown, 403 for a stranger."""
    slug = request.query.get("org", request.headers.get("x-organization", ""))
    number = request.query.get("org_id", "")
    if not slug and not number:
        return None
    for found in request.state.organizations.values():
        if (slug and found.slug == slug) or (not slug and str(found.id) == number):
            if not request.user.is_superuser and request.user.id not in found.members:
                raise forbidden()
            return found
    raise ApiError(404, {"detail": f"{slug or number} organization does not exist."})


def names_workspace(request: Request) -> bool:
    """Whether the request chose a workspace at all, the personal one (empty) included."""
    return "org" in request.query or "org_id" in request.query or "x-organization" in request.headers


def in_workspace(request: Request, owner_organization: int | None) -> bool:
    """Whether a list shows things of this organization. Reading by id doesn't ask."""
    if not names_workspace(request):
        return True
    chosen = organization(request)
    return owner_organization == (chosen.id if chosen else None)


def _manages(state: State, user: User, organization_id: int | None) -> bool:
    if organization_id is None or organization_id not in state.organizations:
        return False
    return state.organizations[organization_id].members.get(user.id) in MANAGERS


def sees_project(state: State, user: User, project: Project) -> bool:
    """Whether a user may read or change a project."""
    mine = user.id in (project.owner, project.assignee)
    return user.is_superuser or mine or _manages(state, user, project.organization)


def runs_task(state: State, user: User, task: Task) -> bool:
    """Whether a user is staff of a task: owner or assignee of it or of its project, or a superuser."""
    if user.is_superuser or user.id in (task.owner, task.assignee):
        return True
    project = state.projects.get(task.project) if task.project is not None else None
    return _manages(state, user, task.organization) or (project is not None and sees_project(state, user, project))


def works_on_job(state: State, user: User, job: Job) -> bool:
    """Whether a user may read and annotate a job: its assignee, or staff of its task."""
    return job.assignee == user.id or runs_task(state, user, state.tasks[job.task])


def sees_issue(state: State, user: User, issue: Issue) -> bool:
    return user.id in (issue.owner, issue.assignee) or works_on_job(state, user, state.jobs[issue.job])


def may_delete_issue(state: State, user: User, issue: Issue) -> bool:
    """The job's assignee may not, unless the issue is his own."""
    return issue.owner == user.id or runs_task(state, user, state.tasks[state.jobs[issue.job].task])
