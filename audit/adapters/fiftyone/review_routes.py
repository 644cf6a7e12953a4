"""What the review panel asks of its App server: addresses under ``/cvat-audit`` in the App's own server.

They are read and written by the same page only: other sites' pages are refused, and writing needs a token that
they cannot read. FiftyOne's operators could carry the answers too, but load all plugins anew at each call: measured,
23 ms for one that does nothing (2 ms with FiftyOne's plugin cache on); an answer here takes 4 ms, fsync included.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict
from typing import Any

import numpy as np
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route

from audit.adapters.fiftyone.review_outlook import Outlook
from audit.core.questions import Answer
from audit.errors import AuditError, UsageError
from audit.loop.queue import Filter
from audit.report.gallery import safe_link, shorten
from audit.report.rows import rows_told
from audit.report.spots import Spots
from audit.review import Review
from audit.run_rows import told_frames

PREFIX = "/cvat-audit"
TOKEN_HEADER = "X-Cvat-Audit-Token"  # noqa: S105 - a header's name
MAX_BODY_BYTES = 1_000_000
MAX_AHEAD = 16
"""Most questions handed out to one page at a time."""

BY_CHANCE = "Nothing is suggested here: a few questions are drawn by chance, to estimate what no finding shows."
WHOLE_PHOTO = (
    "Photos drawn by chance tell what no finding shows. What is dashed has a question of its own and does not count "
    "here. Only these objects count: "
)

Handler = Callable[[Request], Awaitable[Response]]


class ReviewRoutes:
    """The addresses of one review session."""

    def __init__(self, review: Review) -> None:
        self.review = review
        self.spots = Spots(review.run, review.findings)
        self.outlook = Outlook(review.run, review.real)
        self.token = secrets.token_urlsafe(24)
        self._frames = told_frames(review.run)

    def mount(self) -> Mount:
        """To be put before all other routes of the App."""
        writes = {"ask": self._ask, "answer": self._answer, "undo": self._undo}
        routes = [Route(f"/{name}", self._guarded(work), methods=["POST"]) for name, work in writes.items()]
        routes += [Route("/session", self._session), Route("/photo/{finding}", self._photo)]
        return Mount(PREFIX, routes=routes)

    async def _session(self, request: Request) -> Response:
        if _foreign(request):
            return _refused()
        review = self.review
        told = {"token": self.token, "reviewer": review.reviewer, "source": review.run.manifest["source"]}
        told |= {"labels": list(review.run.labels), "choices": review.choices()}
        return JSONResponse(told, headers={"Cache-Control": "no-store"})

    async def _photo(self, request: Request) -> Response:
        if _foreign(request):
            return _refused()
        try:
            row = self.review.row(request.path_params["finding"])
        except UsageError as error:
            return _failed(error)
        spot = await run_in_threadpool(self.spots.spot, row)
        headers = {"Cache-Control": "private, max-age=3600", "Cross-Origin-Resource-Policy": "same-origin"}
        return Response(spot.photo, 200 if spot.photo else 404, headers, "image/jpeg")

    def _ask(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        wanted = _filter(asked)
        number = min(max(int(asked.get("number", 1)), 0), MAX_AHEAD)
        known = {str(i) for i in asked.get("known") or ()}
        return self._told(self.review.ask(number, wanted, known), wanted)

    def _answer(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        finding, label = str(asked.get("finding")), str(asked.get("label") or "")
        seconds = float(asked.get("seconds") or 0)
        self.review.answer(finding, Answer(asked.get("answer")), label=label, seconds=seconds)
        self.outlook.answered()
        return self._told([], _filter(asked))

    def _undo(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        finding = self.review.undo()
        return self._told([finding] if finding else [], _filter(asked))

    def _told(self, findings: list[str], wanted: Filter) -> dict[str, Any]:
        rows = [self.review.row(i) for i in findings]
        self.spots.prepare(rows)
        items = [self._item(i, row) for i, row in zip(findings, rows, strict=True)]
        return {"items": items, "counts": asdict(self.review.counts(wanted)), "outlook": self.outlook.text()}

    def _item(self, finding: str, row: int) -> dict[str, Any]:
        """One question, ready to be shown. All texts are to be shown as text."""
        facts, spot, asked = self._facts(row), self.spots.spot(row), self.review.question(finding)
        blind = self.review.is_blind(row)
        shown = {
            "reason": self._why_blind(row) if blind else facts["reason"],
            "image": facts["image"],
            "annotator": facts["assignee"],
        }
        return {
            "id": finding,
            "type": "" if blind else facts["type"],
            "title": self.review.title(row),
            "label": int(self.review.findings.label[row]),
            "question": {"text": asked.text, "yes": asked.yes, "no": asked.no, "other": asked.other},
            **{name: shorten(text or "") for name, text in shown.items()},
            "frame": facts["frame"],
            "job": facts["job"],
            "link": safe_link(facts["link"]),
            "width": spot.view.width,
            "height": spot.view.height,
            "paths": [asdict(path) for path in spot.paths],
            "photo": f"{PREFIX}/photo/{finding}" if spot.photo else "",
            "problem": spot.problem,
        }

    def _facts(self, row: int) -> dict[str, Any]:
        """What a list of findings says of this one. Those of all would take a kilobyte each."""
        findings = self.review.findings[np.array([row])]
        return next(rows_told(self.review.run, findings, self._frames))

    def _why_blind(self, row: int) -> str:
        whole = self.review.findings.label[row] < 0
        return WHOLE_PHOTO + ", ".join(self.review.run.labels) if whole else BY_CHANCE

    def _guarded(self, work: Callable[[Mapping[str, Any]], dict[str, Any]]) -> Handler:
        async def handle(request: Request) -> Response:
            if _foreign(request) or not secrets.compare_digest(
                request.headers.get(TOKEN_HEADER, "").encode(), self.token.encode()
            ):
                return _refused()
            try:
                asked = await _body(request)
                return JSONResponse(await run_in_threadpool(work, asked))
            except AuditError as error:
                return _failed(error)
            except (ValueError, TypeError) as error:
                return _failed(UsageError(f"not understood: {str(error)[:200]}"))

        return handle


async def _body(request: Request) -> Mapping[str, Any]:
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > MAX_BODY_BYTES:
            raise UsageError("the request is too large")
    asked = json.loads(body or b"{}")
    if not isinstance(asked, dict):
        raise UsageError("expected a JSON object")
    return asked


def _filter(asked: Mapping[str, Any]) -> Filter:
    chosen = asked.get("filter") or {}
    if not isinstance(chosen, dict):
        raise UsageError("expected a JSON object as filter")
    words = {name: str(chosen.get(name) or "") for name in ("type", "label", "annotator")}
    return Filter(**words, job=int(chosen["job"]) if chosen.get("job") not in (None, "") else None)


def _foreign(request: Request) -> bool:
    """Whether another site's page asks; browsers say so themselves."""
    return request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none")


def _refused() -> Response:
    return JSONResponse({"error": "this address is for the review panel only"}, 403)


def _failed(error: AuditError) -> Response:
    return JSONResponse({"error": str(error)}, 400 if isinstance(error, UsageError) else 503)
