"""What a push sent and what came of it, in the run's ``journal.jsonl``.

Only ever appended to, and on disk before each request and after its answer: a request that was begun and
never closed is one whose fate only the server knows.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import IO, Any

from audit.errors import ServiceError, UsageError
from audit.push_ports import SHAPES, TRACKS, Shape, without_key_ids

FILE = "journal.jsonl"
DONE, NOT_DONE, CONFLICT = "done", "not done", "conflict"


@dataclass(frozen=True)
class Item:
    """One shape or issue of a request. findings: what it settles.

    id: None for one that does not exist yet. before, after: the shape before and after, None for none;
    of an issue, ``after`` holds its frame, position and text.
    """

    findings: tuple[str, ...]
    id: int | None
    before: Shape | None
    after: Shape | None


@dataclass(frozen=True)
class Result:
    """outcome: ``DONE``, ``NOT_DONE`` or ``CONFLICT``. id, after: as the server has it now. reason: of a conflict."""

    outcome: str
    id: int | None = None
    after: Shape | None = None
    reason: str = ""


@dataclass
class Request:
    """number: its place in the journal. kind: "shapes", "tracks" or "issue". undo: whether it takes something back.

    action: "create", "update" or "delete". above: the highest shape id the job had before a create.
    results: one for each item once it is closed, else None.
    """

    number: int
    job: int
    kind: str
    action: str
    undo: bool
    items: tuple[Item, ...]
    above: int = 0
    results: tuple[Result, ...] | None = None

    def done(self) -> Iterator[tuple[Item, Result]]:
        """What is known to have been carried out."""
        pairs = zip(self.items, self.results or (), strict=False)
        return ((item, result) for item, result in pairs if result.outcome == DONE)


@dataclass
class Chain:
    """All that we did to one shape or issue: how it was before our first write and after our last.

    Where somebody else changed it between two of our writes, what they made of it counts as before.
    """

    id: int
    job: int
    kind: str
    before: Shape | None
    after: Shape | None
    findings: tuple[str, ...]

    @property
    def undone(self) -> bool:
        """Whether nothing of it is left."""
        if self.kind == "issue":
            return self.before is None and self.after is None
        if self.kind == TRACKS and self.before is not None and self.after is not None:
            return without_key_ids(self.before) == without_key_ids(self.after)
        return self.before == self.after


@dataclass
class Journal:
    """Read it whole, then append. Use ``opened``, which keeps other writers away."""

    path: Path
    requests: list[Request] = field(default_factory=list)
    _stream: IO[bytes] | None = None

    def pending(self) -> list[Request]:
        """Begun, but never closed: a kill or a lost line came between."""
        return [r for r in self.requests if r.results is None]

    def pushed(self, kind: str) -> dict[str, int]:
        """Findings that are done and not taken back, with the id of the shape or issue."""
        standing: dict[str, int] = {}
        for request in self.requests:
            for item, result in request.done() if request.kind == kind else ():
                for finding in item.findings:
                    if request.undo:
                        standing.pop(finding, None)
                    else:
                        standing[finding] = result.id if result.id is not None else -1
        return standing

    def tried(self, findings: tuple[str, ...]) -> bool:
        """Whether a create for these findings was sent, not found carried out, and never repeated."""
        if any(finding in self.pushed(kind) for kind in (SHAPES, TRACKS) for finding in findings):
            return False
        creates = (r for r in self.requests if r.kind in (SHAPES, TRACKS) and r.action == "create" and not r.undo)
        pairs = (pair for r in creates for pair in zip(r.items, r.results or (), strict=False))
        return any(item.findings == findings and result.outcome == NOT_DONE for item, result in pairs)

    def chains(self) -> list[Chain]:
        """Every shape and issue we wrote, in the order of the first write."""
        found: dict[tuple[str, int, int], Chain] = {}
        for request in self.requests:
            link(found, request)
        return list(found.values())

    def begin(self, request: Request) -> Request:
        """On disk when this returns, so that the request may be sent."""
        request.number = len(self.requests)
        facts = {k: v for k, v in asdict(request).items() if k != "results"}
        self._append({"event": "begin", "time": _now(), **facts})
        self.requests.append(request)
        return request

    def close(self, request: Request, results: Sequence[Result]) -> None:
        """What came of it; on disk when this returns."""
        request.results = tuple(results)
        rows = [asdict(result) for result in results]
        self._append({"event": "close", "time": _now(), "number": request.number, "results": rows})

    def _append(self, row: dict[str, Any]) -> None:
        if self._stream is None:
            raise ServiceError(f"{self.path} is not open for writing")
        try:
            self._stream.write((json.dumps(row, ensure_ascii=False) + "\n").encode())
            self._stream.flush()
            os.fsync(self._stream.fileno())
        except OSError as error:
            raise ServiceError(f"cannot write {self.path}: {error.strerror or error}; nothing more is sent") from error


def link(chains: dict[tuple[str, int, int], Chain], request: Request) -> list[Chain]:
    """Take what a closed request did into the chains, which are kept by kind, job and id; gives those it touched."""
    touched = []
    for item, result in request.done():
        if result.id is None:
            continue
        key = (request.kind, request.job, result.id)
        if key not in chains:
            chains[key] = Chain(result.id, request.job, request.kind, item.before, result.after, item.findings)
        else:
            _extend(chains[key], request, item, result)
        touched.append(chains[key])
    return touched


def _extend(chain: Chain, request: Request, item: Item, result: Result) -> None:
    if not request.undo and request.kind in (SHAPES, TRACKS):
        if chain.undone:
            chain.findings = ()
        if not _untouched(chain.after, item.before):
            chain.before = item.before
    chain.after = result.after
    chain.findings = tuple(dict.fromkeys((*chain.findings, *item.findings)))


def _untouched(left: Shape | None, found: Shape | None) -> bool:
    """Whether a shape is as we left it, in the fields that the server knew then and now."""
    if left is None or found is None:
        return left is found
    names = left.keys() & found.keys()
    return bool(_plain({n: left[n] for n in names}) == _plain({n: found[n] for n in names}))


def _plain(value: Any) -> Any:
    """A shape whatever the order of its attributes and keyframes, and without the ids of these."""
    if isinstance(value, dict):
        value = without_key_ids(value) if "shapes" in value else value
        return {name: _plain(part) for name, part in value.items()}
    if isinstance(value, list) and value and all(isinstance(part, dict) for part in value):
        return sorted((_plain(part) for part in value), key=lambda part: json.dumps(part, sort_keys=True))
    return value


def read(run: Path) -> Journal:
    """The journal as it stands. A last line that a kill cut short counts as never written.

    Raises UsageError for any other line that makes no sense.
    """
    path = run / FILE
    journal = Journal(path)
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").split("\n")
    except FileNotFoundError:
        return journal
    except OSError as error:
        raise ServiceError(f"cannot read {path}: {error.strerror or error}") from error
    for number, line in enumerate(lines, start=1):
        # whole lines end with a line break, so that only the last one can be without
        if line and number < len(lines):
            _take(journal, line, number)
    return journal


@contextmanager
def opened(run: Path) -> Iterator[Journal]:
    """The journal, read and ready to be added to; only one command at a time. Raises UsageError if another has it."""
    path = run / FILE
    try:
        stream = path.open("a+b")
    except OSError as error:
        raise ServiceError(f"cannot write {path}: {error.strerror or error}") from error
    with stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise UsageError(f"another push or undo of {run} is under way; wait for its end") from None
        _drop_torn_line(stream)
        journal = read(run)
        journal._stream = stream
        yield journal


def _drop_torn_line(stream: IO[bytes]) -> None:
    """A line that a kill cut short was never followed by its request or is read from the server again."""
    stream.seek(0)
    data = stream.read()
    if data and not data.endswith(b"\n"):
        stream.truncate(data.rfind(b"\n") + 1)


def _take(journal: Journal, line: str, number: int) -> None:
    try:
        row = json.loads(line)
        if row["event"] == "begin":
            items = tuple(Item(tuple(i["findings"]), i["id"], i["before"], i["after"]) for i in row["items"])
            values = (row["number"], row["job"], row["kind"], row["action"], row["undo"], items, row["above"])
            journal.requests.append(Request(*values))
        else:
            journal.requests[row["number"]].results = tuple(Result(**r) for r in row["results"])
    except (ValueError, KeyError, TypeError, IndexError) as error:
        raise UsageError(f"{journal.path}, line {number} is damaged ({error!r}); it must be repaired by hand") from None


def _now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="milliseconds")
