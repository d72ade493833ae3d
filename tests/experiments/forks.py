"""Runs commands, each in a fork of this process, which has imported what they use.

Importing it takes a second or two, longer than most of what is asked of a command
here; JAX may be imported before a fork, and no more. One command a line, in JSON:
the keywords of `become`; to each its exit code is answered.
"""

import gc
import importlib
import json
import os
import runpy
import signal
import sys

IMPORTS = (
    *("experiments.flags", "gen_jax.evaluation.measures", "gen_jax.figures.claims"),
    *("gen_jax.loop", "gen_jax.report.page", "matplotlib.backends.backend_svg"),
    *("orbax.checkpoint", "PIL.Image"),
    "scipy.stats",
)


def become(module: str, flags: list[str], cwd: str, streams: list[str], timeout: int):
    """This process is `python -m MODULE FLAGS` from here on."""
    signal.alarm(timeout)
    os.chdir(cwd)
    for number, path in enumerate((os.devnull, *streams)):
        os.dup2(os.open(path, os.O_RDWR | os.O_CREAT), number)
    sys.argv = [module, *flags]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


def serve():
    """Reads commands until there are no more."""
    for name in IMPORTS:
        importlib.import_module(name)
    gc.freeze()  # else a child's last collection copies every page
    for line in iter(sys.stdin.readline, ""):
        child = os.fork()
        if not child:
            become(**json.loads(line))
            return
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


if __name__ == "__main__":
    serve()
