"""Imports point down, each heavy library lives in one layer, and importing us is quick."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FOLDERS = ("clustersim", "baselines", "traces", "envs", "agents")

HEIGHT = {"clustersim": 0, "baselines": 1, "traces": 1, "envs": 2, "agents": 3, "front": 4}
"""The layers from the bottom up; `front` is what may import everything."""

FRONT = ("clustersim/__main__.py", "clustersim/cli", "clustersim/bench/")

HOME = {
    "torch": {"agents"},
    "stable_baselines3": {"agents"},
    "sb3_contrib": {"agents"},
    "tensorboard": {"agents"},
    "gymnasium": {"envs", "agents"},
    "pettingzoo": {"envs", "agents"},
    "ortools": {"baselines"},
    "pandera": {"traces"},
    "pooch": {"traces"},
    "pandas": {"traces", "bench"},
    "pyarrow": {"traces", "bench"},
    "matplotlib": {"bench"},
    "plotly": {"bench"},
    "rich": {"cli", "bench"},
    "tyro": {"cli"},
    "simpy": {"clustersim", "bench"},
}
"""Where a heavy library may be imported when the module is imported."""

LAZY_HOME = {"torch": {"cli", "bench"}, "sb3_contrib": {"cli"}, "pandas": {"clustersim"}}
"""Where else it may be imported inside a function or for type checking only."""


@dataclass(frozen=True)
class Import:
    path: str  # relative to the repository
    line: int
    module: str
    lazy: bool  # inside a function, or under `if TYPE_CHECKING`

    def __str__(self) -> str:
        return f"{self.path}:{self.line} imports {self.module}"


def imports_of(path: str, source: str) -> Iterator[Import]:
    def walk(node: ast.AST, lazy: bool) -> Iterator[Import]:
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(path, node.lineno, alias.name, lazy)
        elif isinstance(node, ast.ImportFrom):
            if node.level:
                package = (
                    ("clustersim/" + path).split("/")[: -node.level]
                    if not path.startswith("clustersim")
                    else (path.split("/")[: -node.level])
                )
                module = ".".join([*package, *([node.module] if node.module else [])])
            else:
                module = node.module or ""
            # `from clustersim import envs` imports clustersim.envs
            for alias in node.names:
                yield Import(path, node.lineno, f"{module}.{alias.name}", lazy)
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("import_module"):
            for name in node.args[:1]:
                if isinstance(name, ast.Constant):
                    yield Import(path, node.lineno, str(name.value), lazy)
        inside = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        type_checking = isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        for child in ast.iter_child_nodes(node):
            yield from walk(child, lazy or inside or type_checking)

    yield from walk(ast.parse(source), False)


def ours() -> list[Import]:
    found = []
    for folder in FOLDERS:
        for file in sorted((ROOT / folder).rglob("*.py")):
            path = file.relative_to(ROOT).as_posix()
            found += imports_of(path, file.read_text())
    return found


def layer_of_file(path: str) -> str:
    return "front" if path.startswith(FRONT) else path.split("/")[0]


def layer_of_module(module: str) -> str | None:
    """The layer of one of our modules; None for anybody else's."""
    parts = module.split(".")
    if parts[0] != "clustersim":
        return None
    if len(parts) > 1 and parts[1] in ("baselines", "traces", "envs", "agents"):
        return parts[1]
    front = len(parts) > 1 and parts[1].startswith(("cli", "bench", "__main__"))
    return "front" if front else "clustersim"


def wrong_arrow(arrow: Import) -> bool:
    """Whether the import points up, or sideways into another layer. Being lazy does not excuse an arrow."""
    target = layer_of_module(arrow.module)
    if target is None:
        return arrow.module.split(".")[0] in FOLDERS  # `import envs` finds the user's own envs/
    here = layer_of_file(arrow.path)
    return target != here and HEIGHT[target] >= HEIGHT[here]


def outside_its_home(arrow: Import) -> bool:
    library = arrow.module.split(".")[0]
    if library not in HOME:
        return False
    path = arrow.path
    part = "bench" if path.startswith("clustersim/bench/") else "cli" if path.startswith("clustersim/cli") else None
    part = part or path.split("/")[0]
    return part not in HOME[library] | (LAZY_HOME.get(library, set()) if arrow.lazy else set())


def test_imports_point_down() -> None:
    assert [str(arrow) for arrow in ours() if wrong_arrow(arrow)] == []


def test_heavy_libraries_stay_in_their_layer() -> None:
    assert [str(arrow) for arrow in ours() if outside_its_home(arrow)] == []


def test_the_walk_sees_the_whole_tree() -> None:
    found = {(arrow.path, arrow.module) for arrow in ours()}
    assert len({path for path, _ in found}) > 40
    assert ("clustersim/scenarios/pod_world.py", "clustersim.control.Role") in found
    assert ("clustersim/eventlog.py", "pandas") in found


@pytest.mark.parametrize(
    ("path", "source", "wrong"),
    [
        ("clustersim/cluster.py", "from clustersim.envs import base", True),
        ("clustersim/cluster.py", "from clustersim import envs", True),
        ("clustersim/cluster.py", "def f():\n    import clustersim.agents.ppo", True),
        ("clustersim/cluster.py", "import importlib\nimportlib.import_module('clustersim.baselines.fgd')", True),
        ("clustersim/cluster.py", "from . import cli", True),
        ("clustersim/registry.py", "from clustersim.bench import metrics", True),
        ("baselines/fgd.py", "from clustersim.traces import load", True),
        ("traces/load.py", "from clustersim.baselines.fgd import Fgd", True),
        ("envs/base.py", "from clustersim.agents import ppo", True),
        ("envs/base.py", "import baselines", True),
        ("envs/base.py", "from clustersim.traces import load", False),
        ("envs/base.py", "from clustersim.envs.encoding import Column", False),
        ("agents/train.py", "from clustersim.envs import base", False),
        ("clustersim/cli.py", "from clustersim.agents import train", False),
        ("clustersim/bench/runs.py", "def f():\n    from clustersim.agents import learned", False),
        ("clustersim/bench/runs.py", "from clustersim.errors import ConfigError", False),
    ],
)
def test_an_arrow_that_points_up_or_sideways_is_noticed(path: str, source: str, wrong: bool) -> None:
    assert any(map(wrong_arrow, imports_of(path, source))) == wrong


@pytest.mark.parametrize(
    ("path", "source", "wrong"),
    [
        ("envs/base.py", "import torch", True),
        ("envs/base.py", "def f():\n    import torch", True),
        ("clustersim/eventlog.py", "import pandas as pd", True),
        ("clustersim/eventlog.py", "def f():\n    import pandas as pd", False),
        ("clustersim/eventlog.py", "if TYPE_CHECKING:\n    import pandas as pd", False),
        ("clustersim/cli.py", "import torch", True),
        ("clustersim/cli.py", "def f():\n    import torch", False),
        ("clustersim/control.py", "import gymnasium", True),
        ("envs/base.py", "from ortools.sat.python import cp_model", True),
        ("baselines/heft.py", "from ortools.sat.python import cp_model", False),
        ("traces/load.py", "import matplotlib.pyplot as plt", True),
        ("clustersim/bench/charts.py", "import plotly.graph_objects as go", False),
        ("envs/base.py", "import simpy", True),
    ],
)
def test_a_heavy_library_outside_its_layer_is_noticed(path: str, source: str, wrong: bool) -> None:
    assert any(map(outside_its_home, imports_of(path, source))) == wrong


# --- fresh processes


def fresh(code: str) -> str:
    """What a new interpreter prints, started where no folder of ours can be imported by accident."""
    command = [sys.executable, "-W", "error", "-c", code]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return subprocess.run(command, cwd="/", env=environment, capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize("module", ["clustersim", "clustersim.envs"])
def test_importing_us_is_quick_and_imports_nothing_heavy(module: str) -> None:
    heavy = ("torch", "ortools", "matplotlib", "pandas", "numba", "stable_baselines3", "pandera", "plotly")
    code = f"import sys, {module}; print([name for name in {heavy!r} if name in sys.modules])"
    took_s = []
    for _ in range(3):
        start_s = time.perf_counter()
        assert fresh(code) == "[]\n"
        took_s.append(time.perf_counter() - start_s)
        if took_s[-1] < 1.0:
            return
    pytest.fail(f"import {module} takes {min(took_s):.2f} s in a fresh process")


def test_gymnasium_makes_our_environment_in_a_process_that_has_not_imported_us() -> None:
    code = (
        "import gymnasium\n"
        "env = gymnasium.make('clustersim.envs:clustersim/PodPlacement-v0')\n"
        "observation, info = env.reset(seed=1)\n"
        "print(env.observation_space.contains(observation), bool(info['action_mask'].any()))"
    )
    assert fresh(code) == "True True\n"


def test_playing_a_scenario_does_not_import_pandas_or_an_environment() -> None:
    code = (
        "import sys, clustersim.scenarios.pod_placement, clustersim.baselines.registry\n"
        "print([name for name in ('pandas', 'gymnasium', 'torch', 'ortools') if name in sys.modules])"
    )
    assert fresh(code) == "[]\n"


def test_our_folders_are_importable_only_inside_our_package() -> None:
    code = (
        "import importlib.util as u\n"
        "print([n for n in ('envs', 'agents', 'baselines', 'traces') if u.find_spec(n)],\n"
        "      all(u.find_spec('clustersim.' + n) for n in ('envs', 'agents', 'baselines', 'traces')))"
    )
    assert fresh(code) == "[] True\n"
