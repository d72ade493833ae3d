"""The terms that losses are made of: elementwise, float32, with formula and source.

No term reduces. The objective that builds a loss chooses its means and sums, in
`objectives/`. A network gives a probability as its logit l, with p = sigmoid(l), and a
scale or variance as its logarithm. Value and gradient are finite if any of these, or a
mean, is +-1e4. From e^20 on, far beyond any scale of images, an exponential continues
along its tangent. The slope of the tangent leads back.
"""

import math

import jax
import jax.numpy as jnp

_HALF_BIN = 1 / 255  # half the distance of two of 256 levels from -1 to 1
# An exponential continues as its tangent from here on: the tangent's square is finite.
_STEEP = 20.0
_THIN = 1e-3  # units of a scale, within which a density hardly changes


def log_d(logits: jax.Array) -> jax.Array:
    """Return log D = log sigmoid(l) in nats, in the shape of the logits such as [B].

    Goodfellow et al. (2014). The mean over data is the first term of V(D, G) = E log
    D(x) + E log(1 - D(G(z))). Minus the mean over samples is the loss that their
    generator minimises in practice (non-saturating).
    """
    # Not log(sigmoid(l)), which is -inf below -88: the sigmoid rounds to 0.
    return jax.nn.log_sigmoid(logits.astype(jnp.float32))


def log_one_minus_d(logits: jax.Array) -> jax.Array:
    """Return log(1 - D) = log sigmoid(-l) in nats, in the logits' shape such as [B].

    Goodfellow et al. (2014). The mean over samples is the second term of V(D, G), which
    the discriminator maximises and the minimax generator minimises.
    """
    # Not log(1 - D), which is -inf from logits of 17 on: D rounds to 1.
    return jax.nn.log_sigmoid(-logits.astype(jnp.float32))


def bernoulli_log_likelihood(logits: jax.Array, x: jax.Array) -> jax.Array:
    """Return x log p + (1 - x) log(1 - p) per element, float32 [B, ...] in nats.

    logits: l, [B, ...].
    x: [B, ...] in [0, 1]. A value strictly between 0 and 1 gives the expectation over
        its random binarisation b ~ Bernoulli(x).

    Kingma & Welling (2013), appendix C.1. Raises ValueError if the shapes differ.
    """
    _check_shapes(logits, x)
    x = x.astype(jnp.float32)
    return x * log_d(logits) + (1 - x) * log_one_minus_d(logits)


def gaussian_log_likelihood(
    x: jax.Array, mean: jax.Array, log_scale: float | jax.Array
) -> jax.Array:
    """Return log N(x; mean, scale^2) per element, float32 [B, ...] in nats.

        -(log 2 pi) / 2 - log scale - (x - mean)^2 / (2 scale^2)

    x, mean: [B, ...].
    log_scale: a number, or [B, ...]; exact from -20 on.

    Kingma & Welling (2013), appendix C.2. Raises ValueError if the shapes of x and mean
    differ.
    """
    inverse_scale = _exp(-jnp.asarray(log_scale, jnp.float32))
    standardised_squared = squared_error(x, mean) * jnp.square(inverse_scale)
    return -0.5 * math.log(2 * math.pi) - log_scale - 0.5 * standardised_squared


def discretised_logistic_log_likelihood(
    x: jax.Array, mean: jax.Array, log_scale: jax.Array
) -> jax.Array:
    """Return the log probability of x's bin under a logistic, [B, ...] in nats.

        log(F(u) - F(l)),  F = sigmoid,  u, l = (x +- h - mean) / scale,  h = 1 / 255

    x: [B, ...], one of 256 levels from -1 to 1. The bins of the first and the last
        level reach to infinity.
    mean, log_scale: [B, ...]; exact for log scales from -20 on.

    Kingma et al. (2016), "Improved variational inference with inverse autoregressive
    flow", section 5. Raises ValueError if the shapes differ.
    """
    lower, upper, log_width = _bin_edges(x, mean, log_scale)
    # F(u) - F(l) = F(u) F(-l) (1 - e^(l - u)) subtracts no nearly equal numbers.
    log_f_upper, log_f_lower = jax.nn.log_sigmoid(upper), jax.nn.log_sigmoid(-lower)
    width = _exp(log_width)
    is_thin = width < _THIN
    # Two `where`: with one, the branch that is not taken would give NaN gradients.
    fraction = jnp.log(-jnp.expm1(-jnp.where(is_thin, 1.0, width)))
    # log(1 - e^-w) = log w - w / 2 + O(w^2)
    fraction = jnp.where(is_thin, log_width - width / 2, fraction)
    inside = log_f_upper + log_f_lower + fraction
    return _of_bin(x, log_f_upper, inside, log_f_lower)


def discretised_gaussian_log_likelihood(
    x: jax.Array, mean: jax.Array, log_scale: jax.Array
) -> jax.Array:
    """Return the log probability of x's bin under a Gaussian, [B, ...] in nats.

    As `discretised_logistic_log_likelihood`, with F the normal distribution's. Ho et
    al. (2020), equation 13. Raises ValueError if the shapes differ.
    """
    lower, upper, log_width = _bin_edges(x, mean, log_scale)
    # F(u) - F(l) = F(-l) - F(-u): take the lower tail, in which log F is precise.
    in_upper_tail = lower + upper > 0
    near = _log_normal_cdf(jnp.where(in_upper_tail, -lower, upper))
    far = _log_normal_cdf(jnp.where(in_upper_tail, -upper, lower))
    residual = near - far
    # In a thin bin the difference is rounding error: take density times width.
    is_thin = residual < _THIN
    density = jax.scipy.stats.norm.logpdf((lower + upper) / 2) + log_width
    difference = near + jnp.log(-jnp.expm1(-jnp.where(is_thin, 1.0, residual)))
    inside = jnp.where(is_thin, density, difference)
    return _of_bin(x, _log_normal_cdf(upper), inside, _log_normal_cdf(-lower))


def _exp(x, exp=jnp.exp):
    """Compute exp(x), or expm1(x), and from _STEEP on their tangent."""
    return exp(jnp.minimum(x, _STEEP)) + math.exp(_STEEP) * jax.nn.relu(x - _STEEP)


def _log_normal_cdf(x):
    """Compute log F(x) of the normal distribution, with a correct slope in the tail.

    JAX takes the slope from a difference of logarithms, which is only rounding error if
    they are large. Below -20 F's expansion is differentiated instead.
    """
    tail = jnp.minimum(x, -20.0)
    inverse = 1 / tail
    series = jnp.log1p(-jnp.square(inverse)) - jnp.log(-tail)
    log_f = series - 0.5 * (jnp.square(tail) + math.log(2 * math.pi))
    near = jax.scipy.stats.norm.logcdf(jnp.maximum(x, -20.0))
    return jnp.where(x < -20.0, log_f, near)


def _bin_edges(x, mean, log_scale):
    """Return the edges of x's bin, in units of the scale, and the log of its width."""
    _check_shapes(x, mean)
    _check_shapes(x, log_scale)
    log_scale = log_scale.astype(jnp.float32)
    inverse_scale = _exp(-log_scale)
    residual = x.astype(jnp.float32) - mean.astype(jnp.float32)
    lower, upper = (residual + h for h in (-_HALF_BIN, _HALF_BIN))
    log_width = math.log(2 * _HALF_BIN) - log_scale
    return lower * inverse_scale, upper * inverse_scale, log_width


def _of_bin(x, first, inside, last):
    """Select the value for x's bin: the first level's, the last's, or one between."""
    edge = 1 - _HALF_BIN  # halfway between the last two levels
    return jnp.where(x < -edge, first, jnp.where(x > edge, last, inside))


def gaussian_kl(mean: jax.Array, log_var: jax.Array) -> jax.Array:
    """Return KL(N(mean, var) || N(0, 1)) per element, float32 [B, D] in nats.

        (mean^2 + var - 1 - log var) / 2

    mean, log_var: [B, D]. Exact for log variances up to 20; beyond, var's tangent keeps
        it rising.

    Kingma & Welling (2013), appendix B. Raises ValueError if the shapes differ.
    """
    _check_shapes(mean, log_var)
    mean, log_var = mean.astype(jnp.float32), log_var.astype(jnp.float32)
    # expm1, because var - 1 - log var loses every digit near the prior.
    return 0.5 * (jnp.square(mean) + _exp(log_var, jnp.expm1) - log_var)


def gaussian_kl_between(
    mean_q: jax.Array, log_var_q: jax.Array, mean_p: jax.Array, log_var_p: jax.Array
) -> jax.Array:
    """Return KL(N(mean_q, var_q) || N(mean_p, var_p)) per element, [B, ...] in nats.

        (log var_p - log var_q + var_q / var_p + (mean_q - mean_p)^2 / var_p - 1) / 2

    mean_q, log_var_q, mean_p, log_var_p: [B, ...] of one rank; the variances may have
        sides of 1. Exact if var_q is up to e^20 var_p and var_p at least e^-40; still
        rising beyond.

    Ho et al. (2020), equation 5, by the formula of Kingma & Welling (2013), appendix B.
    Raises ValueError if the shapes of the means differ.
    """
    # Squared after the exponential, whose tangent keeps the square finite.
    inverse_scale = _exp(-0.5 * log_var_p)
    squared = squared_error(mean_q, mean_p) * jnp.square(inverse_scale)
    difference = log_var_q - log_var_p
    # e^d - 1 - d is small for close variances: expm1 keeps its digits.
    return 0.5 * (_exp(difference, jnp.expm1) - difference + squared)


def squared_error(x: jax.Array, x_hat: jax.Array) -> jax.Array:
    """Return (x - x_hat)^2 per element, float32 [B, ...].

    Raises ValueError if the shapes differ: [B] and [B, 1] would broadcast silently.
    """
    _check_shapes(x, x_hat)
    return jnp.square(x.astype(jnp.float32) - x_hat.astype(jnp.float32))


def absolute_error(x: jax.Array, x_hat: jax.Array) -> jax.Array:
    """Return |x - x_hat| per element, float32 [B, ...].

    Raises ValueError if the shapes differ.
    """
    _check_shapes(x, x_hat)
    return jnp.abs(x.astype(jnp.float32) - x_hat.astype(jnp.float32))


def sum_per_example(x: jax.Array) -> jax.Array:
    """Sum over all axes but the first: [B, ...] to [B], such as nats per image."""
    return jnp.sum(x, axis=tuple(range(1, x.ndim)))


def _check_shapes(a: jax.Array, b: jax.Array) -> None:
    if a.shape != b.shape:
        raise ValueError(
            f"shapes differ: {a.shape} and {b.shape}; give arrays of equal shape"
        )
