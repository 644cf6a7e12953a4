"""What CVAT 2.73 really sent to functions, cut from the recordings: ``python -m tests.serving.distil``.

The pictures themselves were not recorded, only their size: tests put one of their own in their place.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
RECORDINGS = ROOT.parent / "shared" / "cvat" / "exchanges"
GOLDEN = ROOT / "tests" / "golden" / "serving" / "invocations.json"


def distil(recordings: Path = RECORDINGS) -> list[dict[str, Any]]:
    """Every different invocation: its headers, its body, and whether an interactor or a detector was called."""
    kept: dict[str, dict[str, Any]] = {}
    for file in ("11b-nuclio-side.json", "17-ui-interactor.json"):
        for exchange in json.loads((recordings / file).read_text(encoding="utf-8")):
            request = exchange["request"]
            if request["path"] != "/api/function_invocations":
                continue
            body = dict(request["body"])
            image = body.pop("image")
            body["image"] = {"width": image.get("width", 250), "height": image.get("height", 200)}
            kind = "interactor" if "pos_points" in body else "detector"
            one = {"file": file, "kind": kind, "headers": request["headers"], "body": body}
            kept.setdefault(json.dumps([kind, body], sort_keys=True), one)
    return list(kept.values())


if __name__ == "__main__":
    GOLDEN.write_text(json.dumps(distil(), indent=1), encoding="utf-8")
