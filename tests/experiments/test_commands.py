"""The commands, used as intended: their output and files."""

import io
import json
import shutil
import struct

import jax
import numpy as np
import optax
import pytest
import tensorflow_datasets as tfds
from command_line import SHRUNK, run, shrunk, succeed
from PIL import Image
from records import logged

from gen_jax import load, load_params
from gen_jax.runs.manifest import write_manifest

X = np.random.default_rng(0).integers(0, 256, (24, 8, 8, 1), np.uint8)
Y = np.arange(24) % 3


def written_npz(folder):
    np.savez(folder / "some.npz", x=X, y=Y)
    return [f"--data=npz:{folder / 'some.npz'}"]


def written_idx(folder):
    for name, array in (("images-idx3", X[..., 0]), ("labels-idx1", np.uint8(Y))):
        head = bytes([0, 0, 8, array.ndim]) + struct.pack(
            f">{array.ndim}i", *array.shape
        )
        (folder / f"train-{name}-ubyte").write_bytes(head + array.tobytes())
    return [f"--data=idx:{folder}"]


def written_folder(folder):
    for number, pixels in enumerate(X):
        (folder / str(Y[number])).mkdir(exist_ok=True)
        Image.fromarray(pixels[..., 0]).resize((12, 9)).save(
            folder / str(Y[number]) / f"{number}.png"
        )
    return [f"--data=folder:{folder}", "--config.data.image_size=8"]


class Specks(tfds.core.GeneratorBasedBuilder, skip_registration=True):
    """A TFDS dataset as a user would write it."""

    name = "specks"
    VERSION = tfds.core.Version("1.0.0")

    def _info(self):
        features = {
            "image": tfds.features.Image(shape=(8, 8, 1)),
            "label": tfds.features.ClassLabel(num_classes=3),
        }
        return tfds.core.DatasetInfo(
            builder=self, features=tfds.features.FeaturesDict(features)
        )

    def _split_generators(self, dl_manager):
        return {"train": self._generate_examples()}

    def _generate_examples(self):
        for number, (x, y) in enumerate(zip(X[..., 0], Y, strict=True)):
            file = io.BytesIO()
            Image.fromarray(x).save(file, "PNG")
            file.seek(0)
            yield number, {"image": file, "label": int(y)}


def written_tfds(folder):
    builder = Specks(data_dir=folder, file_format="array_record")
    builder.download_and_prepare()
    return ["--data=tfds:specks", f"--config.data.data_dir={folder}"]


def points(folder):
    return ["--data=ring"]


@pytest.mark.parametrize(
    "write", [written_npz, written_idx, written_folder, written_tfds, points]
)
def test_every_kind_of_data_trains_and_samples(write, tmp_path):
    data, workdir = tmp_path / "data", tmp_path / "run"
    data.mkdir()
    succeed("train", *shrunk("vae", 2), *write(data), f"--workdir={workdir}")
    assert len(logged(workdir)) == 2
    shutil.rmtree(data)  # the folder of the run is all that sampling needs
    out = tmp_path / "x.npy"
    succeed("sample", f"--workdir={workdir}", "--num=3", f"--out={out}")
    shape = (2,) if write is points else (8, 8, 1)
    assert np.load(out).shape == (3, *shape)
    assert min(pixels(workdir / "samples" / "2.png").shape[:2]) >= 256


def pixels(path):
    with Image.open(path) as picture:
        return np.asarray(picture)


@pytest.fixture(scope="module")
def vae(tmp_path_factory):
    """A shrunk VAE after six steps."""
    workdir = tmp_path_factory.mktemp("vae") / "run"
    succeed("train", *shrunk("vae", 6), f"--workdir={workdir}")
    return workdir


def drawn(workdir, *flags):
    out = workdir.parent / "drawn.npy"
    done = succeed("sample", f"--workdir={workdir}", f"--out={out}", *flags)
    assert done.stdout == f"{out}\n"
    return np.load(out)


def test_a_ddpm_is_sampled_in_every_way(tmp_path):
    unet, workdir = tmp_path / "unet", tmp_path / "run"
    succeed("train", *shrunk("ddpm", 4), f"--workdir={unet}")  # it draws too
    assert (unet / "samples" / "4.png").exists()
    _, *points = shrunk("flow", 4, timesteps=25)  # a flow's points compile fast
    succeed("train", "--experiment=ddpm", *points, f"--workdir={workdir}")
    four = drawn(workdir, "--num=4")
    # One more or less changes rounding alone.
    np.testing.assert_allclose(drawn(workdir, "--num=5")[:4], four, atol=1e-4)
    for flags in (["--sampler=ancestral"], ["--sampling_steps=3", "--eta=1"]):
        others = drawn(workdir, "--num=4", *flags)
        assert np.abs(others - four).max() > 0.01


class TestARun:
    """One run, and what can be done with it."""

    def test_is_sampled(self, vae, tmp_path):
        out = tmp_path / "x.png"
        succeed("sample", f"--checkpoint={vae / 'checkpoints' / '6'}", f"--out={out}")
        last = pixels(vae / "samples" / "6.png")
        assert min(last.shape[:2]) >= 256
        np.testing.assert_array_equal(pixels(out), last)  # the same seed and weights
        averaged = drawn(vae)
        assert len(averaged) == 64
        assert np.abs(drawn(vae, "--raw") - averaged).max() > 1e-4
        assert np.abs(drawn(vae, "--seed=1") - averaged).max() > 0.01

    def test_done_is_said_loudly(self, vae):
        before = sorted(path.stat().st_mtime_ns for path in vae.rglob("*"))
        done = succeed("train", f"--workdir={vae}")
        assert "already at step 6 of 6: nothing to do; raise steps" in done.stderr
        assert before == sorted(path.stat().st_mtime_ns for path in vae.rglob("*"))

    def test_another_run_begins_from_its_weights(self, vae, tmp_path):
        workdir = tmp_path / "next"
        flags = [f"--init_from={vae}", "--config.learning_rate=0", "--steps=2"]
        succeed("train", f"--workdir={workdir}", *flags)
        assert [r["step"] for r in logged(workdir)] == [1, 2]
        before, after = (load_params(run, ema=None) for run in (vae, workdir))
        jax.tree.map(np.testing.assert_array_equal, before, after)
        averages = load_params(workdir, ema=0)  # they begin from the weights too
        jax.tree.map(
            lambda x, y: np.testing.assert_allclose(x, y, atol=1e-6), before, averages
        )
        state = load(workdir).state  # Adam has seen two steps, not eight
        assert int(optax.tree.get(state.players["model"].opt, "count")) == 2
        # The same command continues the run; another start would be another run.
        done = succeed("train", f"--workdir={workdir}", *flags[:2], "--steps=3")
        assert "step 2" in done.stderr
        assert [r["step"] for r in logged(workdir)] == [1, 2, 3]
        done = run("train", f"--workdir={workdir}", f"--init_from={workdir}")
        assert (done.returncode, done.stderr.count("\n")) == (2, 1)
        assert f"disagrees with the run in {workdir}, which began from {vae}" in (
            done.stderr
        )
        done = run("train", f"--workdir={vae}", f"--init_from={vae}")
        assert (done.returncode, done.stderr.count("\n")) == (2, 1)
        assert "which began from random weights" in done.stderr

    def test_another_run_may_have_other_data_of_the_same_shape(self, vae, tmp_path):
        flags = (f"--init_from={vae}", "--config.data.spec=npz:x.npz", "--steps=1")
        x = np.random.default_rng(0).integers(0, 256, (40, 8, 8, 1), np.uint8)
        np.savez(tmp_path / "x.npz", x=x)
        succeed("train", "--workdir=next", *flags, cwd=tmp_path)
        assert [r["step"] for r in logged(tmp_path / "next")] == [1]
        seeds = ("--seeds=2", "--steps=1")
        succeed("train", "--workdir=two", flags[0], *seeds, cwd=tmp_path)
        for seed in (0, 1):
            assert load(tmp_path / "two" / f"seed_{seed}").step == 1

    @pytest.mark.parametrize(
        ("flags", "says"),
        [
            (["--resume=never"], "holds checkpoints, and --resume=never begins a new"),
            (["--experiment=dcgan"], "holds a run of vae, not of dcgan"),
            (["--seed=5"], "seed=5 disagrees with the run in"),
            (["--config.z_dim=16"], "z_dim=16 disagrees with the run in"),
            (["--data=ring"], "ring differs from the data that the run was trained on"),
        ],
    )
    def test_a_resumed_run_refuses_other_settings(self, vae, flags, says):
        before = sorted(path.stat().st_mtime_ns for path in vae.rglob("*"))
        done = run("train", f"--workdir={vae}", *flags)
        assert done.returncode == 2
        assert says in done.stderr
        assert done.stderr.count("\n") == 1
        assert before == sorted(path.stat().st_mtime_ns for path in vae.rglob("*"))

    def test_a_truncated_checkpoint_gives_way_to_the_one_before(self, vae, tmp_path):
        workdir = tmp_path / "copy"
        shutil.copytree(vae, workdir)
        succeed("train", f"--workdir={workdir}", "--steps=7")
        newest = workdir / "checkpoints" / "7"
        largest = max(newest.rglob("*"), key=lambda path: path.stat().st_size)
        largest.write_bytes(largest.read_bytes()[:-100])
        done = succeed("train", f"--workdir={workdir}", "--steps=8")
        assert "7 is damaged" in done.stderr
        assert "resuming from step 6" in done.stderr
        assert [r["step"] for r in logged(workdir)] == list(range(1, 9))
        assert (workdir / "damaged" / "7").is_dir()

    @pytest.mark.parametrize(
        "content",
        [
            '{"config": ',
            "[]",
            '{"config": 5, "info": 3, "experiment": 7}',
            '{"format": 99, "experiment": 7, "config": {"steps": "x"}, "batch": {}}',
        ],
    )
    def test_a_damaged_config_is_read_from_the_checkpoint(self, vae, content, tmp_path):
        shutil.copytree(vae, tmp_path / "copy")
        (tmp_path / "copy" / "config.json").write_text(content)
        done = succeed("train", f"--workdir={tmp_path / 'copy'}")
        assert "already at step 6 of 6" in done.stderr

    @pytest.mark.parametrize(
        ("field", "value", "says"),
        [
            ("steps", 7, None),
            ("learning_rate", 9.0, "it has learning_rate=0.001, and config.json 9.0"),
            ("z_dim", 3, "it has z_dim=2, and config.json 3"),
        ],
    )
    def test_an_edited_config_changes_only_fields_that_a_flag_may(
        self, vae, tmp_path, field, value, says
    ):
        shutil.copytree(vae, tmp_path / "copy")
        edited = json.loads((vae / "config.json").read_text())
        edited["config"][field] = value
        (tmp_path / "copy" / "config.json").write_text(json.dumps(edited))
        done = run("train", f"--workdir={tmp_path / 'copy'}", "--dry_run")
        assert done.returncode == (2 if says else 0)
        assert (says or f"{field} = {value}") in done.stdout + done.stderr

    def test_another_run_begins_from_the_checkpoint_before_a_damaged_one(
        self, vae, tmp_path
    ):
        broken, workdir = tmp_path / "broken", tmp_path / "next"
        shutil.copytree(vae, broken)
        shutil.copytree(broken / "checkpoints" / "6", broken / "checkpoints" / "9")
        (broken / "checkpoints" / "9" / "meta.json").write_text("[]")
        flags = (f"--workdir={workdir}", f"--init_from={broken}", "--steps=1")
        done = succeed("train", *flags)
        assert "9 is damaged" in done.stderr
        assert [r["step"] for r in logged(workdir)] == [1]

    def test_another_run_names_the_player_that_does_not_fit(self, vae, tmp_path):
        for flag in ("--data=ring", "--config.z_dim=3"):
            flags = (f"--workdir={tmp_path / 'next'}", f"--init_from={vae}", flag)
            done = run("train", *flags)
            assert (done.returncode, done.stderr.count("\n")) == (2, 1)
            assert f"error: --init_from={vae}: " in done.stderr
            assert "'model'" in done.stderr
            assert not (tmp_path / "next").exists()

    def test_a_damaged_run_cannot_be_sampled(self, vae, tmp_path):
        workdir = tmp_path / "copy"
        shutil.copytree(vae, workdir)
        for path in (workdir / "checkpoints" / "6" / "state").rglob("*"):
            if path.is_file():
                path.write_bytes(b"")
        done = run("sample", f"--workdir={workdir}", f"--out={tmp_path / 'x.png'}")
        assert done.returncode == 2
        assert done.stderr.count("\n") == 1
        assert "cannot be read" in done.stderr


def test_a_run_notices_that_its_data_have_changed(tmp_path):
    data, workdir = tmp_path / "data", tmp_path / "run"
    data.mkdir()
    flags = shrunk("vae", 2, checkpoint_every_seconds=0)
    succeed("train", *flags, *written_folder(data), f"--workdir={workdir}")
    (data / "1" / "4.png").unlink()
    before = sorted(path.stat().st_mtime_ns for path in workdir.rglob("*"))
    done = run("train", f"--workdir={workdir}", "--steps=4")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "differs from the data that the run was trained on" in done.stderr
    assert before == sorted(path.stat().st_mtime_ns for path in workdir.rglob("*"))
    new = f"--workdir={tmp_path / 'new'}", f"--init_from={workdir}"
    succeed("train", *new, "--steps=3")  # the way out that it names
    newest = workdir / "checkpoints" / "2"  # as an older version would have left it
    (newest / "manifest.json").unlink()
    meta = json.loads((newest / "meta.json").read_text())
    del meta["data"]
    (newest / "meta.json").write_text(json.dumps(meta))
    write_manifest(newest)
    assert "step 2" in succeed("train", f"--workdir={workdir}", "--steps=4").stderr


def test_a_conditional_model_draws_the_class_it_is_asked_for(tmp_path):
    workdir, out = tmp_path / "run", tmp_path / "x.npy"
    succeed("train", *shrunk("cvae", 4), f"--workdir={workdir}")

    def sample(*flags):
        succeed("sample", f"--workdir={workdir}", f"--out={out}", "--num=20", *flags)
        return np.load(out)

    succeed("sample", f"--workdir={workdir}")  # 64, of which 60 make whole rows
    shown = pixels(workdir / "samples.png")
    np.testing.assert_array_equal(shown, pixels(workdir / "samples" / "4.png"))
    assert shown.shape[0] * 91 == shown.shape[1] * 55  # 6 rows and 10 columns of 8 + 1
    every, threes = sample(), sample("--label=3")
    assert every.shape == threes.shape == (20, 8, 8, 1)
    np.testing.assert_allclose(every[[3, 13]], threes[[3, 13]], atol=1e-6)
    assert np.abs(every[4] - threes[4]).max() > 1e-4
    for flags, says in (
        (["--label=10"], "The classes are 0, 1, 2, 3, 4, 5, 6, 7, 8, 9"),
        (["--guidance=1"], "--guidance does not apply"),
        ([f"--input={tmp_path}"], "--input does not apply to this model"),
    ):
        done = run("sample", f"--workdir={workdir}", *flags)
        assert (done.returncode, done.stderr.count("\n")) == (2, 1)
        assert says in done.stderr


def test_a_translator_takes_held_out_pictures_or_ones_own(tmp_path):
    workdir, own = tmp_path / "run", tmp_path / "own"
    succeed("train", *shrunk("pix2pix", 2), f"--workdir={workdir}")
    own.mkdir()
    for name, side in (("a.png", 30), ("b.jpg", 12)):
        Image.new("RGB", (side, 20), (side, 90, 30)).save(own / name)
    out = tmp_path / "x.npy"
    succeed("sample", f"--workdir={workdir}", "--num=5", f"--out={out}")
    assert np.load(out).shape == (5, 8, 8, 1)
    succeed("sample", f"--workdir={workdir}", f"--input={own}")
    with Image.open(workdir / "samples.png") as picture:
        assert picture.width >= 256
    done = run("sample", f"--workdir={workdir}", "--label=1")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "--label does not apply to a model that translates" in done.stderr


def test_list_dry_run_and_help(tmp_path):
    listed = succeed("train", "--list").stdout
    assert [line.split()[0] for line in listed.splitlines()] == [
        *("ae", "cgan", "cgan_mnist", "cvae", "dcgan", "dcgan_radford", "ddpm"),
        *("ddpm_cifar10", "ddpm_conditional", "flow", "gan", "gan_mnist", "pix2pix"),
        *("pix2pix_facades", "vae"),
    ]
    dry = run("train", "--experiment=ddpm_cifar10", "--dry_run", cwd=tmp_path)
    assert dry.returncode == 0
    assert "model: 35,746,307 parameters" in dry.stdout
    assert "batch: x float32 [128, 32, 32, 3]" in dry.stdout
    dry = run("train", "--experiment=pix2pix_facades", "--dry_run", cwd=tmp_path)
    assert dry.returncode == 0, dry.stderr
    assert f"data: pairs:{tmp_path}/facades is not there; shapes are" in dry.stdout
    assert "batch: y float32 [1, 256, 256, 3]" in dry.stdout
    flags = ("--experiment=vae", "--dry_run", "--steps=9", "--config.z_dim=3")
    first, *rest = succeed("train", *flags).stdout.splitlines()
    assert first == "experiment: vae"
    assert [line.strip() for line in rest[:2]] == [
        "steps = 9  (recipe: 5000)",
        "z_dim = 3  (recipe: 20)",
    ]
    for name in (
        "train",
        "sample",
        "figures",
        "import_weights",
        "benchmark",
        "compare",
    ):
        done = succeed(name, "--help")
        assert "--experiment" in done.stdout or "--workdir" in done.stdout
        assert done.stderr == ""
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", SHRUNK)
@pytest.mark.slow
def test_every_experiment_trains_on_four_devices(name, tmp_path):
    env = {"XLA_FLAGS": "--xla_force_host_platform_device_count=4", "PJRT_NPROC": "16"}
    flags = shrunk(name, 4)
    for backend in ("jit", "pmap"):
        workdir = f"--workdir={tmp_path / backend}"
        succeed("train", *flags, workdir, f"--backend={backend}", env=env)
    jit, pmap = (logged(tmp_path / backend) for backend in ("jit", "pmap"))
    for one, other in zip(jit, pmap, strict=True):
        np.testing.assert_allclose([*one.values()], [*other.values()], rtol=1e-4)
