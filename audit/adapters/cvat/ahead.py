"""Reading ahead: several downloads at a time, taken in order, a bounded number of them waiting."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Generic, TypeVar

Unit = TypeVar("Unit")
Result = TypeVar("Result")


class ReadAhead(Generic[Unit, Result]):
    """Fetches units in order on threads, at most two per worker ahead of the one taken last.

    name: of the threads. Use it as a context manager, which waits for those at work.
    """

    def __init__(self, fetch: Callable[[Unit], Result], units: Sequence[Unit], workers: int, name: str) -> None:
        self._fetch, self._units, self._workers, self._name = fetch, units, workers, name
        self._futures: dict[int, Future[Result]] = {}
        self._next = 0

    def __enter__(self) -> ReadAhead[Unit, Result]:
        self._pool = ThreadPoolExecutor(self._workers, thread_name_prefix=self._name)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)

    def take(self, unit: int, *, last: bool = True) -> Result:
        """The result of a unit, waiting for it; forgotten when this was the last time it is asked for."""
        while self._next < len(self._units) and self._next <= unit + 2 * self._workers:
            self._futures[self._next] = self._pool.submit(self._fetch, self._units[self._next])
            self._next += 1
        result = self._futures[unit].result()
        if last:
            del self._futures[unit]
        return result
