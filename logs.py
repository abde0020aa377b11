"""Logging of the web process, the workers and beat: one event per line, with ids, in JSON or for a console."""

import json
import logging
import re
import socket
import sys
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, TextIO

import orjson
import structlog

SHARED = (
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_log_level,
    structlog.stdlib.add_logger_name,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
    structlog.processors.format_exc_info,
)

TRACES = ("exception", "stack")  # fields of several lines
NOISY = ("urllib3", "websockets", "kombu", "amqp", "celery.worker.strategy", "celery.app.trace", "celery.beat")

# E-mail addresses are masked in every event, because errors of the database, of Stripe and of mail servers quote them,
# and libraries log them too.
_ADDRESS = re.compile(r"[^\s@<>()\[\],;:\"'\\|/=*]{1,64}(?:@|%40)([\w-]+(?:\.[\w-]+)*\.[^\W\d_][\w-]*)", re.IGNORECASE)
_MASK = "[address]"
_MAX_DEPTH = 16
_HOST = socket.gethostname()  # part of workers' names, which look like addresses: executions@host.example.com


class _StreamLogger(structlog.WriteLogger):
    """Writes our events to a stream directly, because the standard library's logging is far slower."""

    def __init__(self, stream: TextIO | None, name: str = "") -> None:
        super().__init__(stream or sys.stdout)
        self.name = name


def configure(log_format: str, *, level: int | str = logging.INFO, stream: TextIO | None = None) -> None:
    """Send our events and those of libraries to `stream`, by default standard output.

    `log_format` is `json` or `console`, `level` the lowest one that is logged, as a number or by its name.
    """
    level = logging.getLevelNamesMapping()[level] if isinstance(level, str) else level
    structlog.configure(
        processors=[*SHARED, _renderer(log_format)],
        logger_factory=partial(_StreamLogger, stream),
        wrapper_class=structlog.make_filtering_bound_logger(level),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(stream or sys.stdout)
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
        logging.getLogger(server).handlers.clear()  # its events go through the root handler instead
        logging.getLogger(server).propagate = True
    for noisy in NOISY:
        logging.getLogger(noisy).setLevel(max(level, logging.WARNING))


class _Console(structlog.dev.ConsoleRenderer):
    """Renders events for a console, with escapes so that values can neither begin a line nor control the terminal."""

    def __call__(self, logger: structlog.typing.WrappedLogger, name: str, event: structlog.typing.EventDict) -> str:
        """Render one event as a line, followed by the indented lines of its traceback."""
        safe = {escaped(str(key)): _indented(value) if key in TRACES else _shown(value) for key, value in event.items()}
        return super().__call__(logger, name, safe)


def _shown(value: Any) -> Any:
    return value if isinstance(value, int | float | None) else escaped(value if isinstance(value, str) else repr(value))


def _indented(value: Any) -> str:
    return "\n".join(f"    {escaped(line)}" for line in str(value).split("\n"))


def escaped(text: str) -> str:
    """Return `text` with escapes for characters that could begin a line or control a terminal."""
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in text)


def _renderer(log_format: str) -> structlog.typing.Processor:
    render: structlog.typing.Processor = structlog.processors.JSONRenderer(_dumps)
    if log_format == "console":
        render = _Console(colors=sys.stdout.isatty())

    def without_addresses(logger: structlog.typing.WrappedLogger, name: str, event: structlog.typing.EventDict) -> Any:
        line = render(logger, name, dict(event))
        return render(logger, name, _masked(event)) if "@" in line or "%40" in line else line

    return without_addresses


def _masked(value: Any, depth: int = 0) -> Any:
    """Return `value` with e-mail addresses masked at any depth; deeper than `_MAX_DEPTH` it is masked as text."""
    match value:
        case str():
            return _ADDRESS.sub(lambda found: found[0] if found[1] == _HOST else _MASK, value)
        case None | bool() | int() | float():
            return value
        case Mapping() if depth < _MAX_DEPTH:
            return {_masked(key, depth + 1): _masked(inner, depth + 1) for key, inner in value.items()}
        case list() | tuple() | set() | frozenset() if depth < _MAX_DEPTH:
            return [_masked(inner, depth + 1) for inner in value]
    return _masked(repr(value) if isinstance(value, Mapping | list | tuple) else str(value))


def _dumps(event: Any, default: Callable[[Any], Any]) -> str:
    """Write an event as JSON; never raises, because logging must not fail the work that it reports."""
    try:
        return orjson.dumps(event, default=default, option=orjson.OPT_NON_STR_KEYS).decode()
    except TypeError:  # an integer above 64 bits, or a string with surrogates
        return _dumps_leniently(event, default)


def _dumps_leniently(event: Any, default: Callable[[Any], Any]) -> str:
    try:
        return json.dumps(event, default=default)
    except (TypeError, ValueError, RecursionError):  # a key that is no string, or a circular reference
        return json.dumps({name: value if isinstance(value, str) else repr(value) for name, value in event.items()})
