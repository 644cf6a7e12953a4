"""Pages that show what a command would draw: one file each that opens offline."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from audit.runs import atomic


def write_page(path: Path, template: str, values: dict[str, Any]) -> None:
    """Fill one of the templates beside this module; values are escaped. Raises ServiceError if it cannot be written."""
    environment = Environment(loader=PackageLoader("audit.report", ""), autoescape=True, undefined=StrictUndefined)
    page = environment.get_template(template).render(values)
    with atomic(path, "w") as stream:
        # a lone surrogate in some name must not cost the page
        stream.write(page.encode("utf-8", "replace").decode("utf-8"))
