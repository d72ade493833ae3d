"""The Inception score: is each sample clearly of one class, and are all classes there?

Salimans et al. (2016), "Improved techniques for training GANs", section 4. With a
classifier's probabilities p(y | x) of samples x,

    IS = exp( E_x KL( p(y | x) || p(y) ) ),    p(y) = E_x p(y | x)

It is 1 if all samples are alike or none is clear, at most the number of classes. Real
images do not enter.
"""

import numpy as np
from scipy.special import rel_entr

from gen_jax.errors import UserError
from gen_jax.metrics.checks import check_features


def inception_scores(probabilities: np.ndarray, splits: int = 10) -> list[float]:
    """Return the score of each of `splits` equal parts of the samples.

    probabilities: float [N, K], each row of sum 1. Parts are consecutive, so samples
        must not be sorted by class.

    Raises UserError if a row is not a distribution or there are fewer samples than
    parts.
    """
    check_features(sampled=probabilities)
    p = np.asarray(probabilities, np.float64)
    if (p < 0).any() or (abs(p.sum(1) - 1) > 1e-3).any():
        raise UserError(
            "an Inception score needs rows of probabilities, of sum 1: apply softmax "
            "to logits"
        )
    if not 1 <= splits <= len(p):
        raise UserError(
            f"an Inception score needs at least one part and one sample per part, not "
            f"{splits} parts of {len(p)} samples"
        )
    p = p / p.sum(1, keepdims=True)  # float32 rows miss 1 by rounding
    ends = np.arange(1, splits) * len(p) // splits
    parts = np.split(p, ends)
    return [float(np.exp(rel_entr(x, x.mean(0)).sum(1).mean())) for x in parts]
