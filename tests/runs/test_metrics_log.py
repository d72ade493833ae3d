import io
import itertools
import json
import struct
import time
import types

import numpy as np
import pytest
from PIL import Image
from tensorboardX.proto.event_pb2 import Event, SessionLog

from gen_jax.runs import metrics_log
from gen_jax.runs.metrics_log import MetricsLog, Progress, short_losses


def records(folder):
    lines = (folder / "metrics.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


def events(folder):
    """Events of all files in the order of TensorBoard, by the framing of TFRecord."""
    found = []
    for path in sorted(folder.glob("events.out.tfevents.*")):
        data = path.read_bytes()
        while data:
            (size,) = struct.unpack("<Q", data[:8])
            found.append(Event.FromString(data[12 : 12 + size]))
            data = data[16 + size :]
    return found


def logged(folder, steps, resume_step=0):
    log = MetricsLog(folder, resume_step)
    for step in steps:
        seconds = 0.5 * (step - resume_step)  # a new process counts from nought
        log.write(step, 64 * step, seconds, {"model/loss": 1 / step})
    return log


def test_a_line_a_step(tmp_path):
    log = logged(tmp_path / "new", [1, 2])
    assert len(records(tmp_path / "new")) == 2  # readable while the run goes on
    log.close()
    assert records(tmp_path / "new") == [
        {"step": 1, "images": 64, "model/loss": 1.0, "seconds": 0.5},
        {"step": 2, "images": 128, "model/loss": 0.5, "seconds": 1.0},
    ]


def test_a_value_that_is_not_finite_is_null(tmp_path):
    log = MetricsLog(tmp_path)
    values = {"a": np.float32("nan"), "b": float("inf"), "c": np.float32(0.5)}
    log.write(1, 64, 0.0, values)
    log.close()
    record = records(tmp_path)[0]
    assert [record[name] for name in "abc"] == [None, None, 0.5]
    assert "NaN" not in (tmp_path / "metrics.jsonl").read_text()


def test_a_resumed_file_ends_as_one_that_never_stopped(tmp_path):
    logged(tmp_path / "straight", [10, 20, 30, 40]).close()
    broken = logged(tmp_path / "resumed", [10, 20, 30])
    broken.flush()
    with (tmp_path / "resumed" / "metrics.jsonl").open("a") as file:
        file.write('{"step": 40, "imag')  # killed in mid-write
    logged(tmp_path / "resumed", [30, 40], resume_step=20).close()
    broken.close()
    assert records(tmp_path / "resumed") == records(tmp_path / "straight")
    names = {path.name.partition(".")[0] for path in (tmp_path / "resumed").iterdir()}
    assert names == {"metrics", "events"}  # no temporary file


def test_a_whole_line_without_its_end_is_torn_too(tmp_path):
    (tmp_path / "metrics.jsonl").write_text('{"step": 1}\n{"step": 2}')
    logged(tmp_path, [2], resume_step=2).close()
    assert [record["step"] for record in records(tmp_path)] == [1, 2]


def test_tensorboard_gets_scalars_and_pictures(tmp_path):
    log = logged(tmp_path, [5])
    picture = np.random.default_rng(0).integers(0, 256, (6, 9, 3), np.uint8)
    log.image(5, picture)
    log.close()
    header, _, scalars, image = events(tmp_path)
    assert header.file_version == "brain.Event:2"
    assert scalars.step == 5
    value = scalars.summary.value[0]
    assert (value.tag, value.simple_value) == ("model/loss", pytest.approx(0.2))
    value = image.summary.value[0]
    assert (value.tag, value.image.height, value.image.width) == ("samples", 6, 9)
    shown = np.asarray(Image.open(io.BytesIO(value.image.encoded_image_string)))
    np.testing.assert_array_equal(shown, picture)


def test_tensorboard_forgets_the_steps_after_the_resumed_one(tmp_path):
    logged(tmp_path, [10, 20, 30]).close()
    logged(tmp_path, [30], resume_step=20).close()
    starts = [e for e in events(tmp_path) if e.session_log.status == SessionLog.START]
    assert [event.step for event in starts] == [1, 21]  # drops these and later
    assert len(list(tmp_path.glob("events.*"))) == 2  # though opened in one second


@pytest.mark.parametrize("method", ["write", "image", "flush"])
def test_a_full_disk_is_not_silent(tmp_path, monkeypatch, method):
    log = MetricsLog(tmp_path)

    def full(*_):
        raise OSError(28, "No space left on device")

    target = {
        "write": (log._lines, "flush"),
        "image": (log._events, "flush"),
        "flush": ("os.fsync",),
    }[method]
    arguments = {"write": (1, 1, 0.0, {}), "image": (1, np.zeros((2, 2, 1), np.uint8))}
    with monkeypatch.context() as patch:
        patch.setattr(*target, full)
        with pytest.raises(OSError, match="No space"):
            getattr(log, method)(*arguments.get(method, ()))
    log.close()


def test_short_losses():
    assert short_losses({"model/loss": 0.03125, "model/grad_norm": 9}) == "loss 0.03125"
    gan = {"discriminator/loss": 1.38629, "generator/loss": 0.7, "generator/d": 1}
    assert short_losses(gan) == "discriminator 1.39  generator 0.7"
    assert len(short_losses({f"{n}/loss": 1.0 for n in "abcde"}).split("  ")) == 3
    assert short_losses({}) == ""


def shown(monkeypatch, seconds, **options):
    """Steps 101..130 of 64 images, so many seconds each, of a run resumed at 100."""
    clock = iter(np.arange(1000) * seconds)
    monkeypatch.setattr(time, "monotonic", lambda: next(clock))
    with Progress(130, start=100, **options) as progress:
        for step in range(101, 131):
            progress.update(step, 64 * step, {"model/loss": 0.5})


def test_progress_without_a_terminal_is_a_line_now_and_then(monkeypatch, capsys):
    shown(monkeypatch, seconds=1.0)
    assert capsys.readouterr().err.splitlines() == [
        "step 101/130  loss 0.5",
        "step 111/130  loss 0.5  64 images/s  0:19 left",
        "step 121/130  loss 0.5  64 images/s  0:09 left",
        "step 130/130  loss 0.5  64 images/s",
    ]


def test_progress_on_a_terminal_is_a_bar(monkeypatch, capsys):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    seconds = itertools.count()  # of less than one the speed is not shown
    clock = types.SimpleNamespace(monotonic=lambda: float(next(seconds)))
    monkeypatch.setattr(metrics_log, "time", clock)
    with Progress(3, start=1) as progress:
        progress.update(2, 128, {"model/loss": 0.25})
        progress.say("samples/2.png")
        progress.update(3, 192, {"model/loss": 0.125})
    drawn = capsys.readouterr().err
    assert "step 1/3" in drawn.split("\r")[1]  # a resumed bar begins where it was
    assert "step 2/3, loss 0.25" in drawn
    assert "samples/2.png\n" in drawn
    assert drawn.endswith("\n")
    last = drawn.rpartition("\r")[2]
    assert "step 3/3, loss 0.125" in last
    assert "64 images/s" in last
    assert "left" in last
