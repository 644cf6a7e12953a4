"""What an exported model tells of itself, kept beside it: an audit whose predictions are all known opens no network."""

from __future__ import annotations

import contextlib
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from audit.adapters.ultralytics.runtimes import TASKS, ModelFacts
from audit.errors import ServiceError
from audit.runs import atomic


def kept_facts(model: Path) -> ModelFacts | None:
    """Those kept beside this file, None if there are none or they are damaged."""
    try:
        said = json.loads(_beside(model).read_text(encoding="utf-8"))
        return _facts(said)
    except (OSError, ValueError, TypeError, LookupError, RecursionError):
        return None


def keep_facts(model: Path, facts: ModelFacts) -> None:
    """Write them beside the file; where that cannot be, they are asked of the model each time."""
    with contextlib.suppress(ServiceError), atomic(_beside(model), "w") as stream:
        json.dump(asdict(facts), stream, ensure_ascii=False)


def _beside(model: Path) -> Path:
    return model.with_name(f"{model.name}.facts.json")


def _facts(said: dict[str, Any]) -> ModelFacts:
    """Raises ValueError, TypeError or LookupError for what ``keep_facts`` never wrote."""
    labels, fixed = said["labels"], said["fixed_hw"]
    right = (
        isinstance(labels, list)
        and all(isinstance(label, str) for label in labels)
        and said["task"] in TASKS
        and _is_size(said["stride"])
        and type(said["end_to_end"]) is bool
        and (fixed is None or (len(fixed) == 2 and all(map(_is_size, fixed))))
    )
    if not right:
        raise ValueError("facts of another kind")
    fixed_hw = None if fixed is None else (fixed[0], fixed[1])
    return ModelFacts(tuple(labels), said["task"], said["stride"], said["end_to_end"], fixed_hw)


def _is_size(value: object) -> bool:
    return type(value) is int and value > 0
