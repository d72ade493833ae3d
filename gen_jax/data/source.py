"""The contract of a data source: a description, a loader and its options.

A source is one file and one line. The file defines a `Source`, the line registers it in
the entry-point group `gen_jax.data` of any installed package:

    [project.entry-points."gen_jax.data"]
    theirs = "their_package.theirs:SOURCE"

`--data=theirs:WHERE` then finds it. `gen_jax.data.digits` is a short example,
`experiments.branches.source` one with a measure of its own.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

from gen_jax.data.dataset import DataConfig, Dataset, Info


class Source(NamedTuple):
    """The protocol of a data source.

    describe: config -> the `Info` of the dataset that `load` returns, if possible from
        headers or one example; None if the source is absent. Raise UserError if it
        is present but damaged.
    load: config -> `Dataset`, two splits that are read by index. `array_dataset` makes
        one of arrays. Raise UserError, with one line, if the source is absent or
        damaged, or does not suit `config`.
    where: placeholder for the text after the colon, which is `config.where`: "DIR" or
        "FILE" for a path; another word, such as "NAME", for other text; "" for none.
        A path is made absolute, and both functions are called only if it exists.
    config: `DataConfig`, or a subclass with the source's own options as fields: each is
        a flag, `--config.data.FIELD=VALUE`, and is saved with the run.

    A source of pairs may have measures of its own: it gives them in `Dataset.measures`.
    """

    describe: Callable[[Any], Info | None]
    load: Callable[[Any], Dataset]
    where: str = ""
    config: type[DataConfig] = DataConfig
