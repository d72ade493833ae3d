"""Weights out of pickles, PyTorch's among them, without running what is in them.

A pickle is a program that may call anything. Here it can call what makes arrays, and
nothing else; PyTorch is not needed.

PyTorch's `torch.save` writes a pickle whose tensors are views of storages, named in it
and kept beside it: since 1.6 in a zip, uncompressed,

    NAME/data.pkl  NAME/data/KEY  ...

and before that in one stream: three pickles (a magic number, a version, the machine's
kind), that of the tensors, that of the storages' keys, then for each key the number of
elements in 8 bytes and the elements.
"""

import collections
import io
import math
import pickle
import zipfile
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

_RECONSTRUCT = np.zeros(0).__reduce__()[0]  # where NumPy keeps these is not public
_FROM_BUFFER = np.zeros(0).__reduce_ex__(5)[0]
_MAKES_ARRAYS = {  # an array is pickled as a call of these
    ("numpy.core.multiarray", "_reconstruct"): _RECONSTRUCT,  # before NumPy 2
    ("numpy._core.multiarray", "_reconstruct"): _RECONSTRUCT,
    ("numpy.core.numeric", "_frombuffer"): _FROM_BUFFER,  # from protocol 5 on
    ("numpy._core.numeric", "_frombuffer"): _FROM_BUFFER,
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
}
_MAGIC = 0x1950A86A20F9469CFC6C  # of PyTorch's stream
_ZIP = b"PK\x03\x04"


class ArrayUnpickler(pickle.Unpickler):
    """Reads containers, numbers, strings and numpy arrays, and refuses the rest."""

    def find_class(self, module: str, name: str):
        """The one of numpy's makers of arrays that is meant.

        Raises pickle.UnpicklingError for anything else.
        """
        if (module, name) not in _MAKES_ARRAYS:
            raise pickle.UnpicklingError(f"{module}.{name} is no numpy array")
        return _MAKES_ARRAYS[module, name]


class _Storage(NamedTuple):
    """What tensors are views of. An object of its own: a pickle cannot make one."""

    elements: np.ndarray


class _TensorUnpickler(pickle.Unpickler):
    """Reads containers, numbers, strings and tensors on storages, and no more."""

    def __init__(self, file: io.BytesIO, storage: Callable[[Any, str, int], _Storage]):
        """storage: (dtype, key, number of elements) -> the storage."""
        super().__init__(file)
        self._storage = storage

    def find_class(self, module: str, name: str):
        """A maker of tensors, or what says what a storage holds."""
        if (module, name) not in _MAKES_TENSORS:
            raise pickle.UnpicklingError(f"{module}.{name} is no tensor")
        return _MAKES_TENSORS[module, name]

    def persistent_load(self, pid: Any) -> _Storage:
        """The storage that a tensor is a view of."""
        _, dtype, key, _, count, *_ = pid
        if not isinstance(dtype, np.dtype) or not _whole(count):
            raise pickle.UnpicklingError("a storage of an unknown kind")
        return self._storage(dtype, key, count)


def _tensor(storage: _Storage, offset, shape, strides, *_) -> np.ndarray:
    """A view of a storage, none of it outside."""
    if not all(map(_whole, (offset, *shape, *strides))) or len(shape) != len(strides):
        raise pickle.UnpicklingError("a tensor's shape is none")
    elements = storage.elements
    last = offset + sum((n - 1) * step for n, step in zip(shape, strides, strict=True))
    if math.prod(shape) and last >= len(elements):
        raise pickle.UnpicklingError("a tensor reaches beyond its storage")
    steps = tuple(step * elements.itemsize for step in strides)
    return np.lib.stride_tricks.as_strided(elements[offset:], shape, steps)


def _parameter(tensor: np.ndarray, *_) -> np.ndarray:
    """A trainable tensor, here as any other."""
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
    """What a pickle of containers and numpy arrays holds.

    Raises pickle.UnpicklingError for what is no such array, and for a damaged pickle
    that or whatever else `pickle.load` may raise.
    """
    return ArrayUnpickler(io.BytesIO(content)).load()


def is_torch(content: bytes) -> bool:
    """Whether PyTorch wrote this, by how it begins."""
    return content.startswith((_ZIP, pickle.dumps(_MAGIC, 2)))


def read_torch(content: bytes) -> Any:
    """What `torch.save` wrote, float32 and int64 tensors as numpy arrays.

    Raises pickle.UnpicklingError for anything that is no tensor, and for damage that,
    what `zipfile` raises or whatever else `pickle.load` may.
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
        raise pickle.UnpicklingError("PyTorch did not write this, or a big-endian one")
    storages: dict[str, _Storage] = {}

    def storage(dtype, key, count):
        if count * dtype.itemsize > size:
            raise pickle.UnpicklingError("a storage is larger than the file")
        return storages.setdefault(key, _Storage(np.zeros(count, dtype)))

    found = _TensorUnpickler(file, storage).load()
    for key in ArrayUnpickler(file).load():  # they are filled after they are viewed
        elements = storages[key].elements
        count = int.from_bytes(file.read(8), "little")
        raw = file.read(count * elements.itemsize)
        elements[:] = np.frombuffer(raw, elements.dtype, len(elements))
    return found
