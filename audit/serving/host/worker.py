"""One worker process: loads a function's module, runs ``init_context``, answers one event at a time.

Behaves as Nuclio's Python wrapper: ``init_context`` is looked up in the module that defines the handler,
an exception becomes a 500 with its traceback, a list is a batch of which the first element counts.
Started by ``audit.serving.host.pool`` as ``python -m audit.serving.host.worker FD TRAY FOLDER HANDLER ID``.
"""

from __future__ import annotations

import asyncio
import base64
import importlib
import inspect
import logging
import os
import signal
import socket
import sys
import traceback
from typing import Any

from audit.errors import AuditError
from audit.serving.host.wire import GoneError, Tray, receive, send
from audit.serving.long_json import quickly_parsed


def main() -> None:
    """Runs until the host closes the socket."""
    descriptor, tray, folder, handler_name, worker_id = sys.argv[1:]
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to the whole group; the host ends its workers
    connection = socket.socket(fileno=int(descriptor))
    try:
        handler = _load(folder, handler_name)
        context = _context(worker_id)
        _initialise(handler, context)
    except BaseException as error:  # whatever it was, the host must hear of it
        expected = isinstance(error, AuditError)
        if not expected:
            traceback.print_exc()
        text = str(error) if expected else f"{type(error).__name__}: {error}"
        send(connection, {"ready": False, "error": text})
        os._exit(1)
    send(connection, {"ready": True, "spec": getattr(context.user_data, "spec", None)})
    _serve(connection, Tray(int(tray)) if int(tray) >= 0 else None, handler, context)


def _load(folder: str, handler_name: str) -> Any:
    # the working directory stays: a path in YOLO_MODEL is relative to where the host was started
    sys.path.insert(0, folder)
    module_name, _, name = handler_name.partition(":")
    return getattr(importlib.import_module(module_name), name)


def _context(worker_id: str) -> Any:
    import nuclio_sdk
    from nuclio_sdk.logger import HumanReadableFormatter

    logger = nuclio_sdk.Logger(logging.INFO, name=f"worker-{worker_id}")
    logger.set_handler("default", sys.stderr, HumanReadableFormatter())
    logger.bind(worker_id=worker_id, function=os.environ.get("NUCLIO_FUNCTION_NAME", ""))
    trigger = nuclio_sdk.TriggerInfo(kind="http", name="default-http")
    return nuclio_sdk.Context(logger, nuclio_sdk.Platform("local", "nuclio"), worker_id, trigger)


def _initialise(handler: Any, context: Any) -> None:
    module = sys.modules[handler.__module__]
    if hasattr(module, "init_context"):
        _finished(module.init_context(context))


def _finished(result: Any) -> Any:
    return asyncio.run(result) if inspect.iscoroutine(result) else result


def _serve(connection: socket.socket, tray: Tray | None, handler: Any, context: Any) -> None:
    while True:
        try:
            head, body = receive(connection, tray)
            reply, content = _answer(handler, context, head, body)
            send(connection, reply, content)
        except GoneError:
            return


def _answer(handler: Any, context: Any, head: dict[str, Any], body: bytes) -> tuple[dict[str, Any], bytes]:
    import nuclio_sdk
    from nuclio_sdk.json_encoder import Encoder

    try:
        output = _finished(handler(context, _event(head, body)))
        if isinstance(output, list):  # a batch: only its first reply ever leaves Nuclio
            if not output:
                return {"status_code": 500, "content_type": "text/plain", "headers": {}}, b""
            output = output[0]
        reply = nuclio_sdk.Response.from_entrypoint_output(Encoder().encode, output)
    except BaseException as error:  # SystemExit and KeyboardInterrupt too, as the wrapper does
        text = f'Exception caught in handler - "{error}": {traceback.format_exc()}'
        sys.stderr.write(text)
        return {"status_code": 500, "content_type": "text/plain", "headers": {}}, text.encode()
    content = reply.pop("body")
    encoded = base64.b64decode(content) if reply.pop("body_encoding") == "base64" else content.encode()
    return _plain(reply), encoded


def _event(head: dict[str, Any], body: bytes) -> Any:
    """As Nuclio's SDK makes it: the body is parsed for exactly this content type, if it can be."""
    import nuclio_sdk
    from nuclio_sdk.event import EventDeserializerKinds

    parsed = quickly_parsed(body) if head["content_type"] == "application/json" else None
    if parsed is None:
        return nuclio_sdk.Event.deserialize({**head, "body": body}, kind=EventDeserializerKinds.msgpack)
    event = nuclio_sdk.Event.deserialize({**head, "body": b"{}"}, kind=EventDeserializerKinds.msgpack)
    event.body = parsed
    return event


def _plain(reply: dict[str, Any]) -> dict[str, Any]:
    """Status and headers as Nuclio's processor takes them: header values that are not text are dropped."""
    status = reply["status_code"]
    if isinstance(status, bool) or not isinstance(status, int):
        status = 500
    headers = {str(k): v for k, v in dict(reply["headers"]).items() if isinstance(v, str)}
    return {"status_code": status or 200, "content_type": str(reply["content_type"]), "headers": headers}


if __name__ == "__main__":
    main()
