"""Pairs of an encoder and a decoder, for `ae`, `vae` and `cvae`.

To add a pair, write its fields as a dataclass with a method `build`, and name it in
`AUTOENCODERS`. It is then chosen by `--config.network=NAME`, and each of its fields is
set by `--config.network.FIELD=VALUE`.
"""

import dataclasses
from typing import ClassVar, Protocol

import flax.linen as nn

from gen_jax.config import within
from gen_jax.models import autoencoder, mlp

Shape = tuple[int, ...]
Pair = tuple[nn.Module, nn.Module]


class Autoencoder(Protocol):
    """The fields of both networks, and how they are built."""

    def build(
        self, shape: Shape, z_dim: int, heads: tuple[str, ...], num_classes: int
    ) -> Pair:
        """Return the encoder and the decoder.

        shape: the decoder's output for one example.
        heads: names of the encoder's outputs, each [B, z_dim].
        num_classes: of the labels; 0 without labels.
        """


@dataclasses.dataclass(frozen=True)
class Mlp:
    """Multilayer perceptrons for data of any shape.

    hidden: widths of the encoder's hidden layers; the decoder has them in reverse.
    """

    hidden: tuple[int, ...] = within(1, None, default=(500,))

    def build(
        self, shape: Shape, z_dim: int, heads: tuple[str, ...], num_classes: int
    ) -> Pair:
        """Return the encoder and the decoder."""
        return (
            mlp.MlpEncoder(z_dim, self.hidden, heads, num_classes),
            mlp.MlpDecoder(shape, self.hidden[::-1], num_classes),
        )


@dataclasses.dataclass(frozen=True)
class Conv:
    """Convolutional networks. base_channels: channels at half the image's size."""

    needs: ClassVar = ("images",)

    base_channels: int = within(1, None, default=32)

    def build(
        self, shape: Shape, z_dim: int, heads: tuple[str, ...], num_classes: int
    ) -> Pair:
        """Return the encoder and the decoder."""
        return (
            autoencoder.ConvEncoder(z_dim, self.base_channels, heads, num_classes),
            autoencoder.ConvDecoder(shape, self.base_channels, num_classes),
        )


AUTOENCODERS = {"mlp": Mlp, "conv": Conv}
