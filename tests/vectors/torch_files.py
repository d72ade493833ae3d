"""Files of weights as `torch.save` wrote them before PyTorch 1.6, without PyTorch.

The pickle is put together from protocol 0, which is text: GLOBAL c, MARK (, TUPLE t,
UNICODE V, INT I, REDUCE R, PERSID Q, DICT d, SETITEM s, STOP.
"""

import math
import pickle

import numpy as np
from vectors.torch_layout import Arrays

_STORAGES = {"float32": "FloatStorage", "int64": "LongStorage"}


def pickled(arrays: Arrays, parameters: bool = False) -> bytes:
    """The pickle of {name: tensor}, each on a storage of its own, named by its place.

    parameters: whether the tensors are `nn.Parameter`s.
    """
    parts = ["(d"]
    for key, (name, array) in enumerate(arrays.items()):
        value = _tensor(key, array)
        if parameters:
            value = f"ctorch._utils\n_rebuild_parameter\n({value}I00\n{_HOOKS}tR"
        parts += [f"V{name}\n", value, "s"]
    return "".join([*parts, "."]).encode()


_HOOKS = "ccollections\nOrderedDict\n(tR"


def _tensor(key: int, array: np.ndarray) -> str:
    storage = f"(Vstorage\nctorch\n{_STORAGES[str(array.dtype)]}\n"
    storage += f"V{key}\nVcpu\nI{array.size}\ntQ"
    strides = [math.prod(array.shape[n + 1 :]) for n in range(array.ndim)]
    sizes = _tuple(array.shape) + _tuple(strides)
    return f"ctorch._utils\n_rebuild_tensor_v2\n({storage}I0\n{sizes}I00\n{_HOOKS}tR"


def _tuple(numbers) -> str:
    return "".join(["(", *(f"I{n}\n" for n in numbers), "t"])


def streamed(arrays: Arrays, content: bytes | None = None) -> bytes:
    """The file of PyTorch before 1.6. content: the tensors' pickle, if another."""
    machine = {"protocol_version": 1001, "little_endian": True, "type_sizes": {}}
    keys = list(map(str, range(len(arrays))))
    head = [pickle.dumps(x, 2) for x in (0x1950A86A20F9469CFC6C, 1001, machine)]
    parts = [*head, content or pickled(arrays), pickle.dumps(keys, 2)]
    for array in arrays.values():
        parts += [array.size.to_bytes(8, "little"), array.tobytes()]
    return b"".join(parts)
