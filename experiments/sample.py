"""Draws samples from a run's folder; nothing else is needed.

python -m experiments.sample --workdir=DIR [--num=64] [--out=FILE.png] [FLAGS]
"""

from pathlib import Path

import numpy as np
from absl import flags

from experiments import flags as parsing
from gen_jax import averaged, data, devices, images
from gen_jax.errors import UserError
from gen_jax.runs import checkpoint
from gen_jax.sampling import call, draw
from gen_jax.step import sample_keys

_WORKDIR = flags.DEFINE_string("workdir", None, "the run's folder")
_CHECKPOINT = flags.DEFINE_string(
    "checkpoint", None, "one checkpoint's folder; by default the newest of the run"
)
_NUM = flags.DEFINE_integer("num", 64, "how many samples", lower_bound=1)
_OUT = flags.DEFINE_string(
    "out", None, "a .png grid, or an .npy of all samples; default: DIR/samples.png"
)
_SEED = flags.DEFINE_integer("seed", 0, "of the samples", 0, 2**32 - 1)
_RAW = flags.DEFINE_bool("raw", False, "the last weights instead of the averaged ones")
parsing.define_sampling()
_LABEL = flags.DEFINE_integer(
    "label", None, "the class to draw; by default all in turn"
)
_INPUT = flags.DEFINE_string(
    "input", None, "a picture, or a folder, to translate; of aligned pairs one side"
)


def main(overrides: list[tuple[str, str]]) -> None:
    """Loads, samples or translates, writes the file and prints its path."""
    parsing.check_of_a_run("sample", overrides, _WORKDIR.value or _CHECKPOINT.value)
    source = _CHECKPOINT.value or _WORKDIR.value
    directories = checkpoint.step_directories(source)
    out = _output_path()
    devices.use_compilation_cache()
    run = checkpoint.load(source)
    players = run.state.players if _RAW.value else averaged(run.state.players)
    if "translate" in run.game.ops:
        shape = checkpoint.info_of(checkpoint.newest_meta(directories)).shape
        _translate(run, players, shape, out)
    else:
        _sample(run, players, out)
    print(out)


def _output_path() -> Path:
    out = _OUT.value or Path(_WORKDIR.value or ".") / "samples.png"
    out = Path(out)
    if out.suffix not in (".png", ".npy"):
        raise UserError(f"--out={out} is neither a .png nor an .npy file")
    if out.is_dir():
        raise UserError(f"--out={out} is a folder; it has to be a file")
    if not out.absolute().parent.is_dir():
        raise UserError(f"--out={out}: there is no folder {out.absolute().parent}")
    return out


def _sample(run, players, out: Path) -> None:
    """Writes samples: a grid, a column a class where there are classes."""
    if _INPUT.value:
        raise UserError("--input is for a model that translates pictures")
    game, num = run.game, _NUM.value
    y = _labels(game.num_classes, num)
    x = draw(game, players, num, _SEED.value, y, **parsing.sampling_options(run))
    if out.suffix == ".npy":
        np.save(out, x)
        return
    by_class = y is not None and _LABEL.value is None and game.num_classes <= 16
    images.save_png(out, images.picture(x, game.num_classes if by_class else None))


def _labels(num_classes: int, num: int) -> np.ndarray | None:
    """int32 [num]: the given label, or every class in turn; None without classes."""
    label = _LABEL.value
    if label is not None and not num_classes:
        raise UserError("--label does not apply: this model knows no labels")
    if label is not None and not -1 <= label < num_classes:
        raise UserError(
            f"--label={label}: allowed are 0 to {num_classes - 1}, and -1 for none"
        )
    if not num_classes:
        return None
    y = np.arange(num) % num_classes if label is None else np.full(num, label)
    return y.astype(np.int32)


def _translate(run, players, shape: tuple[int, ...], out: Path) -> None:
    """Writes input and output side by side, and the target where it is known."""
    if given := parsing.given({name: name for name in (*parsing.SAMPLING, "label")}):
        raise UserError(f"--{given[0][0]} does not apply to a model that translates")
    if _INPUT.value:
        pictures = data.read_inputs(_INPUT.value, shape, run.config.data)
        x, targets = images.from_uint8(pictures), []
    else:
        test = data.load(run.config.data).test
        batch = data.prepare()(test.read(range(min(_NUM.value, len(test)))), None)
        x, targets = np.asarray(batch["x"]), [np.asarray(batch["y"])]
    keys = sample_keys(_SEED.value, np.arange(len(x), dtype=np.int32))
    y_hat = call(run.game.ops["translate"], players, {"x": x, "keys": keys})
    if out.suffix == ".npy":
        np.save(out, y_hat)
    else:
        images.save_png(out, images.side_by_side(x, y_hat, *targets))


if __name__ == "__main__":
    parsing.run(main)
