"""Long answers are read item by item, and no more of them are waiting than there are workers for."""

from __future__ import annotations

import io
import subprocess
import sys
import threading
from typing import Any

import numpy as np
import pytest

from audit.adapters.cvat import convert
from audit.adapters.cvat.ahead import ReadAhead
from audit.adapters.cvat.document import CHUNK, Document
from audit.core.annotations import Annotations
from audit.errors import ServiceError
from tests.adapters.cvat.test_convert import job_frames, shape
from tests.test_runs import same


def document(text: str) -> Document:
    return Document(io.BytesIO(text.encode()), lambda: ServiceError("no answer of a CVAT"))


@pytest.mark.parametrize("text", ["{}", ' {"shapes": null}', '{"shapes": []}', '{"shapes": {"a": 1}, "tags": [1]}'])
def test_a_list_that_is_not_there_is_empty(text: str) -> None:
    with document(text) as found:
        assert list(found.items("shapes")) == []


@pytest.mark.parametrize("rest", ["", ', "said": "NaN is a word"'])
def test_lists_are_read_in_any_order_and_as_often_as_wanted(rest: str) -> None:
    with document('{"shapes": [{"id": 1, "points": [1, 2.5]}, {"id": 2}], "tags": [{"id": 3}]' + rest + "}") as found:
        assert list(found.items("tags")) == [{"id": 3}]
        for _ in range(2):
            shapes = list(found.items("shapes"))
            assert shapes == [{"id": 1, "points": [1, 2.5]}, {"id": 2}]
            assert [type(v) for v in shapes[0]["points"]] == [int, float]


def test_a_number_that_json_lacks_is_kept_wherever_it_stands() -> None:
    for before in (0, CHUNK - 20, CHUNK - 11, CHUNK):
        text = '{"said": "' + "x" * before + '", "shapes": [{"points": [NaN, 1]}]}'
        with document(text) as found:
            assert np.isnan(next(iter(found.items("shapes")))["points"][0])


@pytest.mark.parametrize("text", ["", "[]", "<html>", '"text"', "{NaN"])
def test_what_is_no_object_is_refused_at_once_and_its_file_closed(text: str) -> None:
    file = io.BytesIO(text.encode())
    with pytest.raises(ServiceError):
        Document(file, lambda: ServiceError("no answer of a CVAT"))
    assert file.closed


@pytest.mark.parametrize("text", ['{"shapes": [1, 2', '{"shapes": [1, nonsense]}', '{"shapes": ' + "[" * 5000])
def test_what_is_broken_further_back_is_told_when_it_is_reached(text: str) -> None:
    with document(text) as found, pytest.raises(ServiceError):
        list(found.items("shapes"))


def test_pieces_together_are_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    track = {"id": 9, "label_id": 1, "frame": 0, "shapes": [{**shape(points=[1.0, 2.0, 3.0, 4.0]), "frame": 0}]}
    data: dict[str, Any] = {"shapes": [shape(id=i, points=[1.0, 2.0, 3.0, 4.0]) for i in range(5)], "tracks": [track]}
    whole, problems = convert.annotations_of(data, job_frames(range(5)), {1: 0})
    monkeypatch.setattr(convert, "PIECE", 2)
    pieces: list[Annotations] = []
    assert convert.take_annotations(lambda kind: data.get(kind, ()), job_frames(range(5)), {1: 0}, pieces.append) == []
    assert (len(whole), problems) == (10, [])
    assert max(map(len, pieces)) == 2
    same(whole, Annotations.concat(pieces))


def test_no_more_is_fetched_than_two_a_worker_ahead() -> None:
    begun: list[int] = []
    lock = threading.Lock()

    def fetch(unit: int) -> int:
        with lock:
            begun.append(unit)
        return unit * unit

    with ReadAhead(fetch, range(20), 2, "test") as ahead:
        for unit in range(20):
            assert ahead.take(unit) == unit * unit
            with lock:
                assert max(begun) <= unit + 4
                assert len(ahead._futures) <= 4


def test_what_a_worker_raises_comes_out_where_it_is_taken() -> None:
    def fetch(unit: int) -> int:
        if unit == 1:
            raise ServiceError("gone")
        return unit

    with ReadAhead(fetch, range(3), 2, "test") as ahead:
        assert ahead.take(0) == 0
        with pytest.raises(ServiceError, match="gone"):
            ahead.take(1)


FULL_DISK = """
import io, resource, urllib3
from audit.adapters.cvat.connection import Connection
from audit.adapters.cvat.credentials import Credentials
from audit.errors import ServiceError
resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))
connection = Connection("http://localhost:1", Credentials(token="t"))
def call(size, **_):
    return None, urllib3.HTTPResponse(io.BytesIO(b"{" + b" " * size), status=200, preload_content=False)
connection.document("job 1", call, 299_000).close()
for size in (300_000, 302_000, 500_000):
    try:
        connection.document("job 1", call, size)
    except ServiceError as error:
        print(error)
"""


def test_a_full_disk_is_said_wherever_it_is_found_out() -> None:
    done = subprocess.run([sys.executable, "-c", FULL_DISK], capture_output=True, text=True, check=True)
    assert done.stdout == 3 * "cannot keep a download: File too large\n"
