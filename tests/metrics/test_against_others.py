"""Our metrics compared with those of other packages, on the same arrays.

Their results are stored (`tests/vectors/make_metrics.py`). They are computed again if
the package is installed.
"""

import json
import warnings
from pathlib import Path

import numpy as np
import pytest
from scipy.special import softmax
from vectors import make_metrics

from gen_jax.metrics.frechet import frechet_distance, moments
from gen_jax.metrics.inception_score import inception_scores
from gen_jax.metrics.kernel import squared_mmd
from gen_jax.metrics.manifold import density_coverage, precision_recall
from gen_jax.metrics.neighbours import nearest
from gen_jax.metrics.parzen import log_likelihood
from gen_jax.metrics.pixels import psnr, ssim

NOT_HERE = (
    "pip install torch-fidelity==0.4.0 torchvision prdc==0.2 scikit-image==0.26.0 "
    "repeats the comparison"
)
K = make_metrics.K


def _mean_and_deviation(scores):
    return np.mean(scores), np.std(scores)


OURS = {
    "frechet_distance": lambda g: frechet_distance(moments(g.real), moments(g.samples)),
    "squared_mmd": lambda g: squared_mmd(g.real, g.samples),
    "inception_score": lambda g: _mean_and_deviation(
        inception_scores(softmax(g.logits, axis=1))
    ),
    "precision_recall": lambda g: precision_recall(g.real, g.samples, K),
    "density_coverage": lambda g: density_coverage(g.real, g.samples, K),
    "ssim": lambda g: ssim(g.x, g.y),
    "psnr": lambda g: psnr(g.x, g.y),
    "log_likelihood": lambda g: log_likelihood(g.y, g.x, make_metrics.SIGMA),
    "nearest": lambda g: nearest(g.samples[:4], g.real, K),
}


def stored(package):
    """The package's results, stored."""
    path = Path(make_metrics.__file__).with_name("metrics.json")
    return json.loads(path.read_text())[package]


def repeated(package):
    """The package's results, computed here."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the package
        pytest.importorskip(package, reason=NOT_HERE)
        return make_metrics.PACKAGES[package]()


def agree(package, ask, **tolerances):
    """Compare our numbers with the package's, to a relative 1e-10 by default."""
    for name, theirs in ask(package).items():
        ours = np.array(OURS[name](make_metrics.inputs()))
        assert ours.dtype == np.float64
        assert np.isfinite(theirs).all()
        assert np.std(ours) > 0 or ours.ndim == 0
        tolerance = tolerances.get(name, 1e-10)
        np.testing.assert_allclose(ours, theirs, tolerance, err_msg=name)


by_all = pytest.mark.parametrize("ask", [stored, repeated])


@by_all
def test_torch_fidelity(ask):
    """torch-fidelity 0.4.0 differs by 1e-13, or 6e-14 for features [4000, 2048].

    Precision and recall differ by 1e-8: torch-fidelity averages in float32.
    """
    agree("torch_fidelity", ask, precision_recall=1e-7)


@by_all
def test_prdc(ask):
    """prdc 0.2 is equal. A point on a ball's edge is inside here, outside in prdc."""
    agree("prdc", ask)


@by_all
def test_skimage(ask):
    """scikit-image 0.26.0 differs by 2e-16."""
    agree("skimage", ask)


@by_all
def test_sklearn(ask):
    """scikit-learn 1.9.1 differs by 4e-15."""
    agree("sklearn", ask)
