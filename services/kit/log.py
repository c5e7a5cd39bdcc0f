"""Structured logs: one JSON object a line on stderr, with the run id, never with user text.

Log calls pass facts as ``extra={"facts": {...}}``: ids, sizes, durations, reasons. What a person
typed or a model answered is not a fact.
"""

from __future__ import annotations

import logging
import sys
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from datetime import UTC, datetime

import orjson

LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")

_run_id: ContextVar[str] = ContextVar("run_id", default="")


def logged_run() -> str:
    """The id of the run that lines logged here belong to; empty outside of any."""
    return _run_id.get()


@contextmanager
def run_logged(run_id: str) -> Iterator[None]:
    """Put the run's id on every line logged inside."""
    token = _run_id.set(run_id)
    try:
        yield
    finally:
        # A stream whose client left is closed by the garbage collector, in another context, where
        # there is nothing to take back.
        with suppress(ValueError):
            _run_id.reset(token)


def facts(**values: object) -> Mapping[str, Mapping[str, object]]:
    """The `extra` of a log call: ``log.info("committed", extra=facts(sequence=3))``."""
    return {"facts": values}


class JsonFormatter(logging.Formatter):
    """One line: time, level, service, event, run_id, then the facts."""

    def __init__(self, service: str) -> None:
        super().__init__()
        self._service = service

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as one line of JSON; control characters are escaped by it."""
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "service": self._service,
            "event": record.getMessage(),
        }
        if run_id := _run_id.get():
            line["run_id"] = run_id
        for name, value in getattr(record, "facts", {}).items():
            # A fact may be called "level" too; it must not change what the line says of itself.
            line[f"fact_{name}" if name in line else name] = value
        if record.exc_info and record.exc_info[1] is not None:
            line["error"] = _where(record.exc_info[1])
        return orjson.dumps(line, default=str).decode()


def _where(error: BaseException) -> dict[str, object]:
    # The message of a foreign exception may quote user text or a key, so only its type and the
    # places of our code are logged.
    frames = traceback.extract_tb(error.__traceback__)[-6:]
    return {
        "type": type(error).__qualname__,
        "at": [f"{frame.filename.rsplit('/', 1)[-1]}:{frame.lineno}" for frame in frames],
    }


def configure_logging(service: str, level: str) -> None:
    """Send everything at or above level to stderr as JSON lines."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter(service))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    # Libraries log request lines and payloads at INFO and DEBUG.
    for library in (
        "alembic",
        "grpc",
        "httpx",
        "httpx2",
        "httpcore",
        "httpcore2",
        "openai",
        "websockets",
        "uvicorn",
        "asyncio",
        "PIL",
    ):
        logging.getLogger(library).setLevel(logging.WARNING)
