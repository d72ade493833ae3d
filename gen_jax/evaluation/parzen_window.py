"""The Parzen-window estimate of Goodfellow et al. (2014), for the papers' tables."""

import numpy as np

from gen_jax.evaluation.examples import Examples, needs
from gen_jax.evaluation.halves import shuffled
from gen_jax.evaluation.request import Evaluation
from gen_jax.evaluation.result import Result, Value
from gen_jax.metrics.parzen import parzen

_MAX_SAMPLES, _MAX_VALIDATION = 10_000, 1_000  # the paper's


def log_likelihood(evaluation: Evaluation) -> Result:
    """Measure log p of test images under Gaussian windows on samples.

    The baseline of training images is not an upper limit. Samples that lie nearer to
    the mean of the data may pass it, which is the known bias of the estimate.
    """
    dataset = evaluation.dataset
    needs(len(dataset.test), 3, "test images")
    x = evaluation.samples.first(_MAX_SAMPLES)
    size = min(len(dataset.test) // 2, _MAX_VALIDATION)
    places = np.split(shuffled(len(dataset.test)), [size])
    validation, test = (Examples(dataset.test, each) for each in places)
    real = dataset.train.read(evaluation.reference()[: len(x)])["x"]
    of_samples, of_real = (parzen(a, validation, test) for a in (x, real))
    half_width = 1.96 * of_samples.standard_error
    how = f"normal, over {len(test)} test images, for these samples and this sigma"
    value = Value(
        of_samples.mean,
        of_samples.mean - half_width,
        of_samples.mean + half_width,
        how,
        of_real.mean,
        "nats",
    )
    context = {
        "validation": f"{len(validation)} test images",
        "test": f"{len(test)} other test images",
        "real_baseline": f"windows on {len(real)} training images",
        **evaluation.about_samples(len(x)),
    }
    values = {"parzen_log_likelihood": value, "sigma": Value(of_samples.sigma)}
    return Result(values, context)
