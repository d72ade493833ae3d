"""Datasets by specification, such as "digits" or "folder:DIR".

The registry is the entry-point group `gen_jax.data`; `source.py` is its contract. This
project's own sources are lines of pyproject.toml, like those of any other package.
"""

import contextlib
import dataclasses
import os
import typing
from collections.abc import Iterator
from pathlib import Path

from gen_jax import config as configs
from gen_jax import plugins
from gen_jax.data import protocol
from gen_jax.data.class_names import class_names
from gen_jax.data.dataset import (
    DataConfig,
    Dataset,
    Info,
    identified,
    unlabelled,
    without_single_class,
)
from gen_jax.data.source import Source
from gen_jax.data.tasks import described_with_task, loaded_with_task
from gen_jax.errors import UserError, hint

GROUP = "gen_jax.data"
_SHORT = {name: f"tfds:{name}" for name in ("mnist", "fashion_mnist", "cifar10")}


def load(config: DataConfig) -> Dataset:
    """Load the dataset that `config.spec` names, decoded if it fits in memory_gib.

    A source without a split of its own holds out a tenth, chosen by content.

    Raises UserError for anything unknown, absent, empty, damaged or out of range.
    """
    source, config = _resolve(config)
    with _one_line(config):
        is_there = _is_there(source, config)
    if not is_there:
        kind = "folder" if source.where == "DIR" else "file"
        raise UserError(f"{config.spec}: there is no such {kind}")
    with _one_line(config):
        dataset = source.load(config)
        protocol.check(dataset, config.spec)
        dataset = identified(dataset)
    info = without_single_class(dataset.info)
    if info != dataset.info:
        [name] = class_names(dataset.info)
        left_out = (
            *dataset.left_out,
            f"the class {name}: one class alone is not a label",
        )
        train, test = unlabelled(dataset.train), unlabelled(dataset.test)
        dataset = dataset._replace(info=info, train=train, test=test, left_out=left_out)
    return loaded_with_task(dataset, config)


def load_present(config: DataConfig) -> Dataset | None:
    """Load the dataset if it is computed, or lies at a path that exists; else None.

    A source that takes a name, such as TFDS, might download something: it gives None.
    """
    source, config = _resolve(config)
    is_here = source.where in ("", "DIR", "FILE") and _is_there(source, config)
    return load(config) if is_here else None


def describe(config: DataConfig) -> Info | None:
    """Return the `info` of the dataset that `load` returns; None if it is absent.

    A source reads as little as it can. Raises UserError as `load` does, for mistakes
    that it meets meanwhile.
    """
    source, config = _resolve(config)
    with _one_line(config):
        info = source.describe(config) if _is_there(source, config) else None
    if info is None:
        return None
    return described_with_task(without_single_class(info), config)


@contextlib.contextmanager
def _one_line(config: DataConfig) -> Iterator[None]:
    """Turn any error of a source into a UserError of one line that names it."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        reason = f"{type(error).__name__}: {' '.join(str(error).split())}"
        raise UserError(f"{config.spec} cannot be read: {reason}") from error


def absolute(config: DataConfig) -> DataConfig:
    """Return the same data, named by paths that any working directory finds."""
    spec, data_dir = config.spec, config.data_dir
    source = _find(spec)
    if config.where and source and source.where in ("DIR", "FILE"):
        spec = f"{_kind(spec)}:{config.path.absolute()}"
    if data_dir and "://" not in data_dir:  # a bucket's URL is absolute
        data_dir = str(Path(data_dir).expanduser().absolute())
    return dataclasses.replace(config, spec=spec, data_dir=data_dir)


def own_config(config: DataConfig) -> DataConfig:
    """Return the same settings in the class that the source of `config.spec` takes.

    Options of another source are dropped, its own have their defaults. An unknown
    source changes nothing: `load` refuses it.
    """
    source = _find(config.spec)
    if source is None or type(config) is source.config:
        return config
    own = {field.name for field in dataclasses.fields(source.config)}
    shared = own & {field.name for field in dataclasses.fields(config)}
    return source.config(**{name: getattr(config, name) for name in shared})


def _resolve(config: DataConfig) -> tuple[Source, DataConfig]:
    """Return the source, and the configuration that its functions take."""
    if not isinstance(config, DataConfig):
        raise UserError(f"config is {config!r:.60}: write DataConfig('digits')")
    source, spec = _find(config.spec), _SHORT.get(config.spec, config.spec)
    if source is None:
        raise _unknown(config.spec)
    if source.where and not spec.partition(":")[2]:
        raise UserError(
            f"data {spec!r} is incomplete: write {_written(_kind(spec), source)}"
        )
    if not source.where and ":" in spec:
        raise UserError(
            f"data {spec!r}: nothing may follow the name; write {_kind(spec)}"
        )
    if type(config) not in (DataConfig, source.config):
        raise UserError(
            f"the options of {type(config).__name__} do not apply to {spec}: use "
            f"{source.config.__name__}"
        )
    config = own_config(dataclasses.replace(config, spec=spec))
    _check_options(config)
    return source, config


def _is_there(source: Source, config: DataConfig) -> bool:
    """Return whether the path exists that the specification names, if it names one."""
    is_there = {"DIR": os.path.isdir, "FILE": os.path.isfile}.get(source.where)
    return is_there is None or is_there(config.path)


def _kind(spec: str) -> str:
    return _SHORT.get(spec, spec).partition(":")[0]


def _find(spec: str) -> Source | None:
    return plugins.find(GROUP, _kind(spec), Source)


def _written(name: str, source: Source) -> str:
    """Return how to write a source that is registered as `name`."""
    return f"{name}:{source.where}" if source.where else name


def _unknown(spec: str) -> UserError:
    """Return the error for a source that is not registered, with the nearest name."""
    known = {}
    for name in plugins.names(GROUP):
        known[name] = name
        with contextlib.suppress(UserError):  # a broken plugin that was not meant
            if source := _find(name):
                known[name] = _written(name, source)
    if not known:
        return UserError(
            "no data source is registered: install the project (pip install -e .)"
        )
    known |= {name: name for name in _SHORT}
    return UserError(f"unknown dataset {spec!r}.{hint(_kind(spec), known)}")


def _check_options(config: DataConfig) -> None:
    for name, kind in typing.get_type_hints(type(config)).items():
        allowed, value = typing.get_args(kind), getattr(config, name)
        configs.check(config, name, value, f"data.{name}")
        if typing.get_origin(kind) is typing.Literal and value not in allowed:
            words = ", ".join(word or "''" for word in allowed)
            raise UserError(f"data.{name} is {value!r}; allowed: {words}")
    if (given := config.value_range) and (len(given) != 2 or given[0] >= given[1]):
        raise UserError(
            f"data.value_range={','.join(f'{x:g}' for x in given)}; allowed: LOW,HIGH, "
            "such as 0,65535"
        )
