"""Common random numbers: one generator per cause."""

from __future__ import annotations

import subprocess
import sys

import numpy as np

from clustersim.streams import Streams


def test_a_stream_depends_on_the_seed_and_the_cause_only() -> None:
    one, other = Streams(7), Streams(7)
    other["failures"].random(100)  # asked for first, and drawn from
    assert one["arrivals"].random(5).tolist() == other["arrivals"].random(5).tolist()


def test_different_causes_and_seeds_draw_different_numbers() -> None:
    drawn = [Streams(seed)[cause].random() for seed in (0, 1) for cause in ("a", "b", "policy/a", "")]
    assert len(set(drawn)) == len(drawn)


def test_asking_again_goes_on_with_the_same_generator() -> None:
    streams = Streams(7)
    first = streams["arrivals"].random(2).tolist()
    second = streams["arrivals"].random(2).tolist()
    assert [*first, *second] == Streams(7)["arrivals"].random(4).tolist()


def test_streams_do_not_touch_the_global_generator() -> None:
    before = np.random.get_state()[1].tolist()  # noqa: NPY002  (to see that nobody else uses it)
    Streams(7)["arrivals"].random(10)
    assert np.random.get_state()[1].tolist() == before  # noqa: NPY002


def test_streams_do_not_depend_on_the_hash_seed() -> None:
    code = "from clustersim.streams import Streams; print(Streams(7)['arrivals'].random())"
    drawn = {
        subprocess.run(
            [sys.executable, "-c", code], env={"PYTHONHASHSEED": seed}, capture_output=True, text=True, check=True
        ).stdout
        for seed in ("1", "2")
    }
    assert drawn == {f"{Streams(7)['arrivals'].random()}\n"}
