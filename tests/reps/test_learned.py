"""Learned representations: words multiplied out, starts, precision, training; and the exact representation next to one."""

from __future__ import annotations

import copy
import io
import itertools
import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pytest
import scipy.linalg
import scipy.stats
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

import equilatent as eq
from equilatent.errors import GroupError, NonFiniteError, RepresentationError
from equilatent.groups import Group
from equilatent.reps import LearnedRepresentation, Representation
from equilatent.reps._constructors import relator_errors

D3, D12, C4 = eq.groups.dihedral(3), eq.groups.dihedral(12), eq.groups.cyclic(4)
SOME = ["C1", "C2", "D1", "D3", "C12", "Q8", "S4", "C7⋊C3", "S3xQ8", "A5"]


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def random(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(*shape, generator=seeded(seed), dtype=dtype)


def learned(G: Group, dim: int = 3, **changes: Any) -> LearnedRepresentation:
    return LearnedRepresentation(G, dim, **{"generator": seeded(), "dtype": torch.float64, **changes})


def crooked_basis(dim: int, seed: int, stretch: float = 3.0) -> Tensor:
    """A basis with this condition number."""
    left, right = (torch.linalg.qr(random(dim, dim, seed=seed + i)).Q for i in range(2))
    return left * torch.logspace(0, math.log10(stretch), dim, dtype=torch.float64) @ right


def in_basis(rho: Representation, basis: Tensor) -> dict[str, Tensor]:
    return {x: basis @ rho.matrix(g) @ basis.inverse() for x, g in rho.group.generators.items()}


# Words


@pytest.mark.parametrize("inverses", [True, False])
@pytest.mark.parametrize("name", SOME)
def test_every_element_is_the_product_along_its_word(name: str, inverses: bool) -> None:
    # The matrices are no representation, so that another word for the same element would give another matrix.
    G = eq.testing.GROUPS[name]()
    rho = learned(G, noise=0.1, inverses=inverses)
    matrices = rho.generator_matrices()
    tree = G.spanning_tree_with_inverses if inverses else G.spanning_tree
    found = rho.matrix(G.elements)
    for g in range(G.order):
        word = tree.word(g)
        assert G.evaluate(word) == g
        assert inverses or all(exponent > 0 for _, exponent in word)
        expected = torch.eye(3, dtype=torch.float64)
        for x, exponent in word:
            for _ in range(abs(exponent)):
                expected = expected @ (matrices[x] if exponent > 0 else matrices[x].inverse())
        torch.testing.assert_close(found[g], expected)
        torch.testing.assert_close(rho.matrix(g), expected)


@pytest.mark.parametrize("name", SOME)
def test_started_from_a_representation_it_is_that_representation(name: str) -> None:
    G = eq.testing.GROUPS[name]()
    exact = eq.reps.irreps(G, field="real")[-1]
    rho = learned(G, exact.dim, start=exact)
    torch.testing.assert_close(rho.matrix(G.elements), exact.matrix(G.elements))
    g, h = (G.sample(40, generator=seeded(i)) for i in range(2))
    x = random(40, exact.dim)
    torch.testing.assert_close(rho(rho(x, h), g), exact(x, G.product(g, h)))


@settings(deadline=None, max_examples=30)
@given(shape=st.lists(st.integers(0, 3), max_size=3), data=st.data())
def test_each_sample_is_moved_by_its_own_element_along_any_axis(shape: list[int], data: st.DataObject) -> None:
    axis = data.draw(st.integers(1, len(shape) + 1))
    batch = data.draw(st.integers(0, 6))
    full = [batch, *shape]
    full.insert(axis, 3)
    g = torch.tensor(data.draw(st.lists(st.integers(0, 5), min_size=batch, max_size=batch)), dtype=torch.long)
    x, rho = random(*full), learned(D3, noise=0.1)
    for dim in (axis, axis - len(full)):
        moved = rho(x, g, dim=dim)
        assert moved.shape == x.shape
        for i in range(batch):
            expected = torch.tensordot(rho.matrix(int(g[i])), x[i], dims=([1], [axis - 1])).movedim(0, axis - 1)
            torch.testing.assert_close(moved[i], expected)


def test_tensors_of_elements_of_any_shape_and_integer_dtype() -> None:
    rho = learned(D3)
    g = torch.tensor([[0, 5, 5], [2, 1, 0]])
    assert rho.matrix(g).shape == (2, 3, 3, 3)
    assert torch.equal(rho.matrix(g)[1, 0], rho.matrix(2))
    assert torch.equal(rho.matrix(g.int()), rho.matrix(g))
    assert rho.matrix(torch.zeros(0, 2, dtype=torch.long)).shape == (0, 2, 3, 3)
    assert torch.equal(rho(random(3, 3), g[0].int()), rho(random(3, 3), g[0]))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_group_of_one_element_has_nothing_to_learn(dtype: torch.dtype) -> None:
    G = eq.groups.cyclic(1)
    rho = learned(G, 4, dtype=dtype)
    x = random(5, 4, dtype=dtype)
    assert list(rho.parameters()) == [] and rho.generator_matrices() == {}
    assert torch.equal(rho(x, torch.zeros(5, dtype=torch.long)), x)
    assert rho.matrix(0).dtype == rho.dtype == dtype
    assert rho.to(torch.float32).dtype == torch.float32


class CountProducts(torch.overrides.TorchFunctionMode):
    """Counts matrix products and linear solves."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.count += func in (torch.Tensor.matmul, torch.Tensor.__matmul__, torch.matmul, torch.linalg.solve)
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("inverses", [True, False])
def test_words_share_their_beginnings(inverses: bool) -> None:
    rho = learned(D12, inverses=inverses)
    tree = D12.spanning_tree_with_inverses if inverses else D12.spanning_tree
    levels, letters = len(list(tree.levels())), len(tree.generators)
    assert (levels, letters) == (7, 3 if inverses else 2)
    with CountProducts() as counter:
        rho.matrix(D12.elements)
    assert levels <= counter.count <= levels * letters < D12.order
    with CountProducts() as counter:  # only what leads to the elements that occur
        rho.matrix(torch.tensor([D12["r2"], D12["r2"], D12["r"], 0]))
    assert counter.count == 2


# Gradients, precision, where it lives


def test_gradients_reach_every_generator_that_occurs_and_no_other() -> None:
    rho = learned(D3)
    r, s = rho.parameters()
    rho(random(2, 3), torch.tensor([D3["r"], 0])).sum().backward()
    assert r.grad is not None and r.grad.any()
    assert s.grad is None or not s.grad.any()
    rho(random(2, 3), torch.tensor([D3["r s"], D3["r2"]])).sum().backward()
    assert s.grad is not None and s.grad.any()


@pytest.mark.parametrize("orthogonal", [True, False])
def test_the_derivative_by_finite_differences(orthogonal: bool) -> None:
    rho = learned(D3, 2, orthogonal=orthogonal, noise=0.1)
    parameters = dict(rho.named_parameters())
    x, g = random(6, 2), D3.elements

    def moved(*values: Tensor) -> Tensor:
        given_values = dict(zip(parameters, values, strict=True))
        return torch.func.functional_call(rho, given_values, (x, g))

    assert torch.autograd.gradcheck(moved, [p.detach().clone().requires_grad_() for p in parameters.values()])


def test_half_precision_keeps_the_words_in_their_own() -> None:
    rho = learned(D12, 4, dtype=torch.float32)
    x, g = random(24, 4, dtype=torch.float32), D12.elements
    expected = rho.matrix(g)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(rho.matrix(g), expected)
        assert rho(x, g).dtype == torch.bfloat16
        moved = rho(x, g)
    torch.testing.assert_close(moved.float(), rho(x, g), rtol=0.02, atol=0.05)
    assert rho(x.bfloat16(), g).dtype == torch.bfloat16
    torch.testing.assert_close(rho(x.bfloat16(), g).float(), rho(x, g), rtol=0.02, atol=0.05)
    assert rho(x.double(), g).dtype == torch.float64


def test_vectors_may_be_complex() -> None:
    rho, x = learned(D3), random(6, 3, dtype=torch.complex128)
    moved = rho(x, D3.elements)
    torch.testing.assert_close(moved.real, rho(x.real.clone(), D3.elements))
    torch.testing.assert_close(moved.imag, rho(x.imag.clone(), D3.elements))


@pytest.mark.parametrize("orthogonal", [True, False])
def test_saved_loaded_copied_and_converted(orthogonal: bool) -> None:
    rho, other = (learned(D3, orthogonal=orthogonal, generator=seeded(i)) for i in range(2))
    assert not torch.allclose(rho.matrix(1), other.matrix(1))
    file = io.BytesIO()
    torch.save(rho.state_dict(), file)
    file.seek(0)
    other.load_state_dict(torch.load(file, weights_only=True))
    torch.testing.assert_close(rho.matrix(D3.elements), other.matrix(D3.elements))
    twin = copy.deepcopy(rho)
    with torch.no_grad():
        next(twin.parameters()).add_(random(3, 3, seed=5))
    assert not torch.allclose(rho.matrix(1), twin.matrix(1))
    torch.testing.assert_close(rho.matrix(1), other.matrix(1))
    single = copy.deepcopy(rho).to(torch.float32)
    assert single.dtype == single.matrix(5).dtype == single.inverse_matrix("r").dtype == torch.float32
    torch.testing.assert_close(single.matrix(5), rho.matrix(5).float())


@pytest.mark.parametrize("orthogonal", [True, False])
@pytest.mark.parametrize("name", SOME)
def test_one_square_of_parameters_for_each_generator(name: str, orthogonal: bool) -> None:
    G = eq.testing.GROUPS[name]()
    rho = learned(G, 5, orthogonal=orthogonal)
    assert sum(p.numel() for p in rho.parameters()) == len(G.generators) * 25
    assert list(rho.generator_matrices()) == list(G.generators)


def test_training_leaves_the_representation_it_started_from_alone() -> None:
    # Its matrices may be views of a table that all users of an irrep share.
    exact = eq.reps.irrep(D3, "standard")
    before = exact.matrix(D3.elements).clone()
    rho = learned(D3, 2, start=exact)
    with torch.no_grad():
        for parameter in rho.parameters():
            parameter.add_(1.0)
    assert torch.equal(exact.matrix(D3.elements), before)


# Starts


def entries(start: Any, dim: int = 60, **changes: Any) -> Tensor:
    return torch.stack(list(learned(D3, dim, start=start, **changes).generator_matrices().values())).detach()


def test_the_uniform_start() -> None:
    values = entries("uniform").flatten()
    assert values.min() >= 0 and values.max() < 1
    assert scipy.stats.kstest(values, "uniform").pvalue > 1e-3


def test_the_normal_start() -> None:
    assert scipy.stats.kstest(entries("normal").flatten(), "norm").pvalue > 1e-3


def test_the_noise_is_normal_of_the_given_deviation() -> None:
    exact = eq.reps.multiple(eq.reps.regular(D3), 10)
    noise = entries(exact, noise=0.3) - torch.stack([exact.matrix(g) for g in D3.generators.values()])
    assert scipy.stats.kstest(noise.flatten(), "norm", args=(0, 0.3)).pvalue > 1e-3
    assert torch.equal(entries(exact), torch.stack([exact.matrix(g) for g in D3.generators.values()]))


def test_the_orthogonal_start_is_uniform_among_orthogonal_matrices() -> None:
    values = entries("orthogonal")
    torch.testing.assert_close(values @ values.mT, torch.eye(60, dtype=torch.float64).expand(2, 60, 60))
    # Of a rotation or reflection of the plane drawn uniformly, the first column has a uniform angle and the determinant
    # is either sign equally often. Without correction of signs QR gives a negative first entry every time.
    many, source = [], seeded(1)
    for _ in range(300):
        many.append(learned(eq.groups.cyclic(2), 2, generator=source).matrix(1).detach())
    drawn = torch.stack(many)
    angles = torch.atan2(drawn[:, 1, 0], drawn[:, 0, 0])
    assert scipy.stats.kstest(angles, "uniform", args=(-math.pi, 2 * math.pi)).pvalue > 1e-3
    positive = int((torch.linalg.det(drawn) > 0).sum())
    assert scipy.stats.binomtest(positive, 300).pvalue > 1e-3


@pytest.mark.parametrize("start", ["uniform", "normal", "orthogonal"])
def test_starts_are_seeded(start: str) -> None:
    same, again, other = (entries(start, generator=seeded(seed), noise=0.1) for seed in (3, 3, 4))
    assert torch.equal(same, again) and not torch.allclose(same, other)
    assert not torch.allclose(same[0], same[1])
    single = entries(start, generator=seeded(3), noise=0.1, dtype=torch.float32)
    assert single.dtype == torch.float32 and torch.equal(single, same.float())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("start", ["uniform", "normal", "orthogonal"])
def test_orthogonal_matrices_stay_orthogonal_in_training(start: str, dtype: torch.dtype) -> None:
    rho = learned(D3, 6, start=start, orthogonal=True, dtype=dtype)
    first = rho.matrix(1).detach().clone()
    optimiser = torch.optim.Adam(rho.parameters(), lr=0.1)
    for _ in range(20):
        optimiser.zero_grad()
        eq.objective.algebra_loss(rho).backward()
        optimiser.step()
    assert not torch.allclose(rho.matrix(1), first, atol=0.01)
    table = rho.matrix(D3.elements)
    limit = 1e-5 if dtype == torch.float32 else 1e-12
    assert (table @ table.mT - torch.eye(6, dtype=dtype)).abs().max() < limit


def test_the_orthogonal_start_is_the_nearest_orthogonal_matrix() -> None:
    given_matrix = learned(D3, 5, noise=0.1).matrix(1).detach()
    rounded = learned(D3, 5, noise=0.1, orthogonal=True).matrix(1).detach()
    unitary, _ = scipy.linalg.polar(given_matrix.numpy())
    np.testing.assert_allclose(rounded.numpy(), unitary, atol=1e-12)


# Refusals


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"group": "D3"}, r"needs a group, such as .*got 'D3'"),
        ({"dim": 0}, r"integer ≥ 1; got 0"),
        ({"dim": 2.0}, r"integer ≥ 1; got 2\.0"),
        ({"dim": True}, r"integer ≥ 1; got True"),
        ({"start": "ones"}, r"'uniform', 'normal', 'orthogonal' or a representation; got 'ones'"),
        ({"start": eq.reps.regular(C4)}, r"representation of C4 of dimension 4; expected one of D3 of dimension 4"),
        ({"start": eq.reps.regular(D3)}, r"of dimension 6; expected one of D3 of dimension 4"),
        ({"noise": -1.0}, r"deviation ≥ 0; got -1\.0"),
        ({"noise": float("nan")}, r"deviation ≥ 0; got nan"),
        ({"dtype": torch.long}, r"float32 or torch\.float64; got torch\.int64"),
        ({"dtype": torch.bfloat16}, r"float32 or torch\.float64; got torch\.bfloat16"),
    ],
)
def test_what_no_learned_representation_is_made_of(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(RepresentationError, match=message):
        LearnedRepresentation(**{"group": D3, "dim": 4, **changes})


def test_complex_starts_are_refused() -> None:
    with pytest.raises(RepresentationError, match=r"learned matrices are real; 1b has complex ones"):
        learned(C4, 1, start=eq.reps.irrep(C4, "1b"))


@pytest.mark.parametrize(
    ("x", "g", "dim", "message"),
    [
        (torch.zeros(2, 3), torch.tensor([0, 1]), 0, r"3 features behind the batch axis; axis 0 .* \[2, 3\]"),
        (torch.zeros(2, 3), torch.tensor([0, 1]), 2, r"axis 2"),
        (torch.zeros(2, 3), torch.tensor([0, 1]), -3, r"axis -3"),
        (torch.zeros(2, 4), torch.tensor([0, 1]), 1, r"3 features .* shape \[2, 4\]"),
        (torch.zeros(3), torch.tensor([0]), 1, r"shape \[3\]"),
        (torch.zeros(2, 3), torch.tensor([0, 1, 2]), 1, r"expected shape \[2\], got \[3\]"),
        (torch.zeros(2, 3), torch.tensor([[0], [1]]), 1, r"expected shape \[2\], got \[2, 1\]"),
        (
            torch.zeros(2, 3, dtype=torch.long),
            torch.tensor([0, 1]),
            1,
            r"floating numbers; the dtype of x is torch\.int64",
        ),
    ],
)
def test_what_it_does_not_act_on(x: Tensor, g: Tensor, dim: int, message: str) -> None:
    with pytest.raises(RepresentationError, match=message):
        learned(D3)(x, g, dim=dim)


def test_what_are_no_elements() -> None:
    rho = learned(D3)
    for g in (torch.tensor([0, 6]), torch.tensor([0.0, 1.0]), [0, 1]):
        with pytest.raises(GroupError, match="elements of D3"):
            rho(torch.zeros(2, 3), g)
    for g in (6, -1, 1.5):
        with pytest.raises(GroupError, match="elements of D3 are the integers 0 … 5"):
            rho.matrix(g)  # type: ignore[arg-type]


def test_inverses_of_singular_matrices_are_refused_and_not_needed_without() -> None:
    for inverses in (True, False):
        rho = learned(D3, 2, inverses=inverses)
        with torch.no_grad():
            rho.generator_matrices()["r"].copy_(torch.tensor([[1.0, 2.0], [2.0, 4.0]]))
        assert rho.matrix(D3["r"]).tolist() == [[1, 2], [2, 4]]
        with pytest.raises(NonFiniteError, match=r"the matrix of 'r' has become singular.*orthogonal=True"):
            rho.inverse_matrix("r")
        if inverses:
            with pytest.raises(NonFiniteError, match="'r' has become singular"):
                rho(random(1, 2), torch.tensor([D3["r2"]]))
        else:
            assert rho.matrix(D3["r2"]).tolist() == [[5, 10], [10, 20]]


# The exact representation next to one


def mean_square(matrices: Iterable[Tensor]) -> float:
    return float(torch.stack(list(matrices)).square().mean())


def noisy(matrices: Mapping[str, Tensor], size: float, seed: int = 7) -> dict[str, Tensor]:
    return {x: m + size * random(*m.shape, seed=seed + i) for i, (x, m) in enumerate(matrices.items())}


NEAREST = [name for name in eq.testing.GROUPS if name not in ("S5", "D4xD4", "C1", "S1")]


@pytest.mark.parametrize("name", NEAREST)
def test_a_representation_is_next_to_itself(name: str) -> None:
    G = eq.testing.GROUPS[name]()
    known = eq.reps.irreps(G, field="real")
    exact = eq.reps.direct_sum(known[-1], known[0], known[-1], known[len(known) // 2])
    planted = in_basis(exact, crooked_basis(exact.dim, seed=1))
    nearest = eq.reps.nearest_representation(G, planted)
    assert nearest.distance < 1e-20 and nearest.relative_distance < 1e-20
    assert str(nearest.decomposition) == str(eq.reps.multiplicities(exact, field="real"))
    assert nearest.representation.label == str(nearest.decomposition)
    for x, g in G.generators.items():
        torch.testing.assert_close(nearest.representation.matrix(g), planted[x])


@pytest.mark.parametrize("stretch", [1.0, 4.0])
@pytest.mark.parametrize("size", [1e-4, 1e-2, 3e-2])
@pytest.mark.parametrize("name", ["C2", "C4", "D3", "Q8", "C7⋊C3", "A4", "O"])
def test_the_distance_is_that_of_the_noise_and_never_more(name: str, size: float, stretch: float) -> None:
    G = eq.testing.GROUPS[name]()
    exact = eq.reps.padded_regular(G, G.order + 3)
    planted = in_basis(exact, crooked_basis(exact.dim, seed=1, stretch=stretch))
    given_matrices = noisy(planted, size)
    nearest = eq.reps.nearest_representation(G, given_matrices)
    assert str(nearest.decomposition) == str(eq.reps.multiplicities(exact, field="real"))
    # The planted one is a representation too, so that the nearest cannot be farther; of the noise, the part along the
    # directions in which representations change is no error.
    to_planted = mean_square(given_matrices[x] - planted[x] for x in planted)
    assert 0.1 * size**2 < nearest.distance < to_planted
    moved = {x: nearest.representation.matrix(g) for x, g in G.generators.items()}
    assert nearest.distance == pytest.approx(mean_square(moved[x] - given_matrices[x] for x in moved))
    assert nearest.relative_distance == pytest.approx(nearest.distance / mean_square(given_matrices.values()))
    assert max(relator_errors(G, moved).values()) < 1e-9
    basis, blocks = nearest.decomposition.basis, nearest.decomposition.representation
    for x, g in G.generators.items():
        torch.testing.assert_close(basis.inverse() @ moved[x] @ basis, blocks.matrix(g), atol=1e-9, rtol=0)


@pytest.mark.parametrize("name", ["C3", "D3", "Q8"])
def test_no_small_change_of_basis_comes_nearer(name: str) -> None:
    G = eq.testing.GROUPS[name]()
    given_matrices = noisy(in_basis(eq.reps.regular(G), crooked_basis(G.order, seed=2)), 0.02)
    nearest = eq.reps.nearest_representation(G, given_matrices)
    identity = torch.eye(G.order, dtype=torch.float64)
    for seed, size in itertools.product(range(10), (1e-4, 1e-3, 1e-2)):
        moved = in_basis(nearest.representation, identity + size * random(G.order, G.order, seed=seed))
        assert mean_square(moved[x] - given_matrices[x] for x in moved) >= nearest.distance


def test_one_number_by_hand() -> None:
    # Representations of C2 on one number are 1 and −1; 0.9 is 0.1 away from the former, whose mean square is 0.81.
    nearest = eq.reps.nearest_representation(eq.groups.cyclic(2), {"r": [[0.9]]})
    assert nearest.distance == pytest.approx(0.01)
    assert nearest.relative_distance == pytest.approx(0.01 / 0.81)
    assert nearest.multiplicities.as_floats() == pytest.approx({"trivial": 0.95, "sign": 0.05})
    assert str(nearest) == "trivial at a relative distance of 1.2e-02"


def test_float32_matrices_that_require_gradients_and_a_group_without_generators() -> None:
    rho = learned(D3, 6, start=eq.reps.regular(D3), noise=0.01, dtype=torch.float32)
    nearest = eq.reps.nearest_representation(D3, rho.generator_matrices())
    assert str(nearest.decomposition) == "trivial ⊕ sign ⊕ 2 standard" and 1e-5 < nearest.distance < 1e-4
    alone = eq.reps.nearest_representation(eq.groups.cyclic(1), {})
    assert (str(alone.decomposition), alone.distance, alone.relative_distance) == ("trivial", 0.0, 0.0)


def test_matrices_that_are_next_to_no_representation() -> None:
    # 1/2 is as near to one as to the other: ½ trivial and ½ sign round to nothing.
    with pytest.raises(RepresentationError, match=r"0\.50 trivial \+ 0\.50 sign .* rounds to 0·1 \+ 0·1 = 0 of 1 dim"):
        eq.reps.nearest_representation(eq.groups.cyclic(2), {"r": [[0.0]]})
    random_ones = {x: random(12, 12, seed=i) for i, x in enumerate(D3.generators)}
    with pytest.raises(RepresentationError, match=r"of D3.*Train longer, or give the algebra loss more weight"):
        eq.reps.nearest_representation(D3, random_ones)


@pytest.mark.parametrize(
    ("matrices", "message"),
    [
        ({"r": torch.eye(2)}, r"given by its generators r, s; got r"),
        ({"r": torch.eye(2), "s": torch.eye(3)}, r"square and of one size"),
        ({"r": torch.eye(2), "s": 1j * torch.eye(2)}, r"these matrices are complex"),
        ({"r": torch.eye(2), "s": torch.full((2, 2), torch.nan)}, r"NaN or infinity"),
    ],
)
def test_what_is_near_nothing(matrices: dict[str, Tensor], message: str) -> None:
    with pytest.raises(RepresentationError, match=message):
        eq.reps.nearest_representation(D3, matrices)


# Roots of unity, and a line of words


@pytest.mark.parametrize("order", [1, 2, 3, 4, 7, 12])
def test_the_roots_of_the_regular_representation_are_each_root_once(order: int) -> None:
    G = eq.groups.cyclic(order)
    matrix = eq.reps.regular(G).matrix(G.power(G.generators["r"], 1)) if order > 1 else torch.eye(1)
    basis = crooked_basis(order, seed=3)
    found = eq.reps.nearest_roots(basis @ matrix.double() @ basis.inverse(), order)
    assert sorted(found.root.tolist()) == list(range(order))
    assert found.distance.max() < 1e-10
    expected = np.exp(2j * np.pi * found.root.numpy() / order)
    np.testing.assert_allclose(found.eigenvalues.numpy(), expected, atol=1e-10)


def test_roots_by_hand() -> None:
    # Rotation by 100°: the eigenvalues exp(±100°i) are next to exp(±90°i), at a chord of 2 sin 5°.
    angle = math.radians(100)
    rotation = torch.tensor([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]]).requires_grad_()
    eigenvalues, root, distance = eq.reps.nearest_roots(rotation, 4)
    assert sorted(root.tolist()) == [1, 3]
    assert distance.tolist() == pytest.approx([2 * math.sin(math.radians(5))] * 2, abs=1e-6)
    assert (eigenvalues.dtype, distance.dtype, root.dtype) == (torch.complex128, torch.float64, torch.int64)
    assert eq.reps.nearest_roots(1j * torch.eye(1), 4).root.tolist() == [1]


@pytest.mark.parametrize(
    ("matrix", "order", "message"),
    [
        (torch.eye(2), 0, "integer ≥ 1; got 0"),
        (torch.eye(2), 2.0, r"integer ≥ 1; got 2\.0"),
        (torch.zeros(2, 3), 2, r"square matrix, a tensor \[d, d\]; got \[2, 3\]"),
        ([[1.0]], 2, "got list"),
        (torch.full((1, 1), torch.nan), 2, "NaN or infinity"),
    ],
)
def test_what_has_no_roots(matrix: Any, order: Any, message: str) -> None:
    with pytest.raises(RepresentationError, match=message):
        eq.reps.nearest_roots(matrix, order)


@pytest.mark.parametrize("name", ["C1", "C4", "D3", "Q8", "A5"])
def test_copies_of_the_regular_representation_are_counted(name: str) -> None:
    G = eq.testing.GROUPS[name]()
    counts = eq.reps.multiplicities(eq.reps.multiple(eq.reps.regular(G), 3)).as_floats()
    assert eq.reps.copies_of_regular(G, counts) == pytest.approx((3, 0), abs=1e-9)
    # One more trivial one: k changes by its share of Σ dim² = |G|, and the trivial one is off by the rest.
    copies, difference = eq.reps.copies_of_regular(G, {**counts, "trivial": 4.0})
    assert copies == pytest.approx(3 + 1 / G.order)
    assert difference == pytest.approx(max(1 - 1 / G.order, 1 / G.order if G.order > 1 else 0))


def test_a_line_of_words() -> None:
    counts = {"trivial": 6.471, "sign": 4.752, "standard": 9.39}  # (6.471 + 4.752 + 2 · 9.39) / 6
    assert eq.reps.describe_multiplicities(D3, counts) == "5.00 × regular: trivial 6.47, sign 4.75, standard 9.39"
    with pytest.raises(RepresentationError, match=r"irreps of D3 are trivial, sign, standard; got .* of trivial"):
        eq.reps.describe_multiplicities(D3, {"trivial": 1.0})


# Everything together


def test_a_planted_symmetry_is_learned() -> None:
    # C3 exchanges the entries of x, three and three. The encoder is linear and has as many features, so that the latent
    # must be isomorphic to x. Every real representation of C3 has determinants 1, and so has the start with this seed:
    # one of determinant −1 would have to become singular on the way.
    C3, source = eq.groups.cyclic(3), seeded(1)
    exchange = eq.reps.multiple(eq.reps.regular(C3), 2)
    rho = LearnedRepresentation(C3, 6, generator=source)
    assert torch.linalg.det(rho.matrix(1)) > 0
    torch.manual_seed(1)
    encoder, decoder = nn.Linear(6, 6, bias=False), nn.Linear(6, 6, bias=False)
    objective = eq.Objective.learned(
        rho, input=exchange, output=exchange, task_loss=nn.functional.mse_loss, generator=source
    )
    parameters = [*encoder.parameters(), *decoder.parameters(), *objective.parameters()]
    optimiser = torch.optim.Adam(parameters, lr=0.03)
    for _ in range(250):
        x = torch.randn(32, 6, generator=source)
        optimiser.zero_grad()
        objective((encoder, decoder), x, x)[0].backward()
        optimiser.step()
    assert eq.objective.algebra_loss(rho).item() < 1e-4
    counts = eq.reps.multiplicities(rho.generator_matrices(), C3)
    assert list(counts.values()) == pytest.approx([2, 2, 2], abs=0.05)
    nearest = eq.reps.nearest_representation(C3, rho.generator_matrices())
    assert str(nearest.decomposition) == "2 trivial ⊕ 2 2a" and nearest.relative_distance < 1e-3
    assert eq.objective.describe_learned_representation(rho).startswith("2.00 × regular: trivial 2.0")
