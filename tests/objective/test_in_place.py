"""Operations in place behind the latent: what is imposed and measured is what the layer returned."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import equilatent as eq
from equilatent.errors import LatentError

C2 = eq.groups.cyclic(2)
IMAGE = eq.actions.image(C2)


@pytest.fixture(autouse=True)
def _forget_compiled() -> Iterator[None]:
    torch.compiler.reset()
    yield
    torch.compiler.reset()


class BasicBlock(nn.Module):
    """A residual block as torchvision writes it: one ReLU in place, used twice, and `out += identity`."""

    def __init__(self, channels: int, in_place: bool) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.relu = nn.ReLU(inplace=in_place)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.in_place = in_place

    def forward(self, x: Tensor) -> Tensor:
        identity = x
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        if self.in_place:
            out += identity
        else:
            out = out + identity
        return self.relu(out)


def resnet(in_place: bool) -> nn.Sequential:
    torch.manual_seed(0)
    head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3))
    blocks = [BasicBlock(4, in_place), BasicBlock(4, in_place)]
    return nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), *blocks, head)


def images(size: int = 6) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    return (
        torch.randn(size, 1, 6, 6, generator=generator),
        torch.randint(3, (size,), generator=generator),
        C2.sample(size, generator=generator),
    )


def objective(**changes: Any) -> eq.Objective:
    arguments: dict[str, Any] = {"output": eq.actions.trivial(C2), "task_loss": nn.functional.cross_entropy}
    return eq.Objective(C2, **{"input": IMAGE, **arguments, **changes})


@pytest.mark.parametrize(
    ("layer", "passes", "compiled"),
    [
        *(
            (layer, passes, False)
            for layer in ("1.bn1", "1.bn2", "2.bn1", "2.bn2", "2")
            for passes in ("separate", "joint")
        ),
        ("1.bn1", "separate", True),
        ("2.bn2", "joint", True),
    ],
)
def test_a_residual_block_written_in_place(layer: str, passes: Any, compiled: bool) -> None:
    x, y, g = images()
    results = []
    for in_place in (False, True):
        model, wanted = resnet(in_place), objective(layer=layer, passes=passes)

        def step(model: nn.Module = model, wanted: eq.Objective = wanted) -> tuple[Tensor, Any]:
            return wanted(model, x, y, g=g)

        loss, terms = (torch.compile(step, backend="eager", fullgraph=True) if compiled else step)()
        results.append((terms.as_floats(), torch.autograd.grad(loss, list(model.parameters()))))
    assert results[1][0] == pytest.approx(results[0][0], rel=1e-6)
    torch.testing.assert_close(results[1][1], results[0][1])


@pytest.mark.parametrize("layer", ["1.bn1", "2.bn2"])
def test_what_is_measured(layer: str) -> None:
    x, _, _ = images()
    error, expected = (
        eq.metrics.equivariance_error(resnet(in_place), IMAGE, eq.actions.trivial(C2), x, layer=layer)
        for in_place in (True, False)
    )
    torch.testing.assert_close(error.absolute, expected.absolute)


def test_half_of_a_normalised_latent_is_negative() -> None:
    x, y, g = images()
    seen: list[Tensor] = []

    def watched(z: Tensor, g: Tensor) -> Tensor:
        seen.append(z)
        return z

    objective(layer="1.bn1", latent=eq.actions.function(C2, watched))(resnet(True), x, y, g=g)
    assert 0.3 < (seen[0] < 0).float().mean() < 0.7


def mlp(in_place: bool) -> tuple[nn.Module, nn.Module]:
    torch.manual_seed(0)
    return nn.Linear(2, 8), nn.Sequential(nn.ReLU(inplace=in_place), nn.Linear(8, 3))


@pytest.mark.parametrize("terms", ["section 5", "decoded"])
@pytest.mark.parametrize("passes", ["separate", "joint"])
def test_an_encoder_decoder_pair(passes: Any, terms: str) -> None:
    x, g, y = torch.randn(5, 2), C2.sample(5), torch.randint(3, (5,))
    kinds = eq.objective
    chosen: Any = (
        {}
        if terms == "section 5"
        else {"terms": [kinds.Task(), kinds.DecodedTask(action=eq.actions.trivial(C2)), kinds.Equivariance(weight=2.0)]}
    )
    wanted = objective(input=eq.reps.regular(C2), passes=passes, **chosen)
    found, expected = (wanted(mlp(in_place), x, y, g=g)[1].as_floats() for in_place in (True, False))
    assert found == pytest.approx(expected)


class ReturnsBoth(nn.Module):
    def __init__(self, in_place: bool, copies: bool) -> None:
        super().__init__()
        self.encoder, self.head = mlp(in_place)
        self.copies = copies

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        latent = self.encoder(x)
        returned = latent.clone() if self.copies else latent
        return self.head(latent), returned


def test_a_returned_latent_that_the_head_has_overwritten_is_refused() -> None:
    x, y = torch.randn(5, 2), torch.randint(3, (5,))
    wanted = objective(input=eq.reps.regular(C2))
    with pytest.raises(LatentError, match=r"(?s)overwritten by 'head'.*latent\.clone\(\).*layer="):
        wanted(ReturnsBoth(True, copies=False), x, y)
    g = C2.sample(5)
    found = wanted(ReturnsBoth(True, copies=True), x, y, g=g)[1].as_floats()
    assert found == pytest.approx(wanted(ReturnsBoth(False, copies=False), x, y, g=g)[1].as_floats())


def test_a_latent_that_is_made_in_place_is_not_refused() -> None:
    class Residual(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.relu, self.head = nn.Linear(2, 2), nn.ReLU(inplace=True), nn.Linear(2, 3)

        def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
            latent = self.first(x)
            latent += x
            latent = self.relu(latent)
            return self.head(latent), latent

    objective(input=eq.reps.regular(C2))(Residual(), torch.randn(5, 2), torch.randint(3, (5,)))


def test_only_the_first_pass_of_a_model_is_watched() -> None:
    model, wanted = ReturnsBoth(False, copies=False), objective(input=eq.reps.regular(C2))
    x, y = torch.randn(5, 2), torch.randint(3, (5,))
    wanted(model, x, y)
    assert not any(part._forward_hooks or part._forward_pre_hooks for part in model.modules())
    calls = []
    model.head.register_forward_pre_hook(lambda module, inputs: calls.append(len(module._forward_pre_hooks)))
    wanted(model, x, y)
    assert calls == [1, 1]
