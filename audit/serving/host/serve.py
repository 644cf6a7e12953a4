"""Putting it together: read the folders, start the workers, listen, stop in order."""

from __future__ import annotations

import importlib.util
import ipaddress
import os
import signal
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from audit.errors import ServiceError, UsageError
from audit.serving.host.config import FunctionConfig, read_function
from audit.serving.host.http import DashboardHandler, FunctionHandler, Handler, Pools, Server
from audit.serving.host.pool import FunctionPool

STOP_SECONDS = 10.0
"""What is being answered when the host is told to stop may take this long."""

OPEN_WARNING = (
    "it is open to whoever reaches this machine on these ports: there is no login and no encryption, and anyone may "
    "send pictures, read the answers and keep the models busy. Allow only CVAT's machine in your firewall."
)

Say = Callable[[str], None]


class Host:
    """Functions served on one machine. Use as a context manager; ``port`` is the dashboard's."""

    def __init__(
        self, folders: Sequence[Path], *, port: int, say: Say, host: str = "127.0.0.1", workers: int | None = None
    ) -> None:
        if importlib.util.find_spec("nuclio_sdk") is None:
            raise UsageError("nuclio-sdk is not installed; functions need it: pip install 'cvat-audit[functions]'")
        configs = [read_function(folder) for folder in folders]
        _check_names(configs)
        if workers is not None:
            configs = [replace(c, workers=workers) for c in configs]
        self._say = say
        # a person rarely waits for two functions at once, so each may use all cores
        self.pools: Pools = {c.name: FunctionPool(c, threads=max(1, _cores() // c.workers), say=say) for c in configs}
        self._servers: list[Server] = []
        self._listen(host, port)
        self.host = host

    @property
    def port(self) -> int:
        return self._servers[0].port

    @property
    def ports(self) -> dict[str, int]:
        """The port of each function, by its name."""
        return self._servers[0].ports

    def _listen(self, host: str, port: int) -> None:
        try:
            dashboard = self._bound(host, port, DashboardHandler, self.pools)
            for offset, (name, pool) in enumerate(self.pools.items(), 1):
                # the same port after a restart, where it is to be had: CVAT may remember it
                wanted = pool.config.port or (dashboard.port + offset)
                dashboard.ports[name] = self._function_server(host, wanted, pool).port
        except BaseException:
            for server in self._servers:
                server.server_close()
            raise

    def _function_server(self, host: str, wanted: int, pool: FunctionPool) -> Server:
        pools = {pool.config.name: pool}
        try:
            return self._bound(host, wanted, FunctionHandler, pools)
        except ServiceError:
            if pool.config.port:
                raise
            return self._bound(host, 0, FunctionHandler, pools)

    def _bound(self, host: str, port: int, handler: type[Handler], pools: Pools) -> Server:
        try:
            server = Server(host, port if port < 65536 else 0, handler, pools)
        except (OSError, OverflowError) as error:
            raise ServiceError(
                f"{host}:{port} cannot be listened on ({error.strerror if isinstance(error, OSError) else error}); "
                "is another one running? --port takes another port"
            ) from None
        self._servers.append(server)
        return server

    def __enter__(self) -> Host:
        for server in self._servers:
            threading.Thread(target=server.serve_forever, args=(0.1,), daemon=True).start()
        for pool in self.pools.values():
            pool.start()
        return self

    def wait_ready(self) -> None:
        """Until every function has a worker. Raises ServiceError for one that cannot start."""
        for name, pool in self.pools.items():
            if not pool.wait_first() and pool.message:
                raise ServiceError(f"{name} cannot start: {pool.message}")

    def __exit__(self, *_: object) -> None:
        threads = [threading.Thread(target=p.stop, args=(STOP_SECONDS,)) for p in self.pools.values()]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for server in self._servers:
            server.shutdown()
            server.server_close()


def serve(folders: Sequence[Path], *, port: int, host: str, workers: int | None, say: Say) -> None:
    """Serve until Ctrl-C or SIGTERM. Raises UsageError for a bad folder, ServiceError for a port or a model."""
    stop = threading.Event()
    # set before the models load, so that a stop meanwhile ends in order, too
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    with Host(folders, port=port, host=host, workers=workers, say=say) as running:
        say(f"listening on http://{host}:{running.port}; loading {', '.join(running.pools)}")
        if not is_loopback(host):
            say(f"warning: {OPEN_WARNING}")
        _when_ready(running, stop)
        for name, own in running.ports.items():
            if not stop.is_set():
                say(f"{name}: ready, also on http://{host}:{own}")
        stop.wait()
        say("stopping")


def _when_ready(running: Host, stop: threading.Event) -> None:
    problems: list[ServiceError] = []

    def wait() -> None:
        try:
            running.wait_ready()
        except ServiceError as error:
            problems.append(error)

    waiting = threading.Thread(target=wait, daemon=True)
    waiting.start()
    while waiting.is_alive() and not stop.is_set():
        waiting.join(0.1)
    if problems:
        raise problems[0]


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches what listens there."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _check_names(configs: Sequence[FunctionConfig]) -> None:
    seen: dict[str, Path] = {}
    for config in configs:
        if config.name in seen:
            raise UsageError(f"{config.folder} and {seen[config.name]} are both named '{config.name}'")
        seen[config.name] = config.folder


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1)
