"""PyTorch's side of the comparison: a row's train step, compiled as asked."""

import resource
import time

import torch
from torch.utils.flop_counter import FlopCounterMode

from experiments.studies.speed import torch_steps
from experiments.studies.speed.rows import Row, Variant


def _count(network: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


class Side:
    """A train step, ready to be called. It is compiled at the first call."""

    steps_per_call = 1

    def __init__(self, row: Row, variant: Variant):
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        if variant.graph and self.device.type != "cuda":
            raise RuntimeError("a CUDA graph needs a GPU")
        self.variant = variant
        built = torch_steps.build(row, variant, self.device)
        self.step, self.networks = built.step, built.networks
        self.parameters = {name: _count(net) for name, net in self.networks.items()}
        self._captured = False

    def seconds(self, steps: int) -> float:
        """Take the steps and return their seconds; wait for the device at the end."""
        self._synchronize()
        started = time.perf_counter()
        if self.variant.graph and not self._captured:
            self.step, self._captured = torch_steps.captured(self.step), True
        for _ in range(steps):
            self.step()
        self._synchronize()
        return time.perf_counter() - started

    def _synchronize(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize()

    def about(self) -> dict:
        """Return versions and the device."""
        is_cuda = self.device.type == "cuda"
        versions = {"torch": torch.__version__}
        if is_cuda:
            versions["cuda"] = torch.version.cuda
            versions["cudnn"] = str(torch.backends.cudnn.version())
        name = torch.cuda.get_device_name() if is_cuda else "cpu"
        return {"versions": versions, "device": f"{self.device.type}: {name}"}

    def memory(self) -> dict:
        """Return peak bytes so far: of the device, and of this process."""
        host = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        if self.device.type != "cuda":
            return {"device": None, "host": host}
        return {
            "device": torch.cuda.max_memory_allocated(),
            "reserved": torch.cuda.max_memory_reserved(),
            "host": host,
        }

    def operations(self) -> float:
        """Return the operations of products and convolutions in an eager step."""
        with FlopCounterMode(display=False) as counter:
            self.step()
        return float(counter.get_total_flops())

    def finite(self) -> bool:
        """Return whether all parameters are finite numbers."""
        parameters = [p for net in self.networks.values() for p in net.parameters()]
        return all(bool(torch.isfinite(p).all()) for p in parameters)
