"""Every registered representation obeys the laws of a representation."""

import pytest
import torch

from equilatent.testing import REPRESENTATIONS, _checks, assert_representation


@pytest.fixture(autouse=True)
def fewer_pairs_in_large_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    # All pairs up to order 24; large dense matrices would take most of the suite's time otherwise.
    monkeypatch.setattr(_checks, "_ALL_PAIRS_ORDER", 24)
    monkeypatch.setattr(_checks, "_DRAWN_PAIRS", 256)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("name", REPRESENTATIONS)
def test_every_registered_representation_keeps_the_contract(name: str, dtype: torch.dtype) -> None:
    assert_representation(REPRESENTATIONS[name](), dtype=dtype, tolerance=1e-5 if dtype == torch.float32 else 1e-12)


@pytest.mark.parametrize("name", REPRESENTATIONS)
def test_matrices_of_every_registered_representation_are_orthogonal(name: str) -> None:
    rho = REPRESENTATIONS[name]()
    g = rho.group.sample(16, generator=torch.Generator().manual_seed(0))
    inverse = rho.matrix(rho.group.inverse(g))
    torch.testing.assert_close(inverse, rho.matrix(g).mT, atol=1e-12, rtol=0)


@pytest.mark.parametrize("name", REPRESENTATIONS)
def test_the_identity_changes_no_bit_of_a_vector(name: str) -> None:
    rho = REPRESENTATIONS[name]()
    x = torch.randn(3, rho.dim, generator=torch.Generator().manual_seed(1))
    assert torch.equal(rho(x, torch.zeros(3, dtype=torch.long)), x)


@pytest.mark.parametrize("name", REPRESENTATIONS)
def test_characters_are_constant_on_conjugacy_classes(name: str) -> None:
    rho = REPRESENTATIONS[name]()
    classes = rho.group.conjugacy_classes
    torch.testing.assert_close(rho.character, rho.character[classes.representatives][classes.index])
