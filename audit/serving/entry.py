"""Between Nuclio's event and a model: the reply object, its status, the log. Nothing here names a model."""

from __future__ import annotations

import json
import time
import traceback
from collections.abc import Callable
from typing import Any

from audit.errors import AuditError
from audit.serving.replies import Reply
from audit.serving.requests import BadRequestError, Body, parse_body


def answer(context: Any, event: Any, handle: Callable[[Body], Reply]) -> Any:
    """The Nuclio response to an event.

    200 with JSON; 400 with one sentence for a bad request; 500 with one for what failed here, its
    traceback in the log. CVAT passes the status on, but never the text, hence the log.
    """
    started = time.perf_counter()
    try:
        reply = handle(parse_body(event.body))
    except BadRequestError as error:
        context.logger.warn_with("bad request", reason=str(error))
        return _response(context, 400, json.dumps({"error": str(error)}))
    except AuditError as error:
        context.logger.error_with("cannot answer", reason=str(error))
        return _response(context, 500, json.dumps({"error": str(error)}))
    except Exception as error:  # a worker outlives any picture; the log tells what it was
        context.logger.error_with("cannot answer", reason=repr(error), traceback=traceback.format_exc())
        return _response(context, 500, json.dumps({"error": f"the model failed ({type(error).__name__}); see the log"}))
    milliseconds = round(1000 * (time.perf_counter() - started), 1)
    context.logger.info_with("answered", ms=milliseconds, note=reply.note)
    return _response(context, 200, reply.text)


def _response(context: Any, status: int, text: str) -> Any:
    # a body that is a list or dict would be encoded otherwise by Nuclio than by json
    return context.Response(body=text, headers={}, content_type="application/json", status_code=status)
