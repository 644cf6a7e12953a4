"""Distils ``tests/golden/cvat/*.json`` from the recorded exchanges of a real CVAT 2.73.0 server.

``python -m tests.doubles.distil`` rewrites the golden files; it needs ``../shared/cvat/exchanges``, which only some
checkouts have. What is kept: method, path, query, body and the headers that change an answer; of the answer status,
body and the headers that clients rely on. Files sent or received are reduced to their names and media types.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
RECORDINGS = ROOT.parent / "shared" / "cvat" / "exchanges"
GOLDEN = ROOT / "tests" / "golden" / "cvat"

# In the order in which they were recorded.
FLOWS = (
    "01-login",
    "02-project-labels",
    "03-task-create",
    "04-frames",
    "05a-annotations-rw",
    "05b-annotations-errors",
    "07-issues",
    "08-jobs",
    "14-concurrency",
    "10-consensus",
    "11-lambda",
    "12-organizations",
    "13-errors",
)

ALREADY = "the same question was answered just before"
OTHERS = "counts what else was on that server"
CLOCK = "how far it was at that moment"
SHAPED = "depends on what an uncovered part of the double did"
ABOUT = "/api/server/about"

# Single exchanges left out, with the reason. Whole endpoints that the double doesn't cover: see UNCOVERED.
LEFT_OUT: dict[str, dict[int, str]] = {
    "01-login": {
        **dict.fromkeys((2, 3, 6, 10, 12, 17, 26), ALREADY),
        9: OTHERS,
    },
    "03-task-create": {7: ALREADY, 8: ALREADY, 16: ALREADY, 32: ALREADY},
    "05a-annotations-rw": {
        **dict.fromkeys((3, 8, 25), ALREADY),
        33: ALREADY,
    },
    "07-issues": {3: ALREADY, 5: ALREADY, 7: ALREADY, 13: ALREADY, 14: ALREADY, 16: ALREADY, 32: "10 KB of x"},
    "08-jobs": {
        **dict.fromkeys((2, 4, 5), ALREADY),
        18: OTHERS,
        33: OTHERS,
        34: ALREADY,
    },
    "10-consensus": {4: CLOCK, 6: ALREADY, **dict.fromkeys(range(28, 33), SHAPED)},
    "11-lambda": {
        2: ALREADY,
        7: ALREADY,
        30: ALREADY,
        39: CLOCK,
        **dict.fromkeys(range(40, 44), CLOCK),
        46: "shows an import",
        53: ALREADY,
        56: CLOCK,
        60: CLOCK,
        61: "the text of a Python error within the server",
        63: "the text of a Python error within the server",
        67: ALREADY,
        68: ALREADY,
    },
    "12-organizations": {
        **dict.fromkeys((0, 10, 22, 26, 27, 30, 32), ALREADY),
        19: CLOCK,
        24: OTHERS,
        25: OTHERS,
        **dict.fromkeys((11, 12, 13, 14, 47, 48, 49), "invitations and memberships are not covered"),
        50: SHAPED,
        51: "deleting an organization is not covered",
        52: SHAPED,
    },
    "13-errors": {
        1: ALREADY,
        15: "an HTML view of the API",
        17: OTHERS,
        19: "a form's description",
        32: "the recording proxy's answer",
        **dict.fromkeys((33, 34), ALREADY),
    },
    "14-concurrency": {74: "parallel writes are not serialised on the server"},
}
UNCOVERED = ("/api/consensus/", "/api/quality/", "/dataset/", "/api/schema", "action=merge")

LONG = 120  # characters of JSON from which a body is told as a difference

REQUEST_HEADERS = {"content-type", "accept", "x-organization", "upload-start", "upload-multiple", "upload-finish"}
REQUEST_HEADERS |= {"upload-length", "upload-metadata", "upload-offset", "if-match", "if-none-match"}
RESPONSE_HEADERS = {"content-type", "allow", "www-authenticate", "location", "cache-control", "accept-ranges"}
RESPONSE_HEADERS |= {"tus-resumable", "tus-version", "tus-max-size", "upload-offset", "upload-filename"}


def recorded(flow: str) -> list[dict[str, Any]]:
    """The exchanges of a flow as they were recorded."""
    data: list[dict[str, Any]] = json.loads((RECORDINGS / f"{flow}.json").read_text(encoding="utf-8"))
    return data


def distilled(flow: str) -> list[dict[str, Any]]:
    """What is kept of a flow; ``n`` is an exchange's place in the recording."""
    left_out = LEFT_OUT.get(flow, {})
    kept = [
        _exchange(number, exchange)
        for number, exchange in enumerate(recorded(flow))
        if number not in left_out and not any(part in exchange["request"]["path"] for part in UNCOVERED)
    ]
    return [_shortened(kept, place) for place in range(len(kept))]


def _shortened(exchanges: list[dict[str, Any]], place: int) -> dict[str, Any]:
    """A long body that is nearly that of an earlier exchange, told as the difference (see ``whole``)."""
    exchange = exchanges[place]
    request, response = exchange["request"], exchange["response"]
    return {
        **exchange,
        "request": {**request, "body": _difference(exchanges[:place], "request", request["body"])},
        "response": {**response, "body": _difference(exchanges[:place], "response", response["body"])},
    }


def _difference(earlier: list[dict[str, Any]], side: str, body: Any) -> Any:
    if not isinstance(body, dict) or len(json.dumps(body)) < LONG:
        return body
    for exchange in reversed(earlier):
        other = exchange[side]["body"]
        if isinstance(other, dict) and list(other) == list(body):
            but = {key: value for key, value in body.items() if value != other[key]}
            if len(json.dumps(but)) < LONG:
                return {"as_in": exchange["n"], "but": but}
    return body


def whole(exchanges: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """A golden file's exchanges with all bodies written out again."""
    found: dict[tuple[str, int], Any] = {}
    rows = []
    for exchange in exchanges:
        sides = {}
        for side in ("request", "response"):
            body = exchange[side]["body"]
            if isinstance(body, dict) and "as_in" in body:
                body = {**found[side, body["as_in"]], **body["but"]}
            found[side, exchange["n"]] = body
            sides[side] = {**exchange[side], "body": body}
        rows.append({**exchange, **sides})
    return rows


def _exchange(number: int, exchange: dict[str, Any]) -> dict[str, Any]:
    request, response = exchange["request"], exchange["response"]
    auth = exchange["auth"]
    kept = {
        "n": number,
        "note": exchange.get("note", ""),
        "auth": [auth["scheme"], auth.get("actor", "")],
        "request": {
            "method": request["method"],
            "path": request["path"],
            "query": request.get("query") or {},
            "headers": _headers(request, REQUEST_HEADERS),
            "body": _body(request.get("body")),
        },
        "response": {
            "status": response["status"],
            "headers": _headers(response, RESPONSE_HEADERS),
            "body": _body(response.get("body")),
        },
    }
    return {key: value for key, value in kept.items() if value != ""}


def _headers(side: dict[str, Any], wanted: set[str]) -> dict[str, str]:
    return {name.lower(): value for name, value in side.get("headers", {}).items() if name.lower() in wanted}


def _body(body: Any) -> Any:
    """Files are reduced to names and types; their bytes stay in the recordings."""
    if not isinstance(body, dict):
        return body
    if "multipart" in body:
        files = [part["filename"].rsplit("/", 1)[-1] for part in body["multipart"] if "filename" in part]
        fields = {part["name"]: part["value"] for part in body["multipart"] if "value" in part}
        return {"multipart": {"files": files, "fields": fields}}
    if body.get("binary"):
        return {"binary": body["content_type"], "size": body["size"]}
    return body


def as_text(exchanges: list[dict[str, Any]]) -> str:
    """The form of a golden file: one exchange a line."""
    lines = [json.dumps(item, ensure_ascii=False, separators=(",", ":")) for item in exchanges]
    return "[\n" + ",\n".join(lines) + "\n]\n"


def main() -> None:
    GOLDEN.mkdir(parents=True, exist_ok=True)
    for flow in FLOWS:
        (GOLDEN / f"{flow}.json").write_text(as_text(distilled(flow)), encoding="utf-8")


if __name__ == "__main__":
    main()
