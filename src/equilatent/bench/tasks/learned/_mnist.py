"""Table 2: an autoencoder of MNIST with D3; and two groups that the paper did not try."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import equilatent as eq
from equilatent.actions import Action
from equilatent.bench.architecture import EncoderDecoder
from equilatent.bench.data import ImageData, held_out, mnist, turned
from equilatent.bench.harness.task import Quantity, Task
from equilatent.bench.tasks.learned._common import CONTROLS, DETAILS, LearnedConfig, LearnedProblem
from equilatent.bench.tasks.learned._figures import learned_figures

__all__ = ["MNIST"]

#: The size of the latent for each group: about 30, and a multiple of the order.
_FEATURES = {"D3": 30, "A4": 36, "C4xC2": 32}


@dataclass(frozen=True)
class MnistConfig(LearnedConfig):
    """The MNIST autoencoder (appendix B.2, table 7)."""

    group: str = "D3"
    """D3: turns by 120° and a mirror; A4: even permutations of four digits; C4xC2: quarter turns and the negative."""
    features: int = 0
    """Dimension of the latent; 0 for 30 (D3), 36 (A4) or 32 (C4xC2)."""
    algebra_weight: float = 0.5
    """λ_A, the weight of the algebra loss."""
    output_weight: float = 0.495
    """λ_Y, the weight of the task loss on the transformed and decoded latent."""
    latent_weight: float = 0.005
    """λ_Z, the weight of the equivariance of the latent."""
    start: str = "normal"
    """The matrices at the start: uniform, normal, orthogonal, or a sum of real irreps such as '30 trivial'."""
    relator_weight: float = 0.5
    """The weight of each relator in the algebra loss."""
    mixed_damping: float = 0.2
    """A factor for relators in which several generators occur; that of the public code."""
    inverse_weight: float = 0.0
    """The weight of the regulariser on the inverses of the generators."""

    def resolved(self) -> Self:
        """With the size of the latent that belongs to the group."""
        sized = self if self.features else dataclasses.replace(self, features=_FEATURES.get(self.group, 30))
        return super(MnistConfig, sized).resolved()


def autoencoder(d: int, shape: tuple[int, ...]) -> tuple[nn.Module, nn.Module]:
    """The MLP autoencoder of appendix B.2, with a latent of d features."""
    pixels = math.prod(shape)
    encoder = nn.Sequential(
        nn.Flatten(),
        nn.Linear(pixels, 512),
        nn.ReLU(),
        nn.Linear(512, 256),
        nn.ReLU(),
        nn.Linear(256, 128),
        nn.ReLU(),
        nn.Linear(128, d),
    )
    decoder = nn.Sequential(
        nn.Linear(d, 128),
        nn.ReLU(),
        nn.Linear(128, 256),
        nn.ReLU(),
        nn.Linear(256, 512),
        nn.ReLU(),
        nn.Linear(512, pixels),
        nn.Sigmoid(),
        nn.Unflatten(1, shape),
    )
    return encoder, decoder


def _turned(images: Tensor, generator: torch.Generator) -> Tensor:
    """Each image turned by an angle drawn uniformly from the circle (appendix B.2)."""
    angle = 2 * math.pi * torch.rand(len(images), generator=generator, device=generator.device).to(images.device)
    return turned(images, angle)


def _turned_or_negative(images: Tensor, generator: torch.Generator) -> Tensor:
    negative = torch.rand(len(images), 1, 1, 1, generator=generator, device=generator.device).to(images.device) < 0.5
    turned = _turned(images, generator)
    return torch.where(negative, 1 - turned, turned)


def _four(images: Tensor, generator: torch.Generator) -> Tensor:
    """Each image at half its size, with three others drawn at random: [n, 4, H/2, W/2]."""
    small = F.avg_pool2d(images, 2)
    others = torch.randint(len(small), (len(small), 3), generator=generator, device=generator.device)
    return torch.cat([small, small[others.to(images.device), 0]], dim=1)


def _quarter_turns_and_negative() -> Action:
    turns, negatives = eq.groups.cyclic(4), eq.groups.cyclic(2)
    group = eq.groups.direct_product(turns, negatives)
    image = eq.actions.image(turns)

    def move(x: Tensor, g: Tensor) -> Tensor:
        turn, negative = group.split(g)
        turned = image(x, turn)
        return torch.where(negative.bool()[:, None, None, None], 1 - turned, turned)

    return eq.actions.function(group, move)


#: How each group acts, and how the digits are drawn so that they have the symmetry.
_SETTINGS: dict[str, tuple[Callable[[], Action], Callable[[Tensor, torch.Generator], Tensor], tuple[int, ...]]] = {
    "D3": (lambda: eq.actions.rotation(eq.groups.dihedral(3)), _turned, (1, 28, 28)),
    "A4": (lambda: eq.actions.sets(eq.groups.alternating(4)), _four, (4, 14, 14)),
    "C4xC2": (_quarter_turns_and_negative, _turned_or_negative, (1, 28, 28)),
}


def network(config: MnistConfig) -> EncoderDecoder:
    """Encoder and decoder for the images of the group."""
    return EncoderDecoder(functools.partial(autoencoder, config.features, _SETTINGS[config.group][2]))


class MnistProblem(LearnedProblem):
    """Digits turned by any angle (D3, C4xC2), or four at a time (A4), drawn anew in every batch."""

    def __init__(self, config: MnistConfig, device: torch.device, data: ImageData | None = None) -> None:
        super().__init__(config, device)
        data = data or mnist(config.data)
        self.provenance = data.provenance or {}
        make_action, self.draw, _ = _SETTINGS[config.group]
        self.input = self.output = make_action().to(device)
        self.group = self.input.group
        images = data.train_x[: config.limit].to(device)
        train, validation = held_out(len(images), device)
        self.train = images[train]
        self.samples = len(self.train)
        self.evaluation = {
            "validation": self._fixed(images[validation], 1),
            "test": self._fixed(data.test_x.to(device), 2),
        }

    def batch(self, indices: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Digits, turned or in fours, and themselves as targets."""
        x = self.draw(self.train[indices].float() / 255, generator)
        return x, x

    def task_loss(self, output: Tensor, target: Tensor) -> Tensor:
        """The mean square error of the pixels."""
        return F.mse_loss(output, target)

    def figures(self, model: nn.Module) -> dict[str, np.ndarray]:
        """Digits, and what is decoded from their latents under every element, for Figure 3."""
        if not hasattr(model, "encoder"):
            return {}
        x = self.evaluation["test"][0][:4]
        elements = self.group.elements.to(x.device)
        latent = model.encoder(x).repeat_interleave(len(elements), 0)  # type: ignore[operator]
        decoded = model.decoder(model.rho(latent, elements.repeat(len(x))))  # type: ignore[operator]
        return {"images": x.cpu().numpy(), "decoded": decoded.view(len(x), len(elements), *x.shape[1:]).cpu().numpy()}

    def _fixed(self, images: Tensor, number: int) -> tuple[Tensor, Tensor, Tensor]:
        generator = torch.Generator().manual_seed(number)
        x = self.draw(images.float() / 255, generator)
        return x, x, self.group.sample(len(x), generator=generator, device=x.device)


MNIST = Task(
    name="mnist",
    title="Autoencoder of digits",
    table="Table 2, Figure 4",
    config=MnistConfig,
    groups={
        "D3": "turns by 120° and a mirror, by interpolation",
        "A4": "even permutations of four digits (not in the paper)",
        "C4xC2": "quarter turns, and the negative (not in the paper)",
    },
    load=MnistProblem,
    architecture=network,
    quantities=(
        Quantity("multiplicities_complex", "multiplicities"),
        Quantity("relator_loss", "algebra loss", "lower"),
        Quantity("test_equivariance", "equivariance loss", "lower"),
    ),
    details=DETAILS[1:],
    controls=CONTROLS,
    figures=learned_figures,
    published={
        ("learned", "D3"): {
            "multiplicities_complex.trivial": ("5.017", "6.471", "5.004", "4.960", "5.021"),
            "multiplicities_complex.sign": ("4.992", "4.752", "4.193", "4.928", "4.990"),
            "multiplicities_complex.standard": ("9.99", "9.39", "10.40", "10.06", "9.99"),
        }
    },
)
