"""What a path holds: which format of jobs, and which files of it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from clustersim.errors import TraceError
from clustersim.traces.dag_json import read_json

Format = Literal["wfformat", "tpch", "alibaba", "ds3-job", "ds3-soc"]


def format_of(file: Path) -> Format:
    """By the suffix, and for JSON and text by what is in it. Raises TraceError."""
    name = file.name.removesuffix(".gz")
    if name.endswith((".jsonl", ".csv")):
        return "alibaba"
    if name.endswith(".json"):
        return "wfformat" if read_json(file).has("workflow") else "tpch"
    if name.endswith(".txt"):
        return "ds3-soc" if "SoC" in name else "ds3-job"
    raise TraceError(
        f"{file}: no format of jobs has this suffix; there is .json (WfFormat, TPC-H), .jsonl and .csv (Alibaba), and "
        ".txt (DS3), all but DS3 also with .gz"
    )


def json_files(folder: Path) -> tuple[Path, ...]:
    """All below the folder, by path; a file that is there both plain and gzipped counts once, plain."""
    by_name = {file.relative_to(folder).as_posix(): file for file in sorted(folder.rglob("*.json"))}
    for file in sorted(folder.rglob("*.json.gz")):
        by_name.setdefault(file.relative_to(folder).as_posix().removesuffix(".gz"), file)
    return tuple(by_name[name] for name in sorted(by_name))


def by_length(files: Sequence[Path]) -> tuple[Path, ...]:
    """`tpch_2g` before `tpch_10g`, `job_Top2` before `job_Top10`."""
    return tuple(sorted(files, key=lambda file: (len(file.name.split(".")[0]), file.name)))


def soc_beside(job: Path) -> list[Path]:
    """The SoC files in the folder of the job, or if it has none those in `config_SoC` next to that folder."""
    return sorted(job.parent.glob("*SoC*.txt")) or sorted(job.parent.parent.glob("config_SoC/*SoC*.txt"))
