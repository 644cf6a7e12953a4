"""The App server of one reviewer; as ``app_process``, with the review's addresses in front of the App's."""

from __future__ import annotations

import atexit
import json
import os
import sys
from pathlib import Path

from audit.adapters.fiftyone import app_process

SETTINGS = "CVAT_AUDIT_REVIEW"
"""Environment variable with JSON: run (a folder), reviewer, overlap, checks, blind."""


def main(port: int) -> None:
    """Open the review named in the environment and serve until the parent ends."""
    os.environ["FIFTYONE_SERVER"] = "1"  # as app_process: before anything of FiftyOne is imported
    from fiftyone.server.app import app

    from audit.adapters.fiftyone.review_routes import ReviewRoutes
    from audit.review import Plan, Review
    from audit.runs import RunFolder

    given = json.loads(os.environ[SETTINGS])
    plan = Plan(overlap=given["overlap"], checks=given["checks"], blind=given["blind"])
    review = Review(RunFolder.open(Path(given["run"])), given["reviewer"], plan)
    atexit.register(review.close)
    routes = ReviewRoutes(review)
    app.router.routes.insert(0, routes.mount())
    app_process.main(port)


if __name__ == "__main__":
    main(int(sys.argv[1]))
