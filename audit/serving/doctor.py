"""The known troubles with functions, looked for one by one: ``cvat-audit functions doctor``. Changes nothing."""

from __future__ import annotations

import json
import os
import re
import shlex
import urllib.parse
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from audit.adapters.cvat.patience import line_of
from audit.adapters.ultralytics.weights import KNOWN_WEIGHTS
from audit.core.words import amount
from audit.doctor import Check
from audit.errors import AuditError, UsageError
from audit.serving.asking import Answer, NoAnswerError, address_fault, get
from audit.serving.host.config import FunctionConfig, annotation_fault, read_function
from audit.serving.sam_weights import KNOWN_SAM_WEIGHTS

MOST_FUNCTIONS = 200
"""Looked at one by one; a project of more is no project."""
LONGEST_NAME = 80
HEADERS = {"x-nuclio-project-name": "cvat", "x-nuclio-function-namespace": "nuclio"}
"""With which CVAT asks the dashboard."""
BASE_MB = 600
"""What a worker takes before any weights: Python, OpenCV, onnxruntime, and torch while it loads."""
PER_WEIGHTS = 16
"""Memory for a network over the size of its file. Measured: yolo11n (6 MB) 230 MB, LiteMedSAM (39 MB) 1,230 MB."""
MODEL_VARIABLES = ("YOLO_MODEL", "SAM_MODEL")
KNOWN = {*KNOWN_WEIGHTS, *KNOWN_SAM_WEIGHTS}
_UNITS = {"": 1.0, "k": 1e3, "m": 1e6, "g": 1e9, "ki": 1024.0, "mi": 1024.0**2, "gi": 1024.0**3}

CvatList = Callable[[], list[Mapping[str, Any]]]
"""Asks CVAT for its list of functions; raises AuditError if it has none to give."""


def checks(folders: Sequence[Path], dashboard: str, cvat: CvatList | None = None) -> list[Check]:
    """What is wrong, and what to do about it; no check raises.

    folders: functions not yet deployed, looked at as files. dashboard: Nuclio's address, or that of
    ``functions serve``; "" leaves it out. cvat: asks CVAT itself, None leaves it out.
    """
    found = [check for folder in folders for check in _folder(folder)]
    listed: Mapping[str, Any] = {}
    if dashboard:
        first, listed = _dashboard(dashboard)
        found.append(first)
        for name in list(listed)[:MOST_FUNCTIONS]:
            found += _deployed(name, listed[name], dashboard)
        if len(listed) > MOST_FUNCTIONS:
            found.append(Check("Other functions", False, f"only the first {MOST_FUNCTIONS} were looked at", ""))
    if cvat is not None:
        found.append(_cvat(cvat, listed))
    return found


def _folder(folder: Path) -> Iterator[Check]:
    try:
        config = read_function(folder)
    except UsageError as error:
        yield Check(f"Folder {folder}", False, str(error), "mend the file, then deploy it again")
        return
    yield Check(f"Folder {folder}", True, f"function '{config.name}', {config.workers} worker(s)")
    for variable in MODEL_VARIABLES:
        if config.env.get(variable):
            yield _weights(config, variable)


def _weights(config: FunctionConfig, variable: str) -> Check:
    name, wanted = f"Weights of {config.name}", os.environ.get(variable) or config.env[variable]
    known = wanted.removesuffix(".pt")
    path = next((p for p in (config.folder / wanted, Path(wanted)) if _size(p) is not None), None)
    size = None if path is None else _size(path)
    if size is None:
        if known in KNOWN:
            return Check(name, True, f"{wanted}, fetched at the first start and checked")
        advice = f"put the file into {config.folder}, or set {variable} to where it is inside the container"
        return Check(name, False, f"{variable}={wanted}: no such file here", advice)
    need = config.workers * (BASE_MB + PER_WEIGHTS * size / 1e6)
    have = _memory_mb(config)
    detail = f"{path}; about {need:,.0f} MB for {config.workers} worker(s), {have:,.0f} MB to be had"
    return Check(name, need <= have, detail, "fewer workers, a smaller model, or more memory (spec.resources.limits)")


def _size(path: Path) -> int | None:
    """Bytes of a file; None if there is none, or none that may be looked at."""
    try:
        return path.stat().st_size if path.is_file() else None
    except (OSError, ValueError):  # no leave, a name too long
        return None


def _memory_mb(config: FunctionConfig) -> float:
    """The function's own limit, or what is free on this machine."""
    limit = _bytes(config.memory_limit)
    free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    try:
        text = Path("/proc/meminfo").read_text(encoding="ascii")
        free = 1024 * int(text.split("MemAvailable:")[1].split()[0])
    except (OSError, IndexError, ValueError):
        pass  # not Linux
    return (limit or free) / 1e6


def _bytes(quantity: str) -> float:
    """A quantity of memory as Kubernetes writes it, such as 2Gi; 0 for none."""
    match = re.fullmatch(r"([0-9]+(?:\.[0-9]*)?)([kKmMgG]?i?)", quantity)
    return float(match[1]) * _UNITS.get(match[2].lower(), 0.0) if match else 0.0


def _dashboard(address: str) -> tuple[Check, Mapping[str, Any]]:
    fault = address_fault(address)
    if fault:
        shown = line_of(address.rpartition("@")[2], LONGEST_NAME)
        advice = "give one such as --dashboard http://localhost:8070, or '' to leave it out"
        return Check(f"Dashboard {shown}", False, f"no address of a dashboard: {fault}", advice), {}
    name = f"Dashboard {line_of(address)}"
    try:
        answer = get(f"{address.rstrip('/')}/api/functions", HEADERS)
    except NoAnswerError as error:
        if error.spoke:
            return Check(name, False, f"something is there, but gives no answer ({error})", OTHER_PROGRAM), {}
        return Check(name, False, f"nothing answers ({error})", START), {}
    detail, advice = _refusal(answer)
    if detail:
        return Check(name, False, detail, advice), {}
    try:
        listed = json.loads(answer.body)
    except (ValueError, RecursionError):
        listed = None
    if not isinstance(listed, dict):
        return Check(name, False, "answers, but not as Nuclio does", OTHER_PROGRAM), {}
    advice = "deploy one: scripts/deploy_functions serverless/yolo"
    detail = f"{amount(len(listed), 'function')} in CVAT's project" if listed else "no function in the project 'cvat'"
    return Check(name, bool(listed), detail, "" if listed else advice), listed


START = (
    "start Nuclio (docker compose -f docker-compose.yml -f components/serverless/docker-compose.serverless.yml "
    "up -d in CVAT's folder), or 'cvat-audit functions serve DIR...'; else give --dashboard"
)
OTHER_PROGRAM = "another program has this port? Nuclio's dashboard has 8070 unless told otherwise; see --dashboard"


def _refusal(answer: Answer) -> tuple[str, str]:
    """What is wrong with an answer that brings no list, and what to do; "" for one that may."""
    status = answer.status
    if status == 200:
        return "", ""
    if 300 <= status < 400:
        to = line_of(answer.location, LONGEST_NAME) or "nowhere"
        return f"sends its callers on to {to} (HTTP {status})", "give CVAT and --dashboard the dashboard's own address"
    if status in (401, 403):
        return f"wants a login (HTTP {status})", "CVAT sends none: let it reach the dashboard without one"
    if status == 404:
        return "answers, but has no list of functions (HTTP 404)", OTHER_PROGRAM
    said = line_of(answer.body[:1000].decode("utf-8", "replace"), 120)
    return f"answers HTTP {status}{': ' + said if said else ''}", "see why: docker logs nuclio"


def _deployed(name: str, value: Any, dashboard: str) -> Iterator[Check]:
    """One function as the dashboard tells of it; the first trouble is told, others may follow from it."""
    title = f"Function {line_of(name, LONGEST_NAME)}"
    remove = _removal(name)
    status = value.get("status") if isinstance(value, dict) else None
    if not isinstance(status, dict):
        yield Check(title, False, "has no status, which makes CVAT's whole list fail (HTTP 500)", remove)
        return
    metadata = value.get("metadata") or {}
    fault = annotation_fault("function", metadata.get("annotations") if isinstance(metadata, dict) else None)
    if fault:
        yield Check(title, False, line_of(fault, 300), f"mend its function.yaml and deploy again, or {remove}")
        return
    state = line_of(str(status.get("state", "unknown")), 40)
    if state != "ready":
        message = line_of(str(status.get("message") or "")[-2000:], 2000)
        yield Check(title, False, f"{state}{': ' + message[-300:] if message else ''}", _advice(state, message, name))
        return
    yield _port(title, name, status.get("httpPort"), dashboard)


def _removal(name: str) -> str:
    """How to be rid of a function; its name comes from the server and goes into a shell."""
    if not name.isprintable():
        return "remove it in Nuclio's dashboard: its name holds characters that cannot be typed"
    if name.startswith("-"):  # else taken for an option
        return f"remove it: nuctl delete function --platform local -- {shlex.quote(name)}"
    return f"remove it: nuctl delete function {shlex.quote(name)} --platform local"


def _container(name: str) -> str:
    """Docker's name for a function, as a word of a shell."""
    return shlex.quote(line_of(f"nuclio-nuclio-{name}", 200))


def _advice(state: str, message: str, name: str) -> str:
    logs = f"docker logs {_container(name)}; of 'functions serve' read what it prints"
    if state.startswith(("building", "waiting", "configuring")):
        return f"it is being put up; if that takes over ten minutes: {logs}"
    low = message.lower()
    if any(sign in low for sign in ("out of memory", "memoryerror", "killed", "exit code 137", "oom")):
        return "memory is too small: fewer numWorkers, a smaller model, or raise spec.resources.limits.memory"
    if any(sign in low for sign in ("no such file", "cannot be read", "neither a file", "filenotfound")):
        return "its weights are missing: put them into the function's folder and deploy again"
    if "no module named" in low or "importerror" in low:
        return "a package is missing in its image: deploy again with scripts/deploy_functions"
    return f"see why: {logs}. Then deploy again"


def _port(title: str, name: str, port: Any, dashboard: str) -> Check:
    """After a restart of Docker the dashboard may still tell the old port: CVAT's calls then go nowhere."""
    if not isinstance(port, int) or not 0 < port < 65536:
        return Check(title, True, "ready; has no port of its own, so calls go through the dashboard")
    host = urllib.parse.urlsplit(dashboard).hostname or "localhost"
    try:
        get(f"http://{f'[{host}]' if ':' in host else host}:{port}/__internal/health", {})
    except NoAnswerError as error:
        if error.spoke:
            detail = f"said to be ready, but what is on its port {port} gives no answer ({error})"
            return Check(title, False, detail, f"see why: docker logs {_container(name)}; or deploy it again")
        advice = f"a stale port after a restart? docker restart {_container(name)}, or deploy it again"
        return Check(title, False, f"said to be ready, but nothing answers on its port {port} ({error})", advice)
    return Check(title, True, f"ready, answers on port {port}")  # whatever its status: something is there


def _cvat(cvat: CvatList, listed: Mapping[str, Any]) -> Check:
    name = "CVAT's list"
    try:
        entries = cvat()
    except AuditError as error:
        return Check(name, False, str(error), _cvat_advice(str(error)))
    except RecursionError:
        return Check(name, False, "the answer is nested too deeply to be a list of functions", "is that a CVAT?")
    ids = {str(entry.get("id")) for entry in entries}
    lost = sorted(set(listed) - ids)
    if lost:
        detail = f"{amount(len(ids), 'function')}; the dashboard also has {line_of(', '.join(lost), 200)}"
        return Check(name, False, detail, "does CVAT ask another Nuclio? Its CVAT_NUCLIO_HOST and CVAT_NUCLIO_PORT say")
    return Check(name, bool(ids), amount(len(ids), "function"), "" if ids else "deploy one; then reload CVAT's page")


def _cvat_advice(said: str) -> str:
    if "503" in said:
        return (
            "CVAT cannot reach the dashboard: set CVAT_NUCLIO_HOST and CVAT_NUCLIO_PORT of its server and workers to "
            "an address that they reach (in Docker not localhost), and serve with --host so that it listens there"
        )
    if "500" in said:
        return "one bad function makes the whole list fail: see the functions above"
    if "does not exist" in said or "404" in said:
        return "CVAT runs without its serverless part: CVAT_SERVERLESS=1, or its docker-compose.serverless.yml"
    return "see the message"
