"""Whole train steps in PyTorch, as a good user of it would write them.

The batch is on the device as uint8, random numbers are drawn there, and nothing waits
for the device. Adam is fused, averages are one `torch._foreach_lerp_`, and a
discriminator gets no gradients in the generator's turn. Two simplifications favour
PyTorch: the learning rate and the average have no warm-up.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812  its usual name

from experiments.studies.speed import torch_models, torch_pix2pix
from experiments.studies.speed.rows import Row, Variant

_T = 1000  # steps of the diffusion


class TrainStep(NamedTuple):
    """A step without arguments, and its networks by gen_jax's names of the players."""

    step: Callable[[], Any]
    networks: dict[str, nn.Module]


def networks(row: Row) -> dict[str, nn.Module]:
    """Return the row's networks by the names of gen_jax's players."""
    side, _, channels = row.shape
    if row.family == "vae":
        return {"model": torch_models.Vae(side**2 * channels, row.width, row.z_dim)}
    if row.family == "ddpm":
        sizes = channels, side, row.width, row.multipliers, row.attention, row.dropout
        return {"model": torch_models.DdpmUNet(*sizes)}
    if row.family == "gan":
        generator = torch_models.DcganGenerator(side, channels, row.width, row.z_dim)
        discriminator = torch_models.DcganDiscriminator(side, channels, row.width)
    else:
        generator = torch_pix2pix.UNet(side, channels, row.width, row.dropout)
        discriminator = torch_pix2pix.PatchGan(channels, row.width)
    return {"generator": generator, "discriminator": discriminator}


def set_precision(variant: Variant) -> None:
    """Allow or forbid TF32 in products and convolutions; let cuDNN measure its own."""
    tf32 = variant.precision == "tf32"
    torch.set_float32_matmul_precision("high" if tf32 else "highest")
    torch.backends.cuda.matmul.allow_tf32 = tf32
    torch.backends.cudnn.allow_tf32 = tf32
    torch.backends.cudnn.benchmark = True


def build(row: Row, variant: Variant, device: torch.device) -> TrainStep:
    """Return the row's train step on the device, not yet compiled or captured."""
    set_precision(variant)
    layout = torch.channels_last if variant.channels_last else torch.contiguous_format
    mine = {
        name: net.to(device, memory_format=layout).train()
        for name, net in networks(row).items()
    }
    build_step: dict[str, Callable[..., Callable[[], Any]]]
    build_step = {"vae": _vae, "ddpm": _ddpm, "gan": _gan, "pix2pix": _pix2pix}
    tools = _Tools(row, variant, device, layout)
    step = build_step[row.family](row, tools, **mine)
    return TrainStep(step, mine)


def captured(step: Callable[[], Any]) -> Callable[[], None]:
    """Return a function that replays the whole step as one CUDA graph."""
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(4):  # compiles, and lets cuDNN choose its kernels
            step()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        step()
    return graph.replay


class _Tools:
    """The device, the layout and the compiler that a variant asks for."""

    def __init__(
        self,
        row: Row,
        variant: Variant,
        device: torch.device,
        layout: torch.memory_format,
    ):
        self.row, self.variant, self.device, self.layout = row, variant, device, layout

    def images(self) -> torch.Tensor:
        """Return random images uint8 [B, C, H, W] on the device."""
        height, width, channels = self.row.shape
        shape = self.row.batch, channels, height, width
        x = torch.randint(0, 256, shape, dtype=torch.uint8, device=self.device)
        return x.contiguous(memory_format=self.layout)

    def compiled(self, function: Callable) -> Callable:
        mode = self.variant.compile
        if mode == "none":
            return function
        return torch.compile(function, mode=mode, dynamic=False)

    def autocast(self) -> torch.autocast:
        return torch.autocast(
            self.device.type, torch.bfloat16, enabled=self.variant.bf16
        )

    def begin(self) -> None:
        """Tell the CUDA graphs of torch.compile that a new step begins."""
        if self.variant.compile == "reduce-overhead" and self.device.type == "cuda":
            torch.compiler.cudagraph_mark_step_begin()

    def learner(self, net: nn.Module, averages: bool = True) -> "_Learner":
        return _Learner(net, self.row, self.device.type == "cuda", averages)


class _Learner:
    """A network's optimizer and average."""

    def __init__(self, net: nn.Module, row: Row, is_cuda: bool, averages: bool):
        self.params, self.clip_norm = list(net.parameters()), row.clip_norm
        self.optimizer = torch.optim.Adam(
            self.params,
            lr=row.learning_rate,
            betas=(row.b1, 0.999),
            fused=True,
            capturable=is_cuda,
        )
        # gen_jax averages BatchNorm's statistics too; `frequencies` are constants.
        buffers = [b for name, b in net.named_buffers() if "running" in name]
        self.weights = self.params + buffers
        self.average = [w.detach().clone() for w in self.weights]
        self.rate = 1 - 2 ** (-row.batch / row.halflife) if row.halflife else 0.0
        if not averages:
            self.rate = 0.0

    def update(self, loss: torch.Tensor) -> None:
        loss.backward()
        if self.clip_norm:
            nn.utils.clip_grad_norm_(self.params, self.clip_norm)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        if self.rate:
            with torch.no_grad():
                torch._foreach_lerp_(self.average, self.weights, self.rate)


def floats(x: torch.Tensor) -> torch.Tensor:
    """Convert uint8 [...] to float32 in [-1, 1]."""
    return x.float() / 127.5 - 1.0


def _vae(row: Row, tools: _Tools, model: nn.Module) -> Callable[[], Any]:
    learner, images = tools.learner(model), tools.images()

    @tools.compiled
    def loss_of(images):
        eps = torch.randn(1, row.batch, row.z_dim, device=tools.device)
        with tools.autocast():
            return -model(floats(images).flatten(1), eps).mean()

    def step():
        tools.begin()
        learner.update(loss_of(images))

    return step


def _ddpm(row: Row, tools: _Tools, model: nn.Module) -> Callable[[], Any]:
    learner, images = tools.learner(model), tools.images()
    betas = torch.linspace(1e-4, 0.02, _T, dtype=torch.float64)
    alpha_bar = torch.cat([torch.ones(1), torch.cumprod(1 - betas, 0)])
    signal = alpha_bar.sqrt().float().to(tools.device)
    noise = (1 - alpha_bar).sqrt().float().to(tools.device)

    @tools.compiled
    def loss_of(images):
        x = floats(images)
        if row.flip:
            flips = torch.rand(len(x), 1, 1, 1, device=x.device) < 0.5
            x = torch.where(flips, x.flip(-1), x)
        t = torch.randint(1, _T + 1, (len(x),), device=x.device)
        eps = torch.randn_like(x)
        x_t = signal[t][:, None, None, None] * x + noise[t][:, None, None, None] * eps
        with tools.autocast():
            out = model(x_t, t)
        return F.mse_loss(out.float(), eps)

    def step():
        tools.begin()
        learner.update(loss_of(images))

    return step


def _d_loss(real: torch.Tensor, fake: torch.Tensor) -> torch.Tensor:
    return F.softplus(-real.float()).mean() + F.softplus(fake.float()).mean()


def _g_loss(fake: torch.Tensor) -> torch.Tensor:
    return F.softplus(-fake.float()).mean()


def _gan(
    row: Row, tools: _Tools, generator: nn.Module, discriminator: nn.Module
) -> Callable[[], Any]:
    """Draw other noise in each turn, as the recipe does."""
    images = tools.images()
    learners = tools.learner(generator), tools.learner(discriminator, averages=False)

    def noise():
        return torch.randn(row.batch, row.z_dim, device=tools.device)

    @tools.compiled
    def d_loss_of(images):
        with tools.autocast():
            with torch.no_grad():
                x_fake = generator(noise())
            return _d_loss(discriminator(floats(images)), discriminator(x_fake))

    @tools.compiled
    def g_loss_of():
        with tools.autocast():
            return _g_loss(discriminator(generator(noise())))

    def step():
        tools.begin()
        discriminator.requires_grad_(True)
        learners[1].update(d_loss_of(images))
        discriminator.requires_grad_(False)
        learners[0].update(g_loss_of())

    return step


def _pix2pix(
    row: Row, tools: _Tools, generator: nn.Module, discriminator: nn.Module
) -> Callable[[], Any]:
    """Translate once a step: both turns see the same output, as the recipe's do."""
    images, targets = tools.images(), tools.images()
    learners = tools.learner(generator), tools.learner(discriminator, averages=False)

    @tools.compiled
    def translate(images):
        with tools.autocast():
            return generator(floats(images))

    @tools.compiled
    def d_loss_of(images, targets, y_hat):
        x, y = floats(images), floats(targets)
        with tools.autocast():
            return _d_loss(discriminator(x, y), discriminator(x, y_hat)) / 2

    @tools.compiled
    def g_loss_of(images, targets, y_hat):
        x, y = floats(images), floats(targets)
        with tools.autocast():
            adversarial = _g_loss(discriminator(x, y_hat))
        return adversarial + 100.0 * F.l1_loss(y_hat.float(), y)

    def step():
        tools.begin()
        y_hat = translate(images)
        discriminator.requires_grad_(True)
        learners[1].update(d_loss_of(images, targets, y_hat.detach()))
        discriminator.requires_grad_(False)
        learners[0].update(g_loss_of(images, targets, y_hat))

    return step
