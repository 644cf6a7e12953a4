"""What the body's ``do`` says, or what is in the event."""

import os
import time
from pathlib import Path


def init_context(context):
    context.user_data.seen = 0


def handler(context, event):
    context.user_data.seen += 1
    what = event.body.get("do") if isinstance(event.body, dict) else "describe"
    return ACTIONS[what](context, event)


def describe(context, event):
    return {
        "type": type(event.body).__name__,
        "size": event.size,
        "path": event.path,
        "method": event.method,
        "fields": event.fields,
        "headers": event.headers,
        "content_type": event.content_type,
        "trigger": event.trigger.kind,
        "worker": context.worker_id,
        "pid": os.getpid(),
        "cwd": str(Path.cwd()),
        "seen": context.user_data.seen,
        "setting": os.environ["PROBE_SETTING"],
    }


def fail(context, event):
    raise ValueError("no such luck")


def leave(context, event):
    raise SystemExit(3)


def warning(context, event):
    context.logger.warning("there is no such method")


ACTIONS = {
    "describe": describe,
    "dict": lambda c, e: {"a": 1, "nan": float("nan")},
    "list": lambda c, e: [{"a": 1}, {"b": 2}],
    "empty list": lambda c, e: [],
    "str": lambda c, e: "text",
    "bytes": lambda c, e: b"\x00\xff",
    "none": lambda c, e: None,
    "int": lambda c, e: 5,
    "tuple str": lambda c, e: (201, "made"),
    "tuple dict": lambda c, e: (202, {"a": 1}),
    "response": lambda c, e: c.Response(body='{"e": 1}', headers={}, content_type="application/json", status_code=400),
    "response list": lambda c, e: c.Response(body=[{"a": 1.5}], content_type="application/json"),
    "response 204": lambda c, e: c.Response(status_code=204),
    "status text": lambda c, e: c.Response(body="x", status_code="400"),
    "status 0": lambda c, e: c.Response(body="x", status_code=0),
    "headers": lambda c, e: c.Response(
        body="x", headers={"X-A": "1", "X-N": 5, "X-Nuclio-B": "2", "X-Bad": "a\r\nB: c"}
    ),
    "raise": fail,
    "exit": leave,
    "die": lambda c, e: os._exit(9),
    "sleep": lambda c, e: time.sleep(30),
    "nap": lambda c, e: time.sleep(0.25),
    "warning": warning,
}
