"""Weights from pickles, including PyTorch's, read without running code in them.

A pickle is a program that may call any function. Here it can call the functions that
make arrays, and nothing else. PyTorch is not needed.

PyTorch's `torch.save` writes a pickle in which tensors are views of named storages. The
storages are kept next to it. Since 1.6 the file is an uncompressed zip,

    NAME/data.pkl  NAME/data/KEY  ...

Before that it was one stream. It begins with three pickles: a magic number, a version
and the machine's kind. Then come the pickle of the tensors and that of the storages'
keys. For each key follow the number of elements, in 8 bytes, and the elements.
"""

import collections
import io
import math
import pickle
import zipfile
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

_RECONSTRUCT = np.zeros(0).__reduce__()[0]  # these have no public names in NumPy
_FROM_BUFFER = np.zeros(0).__reduce_ex__(5)[0]
_MAKES_ARRAYS = {  # an array is pickled as a call of these
    ("numpy.core.multiarray", "_reconstruct"): _RECONSTRUCT,  # before NumPy 2
    ("numpy._core.multiarray", "_reconstruct"): _RECONSTRUCT,
    ("numpy.core.numeric", "_frombuffer"): _FROM_BUFFER,  # from protocol 5 on
    ("numpy._core.numeric", "_frombuffer"): _FROM_BUFFER,
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
}
_MAGIC = 0x1950A86A20F9469CFC6C  # first number in PyTorch's stream
_ZIP = b"PK\x03\x04"


class ArrayUnpickler(pickle.Unpickler):
    """An unpickler of containers, numbers, strings and numpy arrays only."""

    def find_class(self, module: str, name: str):
        """Return one of numpy's constructors of arrays.

        Raises pickle.UnpicklingError for anything else.
        """
        if (module, name) not in _MAKES_ARRAYS:
            raise pickle.UnpicklingError(
                f"{module}.{name} is not a numpy array: the pickle is refused"
            )
        return _MAKES_ARRAYS[module, name]


class _Storage(NamedTuple):
    """The elements that tensors are views of; a class that no pickle can construct."""

    elements: np.ndarray


class _TensorUnpickler(pickle.Unpickler):
    """An unpickler of containers, numbers, strings and tensors on storages only."""

    def __init__(self, file: io.BytesIO, storage: Callable[[Any, str, int], _Storage]):
        """Set the storage function: (dtype, key, number of elements) -> the storage."""
        super().__init__(file)
        self._storage = storage

    def find_class(self, module: str, name: str):
        """Return a constructor of tensors, or the dtype of a storage."""
        if (module, name) not in _MAKES_TENSORS:
            raise pickle.UnpicklingError(
                f"{module}.{name} is not a tensor: the pickle is refused"
            )
        return _MAKES_TENSORS[module, name]

    def persistent_load(self, pid: Any) -> _Storage:
        """Return the storage that a tensor is a view of."""
        _, dtype, key, _, count, *_ = pid
        if not isinstance(dtype, np.dtype) or not _whole(count):
            raise pickle.UnpicklingError("a storage has an unknown kind")
        return self._storage(dtype, key, count)


def _tensor(storage: _Storage, offset, shape, strides, *_) -> np.ndarray:
    """Return a view of a storage; raise UnpicklingError if it would lie outside."""
    if not all(map(_whole, (offset, *shape, *strides))) or len(shape) != len(strides):
        raise pickle.UnpicklingError("a tensor's shape is invalid")
    elements = storage.elements
    last = offset + sum((n - 1) * step for n, step in zip(shape, strides, strict=True))
    if math.prod(shape) and last >= len(elements):
        raise pickle.UnpicklingError("a tensor reaches beyond its storage")
    steps = tuple(step * elements.itemsize for step in strides)
    return np.lib.stride_tricks.as_strided(elements[offset:], shape, steps)


def _parameter(tensor: np.ndarray, *_) -> np.ndarray:
    """Return a trainable tensor, which is treated like any other."""
    return tensor


def _whole(number: Any) -> bool:
    return type(number) is int and number >= 0


_MAKES_TENSORS = {  # a tensor is pickled as a call of these
    ("torch", "FloatStorage"): np.dtype("<f4"),
    ("torch", "LongStorage"): np.dtype("<i8"),
    ("torch._utils", "_rebuild_tensor_v2"): _tensor,
    ("torch._utils", "_rebuild_parameter"): _parameter,
    ("collections", "OrderedDict"): collections.OrderedDict,
}


def read_arrays(content: bytes) -> Any:
    """Read a pickle of containers and numpy arrays [...].

    Raises pickle.UnpicklingError if it holds anything else. A damaged pickle raises
    that or another error of `pickle.load`.
    """
    return ArrayUnpickler(io.BytesIO(content)).load()


def is_torch(content: bytes) -> bool:
    """Return whether PyTorch wrote this, judging by its first bytes."""
    return content.startswith((_ZIP, pickle.dumps(_MAGIC, 2)))


def read_torch(content: bytes) -> Any:
    """Read a file by `torch.save`: float32 and int64 tensors as numpy arrays [...].

    Raises pickle.UnpicklingError if it holds anything else. A damaged file raises that
    or another error of `zipfile` or `pickle.load`.
    """
    if content.startswith(_ZIP):
        return _read_zip(content)
    return _read_stream(io.BytesIO(content), len(content))


def _read_zip(content: bytes) -> Any:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        (pickled,) = (n for n in archive.namelist() if n.endswith("/data.pkl"))
        folder = pickled.removesuffix(".pkl")
        storages: dict[str, _Storage] = {}

        def storage(dtype, key, count):
            if key not in storages:
                elements = np.frombuffer(archive.read(f"{folder}/{key}"), dtype)
                storages[key] = _Storage(elements)
            return storages[key]

        return _TensorUnpickler(io.BytesIO(archive.read(pickled)), storage).load()


def _read_stream(file: io.BytesIO, size: int) -> Any:
    magic, _, machine = (ArrayUnpickler(file).load() for _ in range(3))
    if magic != _MAGIC or not machine["little_endian"]:
        raise pickle.UnpicklingError(
            "the file is not from PyTorch on a little-endian machine"
        )
    storages: dict[str, _Storage] = {}

    def storage(dtype, key, count):
        if count * dtype.itemsize > size:
            raise pickle.UnpicklingError("a storage is larger than the file")
        return storages.setdefault(key, _Storage(np.zeros(count, dtype)))

    found = _TensorUnpickler(file, storage).load()
    for key in ArrayUnpickler(file).load():  # the views exist before the elements
        elements = storages[key].elements
        count = int.from_bytes(file.read(8), "little")
        raw = file.read(count * elements.itemsize)
        elements[:] = np.frombuffer(raw, elements.dtype, len(elements))
    return found
