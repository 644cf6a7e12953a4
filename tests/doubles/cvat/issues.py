"""Issues and comments."""

from __future__ import annotations

from typing import Any

from tests.doubles.cvat import access, listing
from tests.doubles.cvat.auth import show_user
from tests.doubles.cvat.state import Comment, Issue, State
from tests.doubles.cvat.web import ApiError, Request, Response, Routes, absolute, forbidden, not_found

REQUIRED = ["This field is required."]


def _show_issue(request: Request, issue: Issue) -> dict[str, Any]:
    count = sum(comment.issue == issue.id for comment in request.state.comments.values())
    return {
        "id": issue.id,
        "frame": issue.frame,
        "position": issue.position,
        "job": issue.job,
        "owner": show_user(request, issue.owner),
        "assignee": show_user(request, issue.assignee),
        "created_date": issue.created,
        "updated_date": issue.updated,
        "resolved": issue.resolved,
        "comments": {"count": count, "url": absolute(request, "/api/comments", [("issue_id", str(issue.id))])},
    }


def _show_comment(request: Request, comment: Comment) -> dict[str, Any]:
    return {
        "id": comment.id,
        "issue": comment.issue,
        "owner": show_user(request, comment.owner),
        "message": comment.message,
        "created_date": comment.created,
        "updated_date": comment.updated,
    }


def _fields(state: State, issue: Issue) -> dict[str, Any]:
    return {
        "id": issue.id,
        "job_id": issue.job,
        "task_id": state.jobs[issue.job].task,
        "frame_id": issue.frame,
        "resolved": issue.resolved,
        "owner": state.users[issue.owner].username,
    }


def list_issues(request: Request) -> Response:
    """Who may not see an issue gets a shorter list, not an error."""
    state = request.state
    rows = [
        issue
        for issue in state.issues.values()
        if access.in_workspace(request, state.tasks[state.jobs[issue.job].task].organization)
        and access.sees_issue(state, request.user, issue)
    ]
    names = ["job_id", "task_id", "frame_id", "resolved", "owner"]
    rows = listing.select(request, rows, lambda issue: _fields(state, issue), names)
    return listing.page(request, rows, lambda issue: _show_issue(request, issue))


def create_issue(request: Request) -> Response:
    """Position and frame aren't checked against the job; the message becomes the first comment."""
    body = request.object()
    _check_issue(body)
    state = request.state
    job = state.jobs.get(body["job"])
    if job is None:
        raise ApiError(400, ["Job matching query does not exist."])
    if not access.works_on_job(state, request.user, job):
        raise forbidden()
    position = [float(value) for value in body["position"]]
    now = state.now()
    issue = Issue(state.next_id("issue"), job.id, body["frame"], position, request.user.id, now, state.now())
    state.issues[issue.id] = issue
    _add_comment(request, issue.id, body["message"])
    return Response(201, _show_issue(request, issue))


def _check_issue(body: dict[str, Any]) -> None:
    wrong = {name: REQUIRED for name in ("frame", "position", "job", "message") if name not in body}
    if "position" not in wrong and not body["position"]:
        wrong["position"] = ["This list may not be empty."]
    if "message" not in wrong and not str(body["message"]).strip():
        wrong["message"] = ["This field may not be blank."]
    if wrong:
        raise ApiError(400, wrong)


def _add_comment(request: Request, issue: int, message: str) -> Comment:
    state = request.state
    comment = Comment(state.next_id("comment"), issue, request.user.id, message, state.now(), state.now())
    state.comments[comment.id] = comment
    return comment


def _issue(request: Request) -> Issue:
    issue = request.state.issues.get(request.number("id"))
    if issue is None:
        raise not_found("Issue")
    if not access.sees_issue(request.state, request.user, issue):
        raise forbidden()
    return issue


def get_issue(request: Request) -> Response:
    return Response(200, _show_issue(request, _issue(request)))


def change_issue(request: Request) -> Response:
    issue = _issue(request)
    body = request.object()
    if set(body) - {"resolved", "position", "assignee"}:
        raise ApiError(403, {"detail": "Attempted to update an unknown field"})
    issue.resolved = bool(body.get("resolved", issue.resolved))
    issue.position = [float(value) for value in body.get("position", issue.position)]
    issue.assignee = body.get("assignee", issue.assignee)
    issue.updated = request.state.now()
    return Response(200, _show_issue(request, issue))


def delete_issue(request: Request) -> Response:
    issue = _issue(request)
    if not access.may_delete_issue(request.state, request.user, issue):
        raise forbidden()
    state = request.state
    state.comments = {key: item for key, item in state.comments.items() if item.issue != issue.id}
    del state.issues[issue.id]
    return Response(204)


def list_comments(request: Request) -> Response:
    state = request.state
    rows = [
        comment
        for comment in state.comments.values()
        if access.sees_issue(state, request.user, state.issues[comment.issue])
    ]
    rows = listing.select(request, rows, lambda item: {"id": item.id, "issue_id": item.issue}, ["issue_id"])
    return listing.page(request, rows, lambda comment: _show_comment(request, comment))


def create_comment(request: Request) -> Response:
    body = request.object()
    wrong = {name: REQUIRED for name in ("issue", "message") if name not in body}
    if not wrong and not str(body["message"]).strip():
        wrong = {"message": ["This field may not be blank."]}
    if wrong:
        raise ApiError(400, wrong)
    issue = request.state.issues.get(body["issue"])
    if issue is None:
        raise ApiError(400, ["Issue matching query does not exist."])
    if not access.sees_issue(request.state, request.user, issue):
        raise forbidden()
    return Response(201, _show_comment(request, _add_comment(request, issue.id, str(body["message"]))))


def _comment(request: Request) -> Comment:
    comment = request.state.comments.get(request.number("id"))
    if comment is None:
        raise not_found("Comment")
    if not access.sees_issue(request.state, request.user, request.state.issues[comment.issue]):
        raise forbidden()
    return comment


def get_comment(request: Request) -> Response:
    return Response(200, _show_comment(request, _comment(request)))


def change_comment(request: Request) -> Response:
    comment = _comment(request)
    comment.message = str(request.object().get("message", comment.message))
    comment.updated = request.state.now()
    return Response(200, _show_comment(request, comment))


def delete_comment(request: Request) -> Response:
    del request.state.comments[_comment(request).id]
    return Response(204)


def routes(table: Routes) -> None:
    table.add("/api/issues", GET=list_issues, POST=create_issue)
    table.add("/api/issues/{id}", GET=get_issue, PATCH=change_issue, DELETE=delete_issue)
    table.add("/api/comments", GET=list_comments, POST=create_comment)
    table.add("/api/comments/{id}", GET=get_comment, PATCH=change_comment, DELETE=delete_comment)
