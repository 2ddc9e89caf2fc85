"""Which representations and actions are orthogonal, against dense matrices, and what is refused."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

import equilatent as eq
from equilatent.errors import ActionError, RepresentationError
from equilatent.latent._acting import is_orthogonal
from equilatent.reps import Representation
from equilatent.testing import REPRESENTATIONS

C3, C4, D4, S3 = eq.groups.cyclic(3), eq.groups.cyclic(4), eq.groups.dihedral(4), eq.groups.symmetric(3)
MIRROR = eq.groups.subgroup(S3, ["t"])


def sheared(group: eq.groups.Group, rho: Representation, by: float = 0.5) -> Representation:
    """ρ in a basis that is not orthonormal."""
    basis = torch.eye(rho.dim, dtype=torch.float64)
    basis[0, -1] = by
    matrices = {x: torch.linalg.inv(basis) @ rho.matrix(g) @ basis for x, g in group.generators.items()}
    return eq.reps.from_matrices(group, matrices, label="sheared")


SHEARED = sheared(S3, eq.reps.standard(S3))


def dense(rho: Representation) -> bool:
    matrices = rho.matrix(rho.group.elements)
    return torch.allclose(matrices.mH @ matrices, torch.eye(rho.dim, dtype=matrices.dtype), atol=1e-4)


@pytest.mark.parametrize("name", REPRESENTATIONS)
def test_registered_representations_agree_with_their_matrices(name: str) -> None:
    rho = REPRESENTATIONS[name]()
    assert is_orthogonal(rho) is dense(rho) is True


@pytest.mark.parametrize(
    "make",
    [
        lambda: SHEARED,
        lambda: sheared(S3, eq.reps.regular(S3), 1e-3),
        lambda: eq.reps.direct_sum(eq.reps.regular(S3), SHEARED),
        lambda: eq.reps.tensor(eq.reps.regular(S3), SHEARED),
        lambda: eq.reps.tensor(SHEARED, eq.reps.sign(S3)),
        lambda: eq.reps.dual(SHEARED),
        lambda: eq.reps.restrict(SHEARED, MIRROR),
        lambda: eq.reps.induce(eq.reps.restrict(SHEARED, MIRROR), MIRROR),
    ],
)
def test_what_is_not_orthogonal_is_found_and_refused(make: Callable[[], Representation]) -> None:
    rho = make()
    assert is_orthogonal(rho) is dense(rho) is False
    z = torch.randn(4, rho.dim)
    for compare in (eq.latent.match, eq.latent.search):
        with pytest.raises(RepresentationError, match=r"not orthogonal.*eq\.reps\.decompose"):
            compare(rho, z, z)
    # What needs no inner product is not refused.
    assert eq.latent.orbit(rho, z).shape == (4, rho.group.order, rho.dim)
    g = rho.group.sample(4)
    assert torch.equal(eq.latent.augment(rho, rho, z, z, g=g)[0], rho(z, g))


def test_the_remedy_of_the_message_works() -> None:
    parts = eq.reps.decompose(SHEARED, field="real")
    z1 = torch.randn(20, 2, dtype=torch.float64)
    g = S3.sample(20, generator=torch.Generator().manual_seed(0))
    z2 = SHEARED(z1, g)
    inverse = torch.linalg.inv(parts.basis)
    found = eq.latent.match(parts.representation, z1 @ inverse.mT, z2 @ inverse.mT)
    torch.testing.assert_close(found.score, torch.ones_like(found.score))
    torch.testing.assert_close(SHEARED(z1, found.element), z2)


def test_a_part_that_does_not_occur_does_not_count() -> None:
    assert is_orthogonal(eq.reps.DirectSumRepresentation([(SHEARED, 0), (eq.reps.regular(S3), 2)]))


def test_one_s_own_representation_is_asked_for_its_matrices() -> None:
    class Scaled(Representation):
        factor = 1.0

        def apply_blocks(self, x: Tensor, g: Tensor) -> Tensor:
            raise NotImplementedError

        is_complex = False

        def make_matrices(self, g: Tensor) -> Tensor:
            return torch.eye(self.dim).double() * self.factor ** g[..., None, None]

        @property
        def character(self) -> Tensor:
            raise NotImplementedError

    rho = Scaled(eq.groups.cyclic(2), 3, "scaled")
    assert is_orthogonal(rho)
    rho.factor = 1.1
    assert not is_orthogonal(rho)


def test_learned_matrices_have_to_be_orthogonal() -> None:
    z = torch.randn(4, 8)
    rho = eq.reps.LearnedRepresentation(D4, 8, start="normal", generator=torch.Generator().manual_seed(0))
    for compare in (eq.latent.match, eq.latent.search):
        with pytest.raises(RepresentationError, match=r"learned matrices of D4 is not orthogonal.*orthogonal=True"):
            compare(rho, z, z)
    rho = eq.reps.LearnedRepresentation(D4, 8, start=eq.reps.regular(D4), orthogonal=True)
    g = torch.tensor([1, 2, 5, 7])
    for compare, answer in ((eq.latent.match, "element"), (eq.latent.search, "elements")):
        found = getattr(compare(rho, z, rho(z, g).detach()), answer)
        assert torch.equal(found.flatten(), g)


def test_actions_have_to_keep_lengths() -> None:
    z = torch.randn(3, 2, 8, 8)
    by_interpolation = eq.actions.rotation(eq.groups.cyclic(8))
    with pytest.raises(ActionError, match=r"image turned by C8.*changes them: 'r' multiplies the length.*by 0\.\d+"):
        eq.latent.match(by_interpolation, z, z)
    growing = eq.actions.function(C3, lambda x, g: x * 2.0 ** g[:, None, None, None])
    with pytest.raises(ActionError, match=r"'r' multiplies the length of a random latent by 2\."):
        eq.latent.search(growing, z, z)
    # Quarter turns by interpolation hit the pixels.
    exact = eq.latent.match(eq.actions.rotation(C4), z, z.rot90(1, (-2, -1)))
    assert exact.element.tolist() == [C4["r"]] * 3


def test_actions_have_to_be_linear() -> None:
    z = torch.randn(3, 5)
    shifted = eq.actions.function(C3, lambda x, g: x + g[:, None])
    folded = eq.actions.function(C3, lambda x, g: torch.where(g[:, None] > 0, x.abs(), x))  # keeps lengths
    for act in (shifted, folded):
        with pytest.raises(ActionError, match="is not linear"):
            eq.latent.match(act, z, z)


def test_a_group_without_generators_leaves_nothing_to_try() -> None:
    still = eq.actions.trivial(eq.groups.cyclic(1))
    z = torch.randn(3, 4)
    assert eq.latent.match(still, z, -z).score.tolist() == pytest.approx([-1, -1, -1])
