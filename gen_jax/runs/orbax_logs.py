"""Hide the extra tracebacks of Orbax and TensorStore after a failed read or write.

When a read or a write fails, its error is raised. The other tasks of the same call then
fail too, and each would print a traceback. asyncio's logger prints it for a task whose
result is never read; Python's hook does after the event loop is closed.
"""

import logging
import sys
import traceback
from typing import Any

_LIBRARIES = ("orbax", "tensorstore")


def silence() -> None:
    """Hide these tracebacks, and no other message, from now on."""
    logging.getLogger("asyncio").addFilter(_is_of_interest)
    if sys.unraisablehook is not _hook:
        _before.append(sys.unraisablehook)
        sys.unraisablehook = _hook


def _is_of_interest(record: logging.LogRecord) -> bool:
    """Return whether a log record is not about an abandoned task of the libraries."""
    text = record.getMessage()
    is_abandoned = "exception was never retrieved" in text
    return not (is_abandoned and any(name in text for name in _LIBRARIES))


_before: list[Any] = []


def _hook(unraisable: Any) -> None:
    frames = traceback.walk_tb(unraisable.exc_traceback)
    files = [frame.f_code.co_filename for frame, _ in frames]
    of_a_task = any(f"/{name}/" in file for file in files for name in _LIBRARIES)
    if not of_a_task and str(unraisable.exc_value) != "Event loop is closed":
        _before[-1](unraisable)
