"""Workflow executions in WfFormat, the JSON of WfCommons: one job a file.

Version 1.5 splits a task into `workflow.specification` (parents, files) and `workflow.execution` (run time); 1.3 and
1.4 have both in `workflow.tasks`, where a file says by `link` whether it is read or written. Coleman et al.,
"WfCommons: A Framework for Enabling Scientific Workflow Research and Development", FGCS 128, 2022 (doi
10.1016/j.future.2021.09.043).

* A task is known by its `id`, or by its name where it has none. Parents go by id, or by a name that only one task has.
* `children`, where listed, have to say the same as `parents`.
* The data of an edge are the sizes of the files that the parent writes and the child reads, together. Files that nobody
  in the workflow writes are there from the start.
* The recorded machines are not used: a file says on which one a task ran, not how long it takes on the others.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from clustersim.errors import TraceError
from clustersim.traces.dag_job import RecordedJob, from_parents
from clustersim.traces.dag_json import Json, read_json


@dataclass(frozen=True, slots=True)
class _Task:
    place: Json
    name: str
    run_time_s: float
    parents: tuple[str, ...]
    children: tuple[str, ...] | None
    read: frozenset[str]
    written: frozenset[str]


@lru_cache(maxsize=64)
def read_wfformat(file: Path) -> RecordedJob:
    """The job of the file, called like the file. Raises TraceError with the place in the document."""
    workflow = read_json(file)["workflow"]
    if workflow.has("specification"):
        tasks, size_bytes = _specified(workflow)
    else:
        tasks, size_bytes = _in_one_list(workflow["tasks"])
    if not tasks:
        raise workflow.wrong("has no tasks; get a complete copy of the file")
    by_reference = _references(tasks)

    def wrong(task: int, what: str) -> TraceError:
        return tasks[task].place.wrong(what)

    parents = [[by_reference.get(name, name) for name in task.parents] for task in tasks]
    _check_children(tasks, parents, by_reference)
    return from_parents(
        file.name.removesuffix(".gz").removesuffix(".json"),
        [task.name for task in tasks],
        parents,
        [task.run_time_s for task in tasks],
        wrong,
        data_bytes=lambda parent, child: sum(
            size_bytes[name] for name in sorted(tasks[parent].written & tasks[child].read)
        ),
    )


def _specified(workflow: Json) -> tuple[list[_Task], dict[str, float]]:
    specification = workflow["specification"]
    size_bytes: dict[str, float] = {}
    for file in specification["files"].elements() if specification.has("files") else []:
        _add_size(size_bytes, file["id"], file["sizeInBytes"].number())
    run_time_s: dict[str, float] = {}
    for executed in workflow["execution"]["tasks"].elements():
        name = executed["id"].text()
        if name in run_time_s:
            raise executed.wrong(f"is the second execution of task {name!r}")
        run_time_s[name] = executed["runtimeInSeconds"].number()
    tasks: dict[str, _Task] = {}
    for task in specification["tasks"].elements():
        name = task["id"].text()
        if name in tasks:
            raise task.wrong(f"is a second task called {name!r}; names have to differ")
        if name not in run_time_s:
            raise task.wrong(f"task {name!r} has no run time in workflow.execution.tasks")
        used = {
            key: frozenset(_known(file, size_bytes) for file in task[key].elements()) if task.has(key) else frozenset()
            for key in ("inputFiles", "outputFiles")
        }
        tasks[name] = _Task(task, name, run_time_s[name], *_relatives(task), used["inputFiles"], used["outputFiles"])
    surplus = sorted(set(run_time_s) - set(tasks))
    if surplus:
        raise workflow["execution"].wrong(f"has a run time of task {surplus[0]!r}, which is missing in specification")
    return list(tasks.values()), size_bytes


def _in_one_list(listed: Json) -> tuple[list[_Task], dict[str, float]]:
    tasks, size_bytes = [], dict[str, float]()
    for task in listed.elements():
        used: dict[str, set[str]] = {"input": set(), "output": set()}
        for file in task["files"].elements() if task.has("files") else []:
            link, name = file["link"].text(), file.first_of("id", "name")
            if link not in used:
                raise file["link"].wrong(f"is {link!r}; it has to be 'input' or 'output'")
            size = file.first_of("sizeInBytes", "size").number()
            if size_bytes.setdefault(name.text(), size) != size:
                raise file.wrong(f"file {name.value!r} has {size:g} bytes here and {size_bytes[name.text()]:g} above")
            used[link].add(name.text())
        run_time_s = task.first_of("runtimeInSeconds", "runtime").number()
        read, written = frozenset(used["input"]), frozenset(used["output"])
        tasks.append(_Task(task, task.first_of("id", "name").text(), run_time_s, *_relatives(task), read, written))
    return tasks, size_bytes


def _relatives(task: Json) -> tuple[tuple[str, ...], tuple[str, ...] | None]:
    parents = tuple(parent.text() for parent in task["parents"].elements())
    if not task.has("children"):
        return parents, None
    return parents, tuple(child.text() for child in task["children"].elements())


def _references(tasks: Sequence[_Task]) -> dict[str, str]:
    """What parents may call a task: its id, and its name if no other task has that name or id."""
    by_reference: dict[str, str] = {}
    ambiguous = set()
    for task in tasks:
        name = task.place["name"].text() if task.place.has("name") else task.name
        if by_reference.setdefault(name, task.name) != task.name:
            ambiguous.add(name)
    for name in ambiguous:
        del by_reference[name]
    return by_reference | {task.name: task.name for task in tasks}


def _check_children(tasks: Sequence[_Task], parents: Sequence[Sequence[str]], by_reference: Mapping[str, str]) -> None:
    upwards = {(parent, task.name) for task, of in zip(tasks, parents, strict=True) for parent in of}
    downwards = set()
    for task in tasks:
        for child in task.children or ():
            if child not in by_reference:
                raise task.place.wrong(f"task {task.name!r} has the child {child!r}, which is missing")
            edge = (task.name, by_reference[child])
            if edge not in upwards:
                raise task.place.wrong(f"task {task.name!r} has the child {child!r}, which does not name it as parent")
            downwards.add(edge)
    by_name = {task.name: task for task in tasks}
    for parent, child in sorted(upwards - downwards):
        if parent in by_name and by_name[parent].children is not None:
            place = by_name[child].place
            raise place.wrong(f"task {child!r} has the parent {parent!r}, which does not name it as child")


def _add_size(size_bytes: dict[str, float], name: Json, size: float) -> None:
    if name.text() in size_bytes:
        raise name.wrong(f"is a second file called {name.value!r}; names have to differ")
    size_bytes[name.text()] = size


def _known(file: Json, size_bytes: Mapping[str, float]) -> str:
    if file.text() not in size_bytes:
        raise file.wrong(f"file {file.value!r} is missing in workflow.specification.files")
    return file.text()
