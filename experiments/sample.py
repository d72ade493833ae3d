"""Draw samples from a run's folder; nothing else is needed.

python -m experiments.sample --workdir=DIR [--num=64] [--out=FILE.png] [FLAGS]
"""

import inspect
from pathlib import Path

import numpy as np
from absl import flags

from experiments import flags as parsing
from gen_jax import averaged, data, devices, images
from gen_jax.data.class_names import class_names, find_class, listed
from gen_jax.errors import UserError
from gen_jax.game import Players
from gen_jax.ops import Op
from gen_jax.runs.checkpoint import step_directories
from gen_jax.runs.run import Run, load
from gen_jax.runs.sample_grids import class_columns, drawn_classes, whole_rows
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
        _translate(translate, run, players, out)
    else:
        _sample(run, players, out)
    print(out)


def _sample(run: Run, players: Players, out: Path) -> None:
    """Write samples: an array of all, or a grid with one column per class."""
    if _INPUT.value:
        raise UserError(
            "--input does not apply to this model (only to one that translates images)"
        )
    game, columns = run.game, None
    classes = drawn_classes(game, run.summary)
    if _LABEL.value is not None:
        classes = [_label(run, _LABEL.value)]
    elif out.suffix == ".png":
        columns = class_columns(len(classes))
    num = whole_rows(_NUM.value, columns)
    y = np.resize(np.asarray(classes, np.int32), num) if classes else None
    x = draw(game, players, num, _SEED.value, y, **parsing.sampling_options(run))
    if out.suffix == ".npy":
        np.save(out, x)
    else:
        images.save_png(out, images.picture(x, columns))


def _label(run: Run, text: str) -> int:
    """Return the label of a class, given by its name or number; -1 for none.

    Raises UserError, with the names, for another text, and for -1 if the model was
    never trained without a label.
    """
    assert run.info is not None  # `load` rebuilt the game from it
    if not run.game.num_classes:
        raise UserError("--label does not apply: this model was trained without labels")
    names = class_names(run.info)
    if text == "-1" and text not in names:
        if not _knows_no_label(run):
            raise UserError(
                "--label=-1: this model was never trained without a label; choose one "
                f"of {listed(names)}"
            )
        return -1
    return find_class(text, names, "--label")


def _knows_no_label(run: Run) -> bool:
    """Return whether a conditional model was also trained without labels.

    Guidance needs that; and some of the training examples may have had none.
    """
    unlabelled = run.summary.unlabelled if run.summary else None
    if unlabelled is not None and unlabelled.train:
        return True
    sample = run.game.ops.sample
    takes_guidance = sample and "guidance" in inspect.signature(sample).parameters
    return bool(takes_guidance) and getattr(run.config, "label_dropout", 1) > 0


def _translate(translate: Op, run: Run, players: Players, out: Path) -> None:
    """Write input and output side by side, and the target if it is known."""
    if given := parsing.given({name: name for name in (*parsing.SAMPLING, "label")}):
        raise UserError(f"--{given[0][0]} does not apply to a model that translates")
    # `load` rebuilt the game from these.
    assert run.info is not None
    assert run.config is not None
    if _INPUT.value:
        pictures = data.read_inputs(_INPUT.value, run.info.shape, run.config.data)
        x, targets = images.from_uint8(pictures), []
    else:
        test = data.load(run.config.data).test
        batch = data.prepare()(test.read(range(min(_NUM.value, len(test)))), None)
        x, targets = np.asarray(batch["x"]), [np.asarray(batch["y"])]
    keys = sample_keys(_SEED.value, np.arange(len(x), dtype=np.int32))
    y_hat = call(translate, players, {"x": x, "keys": keys})
    if out.suffix == ".npy":
        np.save(out, y_hat)
    else:
        images.save_png(out, images.side_by_side(x, y_hat, *targets))


if __name__ == "__main__":
    parsing.run(main)
