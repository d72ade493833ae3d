"""Generators and discriminators, for `gan`, `dcgan` and `cgan`.

To add a network, write its fields as a dataclass with a method `build`, and name it in
a table below. It is then chosen by `--config.generator=NAME` or
`--config.discriminator=NAME`, and each of its fields is set by
`--config.generator.FIELD=VALUE`.
"""

import dataclasses
from typing import ClassVar, Protocol

import flax.linen as nn

from gen_jax.config import choice, within
from gen_jax.data import Info
from gen_jax.models import dcgan, maxout


class Network(Protocol):
    """The fields of a generator or a discriminator, and how it is built."""

    def build(self, info: Info, num_classes: int) -> nn.Module:
        """Return the module, in the form that `objectives.gan.gan` calls.

        num_classes: of the labels; 0 without labels.
        """


@dataclasses.dataclass(frozen=True)
class MlpGenerator:
    """An MLP for data of any shape. hidden: widths of its layers."""

    hidden: tuple[int, ...] = within(1, None, default=(256, 256))

    def build(self, info: Info, num_classes: int) -> nn.Module:
        """Return the generator, which ignores labels."""
        return maxout.Generator(shape=info.shape, hidden=self.hidden)


@dataclasses.dataclass(frozen=True)
class MaxoutDiscriminator:
    """A maxout network for data of any shape.

    hidden: maxout units of each layer. pieces: linear functions of each unit.
    dropout: of the hidden layers. dropout_x: of the inputs.
    init_limit: the first weights are uniform on [-init_limit, init_limit].
    """

    hidden: tuple[int, ...] = within(1, None, default=(128, 128))
    pieces: int = within(1, None, default=3)
    dropout: float = within(0, 0.99, default=0.5)
    dropout_x: float = within(0, 0.99, default=0.2)
    init_limit: float = within(0, None, default=0.05)

    def build(self, info: Info, num_classes: int) -> nn.Module:
        """Return the discriminator, which ignores labels."""
        return maxout.Discriminator(**dataclasses.asdict(self))


@dataclasses.dataclass(frozen=True)
class ConvGenerator:
    """The DCGAN's generator, whose depth follows the images' shape.

    base_channels: of the last hidden layer. kernel: in pixels; 5 in the paper.
    """

    needs: ClassVar = ("images",)

    base_channels: int = within(1, None, default=32)
    kernel: int = within(2, None, default=4)

    def build(self, info: Info, num_classes: int) -> nn.Module:
        """Return the generator for images of this shape."""
        fields = dataclasses.asdict(self)
        return dcgan.Generator(shape=info.shape, num_classes=num_classes, **fields)


@dataclasses.dataclass(frozen=True)
class ConvDiscriminator:
    """The DCGAN's discriminator, whose depth follows the images' shape.

    base_channels: of the first layer. kernel: in pixels; 5 in the paper.
    norm: normalisation between the layers.
    """

    needs: ClassVar = ("images",)

    base_channels: int = within(1, None, default=32)
    kernel: int = within(2, None, default=4)
    norm: str = choice(dcgan.NORMS, default="batch")

    def build(self, info: Info, num_classes: int) -> nn.Module:
        """Return the discriminator."""
        return dcgan.Discriminator(num_classes=num_classes, **dataclasses.asdict(self))


GENERATORS = {"mlp": MlpGenerator, "conv": ConvGenerator}
DISCRIMINATORS = {"maxout": MaxoutDiscriminator, "conv": ConvDiscriminator}


@dataclasses.dataclass(frozen=True)
class LabelledMlpGenerator:
    """The generator of Mirza & Osindero (2014), for data of any shape.

    z_hidden, y_hidden: widths of the layers that read z and the label.
    hidden: widths of the layers that follow. dropout: of all these layers.
    """

    z_hidden: int = within(1, None, default=200)
    y_hidden: int = within(1, None, default=1000)
    hidden: tuple[int, ...] = within(1, None, default=(1200,))
    dropout: float = within(0, 0.99, default=0.5)

    def build(self, info: Info, num_classes: int) -> nn.Module:
        """Return the generator for labelled data."""
        fields = dataclasses.asdict(self)
        return maxout.Generator(shape=info.shape, num_classes=num_classes, **fields)


@dataclasses.dataclass(frozen=True)
class LabelledMaxoutDiscriminator(MaxoutDiscriminator):
    """The discriminator of Mirza & Osindero (2014), for data of any shape.

    x_hidden, y_hidden: maxout units of the layers that read x and the label;
    `hidden` are those of the layers that follow.
    """

    x_hidden: int = within(1, None, default=240)
    y_hidden: int = within(1, None, default=50)
    hidden: tuple[int, ...] = (240,)
    pieces: int = 4
    dropout_x: float = 0.0

    def build(self, info: Info, num_classes: int) -> nn.Module:
        """Return the discriminator for labelled data."""
        fields = dataclasses.asdict(self)
        return maxout.Discriminator(num_classes=num_classes, **fields)


@dataclasses.dataclass(frozen=True)
class AutoGenerator:
    """The generator that suits the data: `conv` for images, `mlp` for points."""

    def for_data(self, info: Info) -> Network:
        """Return the generator, with its default values."""
        return ConvGenerator() if len(info.shape) == 3 else LabelledMlpGenerator()


@dataclasses.dataclass(frozen=True)
class AutoDiscriminator:
    """The discriminator that suits the data: `conv` for images, `maxout` for points."""

    def for_data(self, info: Info) -> Network:
        """Return the discriminator, with its default values."""
        is_image = len(info.shape) == 3
        return ConvDiscriminator() if is_image else LabelledMaxoutDiscriminator()


LABELLED_GENERATORS = {
    "auto": AutoGenerator,
    "mlp": LabelledMlpGenerator,
    "conv": ConvGenerator,
}
LABELLED_DISCRIMINATORS = {
    "auto": AutoDiscriminator,
    "maxout": LabelledMaxoutDiscriminator,
    "conv": ConvDiscriminator,
}
