"""Several agents in one simulation: cycles, masks, rewards, misuse, and what PettingZoo and SuperSuit ask for."""

from __future__ import annotations

import copy
import hashlib
import os
import pickle
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cloudpickle
import gymnasium
import numpy as np
import pytest

pytest.importorskip("pettingzoo", reason="the extra `agents` is not installed")

from pettingzoo.utils import OrderEnforcingWrapper
from pettingzoo.utils.conversions import aec_to_parallel
from toy_control import KEEP, SLOTS, ToyGame, ToySimulation
from zoo_checks import api_warnings, max_cycles_test, parallel_api_test, parallel_seed_test, seed_test, state_test

from clustersim.control import NO_CANDIDATE
from clustersim.envs.aec import DecisionAECEnv
from clustersim.envs.parallel import DecisionParallelEnv
from clustersim.errors import ClustersimError, ConfigError, IllegalAnswer

both_forms = pytest.mark.parametrize("flat", [False, True], ids=["dict", "flat"])


def parallel(**options: Any) -> DecisionParallelEnv:
    return DecisionParallelEnv(ToyGame(), **options)


def turns(**options: Any) -> DecisionAECEnv:
    return DecisionAECEnv(ToyGame(), **options)


def legal(info: dict[str, Any], rng: np.random.Generator) -> int:
    return int(rng.choice(np.flatnonzero(info["action_mask"])))


def digest(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ",".join(f"{key}:{digest(each)}" for key, each in value.items()) + "}"
    if isinstance(value, np.ndarray):
        return f"{value.dtype}{value.shape}{hashlib.sha256(value.tobytes()).hexdigest()[:16]}"
    return repr(value)


def transcript(env: DecisionParallelEnv, seed: int | None, most: int = 10**6) -> Iterator[str]:
    """One line per cycle of an episode that is played at random."""
    rng = np.random.default_rng(0)
    observations, infos = env.reset(seed=seed)
    yield digest(observations) + digest(infos)
    cycles = 0
    while env.agents and cycles < most:
        actions = {agent: legal(infos[agent], rng) for agent in env.agents}
        observations, rewards, over, cut, infos = env.step(actions)
        yield digest([actions, rewards, over, cut]) + digest(observations) + digest(infos) + digest(env.state())
        cycles += 1


def turn_transcript(env: DecisionAECEnv, seed: int | None) -> Iterator[str]:
    """One line per turn."""
    rng = np.random.default_rng(0)
    env.reset(seed=seed)
    for agent in env.agent_iter():
        observation, reward, over, cut, info = env.last()
        yield digest([agent, reward, over, cut]) + digest(observation) + digest(info)
        env.step(None if over or cut else legal(info, rng))


def whole_transcripts() -> str:
    lines = [*transcript(parallel(), 7), *transcript(parallel(flat=True), 8), *turn_transcript(turns(), 7)]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


# --- the checkers of the libraries


@both_forms
def test_pettingzoo_accepts_the_turns(flat: bool) -> None:
    assert api_warnings(OrderEnforcingWrapper(turns(flat=flat)), 300) == set()


@both_forms
def test_pettingzoo_accepts_the_parallel_form(flat: bool) -> None:
    parallel_api_test(parallel(flat=flat), num_cycles=300)


def test_pettingzoo_counts_the_cycles_that_were_asked_for() -> None:
    max_cycles_test(SimpleNamespace(env=turns, parallel_env=parallel))


@both_forms
def test_pettingzoo_finds_the_seeds_deterministic(flat: bool) -> None:
    seed_test(lambda: turns(flat=flat), 100)
    parallel_seed_test(lambda: parallel(flat=flat), 100)


def test_pettingzoo_accepts_the_state() -> None:
    state_test(turns(), parallel())


def test_pettingzoo_turns_the_turns_into_the_parallel_form() -> None:
    converted, own = aec_to_parallel(turns()), parallel()
    converted.reset(seed=3)
    own.reset(seed=3)
    rng = np.random.default_rng(0)
    while converted.agents:
        # By the masks of the turns, which know the answers before them, no two agents collide.
        env = converted.aec_env
        actions: dict[str, int] = {}
        twin_infos = {agent: env.infos[agent] for agent in env.agents}
        for agent in env.agents:
            actions[agent] = int(rng.choice(np.flatnonzero(twin_infos[agent]["action_mask"])))
        expected = own.step(actions)
        rewards = converted.step(actions)[1]
        assert rewards == pytest.approx(expected[1])
        assert set(converted.agents) == set(own.agents)
        assert converted.aec_env.simulation.history == own.simulation.history


# --- cycles


def test_an_agent_without_a_question_has_one_legal_action_its_noop() -> None:
    env, rng = parallel(), np.random.default_rng(1)
    idle = 0
    for seed in range(3):
        observations, infos = env.reset(seed=seed)
        while env.agents:
            for agent in env.agents:
                mask, info = observations[agent]["action_mask"], infos[agent]
                np.testing.assert_array_equal(mask, info["action_mask"])
                assert mask.dtype == np.int8
                if not info["asked"]:
                    assert np.flatnonzero(mask).tolist() == [KEEP if agent == "dial_0" else SLOTS]
                    idle += 1
            assert any(infos[agent]["asked"] for agent in env.agents)
            before = len(env.simulation.history)
            asked = {agent for agent in env.agents if infos[agent]["asked"]}
            observations, _, _, _, infos = env.step({agent: legal(infos[agent], rng) for agent in env.agents})
            answered = [each for each in env.simulation.history[before:] if each[2] != NO_CANDIDATE]
            assert {agent for _, agent, _ in answered} <= asked
    assert idle > 100


def test_every_agent_has_one_turn_in_a_cycle_and_those_that_are_asked_come_first() -> None:
    env, rng = turns(), np.random.default_rng(1)
    env.reset(seed=1)
    while not any(env.terminations.values()):
        order, asked = [], []
        cycle = env.episode.cycles
        while env.episode.cycles == cycle:
            agent = env.agent_selection
            order.append(agent)
            asked.append(agent in env.episode.asked)
            env.step(legal(env.infos[agent], rng))
        assert sorted(order) == sorted(env.possible_agents)
        assert asked == sorted(asked, reverse=True)


def played_in_turns(seed: int) -> tuple[list[dict[str, int]], list[dict[str, float]], list[Any], ToySimulation]:
    """Actions and rewards by cycle, and what was seen at the beginning of each."""
    env, rng = turns(local_share=0.3), np.random.default_rng(seed)
    env.reset(seed=seed)
    actions: list[dict[str, int]] = []
    rewards: list[dict[str, float]] = []
    seen = []
    while not any(env.terminations.values()):
        cycle = env.episode.cycles
        seen.append({agent: env.observe(agent) for agent in sorted(env.agents)})
        actions.append({})
        while env.episode.cycles == cycle:
            agent = env.agent_selection
            actions[-1][agent] = legal(env.infos[agent], rng)
            env.step(actions[-1][agent])
        rewards.append(dict(sorted(env.rewards.items())))
    return actions, rewards, seen, env.simulation


def test_turns_and_the_parallel_form_give_the_same_trajectory_for_the_same_actions() -> None:
    for seed in range(5):
        actions, rewards, seen, simulation = played_in_turns(seed)
        env = parallel(local_share=0.3)
        observations, infos = env.reset(seed=seed)
        for cycle, chosen in enumerate(actions):
            assert digest(dict(sorted(observations.items()))) == digest(seen[cycle])
            observations, paid, _, _, infos = env.step(chosen)
            assert dict(sorted(paid.items())) == rewards[cycle]
        assert not env.agents
        assert env.simulation.history == simulation.history
        assert infos["dial_0"]["metrics"] == simulation.metrics()


def first_duel(env: DecisionParallelEnv, urgent: tuple[bool, bool], free: int) -> dict[str, dict[str, Any]]:
    """Play until both pickers are asked about such jobs with so many free slots."""
    rng = np.random.default_rng(0)
    for seed in range(200):
        _, infos = env.reset(seed=seed)
        while env.agents:
            simulation = env.simulation
            subjects = {agent: env.episode.question(agent) for agent in ("picker_0", "picker_1")}
            if (
                all(
                    question is not None and question.subject == u
                    for question, u in zip(subjects.values(), urgent, strict=True)
                )
                and simulation.free.sum() == free
            ):
                return infos
            infos = env.step({agent: legal(infos[agent], rng) for agent in env.agents})[-1]
    raise AssertionError("never came about")


def test_whoever_answers_first_gets_the_slot_and_the_other_is_told() -> None:
    env = parallel()
    infos = first_duel(env, (False, False), free=2)
    slot = int(np.flatnonzero(env.simulation.free)[0])
    before = len(env.simulation.history)
    infos = env.step({"picker_0": slot, "picker_1": slot, "dial_0": KEEP})[-1]
    assert [answer[1:] for answer in env.simulation.history[before:] if answer[1] != "dial_0"] == [
        ("picker_0", slot),
        ("picker_1", SLOTS),  # it waits: its no-op is legal
    ]
    assert {agent: (info["overtaken"], info["illegal_action"]) for agent, info in infos.items()} == {
        "picker_0": (False, False),
        "picker_1": (True, False),
        "dial_0": (False, False),
    }


def test_a_question_whose_last_candidate_is_gone_is_answered_with_none() -> None:
    env = parallel()
    first_duel(env, (False, True), free=1)
    slot = int(np.flatnonzero(env.simulation.free)[0])
    lost = env.simulation.lost[1]
    infos = env.step({"picker_0": slot, "picker_1": slot, "dial_0": KEEP})[-1]
    assert env.simulation.lost[1] == lost + 1
    assert infos["picker_1"]["overtaken"]
    assert any(answer[1:] == ("picker_1", NO_CANDIDATE) for answer in env.simulation.history)


def test_in_turns_a_mask_holds_after_the_answers_before_it() -> None:
    env, rng = turns(), np.random.default_rng(0)
    told = {"gone": 0, "fewer": 0}
    for seed in range(20):
        env.reset(seed=seed)
        while not any(env.terminations.values()):
            agent, shown = env.agent_selection, {a: info["action_mask"].copy() for a, info in env.infos.items()}
            env.step(legal(env.infos[agent], rng))
            later = env.agent_selection
            if later in env.episode.asked and env.episode.asked[0] == later and agent in shown:
                mask = env.infos[later]["action_mask"]
                np.testing.assert_array_equal(mask, env.observe(later)["action_mask"])
                if not env.infos[later]["asked"]:
                    assert np.flatnonzero(mask).tolist() == [SLOTS]
                    told["gone"] += 1
                elif mask.sum() < shown[later].sum():
                    told["fewer"] += 1
            assert not any(info["overtaken"] for info in env.infos.values())
    assert told["gone"] > 0
    assert told["fewer"] > 0


# --- illegal and impossible actions


def test_an_illegal_action_is_answered_with_the_noop_or_the_first_legal_candidate() -> None:
    env = parallel()
    first_duel(env, (False, False), free=1)
    taken = int(np.flatnonzero(~env.simulation.free)[0])
    before = len(env.simulation.history)
    infos = env.step({"picker_0": taken, "picker_1": SLOTS, "dial_0": KEEP})[-1]
    assert env.simulation.history[before][1:] == ("picker_0", SLOTS)
    assert infos["picker_0"]["illegal_action"]
    assert not infos["picker_0"]["overtaken"]
    assert not infos["picker_1"]["illegal_action"]

    first_duel(env, (True, True), free=2)
    before = len(env.simulation.history)
    slots = np.flatnonzero(env.simulation.free).tolist()
    infos = env.step({"picker_0": SLOTS, "picker_1": SLOTS, "dial_0": KEEP})[-1]
    assert [answer[2] for answer in env.simulation.history[before : before + 2]] == slots
    assert infos["picker_1"]["illegal_action"]


def test_an_action_of_an_agent_without_a_question_changes_nothing_but_the_count() -> None:
    env, plain = parallel(), parallel()
    _, infos = env.reset(seed=2)
    plain.reset(seed=2)
    for count in (1, 2):
        assert not infos["picker_0"]["asked"]
        infos = env.step({"picker_0": 0, "picker_1": SLOTS, "dial_0": KEEP})[-1]
        plain.step({"picker_0": SLOTS, "picker_1": SLOTS, "dial_0": KEEP})
        assert infos["picker_0"]["illegal_action"]
        assert infos["picker_0"]["illegal_actions"] == count
        assert env.simulation.history == plain.simulation.history
        if infos["picker_0"]["asked"]:
            break
    legal_again = env.step({agent: int(info["action_mask"].argmax()) for agent, info in infos.items()})[-1]
    assert not legal_again["picker_0"]["illegal_action"]
    assert legal_again["picker_0"]["illegal_actions"] == infos["picker_0"]["illegal_actions"] > 0
    _, infos = env.reset(seed=2)
    assert infos["picker_0"]["illegal_actions"] == 0


ALL = {"picker_0": SLOTS, "picker_1": SLOTS, "dial_0": KEEP}
BAD_ACTIONS: dict[str, tuple[dict[str, Any], str]] = {
    "unknown agent": ({**ALL, "picker_2": 0}, "no agent 'picker_2'; the agents are picker_0, picker_1, dial_0"),
    "missing": ({"picker_0": SLOTS}, "no action for picker_1, dial_0"),
    "none": ({**ALL, "dial_0": None}, "'dial_0' is None of type NoneType; give one integer from 0 to 3"),
    "float": ({**ALL, "dial_0": 1.0}, "'dial_0' is 1.0 of type float"),
    "numpy float": ({**ALL, "dial_0": np.float32(1)}, "of type float32"),
    "text": ({**ALL, "dial_0": "1"}, "'1' of type str"),
    "truth": ({**ALL, "dial_0": True}, "True of type bool"),
    "numpy truth": ({**ALL, "dial_0": np.True_}, "of type bool"),
    "vector": ({**ALL, "dial_0": np.array([1])}, "of type ndarray"),
    "above": ({**ALL, "dial_0": 4}, "'dial_0' is 4; it has the actions 0 to 3"),
    "below": ({**ALL, "picker_1": -1}, "'picker_1' is -1; it has the actions 0 to 3"),
}


@pytest.mark.parametrize(("actions", "complaint"), BAD_ACTIONS.values(), ids=BAD_ACTIONS)
def test_a_wrong_action_is_refused_before_anything_is_played(actions: dict[str, Any], complaint: str) -> None:
    env = parallel()
    env.reset(seed=1)
    with pytest.raises(IllegalAnswer, match=complaint):
        env.step(actions)
    assert env.simulation.history == []
    env.step(ALL)


@pytest.mark.parametrize("action", [1, np.int64(1), np.int8(1), np.array(1)], ids=["int", "int64", "int8", "array"])
def test_every_kind_of_integer_is_an_action(action: Any) -> None:
    env = parallel()
    env.reset(seed=1)
    env.step({**ALL, "dial_0": action})


@pytest.mark.parametrize("action", [None, 1.0, 4, -1, True], ids=str)
def test_a_wrong_action_in_turns_is_refused_and_the_turn_stays(action: Any) -> None:
    env = turns()
    env.reset(seed=1)
    agent = env.agent_selection
    with pytest.raises(IllegalAnswer, match=f"{agent!r} is"):
        env.step(action)
    assert env.agent_selection == agent
    env.step(KEEP)


def test_a_finished_agent_takes_no_action() -> None:
    env = turns(max_cycles=1)
    env.reset(seed=1)
    for _ in env.possible_agents:
        env.step(SLOTS)
    with pytest.raises(IllegalAnswer, match=r"has finished, but its action is 3; give it None"):
        env.step(SLOTS)
    for left in (2, 1, 0):
        env.step(None)
        assert len(env.agents) == left
    with pytest.raises(gymnasium.error.ResetNeeded, match="over"):
        env.step(None)
    whole = parallel(max_cycles=1)
    whole.reset(seed=1)
    whole.step(ALL)
    with pytest.raises(gymnasium.error.ResetNeeded, match="over"):
        whole.step(ALL)
    whole.reset(seed=1)
    whole.agents.remove("dial_0")  # as wrappers do that take agents out
    with pytest.raises(IllegalAnswer, match="'dial_0' has finished; give actions only to picker_0, picker_1"):
        whole.step(ALL)
    assert whole.possible_agents == list(ALL)


@pytest.mark.parametrize("make", [parallel, turns])
def test_use_before_a_reset_asks_for_one(make: Callable[[], Any]) -> None:
    env = make()
    for use in (lambda: env.step({}), env.state, env.render, lambda: env.simulation):
        with pytest.raises(gymnasium.error.ResetNeeded, match="reset"):
            use()


def test_spaces_of_unknown_agents_are_refused() -> None:
    for space in (parallel().observation_space, turns().action_space):
        with pytest.raises(ClustersimError, match="no agent 'nobody'; the agents are picker_0"):
            space("nobody")


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"render_mode": "human"}, "render_mode is 'human'; choose one of"),
        ({"max_cycles": 0}, "max_cycles is 0"),
        ({"local_share": 1.5}, "local_share is 1.5"),
        ({"local_share": float("nan")}, "local_share is nan"),
    ],
)
def test_bad_options_are_refused(options: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        parallel(**options)


# --- observations, rewards, infos, ends


@both_forms
def test_every_observation_is_in_its_space_and_stays_as_it_was(flat: bool) -> None:
    env, rng = parallel(flat=flat), np.random.default_rng(3)
    kept = []
    for seed in range(2):
        observations, infos = env.reset(seed=seed)
        while True:
            for agent, observation in observations.items():
                assert observation in env.observation_space(agent)
                mask = observation[-env.action_space(agent).n :] if flat else observation["action_mask"]
                np.testing.assert_array_equal(mask, infos[agent]["action_mask"])
            assert env.state() in env.state_space
            kept.append((observations, digest(observations), infos, digest(infos)))
            if not env.agents:
                break
            observations, _, _, _, infos = env.step({agent: legal(infos[agent], rng) for agent in env.agents})
    for observations, seen, infos, told in kept:
        assert digest(observations) == seen
        assert digest(infos) == told


@pytest.mark.parametrize("local_share", [0.0, 0.4, 1.0])
def test_rewards_add_up_to_the_cost_shared_as_asked(local_share: float) -> None:
    env, rng = parallel(local_share=local_share), np.random.default_rng(3)
    _, infos = env.reset(seed=4)
    total = dict.fromkeys(env.agents, 0.0)
    components = dict.fromkeys(env.simulation.components(), 0.0)
    elapsed_s = infos["dial_0"]["elapsed_s"]
    while env.agents:
        _, rewards, _, _, infos = env.step({agent: legal(infos[agent], rng) for agent in env.agents})
        elapsed_s += infos["dial_0"]["elapsed_s"]
        for agent, reward in rewards.items():
            assert isinstance(reward, float)
            total[agent] += reward
        for name, increase in infos["dial_0"]["components"].items():
            components[name] += increase
    simulation = env.simulation
    team = simulation.cost("team")
    assert team > 100
    assert len({simulation.cost(agent) for agent in simulation.agents}) == 3
    for agent, reward in total.items():
        assert -reward == pytest.approx((1 - local_share) * team + local_share * simulation.cost(agent))
    assert components == pytest.approx(simulation.components())
    assert elapsed_s == pytest.approx(simulation.env.now)
    assert infos["dial_0"]["time_s"] == simulation.env.now


def test_rewards_in_turns_are_those_of_the_cycle() -> None:
    _, rewards, _, simulation = played_in_turns(3)
    for agent in simulation.agents:
        of_team = 0.7 * simulation.cost("team") + 0.3 * simulation.cost(agent)
        assert -sum(paid[agent] for paid in rewards) == pytest.approx(of_team)


def test_a_cycle_limit_truncates_and_the_end_of_the_simulation_terminates() -> None:
    whole = parallel()
    _, infos = whole.reset(seed=6)
    cycles = 0
    while whole.agents:
        assert "metrics" not in infos["dial_0"]
        _, _, over, cut, infos = whole.step(ALL)
        cycles += 1
    assert set(over.values()) == {True}
    assert set(cut.values()) == {False}
    assert infos["picker_0"]["metrics"] == whole.simulation.metrics()
    assert not any(info["asked"] for info in infos.values())

    for limit, ends in ((cycles - 1, (False, True)), (cycles, (True, False)), (cycles + 1, (True, False))):
        env = parallel(max_cycles=limit)
        env.reset(seed=6)
        while env.agents:
            _, _, over, cut, infos = env.step(ALL)
        assert (over["dial_0"], cut["dial_0"]) == ends
        assert ("metrics" in infos["dial_0"]) == ends[0]
        # What a learner bootstraps from still holds the open questions.
        assert any(info["asked"] for info in infos.values()) == ends[1]


def test_pictures_come_as_asked_for() -> None:
    for mode in ("ansi", "rgb_array", None):
        env = turns(render_mode=mode)
        env.reset(seed=1)
        picture = env.render()
        if mode == "ansi":
            assert picture == "free 3, level 1"
        elif mode == "rgb_array":
            assert picture.shape == (4, 4, 3)
        else:
            assert picture is None


# --- determinism, seeds, copies


def test_the_same_seed_plays_the_same_episode_to_its_end() -> None:
    first, second = parallel(), parallel()
    expected = list(transcript(first, 7))
    assert len(expected) > 50
    list(transcript(second, 8, most=20))
    assert list(transcript(second, 7)) == expected
    assert list(turn_transcript(turns(), 7)) == list(turn_transcript(turns(), 7))


@pytest.mark.parametrize("make", [parallel, turns])
def test_unseeded_episodes_differ_and_follow_from_the_first_seed(make: Callable[[], Any]) -> None:
    def seeds(env: Any) -> list[int]:
        drawn = []
        for seed in (5, None, None):
            env.reset(seed=seed)
            drawn.append(env.simulation.streams.seed)
        return drawn

    expected = seeds(make())
    assert expected[0] == 5
    assert len(set(expected)) == 3
    assert seeds(make()) == expected


@pytest.mark.long
def test_hash_seeds_and_processes_make_no_difference() -> None:
    script = f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r}); import test_env_multi_agent as t; "
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", script + "print(t.whole_transcripts())"],
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            stdout=subprocess.PIPE,
            text=True,
        )
        for hash_seed in ("0", "1")
    ]
    here = whole_transcripts()
    assert [process.communicate(timeout=100)[0].strip() for process in processes] == [here, here]


def test_an_episode_is_what_anybody_else_plays_with_that_seed() -> None:
    simulation = ToyGame().build(42)
    while decisions := simulation.control.advance_all():
        for decision in decisions:
            try:
                simulation.control.answer(decision, int(decision.mask.argmax()))
            except IllegalAnswer:  # taken by an answer before it; the mask is up to date now
                simulation.control.answer(decision, int(decision.mask.argmax()))
    env = turns()
    env.reset(seed=42)
    while not any(env.terminations.values()):
        env.step(int(env.infos[env.agent_selection]["action_mask"].argmax()))
    assert env.simulation.history == simulation.history
    assert env.simulation.metrics() == simulation.metrics()


class Quiet(ToyGame):
    """Some seeds ask nobody anything."""

    def __init__(self, quiet: Callable[[int], bool]) -> None:
        super().__init__()
        self.quiet = quiet

    def build(self, seed: int) -> ToySimulation:
        return ToySimulation(seed, 0.0 if self.quiet(seed) else self.horizon_s)


def test_an_episode_that_asks_nothing_is_left_out() -> None:
    env = DecisionParallelEnv(Quiet(lambda seed: seed < 2**30))
    drawn = []
    for _ in range(2):
        env.reset(seed=1)
        assert env.episode.asked
        drawn.append(env.simulation.streams.seed)
    assert drawn[0] == drawn[1] >= 2**30
    with pytest.raises(ConfigError, match="no episode of 'toy_v0' asks anything"):
        DecisionAECEnv(Quiet(lambda seed: True)).reset(seed=1)


COPIES: dict[str, Callable[[Any], Any]] = {
    "pickle": lambda env: pickle.loads(pickle.dumps(env)),
    "cloudpickle": lambda env: cloudpickle.loads(cloudpickle.dumps(env)),
    "deepcopy": copy.deepcopy,
}


@pytest.mark.parametrize("copied", COPIES.values(), ids=COPIES)
def test_a_copy_leaves_the_running_episode_behind(copied: Callable[[Any], Any]) -> None:
    expected = list(transcript(parallel(), 7))
    assert list(transcript(copied(parallel()), 7)) == expected
    env = parallel()
    env.reset(seed=7)
    env.step(ALL)
    twin = copied(env)
    with pytest.raises(gymnasium.error.ResetNeeded):
        twin.step(ALL)
    assert list(transcript(twin, 7)) == expected
    env.step(ALL)  # ... and the original plays on.
    half, half_twin = turns(), None
    half.reset(seed=7)
    half.step(KEEP)
    half_twin = copied(half)
    with pytest.raises(gymnasium.error.ResetNeeded):
        half_twin.step(KEEP)
    assert list(turn_transcript(half_twin, 7)) == list(turn_transcript(turns(), 7))
    half.step(SLOTS)


# --- SuperSuit


def test_supersuit_wrappers_work_unmodified() -> None:
    supersuit = pytest.importorskip("supersuit", reason="SuperSuit is not installed")
    env = supersuit.pad_action_space_v0(supersuit.pad_observations_v0(parallel(flat=True)))
    # Only while nobody is dead: when all die at once, SuperSuit 3.11 does not notice that the episode is over.
    parallel_api_test(supersuit.black_death_v3(env), num_cycles=60)
    indicated = supersuit.agent_indicator_v0(env, type_only=False)
    vector = supersuit.concat_vec_envs_v1(supersuit.pettingzoo_env_to_vec_env_v1(indicated), 2, base_class="gymnasium")
    observations, infos = vector.reset(seed=1)
    assert observations.shape == (6, vector.observation_space.shape[0])
    ends, rng = 0, np.random.default_rng(0)
    for _ in range(400):
        actions = np.array([legal(info, rng) for info in infos])
        observations, rewards, over, _, infos = vector.step(actions)
        assert observations[0] in vector.observation_space
        assert np.isfinite(rewards).all()
        ends += int(over.any())
    assert ends > 0


def test_supersuit_wraps_the_turns() -> None:
    supersuit = pytest.importorskip("supersuit", reason="SuperSuit is not installed")
    env = supersuit.pad_action_space_v0(supersuit.pad_observations_v0(turns(flat=True)))
    assert api_warnings(supersuit.agent_indicator_v0(env, type_only=True), 50) == set()
