"""absl flags whose errors are one line with the nearest name, and exit code 2.

`--config.FIELD=VALUE` sets any field of an experiment's configuration.
"""

import contextlib
import inspect
import io
import os
import re
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from logging import getLogger
from pathlib import Path
from typing import Any, NoReturn, TextIO

import jax
from absl import app, flags, logging

from experiments import leave
from gen_jax import config, console, files, watchdog
from gen_jax.errors import UserError, nearest
from gen_jax.runs.run import Run

_INTERRUPTED = [128 + x for x in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM)]
_PREFIX = "--config."
_SUFFIXES = (".json", ".png", ".gif", ".html", ".npy")
SAMPLING = ("sampler", "sampling_steps", "eta", "guidance")

flags.disclaim_key_flags()  # flags defined here belong to the calling command


def run(main: Callable[[list[tuple[str, str]]], None]) -> None:
    """Parse the flags, call main([(field, text), ...]) and exit.

    Exit codes: 0; 2 for a user's mistake, with one line; 3 if a training diverged; 4 if
    another process of a training ended. After SIGHUP the code is 129, after Ctrl-C 130,
    after SIGTERM 143, and 141 if the output is no longer read.
    """

    def guarded(argv):
        with errors_in_one_line():
            signal.signal(signal.SIGINT, _leave_tidily)
            main(_overrides(argv[1:]))
            sys.stdout.flush()

    logging.set_verbosity(logging.FATAL)  # Orbax also logs the errors that it raises
    for name in ("jax", "matplotlib"):
        getLogger(name).setLevel("CRITICAL")
    if isinstance(sys.stdout, io.TextIOWrapper):  # a path may be of any bytes
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        app.run(guarded, flags_parser=_parse)
    except BaseException as error:
        for stream in (sys.stdout, sys.stderr):
            _drop_unwritable_output(stream)
        watchdog.leave(error)
        if isinstance(error, SystemExit) and error.code in _INTERRUPTED:
            os._exit(error.code)  # Python would abort if a library's thread still works
        raise


def _leave_tidily(number: int, frame: Any) -> None:
    """End the process at once, as the handler of a signal; leave no unfinished file.

    An exception would be swallowed, or printed, by the library that runs just now.
    """
    files.remove_own_unfinished()
    leave(number, frame)


def _drop_unwritable_output(stream: TextIO) -> bool:
    """Drop the buffered output of a stream that is closed or whose disk is full.

    Otherwise Python would try to write it again at the end, and exit with code 120.
    Return whether there was any.
    """
    try:
        stream.flush()
        return False
    except (OSError, ValueError):
        with contextlib.suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
        return True


@contextlib.contextmanager
def errors_in_one_line() -> Iterator[None]:
    """Turn mistakes, full disks and interrupts into a line and an exit code."""
    try:
        yield
    except UserError as error:
        _exit(str(error), error.exit_code)
    except BrokenPipeError:  # `| head` has read enough: all is written to files
        _drop_unwritable_output(sys.stdout)
        sys.exit(128 + signal.SIGPIPE)
    except OSError as error:
        lost = _drop_unwritable_output(sys.stdout)
        where = "standard output; files were written" if lost else "disk"
        _exit(f"{error.strerror or error}: {error.filename or where}", 2)
    except MemoryError as error:
        _exit(f"out of memory: {error}", 2)
    except jax.errors.JaxRuntimeError as error:
        if "RESOURCE_EXHAUSTED" not in str(error):
            raise
        _exit(f"the device is out of memory; lower --batch_size. {error}"[:300], 2)
    except KeyboardInterrupt:
        sys.exit(130)


def _exit(line: str, code: int) -> NoReturn:
    console.tell("error: " + " ".join(line.split()))
    sys.exit(code)


def _parse(argv: Sequence[str]) -> list[str]:
    """Return the `--config.` arguments that remain when absl has taken its flags."""
    if {"--help", "-help", "-h"} & set(argv):
        print(help_text())
        sys.exit(0)
    try:
        rest = flags.FLAGS(list(argv), known_only=True)
        _expand_homes()
        return rest
    except flags.Error as error:
        line = re.sub(
            r": invalid literal for int\(\).*", " is not a whole number", str(error)
        )
        _exit(re.sub(r": could not convert string.*", " is not a number", line), 2)


def _expand_homes() -> None:
    """Replace ~ and ~USER at the beginning of a flag's text; a shell may not have.

    Raises flags.Error if there is no such user.
    """

    def expanded(name: str, value: Any) -> Any:
        if isinstance(value, list):
            return [expanded(name, each) for each in value]
        if not isinstance(value, str) or not value.startswith("~"):
            return value
        if (path := os.path.expanduser(value)).startswith("~"):
            raise flags.Error(f"--{name}={value}: there is no such user")
        return path

    for name in flags.FLAGS:
        value = flags.FLAGS[name].value
        if (whole := expanded(name, value)) != value:
            flags.FLAGS[name].value = whole


def help_text() -> str:
    """Return the command's docstring and its flags."""
    main = sys.modules["__main__"]
    lines = [(main.__doc__ or "").strip(), "", "Flags:"]
    for flag in flags.FLAGS.get_key_flags_for_module(main.__name__):
        default = "" if flag.default is None else f" (default: {flag.default})"
        lines.append(f"  --{flag.name}: {flag.help}{default}")
    return "\n".join(lines)


def _overrides(arguments: Sequence[str]) -> list[tuple[str, str]]:
    """Return [(field, text)] of `--config.FIELD=TEXT` and `--config.FIELD TEXT`."""
    known = [f"--{name}" for name in flags.FLAGS]
    overrides, rest = [], list(arguments)
    while rest:
        name, equals, text = rest.pop(0).partition("=")
        if name == "--" or not name.startswith("-"):
            stray = rest[0] if name == "--" and rest else name
            raise UserError(f"stray argument {stray!r}: every option begins with --")
        if not name.startswith(_PREFIX):
            hint = nearest(name, known)
            raise UserError(f"no flag {name}.{hint} --help lists the flags")
        if not equals:
            if not rest:
                raise UserError(f"{name} needs a value: {name}=VALUE")
            text = rest.pop(0)
        overrides.append((name.removeprefix(_PREFIX), text))
    return overrides


def given(names: dict[str, str]) -> list[tuple[str, str]]:
    """Return [(field, text)] of the flags that were given; names: flag -> field."""
    present = [(flags.FLAGS[name], field) for name, field in names.items()]
    return [(field, str(flag.value)) for flag, field in present if flag.present]


def refuse(overrides: list[tuple[str, str]], why: str) -> None:
    """Raise UserError with the reason if a field of the configuration is set."""
    if overrides:
        raise UserError(f"--config.{overrides[0][0]} does not apply: {why}")


def folder_of_a_run(overrides: list[tuple[str, str]], folder: str | None) -> str:
    """Return the folder. Raises UserError if none is named, or if a field is set."""
    refuse(overrides, "the run has its own configuration; leave it out")
    if not folder:
        raise UserError("--workdir=DIR is needed: the run's folder")
    return folder


def output_path(given: str | None, default: Path, *suffixes: str) -> Path:
    """Return the file to write, which was tried. Raises UserError if it cannot be.

    suffixes: allowed endings, in lower case; the case of the file's does not matter.
    """
    out = Path(given or default)
    if out.suffix.lower() not in suffixes:
        raise UserError(
            f"--out={out}: name a file that ends in {' or '.join(suffixes)}"
        )
    if out.is_dir():
        raise UserError(f"--out={out} is a folder; name a file in it")
    folder = out.absolute().parent
    if given and not folder.is_dir():
        raise UserError(f"--out={out}: there is no folder {folder}; make it first")
    if folder.is_dir():
        files.try_to_write(out)
    return out


def output_folder(given: str | None, default: Path) -> Path:
    """Return the folder to write to. Raises UserError if it is a file's name."""
    out = Path(given or default)
    if given and (out.is_file() or out.suffix.lower() in _SUFFIXES):
        raise UserError(f"--out={given}: name a folder, not a file")
    return out


def define_sampling() -> None:
    """Define the flags named in `SAMPLING` for the command that calls this."""
    flags.DEFINE_string(
        "sampler", None, "sampler of diffusion: ddim, ancestral, heun, dpm_solver"
    )
    flags.DEFINE_integer(
        "sampling_steps", None, "number of steps of the sampler", lower_bound=1
    )
    flags.DEFINE_float("eta", None, "DDIM's noise, from 0 to 1", 0, 1)
    flags.DEFINE_float(
        "guidance", None, "strength of guidance towards the label; 0: none", 0
    )


def sampling_options(run: Run) -> dict[str, Any]:
    """Return the given sampling flags as options of the run's sampling.

    Raises UserError for one that does not apply to the model, that is not finite, or
    that is out of its field's range.
    """
    sample = run.game.ops.sample
    known = inspect.signature(sample).parameters if sample else {}
    options = {}
    for name, text in given({name: name for name in SAMPLING}):
        if name not in known:
            takes = ", ".join(f"--{each}" for each in SAMPLING if each in known)
            raise UserError(
                f"--{name} does not apply to this model, which takes "
                f"{takes or 'no sampling options'}"
            )
        value = config.parse(text, type(flags.FLAGS[name].value), f"--{name}")
        config.check(run.config, name, value, f"--{name}")
        options[name] = value
    return options
