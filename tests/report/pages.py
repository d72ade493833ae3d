"""Run folders written by hand, and pages parsed as a browser does."""

import json
from html.parser import HTMLParser
from pathlib import Path

import numpy as np

from gen_jax import config as configs
from gen_jax import experiment, images, report
from gen_jax.data import Info
from gen_jax.files import write_json
from gen_jax.runs.run import make_meta

MEASURE = {
    "description": "How far samples lie from real images.",
    "context": {"features": "a classifier", "real_images": 1637},
    "values": {
        "distance": {
            "value": 3.25,
            "low": 3.0,
            "high": 3.5,
            "interval": "95 % bootstrap",
            "real_baseline": 0.5,
            "unit": "squared pixels",
        },
        "bare": {"value": 2, "low": None, "high": None, "interval": None},
    },
    "by_class": {"0": {"recall": 0.5}, "1": {"recall": 0.25}},
    "note": "few samples",
    "pictures": ["nearest.png"],
    "seconds": 1.5,
}
CLAIMS = {
    "variety": {
        "description": "How varied samples are.",
        "pictures": ["variety.png", "film.gif"],
        "numbers": {"in_each_class": [3, 4], "fraction_sure": 0.695, "mean": {"of": 1}},
    },
    "classes": {
        "description": "One row a class.",
        "pictures": [],
        "numbers": {"by_class": {"0": {"recall": 0.5}, "1": {"recall": 0.75}}},
    },
}


def grid(step: int, size: int = 8) -> np.ndarray:
    x = np.random.default_rng(step).integers(0, 256, (4, size, size, 1), np.uint8)
    return images.grid(x, min_side=128)


def write(folder: Path, name: str = "vae", steps=(4, 8, 12), **fields) -> Path:
    """Write a run's folder with everything that a report shows."""
    recipe = experiment.find(name)
    config = recipe.config
    for field, text in fields.items():
        config = configs.override(config, field.replace("__", "."), text)
    meta = make_meta(name, config, Info((8, 8, 1), 10))
    meta |= {"data": {"train": 1637, "test": 160, "digest": "abc"}, "backend": "jit"}
    meta |= {"environment": {"python": "3.12.1", "jax": "0.10.0", "devices": 4}}
    folder.mkdir(parents=True)
    write_json(folder / "config.json", meta)
    with (folder / "metrics.jsonl").open("w") as file:
        for step in range(1, 13):
            record = {"step": step, "images": 128 * step, "model/loss": 9.0 / step}
            record |= {"model/kl": None if step == 3 else step, "seconds": step / 4}
            file.write(json.dumps(record) + "\n")
    for step in steps:
        images.save_png(folder / "samples" / f"{step}.png", grid(step))
    images.save_png(folder / "figures" / "variety.png", grid(1))
    images.save_gif(folder / "figures" / "film.gif", [grid(1), grid(2)])
    runs = [{"experiment": name, "step": 12, "weights": "averaged", "seed": 0}]
    write_json(folder / "figures" / "figures.json", {"runs": runs, "claims": CLAIMS})
    images.save_png(folder / "evaluation" / "nearest.png", grid(3))
    evaluation = {"run": {"experiment": name, "training_seed": 0}}
    evaluation |= {"environment": {"platform": "cpu"}, "measures": {"fid": MEASURE}}
    write_json(folder / "evaluation.json", evaluation)
    return folder


class Page(HTMLParser):
    """A parsed page. tags: (name, attributes). text: visible text, | after cells."""

    VOID = ("meta", "link", "img", "input", "line", "path", "br")

    def __init__(self, html: str):
        super().__init__()
        self.tags: list[tuple[str, dict]] = []
        self.scripts: list[str] = []
        self.text, self._open = "", []
        self.feed(html)
        self.close()
        assert self._open == [], f"not closed: {self._open}"

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag not in self.VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self._open.pop() == tag
        self.text += "|" if tag in ("td", "th") else "\n"

    def handle_data(self, data):
        if self._open[-1:] == ["script"]:
            self.scripts.append(data)
        elif self._open[-1:] != ["style"]:
            self.text += " ".join(data.split())

    def all(self, tag: str) -> list[dict]:
        """The attributes of every such tag."""
        return [attributes for name, attributes in self.tags if name == tag]


def page(*folders: Path, out: Path | None = None) -> Page:
    """The parsed report of folders."""
    out = out or folders[0] / report.NAME
    report.write(folders, out)
    return Page(out.read_text(encoding="utf-8"))
