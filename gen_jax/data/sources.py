"""From a specification such as "digits" or "folder:DIR" to a dataset."""

import dataclasses
import typing
from pathlib import Path

from gen_jax.data.arrays import open_digits, open_npz, open_ring
from gen_jax.data.branches import open_branches
from gen_jax.data.dataset import MAX_PIXELS, DataConfig, Dataset, Info, Source
from gen_jax.data.idx import open_idx
from gen_jax.data.image_folder import open_folder
from gen_jax.data.image_pairs import open_pairs
from gen_jax.data.tasks import with_task
from gen_jax.data.tfds import open_tfds
from gen_jax.errors import UserError, hint

_BUILT_IN = {"digits": open_digits, "branches": open_branches, "ring": open_ring}
_LOCATED = {
    "idx": (open_idx, "DIR"),
    "folder": (open_folder, "DIR"),
    "pairs": (open_pairs, "DIR"),
    "npz": (open_npz, "FILE"),
    "tfds": (open_tfds, "NAME"),
}
_PATHS = ("idx", "folder", "pairs", "npz")
_SHORT = {name: f"tfds:{name}" for name in ("mnist", "fashion_mnist", "cifar10")}


def load(config: DataConfig) -> Dataset:
    """The dataset that `config.spec` names, decoded unless it has to be streamed.

    A source without a split of its own holds out a tenth, chosen by content.

    Raises UserError for anything unknown, missing, empty, damaged or out of range.
    """
    return _source(config).load()


def describe(config: DataConfig) -> Info:
    """What `load` will give, shapes and classes, from headers or one example.

    Raises UserError as `load` does, for what can be seen without reading it all.
    """
    return _source(config).info


def absolute(config: DataConfig) -> DataConfig:
    """The same data, named so that any working directory finds them."""
    kind, _, where = config.spec.partition(":")
    spec, data_dir = config.spec, config.data_dir
    if kind in _PATHS and where:
        spec = f"{kind}:{Path(where).expanduser().absolute()}"
    if data_dir and "://" not in data_dir:  # a bucket's URL is absolute
        data_dir = str(Path(data_dir).expanduser().absolute())
    return dataclasses.replace(config, spec=spec, data_dir=data_dir)


def _source(config: DataConfig) -> Source:
    _check_options(config)
    return with_task(_open(config), config)


def _open(config: DataConfig) -> Source:
    kind, colon, where = _SHORT.get(config.spec, config.spec).partition(":")
    if kind in _BUILT_IN and not colon:
        return _BUILT_IN[kind](config)
    if kind in _LOCATED and where:
        return _LOCATED[kind][0](config, where)
    located = {kind: f"{kind}:{what}" for kind, (_, what) in _LOCATED.items()}
    if kind in located:
        raise UserError(f"data {config.spec!r} is incomplete: write {located[kind]}")
    known = {name: name for name in (*_BUILT_IN, *_SHORT)} | located
    raise UserError(f"there is no data {config.spec!r}.{hint(kind, known)}")


def _check_options(config: DataConfig) -> None:
    if not 0 <= config.image_size <= MAX_PIXELS:
        raise UserError(
            f"data.image_size is {config.image_size}; allowed: 0 to {MAX_PIXELS}"
        )
    if config.channels not in (0, 1, 3):
        raise UserError(f"data.channels is {config.channels}; allowed: 0, 1 or 3")
    if not config.memory_gib >= 0:
        raise UserError(f"data.memory_gib is {config.memory_gib}; allowed: 0 or more")
    for name in ("direction", "task"):
        value = getattr(config, name)
        allowed = typing.get_args(typing.get_type_hints(DataConfig)[name])
        if value not in allowed:
            words = ", ".join(word or "''" for word in allowed)
            raise UserError(f"data.{name} is {value!r}; allowed: {words}")
    if config.direction != "a_to_b" and not config.spec.startswith("pairs:"):
        raise UserError(f"data.direction is of pairs:DIR alone, not of {config.spec}")
