"""The question-and-answer loop: simulated processes ask, whoever drives the simulation answers.

    scenario --ask--> ControlPlane --advance--> Decision --a policy picks k--> answer --> scenario

The driver may be `clustersim.policy.run` (benchmarks), a Gymnasium environment or anything else; no scenario knows.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from math import inf
from typing import Any

import numpy as np
import simpy
from numpy.typing import NDArray

from clustersim.errors import IllegalAnswer
from clustersim.readonly import read_only

NO_CANDIDATE = -1
"""What an asker is told when no candidate was legal at the moment the question surfaced; nobody was asked then."""

Then = Callable[[int, Any], object]
"""Called with the answer k (or NO_CANDIDATE) and the detail that the policy left on the decision."""


@dataclass(slots=True, eq=False)
class Role:
    """Something that is decided again and again over a fixed list of candidates, by one agent.

    `legal(subject, out)` writes which candidates are legal for the subject into `out`, shape (size,), and returns
    whether any is. `view` is what a policy may read; it has to be read-only.
    """

    name: str
    agent: str
    size: int
    view: Any
    legal: Callable[[Any, NDArray[np.bool_]], bool]
    mask: NDArray[np.bool_] = field(init=False)
    _legal_mask: NDArray[np.bool_] = field(init=False)

    def __post_init__(self) -> None:
        self._legal_mask = np.zeros(self.size, dtype=np.bool_)
        self.mask = read_only(self._legal_mask)

    def look(self, subject: Any) -> bool:
        """Compute the mask for a subject, now; return whether any candidate is legal."""
        return self.legal(subject, self._legal_mask)


@dataclass(slots=True, eq=False)
class Decision:
    """A question that waits for its answer.

    `mask` is a read-only (K,) boolean array over the candidates of the role; it is reused by the next question to the
    same agent. `detail` is for policies: it may qualify the answer in a way that the scenario documents (a device).
    """

    role: str
    agent: str
    time_s: float
    subject: Any
    mask: NDArray[np.bool_]
    view: Any
    detail: Any = None
    _role: Role = field(repr=False, default=None)  # type: ignore[assignment]
    _then: Then | None = field(repr=False, default=None)
    _answers_before: int = field(repr=False, default=0)


class ControlPlane:
    """Lets the simulation run until somebody has to decide, and carries the answer back.

    A question surfaces after everything else that happens at the same instant, and its mask is computed when it
    surfaces: a policy sees a settled cluster. A question without a legal candidate is not asked; the asker is told.
    Questions of one instant surface in the order in which they were raised.
    """

    def __init__(self, env: simpy.Environment, horizon_s: float = inf) -> None:
        self.env = env
        self.horizon_s = horizon_s
        self.answers = 0
        self._open = 0
        self._settling: deque[Callable[[], None]] = deque()
        self._asked: deque[tuple[Role, Any, Then]] = deque()

    @property
    def can_wait(self) -> bool:
        """Whether anything is still scheduled, within the horizon, that could change the situation."""
        next_s = self.env.peek()
        return bool((next_s < inf and next_s <= self.horizon_s) or self._asked or self._settling)

    def ask(self, role: Role, subject: Any, then: Then) -> None:
        """Raise a question; `then` is called with the answer, at the same instant."""
        self._asked.append((role, subject, then))

    def question(self, role: Role, subject: Any) -> simpy.Event:
        """Raise a question and return the event that a process can wait for; its value is the answer."""
        answered = self.env.event()
        self.ask(role, subject, lambda k, _detail: answered.succeed(k))
        return answered

    def settle(self, callback: Callable[[], None]) -> None:
        """Call back once everything else of this instant has happened, before the questions of this instant."""
        self._settling.append(callback)

    def advance(self) -> Decision | None:
        """Run until the next question and return it; None when the simulation is over."""
        if self._open:
            raise IllegalAnswer(f"{self._open} decision(s) wait for an answer; answer them before going on")
        env = self.env
        while True:
            next_s = env.peek()
            if next_s > env.now:
                if self._settling:
                    self._settling.popleft()()
                    continue
                if self._asked:
                    decision = self._surface()
                    if decision is not None:
                        return decision
                    continue
                if next_s == inf or next_s > self.horizon_s:
                    if env.now < self.horizon_s < inf:
                        env.run(until=self.horizon_s)
                    return None
            env.step()

    def advance_all(self) -> list[Decision]:
        """Run until the next question and return it with every further question of that instant to *other* agents.

        They are meant for agents that answer at the same time. As soon as one is answered the masks of the rest may
        be out of date: `answer` looks again, and `still_legal` tells beforehand. A further question to an agent comes
        with the next call, and so does every question behind one whose asker was told NO_CANDIDATE and set something
        off. Empty when the simulation is over.
        """
        first = self.advance()
        if first is None:
            return []
        decisions = [first]
        agents = {first.agent}
        held_back = []
        while self._asked and not self._settling and self.env.peek() > self.env.now:
            agent = self._asked[0][0].agent
            if agent in agents:
                held_back.append(self._asked.popleft())
                continue
            decision = self._surface()
            if decision is not None:
                agents.add(agent)
                decisions.append(decision)
        self._asked.extendleft(reversed(held_back))
        return decisions

    def still_legal(self, decision: Decision) -> bool:
        """Bring the mask of an open decision up to date; return whether any candidate is left."""
        decision._answers_before = self.answers
        return decision._role.look(decision.subject)

    def close(self, decision: Decision) -> None:
        """Tell the asker of an open decision that no candidate is left (NO_CANDIDATE), as `still_legal` has shown."""
        then = self._take(decision)
        then(NO_CANDIDATE, None)

    def answer(self, decision: Decision, k: int) -> None:
        """Answer an open decision with candidate k.

        Raises IllegalAnswer when k is not legal (any more). A decision whose last candidate was taken by an answer of
        the same instant is answered by any k: its asker is told NO_CANDIDATE.
        """
        if decision._then is None:
            raise IllegalAnswer(_why_answered(decision))
        if decision._answers_before != self.answers and not self.still_legal(decision):
            k = NO_CANDIDATE
        elif not (0 <= k < len(decision.mask) and decision.mask[k]):
            raise IllegalAnswer(_why_illegal(decision, k))
        self._take(decision)(k, decision.detail)

    def _take(self, decision: Decision) -> Then:
        """Close a decision and return whom to tell."""
        then = decision._then
        if then is None:
            raise IllegalAnswer(_why_answered(decision))
        decision._then = None
        self._open -= 1
        self.answers += 1
        return then

    def _surface(self) -> Decision | None:
        role, subject, then = self._asked.popleft()
        if not role.look(subject):
            then(NO_CANDIDATE, None)
            return None
        self._open += 1
        # Positional, because this runs once per decision and keywords cost a quarter more here.
        return Decision(
            role.name, role.agent, self.env.now, subject, role.mask, role.view, None, role, then, self.answers
        )


def _why_answered(decision: Decision) -> str:
    return f"the {decision.role!r} decision at t={decision.time_s} s was answered already"


def _why_illegal(decision: Decision, k: int) -> str:
    legal = np.flatnonzero(decision.mask)
    shown = ", ".join(map(str, legal[:8])) + (", ..." if len(legal) > 8 else "")
    return (
        f"candidate {k} of role {decision.role!r} is not legal at t={decision.time_s} s for {decision.subject}: "
        f"{len(legal)} of {len(decision.mask)} candidates are ({shown}); answer with an index k where mask[k] is true"
    )
