"""The commands in processes of their own, and the recipes shrunk to compile fast."""

import atexit
import functools
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import jax
from environment import FOUR_DEVICES
from goldens import AUTOENCODER, DCGAN, MAXOUT, MLP, UNET

ROOT = Path(__file__).parents[2]
TIMEOUT = 300  # seconds

# What compiles in seconds: few layers, few steps of a chain.
SHRUNK = {
    "dcgan": {**DCGAN, "z_dim": 8},
    "vae": AUTOENCODER,
    "ddpm": {**UNET, "timesteps": 25},
    "gan": MAXOUT,
    "cgan": {**DCGAN, "generator": "conv", "discriminator": "conv", "z_dim": 8},
    "pix2pix": {**DCGAN, "batch_size": 8},
    "ae": AUTOENCODER,
    "cvae": AUTOENCODER,
    # The U-Net takes longest to compile, and is tried in "ddpm": these draw points.
    "ddpm_conditional": {"data.spec": "ring", **MLP, "timesteps": 25},
    "flow": {"data.spec": "ring", **MLP},
}
# One of each kind. Slow tests try these, instead of all families.
KINDS = ("dcgan", "vae", "ddpm")
# Real recipes log and draw less often.
RECORDED = {"log_every_steps": 1, "sample_every_steps": 4}


def environment(**variables: str) -> dict[str, str]:
    """A user's: one device, none of the tests' strictness; but the tests' cache."""
    return {
        **os.environ,
        "XLA_FLAGS": os.environ["XLA_FLAGS"].replace(FOUR_DEVICES, "").strip(),
        "PYTHONPATH": str(ROOT),
        "JAX_COMPILATION_CACHE_DIR": jax.config.jax_compilation_cache_dir,
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0.01",
        **variables,
    }


def command(name: str, *flags: str) -> list[str]:
    """The arguments of `python -m experiments.NAME FLAGS`."""
    return [sys.executable, "-m", f"experiments.{name}", *map(str, flags)]


def run(name: str, *flags: str, cwd=ROOT, env=None):
    """Runs a command to its end; its streams are text."""
    if env is None and sys.platform == "linux":  # elsewhere a fork may not use threads
        return forked(f"experiments.{name}", [*map(str, flags)], cwd)
    return subprocess.run(
        command(name, *flags),
        cwd=cwd,
        env=environment(**(env or {})),
        capture_output=True,
        text=True,
        check=False,
        timeout=TIMEOUT,
    )


@functools.cache
def forks() -> subprocess.Popen:
    """Return the server of `forked`, which ends with its input."""
    server = subprocess.Popen(
        [sys.executable, Path(__file__).with_name("forks.py")],
        env=environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    atexit.register(server.communicate)
    return server


def forked(module: str, flags: list[str], cwd: Path) -> subprocess.CompletedProcess:
    """Runs `python -m MODULE FLAGS` in a process that has made its imports already."""
    with tempfile.TemporaryDirectory() as folder:
        streams = [Path(folder, name) for name in ("stdout", "stderr")]
        asked = {"module": module, "flags": flags, "cwd": str(cwd), "timeout": TIMEOUT}
        asked["streams"] = [*map(str, streams)]
        print(json.dumps(asked), file=forks().stdin, flush=True)
        code = int(forks().stdout.readline())
        said = [stream.read_text() for stream in streams]
    return subprocess.CompletedProcess([module, *flags], code, *said)


def shrunk(name: str, steps: int, **fields) -> list[str]:
    """The flags of a shrunk recipe."""
    fields = {"batch_size": 8, "steps": steps, **SHRUNK[name], **RECORDED, **fields}
    return [f"--experiment={name}", *(f"--config.{k}={v}" for k, v in fields.items())]


def succeed(name: str, *flags: str, **options):
    """Runs a command that has to exit with 0, silent of warnings."""
    done = run(name, *flags, **options)
    assert done.returncode == 0, done.stderr
    assert "Warning" not in done.stderr
    assert "Traceback" not in done.stderr
    return done
