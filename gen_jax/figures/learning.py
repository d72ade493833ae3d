"""Learning: a run's pictures from the first step to the last, as a film.

All show the same latents, or the same inputs. The first frame shows the untrained
networks.
"""

import numpy as np

from gen_jax.evaluation.request import Evaluation
from gen_jax.figures.figure import Figure
from gen_jax.game import averaged
from gen_jax.runs.sample_grids import picture_functions

_TEST_PAIRS = 12  # as in a run's own pictures


def learning(evaluation: Evaluation) -> Figure:
    """Show the run's pictures of samples as a film."""
    from PIL import Image

    folder = evaluation.run.folder
    found = (folder / "samples").glob("*.png") if folder else ()
    paths = sorted(found, key=lambda path: int(path.stem))
    frames = _untrained(evaluation) if paths else []
    for path in paths:
        with Image.open(path) as image:
            frame = np.asarray(image)
        frames.append(frame.reshape(*frame.shape[:2], -1))
    steps = [0, *(int(path.stem) for path in paths)] if paths else []
    return Figure({}, {"frames_at_step": steps}, {"learning": frames})


def _untrained(evaluation: Evaluation) -> list[np.ndarray]:
    """Return the picture that the run would have drawn before its first step."""
    held_out = None
    if evaluation.game.ops.translate is not None:
        x, y = evaluation.real(_TEST_PAIRS)
        held_out = {"x": x, "y": y}
    draw, arrange = picture_functions(evaluation.game, held_out)
    if draw is None or arrange is None:
        return []
    players = averaged(evaluation.first_state().players)
    return [arrange(np.asarray(draw(players, evaluation.training_seed or 0)))]
