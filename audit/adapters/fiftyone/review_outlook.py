"""When to stop, told while one reviews: worked out beside the answers, never in front of them."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

from audit import decisions
from audit.core.findings import Findings
from audit.errors import AuditError
from audit.remaining import outlook
from audit.report.remaining_text import advice_line
from audit.runs import RunFolder

EVERY = 20
"""Answers after which it is worked out anew."""


class Outlook:
    """The latest advice of a run. findings: all of it, with ids."""

    def __init__(self, run: RunFolder, findings: Findings) -> None:
        self._run, self._findings = run, findings
        self._text, self._answers = "", 0
        self._lock = threading.Lock()
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="outlook")

    def answered(self) -> None:
        """Count an answer."""
        with self._lock:
            self._answers += 1
            due = self._answers % EVERY == 0
        if due:
            self._worker.submit(self._work)

    def text(self) -> str:
        """A sentence or two; "" until there have been ``EVERY`` answers."""
        return self._text

    def close(self) -> None:
        """Wait for what is being worked out; begin nothing more."""
        self._worker.shutdown(wait=True, cancel_futures=True)

    def _work(self) -> None:
        try:
            advice, judged = outlook(self._findings, decisions.read(self._run.path, strict=False))
        except AuditError:
            return  # a damaged file is told where it is read for itself
        self._text = advice_line(advice, judged)
