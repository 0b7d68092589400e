"""Where the files of a trace lie on this machine: first CLUSTERSIM_TRACES, then the download cache."""

from __future__ import annotations

import os
from pathlib import Path

import pooch

from clustersim.errors import TraceError
from clustersim.traces.catalog import Trace, find

VARIABLE = "CLUSTERSIM_TRACES"


def locate(name: str) -> Path | None:
    """The folder that holds at least one file of the trace (`.csv` or `.csv.gz`), or None.

    Raises TraceError for an unknown name and for a CLUSTERSIM_TRACES that is no folder.
    """
    trace = find(name)
    candidates = [cache_folder(trace)]
    if root := os.environ.get(VARIABLE):
        if not Path(root).is_dir():
            raise TraceError(f"{VARIABLE} is {root!r}, which is not a folder; correct it or unset it")
        candidates = [Path(root, trace.folder), Path(root), *candidates]
    return next((folder for folder in candidates if _holds_a_file_of(trace, folder)), None)


def cache_folder(trace: Trace) -> Path:
    """Where `fetch` puts the files of the trace."""
    return Path(pooch.os_cache("clustersim"), trace.folder)


def _holds_a_file_of(trace: Trace, folder: Path) -> bool:
    return any((folder / (file.name + suffix)).is_file() for file in trace.files for suffix in ("", ".gz"))
