"""A function's folder: its ``function.yaml`` read and checked for what would make CVAT's whole list fail."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

import yaml

from audit.errors import UsageError

DEFAULT_MAX_BODY = 4 << 20
"""Bytes; Nuclio's own default."""
DEFAULT_WAIT_MS = 10_000
"""How long a request waits for a free worker; Nuclio's own default."""
TAKEN_BY_THE_UI = "pth-facebookresearch-sam-vit-h"
"""CVAT's web UI runs a decoder of its own for this id and expects an embedding."""
LONGEST_LABEL = 64
"""Characters of a label's name that CVAT keeps."""

_ID = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]*")
_HANDLER = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*")
_DURATION = re.compile(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)(ns|us|µs|ms|s|m|h)")
_SECONDS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}


@dataclass(frozen=True)
class FunctionConfig:
    """What the host uses of a ``function.yaml``. event_timeout: seconds, None without a limit. port: 0 = any free.

    memory_limit: as written in ``spec.resources.limits``, such as "2Gi", "" for none.
    """

    folder: Path
    name: str
    handler: str
    annotations: Mapping[str, str]
    description: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    env: Mapping[str, str] = field(default_factory=dict)
    workers: int = 1
    max_body: int = DEFAULT_MAX_BODY
    wait_ms: int = DEFAULT_WAIT_MS
    event_timeout: float | None = None
    ready_timeout: float = 120.0
    port: int = 0
    memory_limit: str = ""

    def as_seen(self) -> dict[str, Any]:
        """The function object without its status, as the dashboard lists it."""
        metadata = {
            "name": self.name,
            "namespace": "nuclio",
            "labels": {"nuclio.io/project-name": "cvat", **self.labels},
            "annotations": dict(self.annotations),
        }
        spec = {"description": self.description, "handler": self.handler, "runtime": "python", "minReplicas": 1}
        return {"metadata": metadata, "spec": {**spec, "triggers": {}}}


def read_function(folder: Path) -> FunctionConfig:
    """The function in a folder (or the ``.yaml`` file in one). Raises UsageError that names file and key."""
    path = folder if folder.suffix in (".yaml", ".yml") else folder / "function.yaml"
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"{path}: cannot be read ({error.strerror}); expected a folder with a function.yaml") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # ValueError: bytes that are no text, a 13th month
        raise UsageError(f"{path}: is not YAML ({' '.join(str(error).split())[:150]})") from None
    return _Reader(path).function(raw)


def annotation_fault(name: str, annotations: object) -> str:
    """What in a function's annotations makes CVAT's whole list fail or the function of no use; "" if nothing."""
    try:
        _Reader(Path(name)).annotations({"annotations": annotations})
    except UsageError as error:
        return str(error).removeprefix(f"{name}: ")
    return ""


def seconds(duration: object) -> float | None:
    """A Go duration such as "120s" or "1m30s" in seconds; None for what is not one (a bare number is not)."""
    text = str(duration)
    parts = _DURATION.findall(text)
    if not parts or "".join(n + u for n, u in parts) != text:
        return None
    return sum(float(n) * _SECONDS[u] for n, u in parts)


class _Reader:
    """Every complaint names the file and the key."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def function(self, raw: object) -> FunctionConfig:
        top = self.mapping(raw, "the file")
        metadata, spec = self.mapping(top.get("metadata"), "metadata"), self.mapping(top.get("spec"), "spec")
        name = str(metadata.get("name", ""))
        if not _ID.fullmatch(name):
            self.fail("metadata.name", "letters, digits, '-', '_' and '.'", name)
        if name == TAKEN_BY_THE_UI:
            self.fail("metadata.name", "another id, since CVAT's web UI treats this one as SAM's encoder", name)
        trigger = self.trigger(spec)
        attributes = self.mapping(trigger.get("attributes") or {}, "spec.triggers attributes")
        return FunctionConfig(
            folder=self.path.parent.absolute(),
            name=name,
            handler=self.handler(spec),
            annotations=self.annotations(metadata),
            description=str(spec.get("description", "")),
            labels={str(k): str(v) for k, v in self.mapping(metadata.get("labels") or {}, "metadata.labels").items()},
            env=self.env(spec),
            workers=self.count(trigger.get("numWorkers", trigger.get("maxWorkers", 1)), "numWorkers", 1, 64),
            max_body=self.count(attributes.get("maxRequestBodySize", DEFAULT_MAX_BODY), "maxRequestBodySize", 1, 2**31),
            wait_ms=self.wait(trigger),
            event_timeout=self.timeout(spec),
            ready_timeout=float(
                self.count(spec.get("readinessTimeoutSeconds", 120), "readinessTimeoutSeconds", 1, 86400)
            ),
            port=self.count(attributes.get("port", 0), "port", 0, 65535),
            memory_limit=str(self.limits(spec).get("memory", "")),
        )

    def annotations(self, metadata: Mapping[str, Any]) -> dict[str, str]:
        raw = self.mapping(metadata.get("annotations"), "metadata.annotations")
        for key, value in raw.items():
            if not isinstance(value, str):
                self.fail(f"metadata.annotations.{key}", "text in quotes, as Nuclio does", value)
        found = {str(k): str(v) for k, v in raw.items()}
        kind = found.get("type", "")
        if kind not in ("detector", "interactor", "tracker", "reid"):
            self.fail("metadata.annotations.type", "detector, interactor, tracker or reid", kind)
        if kind == "detector":
            self.labels(found.get("spec", ""))
        if kind == "interactor":
            self.interactor(found)
        return found

    def labels(self, text: str) -> None:
        try:
            labels = json.loads(text)
            names = [str(label["name"]) for label in labels]
            attributes = [attribute for label in labels for attribute in label.get("attributes", [])]
            # CVAT reads all of these of every label, and fails on the first that is not there
            _ = [(a["name"], a["input_type"], a["values"]) for a in attributes]
            _ = [(x["svg"], x["sublabels"][0]["name"]) for x in labels if x.get("type") == "skeleton"]
        except (ValueError, KeyError, TypeError, IndexError, AttributeError, RecursionError):
            expected = (
                "a JSON list of labels with a name each (attributes: input_type, values; skeletons: sublabels, svg)"
            )
            self.fail("metadata.annotations.spec", expected, text[:60])
        if len(set(names)) != len(names):
            twice = next(n for n in names if names.count(n) > 1)
            self.fail("metadata.annotations.spec", "every label name once", twice)
        for bad in (n for n in names if not 0 < len(n) <= LONGEST_LABEL):
            self.fail("metadata.annotations.spec", f"label names of 1 to {LONGEST_LABEL} characters", bad)

    def interactor(self, found: Mapping[str, str]) -> None:
        if not re.fullmatch(r"[0-9]{1,9}", found.get("version", "1")) or int(found.get("version", "1")) < 2:
            self.fail(
                "metadata.annotations.version", '"2" or more, else the Interact button stays grey', found.get("version")
            )
        for key in ("min_pos_points", "min_neg_points"):
            if key in found and not re.fullmatch(r"-?\d+", found[key]):
                self.fail(f"metadata.annotations.{key}", "a whole number in quotes", found[key])

    def handler(self, spec: Mapping[str, Any]) -> str:
        handler = str(spec.get("handler", ""))
        if not _HANDLER.fullmatch(handler):
            self.fail("spec.handler", "module:function, such as main:handler", handler)
        return handler

    def trigger(self, spec: Mapping[str, Any]) -> Mapping[str, Any]:
        triggers = self.mapping(spec.get("triggers") or {}, "spec.triggers")
        http = [
            self.mapping(t, "spec.triggers")
            for t in triggers.values()
            if isinstance(t, dict) and t.get("kind") == "http"
        ]
        if len(http) > 1:
            self.fail("spec.triggers", "one http trigger", f"{len(http)}")
        return http[0] if http else {}

    def env(self, spec: Mapping[str, Any]) -> dict[str, str]:
        entries = spec.get("env") or []
        if not isinstance(entries, list):
            self.fail("spec.env", "a list of name and value", entries)
        return {str(self.mapping(e, "spec.env").get("name", "")): str(e.get("value", "")) for e in entries}

    def limits(self, spec: Mapping[str, Any]) -> Mapping[str, Any]:
        resources = self.mapping(spec.get("resources") or {}, "spec.resources")
        return self.mapping(resources.get("limits") or {}, "spec.resources.limits")

    def wait(self, trigger: Mapping[str, Any]) -> int:
        value = trigger.get("workerAvailabilityTimeoutMilliseconds", DEFAULT_WAIT_MS)
        found = self.count(value, "workerAvailabilityTimeoutMilliseconds", -(2**31), 2**31)
        return found if found >= 0 else DEFAULT_WAIT_MS

    def timeout(self, spec: Mapping[str, Any]) -> float | None:
        value = spec.get("eventTimeout")
        if value is None:
            return None
        found = seconds(value)
        if found is None or found <= 0:
            self.fail("spec.eventTimeout", 'a duration with its unit, such as "30s"', value)
        return found

    def count(self, value: object, key: str, least: int, most: int) -> int:
        number = value if isinstance(value, (int, float)) and not isinstance(value, bool) else math.nan
        if not least <= number <= most or int(number) != number:
            self.fail(key, f"a whole number from {least} to {most}", value)
        return int(number)

    def mapping(self, value: object, key: str) -> Mapping[str, Any]:
        if not isinstance(value, dict):
            self.fail(key, "keys and values", value)
        return value

    def fail(self, key: str, expected: str, found: object) -> NoReturn:
        raise UsageError(f"{self.path}: {key}: expected {expected}, got {str(found)[:100]!r}")
