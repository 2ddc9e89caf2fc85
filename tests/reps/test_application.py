"""Applying representations: axes, dtypes, gradients, and their life as modules."""

import copy
import pickle
from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from equilatent import groups, reps
from equilatent.reps import Representation
from equilatent.testing import REPRESENTATIONS

D3 = groups.dihedral(3)
C3 = groups.cyclic(3)
ROOT = np.exp(2j * np.pi / 3)

KINDS: dict[str, Callable[[], Representation]] = {
    "regular": lambda: reps.regular(D3),
    "trivial": lambda: reps.trivial(D3),
    "sign": lambda: reps.sign(D3),
    "matrices": lambda: reps.from_matrices(D3, D3.defining or {}),
    "sum": lambda: reps.direct_sum(reps.from_matrices(D3, D3.defining or {}), reps.sign(D3), reps.regular(D3)),
}


def vectors(*shape: int, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(5), dtype=torch.float64).to(dtype)


def complex_vectors(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(5), dtype=torch.complex128)


# Axes


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("shape", "axis"), [((), 1), ((), -1), ((4,), 1), ((4, 2), 2), ((4, 2), -1), ((4, 2), -3)])
def test_applying_along_an_axis_multiplies_every_vector_there(kind: str, shape: tuple[int, ...], axis: int) -> None:
    rho = KINDS[kind]()
    full = [6, *shape]
    full.insert(axis if axis > 0 else len(full) + 1 + axis, rho.dim)
    x, g = vectors(*full), torch.arange(6)
    moved = rho(x, g, dim=axis)
    assert moved.shape == x.shape
    for b in range(6):
        by_hand = np.moveaxis(np.tensordot(rho.matrix(b).numpy(), x[b].movedim(axis - (axis > 0), 0).numpy(), 1), 0, -1)
        np.testing.assert_allclose(moved[b].movedim(axis - (axis > 0), -1).numpy(), by_hand, atol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_vectors_need_not_be_contiguous(kind: str) -> None:
    rho = KINDS[kind]()
    x, g = vectors(rho.dim, 4, 6).permute(2, 0, 1), torch.arange(6)
    assert not x.is_contiguous() or rho.dim == 1
    torch.testing.assert_close(rho(x, g), rho(x.contiguous(), g), atol=0, rtol=0)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", [(0, 1), (0, 3), (2, 0)], ids=str)
def test_empty_batches_and_empty_axes_stay_empty(kind: str, shape: tuple[int, int]) -> None:
    rho = KINDS[kind]()
    x = torch.zeros(shape[0], rho.dim, shape[1])
    assert rho(x, torch.ones(shape[0], dtype=torch.long)).shape == x.shape


@settings(deadline=None, max_examples=40)
@given(data=st.data(), kind=st.sampled_from(sorted(KINDS)), inner=st.integers(1, 3), batch=st.integers(1, 5))
def test_applying_twice_is_applying_the_product(data: st.DataObject, kind: str, inner: int, batch: int) -> None:
    rho = KINDS[kind]()
    drawn = st.lists(st.integers(0, 5), min_size=batch, max_size=batch)
    g, h = (torch.tensor(data.draw(drawn)) for _ in range(2))
    x = vectors(batch, rho.dim, inner)
    torch.testing.assert_close(rho(rho(x, h), g), rho(x, D3.product(g, h)), atol=1e-12, rtol=0)


# Dtypes


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int16, torch.int64, torch.bool], ids=str)
@pytest.mark.parametrize("inner", [1, 3])
def test_permutations_move_integers_and_booleans(dtype: torch.dtype, inner: int) -> None:
    rho = reps.permutation(D3)
    x = torch.tensor([[1, 0, 0], [0, 0, 1]]).to(dtype)[:, :, None].repeat(1, 1, inner)
    moved = rho(x, torch.tensor([D3["r"], D3["s"]]))
    assert moved.dtype == dtype
    assert torch.equal(moved, torch.tensor([[0, 1, 0], [0, 1, 0]]).to(dtype)[:, :, None].repeat(1, 1, inner))


def test_signs_of_integers() -> None:
    moved = reps.sign(D3)(torch.tensor([[4], [4]]), torch.tensor([D3["r"], D3["s"]]))
    assert moved.dtype == torch.long and moved.tolist() == [[4], [-4]]


def test_bfloat16_vectors_are_moved_exactly_and_rotated_nearly() -> None:
    x, g = vectors(6, 2, dtype=torch.bfloat16), torch.arange(6)
    doubled = torch.cat([x, x, x], 1)
    assert torch.equal(reps.regular(D3)(doubled, g), reps.regular(D3)(doubled.double(), g).bfloat16())
    rotation = reps.from_matrices(D3, D3.defining or {})
    assert rotation(x, g).dtype == torch.bfloat16
    torch.testing.assert_close(rotation(x, g).double(), rotation(x.double(), g), atol=0.05, rtol=0)


def test_elements_may_come_in_any_integer_dtype() -> None:
    x, rho = vectors(6, 6), reps.regular(D3)
    for dtype in (torch.int32, torch.uint8):
        assert torch.equal(rho(x, torch.arange(6, dtype=dtype)), rho(x, torch.arange(6)))


@pytest.mark.parametrize("dtype", [torch.complex64, torch.complex128], ids=str)
def test_complex_matrices_multiply_complex_vectors(dtype: torch.dtype) -> None:
    rho = reps.from_matrices(C3, {"r": np.diag([ROOT, ROOT**2])})
    x = complex_vectors(3, 2).to(dtype)
    moved = rho(x, torch.arange(3))
    assert moved.dtype == dtype and rho.matrix(1).dtype == torch.complex128
    expected = np.stack([x[k].numpy() * np.array([ROOT**k, ROOT ** (2 * k)]) for k in range(3)])
    np.testing.assert_allclose(moved.numpy(), expected, atol=1e-6 if dtype == torch.complex64 else 1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_real_representations_act_on_real_and_imaginary_parts(kind: str) -> None:
    rho = KINDS[kind]()
    x, g = complex_vectors(6, rho.dim), torch.arange(6)
    torch.testing.assert_close(rho(x, g), torch.complex(rho(x.real, g), rho(x.imag, g)))


def test_a_sum_with_a_complex_summand_has_complex_matrices_and_characters() -> None:
    rho = reps.direct_sum(reps.trivial(C3), reps.from_matrices(C3, {"r": [[ROOT]]}))
    np.testing.assert_allclose(rho.matrix(1).numpy(), np.diag([1, ROOT]), atol=1e-12)
    np.testing.assert_allclose(rho.character.numpy(), [2, 1 + ROOT, 1 + ROOT**2], atol=1e-12)


def test_matrices_may_be_given_as_tensors_of_any_floating_dtype() -> None:
    swap = torch.tensor([[0.0, 1.0], [1.0, 0.0]], requires_grad=True)
    for given_matrix in (swap, swap.double(), swap.half(), swap.bfloat16(), swap.int()):
        rho = reps.from_matrices(groups.cyclic(2), {"r": given_matrix})
        assert rho.matrix(1).tolist() == [[0.0, 1.0], [1.0, 0.0]] and not rho.matrix(1).requires_grad


# Gradients


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("inner", [1, 2])
def test_gradients_agree_with_finite_differences(kind: str, inner: int) -> None:
    rho = KINDS[kind]()
    x, g = vectors(3, rho.dim, inner).requires_grad_(), torch.tensor([1, 4, 5])
    assert torch.autograd.gradcheck(lambda t: rho(t, g), (x,))


# Modules


@pytest.mark.parametrize("name", REPRESENTATIONS)
def test_representations_have_no_parameters_and_an_empty_state(name: str) -> None:
    rho = REPRESENTATIONS[name]()
    assert not list(rho.parameters()) and not rho.state_dict()


@pytest.mark.parametrize("name", REPRESENTATIONS)
@pytest.mark.parametrize("copied", [copy.deepcopy, lambda rho: pickle.loads(pickle.dumps(rho))], ids=["copy", "pickle"])
def test_copies_act_alike(name: str, copied: Callable[[Representation], Representation]) -> None:
    rho = REPRESENTATIONS[name]()
    twin = copied(rho)
    g = rho.group.sample(5, generator=torch.Generator().manual_seed(2))
    x = vectors(5, rho.dim, 2)
    assert twin is not rho and twin.group == rho.group and repr(twin) == repr(rho)
    assert torch.equal(twin(x, g), rho(x, g)) and torch.equal(twin.character, rho.character)


@pytest.mark.parametrize("name", ["regular D4", "sign D4", "matrices O", "direct sum", "padded regular"])
def test_changing_the_dtype_of_a_module_leaves_its_representation_usable(name: str) -> None:
    rho = torch.nn.Sequential(REPRESENTATIONS[name]()).to(torch.float32)[0]
    g = rho.group.sample(4, generator=torch.Generator().manual_seed(0))
    x = vectors(4, rho.dim, 2, dtype=torch.float32)
    expected = REPRESENTATIONS[name]()(x, g)
    assert torch.equal(rho(x, g), expected) and expected.dtype == torch.float32


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_changing_the_dtype_of_a_module_does_not_round_its_matrices(dtype: torch.dtype) -> None:
    rho, untouched = (reps.from_matrices(D3, D3.defining or {}) for _ in range(2))
    rho = rho.to(dtype)
    assert torch.equal(rho.matrix(D3.elements), untouched.matrix(D3.elements))
    assert reps.is_representation(D3, rho)
    x = vectors(6, 2)
    assert torch.equal(rho(x, D3.elements), untouched(x, D3.elements))


def test_changing_the_dtype_of_a_module_keeps_imaginary_parts() -> None:
    rho = reps.from_matrices(C3, {"r": [[ROOT]]}).to(torch.float32)
    np.testing.assert_allclose(rho.matrix(1).numpy(), [[ROOT]], atol=1e-6)
