"""A training step of ours against two plain steps, and against the loss written in the obvious way."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

import equilatent as eq
from benchmarks.timing import paired_seconds, print_machine, print_table
from equilatent.bench.networks import ddmnist_cnn


def main() -> None:
    generator = torch.Generator().manual_seed(0)
    torch.manual_seed(0)
    one = eq.groups.dihedral(4)
    group = eq.groups.direct_product(one, one)
    image = eq.actions.image(one)
    top, left, right = slice(14, 42), slice(0, 28), slice(28, 56)
    act = eq.actions.parts(group, [image, image], windows=[(top, left), (top, right)])
    x = torch.randn(256, 1, 56, 56, generator=generator)
    y = torch.randint(100, (256,), generator=generator)
    g = group.sample(256, generator=generator)
    network = ddmnist_cnn()
    rho = eq.reps.padded_regular(group, 66)
    matrices = rho.matrix(group.elements).float()

    def finish(loss: Tensor) -> Tensor:
        network.zero_grad()
        loss.backward()
        return loss.detach()

    def two_plain_steps() -> None:
        for _ in range(2):
            finish(F.cross_entropy(network(x), y))

    def ours(passes: eq.objective.Passes) -> Tensor:
        objective = eq.Objective(
            group,
            input=act,
            output=eq.actions.trivial(group),
            task_loss=F.cross_entropy,
            layer="encoder",
            passes=passes,
        )
        return finish(objective(network, x, y, g=g)[0])

    def obvious() -> Tensor:
        """One image, one element and one d×d matrix at a time."""
        moved = []
        for sample, element in zip(x, g.tolist(), strict=True):
            image = sample.clone()
            for window, part in zip((left, right), group.split(element), strict=True):
                digit = sample[:, top, window]
                image[:, top, window] = (digit.flip(-1) if part >= 4 else digit).rot90(part % 4, (-2, -1))
            moved.append(image)
        latent, moved_latent = network.encoder(x), network.encoder(torch.stack(moved))  # type: ignore[operator]
        expected = torch.stack([matrices[element] @ row for element, row in zip(g.tolist(), latent, strict=True)])
        task = F.cross_entropy(network.head(latent), y) / 2  # type: ignore[operator]
        shifted = F.cross_entropy(network.head(moved_latent), y) / 2  # type: ignore[operator]
        return finish(task + shifted + F.mse_loss(expected, moved_latent))

    torch.testing.assert_close(ours("separate"), obvious())
    ways = {
        "two plain steps": two_plain_steps,
        "ours, joint passes": lambda: ours("joint"),
        "ours, separate passes": lambda: ours("separate"),
        "the obvious way": obvious,
    }
    print_machine()
    print_table("DDMNIST network, batch 256, D4×D4: forward and backward", paired_seconds(ways, 15), "two plain steps")


if __name__ == "__main__":
    main()
