"""JSON files, plain or gzipped: every value knows its place in the document, so that an error can name it."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from clustersim.errors import TraceError
from clustersim.traces.text_file import read_text


@dataclass(frozen=True, slots=True)
class Json:
    """A value and its place: a file, and a path such as `workflow.tasks[3].id` ("" for the whole document)."""

    file: Path
    path: str
    value: object

    def wrong(self, what: str) -> TraceError:
        """The error for this value."""
        return TraceError(f"{self.file}: {f'{self.path.rstrip()} {what}'.strip()}")

    def has(self, key: str) -> bool:
        return isinstance(self.value, dict) and key in self.value

    def __getitem__(self, key: str) -> Json:
        if not isinstance(self.value, dict):
            raise self.wrong(f"is {self._kind}; an object with {key!r} is expected")
        if key not in self.value:
            raise self.wrong(f"has no {key!r}; it has {', '.join(map(repr, list(self.value)[:10])) or 'nothing'}")
        return self._below(key, self.value[key])

    def first_of(self, *keys: str) -> Json:
        """The member of the first of these keys that is there; all but one may be missing."""
        return self[next((key for key in keys if self.has(key)), keys[0])]

    def members(self) -> Iterator[tuple[str, Json]]:
        if not isinstance(self.value, dict):
            raise self.wrong(f"is {self._kind}; an object is expected")
        for key, value in self.value.items():
            yield key, self._below(key, value)

    def elements(self) -> list[Json]:
        if not isinstance(self.value, list):
            raise self.wrong(f"is {self._kind}; a list is expected")
        return [Json(self.file, f"{self.path}[{index}]", value) for index, value in enumerate(self.value)]

    def text(self) -> str:
        if not isinstance(self.value, str) or not self.value:
            raise self.wrong(f"is {self._kind}; a text that is not empty is expected")
        return self.value

    def number(self) -> float:
        """A finite number of at least 0: times, sizes and counts are nothing else."""
        if isinstance(self.value, bool) or not isinstance(self.value, int | float):
            raise self.wrong(f"is {self._kind}; a number is expected")
        if not 0 <= self.value < math.inf:
            raise self.wrong(f"is {self.value}; it has to be at least 0")
        return float(self.value)

    def whole(self) -> int:
        value = self.number()
        if value != int(value):
            raise self.wrong(f"is {value}; a whole number is expected")
        return int(value)

    def numbers(self) -> NDArray[np.float64]:
        """A list of numbers, each as `number` wants it, shape (n,)."""
        found = self.value if isinstance(self.value, list) else []
        array = np.array(found, dtype=np.float64) if {type(each) for each in found} <= {int, float} else None
        if array is None or not isinstance(self.value, list) or not ((array >= 0) & (array < np.inf)).all():
            return np.array([element.number() for element in self.elements()])
        return array

    @property
    def _kind(self) -> str:
        names = {dict: "an object", list: "a list", type(None): "null"}
        return names.get(type(self.value), repr(self.value))

    def _below(self, key: str, value: object) -> Json:
        joint = "." if self.path and not self.path.endswith(": ") else ""
        return Json(self.file, f"{self.path}{joint}{key}", value)


def read_json(file: Path) -> Json:
    """The whole document. Raises TraceError for a damaged file, and for two members of one name in an object."""
    return Json(file, "", _parsed(file, read_text(file), first_line=1))


def read_json_lines(file: Path) -> list[Json]:
    """One document for each line that is not blank; its path says which line."""
    lines = enumerate(read_text(file).splitlines(), start=1)
    documents = [Json(file, f"line {line}: ", _parsed(file, text, line)) for line, text in lines if text.strip()]
    if not documents:
        raise TraceError(f"{file}: the file is empty; get a complete copy of it")
    return documents


def _parsed(file: Path, text: str, first_line: int) -> object:
    def once(members: list[tuple[str, object]]) -> dict[str, object]:
        there = dict(members)
        if len(there) < len(members):
            keys = [key for key, _ in members]
            twice = next(key for key in keys if keys.count(key) > 1)
            raise TraceError(f"{file}: from line {first_line} on, an object has two entries called {twice!r}")
        return there

    def refuse(constant: str) -> float:
        raise TraceError(f"{file}: from line {first_line} on, a number is {constant}; it has to be finite")

    try:
        return json.loads(text, object_pairs_hook=once, parse_constant=refuse)
    except json.JSONDecodeError as error:
        line = first_line + error.lineno - 1
        raise TraceError(
            f"{file}: line {line}, column {error.colno} is not JSON: {error.msg}; get a clean copy of the file"
        ) from None
    except ValueError as error:
        raise TraceError(f"{file}: from line {first_line} on, a number cannot be read: {error}") from None
    except RecursionError:
        raise TraceError(f"{file}: the JSON is nested too deeply; get a clean copy of the file") from None
