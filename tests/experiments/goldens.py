"""Golden values: the numbers that each recipe computes from a fixed seed.

    python tests/experiments/goldens.py CASE ...   computes these cases anew, or all,
                                                   into tests/vectors/goldens.json

Each case is a real recipe with a small network: the losses of three steps, four samples
and a hash of the names and shapes of its parameters. They change only with a commit
that means to change what is computed, and says so.
"""

import functools
import hashlib
import json
import os
import sys
from pathlib import Path

FILE = Path(__file__).parents[1] / "vectors" / "goldens.json"
STEPS, BATCH, SAMPLES, CLASSES = 3, 8, 4, 10

DIGIT, RING = (8, 8, 1), (2,)
UNET = {
    "network": "unet",
    "network.base_channels": 8,
    "network.channel_multipliers": 1,
    "network.blocks_per_level": 1,
    "network.attention_resolutions": (),
}
MLP = {"network": "mlp", "network.hidden": 8}
MAXOUT = {"generator.hidden": 8, "discriminator.hidden": 8, "z_dim": 4}
AUTOENCODER = {"network.hidden": 8, "z_dim": 2}
DCGAN = {"generator.base_channels": 4, "discriminator.base_channels": 4}
# case: (experiment, shape of x, shape of y if it is an image, the fields that differ)
CASES = {
    "ae": ("ae", DIGIT, (), AUTOENCODER),
    "vae": ("vae", DIGIT, (), AUTOENCODER),
    "vae_conv": (
        *("vae", DIGIT, ()),
        {
            "network": "conv",
            "network.base_channels": 4,
            "z_dim": 2,
            "draws": 2,
            "likelihood": "logistic",
            "kl_warmup_steps": 4,
        },
    ),
    "vae_ring": ("vae", RING, (), {**AUTOENCODER, "beta": 0.5}),
    "cvae": ("cvae", DIGIT, (), AUTOENCODER),
    "gan": ("gan", DIGIT, (), MAXOUT),
    "wgan": (
        *("gan", RING, ()),
        {
            **MAXOUT,
            "critic_turns": 3,
            "r1": 0,
            "gan_loss": "wasserstein",
            "clip_weights": 0.01,
            "shared_noise": True,
            "batch_size": 24,
        },
    ),
    "gan_mnist": ("gan_mnist", (28, 28, 1), (), MAXOUT),
    "cgan": (
        *("cgan", DIGIT, ()),
        {**DCGAN, "generator": "conv", "discriminator": "conv", "z_dim": 4},
    ),
    "cgan_mnist": (
        *("cgan_mnist", (28, 28, 1), ()),
        {
            "generator.z_hidden": 4,
            "generator.y_hidden": 4,
            "generator.hidden": 8,
            "z_dim": 4,
        },
    ),
    "dcgan": ("dcgan", (16, 16, 1), (), {**DCGAN, "z_dim": 4}),
    "dcgan_penalty": (
        *("dcgan", DIGIT, ()),
        {
            **DCGAN,
            "z_dim": 4,
            "discriminator.norm": "spectral",
            "gan_loss": "hinge",
            "gradient_penalty": 10,
            "r1": 1,
            "r1_every": 2,
        },
    ),
    "dcgan_radford": (
        "dcgan_radford",
        (64, 64, 3),
        (),
        {**DCGAN, "z_dim": 4},
    ),
    "ddpm": ("ddpm", DIGIT, (), {**UNET, "timesteps": 25, "network.dropout": 0.1}),
    "ddpm_hybrid": (
        *("ddpm", RING, ()),
        {
            **MLP,
            "timesteps": 25,
            "schedule": "cosine",
            "loss": "hybrid",
            "variance": "learned_range",
            "prediction": "v",
            "importance": True,
            "self_conditioning": True,
        },
    ),
    "ddpm_cifar10": (
        *("ddpm_cifar10", (32, 32, 3), ()),
        {**UNET, "timesteps": 25},
    ),
    "ddpm_conditional": ("ddpm_conditional", RING, (), {**MLP, "timesteps": 25}),
    "flow": ("flow", RING, (), MLP),
    "pix2pix": ("pix2pix", DIGIT, DIGIT, DCGAN),
    "pix2pix_l1": (
        *("pix2pix", DIGIT, DIGIT),
        {"generator.base_channels": 4, "discriminator": "none"},
    ),
    "pix2pix_facades": (
        *("pix2pix_facades", (256, 256, 3), (256, 256, 3)),
        {"generator.base_channels": 2, "discriminator.base_channels": 2},
    ),
}


def built(case: str):
    """The game of a case, and the function from a step to its batch."""
    import numpy as np

    from gen_jax import config as configs
    from gen_jax import experiment
    from gen_jax.data import Info

    name, shape, target, fields = CASES[case]
    recipe, config = experiment.find(name), experiment.find(name).config
    config = configs.override_all(config, [(f, str(x)) for f, x in fields.items()])
    size = fields.get("batch_size", BATCH)

    def batch(step):
        rng = np.random.default_rng(step)
        x = (rng.integers(0, 256, (size, *shape)) / 127.5 - 1).astype(np.float32)
        y = (rng.integers(0, 256, (size, *target)) / 127.5 - 1).astype(np.float32)
        return {"x": x, "y": y if target else np.arange(size, dtype=np.int32) % CLASSES}

    return recipe.build(config, Info(shape, 0 if target else CLASSES, target)), batch


def compute(case: str) -> dict:
    """Train the case's recipe for three steps, draw four samples; JSON-ready values."""
    import jax
    import jax.numpy as jnp
    import numpy as np

    from gen_jax import devices, make_train_step
    from gen_jax.game import averaged, init_state
    from gen_jax.step import sample_keys

    game, batch = built(case)
    state = init_state(game, jax.random.key(0), batch(0))
    step = make_train_step(game)
    losses = []
    for number in range(STEPS):
        state, metrics = step(state, batch(number), jax.random.key(0))
        losses.append({k: float(v) for k, v in sorted(metrics.items())})
    keys = sample_keys(0, jnp.arange(SAMPLES, dtype=jnp.int32))
    players = averaged(state.players)
    if CASES[case][2]:
        x = batch(9)["x"][:SAMPLES]
        drawn = devices.jit(game.ops.translate)(players, x, keys)
    else:
        options = {"sampling_steps": 3} if game.ops.sampling_options is not None else {}
        sample = functools.partial(game.ops.sample, **options)
        drawn = devices.jit(lambda p, k: sample(p, k))(players, keys)
    drawn = np.asarray(drawn)
    return {
        "losses": losses,
        "samples": [float(v) for v in _thinned(drawn)],
        "tree": _tree_hash({n: p[:2] for n, p in state.players.items()}),
    }


def _thinned(x):
    """At most 64 numbers of x, evenly spaced."""
    flat = x.reshape(-1)
    return flat[:: max(1, len(flat) // 64)][:64]


def _tree_hash(tree) -> str:
    import jax

    leaves, _ = jax.tree.flatten_with_path(tree)
    lines = [f"{jax.tree_util.keystr(k)} {x.dtype}{x.shape}" for k, x in leaves]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def main(cases: list[str]) -> None:
    """Write the cases into the file anew, and keep the others."""
    os.environ["JAX_PLATFORMS"] = "cpu"
    known = json.loads(FILE.read_text())
    for case in cases or CASES:
        known[case] = compute(case)
        print(case, known[case]["losses"][-1], file=sys.stderr, flush=True)
    FILE.write_text(json.dumps({case: known[case] for case in CASES}, indent=0) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
