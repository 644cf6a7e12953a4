"""Faults that a test orders from the double: they hit the next requests that match, then are used up."""

from __future__ import annotations

import re
import threading
from dataclasses import dataclass, field


@dataclass
class Fault:
    """One ordered fault. ``times`` counts down with each request that it hits; negative = for ever."""

    path: re.Pattern[str]
    method: str | None = None
    times: int = 1
    status: int | None = None
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    drop: bool = False
    hang: float = 0.0
    truncate: bool = False
    kill_after_bytes: int | None = None
    hits: int = 0


class Faults:
    """The faults still to come. Several on one path act one after the other, in the order they were added."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._faults: list[Fault] = []

    def add(
        self,
        path_regex: str,
        method: str | None = None,
        times: int = 1,
        *,
        status: int | None = None,
        headers: dict[str, str] | None = None,
        body: bytes = b"",
        drop: bool = False,
        hang: float = 0.0,
        truncate: bool = False,
        kill_after_bytes: int | None = None,
    ) -> Fault:
        """Order a fault for requests whose path, with its query as sent, matches ``path_regex`` (searched).

        status, headers, body: answered instead of the real answer, which is then not carried out.
        drop: close the connection without a byte; nothing is carried out.
        hang: wait so many seconds first (cut short when the server closes), then go on as if nothing was.
        truncate: carry out, then send half the body under the full Content-Length and close.
        kill_after_bytes: the same, with so many bytes of the body.
        Returns the fault; its ``hits`` counts how often it struck.
        """
        fault = Fault(
            re.compile(path_regex), method, times, status, headers or {}, body, drop, hang, truncate, kill_after_bytes
        )
        with self._lock:
            self._faults.append(fault)
        return fault

    def clear(self) -> None:
        """Forget every fault still to come."""
        with self._lock:
            self._faults.clear()

    def take(self, method: str, target: str) -> Fault | None:
        """The fault that strikes this request, counted as used, or None."""
        with self._lock:
            for fault in self._faults:
                if fault.times != 0 and fault.method in (None, method) and fault.path.search(target):
                    fault.times -= 1
                    fault.hits += 1
                    return fault
        return None
