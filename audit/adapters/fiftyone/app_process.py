"""The process that serves the FiftyOne App; started by ``app.py`` and ended when its standard input ends."""

from __future__ import annotations

import os
import runpy
import signal
import sys
import threading
import time
from pathlib import Path

GRACE_SECONDS = 3
"""Browsers hold event streams open for ever; an orderly end waits for them no longer than this."""


def main(port: int) -> None:
    """Run FiftyOne's own server on loopback. Requests for another host name are refused:

    a web page that points its own name at 127.0.0.1 could otherwise read this user's files through the App.
    """
    threading.Thread(target=_end_with_parent, daemon=True).start()
    os.environ["FIFTYONE_SERVER"] = "1"  # FiftyOne's server file sets it before the import, too
    from fiftyone import server
    from fiftyone.server.app import app
    from starlette.middleware.trustedhost import TrustedHostMiddleware

    app.add_middleware(TrustedHostMiddleware, allowed_hosts=["127.0.0.1", "localhost"])
    script = Path(server.__file__).with_name("main.py")
    sys.argv = [str(script), "--port", str(port), "--address", "127.0.0.1"]
    runpy.run_path(str(script), run_name="__main__")


def _end_with_parent() -> None:
    while os.read(0, 1):  # not through sys.stdin: its lock would break the interpreter's own end
        pass
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(GRACE_SECONDS)
    os._exit(0)


if __name__ == "__main__":
    main(int(sys.argv[1]))
