"""Look at data before training on them: a picture of real images by class.

  python -m experiments.look --data=SPEC [--out=FILE.png] [--config.data.FIELD=VALUE]

SPEC is as for `experiments.train`. The picture shows the images as a training would
read them. The command prints the names and counts of the classes, and the files that
were left out.
"""

from collections.abc import Iterator
from pathlib import Path

from absl import flags

from experiments import flags as parsing
from gen_jax import config as configs
from gen_jax import data, experiment, images
from gen_jax.data.class_names import shown
from gen_jax.data.summary import lines
from gen_jax.errors import UserError

_MAX_CLASSES = 100  # that are printed

_DATA = flags.DEFINE_string("data", None, "the dataset, such as folder:DIR")
_OUT = flags.DEFINE_string("out", None, "a .png file; default: look.png")


def main(overrides: list[tuple[str, str]]) -> None:
    """Load a dataset, print a summary of it, and draw it."""
    if not _DATA.value:
        raise UserError("--data=SPEC is needed, such as --data=folder:DIR")
    for field, _ in overrides:
        if not field.startswith("data."):
            raise UserError(
                f"--config.{field} does not apply: look takes only --config.data.FIELD"
            )
    fields = [("data.spec", _DATA.value), *overrides]
    config = configs.override_all(experiment.RunConfig(), fields).data
    out = parsing.output_path(_OUT.value, Path("look.png"), ".png")
    dataset = data.load(config)
    summary = data.summarize(dataset)
    print("\n".join([*lines(summary), *_table(summary)]))
    from gen_jax.figures.overview import overview

    images.save_png(out, overview(dataset, config.spec))
    print(out)


def _table(summary: data.Summary) -> Iterator[str]:
    """Yield a line for each class: its label, counts and name."""
    if not summary.classes or summary.classes[0].train is None:
        return
    yield "label  training  held out  class"
    for label, each in enumerate(summary.classes[:_MAX_CLASSES]):
        yield f"{label:5d}  {each.train:8d}  {each.test:8d}  {shown(each.name)}"
    if (more := len(summary.classes) - _MAX_CLASSES) > 0:
        yield f"and {more} more classes"


if __name__ == "__main__":
    parsing.run(main)
