"""Lines on standard error that never stop the work.

If standard error is closed or its disk is full, the line is lost and the work goes on.
"""

import contextlib
import sys


def ignore_closed_output() -> contextlib.suppress:
    """Return a context that ignores the errors of an output that cannot be written."""
    # A closed file raises ValueError; a stream that is None has no attribute.
    return contextlib.suppress(OSError, ValueError, AttributeError)


def tell(line: str) -> None:
    """Print a line on standard error, if it can be written."""
    if sys.stderr is not None:  # with file=None, print would use standard output
        with ignore_closed_output():
            print(line, file=sys.stderr, flush=True)


def is_terminal() -> bool:
    """Return whether standard error is a terminal."""
    with ignore_closed_output():
        return sys.stderr.isatty()
    return False
