"""The lines of a DS3 configuration file as words, each with its place."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from clustersim.errors import TraceError
from clustersim.traces.text_file import read_text


@dataclass(frozen=True, slots=True)
class Line:
    """The words of a line that is neither blank nor a comment; the first line of a file has the number 1."""

    file: Path
    number: int
    words: tuple[str, ...]

    def wrong(self, what: str) -> TraceError:
        return TraceError(f"{self.file}: line {self.number} ({' '.join(self.words)!r}): {what}")

    def value(self, position: int, meaning: str) -> float:
        """The word at that position as a finite number of at least 0."""
        word = self.word(position, meaning)
        try:
            value = float(word)
        except ValueError:
            raise self.wrong(f"{meaning} is {word!r}; a number is expected") from None
        if not 0 <= value < math.inf:
            raise self.wrong(f"{meaning} is {word}; it has to be at least 0")
        return value

    def whole(self, position: int, meaning: str) -> int:
        value = self.value(position, meaning)
        if value != int(value):
            raise self.wrong(f"{meaning} is {value}; a whole number is expected")
        return int(value)

    def word(self, position: int, meaning: str) -> str:
        if position >= len(self.words):
            raise self.wrong(f"{meaning} is missing: word {position + 1} of the line")
        return self.words[position]


def read_lines(file: Path) -> Iterator[Line]:
    """Raises TraceError for a file that cannot be read or says nothing."""
    empty = True
    for number, text in enumerate(read_text(file).splitlines(), start=1):
        words = tuple(text.split())
        if words and "#" not in words[0]:
            empty = False
            yield Line(file, number, words)
    if empty:
        raise TraceError(f"{file}: the file says nothing; get a complete copy of it")
