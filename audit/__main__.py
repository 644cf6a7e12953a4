"""Entry point of ``cvat-audit``, and of ``python -m audit``."""

from __future__ import annotations

import sys

from audit.errors import INTERRUPTED


def main() -> None:
    """Run the command line; Ctrl-C while its modules are still being imported ends it without a traceback, too."""
    try:
        from audit.cli import main as run
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    run()


if __name__ == "__main__":
    main()
