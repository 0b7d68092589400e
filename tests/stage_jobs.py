"""Small jobs whose tasks have several instances, with data to send and a machine that cannot run everything."""

from __future__ import annotations

import numpy as np

from clustersim.dags import Dag, DagWorkload, batch, uniform_machines


def stages(seed: int) -> DagWorkload:
    """Four jobs of a few stages with many instances on six machines, one of which cannot run everything."""
    rng = np.random.default_rng(seed)
    jobs = []
    for number in range(4):
        count = int(rng.integers(2, 7))
        edges = np.array([(a, b) for a in range(count) for b in range(a + 1, count) if rng.random() < 0.5])
        run_time_s = rng.uniform(0.1, 3, (count, 6))
        run_time_s[rng.random(count) < 0.3, 5] = np.inf
        jobs.append(
            Dag(
                f"job-{number}",
                tuple(f"stage-{stage}" for stage in range(count)),
                run_time_s,
                edges.reshape(-1, 2).astype(np.int64),
                rng.uniform(0, 2, len(edges)),
                rng.integers(1, 9, count),
                rng.uniform(0, 1, count),
            )
        )
    return batch("stages", uniform_machines(6, bytes_per_s=1.0, latency_s=0.1), jobs, switch_s=0.5)
