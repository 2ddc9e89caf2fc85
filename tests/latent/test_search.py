"""Search in any pose against a brute force over items and elements."""

from __future__ import annotations

import builtins
from typing import Any, get_args

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

import equilatent as eq
from equilatent.actions import SupportsAction
from equilatent.errors import MissingDependencyError
from equilatent.latent import Metric, Neighbours, _blocks, search
from equilatent.testing import GROUPS

D4, S4 = eq.groups.dihedral(4), eq.groups.symmetric(4)
TURNS = eq.groups.subgroup(D4, ["r"])
METRICS: tuple[Metric, ...] = get_args(Metric)
SMALL = sorted(name for name, make in GROUPS.items() if make().order <= 24)


def normal(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    wide = torch.complex128 if dtype.is_complex else torch.float64
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=wide).to(dtype)


def all_scores(rho: SupportsAction, index: Tensor, query: Tensor, metric: Metric) -> Tensor:
    """The score of every query, item and element, [Q, N, |G|]."""
    wide = torch.complex128 if index.is_complex() else torch.float64
    index, query = index.to(wide), query.to(wide)
    scores = torch.empty(len(query), len(index), rho.group.order, dtype=torch.float64)
    for g in range(rho.group.order):
        moved = rho(index, torch.full((len(index),), g)).flatten(1)
        for q, wanted in enumerate(query.flatten(1)):
            if metric == "cosine":
                inner = (moved * wanted.conj()).sum(1).real
                scores[q, :, g] = inner / moved.norm(dim=1) / wanted.norm()
            else:
                scores[q, :, g] = -(moved - wanted).norm(dim=1)
    return scores


def check(found: Neighbours, scores: Tensor, atol: float = 1e-9) -> None:
    """The best k items, each once, with a score and an element that belong together; whatever the order of ties."""
    k = found.indices.shape[1]
    best = scores.amax(2)
    torch.testing.assert_close(found.scores.double(), best.sort(1, descending=True).values[:, :k], rtol=0, atol=atol)
    rows = torch.arange(len(scores))[:, None]
    of_them = scores[rows, found.indices, found.elements]
    torch.testing.assert_close(found.scores.double(), of_them, rtol=0, atol=atol)
    assert all(len(set(row)) == k for row in found.indices.tolist())
    assert (found.scores.diff(dim=1) <= 0).all()


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("k", [1, 3, 20])
@given(st.data())
@settings(max_examples=10, deadline=None)
def test_it_agrees_with_a_brute_force(metric: Metric, k: int, data: st.DataObject) -> None:
    group = GROUPS[data.draw(st.sampled_from(SMALL))]()
    rho = eq.reps.padded_regular(group, group.order + data.draw(st.integers(0, group.order + 2)))
    seed = data.draw(st.integers(0, 1000))
    index, query = normal(20, rho.dim, seed=seed), normal(5, rho.dim, seed=seed + 1)
    check(search(rho, index, query, k, metric=metric), all_scores(rho, index, query, metric))


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize(
    ("rho", "shape", "dtype"),
    [
        (eq.reps.defining(eq.groups.octahedral()), (3,), torch.float64),
        (eq.reps.tensor(eq.reps.standard(S4), eq.reps.regular(S4)), (72,), torch.float64),
        (eq.reps.induce(eq.reps.trivial(TURNS.group), TURNS), (2,), torch.float64),
        (eq.reps.irrep(eq.groups.quaternion(), "2a"), (2,), torch.complex128),
        (eq.reps.regular(D4), (8,), torch.complex128),
        (eq.reps.regular(D4), (8, 3), torch.float64),
        (eq.actions.image(D4), (2, 4, 4), torch.float64),
        (eq.actions.vector_field(D4), (2, 4, 4), torch.float64),
    ],
)
def test_other_representations_and_actions(
    rho: SupportsAction, shape: tuple[int, ...], dtype: torch.dtype, metric: Metric
) -> None:
    index, query = normal(9, *shape, dtype=dtype), normal(4, *shape, seed=1, dtype=dtype)
    check(search(rho, index, query, 4, metric=metric), all_scores(rho, index, query, metric))


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("entries", [1, 30, 100, 700])
def test_blocks_of_any_size_find_the_same(metric: Metric, entries: int, monkeypatch: pytest.MonkeyPatch) -> None:
    rho = eq.reps.padded_regular(D4, 10)
    index, query = normal(23, 10), normal(7, 10, seed=1)
    whole = search(rho, index, query, 5, metric=metric)
    check(whole, all_scores(rho, index, query, metric))
    monkeypatch.setattr(_blocks, "_CPU_ENTRIES", entries)
    parts = search(rho, index, query, 5, metric=metric)
    assert torch.equal(parts.indices, whole.indices) and torch.equal(parts.elements, whole.elements)
    torch.testing.assert_close(parts.scores, whole.scores, rtol=0, atol=1e-12)


@pytest.mark.parametrize("metric", METRICS)
def test_transformed_items_are_found_with_their_element(metric: Metric) -> None:
    rho = eq.reps.multiple(eq.reps.regular(S4), 2)
    index = normal(200, 48)
    wanted, g = torch.tensor([5, 77, 199]), torch.tensor([3, 23, 0])
    found = search(rho, index, rho(index[wanted], g), 2, metric=metric)
    assert torch.equal(found.indices[:, 0], wanted) and torch.equal(found.elements[:, 0], g)
    assert found.group is S4
    # The score of a perfect match is exact, though |x|² + |y|² − 2⟨x, y⟩ would be off by its rounding.
    perfect = {"cosine": 1.0, "euclidean": 0.0}[metric]
    torch.testing.assert_close(found.scores[:, 0], torch.full((3,), perfect).double(), rtol=0, atol=1e-14)


def test_near_distances_are_in_order_where_the_rounding_of_squares_is_larger() -> None:
    rho = eq.reps.multiple(eq.reps.regular(S4), 2)
    query = 100 * normal(1, 48)
    steps = torch.linspace(0.001, 0.01, 24)[:, None]  # |q|² is about 5e5, a unit in its last place 0.03
    places, g = torch.randperm(24, generator=torch.Generator().manual_seed(0)), S4.elements
    index = rho(query + (steps * normal(24, 48, seed=1))[places], g).float()
    query = query.float()
    found = search(rho, index, query, 24, metric="euclidean")
    check(found, all_scores(rho, index, query, "euclidean"), atol=1e-5)
    assert torch.equal(found.elements[0], S4.inverse(found.indices[0]))


def test_lengths_matter_to_the_distance_alone() -> None:
    rho, query = eq.reps.regular(D4), normal(1, 8)
    index = torch.cat([query * 3, query + 0.1 * normal(1, 8, seed=1)])
    assert search(rho, index, query).indices.item() == 0
    assert search(rho, index, query, metric="euclidean").indices.item() == 1


def test_items_that_tie_are_all_found() -> None:
    rho, items = eq.reps.regular(D4), normal(4, 8)
    index = torch.cat([rho(items, torch.full((4,), g)) for g in (0, 3, 6)])  # each item in three poses
    for metric in METRICS:
        found = search(rho, index, items, 3, metric=metric)
        assert (found.indices % 4 == torch.arange(4)[:, None]).all()
        check(found, all_scores(rho, index, items, metric))


def test_an_item_with_a_symmetry_is_carried_by_any_element_of_the_coset() -> None:
    rho = eq.reps.multiple(eq.reps.regular(D4), 2)
    item = eq.latent.orbit(rho, normal(1, 16), elements=torch.tensor([0, D4["r2"]])).mean(1)
    found = search(rho, item, rho(item, torch.tensor([D4["r"]])))
    assert found.elements.item() in (D4["r"], D4["r3"])


def test_zero_items_score_zero() -> None:
    rho, query = eq.reps.regular(D4), normal(1, 8)
    found = search(rho, torch.stack([torch.zeros(8).double(), -query[0], query[0]]), query, 3)
    assert found.indices[0, 0] == 2 and found.scores[0, found.indices[0] == 0] == 0
    zero = search(rho, query, torch.zeros_like(query))
    assert zero.scores.item() == 0
    assert search(rho, torch.zeros_like(query), query, metric="euclidean").scores.item() == pytest.approx(-query.norm())


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_computed_in_float32(dtype: torch.dtype, metric: Metric) -> None:
    rho = eq.reps.multiple(eq.reps.regular(D4), 32)
    index, query = normal(50, 256).to(dtype), normal(3, 256, seed=1).to(dtype)
    found = search(rho, index, query, 5, metric=metric)
    assert found.scores.dtype == torch.float32
    # Products in half precision would be off by 1e-3 of the cosine; these are the scores of the stored numbers.
    check(found, all_scores(rho, index, query, metric), atol=2e-5)
    mixed = search(rho, index, query.double(), 5, metric=metric)
    assert mixed.scores.dtype == torch.float64
    check(mixed, all_scores(rho, index, query, metric), atol=1e-9)


@pytest.mark.parametrize("scale", [1e-25, 1e25])
def test_cosines_do_not_depend_on_the_size_of_latents(scale: float) -> None:
    rho, query = eq.reps.regular(D4), normal(4, 8, dtype=torch.float32)
    index = normal(9, 8, seed=1, dtype=torch.float32)
    plain, scaled = search(rho, index, query, 3), search(rho, index * scale, query, 3)
    assert torch.equal(plain.indices, scaled.indices)
    torch.testing.assert_close(plain.scores, scaled.scores)


def test_learned_orthogonal_matrices_search_as_they_are() -> None:
    rho = eq.reps.LearnedRepresentation(D4, 8, orthogonal=True, generator=torch.Generator().manual_seed(0))
    matrices = rho.matrix(D4.elements).detach().double()
    index, query = normal(9, 8), normal(4, 8, seed=1)
    scores = torch.einsum("gij,nj,qi->qng", matrices, index, query)
    scores = scores / index.norm(dim=1)[:, None] / query.norm(dim=1)[:, None, None]
    check(search(rho, index, query, 3), scores, atol=1e-6)


def test_a_memory_mapped_index(tmp_path: Any) -> None:
    rho, index = eq.reps.regular(D4), normal(30, 8)
    torch.save(index, tmp_path / "index.pt")
    stored = torch.load(tmp_path / "index.pt", mmap=True)
    found, expected = search(rho, stored, index[:3], 2), search(rho, index, index[:3], 2)
    assert torch.equal(found.indices, expected.indices) and torch.equal(found.scores, expected.scores)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("metric", METRICS)
def test_an_index_on_the_cpu_and_queries_on_a_gpu(metric: Metric) -> None:
    rho = eq.reps.padded_regular(D4, 19)
    index, query = normal(300, 19), normal(7, 19, seed=1)
    found, expected = search(rho, index, query.cuda(), 5, metric=metric), search(rho, index, query, 5, metric=metric)
    assert found.indices.is_cuda and torch.equal(found.indices.cpu(), expected.indices)
    assert torch.equal(found.elements.cpu(), expected.elements)
    torch.testing.assert_close(found.scores.cpu(), expected.scores)
    pair = eq.latent.match(rho.cuda(), index[:7].cuda(), query.cuda())
    assert torch.equal(pair.element.cpu(), eq.latent.match(rho.cpu(), index[:7], query).element)


def test_a_bar_counts_the_blocks(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    rho = eq.reps.regular(D4)
    monkeypatch.setattr(_blocks, "_CPU_ENTRIES", 256)  # 16 items and 2 queries in a block
    search(rho, normal(40, 8), normal(5, 8), progress=True)
    assert "9/9" in capsys.readouterr().err
    search(rho, normal(40, 8), normal(5, 8))
    assert not capsys.readouterr().err


def test_without_tqdm_a_bar_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    original = builtins.__import__

    def without_tqdm(name: str, *args: Any, **kwargs: Any) -> Any:
        if name.split(".")[0] == "tqdm":
            raise ImportError(name)
        return original(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without_tqdm)
    with pytest.raises(MissingDependencyError, match="pip install tqdm"):
        search(eq.reps.regular(D4), normal(3, 8), normal(2, 8), progress=True)
