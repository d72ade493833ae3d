"""Numbers and lines of text from the seconds that rounds took."""

import math
import statistics
from typing import Any

from scipy import stats


def spread(values: list[float]) -> dict[str, float]:
    """Return the median, the minimum and the maximum."""
    return {
        "median": statistics.median(values),
        "min": min(values),
        "max": max(values),
    }


def paired_ratio(theirs: list[float], ours: list[float]) -> dict[str, float]:
    """Return the ratio of times, theirs / ours: above 1 if ours is faster.

    Both lists hold one number for each round. `low` and `high` bound the geometric
    mean with 95 % confidence, by Student's t on the logarithms; NaN for one round.
    """
    ratios = [a / b for a, b in zip(theirs, ours, strict=True)]
    logs = [math.log(ratio) for ratio in ratios]
    mean, half_width = statistics.fmean(logs), math.nan
    if len(logs) > 1:
        quantile = float(stats.t.ppf(0.975, len(logs) - 1))
        half_width = quantile * statistics.stdev(logs) / math.sqrt(len(logs))
    return {
        **spread(ratios),
        "mean": math.exp(mean),
        "low": math.exp(mean - half_width),
        "high": math.exp(mean + half_width),
    }


def add_numbers(result: dict[str, Any], batch: int) -> None:
    """Add speeds and ratios to a row's result, from the `ms` of each variant's rounds.

    ratios: {ours: {theirs: paired ratio}} of all pairs of both sides.
    """
    variants = {
        name: numbers
        for name, numbers in result["variants"].items()
        if numbers.get("ms") and "error" not in numbers
    }
    for numbers in variants.values():
        numbers["ms_per_step"] = spread(numbers["ms"])
        numbers["images_per_s"] = 1e3 * batch / numbers["ms_per_step"]["median"]
    ours = {name: x for name, x in variants.items() if name.startswith("jax")}
    theirs = {name: x for name, x in variants.items() if name not in ours}
    result["ratios"] = {
        mine: {
            other: paired_ratio(theirs[other]["ms"], ours[mine]["ms"])
            for other in theirs
        }
        for mine in ours
    }


def lines(result: dict[str, Any]) -> list[str]:
    """Return a table of a row's result, one line a variant."""
    out = []
    for name, numbers in result["variants"].items():
        if "ms_per_step" not in numbers:
            continue
        ms = numbers["ms_per_step"]
        memory = numbers.get("memory", {})
        peak = memory.get("device") or memory.get("host") or 0
        kind = "" if memory.get("device") else " of the process"
        out.append(
            f"  {name}: {ms['median']:.3f} ms a step ({ms['min']:.3f}-{ms['max']:.3f}),"
            f" {numbers['images_per_s']:.0f} images/s, first call "
            f"{numbers['first_call_seconds']:.1f} s, peak {peak / 2**20:.0f} MiB{kind}"
        )
    for mine, others in result["ratios"].items():
        for other, ratio in others.items():
            out.append(
                f"  {other} / {mine}: {ratio['mean']:.3f} "
                f"[{ratio['low']:.3f}, {ratio['high']:.3f}], rounds "
                f"{ratio['min']:.3f}-{ratio['max']:.3f}"
            )
    return out
