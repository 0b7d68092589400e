"""Power rows under a budget: telemetry, clock caps that take time to act, and a brake for when a row draws too much."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from math import inf

import numpy as np
import simpy
from numpy.typing import NDArray

from clustersim.errors import ConfigError
from clustersim.hardware import BRAKE_CLOCK
from clustersim.power_row import TELEMETRY_WINDOW_S, PowerRow
from clustersim.readonly import read_only

Floats = NDArray[np.float64]

Log = Callable[[str, int, float], None]
"""Called with a kind of POWER_EVENTS, the row, and a value."""

POWER_EVENTS = ("low_clock", "high_clock", "brake", "release")
"""What is logged of a row. The value is the clock that acts from now on, and for the brake the watts it acts upon."""

LOW, HIGH = 0, 1


@dataclass(frozen=True)
class PowerConfig:
    """How power is controlled. Clocks are shares of the highest; the numbers are those of POLCA (arXiv 2308.12908).

    A cap acts after a delay drawn uniformly from `actuation_s`. When a sample of the telemetry is above the budget the
    brake acts `brake_delay_s` later, for `brake_hold_s` at least and until a sample is below `release_share` of the
    budget [both D].
    """

    oversubscription: float = 0.3
    """Nameplate power above the budget, as a share of the budget."""
    telemetry_s: float = 2.0
    actuation_s: tuple[float, float] = (10.0, 40.0)
    brake_delay_s: float = 5.0
    brake_hold_s: float = 60.0
    release_share: float = 0.95
    brake_clock: float = BRAKE_CLOCK
    """No cap is below it, and `hardware.servers_of` rejects one that is below the lowest clock of a GPU."""
    low_clocks: tuple[float, ...] = (1.0, 1275 / 1410, 1110 / 1410)
    """What may be commanded for low-priority work, the highest first."""
    high_clocks: tuple[float, ...] = (1.0, 1305 / 1410)

    def __post_init__(self) -> None:
        if not 0 <= self.oversubscription < inf:
            raise ConfigError(f"oversubscription is {self.oversubscription}; it has to be at least 0, .3 means 30 %")
        if not 0 < self.telemetry_s < inf:
            raise ConfigError(f"telemetry_s is {self.telemetry_s}; it has to be positive and finite")
        for name in ("brake_delay_s", "brake_hold_s"):
            if not 0 <= getattr(self, name) < inf:
                raise ConfigError(f"{name} is {getattr(self, name)}; it has to be at least 0 and finite")
        soonest_s, latest_s = self.actuation_s
        if not 0 <= soonest_s <= latest_s < inf:
            raise ConfigError(f"actuation_s is {self.actuation_s}; use (soonest, latest), both at least 0")
        if not 0 < self.release_share <= 1:
            raise ConfigError(f"release_share is {self.release_share}; it has to be in (0, 1]")
        if not 0 < self.brake_clock <= 1:
            raise ConfigError(f"brake_clock is {self.brake_clock}; it is a share of the highest clock, in (0, 1]")
        for name in ("low_clocks", "high_clocks"):
            clocks = getattr(self, name)
            if not clocks or clocks[0] != 1 or any(a <= b for a, b in pairwise(clocks)):
                raise ConfigError(f"{name} are {clocks}; they start at 1, no cap, and fall")
            if clocks[-1] < self.brake_clock:
                raise ConfigError(
                    f"{name} go down to {clocks[-1]:.3f}, below the lowest clock, that of the brake, "
                    f"{self.brake_clock:.3f}; raise the cap"
                )


class PowerRows:
    """R rows that draw power. Whoever runs the servers tells every change of power and is told every change of clock.

    The brake acts at most `telemetry_s + brake_delay_s` after a row has gone above its budget, and while it acts no
    load can exceed `braked_w`: so no row is above its budget for longer. `clocks_changed(row)` is called when the clock
    that acts on low- or high-priority work has changed; power changes that it reports count from then on.
    Raises ConfigError for a budget below `braked_w`, which no brake could keep.
    """

    def __init__(
        self,
        env: simpy.Environment,
        rng: np.random.Generator,
        config: PowerConfig,
        budget_w: Floats,
        nameplate_w: Floats,
        braked_w: Floats,
        clocks_changed: Callable[[int], None],
        log: Log | None = None,
    ) -> None:
        for row in np.flatnonzero(budget_w < braked_w):
            raise ConfigError(
                f"row {row} has a budget of {budget_w[row]:.0f} W, but busy and with the brake on it draws "
                f"{braked_w[row]:.0f} W, so the brake could not keep it; its nameplate of {nameplate_w[row]:.0f} W can "
                f"be oversubscribed by {nameplate_w[row] / braked_w[row] - 1:.1%} at most"
            )
        self.config = config
        self._env = env
        self._clocks_changed = clocks_changed
        self._log = log
        samples = max(1, round(TELEMETRY_WINDOW_S / config.telemetry_s))
        self._rows = [
            PowerRow(env, row, float(budget), float(nameplate), samples)
            for row, (budget, nameplate) in enumerate(zip(budget_w, nameplate_w, strict=True))
        ]
        # A generator per row and class: what one agent commands does not shift the delays of another's commands.
        self._delays = [rng.spawn(2) for _ in self._rows]
        self._commands = [[0, 0] for _ in self._rows]
        self._power_w = np.zeros(len(self._rows))
        self.power_w = read_only(self._power_w)
        self._after(0.0, self._sample)

    def state(self, row: int) -> PowerRow:
        """The row as its controllers see it, live."""
        return self._rows[row]

    def add(self, row: int, delta_w: float) -> None:
        """The row draws `delta_w` more (or less) from now on."""
        of = self._rows[row]
        of.add(delta_w)
        self._power_w[row] = of.power_w

    def energy_j(self, row: int) -> float:
        """What the row has drawn until now: the exact integral of its power."""
        return self._rows[row].energy_j

    def over_budget_s(self, row: int) -> float:
        """Seconds that the row has been above its budget until now."""
        return self._rows[row].over_budget_s

    def low_clock(self, row: int) -> float:
        """The clock of low-priority work now: that of the brake while it acts, else the cap that acts."""
        of = self._rows[row]
        return self.config.brake_clock if of.braked else self.config.low_clocks[of.low_acting]

    def high_clock(self, row: int) -> float:
        """The clock of high-priority work now."""
        of = self._rows[row]
        return self.config.brake_clock if of.braked else self.config.high_clocks[of.high_acting]

    def command(self, row: int, low: int, high: int) -> None:
        """Cap the row at `low_clocks[low]` and `high_clocks[high]`; each acts after a delay of its own.

        A class that is commanded what it was commanded last goes on as it was; a newer command to a class replaces the
        one on its way. Raises ConfigError for an index that does not exist.
        """
        config = self.config
        if not (0 <= low < len(config.low_clocks) and 0 <= high < len(config.high_clocks)):
            raise ConfigError(
                f"row {row} is commanded to clocks ({low}, {high}); there are {len(config.low_clocks)} for "
                f"low-priority work and {len(config.high_clocks)} for high-priority work"
            )
        of = self._rows[row]
        if low != of.low:
            of.low = low
            self._send(of, LOW, low)
        if high != of.high:
            of.high = high
            self._send(of, HIGH, high)

    def _send(self, of: PowerRow, which: int, clock: int) -> None:
        self._commands[of.index][which] += 1
        version = self._commands[of.index][which]
        of.acted_s[which] = inf
        delay_s = self._delays[of.index][which].uniform(*self.config.actuation_s)
        self._after(delay_s, partial(self._act, of, which, clock, version))

    def _act(self, of: PowerRow, which: int, clock: int, version: int) -> None:
        if version != self._commands[of.index][which]:
            return  # replaced on its way
        of.acted_s[which] = of.now_s
        acting = of.low_acting if which == LOW else of.high_acting
        if clock == acting:
            return
        if which == LOW:
            of.low_acting = clock
            self._tell("low_clock", of, self.config.low_clocks[clock])
        else:
            of.high_acting = clock
            self._tell("high_clock", of, self.config.high_clocks[clock])
        if not of.braked:
            self._clocks_changed(of.index)

    def _sample(self) -> None:
        for of in self._rows:
            power_w = of.power_w
            of.telemetry_w.append(power_w)
            if of.braked:
                if power_w < self.config.release_share * of.budget_w:
                    self._release(of)
            elif power_w > of.budget_w and not of.brake_on_its_way:
                of.brake_on_its_way = True
                self._after(self.config.brake_delay_s, partial(self._brake, of))
        self._after(self.config.telemetry_s, self._sample)

    def _brake(self, of: PowerRow) -> None:
        of.brake_on_its_way = False
        of.braked = True
        of.braked_s = of.now_s
        of.brakes += 1
        self._tell("brake", of, of.power_w)
        self._clocks_changed(of.index)

    def _release(self, of: PowerRow) -> None:
        if of.now_s < of.braked_s + self.config.brake_hold_s:
            return
        of.braked = False
        self._tell("release", of, of.power_w)
        self._clocks_changed(of.index)

    def _after(self, delay_s: float, then: Callable[[], None]) -> None:
        self._env.timeout(delay_s).callbacks.append(lambda _event: then())

    def _tell(self, kind: str, of: PowerRow, value: float) -> None:
        if self._log is not None:
            self._log(kind, of.index, value)
