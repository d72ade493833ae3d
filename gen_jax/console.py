"""Lines on standard error, which never stop the work that they tell of.

Its reader may have gone, its disk may be full, its terminal closed: then the line is
lost and nothing else is.
"""

import contextlib
import sys


def unheard() -> contextlib.suppress:
    """Return a context in which an output that cannot be written is done without."""
    # A closed file raises ValueError; a stream that is None has no attribute.
    return contextlib.suppress(OSError, ValueError, AttributeError)


def tell(line: str) -> None:
    """Print a line on standard error, if it can be written."""
    if sys.stderr is not None:  # `print` would take standard output for None
        with unheard():
            print(line, file=sys.stderr, flush=True)


def is_terminal() -> bool:
    """Return whether standard error is a terminal."""
    with unheard():
        return sys.stderr.isatty()
    return False
