"""The instances of the packing benchmark: cells of a grid and seeds in each, numbered so that a folder can grow."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from typing import TypeVar

from clustersim.errors import ConfigError

Number = TypeVar("Number", int, float)

REPLICA_SETS = "replica-sets"
"""In place of a trace: the random instances of the paper."""


@dataclass(frozen=True)
class Cell:
    """One combination of the grid; instances from a trace have their own pods and priorities (None)."""

    nodes: int
    pods_per_node: int | None
    priorities: int | None
    usage: float


@dataclass(frozen=True)
class Grid:
    """Instance `number` is that of cell `number % C` with seed `first_seed + number // C`, where C cells are in order.

    More seeds add numbers and leave those that exist alone.
    """

    nodes: tuple[int, ...]
    pods_per_node: tuple[int | None, ...]
    priorities: tuple[int | None, ...]
    usage: tuple[float, ...]
    first_seed: int

    @cached_property
    def cells(self) -> tuple[Cell, ...]:
        """The usage runs fastest, the nodes slowest."""
        return tuple(Cell(*values) for values in product(self.nodes, self.pods_per_node, self.priorities, self.usage))

    def numbers(self, seeds: int) -> tuple[int, ...]:
        """All instances of so many seeds per cell."""
        return tuple(range(seeds * len(self.cells)))

    def cell(self, number: int) -> Cell:
        return self.cells[number % len(self.cells)]

    def seed(self, number: int) -> int:
        return self.first_seed + number // len(self.cells)


def grid_of(
    trace: str, nodes: str | None, pods_per_node: str | None, priorities: str | None, usage: str, first_seed: int
) -> Grid:
    """The grid that texts describe; None is the default, which for random instances is the paper's grid.

    Raises ConfigError for what is no list of positive numbers, and for what has no effect on a trace.
    """
    if trace != REPLICA_SETS:
        for name, text in (("--pods-per-node", pods_per_node), ("--priorities", priorities)):
            if text is not None:
                raise ConfigError(
                    f"{name} is {text!r}, which has no effect on trace {trace!r}: its pods and their priorities are "
                    f"given; leave it away, or use --trace {REPLICA_SETS}"
                )
    random = trace == REPLICA_SETS

    def whole(name: str, text: str | None, default: str) -> tuple[int, ...]:
        return number_list(name, default if text is None else text, int)

    return Grid(
        whole("--nodes", nodes, "4,8,16,32" if random else "64,256"),
        whole("--pods-per-node", pods_per_node, "4,8") if random else (None,),
        whole("--priorities", priorities, "1,2,4") if random else (None,),
        number_list("--usage", usage, float),
        first_seed,
    )


def number_list(name: str, text: str, kind: Callable[[str], Number], positive: bool = True) -> tuple[Number, ...]:
    """The numbers in a comma-separated text, each once; `kind` is int or float, `name` is for errors."""
    parts = [part.strip() for part in text.split(",") if part.strip()]
    example = "4,8,16" if kind is int else "0.9,1.05"
    if not parts:
        raise ConfigError(f"{name} is empty; give a comma-separated list such as {example}")
    values = tuple(_number(name, part, kind, example, positive) for part in parts)
    _require_distinct(name, values)
    return values


def _number(name: str, text: str, kind: Callable[[str], Number], example: str, positive: bool) -> Number:
    try:
        value = kind(text)
    except ValueError:
        what = "whole number" if kind is int else "number"
        raise ConfigError(f"{name} holds {text!r}, which is no {what}; give a list such as {example}") from None
    if positive and not 0 < value < float("inf"):
        raise ConfigError(f"{name} holds {text}; every value has to be positive and finite")
    return value


def _require_distinct(name: str, values: Sequence[int] | Sequence[float]) -> None:
    twice = sorted({value for value in values if values.count(value) > 1})
    if twice:
        raise ConfigError(f"{name} holds {twice[0]} more than once; list every value once")
