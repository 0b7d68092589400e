"""How much tenants slow each other."""

from __future__ import annotations

import gzip
import json
import os
from ast import literal_eval
from collections import defaultdict
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from clustersim.interference import KINDS, PAIRS, SLOWEST, slowdown


def test_tenants_that_leave_a_tenth_of_the_device_idle_do_not_slow_each_other() -> None:
    assert slowdown(0.0) == slowdown(0.5) == slowdown(0.9) == 1.0


@pytest.mark.parametrize(("pressure", "speed"), [(1.0, 0.9665), (1.4, 0.8325), (1.9, 0.665), (2.9, 0.33)])
def test_the_hinge_is_the_fit_to_lucids_pairs(pressure: float, speed: float) -> None:
    assert slowdown(pressure) == pytest.approx(speed)


def test_the_hinge_passes_close_to_lucids_means_by_pressure() -> None:
    # Reference 4.2: mean speed by the sum of the utilisations of the pair, at the middle of each class.
    for pressure, speed in ((0.625, 1.007), (0.875, 0.97), (1.125, 0.926), (1.375, 0.844), (1.625, 0.753)):
        assert slowdown(pressure) == pytest.approx(speed, abs=0.031)


def test_k_tenants_slow_each_other_by_the_sum_of_their_loads_down_to_the_floor() -> None:
    speeds = [slowdown(k * 0.6) for k in range(1, 12)]
    assert speeds[:3] == pytest.approx([1.0, 0.8995, 0.6985])
    assert all(later <= earlier for earlier, later in pairwise(speeds))
    assert speeds[-1] == SLOWEST == 0.2
    assert min(speeds) == 0.2


def test_the_table_has_a_row_and_a_column_per_kind_and_cannot_be_changed() -> None:
    assert PAIRS.shape == (len(KINDS), len(KINDS))
    assert (PAIRS >= SLOWEST).all()
    assert (PAIRS < 1).all()
    with pytest.raises(ValueError, match="read-only"):
        PAIRS[0, 0] = 1.0


def test_the_table_is_that_of_gavels_measurements() -> None:
    root = Path(os.environ.get("CLUSTERSIM_TRACES") or Path(__file__).parents[2] / "shared" / "traces")
    path = root / "dl_gavel" / "simulation_throughputs.json.gz"
    if not path.is_file():
        pytest.skip(f"Gavel's throughputs are not in {root}")
    v100 = json.loads(gzip.decompress(path.read_bytes()))["v100"]
    shares = defaultdict(list)
    for mine, row in v100.items():
        (my_type, my_gpus) = literal_eval(mine)
        for other, throughputs in row.items():
            if other == "null":
                continue
            other_type, other_gpus = literal_eval(other)
            # A pair that does not fit into the memory has throughput 0.
            if my_gpus == other_gpus == 1 and throughputs[0] > 0:
                kinds = my_type.split(" (")[0], other_type.split(" (")[0]
                shares[kinds].append(throughputs[0] / row["null"])
    measured = [[np.mean(shares[mine, other]) for other in KINDS] for mine in KINDS]
    np.testing.assert_allclose(PAIRS, measured, atol=0.005 + 1e-9)
