"""One step per migration plays what the two stages play."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from vm_worlds import fleet

from clustersim.envs.vm_joint import JointAction
from clustersim.envs.vm_rescheduling import VmReschedulingEnv
from clustersim.errors import ConfigError

FLEETS = [fleet(seed, machines=6, sets=8, immovable=0.2, inactive=1) for seed in range(6)]
OPTIONS: dict[str, Any] = {"mnl": 8, "vm_rows": 60, "pm_rows": 9}


def two_stage(**more: Any) -> VmReschedulingEnv:
    return VmReschedulingEnv(FLEETS, **OPTIONS, **more)


def joint(**more: Any) -> JointAction:
    return JointAction(gymnasium.make("clustersim/VmRescheduling-v0", source=FLEETS, **OPTIONS, **more))


def assert_equal(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert one.keys() == other.keys()
    for name, table in one.items():
        np.testing.assert_array_equal(table, other[name], err_msg=name)


@pytest.mark.parametrize("illegal", ["fallback", "penalty"])
def test_a_joint_step_is_the_two_steps_of_the_stages(illegal: str) -> None:
    env, stages = joint(illegal=illegal), two_stage(illegal=illegal)
    rng = np.random.default_rng(0)
    total = 0.0
    for seed in range(6):
        (observation, info), (expected, told) = env.reset(seed=seed), stages.reset(seed=seed)
        over, migrations = False, 0
        while not over:
            assert_equal(observation, expected)
            np.testing.assert_array_equal(env.vm_mask(), told["action_mask"][:60])
            np.testing.assert_array_equal(info["action_mask"], env.action_masks())
            np.testing.assert_array_equal(info["action_mask"][:60], told["action_mask"][:60])
            vm = int(rng.choice(np.flatnonzero(env.vm_mask())))
            reachable = env.pm_mask(vm)
            assert_equal({"unchanged": env.vm_mask()}, {"unchanged": told["action_mask"][:60]})  # no step was taken
            pm = int(rng.choice(np.flatnonzero(reachable)))
            observation, reward, over, truncated, info = env.step(np.array([vm, pm]))
            _, first, _, _, told = stages.step(vm)
            np.testing.assert_array_equal(told["action_mask"][60:], reachable)
            elapsed_s = told["elapsed_s"]
            expected, second, ended, _, told = stages.step(60 + pm)
            assert (reward, over, truncated) == (first + second, ended, False)
            assert info.keys() == told.keys()
            for name in ("illegal_action", "illegal_actions", "time_s", "steps", "moves", "fragment_rate"):
                assert info[name] == told[name]
            assert info["elapsed_s"] == elapsed_s + told["elapsed_s"]
            total += reward
            migrations += 1
        assert migrations == 8
        assert info["metrics"] == told["metrics"]
        assert not info["action_mask"].any()
    assert total != 0


def test_the_masks_of_sb3_contrib_stand_one_behind_the_other() -> None:
    env = joint()
    env.reset(seed=0)
    mask = env.action_masks()
    assert mask.shape == (69,)
    np.testing.assert_array_equal(mask[60:], np.arange(9) < 6)
    for vm in np.flatnonzero(mask[:60]):
        assert not (env.pm_mask(int(vm)) & ~mask[60:]).any()


def test_an_illegal_vm_lets_the_first_legal_one_stay_and_counts_once() -> None:
    env = joint()
    _, info = env.reset(seed=0)
    closed = int(np.flatnonzero(~info["action_mask"])[0])
    for step, vm in enumerate((closed, 59), start=1):
        open_to_first = np.flatnonzero(env.pm_mask(int(env.vm_mask().argmax())))
        _, reward, _, _, info = env.step(np.array([vm, open_to_first[-1]]))
        assert (info["illegal_action"], info["illegal_actions"], reward) == (True, step, 0.0)
        assert (info["steps"], info["moves"]) == (step, 0)


@pytest.mark.parametrize(("illegal", "paid"), [("fallback", 0.0), ("penalty", -5.0)])
def test_an_illegal_machine_lets_the_vm_stay_and_counts_once(illegal: str, paid: float) -> None:
    env, rules = joint(illegal=illegal), joint()
    _, info = env.reset(seed=0)
    rules.reset(seed=0)
    step = 0
    for vm in np.flatnonzero(env.vm_mask())[:3]:
        closed = np.flatnonzero(~rules.pm_mask(int(vm)))
        for pm in (closed[0], 8):
            step += 1
            _, reward, _, _, info = env.step(np.array([vm, pm]))
            assert (info["illegal_action"], info["illegal_actions"], reward) == (True, step, paid)
            assert (info["steps"], info["moves"]) == (step, 0)


def test_an_illegal_vm_costs_five_where_illegal_pairs_do() -> None:
    env = joint(illegal="penalty")
    env.reset(seed=0)
    _, reward, _, _, info = env.step(np.array([59, 0]))
    assert (reward, info["illegal_actions"], info["moves"]) == (-5.0, 1, 0)


@pytest.mark.filterwarnings("ignore:.*is different from the unwrapped version")
def test_gymnasium_finds_nothing_to_complain_about() -> None:
    check_env(JointAction(two_stage()), skip_render_check=True)


def test_another_environment_is_refused() -> None:
    with pytest.raises(ConfigError, match="plays a VmReschedulingEnv, got a PodPackingEnv"):
        JointAction(gymnasium.make("clustersim/PodPacking-v0"))


@pytest.mark.long
def test_maskable_ppo_of_sb3_contrib_plays_joint_actions() -> None:
    pytest.importorskip("sb3_contrib", reason="the extra `agents` is not installed")
    from sb3_contrib import MaskablePPO

    env = JointAction(two_stage(illegal="penalty"))
    MaskablePPO("MultiInputPolicy", env, n_steps=16, batch_size=16, n_epochs=1, seed=0, device="cpu").learn(32)
