"""Checks answers against CVAT's OpenAPI document, where a checkout has it."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from jsonschema import Draft202012Validator

from tests.doubles.distil import ROOT

DOCUMENT = ROOT.parent / "shared" / "cvat" / "openapi-2.73.0.yml"


class Schemas:
    """The answers that a document describes, ready to check."""

    def __init__(self, document: Path) -> None:
        loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
        data = yaml.load(document.read_text(encoding="utf-8"), Loader=loader)
        self._components = _plain(data["components"])
        self._paths = [(_pattern(path), operations) for path, operations in data["paths"].items()]

    @cache  # noqa: B019  (one object lives for the whole run)
    def validator(self, method: str, path: str, status: int) -> Draft202012Validator | None:
        """The check for an answer, None if the document describes no JSON there."""
        for pattern, operations in self._paths:
            if pattern.match(path.rstrip("/")) and method.lower() in operations:
                answer = operations[method.lower()]["responses"].get(str(status), {})
                schema = answer.get("content", {}).get("application/vnd.cvat+json", {}).get("schema")
                if schema is not None:
                    return Draft202012Validator({**_plain(schema), "components": self._components})
        return None


def _pattern(template: str) -> re.Pattern[str]:
    escaped = re.sub(r"\\\{\w+\\\}", "[^/]+", re.escape(template.rstrip("/")))
    return re.compile(f"^{escaped}$")


def _plain(node: Any) -> Any:
    """OpenAPI 3.0 as JSON Schema: ``nullable`` becomes a choice; fields only written aren't required in answers."""
    if isinstance(node, list):
        return [_plain(item) for item in node]
    if not isinstance(node, dict):
        return node
    found = {key: _plain(value) for key, value in node.items() if key != "nullable"}
    if isinstance(found.get("oneOf"), list):
        found["anyOf"] = found.pop("oneOf")
    if isinstance(found.get("required"), list) and isinstance(found.get("properties"), dict):
        properties = found["properties"]
        found["required"] = [name for name in found["required"] if not _written_only(properties.get(name))]
    return {"anyOf": [found, {"type": "null"}]} if node.get("nullable") is True else found


def _written_only(schema: Any) -> bool:
    return isinstance(schema, dict) and schema.get("writeOnly") is True
