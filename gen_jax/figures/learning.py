"""Learning: a run's pictures from the first step to the last, as a film.

All show the same latents, or the same inputs. The first frame shows the untrained
networks.
"""

import contextlib
from pathlib import Path

import numpy as np

from gen_jax.evaluation.request import Evaluation
from gen_jax.figures.figure import Figure
from gen_jax.game import averaged
from gen_jax.runs.sample_grids import picture_functions

_TEST_PAIRS = 12  # as in a run's own pictures


def learning(evaluation: Evaluation) -> Figure:
    """Show the run's pictures of samples as a film."""
    folder = evaluation.run.folder
    found = (folder / "samples").glob("*.png") if folder else ()
    named = (path for path in found if path.stem.isdecimal() and path.stem.isascii())
    paths = sorted(named, key=lambda path: int(path.stem))
    frames = {
        int(path.stem): frame for path in paths if (frame := _frame(path)) is not None
    }
    before = _untrained(evaluation) if frames else []
    steps = [0, *frames] if frames else []
    films = {"learning": [*before, *frames.values()]}
    return Figure({}, {"frames_at_step": steps}, films)


def _frame(path: Path) -> np.ndarray | None:
    """Return the picture in a file, uint8 [H, W, 1 or 3]; None if it is damaged."""
    from PIL import Image

    with contextlib.suppress(Exception), Image.open(path) as image:
        frame = np.asarray(image)
        return frame.reshape(*frame.shape[:2], -1)
    return None


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
