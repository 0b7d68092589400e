"""Training: it finds a known optimum, keeps its promises about folders, and goes on after an interruption."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import asdict, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from clustersim.agents.learned import LearnedPolicy, write_agent
from clustersim.agents.nodewise import NodewiseShape, weights_of
from clustersim.baselines.registry import policy
from clustersim.envs.pod_placement import NODES, POD, PodPlacementEnv
from clustersim.errors import ConfigError
from clustersim.policy import Policy, run
from clustersim.scenarios.pod_placement import PodPlacement
from clustersim.scenarios.pod_world import PLACE
from clustersim.traces import openb_like
from clustersim.workload import NodeTable, PodTable, PodWorkload

pytest.importorskip("sb3_contrib")

from clustersim.agents.train import TrainConfig, train

TINY = TrainConfig(
    steps=256,
    nodes=4,
    reward="allocation",
    envs=4,
    rollout_steps=32,
    minibatch=64,
    epochs=1,
    gamma=0.999,
    hidden=8,
    checkpoint_every=128,
    device="cpu",
)


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> None:
    """As the command line does: with matrices this small a second thread costs more than it computes."""
    import torch

    torch.set_num_threads(1)


@cache
def small() -> PodWorkload:
    return openb_like(1, nodes=12)


def checkpoints(out: Path) -> list[int]:
    return sorted(int(path.stem.removeprefix("step-")) for path in (out / "checkpoints").glob("step-*.zip"))


# --- learning


@cache
def picky() -> PodWorkload:
    """4 T4 and 4 V100, 4 pods that accept both and 4 that accept V100 only: full if and only if the former take T4."""
    return PodWorkload(
        "picky",
        NodeTable(
            name=("v100", "t4"),
            cpu_milli=np.full(2, 64_000),
            memory_mib=np.full(2, 65_536),
            gpu_count=np.full(2, 4),
            gpu_model=("V100", "T4"),
        ),
        PodTable(
            name=tuple(f"pod-{i}" for i in range(8)),
            cpu_milli=np.full(8, 1000),
            memory_mib=np.full(8, 1024),
            num_gpu=np.ones(8, dtype=np.int64),
            gpu_milli=np.full(8, 1000),
            gpu_spec=((),) * 4 + (("V100",),) * 4,
            qos=("LS",) * 8,
            priority=np.zeros(8, dtype=np.int64),
            arrival_s=np.zeros(8),
            duration_s=np.full(8, np.nan),
            image=("",) * 8,
            image_mib=np.zeros(8, dtype=np.int64),
        ),
    )


def allocations(player: Policy) -> list[float]:
    """Final GPU allocation in percent, by seed."""
    found = []
    for seed in range(100, 120):
        simulation = PodPlacement(picky(), demand_ratio=1.0).build(seed)
        run(simulation, {PLACE: player})
        found.append(-simulation.cost("allocation"))
    return found


@pytest.mark.long
def test_ppo_finds_the_known_optimum_of_two_kinds_of_nodes(tmp_path: Path) -> None:
    """The model is no column: the network has to read from fragmentation and from what fits which node is scarce."""
    import torch
    from sb3_contrib import MaskablePPO
    from stable_baselines3.common.vec_env import DummyVecEnv

    from clustersim.agents.ppo import NodewisePolicy

    environments = DummyVecEnv([lambda: PodPlacementEnv(picky(), demand_ratio=1.0, flat=True)] * 8)
    environments.seed(1)
    model = MaskablePPO(
        NodewisePolicy,
        environments,
        n_steps=64,
        batch_size=128,
        n_epochs=4,
        learning_rate=3e-3,
        seed=1,
        device="cpu",
        policy_kwargs={
            "shape": NodewiseShape(len(NODES.columns), len(POD.columns), hidden=16),
            "rows": 2,
            "waits": False,
        },
    )

    def trained() -> LearnedPolicy:
        write_agent(tmp_path / "agent", weights_of(model.policy.mlp_extractor), {})
        return LearnedPolicy(tmp_path / "agent")

    with torch.no_grad():
        model.policy.mlp_extractor.logit.weight.neg_()  # this seed happens to start right; now it starts wrong
    for start in (allocations(trained()), allocations(policy("pod-placement", "random"))):
        assert np.mean(start) < 90
    model.learn(12_000)
    assert allocations(trained()) == [100.0] * 20

    # The whole model, as a checkpoint holds it, plays as before.
    model.save(tmp_path / "model.zip")
    loaded = MaskablePPO.load(tmp_path / "model.zip", device="cpu")
    env = PodPlacementEnv(picky(), demand_ratio=1.0, flat=True)
    player = trained()
    observation, info = env.reset(seed=100)
    over = False
    while not over:
        actions = [
            int(m.predict(observation, action_masks=info["action_mask"], deterministic=True)[0])
            for m in (model, loaded)
        ]
        assert env.decision is not None
        assert actions[0] == actions[1] == player.act(env.decision)
        observation, _, over, _, info = env.step(actions[0])


# --- what a training leaves behind


def test_a_training_leaves_an_agent_checkpoints_and_logs(tmp_path: Path) -> None:
    out = tmp_path / "deep" / "run"
    seen: list[tuple[int, str]] = []
    found = train(
        small(), TINY, out, description={"command": "by hand"}, progress=lambda done, note: seen.append((done, note))
    )
    assert found == out
    assert checkpoints(out) == [128, 256]
    assert sorted(path.name for path in out.iterdir()) == [
        "checkpoints",
        "config.json",
        "policy.json",
        "tensorboard",
        "weights.npz",
    ]
    assert [path.name for path in (out / "checkpoints").glob("unfinished*")] == []
    assert json.loads((out / "config.json").read_text()) == {"workload": "openb-like", **asdict(TINY)}
    assert any(path.stat().st_size for path in (out / "tensorboard").glob("events.out.tfevents.*"))
    training = LearnedPolicy(out).description["training"]
    assert training["command"] == "by hand"
    assert training["steps"] in (128, 256)
    assert training["config"] == asdict(TINY)
    assert [done for done, _ in seen] == [0, 128, 256]
    assert f"{training['validation_gpu_allocation_at_100']:.4f}" in seen[-1][1]
    run(PodPlacement(small(), nodes=9).build(1), {PLACE: LearnedPolicy(out)})


def test_the_same_seed_trains_the_same_agent(tmp_path: Path) -> None:
    folders = [train(small(), replace(TINY, steps=128), tmp_path / name) for name in ("a", "b")]
    one, two = (np.load(folder / "weights.npz") for folder in folders)
    for name in one:
        np.testing.assert_array_equal(one[name], two[name])
    other = np.load(train(small(), replace(TINY, steps=128, seed=2), tmp_path / "c") / "weights.npz")
    assert any((one[name] != other[name]).any() for name in one)
    for file in (one, two, other):
        file.close()


def test_a_folder_with_a_training_is_only_resumed(tmp_path: Path) -> None:
    train(small(), replace(TINY, steps=128), tmp_path)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    with pytest.raises(ConfigError, match="already holds a training; add --resume"):
        train(small(), replace(TINY, steps=128), tmp_path)
    with pytest.raises(ConfigError, match=r"gamma was 0\.999 and is now 0\.9, hidden was 8 and is now 16"):
        train(small(), replace(TINY, hidden=16, gamma=0.9), tmp_path, resume=True)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before
    train(small(), replace(TINY, steps=256), tmp_path, resume=True)
    assert checkpoints(tmp_path) == [128, 256]


@pytest.mark.parametrize("key", ["seed", "nodes", "reward", "learning_rate", "workload"])
def test_resuming_another_training_names_what_differs(tmp_path: Path, key: str) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"workload": "openb-like", **asdict(TINY)}))
    workload, config = small(), TINY
    if key == "workload":
        workload = replace(workload, name="another")
    else:
        values: dict[str, Any] = {"seed": 9, "nodes": 3, "reward": "shaped", "learning_rate": 0.5}
        config = replace(TINY, **{key: values[key]})
    with pytest.raises(ConfigError, match=f"holds another training: {key} was .* and is now .*; choose another folder"):
        train(workload, config, tmp_path, resume=True)


def test_folders_that_hold_no_training_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no training to resume"):
        train(small(), TINY, tmp_path / "absent", resume=True)
    assert not (tmp_path / "absent").exists()
    (tmp_path / "thesis.tex").write_text("precious")
    for resume in (False, True):
        with pytest.raises(ConfigError, match="no training"):
            train(small(), TINY, tmp_path, resume=resume)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


@pytest.mark.parametrize(("option", "value"), [("nodes", 13), ("device", "abacus"), ("demand_ratio", -1.0)])
def test_what_cannot_be_met_claims_no_folder(tmp_path: Path, option: str, value: Any) -> None:
    with pytest.raises(ConfigError, match=f"{option} is {value!r}"):
        train(small(), replace(TINY, **{option: value}), tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("option", "value"),
    [("steps", 0), ("envs", 0), ("nodes", -1), ("gamma", 0.0), ("gamma", 1.5), ("hidden", 0), ("checkpoint_every", 0)],
)
def test_impossible_settings_are_named(option: str, value: float) -> None:
    with pytest.raises(ConfigError, match=f"{option} is {value}"):
        replace(TINY, **{option: value})


def test_a_rollout_has_to_split_into_minibatches() -> None:
    with pytest.raises(ConfigError, match=r"4 x 32 decisions .* minibatches of 100; choose a divisor of 128"):
        replace(TINY, minibatch=100)


# --- interruptions


def test_ctrl_c_keeps_what_was_learned_and_resuming_finishes(tmp_path: Path) -> None:
    def interrupt(done: int, note: str) -> None:
        if done >= 128:
            raise KeyboardInterrupt

    config = replace(TINY, steps=512, checkpoint_every=10_000)
    with pytest.raises(KeyboardInterrupt):
        train(small(), config, tmp_path, progress=interrupt)
    assert checkpoints(tmp_path) == [128]
    LearnedPolicy(tmp_path)
    seen: list[int] = []
    train(small(), config, tmp_path, resume=True, progress=lambda done, note: seen.append(done))
    assert seen == [128, 256, 384, 512]
    assert checkpoints(tmp_path) == [128, 512]
    # Nothing is left to do, and nothing is done.
    train(small(), config, tmp_path, resume=True, progress=lambda done, note: seen.append(done))
    assert seen[4:] == []
    assert checkpoints(tmp_path) == [128, 512]


def test_ctrl_c_before_the_first_rollout_can_be_resumed(tmp_path: Path) -> None:
    def interrupt(done: int, note: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(small(), TINY, tmp_path, progress=interrupt)
    train(small(), TINY, tmp_path, resume=True)
    assert checkpoints(tmp_path)[-1] == 256


def test_a_resumed_training_goes_on_with_its_learning_rate_and_its_best_agent(tmp_path: Path) -> None:
    from sb3_contrib import MaskablePPO

    train(small(), TINY, tmp_path)
    training = json.loads((tmp_path / "policy.json").read_text())["training"]
    train(small(), replace(TINY, steps=512), tmp_path, resume=True)
    after = json.loads((tmp_path / "policy.json").read_text())["training"]
    assert after["validation_gpu_allocation_at_100"] >= training["validation_gpu_allocation_at_100"]
    model = MaskablePPO.load(tmp_path / "checkpoints" / "step-512.zip", device="cpu")
    assert model.num_timesteps == 512
    # The last update is made with what is left of the way: a quarter of it, of 512 decisions in rollouts of 128.
    assert model.policy.optimizer.param_groups[0]["lr"] <= 0.25 * TINY.learning_rate + 1e-12


@pytest.mark.parametrize("leftover", ["checkpoints/unfinished.zip", "candidate/weights.npz", "policy.json"])
def test_leftovers_of_a_kill_do_no_harm(tmp_path: Path, leftover: str) -> None:
    train(small(), replace(TINY, steps=128), tmp_path)
    if leftover == "policy.json":
        (tmp_path / leftover).unlink()  # killed before the first agent was written
    else:
        (tmp_path / leftover).parent.mkdir(exist_ok=True)
        (tmp_path / leftover).write_bytes(b"half a fi")
    train(small(), TINY, tmp_path, resume=True)
    assert checkpoints(tmp_path) == [128, 256]
    assert not (tmp_path / "candidate").exists()
    LearnedPolicy(tmp_path)


SCRIPT = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from dataclasses import replace
from test_agent_train import TINY, small, train
train(small(), replace(TINY, steps=10**9), Path(sys.argv[2]))
"""


@pytest.mark.long
def test_kill_9_loses_at_most_what_came_after_the_last_checkpoint(tmp_path: Path) -> None:
    out = tmp_path / "out"
    process = subprocess.Popen([sys.executable, "-c", SCRIPT, str(Path(__file__).parent), str(out)])
    deadline = time.monotonic() + 90
    while len(checkpoints(out)) < 2:
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGKILL)
    process.wait(timeout=30)
    last = checkpoints(out)[-1]
    seen: list[int] = []
    train(small(), replace(TINY, steps=last + 256), out, resume=True, progress=lambda done, note: seen.append(done))
    assert seen == [last, last + 128, last + 256]
    assert checkpoints(out)[-1] == last + 256
    LearnedPolicy(out)
