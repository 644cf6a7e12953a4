"""How long to wait for a server, how often to try again, and what to say when it is in vain."""

from __future__ import annotations

from dataclasses import dataclass

from audit.errors import ServiceError, UsageError


@dataclass(frozen=True)
class Patience:
    """Bounds around every request; all times in seconds.

    connect: until the line stands. read: between two pieces of an answer. answer: for a whole answer,
    however steadily it drips. attempts: tries in all. wait_initial: before the second try, doubling
    up to ``wait_max``. retry_after_max: the longest ``Retry-After`` that is obeyed in full.
    """

    connect: float = 10.0
    read: float = 60.0
    answer: float = 900.0
    attempts: int = 6
    wait_initial: float = 0.5
    wait_max: float = 15.0
    retry_after_max: float = 60.0


class Refused(UsageError):  # noqa: N818 - named for what happened, as its sibling errors
    """The server understood and said no. status: HTTP's."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


class ServerFailed(ServiceError):  # noqa: N818 - as above
    """The server answers, but with an error of its own (429 or 5xx), however often one asks.

    retry_after: seconds it asked to wait, ``None`` if it did not say.
    """

    def __init__(self, message: str, status: int, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.retry_after = retry_after


class Unreachable(ServiceError):  # noqa: N818 - as above
    """There was no answer, or only part of one."""


def line_of(text: str, limit: int = 160) -> str:
    """A server's words as one printable line."""
    words = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return words if len(words) <= limit else words[: limit - 1] + "…"
