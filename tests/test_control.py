"""The question-and-answer loop: when questions surface, what answers are accepted, who is told what."""

from __future__ import annotations

from collections.abc import Callable, Generator
from math import inf
from typing import Any

import numpy as np
import pytest
import simpy
from numpy.typing import NDArray

from clustersim.control import NO_CANDIDATE, ControlPlane, Role
from clustersim.errors import IllegalAnswer

Told = list[tuple[Any, int]]


class World:
    """A control plane over three slots that any question may be answered with while they are free."""

    def __init__(self, horizon_s: float = inf) -> None:
        self.env = simpy.Environment()
        self.control = ControlPlane(self.env, horizon_s)
        self.free = np.array([True, True, True])
        self.told: Told = []

    def role(self, agent: str = "agent", name: str = "place") -> Role:
        return Role(name, agent, len(self.free), None, self._legal)

    def _legal(self, _subject: Any, out: NDArray[np.bool_]) -> bool:
        out[:] = self.free
        return bool(out.any())

    def ask(self, role: Role, subject: Any) -> None:
        self.control.ask(role, subject, lambda k, _detail: self.take(subject, k))

    def take(self, subject: Any, k: int) -> None:
        self.told.append((subject, k))
        if k != NO_CANDIDATE:
            self.free[k] = False

    def at(self, time_s: float, do: Callable[[], None]) -> None:
        self.env.timeout(time_s).callbacks.append(lambda _event: do())


def test_a_question_surfaces_after_everything_else_of_its_instant() -> None:
    world = World()
    role = world.role()
    happened = []

    def later_at_the_same_instant(depth: int) -> None:
        happened.append(depth)
        if depth:
            world.at(0.0, lambda: later_at_the_same_instant(depth - 1))
        else:
            world.free[1] = False

    world.at(5.0, lambda: world.ask(role, "pod"))
    world.at(5.0, lambda: later_at_the_same_instant(3))
    world.at(5.1, lambda: happened.append(-1))
    decision = world.control.advance()
    assert decision is not None
    assert (decision.time_s, world.env.now) == (5.0, 5.0)
    assert happened == [3, 2, 1, 0]
    assert decision.mask.tolist() == [True, False, True]


def test_the_mask_is_computed_when_the_question_surfaces_and_not_when_it_was_raised() -> None:
    world = World()
    role = world.role()
    world.ask(role, "first")
    world.ask(role, "second")
    first = world.control.advance()
    assert first is not None
    world.control.answer(first, 0)
    second = world.control.advance()
    assert second is not None
    assert second.mask.tolist() == [False, True, True]


def test_questions_of_one_instant_surface_in_the_order_in_which_they_were_raised() -> None:
    world = World()
    roles = [world.role("b"), world.role("a"), world.role("b")]
    for subject, role in enumerate(roles):
        world.ask(role, subject)
    while (decision := world.control.advance()) is not None:
        world.control.answer(decision, int(decision.mask.argmax()))
    assert world.told == [(0, 0), (1, 1), (2, 2)]


def test_a_question_without_a_legal_candidate_is_not_asked_and_the_asker_is_told() -> None:
    world = World()
    world.free[:] = False
    world.ask(world.role(), "pod")
    assert world.control.advance() is None
    assert world.told == [("pod", NO_CANDIDATE)]
    assert world.control.answers == 0


def test_what_an_unasked_asker_does_next_happens_before_the_next_question() -> None:
    world = World()
    role = world.role()
    none_legal = Role("other", "agent", 1, None, lambda _subject, out: False)
    world.control.ask(none_legal, "unlucky", lambda _k, _detail: world.at(0.0, lambda: world.take("unlucky", 2)))
    world.ask(role, "lucky")
    decision = world.control.advance()
    assert decision is not None
    assert decision.mask.tolist() == [True, True, False]


@pytest.mark.parametrize("k", [1, 3, -1, -3, 1000])
def test_an_illegal_answer_names_the_numbers_and_leaves_the_decision_open(k: int) -> None:
    world = World()
    world.free[1] = False
    world.at(7.0, lambda: world.ask(world.role(), "pod 'etl'"))
    decision = world.control.advance()
    assert decision is not None
    with pytest.raises(IllegalAnswer, match=rf"candidate {k} .*'place'.*t=7.0 s for pod 'etl': 2 of 3 .*\(0, 2\)"):
        world.control.answer(decision, k)
    assert world.told == []
    world.control.answer(decision, 2)
    assert world.told == [("pod 'etl'", 2)]


def test_a_decision_cannot_be_answered_twice() -> None:
    world = World()
    world.ask(world.role(), "pod")
    decision = world.control.advance()
    assert decision is not None
    world.control.answer(decision, 0)
    with pytest.raises(IllegalAnswer, match="answered already"):
        world.control.answer(decision, 1)
    assert world.told == [("pod", 0)]


def test_the_simulation_does_not_go_on_while_a_decision_is_open() -> None:
    world = World()
    world.ask(world.role(), "pod")
    decision = world.control.advance()
    assert decision is not None
    with pytest.raises(IllegalAnswer, match=r"1 decision\(s\) wait"):
        world.control.advance()
    with pytest.raises(IllegalAnswer, match=r"1 decision\(s\) wait"):
        world.control.advance_all()
    world.control.answer(decision, 0)
    assert world.control.advance() is None


def test_the_asker_gets_the_detail_that_the_policy_left() -> None:
    world = World()
    heard: list[Any] = []
    world.control.ask(world.role(), "pod", lambda k, detail: heard.append((k, detail)))
    decision = world.control.advance()
    assert decision is not None
    decision.detail = "device 3"
    world.control.answer(decision, 1)
    assert heard == [(1, "device 3")]


def test_a_policy_cannot_write_into_the_mask() -> None:
    world = World()
    world.ask(world.role(), "pod")
    decision = world.control.advance()
    assert decision is not None
    with pytest.raises(ValueError, match="read-only"):
        decision.mask[0] = False


@pytest.mark.parametrize(("free", "answer"), [(True, 2), (False, NO_CANDIDATE)])
def test_a_process_waits_for_its_answer_and_goes_on_at_the_same_instant(free: bool, answer: int) -> None:
    world = World()
    world.free[:] = free
    role = world.role()
    heard = []

    def process() -> Generator[simpy.Event, int, None]:
        yield world.env.timeout(4.0)
        k = yield world.control.question(role, "pod")
        heard.append((world.env.now, k))
        yield world.env.timeout(1.0)
        heard.append((world.env.now, k))

    world.env.process(process())
    while (decision := world.control.advance()) is not None:
        assert heard == []
        world.control.answer(decision, 2)
    assert heard == [(4.0, answer), (5.0, answer)]


def test_what_settles_comes_after_the_events_and_before_the_questions_of_its_instant() -> None:
    world = World()
    order: list[str] = []
    world.ask(world.role(), "asked first")

    def first_settled() -> None:
        order.append("first settled")
        world.at(0.0, lambda: order.append("event raised by the first settled"))

    world.control.settle(first_settled)
    world.control.settle(lambda: order.append("second settled"))
    world.at(0.0, lambda: order.append("event"))
    assert world.control.advance() is not None
    assert order == ["event", "first settled", "event raised by the first settled", "second settled"]


def test_agents_that_answer_at_the_same_time_are_asked_together_and_each_once() -> None:
    world = World()
    a, b = world.role("a"), world.role("b")
    for subject, role in (("a1", a), ("b1", b), ("a2", a), ("b2", b)):
        world.ask(role, subject)
    together = world.control.advance_all()
    assert [d.subject for d in together] == ["a1", "b1"]
    for decision, k in zip(together, (0, 1), strict=True):
        world.control.answer(decision, k)
    # The last slot is taken by a2, so that b2 is told that nothing is left, and not asked.
    rest = world.control.advance_all()
    assert [d.subject for d in rest] == ["a2", "b2"]
    world.control.answer(rest[0], 2)
    world.control.answer(rest[1], 2)
    assert world.told == [("a1", 0), ("b1", 1), ("a2", 2), ("b2", NO_CANDIDATE)]
    assert world.control.advance_all() == []


def test_questions_held_back_keep_their_order_before_what_is_asked_later() -> None:
    world = World()
    a, b = world.role("a"), world.role("b")
    for subject, role in (("a1", a), ("a2", a), ("a3", a), ("b1", b)):
        world.ask(role, subject)
    for decision in world.control.advance_all():
        world.control.answer(decision, int(decision.mask.argmax()))
        world.ask(b, f"after {decision.subject}")
        world.free[:] = True
    order = []
    while (decision_or_none := world.control.advance()) is not None:
        order.append(decision_or_none.subject)
        world.control.answer(decision_or_none, 0)
        world.free[:] = True
    assert order == ["a2", "a3", "after a1", "after b1"]


def test_the_second_agent_must_choose_another_slot_than_the_first() -> None:
    world = World()
    world.ask(world.role("a"), "first")
    world.ask(world.role("b"), "second")
    first, second = world.control.advance_all()
    world.control.answer(first, 0)
    with pytest.raises(IllegalAnswer, match=r"candidate 0 .* 2 of 3 candidates are \(1, 2\)"):
        world.control.answer(second, 0)
    assert world.control.still_legal(second)
    assert second.mask.tolist() == [False, True, True]
    world.control.answer(second, 1)
    assert world.told == [("first", 0), ("second", 1)]


def test_the_second_agent_is_told_when_the_first_took_the_last_slot() -> None:
    world = World()
    world.free[:] = [False, True, False]
    world.ask(world.role("a"), "first")
    world.ask(world.role("b"), "second")
    first, second = world.control.advance_all()
    world.control.answer(first, 1)
    assert not world.control.still_legal(second)
    with pytest.raises(IllegalAnswer):  # whoever looked knows that there is nothing to choose any more
        world.control.answer(second, 1)


def test_a_decision_without_a_candidate_is_closed_and_its_asker_told() -> None:
    world = World()
    world.free[:] = [False, True, False]
    world.ask(world.role("a"), "first")
    world.ask(world.role("b"), "second")
    first, second = world.control.advance_all()
    world.control.answer(first, 1)
    assert not world.control.still_legal(second)
    world.control.close(second)
    assert world.told == [("first", 1), ("second", NO_CANDIDATE)]
    with pytest.raises(IllegalAnswer, match="answered already"):
        world.control.close(second)
    assert world.control.advance() is None


def test_an_agent_that_did_not_look_again_is_told_that_the_last_slot_is_gone() -> None:
    world = World()
    world.free[:] = [False, True, False]
    world.ask(world.role("a"), "first")
    world.ask(world.role("b"), "second")
    first, second = world.control.advance_all()
    world.control.answer(first, 1)
    world.control.answer(second, 1)
    assert world.told == [("first", 1), ("second", NO_CANDIDATE)]
    assert world.control.advance() is None


def test_agents_may_answer_in_any_order() -> None:
    world = World()
    for agent in "abc":
        world.ask(world.role(agent), agent)
    a, b, c = world.control.advance_all()
    for decision, k in ((c, 0), (a, 1), (b, 2)):
        world.control.answer(decision, k)
    assert world.told == [("c", 0), ("a", 1), ("b", 2)]


def test_questions_asked_together_see_what_an_unasked_asker_did() -> None:
    world = World()
    none_legal = Role("other", "unlucky", 1, None, lambda _subject, out: False)
    world.ask(world.role("a"), "a")
    world.control.ask(none_legal, "unlucky", lambda _k, _detail: world.at(0.0, lambda: world.take("unlucky", 2)))
    world.ask(world.role("c"), "c")
    decisions = world.control.advance_all()
    while len(decisions) < 2:
        world.control.answer(decisions[0], 0)
        decisions += world.control.advance_all()
    assert decisions[1].mask[2] == np.False_


def test_an_agent_with_two_roles_is_asked_one_question_at_a_time() -> None:
    world = World()
    world.ask(world.role("a", "place"), "placing")
    world.ask(world.role("a", "scale"), "scaling")
    assert [d.subject for d in world.control.advance_all()] == ["placing"]


def test_the_simulation_ends_at_the_horizon() -> None:
    world = World(horizon_s=10.0)
    happened = []
    for time_s in (9.0, 10.0, 11.0):
        world.at(time_s, lambda: happened.append(world.env.now))
    assert world.control.advance() is None
    assert (happened, world.env.now) == ([9.0, 10.0], 10.0)
    assert world.control.advance() is None
    assert (happened, world.env.now) == ([9.0, 10.0], 10.0)


def test_time_goes_on_to_the_horizon_when_nothing_happens_any_more() -> None:
    world = World(horizon_s=10.0)
    world.at(3.0, lambda: None)
    assert world.control.advance() is None
    assert world.env.now == 10.0


def test_without_a_horizon_time_stands_still_after_the_last_event() -> None:
    world = World()
    world.at(3.0, lambda: None)
    assert world.control.advance() is None
    assert world.env.now == 3.0


def test_a_question_of_the_last_instant_is_asked() -> None:
    world = World(horizon_s=10.0)
    world.at(10.0, lambda: world.ask(world.role(), "late"))
    decision = world.control.advance()
    assert decision is not None
    world.control.answer(decision, 0)
    assert world.control.advance() is None


def test_waiting_makes_sense_only_while_something_is_scheduled() -> None:
    world = World(horizon_s=10.0)
    assert not world.control.can_wait
    world.at(11.0, lambda: None)
    assert not world.control.can_wait
    world.at(9.0, lambda: None)
    assert world.control.can_wait
    world.env.step()
    assert not world.control.can_wait  # 11 s is beyond the horizon
    world.control.settle(lambda: None)
    assert world.control.can_wait


def test_waiting_makes_sense_while_another_question_of_the_instant_is_open() -> None:
    world = World()
    world.ask(world.role("a"), 1)
    world.ask(world.role("b"), 2)
    first = world.control.advance()
    assert first is not None
    assert world.control.can_wait
    world.control.answer(first, 0)
    world.control.advance()
    assert not world.control.can_wait


def test_waiting_makes_sense_for_an_event_at_the_horizon_itself() -> None:
    world = World(horizon_s=10.0)
    world.at(10.0, lambda: None)
    assert world.control.can_wait
