"""What a cluster looks like: as text and as pixels."""

from __future__ import annotations

from functools import cache

import gymnasium
import numpy as np
import pytest

import clustersim.envs  # noqa: F401  (registers the environments)
from clustersim.envs.pod_placement import PodPlacementEnv
from clustersim.envs.rendering import EMPTY_RGB, FULL_RGB, LEVELS, NOTHING_RGB, heat_map, text_map
from clustersim.traces import openb_like
from clustersim.workload import NodeTable, PodWorkload

WHITE = [255, 255, 255]

SPEEDUP: dict[str, dict[str, float]] = {"inflation": {}, "replay": {"arrival_speedup": 3000.0}}


@cache
def with_cpu_only_nodes() -> PodWorkload:
    """16 GPU nodes of openb-like and 2 without GPU."""
    made = openb_like(1, nodes=16)
    table = made.nodes
    nodes = NodeTable(
        name=(*table.name, "cpu-0", "cpu-1"),
        cpu_milli=np.append(table.cpu_milli, [64_000, 64_000]),
        memory_mib=np.append(table.memory_mib, [65_536, 65_536]),
        gpu_count=np.append(table.gpu_count, [0, 0]),
        gpu_model=(*table.gpu_model, "", ""),
    )
    return PodWorkload("mixed", nodes, made.pods)


# --- text


def test_text_goes_from_idle_to_full_and_tells_nodes_without_gpu() -> None:
    assert text_map(np.array([0.0, 1.0, np.nan, 0.5])) == "·@o" + LEVELS[round(0.5 * 9)]
    levels = text_map(np.linspace(0, 1, 10))
    assert levels == LEVELS
    assert len(set(levels) | {"o"}) == 11


@pytest.mark.parametrize(("nodes", "lines"), [(1, [1]), (64, [64]), (65, [64, 1]), (200, [64, 64, 64, 8])])
def test_text_has_one_character_per_node(nodes: int, lines: list[int]) -> None:
    assert [len(line) for line in text_map(np.zeros(nodes)).split("\n")] == lines


# --- pixels


def centre(pixels: np.ndarray, node: int, columns: int, cell_px: int = 12) -> list[int]:
    row, column = divmod(node, columns)
    colour: list[int] = pixels[row * cell_px + cell_px // 2, column * cell_px + cell_px // 2].tolist()
    return colour


def test_pixels_tell_idle_full_and_nodes_without_gpu() -> None:
    pixels = heat_map(np.array([0.0, 1.0, np.nan]))
    assert pixels.dtype == np.uint8
    assert [centre(pixels, node, 2) for node in range(4)] == [
        EMPTY_RGB.tolist(),
        FULL_RGB.tolist(),
        NOTHING_RGB.tolist(),
        WHITE,
    ]


def test_pixels_get_darker_the_fuller_a_node_is() -> None:
    pixels = heat_map(np.linspace(0, 1, 9))
    brightness = [sum(centre(pixels, node, 3)) for node in range(9)]
    assert brightness == sorted(brightness, reverse=True)
    assert len(set(brightness)) == 9


@pytest.mark.parametrize(("nodes", "height", "width"), [(1, 1, 1), (2, 1, 2), (3, 2, 2), (64, 8, 8), (1213, 35, 35)])
def test_the_picture_has_a_square_per_node(nodes: int, height: int, width: int) -> None:
    assert heat_map(np.zeros(nodes)).shape == (height * 12, width * 12, 3)


def test_squares_are_told_apart_by_white_lines() -> None:
    pixels = heat_map(np.ones(4), cell_px=5)
    assert pixels.shape == (10, 10, 3)
    assert (pixels[[0, 5]] == 255).all()
    assert (pixels[:, [0, 5]] == 255).all()
    assert (pixels[1:5, 1:5] == FULL_RGB).all()


# --- the environment


@pytest.mark.parametrize("mode", ["inflation", "replay"])
def test_a_picture_follows_the_cluster(mode: str) -> None:
    env = PodPlacementEnv(with_cpu_only_nodes(), mode=mode, render_mode="ansi", **SPEEDUP[mode])
    _, info = env.reset(seed=0)
    empty = env.render()
    assert sorted(empty) == sorted("·" * 16 + "o" * 2)
    over, fullest = False, 0
    while not over:
        _, _, over, _, info = env.step(int(info["action_mask"].argmax()))
        cluster = env.simulation.view.cluster
        picture = env.render()
        assert isinstance(picture, str)
        for node, character in enumerate(picture):
            count = int(cluster.gpu_count[node])
            allocated = count * 1000 - int(cluster.gpu_free[node].sum())
            assert character == (LEVELS[round(allocated / (count * 1000) * 9)] if count else "o")
        fullest = max(fullest, picture.count("@"))
    assert fullest > 0


@pytest.mark.parametrize("mode", ["inflation", "replay"])
def test_gymnasium_renders_frames(mode: str) -> None:
    env = gymnasium.make(
        "clustersim/PodPlacement-v0",
        render_mode="rgb_array",
        workload=with_cpu_only_nodes(),
        mode=mode,
        rows=30,
        **SPEEDUP[mode],
    )
    _, info = env.reset(seed=0)
    first = env.render()
    assert isinstance(first, np.ndarray)
    assert (first.shape, first.dtype) == ((4 * 12, 5 * 12, 3), np.uint8)  # 18 nodes; padding rows are not drawn
    for _ in range(10):
        _, _, _, _, info = env.step(int(info["action_mask"].argmax()))
    assert (env.render() != first).any()
    env.close()


def test_without_a_render_mode_nothing_is_drawn() -> None:
    env = PodPlacementEnv(with_cpu_only_nodes())
    env.reset(seed=0)
    assert env.render() is None
