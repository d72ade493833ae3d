"""Weights from pickles, including PyTorch's, read without running code in them.

A pickle is a program that may call any function. Here it can call the functions that
make arrays, and nothing else. PyTorch is not needed. Callers compare the content's
SHA-256 with the published one first, so it is not searched for damage here.

PyTorch's `torch.save` wrote one stream before version 1.6. It begins with three
pickles: a magic number, a version and the machine's kind. Then come the pickle of the
tensors, which are views of named storages, and that of the storages' names. For each
name follow the number of elements, in 8 bytes, and the elements.
"""

import collections
import io
import pickle
from typing import Any, NamedTuple

import numpy as np

Shape = tuple[int, ...]

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


class _ArrayUnpickler(pickle.Unpickler):
    """An unpickler of containers, numbers, strings and numpy arrays only."""

    def find_class(self, module: str, name: str) -> Any:
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

    def __init__(self, file: io.BytesIO):
        """Begin without storages."""
        super().__init__(file)
        self.storages: dict[str, _Storage] = {}

    def find_class(self, module: str, name: str) -> Any:
        """Return a constructor of tensors, or the dtype of a storage."""
        if (module, name) not in _MAKES_TENSORS:
            raise pickle.UnpicklingError(
                f"{module}.{name} is not a tensor: the pickle is refused"
            )
        return _MAKES_TENSORS[module, name]

    def persistent_load(self, pid: Any) -> _Storage:
        """Return the storage that a tensor is a view of; its elements come later."""
        _, dtype, key, _, count, *_ = pid
        return self.storages.setdefault(key, _Storage(np.zeros(count, dtype)))


def _tensor(
    storage: _Storage, offset: int, shape: Shape, strides: Shape, *_: Any
) -> np.ndarray:
    """Return a view of a storage; strides count elements."""
    elements = storage.elements
    steps = tuple(step * elements.itemsize for step in strides)
    return np.lib.stride_tricks.as_strided(elements[offset:], shape, steps)


def _parameter(tensor: np.ndarray, *_: Any) -> np.ndarray:
    """Return a trainable tensor, which is treated like any other."""
    return tensor


_MAKES_TENSORS = {  # a tensor is pickled as a call of these
    ("torch", "FloatStorage"): np.dtype("<f4"),
    ("torch", "LongStorage"): np.dtype("<i8"),
    ("torch._utils", "_rebuild_tensor_v2"): _tensor,
    ("torch._utils", "_rebuild_parameter"): _parameter,
    ("collections", "OrderedDict"): collections.OrderedDict,
}


def read_arrays(content: bytes) -> Any:
    """Read a pickle of containers and numpy arrays [...].

    Raises pickle.UnpicklingError if it calls anything else.
    """
    return _ArrayUnpickler(io.BytesIO(content)).load()


def read_torch(content: bytes) -> dict[str, np.ndarray]:
    """Read a file by `torch.save` before 1.6: tensors [...] by name, as numpy arrays.

    Raises pickle.UnpicklingError if it calls anything but constructors of tensors.
    """
    file = io.BytesIO(content)
    for _ in range(3):  # the magic number, the version and the machine's kind
        _ArrayUnpickler(file).load()
    unpickler = _TensorUnpickler(file)
    tensors = unpickler.load()
    for key in _ArrayUnpickler(file).load():
        elements = unpickler.storages[key].elements
        count = int.from_bytes(file.read(8), "little")
        raw = file.read(count * elements.itemsize)
        elements[:] = np.frombuffer(raw, elements.dtype)
    return tensors
