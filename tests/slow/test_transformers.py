"""A vision transformer that nobody here wrote, trained on real digits."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

import equilatent as eq
from equilatent.bench.digits import Digits, load_digits, split_digits

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning"),
]

D4 = eq.groups.dihedral(4)
IMAGE = eq.actions.image(D4)
WIDTH, SIDE, PATCH = 32, 14, 2


def make_model() -> Any:
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    config = transformers.ViTConfig(
        hidden_size=WIDTH,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=2 * WIDTH,
        image_size=SIDE,
        patch_size=PATCH,
        num_channels=1,
        num_labels=10,
    )
    return transformers.ViTForImageClassification(config)


def task_loss(output: Any, y: Tensor) -> Tensor:
    return cross_entropy(output.logits, y)


def move_tokens(tokens: Tensor, g: Tensor) -> Tensor:
    """The class token stays where it is, the tokens of the patches move as the pixels do."""
    grid = tokens[:, 1:].mT.reshape(len(tokens), WIDTH, SIDE // PATCH, SIDE // PATCH)
    return torch.cat([tokens[:, :1], IMAGE(grid, g).flatten(2).mT], 1)


#: ρ_Z and where: the regular representation on the features of every token, or tokens that move.
LATENTS: dict[str, dict[str, Any]] = {
    "features": {"layer": "vit.layernorm", "latent": "regular", "latent_axis": -1},
    "tokens": {"layer": "vit.layernorm", "latent": eq.actions.function(D4, move_tokens)},
}


@pytest.fixture(scope="module")
def digits() -> list[Digits]:
    return split_digits(load_digits(), (0.8, 0.2))


def train(digits: Digits, latent: str, strength: float, steps: int = 60) -> tuple[Any, eq.Objective]:
    objective = eq.Objective(
        D4,
        input=IMAGE,
        output=eq.actions.trivial(D4),
        task_loss=task_loss,
        strength=strength,
        # The norm of each token keeps its size, but not its mean over the batch: with "mse", tokens that no longer depend on
        # the image would do.
        distance="centred",
        generator=torch.Generator().manual_seed(0),
        **LATENTS[latent],
    )
    model = make_model()
    optimiser = torch.optim.Adam(model.parameters(), lr=2e-3)
    random = torch.Generator().manual_seed(1)
    for _ in range(steps):
        rows = torch.randint(len(digits.labels), (64,), generator=random)
        loss, _ = objective(model, digits.images[rows], digits.labels[rows])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return model, objective


@pytest.mark.parametrize("latent", LATENTS)
def test_the_term_makes_the_latent_equivariant(digits: list[Digits], latent: str) -> None:
    errors, accuracies = [], []
    for strength in (0.0, 1.0):
        model, objective = train(digits[0], latent, strength)
        x, y = digits[1].images[:200], digits[1].labels[:200]
        layer = LATENTS[latent]["layer"]
        error = eq.metrics.equivariance_error(model, IMAGE, objective.latent_action(), x, layer=layer)
        errors.append(error.mean_centred)
        with torch.no_grad():
            accuracies.append(float((model(x).logits.argmax(1) == y).float().mean()))
    assert errors[1] < 0.5 * errors[0], errors
    assert min(accuracies) > 0.2, accuracies  # both learn


def test_joint_passes_say_that_the_output_is_no_tensor() -> None:
    objective = eq.Objective(
        D4, input=IMAGE, output=eq.actions.trivial(D4), task_loss=task_loss, passes="joint", **LATENTS["features"]
    )
    with pytest.raises(eq.errors.LatentError, match=r"a tensor .* got ImageClassifierOutput\. Use passes='separate'"):
        objective(make_model(), torch.randn(4, 1, SIDE, SIDE), torch.zeros(4, dtype=torch.long))


def test_a_compiled_step_is_one_graph() -> None:
    model = make_model().eval()
    objective = eq.Objective(D4, input=IMAGE, output=eq.actions.trivial(D4), task_loss=task_loss, **LATENTS["features"])
    generator = torch.Generator().manual_seed(0)
    x, y = torch.randn(4, 1, SIDE, SIDE, generator=generator), torch.arange(4)
    g = D4.sample(4, generator=generator)
    step = torch.compile(lambda x, y, g: objective(model, x, y, g=g)[0], backend="eager", fullgraph=True)
    torch.testing.assert_close(step(x, y, g), objective(model, x, y, g=g)[0])
