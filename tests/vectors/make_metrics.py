"""Store the outputs of other packages for our metrics in metrics.json.

    PYTHONPATH=.:tests python -m vectors.make_metrics

The file lies next to this one. The packages' functions are called on random arrays, so
that no network and no image reader lies between. The stored file was made with
torch-fidelity 0.4.0, prdc 0.2, scikit-image 0.26.0 and scikit-learn 1.9.1.
"""

import json
from pathlib import Path
from typing import NamedTuple

import numpy as np

SIGMA = 0.2  # of the Parzen window
K = 5


class Inputs(NamedTuple):
    """real, samples: features [300, 24]; logits [205, 10]; x, y: uint8 images."""

    real: np.ndarray
    samples: np.ndarray
    logits: np.ndarray
    x: np.ndarray
    y: np.ndarray


def inputs() -> Inputs:
    """From NumPy's legacy generator, whose stream is promised never to change."""
    rng = np.random.RandomState(0)
    mix = rng.standard_normal((24, 24)) / 5
    real = rng.standard_normal((300, 24)) @ mix
    samples = (0.8 * rng.standard_normal((300, 24)) + 0.1) @ mix
    logits = 2 * rng.standard_normal((205, 10))
    x = rng.randint(0, 256, (5, 6, 5, 3)).repeat(4, 1).repeat(4, 2)
    y = np.clip(x + rng.randint(-60, 60, x.shape), 0, 255)
    return Inputs(real, samples, logits, x.astype(np.uint8), y.astype(np.uint8))


def torch_fidelity() -> dict:
    """FID, KID of one subset, IS, precision and recall of given features."""
    import torch
    from torch_fidelity import metric_fid, metric_isc, metric_kid, metric_prc

    given = inputs()
    real, samples = torch.tensor(given.real), torch.tensor(given.samples)
    statistics = map(metric_fid.fid_features_to_statistics, (real, samples))
    options = {"kid_subsets": 1, "kid_subset_size": 300, "verbose": False}
    options |= {"prc_neighborhood": K}
    scores = {
        **metric_fid.fid_statistics_to_metric(*statistics, False),
        **metric_kid.kid_features_to_metric(real, samples, **options),
        **metric_isc.isc_features_to_metric(torch.tensor(given.logits), shuffle=False),
        **metric_prc.prc_features_to_metric(samples, real, **options),
    }
    return {
        "frechet_distance": scores["frechet_inception_distance"],
        "squared_mmd": scores["kernel_inception_distance_mean"],
        "inception_score": [
            scores["inception_score_mean"],
            scores["inception_score_std"],
        ],
        "precision_recall": [scores["precision"], scores["recall"]],
    }


def prdc() -> dict:
    """Precision, recall, density and coverage."""
    from prdc import compute_prdc

    given = inputs()
    scores = compute_prdc(given.real, given.samples, K)
    return {
        "precision_recall": [float(scores[name]) for name in ("precision", "recall")],
        "density_coverage": [float(scores[name]) for name in ("density", "coverage")],
    }


def skimage() -> dict:
    """SSIM as Wang et al. have it, and PSNR, pair by pair."""
    from skimage.metrics import peak_signal_noise_ratio, structural_similarity

    given = inputs()
    options = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
    options |= {"channel_axis": -1, "data_range": 2}
    pairs = [x.astype(np.float64) / 127.5 - 1 for x in (given.x, given.y)]
    pairs = list(zip(*pairs, strict=True))
    return {
        "ssim": [float(structural_similarity(x, y, **options)) for x, y in pairs],
        "psnr": [float(peak_signal_noise_ratio(x, y, data_range=2)) for x, y in pairs],
    }


def sklearn() -> dict:
    """A kernel density of images in [0, 1], and nearest neighbours."""
    from sklearn.neighbors import KernelDensity, NearestNeighbors

    given = inputs()
    x, y = (images.reshape(len(images), -1) / 255 for images in (given.x, given.y))
    density = KernelDensity(bandwidth=SIGMA).fit(x)
    found = NearestNeighbors(n_neighbors=K).fit(given.real)
    distance, place = found.kneighbors(given.samples[:4])
    return {
        "log_likelihood": density.score_samples(y).tolist(),
        "nearest": [place.tolist(), distance.tolist()],
    }


PACKAGES = {
    "torch_fidelity": torch_fidelity,
    "prdc": prdc,
    "skimage": skimage,
    "sklearn": sklearn,
}

if __name__ == "__main__":
    given = {name: function() for name, function in PACKAGES.items()}
    text = json.dumps(given, indent=1) + "\n"
    Path(__file__).with_name("metrics.json").write_text(text)
