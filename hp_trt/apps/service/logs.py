"""Logs as lines of JSON: what happened, with ids of jobs and requests; no file's name, no token, nobody's name."""

from __future__ import annotations

import json
import logging
import sys
import time
from typing import Any, TextIO

LOGGER = "hp_trt.service"
_OWN = set(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "color_message", "taskName"}
_MOST_LETTERS = 4000


class JsonLines(logging.Formatter):
    """A record as one line; what `extra` has becomes keys of it."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created)) + f".{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": record.getMessage()[:_MOST_LETTERS],
        }
        line |= {name: value for name, value in record.__dict__.items() if name not in _OWN}
        if record.exc_info and record.exc_info[0] is not None:
            line["traceback"] = self.formatException(record.exc_info)[-_MOST_LETTERS:]
        return json.dumps(line, default=str)


def log_as_json(stream: TextIO | None = None) -> None:
    """The service's and its server's logs to standard error, or `stream`, and nowhere else."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonLines())
    for name in (LOGGER, "uvicorn", "uvicorn.error"):
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = [handler], False
        logger.setLevel(logging.INFO if name == LOGGER else logging.WARNING)
