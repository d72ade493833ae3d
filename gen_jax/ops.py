"""Ops: the functions of a trained game that samplers, figures and measures call.

An op that is None is missing. Figures, measures and commands ask for an op by its name,
never for a family's name.
"""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

from gen_jax.errors import UserError

Op = Callable[..., Any]


@dataclasses.dataclass(frozen=True, eq=False)
class Ops:
    """Functions of a game's players, each optional.

    A caller passes the players first, and the other arguments by the names below.

    players: the players' states by name.
    keys: one random key per example, [B].
    x, x_hat: examples, float32 [B, ...]; images are in [-1, 1].
    z: latents, float32 [B, ...].
    y: labels, int32 [B]; -1 or y=None for no label.
    time: a number in [0, 1], or float32 [B]; 0 is the clean image, 1 is pure noise.
    start, end: numbers in [0, 1], of the same meaning.
    Bounds are in nats per example, float32 [B].

    sample: (players, keys, y, **options) -> x.
    sampling_options: (**options) -> a dict of all options that `sample` would use,
        defaults included.
    prior: (players, keys) -> z.
    encode: (players, x, keys, y) -> z; the mean of q(z|x) if keys are None.
    decode: (players, z, y) -> x_hat.
    reconstruct: (players, x, keys, y) -> x_hat.
    translate: (players, x, keys) -> the image y for the input image x.
    score: (players, x, y) -> the discriminator's logits [B].
    diffuse: (players, x, keys, time [B] or a number) -> x_t.
    predict_x0: (players, x_t, time [B] or a number, y) -> x_0_hat, the mean of x_0
        given x_t. It can be traced and differentiated.
    denoise_between: (players, x_t, keys, start, end, y) -> x at time end <= start.
    prior_term: (players, x) -> nats that x_t at time 1 still contains about x.
    bound: (players, x, keys, y) -> a lower bound on log p(x).
    bound_terms: (players, x, keys, y) -> {name: nats [B]}, whose sum is -bound.
    importance_weights: (players, x, keys, y) -> log p(x, z) / q(z|x) for one z.
    extra: your own ops, by name.

    Raises UserError for an op that is not a function.
    """

    sample: Op | None = None
    sampling_options: Op | None = None
    prior: Op | None = None
    encode: Op | None = None
    decode: Op | None = None
    reconstruct: Op | None = None
    translate: Op | None = None
    score: Op | None = None
    diffuse: Op | None = None
    predict_x0: Op | None = None
    denoise_between: Op | None = None
    prior_term: Op | None = None
    bound: Op | None = None
    bound_terms: Op | None = None
    importance_weights: Op | None = None
    extra: Mapping[str, Op] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, op in self.by_name.items():
            if not callable(op):
                raise UserError(
                    f"the op {name!r} is a value of type {type(op).__name__}: give a "
                    "function of the players"
                )

    @classmethod
    def of(cls, model: Any) -> "Ops":
        """Collect the ops that a model has as methods of the same names."""
        own: dict[str, Any] = {name: getattr(model, name, None) for name in FIELDS}
        return cls(**own)

    @property
    def by_name(self) -> dict[str, Op]:
        """Return every op that is present, `extra` included."""
        own = {name: getattr(self, name) for name in FIELDS}
        return {**{k: op for k, op in own.items() if op is not None}, **self.extra}


# The arguments of each op; y only if the game has classes.
ARGUMENTS = {
    "sample": ("keys", "y"),
    "prior": ("keys",),
    "encode": ("x", "keys", "y"),
    "decode": ("z", "y"),
    "reconstruct": ("x", "keys", "y"),
    "translate": ("x", "keys"),
    "score": ("x", "y"),
    "diffuse": ("x", "keys", "time"),
    "predict_x0": ("x_t", "time", "y"),
    "denoise_between": ("x_t", "keys", "start", "end", "y"),
    "prior_term": ("x",),
    "bound": ("x", "keys", "y"),
    "bound_terms": ("x", "keys", "y"),
    "importance_weights": ("x", "keys", "y"),
}
FIELDS = tuple(f.name for f in dataclasses.fields(Ops) if f.name != "extra")
