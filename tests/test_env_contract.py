"""What every registered environment promises to Gymnasium, stable-baselines3 and the benchmark."""

from __future__ import annotations

import copy
import hashlib
import os
import pickle
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import cloudpickle
import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

import clustersim.envs
from clustersim.control import Decision
from clustersim.envs.vm_standard import standardisation
from clustersim.policy import run
from clustersim.replica_sets import ReplicaSets
from clustersim.traces import openb_like
from clustersim.traces.vm_like import VmLike
from clustersim.workload import PodWorkload


@cache
def small() -> PodWorkload:
    return openb_like(1, nodes=24)


# Constructor arguments to check beside the defaults.
SMALL = {"workload": small(), "nodes": 8, "rows": 11}
REPLAY = {**SMALL, "mode": "replay", "arrival_speedup": 3000.0, "reward": "fragmentation"}
FLEETS = [VmLike(5)(seed) for seed in range(12)]
VARIANTS: dict[str, list[dict[str, Any]]] = {
    "clustersim/PodPlacement-v0": [
        SMALL,
        {**SMALL, "flat": True, "reward": "shaped"},
        REPLAY,
        {**REPLAY, "flat": True, "queue": "head"},
    ],
    "clustersim/PodPacking-v0": [
        {"instances": ReplicaSets(4, 8, 2, 1.05), "flat": True, "reward": "lexicographic"},
        {"instances": ReplicaSets(16, 4, 1, 1.0), "pod_rows": 70, "node_rows": 19},
        {"instances": ReplicaSets(4, 8, 4, 0.9), "pod_rows": 40, "flat": True},
    ],
    "clustersim/DagScheduling-v0": [
        {"noise": 0.3, "wait": True, "node_rows": 60, "reward": "energy"},
        {"binding": "firm", "max_jobs": 2, "node_rows": 30, "edge_rows": 20, "flat": True},
    ],
    "clustersim/DagDispatch-v0": [
        {"noise": 0.3, "wait": True, "binding": "late", "slots": 3, "reward": "makespan"},
        {"max_jobs": 3, "node_rows": 9, "flat": True},
    ],
    "clustersim/VmRescheduling-v0": [
        {"source": VmLike(8, host_sets=4), "mnl": 6, "vm_rows": 130, "pm_rows": 11, "landing": "first"},
        {"source": FLEETS, "mnl": 5, "standardise": standardisation(FLEETS), "flat": True, "reward": "fragment_rate"},
        {"source": FLEETS, "mnl": 5, "illegal": "penalty", "every_s": 60.0, "horizon_s": 120.0, "delay_s": 5.0},
    ],
    "clustersim/ClusterControl-v0": [
        {"learner": "placer", "duration_s": 300.0, "rows": 20},
        {"learner": "migrator", "duration_s": 600.0, "flat": True, "reward": "slo_miss"},
    ],
}
CASES = [(name, variant) for name in clustersim.envs.ENVIRONMENTS for variant in ({}, *VARIANTS.get(name, ()))]


LONG = ("workload", "source", "standardise")  # too long for the name of a test


def label(value: Any) -> str | None:
    if isinstance(value, dict):
        return "-".join(str(v).replace(" ", "") for k, v in value.items() if k not in LONG) or "defaults"
    return None


every_environment = pytest.mark.parametrize(("name", "variant"), CASES, ids=label)


def make(name: str, variant: dict[str, Any], **more: Any) -> gymnasium.Env[Any, Any]:
    return gymnasium.make(name, **variant, **more).unwrapped


class FirstLegal:
    def __init__(self) -> None:
        self.decisions = 0

    def reset(self, rng: np.random.Generator) -> None:
        pass

    def act(self, decision: Decision) -> int:
        self.decisions += 1
        return int(decision.mask.argmax())


def random_legal(mask: np.ndarray, rng: np.random.Generator) -> int:
    return int(rng.choice(np.flatnonzero(mask)))


def digest(value: Any) -> str:
    """A text that changes with any value in an observation or an info, dictionaries in their own order."""
    if isinstance(value, dict):
        return "{" + ",".join(f"{key}:{digest(each)}" for key, each in value.items()) + "}"
    if isinstance(value, np.ndarray):
        return f"{value.dtype}{value.shape}{hashlib.sha256(value.tobytes()).hexdigest()[:16]}"
    return repr(value)


def transcript(env: gymnasium.Env[Any, Any], seed: int | None, most: int = 400) -> Iterator[str]:
    """One line per step of an episode that is played at random."""
    rng = np.random.default_rng(0)
    observation, info = env.reset(seed=seed)
    over, step = False, 0
    yield f"{digest(observation)} {digest(info)}"
    while not over and step < most:
        action = random_legal(info["action_mask"], rng)
        observation, reward, over, truncated, info = env.step(action)
        assert not truncated
        yield f"{action} {reward!r} {over} {digest(observation)} {digest(info)}"
        step += 1


def all_transcripts() -> str:
    lines = [line for name, variant in CASES for line in transcript(make(name, variant), 7)]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


# --- the checkers of the libraries


@every_environment
@pytest.mark.parametrize("render_mode", [None, "ansi", "rgb_array"])
def test_gymnasium_finds_nothing_to_complain_about(name: str, variant: dict[str, Any], render_mode: str | None) -> None:
    check_env(make(name, variant, render_mode=render_mode))


@every_environment
def test_stable_baselines3_finds_nothing_to_complain_about(name: str, variant: dict[str, Any]) -> None:
    pytest.importorskip("stable_baselines3", reason="the extra `agents` is not installed")
    from stable_baselines3.common.env_checker import check_env as check_for_sb3

    env = make(name, variant)
    with warnings.catch_warnings():
        if isinstance(env.observation_space, gymnasium.spaces.Dict):
            # A table is neither an image nor a vector; SB3's MultiInputPolicy flattens it, flat=True is for the rest.
            warnings.filterwarnings(
                "ignore",
                message="Your observation (nodes|pods|tasks|edges|pairs|table|machines|vms) has an unconventional",
            )
        check_for_sb3(env, warn=True)


@every_environment
def test_gymnasium_make_with_all_its_wrappers_plays_an_episode(name: str, variant: dict[str, Any]) -> None:
    env = gymnasium.make(name, **variant)
    env.action_space.seed(0)
    _, info = env.reset(seed=1)
    over = False
    while not over:
        _, reward, over, _, info = env.step(env.action_space.sample(mask=info["action_mask"].astype(np.int8)))
        assert isinstance(reward, float)
    assert info["illegal_actions"] == 0
    env.close()


# --- observations, masks, infos


@every_environment
def test_every_observation_is_in_the_space_and_every_mask_is_told_twice(name: str, variant: dict[str, Any]) -> None:
    env: Any = make(name, variant)
    rng = np.random.default_rng(3)
    kept = []
    for seed in (0, 1):
        observation, info = env.reset(seed=seed)
        over = False
        while True:
            assert observation in env.observation_space
            for part in observation.values() if isinstance(observation, dict) else [observation]:
                assert part.dtype == np.float32
            mask = info["action_mask"]
            assert mask.dtype == np.bool_
            assert mask.shape == (env.action_space.n,)
            np.testing.assert_array_equal(mask, env.action_masks())
            assert mask.any() == (not over)
            kept.append((observation, mask, digest(observation), digest(mask)))
            if over:
                break
            observation, _, over, _, info = env.step(random_legal(mask, rng))
        assert info["metrics"] == pytest.approx(env.simulation.metrics(), nan_ok=True)
    # Callers keep observations and masks past the next step (rollout buffers).
    for observation, mask, of_observation, of_mask in kept:
        assert (digest(observation), digest(mask)) == (of_observation, of_mask)


@every_environment
def test_elapsed_seconds_add_up_to_the_time(name: str, variant: dict[str, Any]) -> None:
    env: Any = make(name, variant)
    rng = np.random.default_rng(3)
    for _ in range(2):
        _, info = env.reset(seed=4)
        elapsed_s, over = info["elapsed_s"], False
        while not over:
            _, _, over, _, info = env.step(random_legal(info["action_mask"], rng))
            assert info["elapsed_s"] >= 0
            elapsed_s += info["elapsed_s"]
        assert elapsed_s == pytest.approx(info["time_s"])


# --- determinism


@every_environment
def test_the_same_seed_plays_the_same_episode(name: str, variant: dict[str, Any]) -> None:
    first, second = make(name, variant), make(name, variant)
    expected = list(transcript(first, 7))
    assert list(transcript(second, 7)) == expected
    other = list(transcript(second, 8, most=30))  # an episode that is left before its end
    assert other[1:] != expected[1 : len(other)]
    assert list(transcript(second, 7)) == expected


@every_environment
def test_unseeded_episodes_differ_and_follow_from_the_first_seed(name: str, variant: dict[str, Any]) -> None:
    env, again = make(name, variant), make(name, variant)
    episodes = [list(transcript(env, seed, most=30)) for seed in (5, None, None)]
    assert episodes == [list(transcript(again, seed, most=30)) for seed in (5, None, None)]
    assert len({"\n".join(lines) for lines in episodes}) == 3


@pytest.mark.long
def test_hash_seeds_and_processes_make_no_difference() -> None:
    script = f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r}); import test_env_contract as t; "
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", script + "print(t.all_transcripts())"],
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            stdout=subprocess.PIPE,
            text=True,
        )
        for hash_seed in ("0", "1")
    ]
    here = all_transcripts()
    assert [process.communicate(timeout=100)[0].strip() for process in processes] == [here, here]


@every_environment
def test_an_episode_is_what_a_benchmark_plays_with_that_seed(name: str, variant: dict[str, Any]) -> None:
    env: Any = make(name, variant)
    played = 0
    for seed in range(42, 72):
        simulation = env.scenario.build(seed)
        player = FirstLegal()
        run(simulation, {**env.others, **dict.fromkeys(env.roles, player)})
        if player.decisions == 0:  # nothing is asked with this seed; reset goes on to another episode
            continue
        _, info = env.reset(seed=seed)
        over, steps = False, 0
        while not over:
            _, _, over, _, info = env.step(int(info["action_mask"].argmax()))
            steps += 1
        assert steps == player.decisions
        assert digest(info["metrics"]) == digest(simulation.metrics())
        played += 1
        if played == 2:
            return
    pytest.fail(f"only {played} of 30 seeds ask anything")


# --- misuse


@every_environment
def test_steps_outside_an_episode_ask_for_a_reset(name: str, variant: dict[str, Any]) -> None:
    env: Any = make(name, variant)
    for use in (lambda: env.step(0), lambda: env.simulation, env.render):
        with pytest.raises(gymnasium.error.ResetNeeded, match="reset"):
            use()
    list(transcript(env, 1, most=10**6))
    with pytest.raises(gymnasium.error.ResetNeeded, match="over"):
        env.step(0)
    env.reset()
    env.step(0)


# --- pickles and vectors


COPIES: dict[str, Callable[[Any], Any]] = {
    "pickle": lambda env: pickle.loads(pickle.dumps(env)),
    "cloudpickle": lambda env: cloudpickle.loads(cloudpickle.dumps(env)),
    "deepcopy": copy.deepcopy,
}


@pytest.mark.parametrize("copied", COPIES.values(), ids=COPIES)
@every_environment
def test_a_copy_leaves_the_running_episode_behind(
    name: str, variant: dict[str, Any], copied: Callable[[Any], Any]
) -> None:
    expected = list(transcript(make(name, variant), 7))
    fresh = copied(make(name, variant))
    assert list(transcript(fresh, 7)) == expected
    env: Any = make(name, variant)
    env.reset(seed=7)
    moves = np.random.default_rng(0)
    middle = min(20, len(expected) // 2)  # some episodes are short
    for _ in range(middle):
        env.step(random_legal(env.action_masks(), moves))
    twin = copied(env)
    with pytest.raises(gymnasium.error.ResetNeeded):
        twin.step(0)
    assert list(transcript(twin, 7)) == expected
    # ... and the original plays on as if nothing had happened.
    assert len(expected) > middle + 1
    for line in expected[middle + 1 : 40]:
        action = int(line.split(" ", 1)[0])
        observation, reward, over, _, info = env.step(action)
        assert f"{action} {reward!r} {over} {digest(observation)} {digest(info)}" == line


VECTOR_CASES = [CASES[1], CASES[-1]] if len(CASES) > 1 else CASES


def check_gymnasium_vector(vector: gymnasium.vector.VectorEnv[Any, Any, Any], steps: int) -> None:
    rng = np.random.default_rng(1)
    _, info = vector.reset(seed=[3, 4])
    ends = 0
    for _ in range(steps):
        masks = info["action_mask"]
        assert masks.shape == (2, vector.single_action_space.n)
        # Where an episode has just ended nothing is legal, and the action is ignored: the vector resets there.
        actions = np.array([random_legal(mask, rng) if mask.any() else 0 for mask in masks])
        observations, rewards, over, _, info = vector.step(actions)
        assert observations in vector.observation_space
        assert np.isfinite(rewards).all()
        ends += int(over.sum())
        np.testing.assert_array_equal(over, ~info["action_mask"].any(axis=1))
        assert not info["illegal_action"].any()
        assert ("metrics" in info) == bool(over.any())
    assert ends >= 2
    vector.close()


@pytest.mark.parametrize(("name", "variant"), VECTOR_CASES, ids=label)
def test_a_synchronous_vector_plays_through_the_ends_of_episodes(name: str, variant: dict[str, Any]) -> None:
    check_gymnasium_vector(gymnasium.make_vec(name, num_envs=2, vectorization_mode="sync", **variant), 400)


@pytest.mark.long
@pytest.mark.parametrize(("name", "variant"), VECTOR_CASES[-1:], ids=label)
def test_an_asynchronous_vector_plays_through_the_ends_of_episodes(name: str, variant: dict[str, Any]) -> None:
    # Spawned, because forking beside the threads of numba and torch is unsafe (and warned of from Python 3.12 on).
    options = {"context": "spawn"}
    vector = gymnasium.make_vec(
        f"clustersim.envs:{name}", num_envs=2, vectorization_mode="async", vector_kwargs=options, **variant
    )
    check_gymnasium_vector(vector, 400)


def check_sb3_vector(vector: Any, steps: int) -> None:
    from sb3_contrib.common.maskable.utils import get_action_masks

    rng = np.random.default_rng(1)
    vector.seed(5)
    vector.reset()
    ends = 0
    for _ in range(steps):
        masks = get_action_masks(vector)
        observations, rewards, over, infos = vector.step(np.array([random_legal(mask, rng) for mask in masks]))
        for part in observations.values() if isinstance(observations, dict) else [observations]:
            assert part.dtype == np.float32
            assert len(part) == 2
        assert np.isfinite(rewards).all()
        assert not any(info["illegal_action"] for info in infos)
        for ended, info in zip(over, infos, strict=True):
            assert ("metrics" in info) == bool(ended)
        ends += int(over.sum())
    assert ends >= 2
    vector.close()


class Maker:
    """Makes an environment; a class, because other processes unpickle it."""

    def __init__(self, name: str, variant: dict[str, Any]) -> None:
        self.name, self.variant = name, variant

    def __call__(self) -> gymnasium.Env[Any, Any]:
        import clustersim.envs  # noqa: F401  (registers, in a process that has not)

        return gymnasium.make(self.name, **self.variant)


@pytest.mark.parametrize(("name", "variant"), VECTOR_CASES, ids=label)
def test_a_dummy_vector_of_sb3_plays_through_the_ends_of_episodes(name: str, variant: dict[str, Any]) -> None:
    pytest.importorskip("stable_baselines3", reason="the extra `agents` is not installed")
    from stable_baselines3.common.vec_env import DummyVecEnv

    check_sb3_vector(DummyVecEnv([Maker(name, variant)] * 2), 400)


@pytest.mark.long
@pytest.mark.parametrize(("name", "variant"), VECTOR_CASES[:1], ids=label)
def test_a_subprocess_vector_of_sb3_plays_through_the_ends_of_episodes(name: str, variant: dict[str, Any]) -> None:
    pytest.importorskip("stable_baselines3", reason="the extra `agents` is not installed")
    from stable_baselines3.common.vec_env import SubprocVecEnv

    check_sb3_vector(SubprocVecEnv([Maker(name, variant)] * 2, start_method="spawn"), 300)
