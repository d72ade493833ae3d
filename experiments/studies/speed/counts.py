"""Compare the parameter counts of both sides, without allocating any parameter.

python -m experiments.studies.speed.counts
"""

import sys

from experiments.studies.speed import jax_side, torch_side
from experiments.studies.speed.rows import ROWS


def main() -> int:
    """Print a line for each row and its miniature; return 1 if any two differ."""
    differ = False
    for row in ROWS.values():
        for form, kind in ((row, ""), (row.miniature(), " in miniature")):
            ours, theirs = jax_side.parameters(form), torch_side.parameters(form)
            verdict = "equal" if ours == theirs else f"NOT EQUAL to PyTorch's {theirs}"
            print(f"{row.name}{kind}, {form.shape}: {ours} {verdict}", flush=True)
            differ |= ours != theirs
    return int(differ)


if __name__ == "__main__":
    sys.exit(main())
