"""Asking a predictor through the cache, one batch at a time and the next before the last has ended."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence

import pytest

from audit.asking import Asking
from audit.core.annotations import Predictions
from audit.errors import ServiceError
from audit.ports import PredictItem

SECONDS = 20
"""After which something waits for ever."""
BOTH = pytest.mark.parametrize("overlaps", [False, True])


class Memory:
    """A cache."""

    def __init__(self) -> None:
        self.kept: dict[tuple[str, str], Predictions] = {}

    def get(self, digest: str, sha256s: Sequence[str]) -> dict[str, Predictions]:
        return {s: self.kept[digest, s] for s in sha256s if (digest, s) in self.kept}

    def put(self, digest: str, predictions: Mapping[str, Predictions]) -> None:
        self.kept |= {(digest, s): p for s, p in predictions.items()}


class Model:
    """Gives the image's number as its score; cannot read "bad", and what is "dead" ends it."""

    name, labels, needs_images, batch_size, notes = "m", ("person",), True, 2, ()

    def __init__(self, overlaps: bool = False, digest: str = "d") -> None:
        self.overlaps, self.digest = overlaps, digest
        self.seen: list[str] = []
        self.threads: list[threading.Thread] = []
        self.meeting: threading.Barrier | None = None

    def predict(self, items: Sequence[PredictItem]) -> list[Predictions | str]:
        self.threads.append(threading.current_thread())
        self.seen += [item.sha256 for item in items]
        if self.meeting:
            self.meeting.wait(SECONDS)
        if any(item.sha256 == "dead" for item in items):
            raise ServiceError("the model died")
        return ["is bad" if i.sha256 == "bad" else scored(i.sha256) for i in items]

    def close(self) -> None:
        if self.meeting:
            self.meeting.abort()


def scored(text: str) -> Predictions:
    return Predictions(xyxy=[[0, 0, 1, 1]], label=[0], score=[int(text or 0) / 100])


def batch(*sha256s: str) -> list[PredictItem]:
    return [PredictItem(i, f"{i}.jpg", i, 1, i, (9, 9), sha256, b"") for i, sha256 in enumerate(sha256s)]


def told(answers: Sequence[Predictions | str]) -> list[str]:
    return [a if isinstance(a, str) else f"{100 * a.score[0]:.0f}" for a in answers]


@BOTH
def test_nothing_asks_nobody(overlaps: bool) -> None:
    model = Model(overlaps)
    asking = Asking(model, Memory())
    assert asking.end(asking.begin([])) == []
    assert model.threads == []
    asking.close()


@BOTH
def test_the_same_bytes_are_asked_once_within_a_batch_and_across_batches(overlaps: bool) -> None:
    model, cache = Model(overlaps), Memory()
    asking = Asking(model, cache)
    questions = [asking.begin(batch("1", "2", "1")), asking.begin(batch("2", "3", "3"))]
    assert [told(asking.end(q)) for q in questions] == [["1", "2", "1"], ["2", "3", "3"]]
    assert sorted(model.seen) == ["1", "2", "3"]
    assert sorted(s for _, s in cache.kept) == ["1", "2", "3"]
    assert told(asking.end(asking.begin(batch("3", "1")))) == ["3", "1"]
    assert len(model.seen) == 3
    asking.close()


@BOTH
def test_what_has_no_key_is_asked_each_time_and_not_kept(overlaps: bool) -> None:
    for model, images in ((Model(overlaps), ("", "")), (Model(overlaps, digest=""), ("1", "1"))):
        asking = Asking(model, cache := Memory())
        assert len(asking.end(asking.begin(batch(*images)))) == 2
        assert len(model.seen) == 2
        assert cache.kept == {}
        asking.close()


@BOTH
def test_a_bad_image_is_told_wherever_it_stands_and_not_kept(overlaps: bool) -> None:
    model, cache = Model(overlaps), Memory()
    asking = Asking(model, cache)
    questions = [asking.begin(batch("bad", "1", "bad")), asking.begin(batch("2", "bad"))]
    assert [told(asking.end(q)) for q in questions] == [["is bad", "1", "is bad"], ["2", "is bad"]]
    assert sorted(s for _, s in cache.kept) == ["1", "2"]
    asking.close()


def test_a_batch_is_begun_while_the_one_before_is_under_way() -> None:
    model = Model(overlaps=True)
    model.meeting = threading.Barrier(2)  # both calls must be there for either to go on
    asking = Asking(model, Memory())
    questions = [asking.begin(batch("1")), asking.begin(batch("2"))]
    assert [told(asking.end(q)) for q in questions] == [["1"], ["2"]]
    asking.close()


def test_a_predictor_that_says_nothing_of_it_is_called_on_the_callers_thread_only() -> None:
    model = Model()
    del model.overlaps
    asking = Asking(model, Memory())
    questions = [asking.begin(batch("1")), asking.begin(batch("2"))]
    assert [told(asking.end(q)) for q in questions] == [["1"], ["2"]]
    assert set(model.threads) == {threading.current_thread()}
    assert asking.ahead == 1


@BOTH
def test_a_model_that_dies_is_told(overlaps: bool) -> None:
    asking = Asking(Model(overlaps), Memory())
    with pytest.raises(ServiceError, match="died"):
        asking.end(asking.begin(batch("dead")))
    asking.close()


def test_closing_waits_for_nobody() -> None:
    model = Model(overlaps=True)
    model.meeting = threading.Barrier(2)  # the other never comes
    asking = Asking(model, Memory())
    asking.begin(batch("1"))
    asking.close()
    model.close()
    for thread in model.threads:
        thread.join(SECONDS)
        assert not thread.is_alive()
