"""A graph network that nobody here wrote, on clouds of points that turn in space."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

import equilatent as eq

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning"),
]

O = eq.groups.octahedral()  # noqa: E741  (the field's name)
assert O.defining is not None
#: Points [B, N, 3]: the coordinates of each turn.
TURN = eq.actions.channels(eq.reps.from_matrices(O, O.defining), axis=2)
POINTS, CLASSES = 6, 5


class Clouds(nn.Module):
    """Calls the networks of torch_geometric on a batch of clouds, each a complete graph."""

    def __init__(self) -> None:
        super().__init__()
        models = pytest.importorskip("torch_geometric.nn.models")
        torch.manual_seed(0)
        self.gnn = models.GIN(in_channels=3, hidden_channels=32, num_layers=2, out_channels=32)
        self.readout = models.MLP([32, 48, 32, CLASSES], norm=None)
        self.register_buffer("edges", torch.combinations(torch.arange(POINTS)).T, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        from torch_geometric.nn import global_add_pool

        first = torch.arange(len(x)).repeat_interleave(self.edges.shape[1]) * POINTS  # type: ignore[operator]
        edges: Any = self.edges.repeat(1, len(x)) + first  # type: ignore[operator]
        nodes = self.gnn(x.flatten(0, 1), torch.cat([edges, edges.flip(0)], 1))
        return self.readout(global_add_pool(nodes, torch.arange(len(x)).repeat_interleave(POINTS)))


def draw(count: int, random: torch.Generator) -> tuple[Tensor, Tensor]:
    shapes = torch.randn(CLASSES, POINTS, 3, generator=torch.Generator().manual_seed(0))
    y = torch.randint(CLASSES, (count,), generator=random)
    return shapes[y] + 0.1 * torch.randn(count, POINTS, 3, generator=random), y


def train(strength: float, steps: int = 150) -> tuple[Clouds, eq.Objective]:
    random = torch.Generator().manual_seed(1)
    objective = eq.Objective(
        O,
        input=TURN,
        output=eq.actions.trivial(O),
        task_loss=cross_entropy,
        layer="readout.lins.0",
        strength=strength,
        generator=random,
    )
    model = Clouds()
    optimiser = torch.optim.Adam(model.parameters(), lr=3e-3)
    for _ in range(steps):
        loss, _ = objective(model, *draw(64, random))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return model, objective


def test_the_term_makes_the_latent_equivariant() -> None:
    errors, accuracies = [], []
    for strength in (0.0, 1.0):
        model, objective = train(strength)
        x, y = draw(300, torch.Generator().manual_seed(2))
        error = eq.metrics.equivariance_error(model, TURN, objective.latent_action(), x, layer="readout.lins.0")
        errors.append(error.mean_centred)
        with torch.no_grad():
            accuracies.append(float((model(x).argmax(1) == y).float().mean()))
    assert errors[1] < 0.5 * errors[0], errors
    assert min(accuracies) > 0.4, accuracies  # both learn: chance is 0.2


def test_a_latent_of_all_points_of_all_clouds_is_refused() -> None:
    objective = eq.Objective(O, input=TURN, output=eq.actions.trivial(O), task_loss=cross_entropy, layer="gnn.convs.0")
    with pytest.raises(eq.errors.LatentError, match=r"\[4, features, …\], one row for each sample; .* \[24, 32\]"):
        objective(Clouds(), *draw(4, torch.Generator()))
