"""Output that cannot be written: no stream, a reader that has gone, a full disk, letters that a terminal lacks."""

from __future__ import annotations

import io
import os
import select
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import click

from audit.errors import ServiceError


class ReaderGone(Exception):  # noqa: N818  it is no error
    """Whoever read our output (head, less) has closed it."""


class Commands(click.Group):
    """A group that tells a reader who has gone apart from what click would end with code 1 for."""

    def invoke(self, ctx: click.Context) -> Any:
        """As click's. Raises ReaderGone, and ServiceError where another pipe or connection broke."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError as error:
            if reader_gone():
                raise ReaderGone from None
            raise ServiceError("a program or server that this needs closed the connection; try again") from error


class Told(io.TextIOWrapper):
    """A stream for progress and messages: where nobody takes them, work goes on."""

    def write(self, text: str) -> int:
        """As usual; the full length also if nothing was written."""
        try:
            return super().write(text)
        except OSError:
            return len(text)

    def flush(self) -> None:
        """As usual, without errors."""
        with suppress(OSError):
            super().flush()


def prepare_streams() -> None:
    """Closed streams swallow what is written; a letter that an encoding lacks is written as its number."""
    sys.stdout = sys.stdout or _nowhere()
    sys.stderr = sys.stderr or _nowhere()
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    if isinstance(sys.stderr, io.TextIOWrapper):
        encoding = sys.stderr.encoding
        sys.stderr = Told(sys.stderr.detach(), encoding, "backslashreplace", line_buffering=True)


def forget_output() -> None:
    """What is still to be written to stdout is dropped, so that Python does not complain at exit."""
    try:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError:  # not a file at all
        sys.stdout = _nowhere()


def reader_gone() -> bool:
    """Whether nobody reads stdout any more."""
    try:
        poll = select.poll()
        poll.register(sys.stdout.fileno(), 0)
    except (OSError, ValueError):  # not a file at all
        return False
    return any(event & (select.POLLERR | select.POLLHUP) for _, event in poll.poll(0))


@contextmanager
def reader_may_leave() -> Iterator[None]:
    """For output that is not the last thing to do: without a reader the rest of it is dropped."""
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        forget_output()


def _nowhere() -> io.TextIOWrapper:
    return Path(os.devnull).open("w", encoding="utf-8")
