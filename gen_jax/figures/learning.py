"""A run learns: the same latents, or the same inputs, from the first step to the last.

The frames are the run's own pictures, before which stands what its untrained networks
draw.
"""

import numpy as np

from gen_jax.evaluation.subject import Subject
from gen_jax.figures.figure import Figure
from gen_jax.game import averaged
from gen_jax.runs.pictures import picture_functions

HELD_OUT = 12  # pairs, as in a run's own pictures


def learning(subject: Subject) -> Figure:
    """A film of the run's pictures, and its losses by step."""
    from PIL import Image

    paths = sorted(
        (subject.folder / "samples").glob("*.png"), key=lambda path: int(path.stem)
    )
    films = [_untrained(subject)] if paths else []
    for path in paths:
        with Image.open(path) as image:
            frame = np.asarray(image)
        films.append(frame.reshape(*frame.shape[:2], -1))
    steps = [0, *(int(path.stem) for path in paths)] if paths else []
    return Figure({}, {"frames_at_step": steps}, {"learning": films})


def _untrained(subject: Subject) -> np.ndarray:
    held_out = None
    if subject.game.ops.translate is not None:
        x, y = subject.real(HELD_OUT)
        held_out = {"x": x, "y": y}
    seed = subject.run.config.seed
    draw, arrange = picture_functions(subject.game, held_out)
    return arrange(np.asarray(draw(averaged(subject.first_state().players), seed)))
