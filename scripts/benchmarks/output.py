"""One way to print a measurement: a JSON line."""

from __future__ import annotations

import json


def show(name: str, **values: float | str) -> None:
    """Numbers rounded to four significant digits."""
    rounded = {k: float(f"{v:.4g}") if isinstance(v, float) else v for k, v in values.items()}
    print(json.dumps({"what": name, **rounded}, ensure_ascii=False), flush=True)
