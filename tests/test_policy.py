"""Choosing among legal candidates, and playing a simulation to its end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import simpy
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from worlds import MANY

from clustersim.control import ControlPlane, Decision, Role
from clustersim.errors import ConfigError, IllegalAnswer
from clustersim.policy import RandomPolicy, ScorePolicy, best_legal, best_legal_at_random, random_legal, run
from clustersim.streams import Streams

scores_and_mask = st.integers(1, 12).flatmap(
    lambda size: st.tuples(
        st.lists(st.sampled_from([-np.inf, -2.0, 0.0, 1.0, 3.0]), min_size=size, max_size=size).map(np.array),
        st.lists(st.booleans(), min_size=size, max_size=size).map(np.array),
    )
)


def decision_of(mask: list[bool], view: Any = None) -> Decision:
    return Decision("place", "agent", 0.0, None, np.array(mask), view)


def constant(scores: list[float]) -> Callable[[Decision, NDArray[np.float64]], None]:
    def score(_decision: Decision, out: NDArray[np.float64]) -> None:
        out[: len(scores)] = scores

    return score


@given(scores_and_mask)
@MANY
def test_the_best_is_the_lowest_index_of_the_highest_legal_score(
    world: tuple[NDArray[np.float64], NDArray[np.bool_]],
) -> None:
    scores, mask = world
    legal = [k for k in range(len(mask)) if mask[k]]
    expected = max(legal, key=lambda k: (scores[k], -k)) if legal else -1
    assert best_legal(scores, mask) == expected


@given(scores_and_mask, st.floats(0, 1, exclude_max=True))
@MANY
def test_random_ties_are_drawn_uniformly_over_the_best_and_nothing_else(
    world: tuple[NDArray[np.float64], NDArray[np.bool_]], uniform: float
) -> None:
    scores, mask = world
    legal = [k for k in range(len(mask)) if mask[k]]
    best = [k for k in legal if scores[k] == max(scores[legal])]
    expected = best[int(uniform * len(best))] if best else -1
    assert best_legal_at_random(scores, mask, uniform) == expected
    assert random_legal(mask, uniform) == (legal[int(uniform * len(legal))] if legal else -1)


def test_a_score_policy_takes_the_lowest_index_on_ties() -> None:
    policy = ScorePolicy(constant([5.0, 7.0, 7.0, 9.0]))
    policy.reset(np.random.default_rng(0))
    assert policy.act(decision_of([True, True, True, False])) == 1


def test_a_score_policy_with_random_ties_takes_each_of_the_best_about_as_often() -> None:
    policy = ScorePolicy(constant([5.0, 7.0, 7.0, 9.0, 7.0]), ties="random")
    policy.reset(np.random.default_rng(0))
    decision = decision_of([True, True, True, False, True])
    chosen = Counter(policy.act(decision) for _ in range(3000))
    assert sorted(chosen) == [1, 2, 4]
    assert all(count == pytest.approx(1000, abs=100) for count in chosen.values())


def test_a_random_policy_takes_each_legal_candidate_about_as_often() -> None:
    policy = RandomPolicy()
    policy.reset(np.random.default_rng(0))
    chosen = Counter(policy.act(decision_of([True, False, True, True])) for _ in range(3000))
    assert sorted(chosen) == [0, 2, 3]
    assert all(count == pytest.approx(1000, abs=100) for count in chosen.values())


def test_a_candidate_that_a_score_leaves_alone_is_the_last_choice() -> None:
    policy = ScorePolicy(constant([-1e300, -1e300]))  # as the scores of placement leave out the candidate to wait
    policy.reset(np.random.default_rng(0))
    assert policy.act(decision_of([True, True, True])) == 0
    assert policy.act(decision_of([False, False, True])) == 2


def test_a_candidate_that_a_score_leaves_alone_does_not_keep_its_score_of_before() -> None:
    def only_the_preferred(decision: Decision, out: NDArray[np.float64]) -> None:
        out[decision.view] = 1.0

    policy = ScorePolicy(only_the_preferred)
    policy.reset(np.random.default_rng(0))
    assert policy.act(decision_of([True, True], view=0)) == 0
    assert policy.act(decision_of([True, True], view=1)) == 1


class ThreeQuestions:
    """Asks the roles a, b, a."""

    def __init__(self) -> None:
        self.control = ControlPlane(simpy.Environment())
        self.streams = Streams(3)
        self.told: list[int] = []
        for name in "aba":
            self.control.ask(Role(name, "agent", 2, None, self._legal), name, lambda k, _detail: self.told.append(k))

    @staticmethod
    def _legal(_subject: Any, out: NDArray[np.bool_]) -> bool:
        out[:] = True
        return True


def test_run_asks_the_policy_of_each_role_and_counts_the_decisions() -> None:
    world = ThreeQuestions()
    a, b = ScorePolicy(constant([0.0, 1.0])), ScorePolicy(constant([1.0, 0.0]))
    assert run(world, {"a": a, "b": b}) == 3
    assert world.told == [1, 0, 1]


def test_run_gives_each_policy_the_stream_of_its_own_role() -> None:
    seen: dict[str, float] = {}

    def spy(role: str) -> Any:
        return SimpleNamespace(reset=lambda rng: seen.update({role: rng.random()}), act=lambda _decision: 0)

    run(ThreeQuestions(), {"a": spy("a"), "b": spy("b")})
    assert seen == {role: Streams(3)[f"policy/{role}"].random() for role in "ab"}
    assert seen["a"] != seen["b"]


def test_a_role_that_nobody_plays_is_named() -> None:
    with pytest.raises(ConfigError, match=r"nobody plays the role 'b'; policies were given for \['a'\]"):
        run(ThreeQuestions(), {"a": RandomPolicy()})


def test_an_illegal_answer_of_a_policy_stops_the_run() -> None:
    class Wrong(RandomPolicy):
        def act(self, decision: Decision) -> int:
            return 2

    with pytest.raises(IllegalAnswer, match="candidate 2 of role 'a'"):
        run(ThreeQuestions(), {"a": Wrong(), "b": Wrong()})
