"""Asking predictors through the cache: no model sees the same bytes twice, and none waits for the next images."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol

from audit.core.annotations import Predictions
from audit.ports import PredictItem, Predictor

AHEAD = 2
"""Batches asked for at a time: while one ends the next has begun, so that no core is idle in between."""

Answer = Predictions | str


class Cache(Protocol):
    """Predictions kept by model digest and image digest."""

    def get(self, digest: str, sha256s: Sequence[str]) -> dict[str, Predictions]: ...

    def put(self, digest: str, predictions: Mapping[str, Predictions]) -> None: ...


@dataclass(frozen=True)
class Question:
    """A batch that is being answered. known: answers by SHA-256. asked: positions the predictor works on."""

    batch: Sequence[PredictItem]
    known: dict[str, Answer]
    asked: list[int]
    answers: Callable[[], list[Answer]]


class Asking:
    """Asks one predictor. ahead: how many batches may be begun before the first of them is waited for.

    That is ``AHEAD`` for predictors that say by ``overlaps`` that several threads may call them, else 1.
    """

    def __init__(self, predictor: Predictor, cache: Cache) -> None:
        self._predictor, self._cache = predictor, cache
        self.ahead = AHEAD if getattr(predictor, "overlaps", False) else 1
        self._pool = ThreadPoolExecutor(self.ahead, thread_name_prefix="ask") if self.ahead > 1 else None
        self._under_way: set[str] = set()

    def begin(self, batch: Sequence[PredictItem]) -> Question:
        """Let the predictor work on what the cache does not hold and an earlier batch does not ask already."""
        keyed = [item.sha256 for item in batch if self._is_keyed(item)]
        known: dict[str, Answer] = dict(self._cache.get(self._predictor.digest, keyed)) if keyed else {}
        asked = []
        for i, item in enumerate(batch):
            if not self._is_keyed(item):
                asked.append(i)
            elif item.sha256 not in known and item.sha256 not in self._under_way:
                self._under_way.add(item.sha256)
                asked.append(i)
        return Question(batch, known, asked, self._asked([batch[i] for i in asked]))

    def end(self, question: Question) -> list[Answer]:
        """Wait for the answers, keep them, and give one per item."""
        batch = question.batch
        answers = self._kept(batch, question.asked, question.answers())
        known = question.known | {batch[i].sha256: a for i, a in answers.items() if self._is_keyed(batch[i])}
        elsewhere = [item.sha256 for item in batch if self._is_keyed(item) and item.sha256 not in known]
        if elsewhere:  # an earlier batch asked for these
            known |= self._cache.get(self._predictor.digest, elsewhere)
        left = [i for i, item in enumerate(batch) if i not in answers and item.sha256 not in known]
        if left:
            answers |= self._kept(batch, left, self._predictor.predict([batch[i] for i in left]))
        return [answers[i] if i in answers else known[item.sha256] for i, item in enumerate(batch)]

    def close(self) -> None:
        """Ends the threads once what they wait for is there, or the predictor is closed."""
        if self._pool:
            self._pool.shutdown(wait=False, cancel_futures=True)

    def _is_keyed(self, item: PredictItem) -> bool:
        return bool(self._predictor.digest and item.sha256)

    def _asked(self, items: list[PredictItem]) -> Callable[[], list[Answer]]:
        if not items:
            return list
        if self._pool:
            return self._pool.submit(self._predictor.predict, items).result
        answers = self._predictor.predict(items)
        return lambda: answers

    def _kept(self, batch: Sequence[PredictItem], places: list[int], answers: list[Answer]) -> dict[int, Answer]:
        """The answers by their place in the batch; those that hold are in the cache now."""
        by_place = dict(zip(places, answers, strict=True))
        keyed = {batch[i].sha256: answer for i, answer in by_place.items() if self._is_keyed(batch[i])}
        self._under_way -= keyed.keys()
        fresh = {sha256: answer for sha256, answer in keyed.items() if not isinstance(answer, str)}
        if fresh:
            self._cache.put(self._predictor.digest, fresh)
        return by_place
