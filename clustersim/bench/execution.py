"""Execute the runs that a results folder still misses, and tabulate all of them."""

from __future__ import annotations

import io
from contextlib import closing

import pandas as pd

from clustersim.bench.atomic import write_atomically
from clustersim.bench.progress import Progress
from clustersim.bench.runs import Experiment, RunResult
from clustersim.bench.store import RunStore, UnusableRunError
from clustersim.bench.workers import Failure, outcomes
from clustersim.errors import ConfigError, ResultsError


class Interrupted(KeyboardInterrupt):
    """Ctrl-C during a benchmark; the text says how many runs are kept and how to go on."""


def execute(experiment: Experiment, store: RunStore, jobs: int, progress: Progress) -> pd.DataFrame:
    """Do the missing runs in `jobs` processes, write runs.parquet and series.parquet, and return the former.

    The table has the columns scenario, trace, policy, seed, metric, value, and its rows are in the order of
    `experiment.runs` whatever the number of jobs. Raises as `do_missing` does.
    """
    do_missing(experiment, store, jobs, progress)
    results = {run: store.load(*run) for run in experiment.runs}
    table = _runs_table(experiment, results)
    _write_parquet(store, "runs.parquet", table)
    _write_parquet(store, "series.parquet", _series_table(experiment, results))
    return table


def do_missing(experiment: Experiment, store: RunStore, jobs: int, progress: Progress) -> None:
    """Do the runs that the store does not have.

    Raises ResultsError after the last run when some have failed, and Interrupted on Ctrl-C; finished runs are kept
    either way.
    """
    if jobs < 1:
        raise ConfigError(f"jobs is {jobs}; use 1 or more")
    missing = _missing(experiment, store, progress)
    total = len(experiment.runs)
    kept = total - len(missing)
    failures: dict[tuple[str, int], Failure] = {}
    progress.start(total, kept)
    try:
        with closing(outcomes(experiment.play, missing, jobs)) as ended:
            for policy, seed, outcome in ended:
                if isinstance(outcome, Failure):
                    failures[policy, seed] = outcome
                else:
                    store.save(policy, seed, outcome)
                    kept += 1
                progress.advance(policy, seed)
    except KeyboardInterrupt as interrupt:
        raise Interrupted(
            f"interrupted, {kept} of {total} runs kept in {store.folder}; the same command resumes"
        ) from interrupt
    finally:
        progress.stop()
    _report_failures(failures, store, kept, total)


def _missing(experiment: Experiment, store: RunStore, progress: Progress) -> list[tuple[str, int]]:
    missing = []
    for policy, seed in experiment.runs:
        try:
            store.load(policy, seed)
        except FileNotFoundError:
            missing.append((policy, seed))
        except UnusableRunError as reason:
            progress.note(f"{reason}; it is done again")
            missing.append((policy, seed))
    return missing


def _report_failures(failures: dict[tuple[str, int], Failure], store: RunStore, kept: int, total: int) -> None:
    log = store.folder / "failures.txt"
    log.unlink(missing_ok=True)
    if not failures:
        return
    entries = [f"policy {policy!r}, seed {seed}\n{f.traceback}" for (policy, seed), f in failures.items()]
    write_atomically(log, "\n".join(entries).encode())
    named = [f"policy {policy!r}, seed {seed}: {f.error}" for (policy, seed), f in list(failures.items())[:3]]
    more = [f"and {len(failures) - 3} more"] if len(failures) > 3 else []
    raise ResultsError(
        f"{len(failures)} of {total} runs failed ({'; '.join(named + more)}); tracebacks are in {log}. "
        f"{kept} finished runs are kept: the same command does only the failed ones again"
    )


def _runs_table(experiment: Experiment, results: dict[tuple[str, int], RunResult]) -> pd.DataFrame:
    rows = [
        (experiment.scenario, experiment.trace, policy, seed, metric, value)
        for (policy, seed), result in results.items()
        for metric, value in result.rows.items()
    ]
    return pd.DataFrame(rows, columns=["scenario", "trace", "policy", "seed", "metric", "value"])


def _series_table(experiment: Experiment, results: dict[tuple[str, int], RunResult]) -> pd.DataFrame:
    """One row per point: scenario, trace, policy, seed, series, x, y, x_label, y_label."""
    points = [
        pd.DataFrame(
            {
                "scenario": experiment.scenario,
                "trace": experiment.trace,
                "policy": policy,
                "seed": seed,
                "series": name,
                "x": series.x,
                "y": series.y,
                "x_label": series.x_label,
                "y_label": series.y_label,
            }
        )
        for (policy, seed), result in results.items()
        for name, series in result.series.items()
    ]
    if points:
        return pd.concat(points, ignore_index=True)
    columns = ("scenario", "trace", "policy", "seed", "series", "x", "y", "x_label", "y_label")
    return pd.DataFrame({name: pd.Series(dtype=float if name in ("x", "y") else str) for name in columns})


def _write_parquet(store: RunStore, name: str, table: pd.DataFrame) -> None:
    buffer = io.BytesIO()
    table.to_parquet(buffer, index=False)
    write_atomically(store.folder / name, buffer.getvalue())
