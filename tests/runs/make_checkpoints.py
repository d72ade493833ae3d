"""Make the checkpoints that every later version has to read: one of each family.

    python tests/runs/make_checkpoints.py NAME ...   those of NAME, or all

Each is the run of a recipe with the smallest networks, after two steps, without its
logs, in an archive; `expected.npz` next to them holds what was read of it at once.
Those that are committed stay as they are: a new format gets archives of its own.
"""

import itertools
import os
import sys
import tarfile
import tempfile
from pathlib import Path

FOLDER = Path(__file__).parent / "checkpoints"
EXPECTED = FOLDER / "expected.npz"
FAMILIES = (
    *("ae", "vae", "cvae", "gan", "dcgan", "cgan", "pix2pix", "ddpm"),
    *("ddpm_conditional", "flow"),
)
SAMPLES = 3


def archive(name: str) -> Path:
    """The run of a family."""
    return FOLDER / f"{name}.tar.xz"


def unpacked(name: str, into: Path) -> Path:
    """The folder of a family's run."""
    with tarfile.open(archive(name)) as packed:
        packed.extractall(into, filter="data")
    return into / name


def make(name: str) -> None:
    """Train two steps, and keep what is needed to resume, to sample and to look."""
    from goldens import CASES, built

    from gen_jax import config as configs
    from gen_jax import experiment, fit
    from gen_jax.data import Info
    from gen_jax.runs.run import make_meta

    experiment_name, shape, target, fields = CASES[name]
    fields = {**fields, "steps": 2, "batch_size": 8, "sample_every_steps": 0}
    recipe = experiment.find(experiment_name)
    texts = [(field, str(value)) for field, value in fields.items()]
    config = configs.override_all(recipe.config, texts)
    info = Info(shape, 0 if target else 10, target)
    game, (_, batch) = recipe.build(config, info), built(name)
    meta = make_meta(experiment_name, config, info)
    batches = lambda start: map(batch, itertools.count(start))  # noqa: E731
    with tempfile.TemporaryDirectory() as temporary:
        run = Path(temporary) / name
        fit(game, batches, config, workdir=run, meta=meta)
        with tarfile.open(archive(name), "w:xz") as packed:
            for kept in ("config.json", "checkpoints"):
                packed.add(run / kept, f"{name}/{kept}", filter=_anonymous)


def _anonymous(member: tarfile.TarInfo) -> tarfile.TarInfo:
    member.uid = member.gid = member.mtime = 0
    member.uname = member.gname = ""
    return member


def read(name: str, folder: Path) -> dict:
    """What is read of a run: a few weights of each player, and a few samples."""
    import jax
    import numpy as np

    from gen_jax import averaged, load, load_params
    from gen_jax.sampling import call, draw
    from gen_jax.step import sample_keys

    found = {}
    for player, weights in load_params(folder).items():
        leaves = jax.tree.leaves(weights)
        flat = np.concatenate([np.ravel(leaf) for leaf in leaves]).astype(np.float64)
        found[f"{name}/{player}"] = np.array([len(flat), flat.sum(), *flat[:8]])
    run = load(folder)
    players = averaged(run.state.players)
    if run.game.ops.translate is not None:
        keys = sample_keys(0, np.arange(SAMPLES, dtype=np.int32))
        x = np.linspace(-1, 1, SAMPLES * 64, dtype=np.float32)
        inputs = {"x": x.reshape(SAMPLES, 8, 8, 1), "keys": keys}
        x = call(run.game.ops.translate, players, inputs)
    else:
        y = np.arange(SAMPLES, dtype=np.int32) if run.game.num_classes else None
        has_steps = run.game.ops.sampling_options is not None
        options = {"sampling_steps": 3} if has_steps else {}
        x = draw(run.game, players, SAMPLES, 0, y, **options)
    flat = np.asarray(x).reshape(-1)
    found[f"{name}/samples"] = flat[:: max(1, len(flat) // 48)]
    return found


def main(names: list[str]) -> None:
    """Make the runs, and write down what is read of them."""
    os.environ["JAX_PLATFORMS"] = "cpu"
    sys.path.append(str(Path(__file__).parents[1] / "experiments"))
    import numpy as np

    known = dict(np.load(EXPECTED)) if EXPECTED.exists() else {}
    FOLDER.mkdir(exist_ok=True)
    for name in names or FAMILIES:
        make(name)
        with tempfile.TemporaryDirectory() as temporary:
            known |= read(name, unpacked(name, Path(temporary)))
    np.savez(EXPECTED, **known)


if __name__ == "__main__":
    main(sys.argv[1:])
