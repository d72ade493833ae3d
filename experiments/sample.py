"""Draws samples from a run's folder; nothing else is needed.

python -m experiments.sample --workdir=DIR [--num=64] [--out=FILE.png] [FLAGS]
"""

import inspect
from pathlib import Path

import numpy as np
from absl import flags

from experiments import flags as parsing
from gen_jax import averaged, checkpoint, devices, images
from gen_jax.errors import UserError
from gen_jax.step import sample_keys

_WORKDIR = flags.DEFINE_string("workdir", None, "the run's folder")
_CHECKPOINT = flags.DEFINE_string(
    "checkpoint", None, "one checkpoint's folder; by default the newest of the run"
)
_NUM = flags.DEFINE_integer("num", 64, "how many samples", lower_bound=1)
_OUT = flags.DEFINE_string(
    "out", None, "a .png grid, or an .npy of all samples; default: DIR/samples.png"
)
_SEED = flags.DEFINE_integer("seed", 0, "of the samples", lower_bound=0)
_RAW = flags.DEFINE_bool("raw", False, "the last weights instead of the averaged ones")
flags.DEFINE_string("sampler", None, "of a diffusion model: ddim or ancestral")
flags.DEFINE_integer("sampling_steps", None, "of a diffusion model", lower_bound=1)
flags.DEFINE_float("eta", None, "DDIM's noise, from 0 to 1", lower_bound=0)
flags.DEFINE_integer("label", None, "the class to draw")

_OPTIONS = ("sampler", "sampling_steps", "eta", "label")
_CHUNK = 256  # samples on the device at once


def main(overrides: list[tuple[str, str]]) -> None:
    """Loads, samples, writes the file and prints its path."""
    if overrides:
        raise UserError(
            f"sample has no --config.{overrides[0][0]}: the run has its own"
        )
    if not _WORKDIR.value and not _CHECKPOINT.value:
        raise UserError("--workdir=DIR is needed: the run's folder")
    source = _CHECKPOINT.value or _WORKDIR.value
    checkpoint.step_directories(source)
    out = _output_path()
    devices.use_compilation_cache()
    run = checkpoint.load(source)
    board = run.state.players if _RAW.value else averaged(run.state.players)
    x = draw(run.game, board, _NUM.value, _SEED.value, **_options(run.game))
    _write(out, x)
    print(out)


def _output_path() -> Path:
    out = _OUT.value or Path(_WORKDIR.value or ".") / "samples.png"
    out = Path(out)
    if out.suffix not in (".png", ".npy"):
        raise UserError(f"--out={out} is neither a .png nor an .npy file")
    if not out.absolute().parent.is_dir():
        raise UserError(f"--out={out}: there is no folder {out.absolute().parent}")
    return out


def _options(game) -> dict:
    """The given options, those that this game's sampling knows."""
    known = inspect.signature(game.ops["sample"]).parameters
    options = {}
    for name, text in parsing.given({name: name for name in _OPTIONS}):
        if name not in known:
            raise UserError(f"--{name} does not apply: this model is not made with one")
        options[name] = type(flags.FLAGS[name].value)(text)
    return options


def draw(game, board, num: int, seed: int, **options) -> np.ndarray:
    """`num` samples [num, ...] in [-1, 1], the i-th from a key of its own.

    Drawn in chunks of one size: a sample depends neither on `num` nor on the chunk.
    """
    size = min(_CHUNK, num)
    sample = devices.jit(lambda board, keys: game.ops["sample"](board, keys, **options))
    chunks = []
    for first in range(0, num, size):
        index = np.arange(first, first + size, dtype=np.int32)
        keys = sample_keys(seed, index)
        chunks.append(np.asarray(sample(board, keys)))
    return np.concatenate(chunks)[:num]


def _write(out: Path, x: np.ndarray) -> None:
    if out.suffix == ".npy":
        np.save(out, x)
    else:
        images.save_png(out, images.picture(x))


if __name__ == "__main__":
    parsing.run(main)
