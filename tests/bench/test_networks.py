"""The networks have the parameters of the paper's tables, and the shapes that the experiments need."""

import pytest
import torch
from torch import nn

import equilatent as eq
from equilatent.bench.networks import ddmnist_cnn, medmnist3d_cnn, smoke_cnn


def parameters(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def convolution(inputs: int, outputs: int, taps: int, *, norm: bool = True) -> int:
    """Weights and bias, and with a norm a scale and a shift for each channel."""
    return outputs * (inputs * taps + 1) + 2 * outputs * norm


def count_medmnist3d(c: int, classes: int) -> int:
    """By hand, from the layers listed in appendix C.2."""
    first = convolution(1, c, 343) + convolution(c, 2 * c, 125) + convolution(1, 2 * c, 343, norm=False)
    second = convolution(2 * c, 4 * c, 27) + convolution(4 * c, 6 * c, 27) + convolution(2 * c, 6 * c, 27, norm=False)
    third = convolution(6 * c, 6 * c, 27)
    third += convolution(6 * c, 8 * c, 1, norm=False) + convolution(6 * c, 8 * c, 27, norm=False)
    return first + second + third + 2 * 8 * c + classes * (8 * c + 1)


@pytest.mark.parametrize(
    ("network", "millions", "digits"),
    [
        (ddmnist_cnn(), 0.034, 3),  # 66 features; the appendix: 33,742
        (ddmnist_cnn(48), 0.031, 3),
        (medmnist3d_cnn(width=6), 0.142, 3),
        (medmnist3d_cnn(width=7), 0.19, 2),  # table 5
        (smoke_cnn(width=64), 0.124, 3),
        (smoke_cnn(), 0.25, 2),  # table 6
    ],
    ids=["ddmnist", "ddmnist-48", "medmnist3d", "medmnist3d-7", "smoke-64", "smoke"],
)
def test_the_parameters_are_those_of_the_sources(network: nn.Module, millions: float, digits: int) -> None:
    assert round(parameters(network) / 1e6, digits) == millions


@pytest.mark.parametrize(("c", "classes"), [(6, 2), (6, 11), (7, 2), (1, 3)])
def test_the_layers_of_the_volume_network_add_up(c: int, classes: int) -> None:
    assert parameters(medmnist3d_cnn(classes, width=c)) == count_medmnist3d(c, classes)


def test_the_layers_of_the_smoke_network_add_up() -> None:
    expected = convolution(20, 92, 9) + 3 * convolution(92, 92, 9) + convolution(92, 2, 9, norm=False)
    assert parameters(smoke_cnn()) == expected
    assert parameters(smoke_cnn(3)) == expected - 92 * 14 * 9


@pytest.mark.parametrize(
    ("network", "x", "latent", "output"),
    [
        (ddmnist_cnn(), (2, 1, 56, 56), (2, 66), (2, 100)),
        (medmnist3d_cnn(11), (2, 1, 28, 28, 28), (2, 48), (2, 11)),
        (medmnist3d_cnn(), (2, 1, 29, 29, 29), (2, 48), (2, 2)),
        (smoke_cnn(), (2, 20, 12, 12), (2, 92, 12, 12), (2, 2, 12, 12)),
    ],
    ids=["ddmnist", "medmnist3d", "medmnist3d-29", "smoke"],
)
def test_latents_and_outputs_have_the_shapes_of_the_paper(
    network: nn.Sequential, x: tuple[int, ...], latent: tuple[int, ...], output: tuple[int, ...]
) -> None:
    z = network.encoder(torch.randn(x))  # type: ignore[operator]
    assert z.shape == latent
    assert network.head(z).shape == output  # type: ignore[operator]


def test_a_residual_block_adds_its_skip() -> None:
    block = medmnist3d_cnn().encoder[4].eval()  # type: ignore[index, union-attr, operator]
    x = torch.randn(1, 36, 3, 3, 3)
    torch.testing.assert_close(block(x), block.block(x) + block.skip(x))
    assert not torch.allclose(block(x), block.block(x))


def test_the_objective_runs_on_volumes_and_on_fields() -> None:
    cube, C4 = eq.groups.octahedral(), eq.groups.cyclic(4)
    volumes = eq.Objective(
        cube,
        input=eq.actions.volume(cube),
        output=eq.actions.trivial(cube),
        task_loss=nn.functional.cross_entropy,
        layer="encoder",
    )
    field = eq.actions.vector_field(C4)
    fields = eq.Objective(
        C4, input=field, output=field, latent=eq.actions.image(C4), task_loss=nn.functional.mse_loss, layer="encoder"
    )
    assert "2 copies" in volumes.describe(medmnist3d_cnn(), torch.randn(2, 1, 28, 28, 28))
    loss, _ = fields(smoke_cnn(width=4), torch.randn(2, 20, 8, 8), torch.randn(2, 2, 8, 8))
    loss.backward()
    assert loss > 0
