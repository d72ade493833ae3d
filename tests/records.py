"""The records of a run, as tests compare them."""

import json
from pathlib import Path


def logged(folder: Path) -> list[dict]:
    """metrics.jsonl without the timings."""
    records = map(json.loads, (folder / "metrics.jsonl").read_text().splitlines())
    return [{k: v for k, v in r.items() if k != "seconds"} for r in records]
