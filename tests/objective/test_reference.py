"""The objective against an obvious implementation: a matrix for every element, and a loop over the samples.

Nothing here uses the library's groups, representations or actions, except to build what is tested.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

import equilatent as eq

D4 = eq.groups.dihedral(4)
D4_D4 = eq.groups.direct_product(D4, D4)


def d4_product(a: int, b: int) -> int:
    """rⁱsʲ · rᵏsᵐ = rⁱ⁺ᵏ sʲ⁺ᵐ, with −k for k if j = 1; the element i + 4j is rⁱsʲ."""
    (j, i), (m, k) = divmod(a, 4), divmod(b, 4)
    return (i + (-k if j else k)) % 4 + 4 * ((j + m) % 2)


def d4_image(image: Tensor, g: int) -> Tensor:
    mirrored = image.flip(-1) if g >= 4 else image
    return mirrored.rot90(g % 4, (-2, -1))


def pair_product(a: int, b: int) -> int:
    return 8 * d4_product(a // 8, b // 8) + d4_product(a % 8, b % 8)


def pair_image(image: Tensor, g: int) -> Tensor:
    left, right = image.chunk(2, dim=-1)
    return torch.cat([d4_image(left, g // 8), d4_image(right, g % 8)], dim=-1)


def padded_regular(order: int, product: Callable[[int, int], int], g: int, dim: int) -> Tensor:
    matrix = torch.eye(dim, dtype=torch.float64)
    for copy in range(dim // order):
        for h in range(order):
            matrix[copy * order + h, copy * order + h] -= 1
            matrix[copy * order + product(g, h), copy * order + h] += 1
    return matrix


def d4_regular(dim: int) -> Callable[[int], Tensor]:
    return lambda g: padded_regular(8, d4_product, g, dim)


def d4_grid(size: int) -> Callable[[int], Tensor]:
    """The permutation matrix of the pixels: row p has its one where pixel p of the moved image comes from."""
    pixels = torch.arange(size * size).view(size, size)
    return lambda g: torch.eye(size * size, dtype=torch.float64)[d4_image(pixels, g).flatten()]


def d4_trivial_and_defining(g: int) -> Tensor:
    turn, mirror = torch.tensor([[0.0, -1.0], [1.0, 0.0]]), torch.diag(torch.tensor([1.0, -1.0]))
    motion = torch.linalg.matrix_power(turn, g % 4) @ torch.linalg.matrix_power(mirror, g // 4)
    return torch.block_diag(torch.ones(1, 1), motion).double()


def channelwise(channels: int, pixels: Callable[[int], Tensor]) -> Callable[[int], Tensor]:
    return lambda g: torch.kron(torch.eye(channels, dtype=torch.float64), pixels(g))


def obvious_loss(
    case: Case, encoders: list[nn.Module], head: nn.Module, x: Tensor, y: Tensor, g: Tensor, distance: str
) -> Tensor:
    moved = torch.stack([case.move(sample, int(element)) for sample, element in zip(x, g, strict=True)])
    task = nn.functional.cross_entropy(head(encoders[-1](x)), y)
    shifted = nn.functional.cross_entropy(head(encoders[-1](moved)), y)
    loss = case.weights[0] * task + case.weights[1] * shifted
    for encoder, matrix, strength in zip(encoders, case.matrices, case.strengths, strict=True):
        plain, target = encoder(x).flatten(1), encoder(moved).flatten(1)
        error = torch.zeros(()).double()
        for sample in range(len(x)):
            error = error + (matrix(int(g[sample])) @ plain[sample] - target[sample]).square().sum()
        about = torch.stack(list(target)).sum(0) / len(x) if distance == "centred" else torch.zeros(())
        size = target.numel() if distance == "mse" else sum((row - about).square().sum() for row in target)
        loss = loss + strength * error / size
    return loss


@dataclass(frozen=True)
class Case:
    """One way to use the objective, and its obvious description."""

    input: Callable[[], Any]
    move: Callable[[Tensor, int], Tensor]
    shape: tuple[int, ...]
    layers: Callable[[], list[nn.Module]]  # the last one is the head; the objective reads the others
    latents: list[Any]
    matrices: list[Callable[[int], Tensor]]
    strengths: list[float] = field(default_factory=lambda: [0.7])
    weights: tuple[float, float] = (0.3, 0.9)


def dense(*sizes: int) -> Callable[[], list[nn.Module]]:
    def make() -> list[nn.Module]:
        first = nn.Sequential(nn.Flatten(), nn.Linear(sizes[0], sizes[1]), nn.Tanh())
        rest = [nn.Sequential(nn.Linear(a, b), nn.Tanh()) for a, b in pairwise(sizes[1:])]
        return [first, *rest, nn.Linear(sizes[-1], 5)]

    return make


def convolution(channels: int) -> Callable[[], list[nn.Module]]:
    return lambda: [nn.Conv2d(1, channels, 3, padding=1), nn.Sequential(nn.Flatten(), nn.Linear(channels * 16, 5))]


def image() -> Any:
    return eq.actions.image(D4)


CASES = {
    "D4, two copies and padding": Case(image, d4_image, (1, 4, 4), dense(16, 19), ["regular"], [d4_regular(19)]),
    "D4×D4 on two halves": Case(
        lambda: eq.actions.parts(D4_D4, [eq.actions.image(D4)] * 2),
        pair_image,
        (1, 3, 6),
        dense(18, 66),
        ["regular"],
        [lambda g: padded_regular(64, pair_product, g, 66)],
    ),
    "two layers, each with its own": Case(
        image,
        d4_image,
        (1, 4, 4),
        dense(16, 9, 8),
        ["regular", eq.reps.regular(D4)],
        [d4_regular(9), d4_regular(8)],
        strengths=[0.25, 2.0],
    ),
    "a grid": Case(image, d4_image, (1, 4, 4), convolution(3), [image()], [channelwise(3, d4_grid(4))]),
    "a grid and its channels": Case(
        image,
        d4_image,
        (1, 4, 4),
        convolution(10),
        [eq.actions.compose(eq.actions.image(D4), eq.reps.padded_regular(D4, 10))],
        [lambda g: torch.kron(padded_regular(8, d4_product, g, 10), d4_grid(4)(g))],
    ),
    "one's own representation": Case(
        image,
        d4_image,
        (1, 3, 3),
        dense(9, 3),
        [eq.reps.direct_sum(eq.reps.trivial(D4), eq.reps.from_matrices(D4, D4.defining or {}))],
        [d4_trivial_and_defining],
    ),
}


def run(case: Case, style: str, passes: str, distance: str) -> tuple[Tensor, Tensor, list[Tensor], list[Tensor]]:
    """The loss and the gradients of the objective, and the obvious ones."""
    torch.manual_seed(7)
    layers = nn.ModuleList(case.layers()).double()
    action = case.input()
    x, y = torch.randn(4, *case.shape, dtype=torch.float64), torch.randint(5, (4,))
    g = torch.randint(1, action.group.order, (4,))
    names = [str(number) for number in range(len(layers) - 1)]
    model: Any = nn.Sequential(*layers)
    where: dict[str, Any] = {
        "layer": dict(zip(names, case.strengths, strict=True)),
        "latent": dict(zip(names, case.latents, strict=True)),
    }
    if style != "named":
        where = {"latent": case.latents[0], "strength": case.strengths[0]}
        model = (layers[0], layers[1]) if style == "pair" else _ReturnsBoth(layers[0], layers[1])
    objective = eq.Objective(
        action.group,
        input=action,
        output=eq.actions.trivial(action.group),
        task_loss=nn.functional.cross_entropy,
        task_weight=case.weights[0],
        transformed_task_weight=case.weights[1],
        distance=distance,  # type: ignore[arg-type]
        passes=passes,  # type: ignore[arg-type]
        **where,
    )
    loss, _ = objective(model, x, y, g=g)
    encoders = [nn.Sequential(*layers[: number + 1]) for number in range(len(layers) - 1)]
    expected = obvious_loss(case, encoders, layers[-1], x, y, g, distance)
    parameters = list(layers.parameters())
    return (
        loss,
        expected,
        list(torch.autograd.grad(loss, parameters)),
        list(torch.autograd.grad(expected, parameters)),
    )


class _ReturnsBoth(nn.Module):
    def __init__(self, encoder: nn.Module, head: nn.Module) -> None:
        super().__init__()
        self.encoder, self.head = encoder, head

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        latent = self.encoder(x)
        return self.head(latent), latent


@pytest.mark.parametrize("distance", ["mse", "relative", "centred"])
@pytest.mark.parametrize("name", CASES)
def test_loss_and_gradient_are_the_obvious_ones(name: str, distance: str) -> None:
    loss, expected, gradients, expected_gradients = run(CASES[name], "named", "joint", distance)
    torch.testing.assert_close(loss, expected)
    torch.testing.assert_close(gradients, expected_gradients)


@pytest.mark.parametrize("style", ["pair", "returns both"])
@pytest.mark.parametrize("name", [name for name, case in CASES.items() if len(case.latents) == 1])
def test_other_ways_to_show_the_latent_give_the_same(name: str, style: str) -> None:
    loss, expected, gradients, expected_gradients = run(CASES[name], style, "separate", "mse")
    torch.testing.assert_close(loss, expected)
    torch.testing.assert_close(gradients, expected_gradients)


@settings(deadline=None, max_examples=40)
@given(order=st.integers(1, 7), extra=st.integers(0, 9), batch=st.integers(1, 5), seed=st.integers(0, 10_000))
def test_padded_regular_of_any_cyclic_group(order: int, extra: int, batch: int, seed: int) -> None:
    torch.manual_seed(seed)
    group, dim = eq.groups.cyclic(order), order + extra
    rho = [padded_regular(order, lambda a, b: (a + b) % order, g, dim) for g in range(order)]
    encoder, head = nn.Linear(order, dim).double(), nn.Linear(dim, 2).double()
    x, y, g = torch.randn(batch, order).double(), torch.randn(batch, 2).double(), torch.randint(order, (batch,))
    objective = eq.Objective(
        group, input=eq.reps.regular(group), output=eq.actions.trivial(group), task_loss=nn.functional.mse_loss
    )
    _, terms = objective((encoder, head), x, y, g=g)
    moved = torch.stack([sample.roll(int(k)) for sample, k in zip(x, g, strict=True)])
    latents = torch.stack([rho[int(k)] @ encoder(sample) for sample, k in zip(x, g, strict=True)])
    torch.testing.assert_close(terms.equivariance["latent"], nn.functional.mse_loss(latents, encoder(moved)).detach())
