"""Fixtures that several test files need."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from clustersim.workload import PodWorkload


@pytest.fixture(scope="session")
def openb() -> Callable[[str], PodWorkload]:
    """Loads a workload of the real openb trace by name; skips the test when the trace is not on this machine."""
    root = Path(os.environ.get("CLUSTERSIM_TRACES") or Path(__file__).parents[2] / "shared" / "traces")
    if not root.is_dir():
        pytest.skip(f"there are no real traces: {root} is no folder; name one in CLUSTERSIM_TRACES")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CLUSTERSIM_TRACES", str(root))
        from clustersim.traces import locate

        folder = locate("openb")
    if folder is None:
        pytest.skip(f"the openb trace is not in {root}; name its folder in CLUSTERSIM_TRACES")

    @cache
    def load(workload: str = "default") -> PodWorkload:
        from clustersim.traces import load as load_trace

        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("CLUSTERSIM_TRACES", str(root))
            return load_trace("openb", workload)

    return load
