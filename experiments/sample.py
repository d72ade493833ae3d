"""Draw samples from a run's folder; nothing else is needed.

python -m experiments.sample --workdir=DIR [--num=64] [--out=FILE.png] [FLAGS]
"""

import sys
from pathlib import Path

import numpy as np
from absl import flags

from experiments import flags as parsing
from gen_jax import averaged, console, data, devices, images
from gen_jax.data.class_names import class_names, listed
from gen_jax.errors import UserError
from gen_jax.evaluation.chunks import save_array
from gen_jax.evaluation.run_data import trained_on
from gen_jax.game import Players
from gen_jax.ops import Op
from gen_jax.runs.checkpoint import step_directories
from gen_jax.runs.class_choice import drawn_classes, label_of
from gen_jax.runs.run import Run, load
from gen_jax.runs.sample_grids import class_columns, whole_rows
from gen_jax.sampling import call, draw
from gen_jax.step import sample_keys

_WORKDIR = flags.DEFINE_string("workdir", None, "the run's folder")
_CHECKPOINT = flags.DEFINE_string(
    "checkpoint", None, "one checkpoint's folder; by default the newest of the run"
)
_NUM = flags.DEFINE_integer(
    "num",
    64,
    "number of samples; a .png grid with a column per class shows whole rows only, so "
    "64 samples of ten classes become 60",
    lower_bound=1,
)
_OUT = flags.DEFINE_string(
    "out", None, "a .png grid, or an .npy of all samples; default: DIR/samples.png"
)
_SEED = flags.DEFINE_integer("seed", 0, "seed of the samples", 0, 2**32 - 1)
_RAW = flags.DEFINE_bool("raw", False, "the last weights instead of the averaged ones")
parsing.define_sampling()
_LABEL = flags.DEFINE_string(
    "label",
    None,
    "the class to draw, by name or number, or -1 for no label; by default all classes "
    "in turn",
)
_INPUT = flags.DEFINE_string(
    "input",
    None,
    "an image, or a folder of images, to translate; one side of aligned pairs is taken",
)
_DATA = flags.DEFINE_string(
    "data",
    None,
    "SPEC of the run's data, if they were moved; only for a model that translates, "
    "which draws their held-out images",
)


def main(overrides: list[tuple[str, str]]) -> None:
    """Load a run, sample or translate, save the images and print the file's path."""
    source = parsing.folder_of_a_run(overrides, _CHECKPOINT.value or _WORKDIR.value)
    step_directories(source)  # a missing run is reported before a wrong --out
    default = Path(_WORKDIR.value or ".") / "samples.png"
    out = parsing.output_path(_OUT.value, default, ".png", ".npy")
    devices.use_compilation_cache()
    run = load(source)
    players = run.state.players if _RAW.value else averaged(run.state.players)
    if (translate := run.game.ops.translate) is not None:
        _translate(translate, run, players, out, source)
    else:
        _sample(run, players, out)
    print(out)


def _sample(run: Run, players: Players, out: Path) -> None:
    """Write samples: an array of all, or a grid with one column per class."""
    if given := parsing.given({"input": "input", "data": "data"}):
        raise UserError(
            f"--{given[0][0]} does not apply to this model (only to one that "
            "translates images)"
        )
    game, columns = run.game, None
    classes = drawn_classes(game, run.summary)
    if _LABEL.value is not None:
        classes = [label_of(run, _LABEL.value)]
    elif out.suffix.lower() == ".png":
        columns = class_columns(len(classes))
    num = whole_rows(_NUM.value, columns)
    y = np.resize(np.asarray(classes, np.int32), num) if classes else None
    x = draw(game, players, num, _SEED.value, y, **parsing.sampling_options(run))
    if out.suffix.lower() == ".npy":
        save_array(out, x)
    else:
        images.save_png(out, images.picture(x, columns))
    if num < _NUM.value:
        console.tell(f"{num} samples of {_NUM.value}: whole rows, a column per class")
    if columns and run.info and run.info.class_names:
        shown = listed([class_names(run.info)[label] for label in classes])
        print(f"columns: {shown}", file=sys.stderr)


def _translate(
    translate: Op, run: Run, players: Players, out: Path, source: str
) -> None:
    """Write input and output side by side, and the target if it is known."""
    if given := parsing.given({name: name for name in (*parsing.SAMPLING, "label")}):
        raise UserError(f"--{given[0][0]} does not apply to a model that translates")
    # `load` rebuilt the game from these.
    assert run.info is not None
    assert run.config is not None
    if _INPUT.value and _DATA.value:
        raise UserError("--input or --data: give one of them")
    if _INPUT.value:
        pictures = data.read_inputs(_INPUT.value, run.info.shape, run.config.data)
        x, targets = images.from_uint8(pictures), []
    else:
        test = trained_on(source, run.config.data, _DATA.value)[1].test
        batch = data.prepare()(test.read(range(min(_NUM.value, len(test)))), None)
        x, targets = np.asarray(batch["x"]), [np.asarray(batch["y"])]
    keys = sample_keys(_SEED.value, np.arange(len(x), dtype=np.int32))
    y_hat = call(translate, players, {"x": x, "keys": keys})
    if out.suffix.lower() == ".npy":
        save_array(out, y_hat)
    else:
        images.save_png(out, images.side_by_side(x, y_hat, *targets))


if __name__ == "__main__":
    parsing.run(main)
