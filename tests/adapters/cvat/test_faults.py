"""Servers that fail: each fault ends in an answer or one clear line, within a bounded time."""

from __future__ import annotations

import io
import socket
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from audit.adapters.cvat import chunks
from audit.adapters.cvat.chunks import ChunkError, unpack
from audit.adapters.cvat.credentials import Credentials
from audit.adapters.cvat.patience import Patience
from audit.adapters.cvat.store import CvatStore, open_store
from audit.adapters.pictures import ImageCache
from audit.errors import AuditError, ServiceError, UsageError
from audit.ports import FrameProblem
from tests.adapters.cvat.conftest import LABELS, QUICK, photos
from tests.adapters.cvat.test_store import digests, downloads, shas
from tests.doubles.cvat import ADMIN, FakeCvat
from tests.doubles.progress import Told

Opened = Callable[..., CvatStore]


@pytest.fixture
def task(cvat: FakeCvat) -> int:
    return cvat.add_task("t", photos(6), LABELS, chunk_size=2)


def one_line(error: BaseException) -> str:
    text = str(error)
    assert text
    assert "\n" not in text
    return text


@pytest.mark.parametrize(
    "fault",
    [
        {"status": 429, "headers": {"Retry-After": "0"}},
        {"status": 500},
        {"status": 503},
        {"drop": True},
        {"truncate": True},
    ],
    ids=["429", "500", "503", "dropped", "truncated"],
)
@pytest.mark.parametrize("path", ["/api/tasks/", "/annotations", "/api/labels", "type=chunk"])
def test_a_passing_fault_is_retried(
    cvat: FakeCvat, opened: Opened, task: int, fault: dict[str, Any], path: str
) -> None:
    struck = cvat.faults.add(path, times=2, **fault)
    store = opened(f"/tasks/{task}", workers=1)
    assert digests(store.images(store.snapshot(Told()), range(6))) == shas(photos(6))
    assert struck.hits == 2


def test_retry_after_is_obeyed_up_to_a_bound(cvat: FakeCvat, opened: Opened, task: int) -> None:
    cvat.faults.add("/api/tasks/", status=429, headers={"Retry-After": "1"})
    store = opened(f"/tasks/{task}", patience=Patience(wait_initial=0.01, wait_max=0.01, retry_after_max=5))
    start = time.monotonic()
    store.snapshot(Told())
    assert 0.9 < time.monotonic() - start < 5
    cvat.faults.add("/api/tasks/", status=429, headers={"Retry-After": "3600"})
    start = time.monotonic()
    opened(f"/tasks/{task}").snapshot(Told())
    assert time.monotonic() - start < 2


@pytest.mark.parametrize(("status", "said"), [(429, "answers 429"), (500, "answers 500"), (502, "answers 502")])
def test_a_lasting_server_error_ends_after_so_many_attempts(
    cvat: FakeCvat, opened: Opened, task: int, status: int, said: str
) -> None:
    struck = cvat.faults.add("/annotations", times=-1, status=status, body=b"<html>a page</html>")
    with pytest.raises(ServiceError, match=said) as caught:
        opened(f"/tasks/{task}").snapshot(Told())
    assert struck.hits == QUICK.attempts
    assert "html" not in one_line(caught.value)


def test_a_server_that_never_answers_ends_in_a_bounded_time(cvat: FakeCvat, opened: Opened, task: int) -> None:
    struck = cvat.faults.add("/annotations", times=-1, hang=30)
    start = time.monotonic()
    with pytest.raises(ServiceError, match="stopped in the middle of an answer"):
        opened(f"/tasks/{task}", patience=Patience(read=0.3, attempts=2, wait_initial=0.01)).snapshot(Told())
    assert time.monotonic() - start < 5
    assert struck.hits == 2


def test_a_wrong_token_is_said_without_it(cvat: FakeCvat, opened: Opened, task: int) -> None:
    with pytest.raises(UsageError, match="does not accept the access token") as caught:
        opened(f"/tasks/{task}", credentials=Credentials(token="sekret")).snapshot(Told())
    assert "sekret" not in one_line(caught.value)
    assert len(cvat.requests) == 1


def test_a_wrong_password_is_said_without_it(cvat: FakeCvat, opened: Opened, task: int) -> None:
    with pytest.raises(UsageError, match="does not know user 'admin' with this password") as caught:
        opened(f"/tasks/{task}", credentials=Credentials(ADMIN, "sekret")).snapshot(Told())
    assert "sekret" not in one_line(caught.value)


def test_no_credentials_at_all_name_what_to_set(cvat: FakeCvat, opened: Opened, task: int) -> None:
    with pytest.raises(UsageError, match="CVAT_ACCESS_TOKEN"):
        opened(f"/tasks/{task}", credentials=Credentials()).snapshot(Told())
    assert len(cvat.requests) == 0


@pytest.mark.parametrize("path", ["/tasks/999", "/jobs/999", "/projects/999"])
def test_what_does_not_exist_is_named(opened: Opened, path: str) -> None:
    kind = path.split("/")[1][:-1]
    with pytest.raises(UsageError, match=f"{kind} 999 does not exist on 127"):
        opened(path).snapshot(Told())


def test_a_stranger_is_told_which_thing_may_not_be_read(cvat: FakeCvat, opened: Opened, task: int) -> None:
    cvat.add_user("stranger", token="tok")
    for path in (f"/tasks/{task}", f"/jobs/{cvat.jobs(task)[0]['id']}"):
        with pytest.raises(UsageError, match="may not use it on 127") as caught:
            opened(path, credentials=Credentials(token="tok")).snapshot(Told())
        assert one_line(caught.value).startswith(path[1:-3])


def test_nobody_listens(tmp_path: Any) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    store = open_store(
        f"cvat://127.0.0.1:{port}/tasks/1",
        credentials=Credentials(token="t"),
        cache=ImageCache(tmp_path),
        patience=QUICK,
    )
    with pytest.raises(ServiceError, match="nothing listens there"):
        store.snapshot(Told())
    store.close()


@pytest.mark.parametrize("body", [b"<html>not a CVAT</html>", b"[1, 2]", b'"text"', b"{}", b"null", b"\xff\xfe"])
@pytest.mark.parametrize("path", ["/api/tasks/", "/data/meta", "/api/jobs", "/api/labels"])
def test_a_server_that_is_no_cvat_is_one_line(
    cvat: FakeCvat, opened: Opened, task: int, path: str, body: bytes
) -> None:
    cvat.faults.add(path, times=-1, status=200, body=body)
    with pytest.raises(AuditError) as caught:
        opened(f"/tasks/{task}").snapshot(Told())
    one_line(caught.value)


def test_a_redirect_is_not_followed_but_said(cvat: FakeCvat, opened: Opened, task: int) -> None:
    cvat.faults.add("/api/tasks/", status=302, headers={"Location": "https://elsewhere.test/login"})
    with pytest.raises(UsageError, match=r"sends on to https://elsewhere.test/login; use that address"):
        opened(f"/tasks/{task}").snapshot(Told())


def test_a_server_without_a_trusted_certificate_is_said(cvat: FakeCvat, tmp_path: Any) -> None:
    address = cvat.url.replace("http://", "cvat+https://") + "/tasks/1"
    store = open_store(address, credentials=Credentials(token="t"), cache=ImageCache(tmp_path), patience=QUICK)
    with pytest.raises(UsageError, match=r"no secure line to 127.*SSL_CERT_FILE") as caught:
        store.snapshot(Told())
    one_line(caught.value)
    store.close()


def test_point_clouds_are_left_out_and_said(cvat: FakeCvat, opened: Opened, task: int) -> None:
    cvat.faults.add(f"/api/tasks/{task}", status=200, body=b'{"id": 1, "dimension": "3d", "size": 6}')
    with pytest.raises(UsageError, match="holds point clouds, not images"):
        opened(f"/tasks/{task}").snapshot(Told())


def test_a_job_on_which_frames_without_end_are_claimed_is_refused(cvat: FakeCvat, opened: Opened, task: int) -> None:
    cvat.faults.add("/data/meta", status=200, body=b'{"size": 1000000000000, "frames": [{}], "deleted_frames": []}')
    with pytest.raises(ServiceError, match="1000000000000 frames"):
        opened(f"/tasks/{task}").snapshot(Told())


# images


def test_a_broken_chunk_is_fetched_frame_by_frame(cvat: FakeCvat, opened: Opened, task: int) -> None:
    cvat.faults.add("type=chunk", status=200, body=b"this is no zip")
    store = opened(f"/tasks/{task}", workers=1)
    assert digests(store.images(store.snapshot(Told()), range(6))) == shas(photos(6))
    assert [q["type"] for _, q in downloads(cvat)].count("frame") == 2


def test_one_frame_that_cannot_be_had_is_a_problem_and_the_others_come(
    cvat: FakeCvat, opened: Opened, task: int
) -> None:
    cvat.faults.add("number=1&.*type=chunk|type=chunk.*number=1", status=400, body=b'"broken image"')
    cvat.faults.add("number=3&.*type=frame|type=frame.*number=3", times=-1, status=400, body=b'"broken image"')
    store = opened(f"/tasks/{task}", workers=1)
    items = list(store.images(store.snapshot(Told()), range(6)))
    assert [item.frame for item in items] == list(range(6))
    bad = [item for item in items if isinstance(item, FrameProblem)]
    assert [problem.frame for problem in bad] == [3]
    assert bad[0].reason == f"frame 3 of task {task}: {store.connection.host} refuses (400): broken image"
    expected = shas(photos(6))
    assert [d for i, d in enumerate(digests(items)) if i != 3] == [d for i, d in enumerate(expected) if i != 3]


def test_a_server_that_fails_for_every_image_ends_the_audit(cvat: FakeCvat, opened: Opened, task: int) -> None:
    cvat.faults.add("type=", times=-1, status=500)
    store = opened(f"/tasks/{task}", workers=1)
    with pytest.raises(ServiceError, match="answers 500"):
        list(store.images(store.snapshot(Told()), range(6)))


def test_a_server_that_fails_for_one_chunk_does_not(cvat: FakeCvat, opened: Opened, task: int) -> None:
    cvat.faults.add("number=1", times=QUICK.attempts, status=500)
    store = opened(f"/tasks/{task}", workers=1)
    items = list(store.images(store.snapshot(Told()), range(6)))
    assert [isinstance(item, FrameProblem) for item in items] == [False, False, True, True, False, False]


def test_a_server_that_goes_away_between_images_ends_the_audit(cvat: FakeCvat, opened: Opened, task: int) -> None:
    store = opened(f"/tasks/{task}", workers=1)
    snapshot = store.snapshot(Told())
    cvat.faults.add("type=", times=-1, drop=True)
    with pytest.raises(ServiceError, match="no answer from 127"):
        list(store.images(snapshot, range(6)))


def zipped(members: dict[str, bytes], method: int = zipfile.ZIP_STORED) -> io.BytesIO:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return stream


def test_a_chunk_is_read_by_position_and_its_names_are_not_used() -> None:
    assert list(unpack(zipped({}), 0, [])) == []
    climbing = zipped({"../../etc/passwd": b"a", "/abs": b"b", "000002.jpg": b"c"})
    assert list(unpack(climbing, 3, [2, 0])) == [(2, b"c"), (0, b"a")]


def test_a_chunk_over_the_bounds_or_of_another_count_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ChunkError, match="holds 2 images instead of 3"):
        list(unpack(zipped({"a": b"", "b": b""}), 3, [0]))
    monkeypatch.setattr(chunks, "MAX_IMAGE_BYTES", 1 << 20)
    bomb = zipped({"a": bytes(2 << 20)}, zipfile.ZIP_DEFLATED)
    assert len(bomb.getvalue()) < 10_000
    with pytest.raises(ChunkError, match="an image of over 1 MiB"):
        list(unpack(bomb, 1, [0]))
    monkeypatch.setattr(chunks, "MAX_CHUNK_BYTES", 1 << 20)
    many = zipped({str(i): bytes(1 << 19) for i in range(3)}, zipfile.ZIP_DEFLATED)
    with pytest.raises(ChunkError, match="unpacks to more"):
        list(unpack(many, 3, [0]))


def test_a_damaged_chunk_is_refused() -> None:
    whole = zipped({"a": b"x" * 1000}).getvalue()
    for data in (b"", b"PK", whole[:500], whole.replace(b"xxxx", b"xyxx")):
        with pytest.raises(ChunkError, match="not a whole zip file"):
            list(unpack(io.BytesIO(data), 1, [0]))


# a line that drips: each byte comes in time, the whole never ends


@contextmanager
def dripping(head: bytes, drip: bytes) -> Iterator[str]:
    """A server that sends the head at once and then a byte every 50 ms, for ever. Gives its address."""
    done = threading.Event()
    listener = socket.create_server(("127.0.0.1", 0))
    listener.settimeout(0.1)

    def serve() -> None:
        while not done.is_set():
            try:
                line, _ = listener.accept()
            except OSError:
                continue
            threading.Thread(target=drop_by_drop, args=(line,), daemon=True).start()

    def drop_by_drop(line: socket.socket) -> None:
        with line:
            try:
                line.recv(65536)
                line.sendall(head)
                while not done.wait(0.05):
                    line.sendall(drip)
            except OSError:
                return

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield f"cvat://127.0.0.1:{listener.getsockname()[1]}/tasks/1"
    finally:
        done.set()
        thread.join()
        listener.close()


@pytest.mark.parametrize(
    ("head", "drip"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n", b" "),
        (b"HTTP/1.1 200 OK\r\nX-Slow: ", b"a"),
        (b"", b"H"),
    ],
    ids=["body", "header", "status line"],
)
def test_an_answer_that_drips_for_ever_ends_in_a_bounded_time(head: bytes, drip: bytes, tmp_path: Any) -> None:
    patience = Patience(connect=1, read=1, answer=0.5, attempts=2, wait_initial=0.01, wait_max=0.01)
    with dripping(head, drip) as address:
        store = open_store(address, credentials=Credentials(token="t"), cache=ImageCache(tmp_path), patience=patience)
        start = time.monotonic()
        with pytest.raises(ServiceError):
            store.snapshot(Told())
        assert time.monotonic() - start < 4
        store.close()
