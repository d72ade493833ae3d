"""Mistakes: one line on standard error, exit code 2, and nothing written or lost."""

import dataclasses
import os
import subprocess
from functools import partial

import jax
import numpy as np
import pytest
from command_line import ROOT, command, environment, run, shrunk, succeed
from games import mean_game

from gen_jax import FitConfig, experiment, fit
from gen_jax import config as configs
from gen_jax.data import DataConfig, Info, describe, prepared_like
from gen_jax.errors import UserError
from gen_jax.game import init_state

GOOD = np.random.default_rng(0).integers(0, 256, (12, 8, 8, 1), np.uint8)
VAE = "--experiment=vae"
LARGE = ["--data=branches", "--config.data.image_size=256"]


def fails(name, *flags, says, **options):
    """Runs a command that has to end with one line and exit code 2."""
    done = run(name, *flags, **options)
    assert done.returncode == 2, done.stderr
    errors = done.stderr.splitlines()
    assert len(errors) == 1, done.stderr
    assert errors[0].startswith("error: ")
    assert says in errors[0]


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (["--experiment=dcgam"], "no experiment 'dcgam'. Did you mean dcgan?"),
        ([], "--experiment=NAME is needed; there are: ae, cgan"),
        ([VAE, "--stesp=5"], "no flag --stesp. Did you mean --steps?"),
        ([VAE, "--backend=tpu"], "should be one of <jit|pmap>"),
        ([VAE, "--steps=nan"], "flag --steps=nan is not a whole number"),
        ([VAE, "--steps=0"], "steps=0 is out of range: at least 1"),
        ([VAE, "--seeds=0"], "--seeds=0: 0 is not an integer in the range [1, 1000]"),
        ([VAE, "--seeds=2", f"--seed={2**32 - 1}"], "seed=4294967296 is out of range"),
        ([VAE, "--config.z_dmi=3"], "Did you mean z_dim?"),
        (
            [VAE, "--config.network=conv", "--config.network.hidden=7"],
            "network=conv has no field 'hidden'; to set it, add --config.network=mlp",
        ),
        ([VAE, "--config.z_dim"], "--config.z_dim needs a value"),
        ([VAE, "digits"], "stray argument 'digits'"),
        ([VAE, "--", "stray"], "stray argument 'stray'"),
        ([VAE, "--devices=0"], "--devices=0; allowed here: 1 to 1"),
        ([VAE, "--batch_size=100000000"], "out of range: at most 1048576"),
        (
            [VAE, "--config.network.hidden=1000000000"],
            "out of memory: the state takes 2,8",
        ),
        (
            ["--experiment=pix2pix", "--batch_size=1048576", *LARGE],
            "out of memory: a batch takes 1,024.0 GiB",
        ),
        ([VAE, "--config.microbatches=3"], "a batch of 128 is not divisible by 3"),
        ([VAE, "--data=digit"], "Did you mean digits?"),
        ([VAE, "--config.data.direction=b_to_a"], "has no field 'data.direction'"),
        ([VAE, "--data=folder:nowhere"], "nowhere: there is no such folder"),
        ([VAE, "--data=idx:."], "holds no train-images-idx3-ubyte"),
        ([VAE, "--data=npz:nothing.npz"], "there is no such file"),
        ([VAE, "--data=tfds:mnits"], "Did you mean mnist"),
        (
            ["--experiment=pix2pix", "--config.discriminator.patch=70"],
            "8x8 are too small for",
        ),
        ([VAE, "--init_from=elsewhere"], "elsewhere does not exist"),
        ([VAE, "--workdir=gs://b/run"], "--workdir=gs://b/run is a URL"),
        ([VAE, f"--workdir={'n' * 300}"], "cannot be made: File name too long"),
        ([VAE, "--workdir=~nobody-here/x"], "--workdir=~nobody-here/x: there is no s"),
        ([VAE, "--resume=elsewhere"], "should be one of <auto|never>"),
        (["--experiment="], "--experiment=NAME is needed; there are: ae, cgan"),
        ([VAE, "--data="], "unknown dataset ''. There are: branches, digits"),
    ],
)
def test_training(flags, says, tmp_path):
    fails("train", "--workdir=run", *flags, says=says, cwd=tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("name", "fields", "says"),
    [
        ("dcgan", {"data.spec": "ring"}, "this recipe needs images; ring has none"),
        ("dcgan", {"data.image_size": "4"}, "4x4 are too small"),
        ("dcgan", {"r1": "1"}, "BatchNorm mixes the images"),
        ("ddpm_cifar10", {"data.spec": "digits"}, "of shape \\(32, 32, 3\\)"),
        ("cgan", {"data.spec": "branches"}, "this recipe needs labels"),
        ("vae", {"data.spec": "branches"}, "branches has pairs of images, which this"),
        ("pix2pix", {"data.task": ""}, "this recipe needs pairs"),
        ("pix2pix", {"discriminator.patch": "7"}, r"r\.patch=7 is not one of 1, 16"),
        ("ddpm", {"network": "unte"}, "network=unte is not one of auto, unet, mlp"),
        ("ddpm", {"network": "mlp"}, "network=mlp is for points; digits has none"),
        (
            *("ddpm", {"network.groups": "8"}),
            r"auto has no field 'groups'; to set it, add --config\.network=unet$",
        ),
        ("flow", {"network.gruops": "8"}, r"Did you mean network\.groups\?"),
        (
            *("ddpm", {"network.groups": "0", "network": "unet"}),
            r"network\.groups=0 is out of range: at least 1",
        ),
        (
            *("pix2pix", {"discriminator.patch": "16", "discriminator": "none"}),
            r"discriminator=none has no field 'patch'; to set it, add",
        ),
        ("ddpm", {"loss": "hybrid"}, "needs variance=learned_range"),
        (
            *("ddpm", {"network.attention_resolutions": "5", "network": "unet"}),
            "heights are 8, 4",
        ),
        ("ddpm", {"timesteps": "20"}, "use more than 20 steps"),
        ("ddpm", {"betas": "0.1"}, "give two betas, the first and the last"),
    ],
)
def test_an_invalid_model_is_refused(name, fields, says):
    recipe = experiment.find(name)
    with pytest.raises(UserError, match=says):
        built(recipe, fields)


def built(recipe, fields):
    """The shapes of the first state of a recipe with other fields."""
    config = configs.override_all(recipe.config, fields.items())
    info = describe(config.data)
    game, batch = recipe.build(config, info), prepared_like(info, 2)
    return jax.eval_shape(partial(init_state, game), jax.random.key(0), batch)


def test_a_batch_divides_by_the_devices(tmp_path):
    env = {"XLA_FLAGS": "--xla_force_host_platform_device_count=4", "PJRT_NPROC": "16"}
    for backend in ("jit", "pmap"):
        flags = [VAE, f"--backend={backend}", "--batch_size=6", "--workdir=run"]
        fails("train", *flags, says="is not divisible by", cwd=tmp_path, env=env)
    assert not list(tmp_path.iterdir())


def test_an_invalid_workdir_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    fails("train", VAE, says="--workdir=DIR is needed", cwd=tmp_path)
    fails("train", VAE, "--workdir=file", says="is a file", cwd=tmp_path)
    flags = [*shrunk("vae", 2), "--workdir=/proc/run"]
    fails("train", *flags, says="/proc/run cannot be made: ", cwd=tmp_path)


@pytest.mark.parametrize(
    ("arrays", "says"),
    [
        ({"y": np.zeros(12, np.int64)}, "holds y; it needs x"),
        ({"x": GOOD[..., 0, 0]}, "x is uint8 [12, 8]"),
        ({"x": GOOD, "y": np.zeros(5, np.int64)}, "y is int64 [5]"),
        ({"x": GOOD, "y": np.full(12, -7)}, "label -7 of example 0 is out of range"),
        ({"x": GOOD.astype(np.float64)}, "x is float64 [12, 8, 8, 1]"),
    ],
)
def test_an_npz_file(arrays, says, tmp_path):
    np.savez(tmp_path / "a.npz", **arrays)
    flags = [VAE, "--data=npz:a.npz", "--workdir=run"]
    fails("train", *flags, says=says, cwd=tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["a.npz"]


def test_a_broken_image(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "torn.png").write_bytes(b"\x89PNG\r\n\x1a\nand no more")
    flags = [VAE, "--data=folder:data", "--workdir=run"]
    fails("train", *flags, says="torn.png", cwd=tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        ([], "--workdir=DIR is needed"),
        (["--workdir=run"], "run does not exist"),
        (["--workdir=."], "holds no checkpoint"),
        (["--workdir=.", "--num=0"], "num"),
        (["--workdir=.", "--seed=4294967296"], "[0, 4294967295]"),
        (
            ["--workdir=.", "--config.z_dim=3"],
            "--config.z_dim does not apply",
        ),
        (["--workdir=.", "--nmu=3"], "Did you mean --num?"),
    ],
)
def test_sampling(flags, says, tmp_path):
    fails("sample", *flags, says=says, cwd=tmp_path)
    assert not list(tmp_path.iterdir())


def test_sampling_a_run(tmp_path):
    succeed("train", *shrunk("vae", 2), "--workdir=run", cwd=tmp_path)
    (tmp_path / "folder.png").mkdir()
    for flag, says in (
        ("--sampler=ddim", "--sampler does not apply"),
        ("--out=x.jpg", "--out=x.jpg: name a file that ends in .png or .npy"),
        ("--out=nowhere/x.png", "there is no folder"),
        ("--out=folder.png", "--out=folder.png is a folder"),
    ):
        fails("sample", "--workdir=run", flag, says=says, cwd=tmp_path)
    assert not (tmp_path / "run" / "samples.png").exists()


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("vae", {"network": "conv"}),
        ("cvae", {"likelihood": "bernoulli"}),
        ("ae", {"likelihood": "logistic"}),
        ("cgan", {"generator": "conv"}),
        ("cgan", {"discriminator": "conv"}),
        ("ddpm", {"network": "unet"}),
        ("flow", {"network": "unet"}),
    ],
)
def test_options_for_images_are_refused_for_points(name, fields):
    recipe, [(field, value)] = experiment.find(name), fields.items()
    points = dataclasses.replace(recipe.config, data=DataConfig("ring"))
    recipe.build(points, Info((2,), 8))
    recipe.build(configs.override(recipe.config, field, value), Info((8, 8, 1), 10))
    with pytest.raises(UserError, match=f"{field}={value} is for images; ring has no"):
        recipe.build(configs.override(points, field, value), Info((2,), 8))


@pytest.mark.parametrize(
    "name", [name for name in experiment.names() if not experiment.find(name).shape]
)
def test_an_empty_list_is_refused_or_builds_a_game(name):
    """hidden=() is a linear network; a U-Net needs a level."""
    recipe = experiment.find(name)
    config = experiment.settled(recipe.config, describe(recipe.config.data))
    for path, value in configs.flat(config).items():
        if not isinstance(value, tuple):
            continue
        if path == "network.channel_multipliers":
            with pytest.raises(
                UserError, match=r"=\(\) is too short: at least 1 in the list"
            ):
                configs.override(config, path, "()")
            continue
        assert jax.tree.leaves(built(recipe._replace(config=config), {path: "()"}))


def test_a_run_of_a_game_of_ones_own(tmp_path):
    def batches(start):
        while True:
            yield {"x": np.ones(8, np.float32)}

    fit(mean_game(), batches, FitConfig(steps=1), workdir=tmp_path)
    for name in ("train", "sample"):
        fails(name, f"--workdir={tmp_path}", says="with your own game")


def test_a_disk_that_takes_no_more(tmp_path):
    flags = [VAE, "--steps=9", "--workdir=run"]
    # As a quota would: no file may grow over 100 KiB.
    limited = ["bash", "-c", 'ulimit -f 100; exec "$@"', "-", *command("train", *flags)]
    # JAX leaves torn entries in a cache it cannot write, and warns of them ever after.
    env = environment(JAX_COMPILATION_CACHE_DIR=str(tmp_path / "cache"))
    done = subprocess.run(
        limited, cwd=tmp_path, env=env, capture_output=True, text=True
    )
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    line = done.stderr.splitlines()[-1]
    assert line.startswith("error: a checkpoint could not be written (")
    succeed("train", *flags, cwd=tmp_path)  # nothing is in the way


def test_a_reader_that_has_read_enough_hears_of_no_error():
    line = ["bash", "-c", 'exec 3< <(exec "$@"; :); exec 3<&-; wait $!', "-"]
    done = subprocess.run(
        [*line, *command("train", "--list")],
        env=environment(),
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (141, "")


def test_a_broken_plugin_does_not_end_the_list(tmp_path):
    info = tmp_path / "stranger-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: stranger\nVersion: 1\n"
    )
    (info / "entry_points.txt").write_text("[gen_jax.experiments]\nthe = their:X\n")
    path = {"PYTHONPATH": f"{ROOT}{os.pathsep}{tmp_path}"}
    lines = succeed("train", "--list", env=path).stdout.splitlines()
    [line] = [line for line in lines if line.startswith("the ")]
    assert "(package stranger) cannot be imported: ModuleNotFoundError" in line
    assert any(line.startswith("vae ") for line in lines)
