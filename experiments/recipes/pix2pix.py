"""pix2pix (Isola et al. 2017): images to images, by a U-Net and a PatchGAN.

    python -m experiments.train --experiment=pix2pix --workdir=runs/p2p --data=pairs:DIR
    python -m experiments.sample --workdir=runs/p2p --input=FILE_OR_DIR --out=x.png

On digits, two busy CPU cores, 49 s: from 4x4 pixels to 8x8, most held-out digits are
restored. The L1 distance of held-out digits is 0.173 [0.167, 0.18]. The discriminator
wins early, and the generator then learns from the L1 loss.

Trees behind leaves: `--data=branches --config.discriminator.patch=16
--config.l1_weight=300 --config.ema_halflife_images=2000 --config.flip=true
--batch_size=4 --steps=5000`. For L1 alone, `--config.discriminator=none` replaces the
patch. The two took 19 and 20 minutes on two CPU cores with other work.
`experiments.evaluate`, 200 held-out trees, one training of each. IoU and recall are of
pixels behind leaves:

                    IoU     recall   joined F1   same count   LPIPS (AlexNet)
    pix2pix         0.556   0.669    0.595       0.030        0.041
    L1 alone        0.545   0.636    0.565       0.020        0.051
    the input       0       0        0.097       0

Joined: pairs of pixels that belong to one branch graph, in the target and in the
output. Of the target's pairs pix2pix keeps 0.491 (L1: 0.445). Of the pairs that it
draws 0.787 are true (L1: 0.815), since it draws more. Same count: the output has as
many parts as the target, which is too rare to tell the two apart. With the paper's
patches and `--config.l1_weight=100` it found more pixels (recall 0.652, L1 0.597) in
less exact places (IoU 0.513, L1 0.523).

Colour to drawings, 1,755 pairs of OpenMoji at 64x64, 220 held out: `--data=pairs:DIR
--config.data.image_size=64 --config.data.direction=b_to_a
--config.discriminator.patch=16 --config.l1_weight=300 --config.flip=true
--config.jitter=6 --config.ema_halflife_images=2000 --batch_size=4 --steps=6000`. For L1
alone, `--config.discriminator=none` replaces the patch. The two took 29 and 21 minutes
on two CPU cores with other work. `experiments.evaluate`, averaged weights, one training
of each:

                    LPIPS (AlexNet)  LPIPS (VGG)   L1      SSIM
    pix2pix         0.0372           0.0428        0.0586  0.898
    L1 alone        0.0387           0.0444        0.0599  0.899
    pair by pair    -0.0015          -0.0015       -0.0013
    95 % interval   +-0.0005         +-0.0007      +-0.0002

At 3000 steps LPIPS is 0.0419 and 0.0431 (AlexNet). pix2pix is closer to the target than
L1 alone in 77 % of the pairs then, and in 80 % at 6000.

From drawings to colour pix2pix is worse than L1 alone. Its LPIPS is 0.119 at best, that
of L1 alone 0.116 (5000 steps, `--config.l1_weight=500`, averages). With the paper's 100
they are 0.131 and 0.113. D makes colours vivid, but a drawing does not determine its
colours, and the one tan of L1 is closer on average.

More training does not change that: twice the width, batches of 16 and 110 epochs on an
NVIDIA H100 (`--config.generator.base_channels=64
--config.discriminator.base_channels=64 --config.discriminator.patch=16
--config.flip=true --config.jitter=6 --config.ema_halflife_images=4000 --batch_size=16`,
and the paper's weight of L1, 100). pix2pix reached 0.1225 after 12,265 steps and 93 s.
L1 alone reached 0.1128 after 12,030 steps and 76 s.

The paper translates Cityscapes' labels to photographs. A segmentation network labels
0.66 of their pixels correctly, and 0.42 with L1 alone. `pix2pix_facades` is the paper's
recipe for facades, not run.
"""

import dataclasses

import flax.linen as nn

from gen_jax.config import choice, nested, within
from gen_jax.data import DataConfig, Info, PairsConfig
from gen_jax.experiment import Experiment, RunConfig
from gen_jax.game import Game
from gen_jax.models import patchgan, unet
from gen_jax.objectives.pix2pix import pix2pix
from gen_jax.optimizers import adam, halflives

_LAYERS = {1: 0, 16: 1, 70: 3, 286: 5}  # patch in pixels -> strided convolutions


@dataclasses.dataclass(frozen=True)
class UNet:
    """The generator, whose depth follows the images' shape.

    base_channels: of the first layer; 64 in the paper. dropout: also its noise.
    """

    base_channels: int = within(1, None, default=32)
    dropout: float = within(0, 0.99, default=0.5)

    def build(self, info: Info) -> nn.Module:
        """Return the generator of targets of this shape."""
        channels = info.target_shape[-1]
        return unet.UNet(out_channels=channels, **dataclasses.asdict(self))


@dataclasses.dataclass(frozen=True)
class PatchGan:
    """The discriminator of patches.

    base_channels: of the first layer; 64 in the paper.
    patch: side in pixels; None for 70, or 16 if the images are smaller than 32.
    """

    base_channels: int = within(1, None, default=32)
    patch: int | None = choice(_LAYERS, default=None)

    def build(self, info: Info) -> nn.Module:
        """Return the discriminator of images of this shape."""
        patch = self.patch or (70 if min(info.shape[:2]) >= 32 else 16)
        return patchgan.PatchGan(self.base_channels, _LAYERS[patch])


@dataclasses.dataclass(frozen=True)
class NoDiscriminator:
    """The paper's baseline: a generator that has the L1 loss alone."""

    def build(self, info: Info) -> None:
        """Return None."""


GENERATORS = {"unet": UNet}
DISCRIMINATORS = {"patchgan": PatchGan, "none": NoDiscriminator}


@dataclasses.dataclass(frozen=True)
class Config(RunConfig):
    """The paper's recipe, with networks of half the width, for two CPU cores.

    ema_halflife_images: half-life of the generator's average; 0 for none, as in the
        paper.
    """

    data: DataConfig = dataclasses.field(
        default_factory=lambda: DataConfig(task="low_resolution")
    )
    batch_size: int = 1
    steps: int = 10_000
    sample_every_steps: int = 2_000
    generator: UNet = nested(GENERATORS, default="unet")
    discriminator: PatchGan | NoDiscriminator = nested(
        DISCRIMINATORS, default="patchgan"
    )
    l1_weight: float = within(0, None, default=100.0)
    learning_rate: float = within(0, None, default=2e-4)
    b1: float = within(0, 0.999, default=0.5)
    ema_halflife_images: float = within(0, None, default=0.0)


def build_game(config: Config, info: Info) -> Game:
    """Return the game of the generator and, unless it is `none`, the discriminator."""
    optimizer = adam(config.learning_rate, b1=config.b1)
    return pix2pix(
        config.generator.build(info),
        config.discriminator.build(info),
        l1_weight=config.l1_weight,
        generator_optimizer=optimizer,
        discriminator_optimizer=optimizer,
        ema_halflife_images=halflives(config.ema_halflife_images),
    )


EXPERIMENT = Experiment(
    Config(),
    build_game,
    needs=("pairs",),
    about="pix2pix, Isola et al. 2017, pairs of images",
)

FACADES = Experiment(
    Config(
        data=PairsConfig("pairs:facades", image_size=256, direction="b_to_a"),
        steps=80_000,  # 200 epochs of 400 pairs
        flip=True,
        jitter=30,
        generator=UNet(base_channels=64),
        discriminator=PatchGan(base_channels=64),
    ),
    build_game,
    shape=(256, 256, 3),
    needs=("pairs",),
    about="pix2pix, Isola et al. 2017, labels to facades (not run here)",
)
