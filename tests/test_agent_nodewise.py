"""The node-wise network: its two versions agree, it treats nodes alike and plays on any number of them."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from clustersim.agents.nodewise import NodewiseShape, NodewiseWeights, torch_network, weights_of
from clustersim.envs.pod_placement import NODES, POD
from clustersim.errors import ClustersimError

SHAPE = NodewiseShape(len(NODES.columns), len(POD.columns), hidden=16)


@cache
def network(rows: int, waits: bool) -> Any:
    """The torch twin with weights far from their start, the same for every number of rows."""
    import torch

    made = torch_network(SHAPE, rows, waits)
    torch.manual_seed(5)
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.normal_(0, 0.5)
    return made


def situation(rows: int, seed: int, fits: float = 0.5) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Node features, pod features and the mask of nodes that fit, at least one; the others are as wild."""
    rng = np.random.default_rng(seed)
    mask = rng.random(rows) < fits
    mask[rng.integers(rows)] = True
    nodes = rng.normal(size=(rows, SHAPE.node_features)).astype(np.float32)
    nodes[:, 0] = mask
    return nodes, rng.normal(size=SHAPE.pod_features).astype(np.float32), mask


def torch_logits(rows: int, waits: bool, nodes: np.ndarray, pod: np.ndarray) -> np.ndarray:
    import torch

    with torch.no_grad():
        flat = torch.as_tensor(np.concatenate([nodes.ravel(), pod])[None])
        logits: np.ndarray = network(rows, waits).forward_actor(flat)[0].numpy()
    return logits


@pytest.mark.parametrize("waits", [False, True])
@pytest.mark.parametrize("fits", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("rows", [1, 2, 16, 200])
def test_both_versions_compute_the_same_logits(rows: int, fits: float, waits: bool) -> None:
    weights = weights_of(network(rows, waits))
    for seed in range(5):
        nodes, pod, mask = situation(rows, seed, fits)
        expected = torch_logits(rows, waits, nodes, pod)
        assert expected.shape == (rows + waits,)
        found = weights.logits(nodes[mask], pod, waits)
        assert found.dtype == np.float32
        legal = np.append(mask, True) if waits else mask
        np.testing.assert_allclose(found, expected[legal], rtol=1e-4, atol=1e-5)
        assert len(found) == mask.sum() + waits


@pytest.mark.parametrize("waits", [False, True])
def test_permuting_the_nodes_permutes_the_logits(waits: bool) -> None:
    weights = weights_of(network(16, waits))
    for seed in range(5):
        nodes, pod, _ = situation(16, seed)
        order = np.random.default_rng(seed).permutation(16)
        for logits in (
            lambda rows: torch_logits(16, waits, rows, pod),  # noqa: B023  (called within this round)
            lambda rows: weights.logits(rows, pod, waits),  # noqa: B023
        ):
            before, after = logits(nodes), logits(nodes[order])
            np.testing.assert_allclose(after[:16], before[order], rtol=1e-4, atol=1e-5)
            np.testing.assert_allclose(after[16:], before[16:], rtol=1e-4, atol=1e-5)


def test_rows_beyond_the_cluster_change_nothing() -> None:
    nodes, pod, _ = situation(16, 1)
    padded = np.concatenate([nodes, np.zeros((8, SHAPE.node_features), dtype=np.float32)])
    np.testing.assert_allclose(
        torch_logits(24, True, padded, pod)[[*range(16), 24]], torch_logits(16, True, nodes, pod), rtol=1e-4, atol=1e-5
    )


def test_nodes_that_do_not_fit_have_no_say() -> None:
    nodes, pod, mask = situation(16, 2)
    other = nodes.copy()
    other[~mask, 1:] += 3
    legal = np.append(mask, True)
    np.testing.assert_allclose(
        torch_logits(16, True, other, pod)[legal], torch_logits(16, True, nodes, pod)[legal], rtol=1e-4, atol=1e-5
    )


def test_weights_do_not_know_the_number_of_rows() -> None:
    of_16, of_200 = weights_of(network(16, True)), weights_of(network(200, True))
    for name in NodewiseWeights.__slots__:
        np.testing.assert_array_equal(getattr(of_16, name), getattr(of_200, name))
    nodes, pod, mask = situation(200, 3)
    expected = torch_logits(200, True, nodes, pod)
    np.testing.assert_allclose(
        of_16.logits(nodes[mask], pod, True), expected[np.append(mask, True)], rtol=1e-4, atol=1e-5
    )


def test_a_network_that_was_not_trained_to_wait_never_prefers_to() -> None:
    weights = weights_of(network(16, False))
    nodes, pod, mask = situation(16, 4)
    logits = weights.logits(nodes[mask], 100 * pod, True)
    assert logits[-1] == -np.inf
    assert np.isfinite(logits[:-1]).all()


# --- files


def test_weights_survive_a_round_trip_without_pickles(tmp_path: Path) -> None:
    weights = weights_of(network(16, True))
    weights.save(tmp_path / "weights.npz")
    loaded = NodewiseWeights.load(tmp_path / "weights.npz")
    nodes, pod, _ = situation(16, 1)
    np.testing.assert_array_equal(loaded.logits(nodes, pod, True), weights.logits(nodes, pod, True))
    with np.load(tmp_path / "weights.npz", allow_pickle=False) as arrays:
        assert all(arrays[name].dtype == np.float32 for name in arrays)


DAMAGES = {
    "empty": lambda content: b"",
    "cut": lambda content: content[: len(content) // 2],
    "text": lambda content: b"not at all an archive" * 50,
    "header only": lambda content: content[:30],
    "flipped": lambda content: content[:300] + bytes(50) + content[350:],
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_file_is_named(tmp_path: Path, damage: Any) -> None:
    path = tmp_path / "weights.npz"
    weights_of(network(16, True)).save(path)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(ClustersimError, match=r"weights\.npz"):
        NodewiseWeights.load(path)


def test_an_absent_file_and_an_archive_of_other_arrays_are_named(tmp_path: Path) -> None:
    path = tmp_path / "weights.npz"
    with pytest.raises(ClustersimError, match=r"weights\.npz"):
        NodewiseWeights.load(path)
    np.savez(path, first=np.zeros(3))
    with pytest.raises(ClustersimError, match=r"weights\.npz.*first_bias"):
        NodewiseWeights.load(path)
    np.savez(path, **dict.fromkeys(NodewiseWeights.__slots__, np.array([object()])), allow_pickle=True)
    with pytest.raises(ClustersimError, match=r"weights\.npz"):
        NodewiseWeights.load(path)
