"""A benchmark that is stopped, gently or not, keeps its finished runs and can be resumed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

# Seeds 0 and 1 finish at once; all others beat like a heart until the file `go` exists.
SCRIPT = """
import os, sys, time
from pathlib import Path
from clustersim.bench import Experiment, Interrupted, Progress, RunResult, RunStore, execute

HERE = Path(__file__).parent

def play(policy, seed):
    with (HERE / f"executed-{seed}").open("a") as file:
        file.write(f"{os.getpid()} ")
    while seed > 1 and not (HERE / "go").exists():
        (HERE / f"heart-{seed}").write_text(str(time.monotonic_ns()))
        time.sleep(0.02)
    return RunResult({"score": float(seed)}, {}, decisions=1, wall_s=1.0)

if __name__ == "__main__":
    experiment = Experiment("placement", "openb", {}, ("a",), (0, 1, 2, 3), play)
    try:
        execute(experiment, RunStore(HERE / "out", experiment), int(sys.argv[1]), Progress())
    except Interrupted as interrupted:
        print(interrupted)
        sys.exit(130)
"""


def start(folder: Path, jobs: int) -> subprocess.Popen[str]:
    (folder / "script.py").write_text(SCRIPT)
    return subprocess.Popen(
        [sys.executable, "-W", "error", str(folder / "script.py"), str(jobs)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,  # its own process group, so that a signal reaches its workers as Ctrl-C does
    )


def wait_for(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, f"gave up waiting for {what}"
        time.sleep(0.02)


def finished_runs(folder: Path) -> int:
    return len(list((folder / "out" / ".runs").glob("a-*.json")))


def wait_until_stuck(folder: Path, jobs: int) -> None:
    """Both quick runs are stored, and the others are under way (a third worker is idle)."""
    hearts = [folder / f"heart-{2 + worker}" for worker in range(min(jobs, 2))]
    wait_for(lambda: finished_runs(folder) == 2 and all(heart.exists() for heart in hearts), "two finished runs")


def pids_of_executions(folder: Path, seed: int) -> list[int]:
    return [int(pid) for pid in (folder / f"executed-{seed}").read_text().split()]


def heartbeats(folder: Path) -> list[str]:
    return [path.read_text() for path in sorted(folder.glob("heart-*"))]


def nobody_works_anymore(folder: Path) -> bool:
    before = heartbeats(folder)
    time.sleep(0.3)
    return heartbeats(folder) == before


def resume(folder: Path, jobs: int) -> None:
    (folder / "go").touch()
    again = start(folder, jobs)
    _, errors = again.communicate(timeout=30)
    assert (again.returncode, errors) == (0, "")
    assert [len(pids_of_executions(folder, seed)) for seed in (0, 1)] == [1, 1]
    table = pd.read_parquet(folder / "out" / "runs.parquet")
    assert table.loc[table["metric"] == "score", "value"].tolist() == [0.0, 1.0, 2.0, 3.0]


def test_kill_9_keeps_finished_runs_and_leaves_no_worker_behind(tmp_path: Path) -> None:
    bench = start(tmp_path, jobs=2)
    wait_until_stuck(tmp_path, jobs=2)
    bench.kill()
    bench.communicate(timeout=30)
    wait_for(lambda: nobody_works_anymore(tmp_path), "the workers to end")
    assert finished_runs(tmp_path) == 2
    resume(tmp_path, jobs=2)


@pytest.mark.parametrize("jobs", [1, 3])
def test_ctrl_c_ends_promptly_and_says_what_is_kept(tmp_path: Path, jobs: int) -> None:
    bench = start(tmp_path, jobs)
    wait_until_stuck(tmp_path, jobs)
    os.killpg(bench.pid, signal.SIGINT)
    output, errors = bench.communicate(timeout=10)
    assert bench.returncode == 130
    assert output == f"interrupted, 2 of 4 runs kept in {tmp_path / 'out'}; the same command resumes\n"
    assert errors == ""
    assert nobody_works_anymore(tmp_path)
    if jobs == 1:
        resume(tmp_path, jobs)


def test_workers_leave_ctrl_c_to_their_parent(tmp_path: Path) -> None:
    bench = start(tmp_path, jobs=2)
    wait_until_stuck(tmp_path, jobs=2)
    for pid in pids_of_executions(tmp_path, 2) + pids_of_executions(tmp_path, 3):
        os.kill(pid, signal.SIGINT)
    (tmp_path / "go").touch()
    _, errors = bench.communicate(timeout=30)
    assert (bench.returncode, errors) == (0, "")
    assert finished_runs(tmp_path) == 4
