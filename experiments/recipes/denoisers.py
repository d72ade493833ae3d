"""Networks that denoise, for `ddpm`, `ddpm_conditional` and `flow`.

To add a network, write its fields as a dataclass with a method `build`, and name it in
`DENOISERS`. It is then chosen by `--config.network=NAME`, and each of its fields is set
by `--config.network.FIELD=VALUE`.
"""

import dataclasses
from typing import ClassVar, Protocol

import flax.linen as nn

from gen_jax.config import within
from gen_jax.data import Info
from gen_jax.errors import UserError
from gen_jax.models import ddpm_unet, mlp


class Denoiser(Protocol):
    """The fields of a network, and how it is built.

    A class attribute `needs` names properties of the data that it requires, such as
    ("images",).
    """

    def build(self, info: Info, num_classes: int, out_channels: int) -> nn.Module:
        """Return a module (x_t [B, ...], t [B], y [B], keys [B]) -> [B, ..., out].

        num_classes: of the labels; 0 if the network ignores them.
        out_channels: size of the output's last axis.
        """


@dataclasses.dataclass(frozen=True)
class UNet:
    """The U-Net of Ho et al. (2020), narrow enough to train on a CPU in minutes.

    channel_multipliers: of base_channels, one for each level.
    attention_resolutions: heights of the feature maps that have attention; None for
        the lowest level.
    groups: maximum number of groups of a GroupNorm; a group has at least 4 channels.
    """

    needs: ClassVar = ("images",)

    base_channels: int = within(2, None, default=32)
    channel_multipliers: tuple[int, ...] = within(1, None, default=(1, 2), min_length=1)
    blocks_per_level: int = within(1, 1000, default=2)
    attention_resolutions: tuple[int, ...] | None = None
    dropout: float = within(0, 0.99, default=0.0)
    groups: int = within(1, None, default=32)

    def build(self, info: Info, num_classes: int, out_channels: int) -> nn.Module:
        """Return the U-Net for images of this shape."""
        return ddpm_unet.UNet(
            base_channels=self.base_channels,
            channel_multipliers=self.channel_multipliers,
            blocks_per_level=self.blocks_per_level,
            attention_resolutions=self._attention(info.shape[0]),
            dropout=self.dropout,
            groups=self.groups,
            out_channels=out_channels,
            num_classes=num_classes,
        )

    def _attention(self, height: int) -> tuple[int, ...]:
        """Return the heights of the feature maps with attention."""
        heights = [height // 2**level for level in range(len(self.channel_multipliers))]
        if self.attention_resolutions is None:
            return (heights[-1],)
        if unknown := set(self.attention_resolutions) - set(heights):
            raise UserError(
                f"network.attention_resolutions={min(unknown)}: the feature maps' "
                f"heights are {', '.join(map(str, heights))}"
            )
        return self.attention_resolutions


@dataclasses.dataclass(frozen=True)
class Mlp:
    """A network for points. hidden: widths of the hidden layers."""

    needs: ClassVar = ("points",)

    hidden: tuple[int, ...] = within(1, None, default=(256, 256, 256))

    def build(self, info: Info, num_classes: int, out_channels: int) -> nn.Module:
        """Return the MLP for points [B, D]."""
        return mlp.TimeMlp(
            hidden=self.hidden, out_dim=out_channels, num_classes=num_classes
        )


@dataclasses.dataclass(frozen=True)
class Auto:
    """The network that suits the data: a U-Net for images, an MLP for points."""

    def for_data(self, info: Info) -> Denoiser:
        """Return the network, with its default values."""
        return UNet() if len(info.shape) == 3 else Mlp()


DENOISERS = {"auto": Auto, "unet": UNet, "mlp": Mlp}
