"""How far a benchmark is: a silent listener, and a bar on stderr."""

from __future__ import annotations

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as Bar


class Progress:
    """Listens and says nothing; subclass it to hear more."""

    def start(self, total: int, kept: int) -> None:
        """The experiment has `total` runs, of which `kept` were finished earlier."""

    def advance(self, policy: str, seed: int) -> None:
        """A run has ended, well or badly."""

    def note(self, message: str) -> None:
        """Something the user should know, such as a damaged file."""

    def stop(self) -> None:
        """No more runs will end: all are done, or the benchmark stops early."""


class BarProgress(Progress):
    """A rich progress bar on stderr, so that stdout holds results only."""

    def __init__(self) -> None:
        self._console = Console(stderr=True)
        self._bar = Bar(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=self._console,
        )
        self._task: TaskID | None = None

    def start(self, total: int, kept: int) -> None:
        if kept:
            self.note(f"{kept} of {total} runs were finished earlier and are kept")
        self._task = self._bar.add_task("runs", total=total, completed=kept)
        self._bar.start()

    def advance(self, policy: str, seed: int) -> None:
        assert self._task is not None
        self._bar.update(self._task, advance=1, description=f"{policy} seed {seed}")

    def note(self, message: str) -> None:
        self._console.print(message, markup=False, highlight=False, soft_wrap=True)

    def stop(self) -> None:
        if self._task is not None:
            self._bar.update(self._task, description="runs")
        self._bar.stop()
