"""The two-stage agent: what it sees, what it may choose, that size and order do not matter, and that it learns."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from clustersim.agents import shipped, vm_player
from clustersim.agents.ppo_parts import draw
from clustersim.agents.two_stage import NetworkShape, TwoStage, keep_likely, look_for_node, look_for_vm, vms_of
from clustersim.agents.vm_chooser import LearnedChooser
from clustersim.agents.vm_config import VmTrainConfig
from clustersim.agents.vm_episodes import Episodes
from clustersim.agents.vm_player import COARSE, SIDE_BY_SIDE, LearnedMoves, Risk, load, play, write_agent
from clustersim.agents.vm_teacher import Game, Lesson, solved
from clustersim.agents.vm_tokens import look, look_at_nodes
from clustersim.agents.vm_train import train
from clustersim.baselines.vm_exact import Exact
from clustersim.baselines.vm_ha import Ha
from clustersim.errors import ClustersimError, ConfigError
from clustersim.traces.vm_like import VmLike
from clustersim.vm_fleet import Machines, Snapshot
from clustersim.vm_plan import Move, Task, carried_out

SHIPPED = Path(next(iter(shipped.__path__))) / "ppo-vm"
SMALL = NetworkShape(width=8, heads=2, blocks=2)
ATTENTION = ("tree", "plain", "none")
UNUSUAL = {"attention": "none", "action": "joint", "features": "published"}


def network(shape: NetworkShape = SMALL, seed: int = 1) -> TwoStage:
    torch.manual_seed(seed)
    return TwoStage(shape).requires_grad_(False)


def fleet(machines: int = 8, seed: int = 1, sets: int = 0, immovable: float = 0.0) -> Snapshot:
    like = VmLike(machines=machines, host_sets=sets, rack_sets=0, immovable_share=immovable, fragment_rate=None)
    return like(seed)


def tiny(**options: object) -> VmTrainConfig:
    config = VmTrainConfig(
        machines=(6, 8), moves_per_machine=(0.4, 0.4), width=8, heads=2, blocks=1, workers=0, imitation_updates=3,
        ppo_updates=2, rows=64, lessons=2, passes=2, games=2, siblings=2, critic_updates=1, validate_every=2,
        validation=((6, 0.5, 2),),
    )  # fmt: skip
    return replace(config, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "shape",
    [SMALL, replace(SMALL, attention="none"), replace(SMALL, action="joint"), replace(SMALL, features="published")],
)
@pytest.mark.parametrize("seed", range(2))
def test_only_what_is_legal_has_a_probability(shape: NetworkShape, seed: int) -> None:
    net = network(shape)
    state = Task(fleet(sets=4, immovable=0.3, seed=seed), 0).state()
    rng = np.random.default_rng(seed)
    mask = np.empty(state.rows, np.bool_)
    for made in range(6):
        assert state.vm_mask(mask)
        first = look_for_vm(net, [state], [made], [6])
        firsts = first.seen.first[0].ravel()
        possible = np.exp(first.vm_log_p[0].numpy()) > 0
        assert mask[firsts[possible]].all()
        assert first.seen.count[0].ravel()[possible].sum() == mask.sum()
        chosen = torch.from_numpy(rng.choice(np.flatnonzero(possible), 1))
        vm = vms_of(first.seen, chosen)[0]
        second = look_for_node(net, first, [state], chosen)
        allowed = [[state.may_move(vm, pm, numa) for numa in (0, 1)] for pm in range(state.machines)]
        np.testing.assert_array_equal(second.log_p[0].isfinite().numpy(), np.ravel(allowed))
        pm, numa = divmod(int(rng.choice(np.flatnonzero(allowed))), 2)
        state.move(vm, pm, numa)


@pytest.mark.parametrize("attention", ATTENTION)
def test_a_class_is_worth_as_much_as_its_vms_one_by_one(attention: str) -> None:
    net = network(replace(SMALL, attention=attention))  # type: ignore[arg-type]
    state = Task(fleet(sets=2), 5).state()
    merged, single = (look([state], [1], [5], merged=merge) for merge in (True, False))
    assert merged.count.max() > 1 == single.count.max()
    of_vm = {}
    for name, seen in (("merged", merged), ("single", single)):
        first = look_for_vm(net, [state], [1], [5], merged=name == "merged")
        share = first.vm_log_p[0].exp() / first.batch.count.flatten(1)[0].clamp(min=1)
        of_vm[name] = {vm: float(p) for vm, p in zip(seen.first.ravel(), share, strict=True) if vm >= 0}
        of_vm[name][-1] = float(net.values(first.known))
    for vm, p in of_vm["merged"].items():
        assert of_vm["single"][vm] == pytest.approx(p, rel=1e-4, abs=1e-7)


@pytest.mark.parametrize("attention", ATTENTION)
def test_the_order_of_machines_and_vms_does_not_matter(attention: str) -> None:
    net = network(replace(SMALL, attention=attention))  # type: ignore[arg-type]
    snapshot = fleet(sets=2)
    rng = np.random.default_rng(0)
    pms, vms = rng.permutation(len(snapshot.machines)), rng.permutation(len(snapshot))
    mixed = permuted(snapshot, pms, vms)
    moved = []
    for each in (snapshot, mixed):
        state = Task(each, 5).state()
        first = look_for_vm(net, [state], [0], [5])
        share = first.vm_log_p[0].exp() / first.batch.count.flatten(1)[0].clamp(min=1)
        per_vm = np.zeros(len(each))
        slots = {vm: float(p) for vm, p in zip(first.seen.first.ravel(), share, strict=True) if vm >= 0}
        key = list(zip(state.host, state.numa, state.shape, strict=True))
        by_key = {key[vm]: p for vm, p in slots.items()}
        per_vm[:] = [slots.get(vm, by_key[key[vm]]) for vm in range(len(each))]
        vm = 7 if each is snapshot else int(np.flatnonzero(vms == 7)[0])
        nodes, legal = look_at_nodes([state], [vm])
        moved.append((per_vm, nodes[0], legal[0], float(net.values(first.known))))
    (p, nodes, legal, value), (q, mixed_nodes, mixed_legal, mixed_value) = moved
    np.testing.assert_allclose(q, p[vms], rtol=1e-4, atol=1e-7)
    np.testing.assert_array_equal(mixed_nodes, nodes[pms])
    np.testing.assert_array_equal(mixed_legal, legal[pms])
    assert mixed_value == pytest.approx(value, rel=1e-4)


def permuted(snapshot: Snapshot, pms: np.ndarray, vms: np.ndarray) -> Snapshot:
    """Machine i of the result is machine pms[i], and so for VMs."""
    new_pm, new_vm = np.argsort(pms), np.argsort(vms)
    old = snapshot.machines
    return replace(
        snapshot,
        machines=Machines(
            tuple(old.name[i] for i in pms), old.rack[pms], old.cores[pms], old.memory_mib[pms], old.active[pms]
        ),
        vm_name=tuple(snapshot.vm_name[i] for i in vms),
        shape=snapshot.shape[vms],
        host=new_pm[snapshot.host[vms]],
        numa=snapshot.numa[vms],
        movable=snapshot.movable[vms],
        free_cores=snapshot.free_cores[pms],
        free_memory_mib=snapshot.free_memory_mib[pms],
        anti_affinity=tuple(
            replace(group, vms=tuple(int(new_vm[vm]) for vm in group.vms)) for group in snapshot.anti_affinity
        ),
    )


@pytest.mark.parametrize("machines", [3, 30])
def test_one_network_plays_fleets_of_any_size(machines: int) -> None:
    task = Task(fleet(machines), 5)
    plan = LearnedMoves(network(), samples=3)(task, np.random.default_rng(1))
    assert carried_out(task, plan.moves).fragment_rate <= task.state().fragment_rate


def test_more_samples_are_never_worse_and_change_none_before() -> None:
    task = Task(fleet(10), 6)
    rates = [
        carried_out(task, LearnedMoves(network(), samples=k, risk=Risk(0.5, 0.5))(task, np.random.default_rng(3)).moves)
        for k in (1, 2, SIDE_BY_SIDE, SIDE_BY_SIDE + 1, 3 * SIDE_BY_SIDE)
    ]
    fragments = [state.fragments for state in rates]
    assert fragments == sorted(fragments, reverse=True)
    assert fragments[-1] < fragments[0]


def test_samples_do_not_depend_on_how_many_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    task = Task(fleet(10), 6)
    games: dict[int, list[list[Move]]] = {}
    for k in (2, 2 * SIDE_BY_SIDE):
        games[k] = []

        def noted(*args: Any, found: list[list[Move]] = games[k], **options: Any) -> list[list[Move]]:
            found += play(*args, **options)
            return found[-len(args[1]) :]

        monkeypatch.setattr(vm_player, "play", noted)
        LearnedMoves(network(), samples=k, risk=Risk(0.5, 0.5))(task, np.random.default_rng(3))
    few, many = games.values()
    assert len(few) == 1 + SIDE_BY_SIDE < len(many)
    assert many[: len(few)] == few
    assert len({tuple(moves) for moves in few}) > 3


def test_no_vm_is_migrated_twice() -> None:
    task = Task(fleet(4), 20)
    moves = play(network(), [task.state()], [20])[0]
    assert len(moves) == len({move.vm for move in moves}) > 10


def test_moves_of_one_look_share_no_machine() -> None:
    task = Task(fleet(30), 8)
    state = task.state()
    moves = play(network(), [state], [8], moves_per_look=4)[0]
    home = [int(task.snapshot.host[move.vm]) for move in moves]
    for part in (slice(4), slice(4, 8)):
        used = [move.pm for move in moves[part]] + home[part]
        assert len(set(used)) == len(used) == 8
    assert play(network(), [task.state()], [8])[0][0] == moves[0]
    carried_out(task, LearnedMoves(network(), samples=3, moves_per_look=50)(task, np.random.default_rng(1)).moves)


def test_little_time_is_enough_for_a_coarse_plan_only() -> None:
    task = Task(fleet(30), 12)
    plan = LearnedMoves(network(), samples=1000, budget_s=1e-9)(task, np.random.default_rng(3))
    assert plan.figures["games"] == 1
    coarse = LearnedMoves(network(), moves_per_look=COARSE)(task, np.random.default_rng(3))
    assert plan.moves == coarse.moves
    in_time = LearnedMoves(network(), samples=3, budget_s=60.0)(task, np.random.default_rng(3))
    assert in_time.figures["games"] == 1 + 3
    assert carried_out(task, in_time.moves).fragments <= carried_out(task, coarse.moves).fragments


def test_an_empty_task_has_an_empty_plan() -> None:
    assert LearnedMoves(network())(Task(fleet(), 0), np.random.default_rng(1)).moves == ()


def test_candidates_under_the_quantile_are_left_out() -> None:
    log_p = torch.log(torch.tensor([[0.1, 0.6, 0.3, 0.0]]))
    count = torch.tensor([[1.0, 6.0, 1.0, 2.0]])  # one by one: .1, .1 six times, .3, 0 twice
    assert keep_likely(log_p, count, 0.9).isfinite().tolist() == [[False, False, True, False]]
    assert keep_likely(log_p, count, 0.8).isfinite().tolist() == [[True, False, True, False]]
    assert keep_likely(log_p, count, 0.7).isfinite().tolist() == [[True, True, True, False]]
    assert keep_likely(log_p, count, 0.0).isfinite().tolist() == [[True, True, True, False]]
    assert keep_likely(log_p, count, 1.0, fewest=2).isfinite().tolist() == [[True, False, True, False]]
    assert keep_likely(log_p, count, 0.0, least=0.5).isfinite().tolist() == [[False, False, True, False]]


def test_every_move_that_the_plan_still_holds_is_good_in_any_order() -> None:
    rng = np.random.default_rng(5)
    lesson = solved(Lesson(Task(fleet(12, seed=4), 5), 0), 5.0)
    game = Game(lesson)
    gained = game.to_gain
    assert gained > 0
    while game.goes_on:
        seen = look([game.state], [game.made], [game.mnl])
        good = game.good_vms(seen.first[0], seen.legal[0])
        vm = int(seen.first[0].ravel()[draw(good.reshape(1, -1), rng)[0]])
        pm, numa = divmod(int(draw(game.good_nodes(vm).reshape(1, -1), rng)[0]), 2)
        game.play(Move(vm, pm, numa))
    assert game.made == len(lesson.plan)
    assert game.to_gain == 0


@pytest.mark.parametrize("action", ["two-stage", "joint"])
def test_steps_of_ppo_belong_to_their_probabilities(action: str) -> None:
    net = network(replace(SMALL, action=action))  # type: ignore[arg-type]
    tasks = [Task(fleet(seed=seed), mnl) for seed, mnl in ((1, 4), (2, 6), (3, 5))]
    episodes = Episodes(net, tasks)
    rng = np.random.default_rng(1)
    with torch.no_grad():
        while episodes.step(rng):
            pass
        played = episodes.played(1.0, 1.0)
        known = net.know(played.batch)
        vm = torch.log_softmax(net.vm_logits(known, played.batch), dim=1)
        logits = net.node_logits(known, played.batch, played.vm, played.nodes, played.node_legal)
        node = torch.log_softmax(logits, dim=1)
    log_p = vm.gather(1, played.vm[:, None]) + node.gather(1, played.node[:, None])
    torch.testing.assert_close(log_p.squeeze(1), played.log_p, rtol=1e-4, atol=1e-5)
    assert episodes.moves == len(played.log_p) == 15
    # Without discount and with lambda 1 the target of the first step is all that was gained.
    gained = [
        (task.state().fragments - state.fragments) / 16 for task, state in zip(tasks, episodes.states, strict=True)
    ]
    np.testing.assert_allclose(played.target[:3], gained, atol=1e-5)


def test_the_joint_choice_is_one_choice_among_all_pairs() -> None:
    net = network(replace(SMALL, action="joint"))
    state = Task(fleet(), 5).state()
    first = look_for_vm(net, [state], [0], [5])
    pairs = net._pairs(first.known, first.batch)[0] + first.batch.count.flatten()[:, None].log()
    pairs[~first.batch.legal.flatten()] = -torch.inf
    joint = torch.softmax(pairs.flatten(), dim=0).view_as(pairs)
    for chosen in first.batch.legal.flatten().nonzero().flatten()[::5]:
        second = look_for_node(net, first, [state], chosen[None])
        torch.testing.assert_close(joint[chosen], (first.vm_log_p[0, chosen] + second.log_p[0]).exp())


def test_illegal_moves_are_paid_for_where_nothing_is_masked() -> None:
    net = network(replace(SMALL, action="penalty"))
    task = Task(fleet(), 8)
    episodes = Episodes(net, [task] * 4, penalty=2.0)
    rng = np.random.default_rng(1)
    while episodes.step(rng):
        pass
    rewards = np.concatenate(episodes._rewards)
    assert (rewards == -2.0).sum() > 4
    assert (rewards > -2.0).any()
    moves = play(net, [task.state()], [8])[0]
    carried_out(task, moves)


def test_training_learns_and_a_resumed_one_makes_the_same_weights(tmp_path: Path) -> None:
    lines: list[str] = []
    whole = train(tiny(), tmp_path / "whole", "clustersim train", progress=lines.append)
    assert [line.split(",")[0] for line in lines] == ["imitation"] * 3 + ["ppo"] * 2

    def stop(line: str) -> None:
        if line.split(",")[1] == str(stop_after):
            raise KeyboardInterrupt

    for stop_after in (2, 4):  # in imitation and in PPO
        out = tmp_path / f"stopped-{stop_after}"
        with pytest.raises(KeyboardInterrupt):
            train(tiny(), out, "clustersim train", progress=stop)
        train(tiny(), out, "clustersim train", resume=True)
        for name in ("checkpoint.pt",):
            expected, found = (torch.load(folder / name, weights_only=True) for folder in (whole, out))
            for weight, value in expected["network"].items():
                assert torch.equal(value, found["network"][weight])
    agent = load(whole)
    assert isinstance(agent, TwoStage)


def test_imitation_finds_the_moves_of_the_solver(tmp_path: Path) -> None:
    config = tiny(
        machines=(6,), moves_per_machine=(0.7, 0.7), varied_share=0.0, imitation_updates=4, ppo_updates=0,
        imitation_rate=1e-2, passes=6, validate_every=100,
    )  # fmt: skip
    lines: list[str] = []
    train(config, tmp_path / "agent", progress=lines.append)
    losses = [float(line.split(",")[4]) for line in lines]
    assert losses[-1] < 0.85 * losses[0]


def test_another_training_and_no_agent_are_told(tmp_path: Path) -> None:
    out = train(tiny(imitation_updates=1, ppo_updates=0), tmp_path / "agent")
    with pytest.raises(ConfigError, match="--resume"):
        train(tiny(imitation_updates=1, ppo_updates=0), out)
    with pytest.raises(ConfigError, match="lessons was 2 and is now 3"):
        train(tiny(imitation_updates=1, ppo_updates=0, lessons=3), out, resume=True)
    with pytest.raises(ClustersimError, match="no trained agent"):
        load(tmp_path)
    (out / "weights.npz").write_bytes(b"nothing")
    with pytest.raises(ClustersimError, match="does not hold the weights"):
        load(out)


@pytest.mark.parametrize(("machines", "mnl"), [(20, 5), (40, 14)])
def test_the_shipped_agent_leaves_less_than_greedy_search_and_nearly_as_little_as_is_possible(
    machines: int, mnl: int
) -> None:
    agent = LearnedMoves(SHIPPED, samples=9)
    rates = {"agent": 0.0, "ha": 0.0, "exact": 0.0}
    for seed in (1, 2, 3):
        task = Task(VmLike(machines=machines)(seed), mnl)
        for name, planner in (("agent", agent), ("ha", Ha()), ("exact", Exact(budget_s=20.0))):
            moves = planner(task, np.random.default_rng(1)).moves
            rates[name] += carried_out(task, moves).fragment_rate
    assert rates["agent"] <= 0.9 * rates["ha"]
    assert rates["agent"] <= 1.05 * rates["exact"]


def test_the_shipped_agent_plays_with_anti_affinity() -> None:
    task = Task(fleet(40, sets=10, immovable=0.1), 10)
    plan = LearnedMoves(SHIPPED, samples=2)(task, np.random.default_rng(1))
    assert carried_out(task, plan.moves).fragment_rate < 0.8 * task.state().fragment_rate


def test_the_machines_that_the_agent_has_a_hand_on_are_searched_first() -> None:
    task = Task(VmLike(machines=40)(1), 8)
    chooser = LearnedChooser(SHIPPED, share=0.25, blind=0.1)
    moves = LearnedMoves(SHIPPED)(task, np.random.default_rng(1)).moves
    used = {move.pm for move in moves} | {int(task.snapshot.host[move.vm]) for move in moves}
    rng = np.random.default_rng(1)
    drawn = [chooser(task, (), rng) for _ in range(50)]
    assert all(len(machines) == len(np.unique(machines)) == 10 for machines in drawn)
    hits = np.mean([len(used & set(machines.tolist())) / len(used) for machines in drawn])
    assert hits > 1.3 * 10 / 40
    assert used <= set(chooser(task, moves, rng).tolist())


def test_an_agent_plays_the_same_after_being_stored(tmp_path: Path) -> None:
    net = network()
    write_agent(tmp_path / "agent", net, {"command": "clustersim train", "config": {"seed": 1}})
    task = Task(fleet(), 4)
    states = [task.state(), task.state()]
    assert play(net, states[:1], [4]) == play(load(tmp_path / "agent"), states[1:], [4])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"machines": ()}, "name at least one size"),
        ({"machines": (1,)}, "2 machines or more"),
        ({"moves_per_machine": (0.5, 0.2)}, "a range above 0"),
        ({"lessons": 0}, "lessons is 0"),
        ({"gamma": 1.5}, "gamma is 1.5"),
        ({"workers": -1}, "at least 0"),
    ],
)
def test_settings_that_make_no_sense_are_told(options: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        tiny(**options)


def test_networks_and_players_that_make_no_sense_are_told() -> None:
    with pytest.raises(ConfigError, match="multiple of the heads"):
        NetworkShape(width=10, heads=3)
    with pytest.raises(ConfigError, match="attention is 'all'"):
        NetworkShape(attention="all")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="samples is 0"):
        LearnedMoves(network(), samples=0)
    with pytest.raises(ConfigError, match="vm_quantile is 2"):
        Risk(vm_quantile=2)
