"""Entry points for absl flags, and the recipes: one short file an experiment.

`python -m experiments.NAME` imports this file before any slow import. From here on an
interrupt ends a command without a traceback. A standard stream that the caller closed
is opened on /dev/null: else a later file would get its number, and libraries would
write into that file.
"""

import os
import signal
import sys


def leave(number: int, frame: object) -> None:
    """End the process at once, as the handler of a signal."""
    os._exit(128 + number)


def _open_standard_streams() -> None:
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:  # closed by the caller, as by `2>&-`
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free number
            stream = open(number, "w" if number else "r", closefd=False)  # noqa: SIM115
            setattr(sys, name, stream)


if sys.argv[:1] == ["-m"]:  # Python is still looking for the command
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, leave)
    _open_standard_streams()
