"""Lists: pages, ``filter`` expressions, plain filters and ``sort``."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from tests.doubles.cvat.web import ApiError, Request, Response, absolute

PAGE_SIZE = 10  # the server's own, when none is asked for
Row = TypeVar("Row")
Fields = Callable[[Row], dict[str, Any]]
_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "==": lambda a, b: bool(a == b),
    "!=": lambda a, b: bool(a != b),
    "<": lambda a, b: bool(a < b),
    "<=": lambda a, b: bool(a <= b),
    ">": lambda a, b: bool(a > b),
    ">=": lambda a, b: bool(a >= b),
    "in": lambda a, b: a in b,
}


def select(request: Request, rows: Sequence[Row], fields: Fields[Row], simple: Sequence[str] = ()) -> list[Row]:
    """Rows newest first, narrowed by the query. fields: what a row can be searched by.

    simple: names that are query parameters of their own. ``search`` looks into the name. Unknown ``sort`` is ignored.
    """
    chosen = sorted(rows, key=lambda row: -int(fields(row)["id"]))
    for name in simple:
        if name in request.query:
            chosen = [row for row in chosen if _text(fields(row).get(name)) == request.query[name]]
    if "search" in request.query:
        chosen = [row for row in chosen if request.query["search"] in str(fields(row).get("name", ""))]
    if request.query.get("filter"):
        rule = _parse(request.query["filter"])
        chosen = [row for row in chosen if _holds(rule, fields(row))]
    return _sorted(request, chosen, fields)


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _sorted(request: Request, rows: list[Row], fields: Fields[Row]) -> list[Row]:
    key = request.query.get("sort", "")
    name = key.lstrip("-")
    if not rows or name not in fields(rows[0]):
        return rows
    return sorted(rows, key=lambda row: (str(type(fields(row)[name])), fields(row)[name]), reverse=key.startswith("-"))


def _parse(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise ApiError(400, [f"filter: can't parse filter expression: {error}"]) from error


def _holds(rule: Any, fields: dict[str, Any]) -> Any:
    """A JsonLogic rule's value for one row."""
    if not isinstance(rule, dict):
        return rule
    name, given = next(iter(rule.items()))
    if name == "var":
        if given not in fields:
            raise ApiError(400, [f"filter: '{given}' term is not supported"])
        return fields[given]
    items = given if isinstance(given, list) else [given]
    values = [_holds(item, fields) for item in items]
    if name in ("and", "or"):
        return (all if name == "and" else any)(values)
    if name == "!":
        return not values[0]
    if name not in _COMPARE:
        raise ApiError(400, [f"filter: '{name}' operation is not supported with {given} arguments"])
    return _COMPARE[name](values[0], values[1])


def page(request: Request, rows: Sequence[Row], show: Callable[[Row], Any]) -> Response:
    """The asked page. A bad ``page_size`` is ignored, a page that is not there is a 404."""
    size = _page_size(request)
    number = request.query.get("page", "1")
    pages = max(1, -(-len(rows) // size))
    if not number.isdigit() or not 1 <= int(number) <= pages:
        raise ApiError(404, {"detail": "Invalid page."})
    at = int(number)
    body = {
        "count": len(rows),
        "next": _link(request, at + 1) if at < pages else None,
        "previous": _link(request, at - 1) if at > 1 else None,
        "results": [show(row) for row in rows[(at - 1) * size : at * size]],
    }
    return Response(200, body)


def _page_size(request: Request) -> int:
    text = request.query.get("page_size", "")
    return int(text) if text.isdigit() and int(text) > 0 else PAGE_SIZE


def _link(request: Request, number: int) -> str:
    query = {key: value for key, value in request.query.items() if key != "page"}
    if number > 1:
        query["page"] = str(number)
    return absolute(request, request.path, list(query.items()))
