"""What answers a doctor may be broken, slow, huge or hostile: each is told in one plain line."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from threading import Thread

import pytest

from audit.serving import asking
from audit.serving.doctor import checks
from tests.serving.test_doctor import function, only

Talk = Callable[[socket.socket], None]


@contextmanager
def talking(talk: Talk) -> Iterator[int]:
    """A port on which a program says to each caller what it likes, and hangs up."""
    listening = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                caller, _ = listening.accept()
            except OSError:
                return
            with caller, suppress(OSError):
                caller.recv(65536)
                talk(caller)

    Thread(target=serve, daemon=True).start()
    try:
        yield int(listening.getsockname()[1])
    finally:
        with suppress(OSError):
            listening.shutdown(socket.SHUT_RDWR)
        listening.close()


def saying(*pieces: bytes) -> Talk:
    return lambda caller: caller.sendall(b"".join(pieces))


def answer(status: str, body: bytes = b"", *headers: bytes) -> Talk:
    head = [b"HTTP/1.1 " + status.encode(), b"Content-Length: %d" % len(body), *headers]
    return saying(b"\r\n".join(head), b"\r\n\r\n", body)


def dripping(head: bytes) -> Talk:
    """A byte in a while, for ever."""

    def talk(caller: socket.socket) -> None:
        caller.sendall(head)
        while True:
            caller.sendall(b" ")
            time.sleep(0.02)

    return talk


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking, "SILENCE_S", 0.3)
    monkeypatch.setattr(asking, "WHOLE_S", 0.6)


@pytest.mark.parametrize(
    ("talk", "said", "advised"),
    [
        (saying(b"SSH-2.0-OpenSSH_9.2p1\r\n"), "does not speak HTTP", "another program"),
        (saying(b"\x00\xff\x1b[2J\n\n"), "does not speak HTTP", "another program"),
        (saying(b"HTTP/1.1 200 OK\r\n" + b"x: " + b"y" * 70_000), "does not speak HTTP", "another program"),
        (saying(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{}"), "cut short", "another program"),
        (saying(), "hangs up without an answer", "another program"),
        (answer("404 Not Found", b"<html>no such page"), "has no list of functions (HTTP 404)", "another program"),
        (answer("401 Unauthorized"), "wants a login (HTTP 401)", "without one"),
        (answer("302 Found", b"", b"Location: http://\x1b[31melsewhere/"), "sends its callers on to http", "own addr"),
        (answer("500 Oops", b"\x1b[2Jno\r\n disk"), "answers HTTP 500: [2Jno disk", "docker logs nuclio"),
        (answer("200 OK", b"[" * 200_000), "not as Nuclio does", "another program"),
        (answer("200 OK", b'{"a":' * 100_000), "not as Nuclio does", "another program"),
        (answer("200 OK", b"\xff{}"), "not as Nuclio does", "another program"),
        (answer("200 OK", b'{"a": 1' + b"0" * 5000 + b"}"), "not as Nuclio does", "another program"),
        (answer("200 OK", b'{"a": '), "not as Nuclio does", "another program"),
    ],
)  # fmt: skip
def test_whatever_answers_there_is_told_in_one_plain_line(talk: Talk, said: str, advised: str) -> None:
    with talking(talk) as port:
        (found,) = checks([], f"http://127.0.0.1:{port}")
    assert not found.ok
    assert said in found.detail
    assert advised in found.advice
    assert (found.detail + found.advice).isprintable()


def test_a_redirect_is_not_followed() -> None:
    called: list[bool] = []
    with talking(lambda _: called.append(True)) as elsewhere:
        to = f"Location: http://127.0.0.1:{elsewhere}/api/functions".encode()
        with talking(answer("307 Elsewhere", b"", to)) as port:
            (found,) = checks([], f"http://127.0.0.1:{port}")
    assert "sends its callers on to http://127.0.0.1" in found.detail
    assert called == []


@pytest.mark.usefixtures("hurried")
@pytest.mark.parametrize(
    ("talk", "said"),
    [
        (lambda _: time.sleep(2), "silent for 0.3 s"),
        (dripping(b"HTTP/1.1 200 OK\r\nX-Slow:"), "not complete after 0.6 s"),
        (dripping(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n{"), "not complete after 0.6 s"),
        (dripping(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{"), "not complete after 0.6 s"),
        (dripping(b"HTTP/1.1 100 Continue\r\n\r\n"), "not complete after 0.6 s"),
    ],
)
def test_a_slow_answer_is_not_waited_for(talk: Talk, said: str) -> None:
    start = time.monotonic()
    with talking(talk) as port:
        (found,) = checks([], f"http://127.0.0.1:{port}")
        assert time.monotonic() - start < 10  # the machine may be busy; without a bound it never ends
    assert (found.ok, said in found.detail) == (False, True), found


def test_a_huge_answer_is_not_read_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking, "MOST_BYTES", 1 << 20)

    def endless(caller: socket.socket) -> None:
        caller.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            caller.sendall(b" " * 65536)

    with talking(endless) as port:
        (found,) = checks([], f"http://127.0.0.1:{port}")
    assert (found.ok, "an answer of over 1 MiB" in found.detail) == (False, True)


@pytest.mark.parametrize(
    "address",
    ["localhost:8070", "localhost", "ftp://localhost", "http://", "http://a:99999", "http://a:x", "http://[::1",
     "http://a b/", "http://a\x1b[2J/", "//a", "http://a:0"],
)  # fmt: skip
def test_what_is_no_address_is_a_trouble_and_no_error(address: str) -> None:
    (found,) = checks([], address)
    assert (found.ok, "no address of a dashboard" in found.detail) == (False, True)
    assert (found.name + found.detail).isprintable()


def test_a_password_in_the_address_is_not_shown() -> None:
    (found,) = checks([], "http://me:hunter2@localhost:8070")
    assert "without a user name" in found.detail
    assert "hunter2" not in repr(found)


def test_another_program_on_a_functions_port_is_told() -> None:
    with talking(saying(b"220 mail.example ESMTP\r\n")) as port:
        found = only({"f": function(httpPort=port)})
    assert (found.ok, "gives no answer (it does not speak HTTP)" in found.detail) == (False, True)
    with talking(answer("404 Not Found")) as port:
        assert only({"f": function(httpPort=port)}).ok  # a function answers so to what it does not know
