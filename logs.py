"""One log for the web process, the workers and beat: one event per line, with ids, in JSON or for a console."""

import json
import logging
import sys
from collections.abc import Callable
from typing import Any

import orjson
import structlog

SHARED = (
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_log_level,
    structlog.stdlib.add_logger_name,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
    structlog.processors.format_exc_info,
)

NOISY = ("urllib3", "websockets", "kombu", "amqp", "celery.worker.strategy", "celery.app.trace", "celery.beat")


class _Lines(structlog.WriteLogger):
    """Writes our events without a detour over the standard library's logging, which takes longer than all the rest."""

    def __init__(self, name: str = "") -> None:
        super().__init__(sys.stdout)
        self.name = name


def configure(log_format: str, *, level: int = logging.INFO) -> None:
    """Send our events and those of libraries to standard output; `log_format` is `json` or `console`."""
    structlog.configure(
        processors=[*SHARED, _renderer(log_format)],
        logger_factory=_Lines,
        wrapper_class=structlog.make_filtering_bound_logger(level),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=SHARED,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, _renderer(log_format)],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for server in ("gunicorn.error", "gunicorn.access"):
        logging.getLogger(server).handlers.clear()  # so that its lines come through ours
        logging.getLogger(server).propagate = True
    for noisy in NOISY:
        logging.getLogger(noisy).setLevel(max(level, logging.WARNING))


def _renderer(log_format: str) -> structlog.typing.Processor:
    if log_format == "console":
        return structlog.dev.ConsoleRenderer(colors=sys.stdout.isatty())
    return structlog.processors.JSONRenderer(_dumps)


def _dumps(event: Any, default: Callable[[Any], Any]) -> str:
    try:
        return orjson.dumps(event, default=default).decode()
    except TypeError:  # such as a number or a text that orjson does not write
        return json.dumps(event, default=default)
