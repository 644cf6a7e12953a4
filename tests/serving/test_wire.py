"""Messages between host and worker, small ones through the socket, large ones through memory that both see."""

from __future__ import annotations

import errno
import os
import socket
import threading
from collections.abc import Iterator

import pytest

from audit.serving.host import wire
from audit.serving.host.wire import LARGE, GoneError, Tray, new_tray, receive, send

Ends = tuple[socket.socket, socket.socket]


@pytest.fixture
def ends() -> Iterator[Ends]:
    one, other = socket.socketpair()
    with one, other:
        yield one, other


@pytest.fixture
def trays() -> Iterator[tuple[Tray, Tray]]:
    """The host's and the worker's view of the same memory."""
    ours = new_tray()
    if ours is None:
        pytest.skip("this system has no memory files; bodies go through the socket")
    theirs = Tray(os.dup(ours.descriptor))
    yield ours, theirs
    ours.close()
    theirs.close()


def test_no_body_and_an_empty_one(ends: Ends) -> None:
    send(ends[0], {})
    assert receive(ends[1]) == ({}, b"")


@pytest.mark.parametrize("size", [1, LARGE - 1, LARGE, LARGE + 1])
def test_what_is_sent_is_received(size: int, ends: Ends, trays: tuple[Tray, Tray]) -> None:
    body = os.urandom(size)
    send(ends[0], {"id": "ä"}, body, trays[0])
    assert receive(ends[1], trays[1]) == ({"id": "ä"}, body)


def test_memory_grows_with_the_bodies_and_is_used_again(ends: Ends, trays: tuple[Tray, Tray]) -> None:
    for size in (LARGE, 10 * LARGE + 1, LARGE + 7, 20 * LARGE, LARGE):
        body = os.urandom(size)
        send(ends[0], {}, body, trays[0])
        assert receive(ends[1], trays[1])[1] == body
    assert os.fstat(trays[0].descriptor).st_size == 20 * LARGE


def test_a_large_body_does_not_go_through_the_socket(ends: Ends, trays: tuple[Tray, Tray]) -> None:
    ends[0].setblocking(False)  # the socket itself takes far less at once
    send(ends[0], {}, bytes(64 << 20), trays[0])
    assert receive(ends[1], trays[1])[1] == bytes(64 << 20)


@pytest.mark.parametrize("tray", [None, Tray(-1)], ids=["no such memory", "closed"])
def test_without_such_memory_all_goes_through_the_socket(tray: Tray | None, ends: Ends) -> None:
    body = os.urandom(5 * LARGE)
    sender = threading.Thread(target=send, args=(ends[0], {"a": 1}, body, tray))
    sender.start()
    assert receive(ends[1]) == ({"a": 1}, body)
    sender.join()


def test_a_system_without_such_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(wire.os, "memfd_create", raising=False)
    assert new_tray() is None


def test_memory_that_is_not_to_be_had_is_found_out_before_it_is_written(
    ends: Ends, trays: tuple[Tray, Tray], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(wire.os, "posix_fallocate", full)
    assert not trays[0].put(bytes(LARGE))
    sender = threading.Thread(target=send, args=(ends[0], {}, bytes(5 * LARGE), trays[0]))
    sender.start()
    assert receive(ends[1], trays[1])[1] == bytes(5 * LARGE)
    sender.join()


def test_closing_twice_and_sending_to_nobody(ends: Ends, trays: tuple[Tray, Tray]) -> None:
    trays[0].close()
    trays[0].close()
    assert not trays[0].put(bytes(LARGE))
    ends[1].close()
    with pytest.raises(GoneError):
        send(ends[0], {}, bytes(LARGE), trays[0])
