"""DDPM with labels and classifier-free guidance (Ho & Salimans 2022).

    python -m experiments.train --experiment=ddpm_conditional --workdir=runs/cond
    python -m experiments.sample --workdir=runs/cond --label=3 --guidance=2

On digits, two busy CPU cores, 326 s (98 s if nothing else runs).
`experiments.evaluate`, 818 samples (DDIM, 50 steps, w = 0.25), features of a classifier
of digits: Fréchet distance 2.41 [2, 2.81] (between halves of the real images 1.16). The
classifier, which is right on 99 % of held-out digits, agrees with the requested label
on 97.9 % [96.7, 98.8]. Recall is 0.72 [0.68, 0.77] and diversity 0.94 [0.91, 0.96],
means over classes, compared with 0.87 and 1.00 of real digits. Other values of the
guidance, from another training and 500 or 1000 samples; the recall of real digits
was 0.84 and 0.88:

    w              0      0.25   0.5    1
    agreement      94.2   98.0   99.2   99.9 %
    recall         0.83   0.75   0.69   0.50
    diversity      1.00   0.93   0.88   0.80

On Fashion-MNIST (`--config.network=unet --config.network.base_channels=64
--config.ema_halflife_images=50000 --steps=5000`), 141 s on an NVIDIA H100 that ran two
other trainings too. The course shows its samples, which were not measured.

CIFAR-10 (re-encoded as JPEG, a folder), an NVIDIA H100, TF32, 12,580 steps of the
paper's 35.7 million parameters, 520 s and about 100 s of starting:

    --data=folder:DIR --config.flip=true --config.network=unet
    --config.network.base_channels=128 --config.network.channel_multipliers=1,2,2,2
    --config.network.attention_resolutions=16 --config.learning_rate=3e-4
    --config.warmup_steps=500 --config.ema_halflife_images=200000

`experiments.evaluate --samples=5000`, w = 0.25, features of a classifier that is right
on only 68 % of the test images: Fréchet distance 0.56 [0.44, 0.69] (between halves of
the real images 0.25), precision 0.81, recall 0.83 (0.82, 0.81). The classifier agrees
with the requested label on 63 % [60, 66]. The bound on 32 test images is 3.25 [3.18,
3.32] bits/dim. The README shows samples with w = 1.5.

The paper reports FIDs of ImageNet at 64 and 128 pixels, with w from 0 to 4.
"""

import dataclasses

from experiments.recipes import ddpm
from gen_jax.config import within
from gen_jax.data import Info
from gen_jax.errors import UserError
from gen_jax.experiment import Experiment
from gen_jax.game import Game


@dataclasses.dataclass(frozen=True)
class Config(ddpm.Config):
    """The DDPM's fields, and how labels are used.

    label_dropout: fraction of training labels that are withheld.
    guidance: default w of the samples.
    """

    label_dropout: float = within(0, 0.99, default=0.1)
    guidance: float = within(0, 100, default=0.25, may_change_on_resume=True)


def build_game(config: Config, info: Info) -> Game:
    """Return the DDPM with labels.

    Raises UserError for guidance if the model is never trained without labels.
    """
    if config.guidance and not config.label_dropout:
        raise UserError(
            f"guidance={config.guidance} needs a label_dropout above 0: guidance "
            "compares with the output without a label, which label_dropout teaches"
        )
    return ddpm.build_game(
        config,
        info,
        info.num_classes,
        guidance=config.guidance,
        label_dropout=config.label_dropout,
    )


EXPERIMENT = Experiment(
    Config(),
    build_game,
    needs=("labels",),
    about="DDPM with labels and guidance, Ho & Salimans 2022, labelled data",
)
