"""The double answers as the recorded server did."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest

from tests.doubles import distil
from tests.doubles.cvat import FakeCvat
from tests.doubles.replay import replay, same, start


def _exchanges(flow: str) -> list[dict[str, Any]]:
    return distil.whole(json.loads((distil.GOLDEN / f"{flow}.json").read_text(encoding="utf-8")))


@cache
def _names() -> list[tuple[str, int]]:
    return [(flow, exchange["n"]) for flow in distil.FLOWS for exchange in _exchanges(flow)]


@pytest.fixture(scope="module")
def differences() -> Iterator[dict[tuple[str, int], list[str]]]:
    """Every exchange replayed once, in the recorded order."""
    with FakeCvat() as server:
        run = start(server)
        yield {(flow, item["n"]): replay(run, flow, item) for flow in distil.FLOWS for item in _exchanges(flow)}


@pytest.mark.parametrize(("flow", "number"), _names(), ids=str)
def test_answer_is_the_recorded_one(differences: dict[tuple[str, int], list[str]], flow: str, number: int) -> None:
    assert differences[flow, number] == []


def test_the_comparison_sees_differences() -> None:
    recorded = {"a": [{"id": 1, "x": 1.0}], "d": "2026-11-21T10:01:25.145672Z", "flag": True}
    assert list(same(recorded, json.loads(json.dumps(recorded)))) == []
    for wrong in (
        {**recorded, "a": []},
        {**recorded, "a": [{"id": 2, "x": 1.0}]},
        {**recorded, "d": "yesterday"},
        {**recorded, "flag": 1},
        {**recorded, "more": None},
        {"a": recorded["a"], "flag": True},
    ):
        assert list(same(recorded, wrong)), wrong


@pytest.mark.parametrize("flow", distil.FLOWS)
def test_golden_is_what_the_recordings_say(flow: str) -> None:
    golden = (distil.GOLDEN / f"{flow}.json").read_text(encoding="utf-8")
    assert len(json.loads(golden)) > 10
    if distil.RECORDINGS.is_dir():
        assert golden == distil.as_text(distil.distilled(flow)), "run: python -m tests.doubles.distil"


def test_golden_is_small() -> None:
    assert sum((distil.GOLDEN / f"{flow}.json").stat().st_size for flow in distil.FLOWS) < 400_000
