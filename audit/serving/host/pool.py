"""The workers of one function: started, given events, killed when too slow, started again when they die."""

from __future__ import annotations

import os
import queue
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeoutError
from dataclasses import dataclass, field
from socket import socketpair
from typing import Any

from audit.serving.host.config import FunctionConfig
from audit.serving.host.wire import GoneError, new_tray, receive, send

FIRST_DELAY, LONGEST_DELAY = 0.5, 30.0
"""Seconds before a worker that died is started again; doubled while it keeps dying."""
SOUND_SECONDS = 10.0
"""A worker that has run this long was sound: the next one starts without a longer delay."""
PARTING_SECONDS = 2.0
"""How long a worker may take to leave by itself."""


@dataclass(frozen=True)
class Answer:
    """What goes back to the client."""

    status: int
    content_type: str = "text/plain"
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)


class InvokeTimeoutError(Exception):
    """The caller's patience ended; the worker goes on to its own end."""


class Worker:
    """One process and the socket to it. broken: it did not answer as it should and is not used again."""

    def __init__(self, config: FunctionConfig, number: int, environment: Mapping[str, str]) -> None:
        ours, theirs = socketpair()
        self.connection, self.broken = ours, False
        self._tray = new_tray()
        passed = [theirs.fileno(), *([self._tray.descriptor] if self._tray else [])]
        command = [sys.executable, "-u", "-m", "audit.serving.host.worker", str(passed[0])]
        command += [str(passed[1] if self._tray else -1), str(config.folder), config.handler, str(number)]
        # a worker is this interpreter on a module of ours; folder and handler come from the user's command line
        self.process = subprocess.Popen(  # noqa: S603
            command, pass_fds=passed, env=dict(environment), stdin=subprocess.DEVNULL, stdout=sys.stderr
        )
        theirs.close()

    @property
    def alive(self) -> bool:
        return not self.broken and self.process.poll() is None

    def wait_ready(self, timeout: float) -> dict[str, Any]:
        """The worker's first message. Raises GoneError or TimeoutError."""
        self.connection.settimeout(timeout)
        return receive(self.connection)[0]

    def call(self, head: dict[str, Any], body: bytes, timeout: float | None) -> Answer:
        """One event. Raises GoneError if the process died, TimeoutError if it took longer."""
        self.connection.settimeout(timeout)
        send(self.connection, head, body, self._tray)
        reply, content = receive(self.connection)
        return Answer(reply["status_code"], reply["content_type"], content, reply["headers"])

    def kill(self) -> None:
        """At once. Safe to call twice."""
        self.leave()
        self.process.kill()
        self.process.wait()

    def part(self) -> None:
        """Closing the socket asks an idle worker to leave; one that does not is killed."""
        self.leave()
        try:
            self.process.wait(PARTING_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()

    def leave(self) -> None:
        """Ends the connection. Safe to call twice."""
        self.broken = True
        self.connection.close()
        if self._tray:
            self._tray.close()


class FunctionPool:
    """A function's workers. say: takes a line for the operator.

    An event goes to the worker that was busy last: with several, one annotator's clicks then stay
    with the worker that has his picture.
    """

    def __init__(self, config: FunctionConfig, *, threads: int, say: Callable[[str], None]) -> None:
        self.config, self._say = config, say
        self.message, self.restarts, self.busy = "", 0, 0
        self.counts: Counter[int] = Counter()
        self.seconds = 0.0
        self.spec: str | None = None
        self.failed = threading.Event()
        self._environment = _environment(config, threads)
        self._free: queue.LifoQueue[Worker] = queue.LifoQueue()
        self._workers: dict[int, Worker] = {}
        self._ready = 0
        self._ever_ready = False
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        self._calls = ThreadPoolExecutor(config.workers, thread_name_prefix=config.name)

    @property
    def state(self) -> str:
        """Nuclio's word: "building" until a worker is ready, "error" if none can be, "unhealthy" if all are gone."""
        if self._ready:
            return "ready"
        if self._ever_ready:
            return "unhealthy"
        return "error" if self.message else "building"

    def start(self) -> None:
        """Start all workers; returns at once."""
        for number in range(self.config.workers):
            threading.Thread(target=self._supervise, args=(number,), daemon=True).start()

    def wait_first(self) -> bool:
        """Until a worker is ready (True), or one could not be started or the pool is stopped (False)."""
        while not self._ever_ready and not self.failed.is_set() and not self._stopping.is_set():
            self.failed.wait(0.05)
        return self._ever_ready

    def invoke(self, head: dict[str, Any], body: bytes, patience: float | None = None) -> Answer:
        """The function's answer, or the one Nuclio gives in its stead. patience: seconds, then InvokeTimeoutError."""
        started = time.monotonic()
        answer = self._invoke(head, body, patience)
        with self._lock:
            self.counts[answer.status] += 1
            self.seconds += time.monotonic() - started
        return answer

    def _invoke(self, head: dict[str, Any], body: bytes, patience: float | None) -> Answer:
        if len(body) > self.config.max_body:
            return Answer(400, body=b"Error when parsing request")
        if not self._ever_ready or self._stopping.is_set():
            text = f'{{"error": "Server not ready", "status": "{self.state}"}}'
            return Answer(503, "application/json", text.encode())
        worker = self._acquire()
        if worker is None:
            return Answer(503)
        try:
            return self._calls.submit(self._call, worker, head, body).result(patience)
        except FutureTimeoutError:
            raise InvokeTimeoutError from None

    def _acquire(self) -> Worker | None:
        deadline = time.monotonic() + self.config.wait_ms / 1000
        while True:
            try:
                worker = self._free.get(timeout=max(deadline - time.monotonic(), 0.0001))
            except queue.Empty:
                return None
            if worker.alive:
                return worker

    def _call(self, worker: Worker, head: dict[str, Any], body: bytes) -> Answer:
        with self._lock:
            self.busy += 1
        try:
            return worker.call(head, body, self.config.event_timeout)
        except TimeoutError:
            self._say(f"{self.config.name}: no answer within {self.config.event_timeout:g} s, the worker is restarted")
            worker.kill()
            return Answer(408, "application/json", b'{"error": "handler timed out"}')
        except (GoneError, OSError):  # OSError: it ended before its turn, and the line to it was closed
            worker.kill()
            return Answer(500)
        finally:
            with self._lock:
                self.busy -= 1
            if worker.alive:
                self._free.put(worker)

    def _supervise(self, number: int) -> None:
        """Keeps one worker running until the pool stops."""
        delay = FIRST_DELAY
        while not self._stopping.is_set():
            started = time.monotonic()
            worker = Worker(self.config, number, self._environment)
            self._workers[number] = worker
            if self._became_ready(worker):
                worker.process.wait()
                self._lost(worker)
            if time.monotonic() - started > SOUND_SECONDS:
                delay = FIRST_DELAY
            self._stopping.wait(delay)
            delay = min(2 * delay, LONGEST_DELAY)

    def _became_ready(self, worker: Worker) -> bool:
        try:
            first = worker.wait_ready(self.config.ready_timeout)
            problem = "" if first.get("ready") else str(first.get("error"))
        except TimeoutError:
            problem = f"not ready within {self.config.ready_timeout:g} s"
        except GoneError:
            problem = "the process ended before it was ready; see its output above"
        if problem or self._stopping.is_set():
            worker.kill()
            if problem and not self._stopping.is_set():
                self.message = problem
                self._say(f"{self.config.name}: a worker cannot start: {problem}")
                self.failed.set()
            return False
        spec = first.get("spec")
        with self._lock:
            self._ready += 1
            self._ever_ready, self.message = True, ""
            self.spec = spec if isinstance(spec, str) else self.spec
        self._free.put(worker)
        return True

    def _lost(self, worker: Worker) -> None:
        with self._lock:
            self._ready -= 1
            if not self._stopping.is_set():
                self.restarts += 1
        worker.leave()
        if not self._stopping.is_set():
            self._say(f"{self.config.name}: a worker ended (exit code {worker.process.returncode}), starting another")

    def stop(self, grace: float) -> None:
        """No new events; those being answered may take ``grace`` seconds; then the workers end."""
        self._stopping.set()
        deadline = time.monotonic() + grace
        while self.busy and time.monotonic() < deadline:
            time.sleep(0.02)
        for worker in list(self._workers.values()):
            worker.part()
        self._calls.shutdown(wait=False, cancel_futures=True)


def _environment(config: FunctionConfig, threads: int) -> dict[str, str]:
    """The function's variables; one that is set where the host was started goes before the file's."""
    own = {
        "NUCLIO_FUNCTION_NAME": config.name,
        "NUCLIO_FUNCTION_DESCRIPTION": config.description,
        "NUCLIO_FUNCTION_VERSION": "latest",
        "NUCLIO_FUNCTION_HANDLER": config.handler,
    }
    shared = {"CPU_THREADS": str(threads), "OMP_NUM_THREADS": str(threads)}
    return {**shared, **config.env, **os.environ, **own}
