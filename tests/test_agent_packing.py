"""The packing agent: its network in two versions, its teacher, its training, and how it plays."""

from __future__ import annotations

import json
import subprocess
import sys
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="the extra `agents` is not installed")

import torch

from clustersim.agents import packing_train, shipped
from clustersim.agents.folder import read
from clustersim.agents.packing_config import PackingTrainConfig
from clustersim.agents.packing_evaluate import evaluate, players, table, wilson
from clustersim.agents.packing_games import Games, Lesson, failed_placement, failed_placements
from clustersim.agents.packing_network import NODE_OF_POD, PackingWeights, torch_network, weights_of
from clustersim.agents.packing_player import LearnedRepair
from clustersim.agents.packing_policy import RepairPlayer, columns, repaired, write_agent
from clustersim.agents.packing_teacher import Guide
from clustersim.agents.packing_train import gae
from clustersim.baselines.constraint_budget import Limits
from clustersim.baselines.kube import kube_default
from clustersim.control import Decision
from clustersim.envs.packing_columns import NODES, PODS, ROWS_TOLD, STATE, look
from clustersim.errors import ClustersimError, ConfigError
from clustersim.packing import NOWHERE, Packing, placed_by_tier
from clustersim.policy import RandomPolicy, ScorePolicy, run
from clustersim.repair import Repair
from clustersim.replica_sets import ReplicaSets
from clustersim.scenarios.pod_placement import PodPlacement
from clustersim.scenarios.pod_world import PLACE, REPLAN

SHIPPED = Path(next(iter(shipped.__path__))) / "ppo-packing"


@cache
def network() -> Any:
    """The torch twin with weights far from their start."""
    torch.manual_seed(5)
    made = torch_network(16)
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.normal_(0, 0.3)
    return made


def placements(count: int, shape: tuple[int, int] = (4, 4), seed: int = 950_000) -> list[Packing]:
    return list(islice(failed_placements(shape, seed), count))


def observed(game: Repair) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    pods = np.zeros((game.done, len(PODS.columns)), dtype=np.float32)
    nodes = np.zeros((game.evict - game.done - 1, len(NODES.columns)), dtype=np.float32)
    state = STATE.buffer()
    facts = look(game.view, game.choice)
    for encoder, out in ((PODS, pods), (NODES, nodes), (STATE, state)):
        encoder.fill(facts, out)
    return pods, nodes, state


def situations(shape: tuple[int, int]) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Observations of both stages on the way through random games."""
    rng = np.random.default_rng(3)
    found = []
    for packing in placements(3, shape):
        game = Repair(packing)
        mask = np.zeros(game.size, dtype=np.bool_)
        while game.legal(mask) and len(found) < 60:
            found.append(observed(game))
            game.play(int(rng.choice(np.flatnonzero(mask))))
    return found


def torch_logits(pods: np.ndarray, nodes: np.ndarray, state: np.ndarray) -> np.ndarray:
    with torch.no_grad():
        logits, _ = network()(*(torch.from_numpy(part[None]) for part in (pods, nodes, state)))
    found: np.ndarray = logits[0].numpy()
    return found


# --- network


@pytest.mark.parametrize("shape", [(2, 3), (4, 8), (9, 5)])
def test_both_versions_compute_the_same_logits_for_any_size(shape: tuple[int, int]) -> None:
    weights = weights_of(network())
    stages = set()
    for pods, nodes, state in situations(shape):
        expected, first = torch_logits(pods, nodes, state), len(pods) + 1
        found = weights.logits(pods, nodes, state)
        assert found.dtype == np.float32
        np.testing.assert_allclose(
            found, expected[first:] if state[0] else expected[:first], rtol=1e-3, atol=1e-4 * np.abs(expected).max()
        )
        stages.add(float(state[0]))
    assert stages == {0.0, 1.0}


def test_renaming_pods_and_nodes_renames_the_logits() -> None:
    weights = weights_of(network())
    rng = np.random.default_rng(0)
    for pods, nodes, state in situations((4, 4)):
        pod_order, node_order = rng.permutation(len(pods)), rng.permutation(len(nodes))
        renamed = pods[pod_order].copy()
        row = np.rint(renamed[:, NODE_OF_POD] * ROWS_TOLD).astype(int) - 1
        new_row = np.append(np.argsort(node_order), NOWHERE)[row]
        renamed[:, NODE_OF_POD] = (new_row + 1) / ROWS_TOLD
        before = weights.logits(pods, nodes, state)
        after = weights.logits(renamed, nodes[node_order], state)
        order = node_order if state[0] else pod_order
        np.testing.assert_allclose(after[:-1], before[:-1][order], rtol=1e-3, atol=1e-3)
        np.testing.assert_allclose(after[-1], before[-1], rtol=1e-3, atol=1e-3)


def test_weights_come_back_from_a_file_and_damage_is_named(tmp_path: Path) -> None:
    weights = weights_of(network())
    weights.save(tmp_path / "weights.npz")
    back = PackingWeights.load(tmp_path / "weights.npz")
    for name, values in weights.arrays.items():
        np.testing.assert_array_equal(back.arrays[name], values)
    np.savez(tmp_path / "other.npz", **{"pod.weight": np.zeros(3)})
    with pytest.raises(ClustersimError, match=r"other.npz does not hold the weights of a packing agent: it has no"):
        PackingWeights.load(tmp_path / "other.npz")
    (tmp_path / "weights.npz").write_bytes(b"PK\x03\x04")
    with pytest.raises(ClustersimError, match=r"weights.npz does not hold the weights"):
        PackingWeights.load(tmp_path / "weights.npz")


# --- teacher


def somewhere(packing: Packing, rng: np.random.Generator) -> np.ndarray:
    """A legal placement that has little to do with the present one."""
    node = np.full(len(packing.home), NOWHERE)
    free = np.column_stack([packing.cpu_milli, packing.memory_mib])
    for pod in rng.permutation(len(node)):
        fits = np.flatnonzero((packing.request[pod, :2] <= free).all(axis=1))
        if len(fits) and rng.random() < 0.95:
            node[pod] = rng.choice(fits)
            free[node[pod]] -= packing.request[pod, :2]
    return node


@pytest.mark.parametrize("shape", [(4, 4), (3, 8), (8, 4)])
def test_the_teacher_leads_to_the_target_by_legal_moves_only(shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(1)
    for packing in placements(8, shape):
        game = Repair(packing)
        target = somewhere(packing, rng)
        guide = Guide(game, target)
        mask, good = np.zeros(game.size, dtype=np.bool_), np.zeros(game.size, dtype=np.bool_)
        while game.legal(mask):
            guide.good(mask, good)
            assert good.any()
            assert not (good & ~mask).any()
            if game.choice.pod is None and game.choice.moves_left <= len(mask):
                arrived = good[game.done]
            game.play(int(rng.choice(np.flatnonzero(good))))
        if arrived:  # and not out of moves
            kinds = np.column_stack([packing.request, packing.priority])
            for found, wanted in zip(
                *(np.unique(np.column_stack([kinds, node]), axis=0) for node in (game.plan().node, target)), strict=True
            ):
                np.testing.assert_array_equal(found, wanted)


def test_where_pods_only_wait_for_each_other_the_teacher_evicts_one_for_a_while() -> None:
    packing = next(p for p in placements(40) if len(np.unique(p.home[p.home != NOWHERE])) == 4)
    game = Repair(packing)
    a, b = (int(np.flatnonzero(packing.home == n)[0]) for n in (0, 1))
    swapped = packing.home.copy()
    swapped[[a, b]] = 1, 0
    full = Packing(
        **{name: getattr(packing, name) for name in Packing.__dataclass_fields__}
        | {
            # Every node has exactly what it needs for both placements.
            "cpu_milli": most(packing, 0, swapped),
            "memory_mib": most(packing, 1, swapped),
            "priority": np.arange(len(swapped)),  # no two alike
        }
    )
    game = Repair(full)
    guide = Guide(game, swapped)
    mask, good = np.zeros(game.size, dtype=np.bool_), np.zeros(game.size, dtype=np.bool_)
    evictions = 0
    while game.legal(mask):
        guide.good(mask, good)
        k = int(good.argmax())
        evictions += k == game.evict
        game.play(k)
    np.testing.assert_array_equal(game.view.node, swapped)
    assert evictions <= 1


def most(packing: Packing, column: int, other: np.ndarray) -> np.ndarray:
    """What the nodes hold in either of two placements, whichever is more."""
    used = []
    for node in (packing.home, other):
        runs = node != NOWHERE
        weights = packing.request[runs, column]
        used.append(np.bincount(node[runs], weights=weights, minlength=len(packing.node_names)).astype(np.int64))
    return np.maximum(*used)


# --- playing


class Straight:
    """Follows a teacher."""

    def __init__(self, packing: Packing, target: np.ndarray) -> None:
        self.packing, self.target = packing, target

    def reset(self, rng: np.random.Generator) -> None:
        self.guide = None

    def act(self, decision: Decision) -> int:
        if decision.subject.moves_left == len(self.target) and decision.subject.pod is None:
            self.shadow = Repair(self.packing)
            self.guide = Guide(self.shadow, self.target)
        good = np.zeros(len(decision.mask), dtype=np.bool_)
        self.guide.good(decision.mask, good)
        k = int(good.argmax())
        self.shadow.play(k)
        return k


def test_the_plan_is_the_best_placement_on_the_way_and_none_if_nothing_is_better() -> None:
    from clustersim.baselines.constraint import solve

    improved = 0
    for packing in placements(12):
        now = placed_by_tier(packing, packing.home)
        solution = solve(packing, Limits(0.2))
        plan = repaired(packing, [Straight(packing, solution.plan.node)])
        if solution.placed > now:
            improved += 1
            assert plan is not None
            assert placed_by_tier(packing, plan.node) == solution.placed
            assert packing.why_illegal(plan) is None
        else:
            assert plan is None
        worse = repaired(packing, [Straight(packing, np.full_like(packing.home, NOWHERE))])
        assert worse is None
    assert improved > 3


@pytest.mark.parametrize("draw", [False, True])
def test_a_player_answers_legally_and_by_its_generator_alone(draw: bool) -> None:
    weights = weights_of(network())
    packing = placements(1)[0]

    def moves(seed: int) -> list[int]:
        player, game = RepairPlayer(weights, draw), Repair(packing)
        player.reset(np.random.default_rng(seed))
        mask, found = np.zeros(game.size, dtype=np.bool_), []
        while game.legal(mask):
            k = player.act(Decision("repair", "cluster", 0.0, game.choice, mask, game.view))
            assert mask[k]
            found.append(k)
            game.play(k)
        return found

    assert moves(1) == moves(1)
    assert (moves(1) == moves(2)) == (not draw)


def test_more_rollouts_are_never_worse() -> None:
    weights = weights_of(network())
    for number, packing in enumerate(placements(6)):
        found = []
        for rollouts in (1, 4):
            team = [RepairPlayer(weights, draw=r > 0) for r in range(rollouts)]
            for r, player in enumerate(team):
                player.reset(np.random.default_rng([number, r]))
            plan = repaired(packing, team)
            found.append(placed_by_tier(packing, packing.home if plan is None else plan.node))
        assert found[1] >= found[0]


# --- the agent that is shipped


def test_the_shipped_agent_improves_most_calls_of_every_size() -> None:
    weights = PackingWeights.load(SHIPPED / "weights.npz")
    for shape in ((4, 8), (8, 4), (20, 4)):
        packings = placements(12, shape)
        improved = sum(repaired(packing, [RepairPlayer(weights)]) is not None for packing in packings)
        assert improved >= 8, shape


def test_the_shipped_agent_says_how_it_was_trained_and_is_small() -> None:
    description = read(SHIPPED, columns())
    assert description["scenario"] == "pod-packing"
    assert "packing" in description["training"]["command"]
    assert sum(path.stat().st_size for path in SHIPPED.iterdir()) < 2_000_000
    assert "/work/" not in (SHIPPED / "policy.json").read_text()


def test_as_a_policy_of_replan_it_changes_the_cluster_for_the_better_or_not_at_all() -> None:
    carried_out = 0
    for seed in range(42, 48):
        world = PodPlacement(ReplicaSets(8, 4, 2, 1.0)(seed), mode="replay", replan="pending")
        simulation = world.build(seed)
        run(simulation, {PLACE: ScorePolicy(kube_default), REPLAN: LearnedRepair(SHIPPED)})
        before = PodPlacement(ReplicaSets(8, 4, 2, 1.0)(seed), mode="replay").build(seed)
        run(before, {PLACE: ScorePolicy(kube_default)})
        assert simulation.metrics()["pods_pending"] <= before.metrics()["pods_pending"]
        carried_out += simulation.metrics()["pods_pending"] < before.metrics()["pods_pending"]
    assert carried_out > 2


def test_a_folder_that_is_no_agent_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ClustersimError, match=r"is no trained agent: it has no policy.json"):
        LearnedRepair(tmp_path)
    write_agent(tmp_path, weights_of(network()), {})
    assert LearnedRepair(tmp_path).description["columns"]["state"][0] == "stage"
    text = json.loads((tmp_path / "policy.json").read_text())
    text["columns"]["pods"][0] = "colour"
    (tmp_path / "policy.json").write_text(json.dumps(text))
    with pytest.raises(ClustersimError, match="was trained on other observations"):
        LearnedRepair(tmp_path)
    (tmp_path / "policy.json").write_text("{")
    with pytest.raises(ClustersimError, match=r"policy.json is damaged"):
        LearnedRepair(tmp_path)


def test_playing_needs_no_torch() -> None:
    code = (
        "import sys, clustersim.agents.packing_player as p\n"
        f"p.LearnedRepair({str(SHIPPED)!r})\n"
        "print([name for name in ('torch', 'ortools', 'stable_baselines3') if name in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


# --- training


def test_advantages_are_what_the_formula_says() -> None:
    rewards = np.array([[1.0], [2.0], [4.0]], dtype=np.float32)
    values = np.array([[0.5], [1.0], [3.0], [8.0]], dtype=np.float32)
    over = np.array([[False], [True], [False]])
    last = 4 + 8 - 3
    second = 2 - 1  # the game ends here: what follows belongs to another one
    first = (1 + 1 - 0.5) + 0.9 * second
    np.testing.assert_allclose(gae(rewards, values, over, 0.9)[:, 0], [first, second, last], rtol=1e-6)


def test_games_played_side_by_side_see_what_the_environment_shows() -> None:
    packings = placements(4)
    games = Games([Lesson(packing) for packing in packings], 3, np.random.default_rng(0))
    rng = np.random.default_rng(1)
    ends = 0
    for _ in range(200):
        games.look()
        before = [(game, game.cost("shaped")) for game, _, _ in games._begun]
        for b, (game, _) in enumerate(before):
            for found, expected in zip((games.pods, games.nodes, games.state), observed(game), strict=True):
                np.testing.assert_array_equal(found[b], expected)
        rewards, over = games.step(np.array([rng.choice(np.flatnonzero(mask)) for mask in games.mask]))
        for b, (game, cost) in enumerate(before):
            assert rewards[b] == pytest.approx(cost - game.cost("shaped"), abs=1e-5)
            assert over[b] == game.over
        ends += int(over.sum())
    assert ends > 3


@pytest.mark.long
def test_training_repeats_and_learns_to_repair_a_placement(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packing_train, "SHAPES", ((4, 4),))
    config = PackingTrainConfig(
        lessons=12,
        placements=30,
        validation=12,
        window_s=0.1,
        imitation_updates=20,
        imitation_rate=3e-3,
        ppo_updates=30,
        ppo_rate=1e-3,
        critic_updates=2,
        validate_every=10,
        games=32,
        minibatch=256,
        hidden=32,
    )
    logs = []
    for name in ("first", "second"):
        folder = packing_train.train(config, tmp_path / name, "command")
        log = [line.split(",") for line in (folder / "log.csv").read_text().splitlines()]
        logs.append([[*line[:2], *line[3:]] for line in log])  # without the seconds
        assert {path.name for path in folder.iterdir()} == {"policy.json", "weights.npz", "log.csv"}
    assert logs[0] == logs[1]
    first, second = (PackingWeights.load(tmp_path / name / "weights.npz").arrays for name in ("first", "second"))
    for array in first:
        np.testing.assert_array_equal(first[array], second[array])
    with pytest.raises(ConfigError, match="first is not empty; choose another folder"):
        packing_train.train(config, tmp_path / "first", "command")
    training = read(tmp_path / "first", columns())["training"]
    assert training["command"] == "command"
    assert training["config"]["lessons"] == 12
    best = max((float(line[2]) + float(line[3])) / 2 for line in logs[0])
    assert (training["validation_improved"] + training["validation_matched"]) / 2 == pytest.approx(best, abs=1e-4)
    lessons = [Lesson(p, p.home) for p in placements(12, (4, 4), packing_train.VALIDATION_SEED)]
    chance = RandomPolicy()
    chance.reset(np.random.default_rng(0))
    assert packing_train.validate(chance, lessons)[0] < training["validation_improved"] > 0.3


def test_sizes_that_make_no_sense_are_refused() -> None:
    with pytest.raises(ConfigError, match="games is 0; it has to be at least 1"):
        PackingTrainConfig(games=0)
    with pytest.raises(ConfigError, match=r"follow is 1.5; it has to be in \[0, 1\]"):
        PackingTrainConfig(follow=1.5)


def test_an_evaluation_has_one_row_per_player_and_never_counts_a_call_as_made_worse() -> None:
    packing = failed_placement(ReplicaSets(4, 4, 2, 1.0), 950_001)
    assert packing is not None
    rows = list(evaluate(packing, players(weights_of(network())), Limits(0.1), seed=1))
    assert [row["player"] for row in rows] == ["cp-sat", "agent", "agent, best of 8", "greedy", "random"]
    for row in rows:
        assert row["matched"] + row["better"] <= 1
        assert row["improved"] or not (row["moved"] or row["evicted"])
    lines = table([{"nodes": 4, **row} for row in rows], "nodes").splitlines()
    assert len(lines) == 2 + 2 * len(rows)
    assert lines[2].startswith("| 4 | cp-sat | 1 | ")


def test_the_interval_of_a_share_is_wilson_s() -> None:
    # Newcombe 1998 (doi 10.1002/(SICI)1097-0258(19980430)17:8<857::AID-SIM777>3.0.CO;2-E), table I, method 3.
    for (hits, count), interval in {
        (81, 263): (0.2553, 0.3662),
        (0, 20): (0.0, 0.1611),
        (1, 29): (0.0061, 0.1718),
    }.items():
        assert wilson(hits, count) == pytest.approx(interval, abs=2e-4)
