"""A short report on a trace of functions: how many, over how many minutes, how busy, and which known defects."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from clustersim.traces.faas import FaasTrace, read_faas


def holds_faas(path: Path) -> bool:
    """Whether this is a folder of calls per minute, or a folder of such folders."""
    return bool(_folders(path))


def check_faas(path: Path) -> str:
    """Validate every trace of functions in a folder. Raises TraceError at the first broken one."""
    return "\n".join("\n  ".join([f"{at}: keeps the rules of the format", *_report(at)]) for at in _folders(path))


def _folders(path: Path) -> list[Path]:
    return sorted({file.parent for part in ("", "*/") for file in path.glob(f"{part}invocations.csv*")})


def _report(folder: Path) -> list[str]:
    trace = read_faas(folder)
    last = trace.first_minute + trace.minutes - 1
    triggers = ", ".join(f"{count:,} {trigger}" for trigger, count in Counter(trace.trigger).most_common())
    return [
        f"{len(trace.function):,} functions, minutes {trace.first_minute} to {last}: {trace.counts.sum():,} calls",
        f"triggers: {triggers}",
        f"defects: {_defects(trace)}",
    ]


def _defects(trace: FaasTrace) -> str:
    per_function = trace.counts.sum(axis=1)
    found = []
    if idle := int((per_function == 0).sum()):
        found.append(f"functions without a call: {idle:,}")
    if (most := per_function.max() / max(per_function.sum(), 1)) > 0.5:
        found.append(f"one function makes {most:.0%} of the calls")
    return "; ".join(found) or "none"
