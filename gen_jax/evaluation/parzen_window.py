"""The Parzen-window estimate of Goodfellow et al. (2014), for the papers' tables."""

from gen_jax.evaluation.request import Evaluation
from gen_jax.evaluation.result import Result, Value
from gen_jax.metrics.parzen import parzen

_MAX_SAMPLES, _MAX_VALIDATION = 10_000, 1_000  # the paper's


def log_likelihood(evaluation: Evaluation) -> Result:
    """log p of test images under windows on samples; training images in their place.

    What windows on training images reach is no bound: a model may pass them by samples
    that lie nearer to the middle of things, which is the estimate's known bias.
    """
    dataset = evaluation.subject.dataset
    x = evaluation.samples.first(_MAX_SAMPLES)
    held_out = evaluation.held_out(len(dataset.test))
    size = min(len(held_out) // 2, _MAX_VALIDATION)
    validation, test = held_out[:size], held_out[size:]
    real = dataset.train.read(evaluation.reference()[: len(x)])["x"]
    found, of_real = (parzen(a, validation, test) for a in (x, real))
    half_width = 1.96 * found.standard_error
    how = f"normal, over {len(test)} test images; samples and sigma as they are"
    value = Value(
        found.mean,
        found.mean - half_width,
        found.mean + half_width,
        how,
        of_real.mean,
        "nats",
    )
    context = {
        "validation": f"{len(validation)} held-out images",
        "test": f"{len(test)} other held-out images",
        "real_baseline": f"windows on {len(real)} training images",
        **evaluation.about_samples(),
        "samples": len(x),
    }
    values = {"parzen_log_likelihood": value, "sigma": Value(found.sigma)}
    return Result(values, context)
