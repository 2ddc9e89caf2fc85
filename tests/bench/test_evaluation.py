"""The validation and final numbers of every task, of models whose right numbers are known."""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import equilatent as eq
from equilatent.bench.data import WINDOWS, ImageData, TypefaceData, held_out
from equilatent.bench.tasks import ddmnist
from equilatent.bench.tasks.ddmnist import DdmnistConfig, DdmnistProblem
from equilatent.bench.tasks.learned import _tmnist as tmnist_task
from equilatent.bench.tasks.learned._cifar10 import Cifar10Config, Cifar10Problem
from equilatent.bench.tasks.learned._common import LearnedProblem, describe_learned
from equilatent.bench.tasks.learned._mnist import MnistConfig, MnistProblem
from equilatent.bench.tasks.learned._tmnist import TmnistConfig, TmnistProblem
from equilatent.groups import Group

CPU = torch.device("cpu")


def seeded(seed: int = 3) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


# Pairs of digits

#: Where the mark of an upright digit is, and where quarter turns, counter-clockwise as displayed, take it.
MARKS = ((8, 8), (19, 8), (19, 19), (8, 19))
MEASURED, ORBITS = 24, 30


def marked_digits(labels: Tensor) -> Tensor:
    """Squares whose brightness tells the class, with a bright mark left above the middle."""
    images = (20 + 20 * labels).view(-1, 1, 1, 1).expand(-1, 1, 28, 28).clone()
    row, column = MARKS[0]
    images[:, :, row - 2 : row + 3, column - 2 : column + 3] = 255
    return images.byte()


def read_digits(images: Tensor) -> tuple[Tensor, Tensor]:
    """The class of a pair, and where the marks of both digits are, [n, 2]."""
    raw = (images * math.sqrt(0.3081) + 0.5 * 0.1307) * 255
    parts = [raw[(slice(None), 0, *window)] for window in WINDOWS]
    labels = [((part[:, 13, 13] - 20) / 20).round().long() for part in parts]
    marks = [torch.stack([part[:, row, column] for row, column in MARKS], 1).argmax(1) for part in parts]
    return 10 * labels[0] + labels[1], torch.stack(marks, 1)


class Reader(nn.Module):
    """Reads the class off a pixel: rightly with a high score, or wrongly with the score 1 where a digit is not upright.

    Its latent and what is behind its norm have nothing to do with the answer.
    """

    def __init__(self, score: float = 4.0, *, minds: bool = True, encoder: nn.Module | None = None) -> None:
        super().__init__()
        self.score, self.minds = score, minds
        self.encoder = encoder or Still()
        self.head = nn.Sequential(Uneven(), nn.Identity())

    def forward(self, x: Tensor) -> Tensor:
        self.head(self.encoder(x))
        classes, marks = read_digits(x)
        right = (marks[:, 0] == 0) | (not self.minds)
        scores = torch.where(right, self.score, 1.0)[:, None]
        return scores * F.one_hot((classes + (~right).long()) % 100, 100)


class Still(nn.Module):
    """Nothing but ones."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.ones(len(x), 66)


class Uneven(nn.Module):
    """Scales the features, each by another factor, as no group that permutes them allows."""

    def forward(self, z: Tensor) -> Tensor:
        return z * (1 + torch.rand(66, generator=seeded()))


class Exact(nn.Module):
    """ρ(k) v, where k transforms an upright pair into the one that is seen: exactly equivariant."""

    def __init__(self, group: Group) -> None:
        super().__init__()
        self.rho = eq.reps.padded_regular(group, 66)
        self.vectors = torch.randn(100, 66, generator=seeded())

    def forward(self, x: Tensor) -> Tensor:
        classes, marks = read_digits(x)
        turns = self.rho.group.factors[0].order
        # D1 has its mirror for the second element, which takes the mark to where three turns would.
        parts = marks if turns == 4 else (marks > 0).long()
        return self.rho(self.vectors[classes], parts[:, 0] * turns + parts[:, 1])


@pytest.fixture
def pairs(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], DdmnistProblem]:
    """The problem of a group, on marked digits."""
    for name, count in (
        ("_TRAINING", 1),
        ("_VALIDATION", 2),
        ("_TEST", 3),
        ("_MEASURED", MEASURED),
        ("_ORBITS", ORBITS),
    ):
        monkeypatch.setattr(ddmnist, name, count)
    labels = torch.zeros(200, dtype=torch.long)
    for part in held_out(200, CPU):
        labels[part] = torch.arange(len(part)) % 10
    test = torch.arange(50) % 10
    data = ImageData("marked", 10, marked_digits(labels), labels, marked_digits(test), test)
    return lambda group: DdmnistProblem(DdmnistConfig(group=group, rate=1.0), CPU, data)


def upright(problem: DdmnistProblem, seed: int, count: int) -> Tensor:
    """Of which pairs the left digit is left as it is, by the elements that are drawn from this seed."""
    g = problem.group.sample(count, generator=seeded(seed))
    return problem.group.split(g)[0] == 0


@torch.no_grad()
def evaluate(problem: Any, model: nn.Module, split: Any) -> dict[str, Any]:
    found: dict[str, Any] = problem.evaluate(model.eval(), split)
    return found


@pytest.mark.parametrize("group", ["C4", "D1"])
def test_pairs_that_are_read_rightly_however_they_lie(group: str, pairs: Callable[[str], DdmnistProblem]) -> None:
    model, problem = Reader(minds=False), pairs(group)
    task = math.log(99 + math.exp(4)) - 4
    assert evaluate(problem, model, "validation") == {"error": 0.0, "task": pytest.approx(task, rel=1e-5)}
    final = evaluate(problem, model, "test")
    for name in ("test_accuracy", "test_accuracy_plain", "test_accuracy_orbit", "consistency"):
        assert final[name] == 1
    assert final["test_task"] == pytest.approx(task, rel=1e-5)
    assert final["output_relative_error"] == final["output_centred_error"] == 0


@pytest.mark.parametrize(("score", "orbit"), [(8.0, 1.0), (2.0, 0.0)])
@pytest.mark.parametrize("group", ["C4", "D1"])
def test_pairs_that_are_read_rightly_when_the_left_digit_is_upright(
    group: str, score: float, orbit: float, pairs: Callable[[str], DdmnistProblem]
) -> None:
    """Wrongly with the score 1 otherwise, in 3 of 4 or 1 of 2 elements, which the average over the orbit weighs."""
    problem = pairs(group)
    n = problem.group.factors[0].order
    if n == 2:
        score, orbit = score / 4, 1.0 if orbit else 0.0  # 2 against 1, and 1/2 against 1
    model = Reader(score)
    task_right, task_wrong = math.log(99 + math.exp(score)) - score, math.log(99 + math.e)
    shares = {}
    for split, seed, count in (("validation", 11, 200), ("test", 12, 300)):
        share = shares[split] = float(upright(problem, seed, count).double().mean())
        assert share == pytest.approx(1 / n, abs=0.1)
        task = share * task_right + (1 - share) * task_wrong
        if split == "validation":
            assert evaluate(problem, model, split) == pytest.approx({"error": 1 - share, "task": task}, rel=1e-5)
    assert shares["validation"] != pytest.approx(shares["test"], abs=1e-3)
    final = evaluate(problem, model, "test")
    assert final["test_accuracy"] == pytest.approx(shares["test"])
    assert final["test_accuracy_plain"] == 1
    assert final["test_task"] == pytest.approx(task, rel=1e-5)
    assert final["test_accuracy_orbit"] == orbit
    # An answer stays where both are upright, or neither is.
    right = upright(problem, 12, 300)[:MEASURED].double()
    assert final["consistency"] == pytest.approx(float((right / n + (1 - right) * (1 - 1 / n)).mean()))


@pytest.mark.parametrize("group", ["C4", "D1"])
@torch.no_grad()
def test_errors_of_equivariance_by_dense_matrices(group: str, pairs: Callable[[str], DdmnistProblem]) -> None:
    problem = pairs(group)
    model = Reader(encoder=Exact(problem.group))
    final = evaluate(problem, model, "test")
    # Some of the transformed test pairs are measured, here one element after the other.
    g = problem.group.sample(300, generator=seeded(12))
    x = problem.input(problem.plain.images, g)[:MEASURED]
    rho = eq.reps.padded_regular(problem.group, 66)

    def seen(images: Tensor) -> dict[str, Tensor]:
        z = model.encoder(images)
        return {"output": model(images), "latent": z, "norm": model.head[0](z)}

    plain = seen(x)
    errors: dict[str, list[tuple[float, float]]] = {name: [] for name in plain}
    for h in range(problem.group.order):
        transformed = seen(problem.input(x, torch.full((len(x),), h)))
        for name, value in plain.items():
            expected = value if name == "output" else value @ rho.matrix(h).float().T
            square = (expected - transformed[name]).square().mean()
            variance = (value - value.mean(0)).square().mean()
            errors[name].append((float(square / transformed[name].square().mean()), float(square / variance)))
    for name, of_elements in errors.items():
        relative, centred = np.array(of_elements).T
        assert final[f"{name}_relative_error"] == pytest.approx(relative.mean(), rel=1e-4, abs=1e-10)
        assert final[f"{name}_centred_error"] == pytest.approx(centred.mean(), rel=1e-4, abs=1e-10)
        assert final[f"{name}_centred_by_element"] == pytest.approx(
            dict(zip(problem.group.names, centred, strict=True)), rel=1e-4, abs=1e-10
        )
    # The latent is exactly equivariant, what is behind the norm is not, and the output is another thing again.
    assert final["latent_centred_error"] < 1e-10
    assert final["norm_centred_error"] > 0.01
    assert final["output_centred_error"] > final["norm_centred_error"]


# Learned representations


class Linear(nn.Module):
    """A linear map of flattened inputs, with weights of its own for each seed."""

    def __init__(self, inputs: int, outputs: int, shape: tuple[int, ...], seed: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs, generator=seeded(seed)) / math.sqrt(inputs))
        self.shape = shape

    def forward(self, x: Tensor) -> Tensor:
        return (x.flatten(1) @ self.weight.T).view(-1, *self.shape)


def model_of(
    problem: LearnedProblem, features: int, inputs: tuple[int, ...], outputs: tuple[int, ...]
) -> nn.ModuleDict:
    rho = eq.reps.LearnedRepresentation(problem.group, features, start="normal", generator=seeded(5))
    return nn.ModuleDict(
        {
            "encoder": Linear(math.prod(inputs), features, (features,), 1),
            "decoder": Linear(features, math.prod(outputs), outputs, 2),
            "rho": rho,
        }
    )


def noise(count: int, *shape: int, seed: int) -> Tensor:
    return torch.randint(256, (count, *shape), generator=seeded(seed)).byte()


def mean_square(matrix: Tensor) -> float:
    return float(matrix.detach().square().mean())


def mnist_problem() -> tuple[LearnedProblem, nn.ModuleDict]:
    labels = torch.arange(40) % 10
    data = ImageData("noise", 10, noise(40, 1, 28, 28, seed=1), labels, noise(30, 1, 28, 28, seed=2), labels[:30])
    problem = MnistProblem(MnistConfig(features=5), CPU, data)
    return problem, model_of(problem, 5, (1, 28, 28), (1, 28, 28))


def cifar10_problem() -> tuple[LearnedProblem, nn.ModuleDict]:
    labels = torch.arange(40) % 10
    data = ImageData("noise", 10, noise(40, 3, 32, 32, seed=1), labels, noise(30, 3, 32, 32, seed=2), labels[:30])
    problem = Cifar10Problem(Cifar10Config(features=5), CPU, data)
    return problem, model_of(problem, 5, (3, 32, 32), (10,))


def tmnist_problem(side: int = 28) -> tuple[LearnedProblem, nn.ModuleDict]:
    glyphs = TypefaceData(noise(2, 10, side, side, seed=1), ("one", "other"), {})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tmnist_task, "_EVALUATION_VIEWS", 30)
        problem = TmnistProblem(TmnistConfig(features=5), CPU, glyphs)
    return problem, model_of(problem, 5, (2, side, side), (1, side, side))


def algebra_of_mnist(r: Tensor, s: Tensor) -> float:
    """Appendix B.2, with the damping of the public code."""
    eye = torch.eye(len(r))
    return 0.5 * (mean_square(r @ r @ r - eye) + mean_square(s @ s - eye) + 0.2 * mean_square(s @ r @ s @ r - eye))


def algebra_of_cifar10(r: Tensor) -> float:
    return mean_square(r @ r @ r @ r - torch.eye(len(r))) + mean_square(r @ r @ r - torch.linalg.inv(r))


def algebra_of_tmnist(t: Tensor) -> float:
    return mean_square(t @ t - torch.eye(len(t))) + mean_square(t - torch.linalg.inv(t))


#: For each task how samples and targets are transformed, the task loss, the algebra loss, and λ_Y, λ_Z, λ_A of table 7.
LEARNED: dict[str, tuple[Callable[[], tuple[LearnedProblem, nn.ModuleDict]], Any, Any, Any, Any, tuple[float, ...]]] = {
    "mnist": (
        mnist_problem,
        lambda x, g: eq.actions.rotation(eq.groups.dihedral(3))(x, g),
        lambda y, g: eq.actions.rotation(eq.groups.dihedral(3))(y, g),
        F.mse_loss,
        algebra_of_mnist,
        (0.495, 0.005, 0.5),
    ),
    "cifar10": (
        cifar10_problem,
        lambda x, g: torch.stack([image.rot90(int(k), (1, 2)) for image, k in zip(x, g, strict=True)]),
        lambda y, g: y,
        F.cross_entropy,
        algebra_of_cifar10,
        (0.25, 0.25, 1.0),
    ),
    "tmnist": (
        tmnist_problem,
        lambda x, g: x.flip(1),  # the other typeface
        lambda y, g: y.flip(1),
        lambda output, target: (output - target[:, :1]).square().mean(),
        algebra_of_tmnist,
        (0.025, 0.475, 1.0),
    ),
}


@pytest.mark.parametrize("block", [1024, 7])
@pytest.mark.parametrize("name", LEARNED)
@torch.no_grad()
def test_the_four_parts_by_dense_matrices(name: str, block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("equilatent.bench.tasks.learned._common._BLOCK", block)
    make, act_input, act_output, task_loss, algebra_loss, (output_weight, latent_weight, algebra_weight) = LEARNED[name]
    problem, model = make()
    encoder, decoder, rho = model["encoder"], model["decoder"], model["rho"]
    algebra = algebra_loss(*rho.generator_matrices().values())
    seen = []
    for split in ("validation", "test"):
        x, y, g = problem.evaluation[split]
        z = encoder(x)
        transformed = torch.stack([rho.matrix(int(h)) @ latent for h, latent in zip(g, z, strict=True)])
        parts = {
            "task": float(task_loss(decoder(z), y)),
            "decoded_task": float(task_loss(decoder(transformed), act_output(y, g))),
            "equivariance": float(F.mse_loss(transformed, encoder(act_input(x, g)))),
            "algebra": float(algebra),
        }
        parts["loss"] = (
            parts["task"]
            + output_weight * parts["decoded_task"]
            + latent_weight * parts["equivariance"]
            + algebra_weight * parts["algebra"]
        )
        prefix = "" if split == "validation" else "test_"
        found = evaluate(problem, model, split)
        for part, value in parts.items():
            assert found[f"{prefix}{part}"] == pytest.approx(value, rel=1e-4), part
        assert set(found) >= {f"{prefix}{part}" for part in parts}
        assert (split == "validation") == ("relator_loss" not in found)
        seen.append(parts["task"])
    assert seen[0] != pytest.approx(seen[1], rel=1e-3)


@pytest.mark.parametrize("name", LEARNED)
@torch.no_grad()
def test_a_control_is_its_algebra_alone(name: str) -> None:
    make, *_, algebra_loss, (_, _, weight) = LEARNED[name]
    problem, model = make()
    control = nn.ModuleDict({"rho": model["rho"]})
    algebra = algebra_loss(*model["rho"].generator_matrices().values())
    parts = {"loss": weight * algebra, "algebra": algebra}
    assert evaluate(problem, control, "validation") == pytest.approx(parts, rel=1e-4)
    final = evaluate(problem, control, "test")
    assert {name: final[f"test_{name}"] for name in parts} == pytest.approx(parts, rel=1e-4)
    assert set(final) == {"test_loss", "test_algebra", *describe_learned(model["rho"])}
    with torch.no_grad():
        assert set(problem.figures(control)) <= {"samples"}


def exact(group: Group, text: str, d: int) -> eq.reps.LearnedRepresentation:
    return eq.reps.LearnedRepresentation(group, d, start=eq.reps.parse(group, text, field="real"))


class First(nn.Module):
    """Makes the first of two images of 8×8 pixels of a latent that is both."""

    def forward(self, z: Tensor) -> Tensor:
        return z[:, :64].view(-1, 1, 8, 8)


def exact_typefaces() -> tuple[LearnedProblem, nn.ModuleDict]:
    """The latent is the pair of images itself, which the exchange of the typefaces permutes; it is decoded to the first."""
    problem, _ = tmnist_problem(side=8)
    swap = eq.reps.tensor(eq.reps.regular(problem.group), eq.reps.multiple(eq.reps.trivial(problem.group), 64))
    rho = eq.reps.LearnedRepresentation(problem.group, 128, start=swap)
    return problem, nn.ModuleDict({"encoder": nn.Flatten(), "decoder": First(), "rho": rho})


def test_an_autoencoder_that_is_exact_has_no_loss() -> None:
    problem, model = exact_typefaces()
    for split, prefix in (("validation", ""), ("test", "test_")):
        found = evaluate(problem, model, split)
        for name in ("loss", "task", "decoded_task", "equivariance", "algebra"):
            assert found[f"{prefix}{name}"] == pytest.approx(0, abs=1e-10)


@torch.no_grad()
def test_pictures_of_typefaces_that_are_exchanged() -> None:
    problem, model = exact_typefaces()
    found = problem.figures(model)
    x = problem.evaluation["test"][0][:8].numpy()
    assert set(found) == {"samples", "decoded", "latents"}
    assert found["samples"].shape == (2, 10, 8, 8)
    here, decoded, exchanged, there = np.moveaxis(found["decoded"], 1, 0)
    for picture, expected in ((here, x[:, 0]), (decoded, x[:, 0]), (exchanged, x[:, 1]), (there, x[:, 1])):
        np.testing.assert_allclose(picture, expected, atol=1e-6)
    latent, moved = np.moveaxis(found["latents"], 1, 0)
    np.testing.assert_allclose(latent, x.reshape(8, -1), atol=1e-6)
    np.testing.assert_allclose(moved, x[:, ::-1].reshape(8, -1), atol=1e-6)


@torch.no_grad()
def test_pictures_of_digits_under_every_element() -> None:
    """Four digits that the group permutes; the latent is the digits themselves."""
    labels = torch.arange(40) % 10
    data = ImageData("noise", 10, noise(40, 1, 4, 4, seed=1), labels, noise(30, 1, 4, 4, seed=2), labels[:30])
    problem = MnistProblem(MnistConfig(group="A4", features=16), CPU, data)
    G = problem.group
    permuted = eq.reps.tensor(eq.reps.permutation(G), eq.reps.multiple(eq.reps.trivial(G), 4))
    rho = eq.reps.LearnedRepresentation(G, 16, start=permuted)
    model = nn.ModuleDict({"encoder": nn.Flatten(), "decoder": nn.Unflatten(1, (4, 2, 2)), "rho": rho})
    found = problem.figures(model)
    x = problem.evaluation["test"][0][:4]
    np.testing.assert_array_equal(found["images"], x.numpy())
    assert found["decoded"].shape == (4, 12, 4, 2, 2)
    for g in range(12):
        expected = problem.input(x, torch.full((4,), g)).numpy()
        np.testing.assert_allclose(found["decoded"][:, g], expected, atol=1e-6)
    assert evaluate(problem, model, "test")["test_loss"] == pytest.approx(0, abs=1e-10)


@pytest.mark.parametrize(
    ("group", "text", "d", "eigenvalues", "complex_", "real", "copies"),
    [
        ("C2", "3 trivial + sign", 4, {"r": [3, 1]}, {"trivial": 3, "sign": 1}, {"trivial": 3, "sign": 1}, 2.0),
        (
            "C4",
            "3 trivial + 2 sign + 2a",
            7,
            {"r": [3, 1, 2, 1]},
            {"trivial": 3, "1b": 1, "1c": 1, "sign": 2},
            {"trivial": 3, "sign": 2, "2a": 1},
            7 / 4,
        ),
        (
            "D3",
            "3 trivial + sign + 2 standard",
            8,
            {"r": [4, 2, 2], "s": [5, 3]},
            {"trivial": 3, "sign": 1, "standard": 2},
            {"trivial": 3, "sign": 1, "standard": 2},
            8 / 6,
        ),
    ],
)
def test_what_an_exact_representation_is(
    group: str,
    text: str,
    d: int,
    eigenvalues: dict[str, list[int]],
    complex_: dict[str, float],
    real: dict[str, float],
    copies: float,
) -> None:
    G = {"C2": eq.groups.cyclic(2), "C4": eq.groups.cyclic(4), "D3": eq.groups.dihedral(3)}[group]
    found = describe_learned(exact(G, text, d))
    assert found["eigenvalue_counts"] == eigenvalues
    assert found["multiplicities_complex"] == pytest.approx(complex_, abs=1e-5)
    assert found["multiplicities_real"] == pytest.approx(real, abs=1e-5)
    assert found["copies_of_regular"] == pytest.approx(copies, abs=1e-5)
    assert found["residual"] == pytest.approx(0, abs=1e-5)
    assert found["relator_loss"] == pytest.approx(0, abs=1e-10)
    sizes = {"trivial": 1, "sign": 1, "1b": 1, "1c": 1, "standard": 2}
    expected = max(abs(count / sizes[name] - copies) for name, count in complex_.items())
    assert found["distance_from_regular"] == pytest.approx(expected, abs=1e-5)


def test_relators_of_matrices_that_are_none() -> None:
    """Twice the exact matrices of D3: R³ is 8, S² is 4 and (S R)² is 16 times the identity, of dimension 8."""
    rho = exact(eq.groups.dihedral(3), "3 trivial + sign + 2 standard", 8)
    with torch.no_grad():
        for matrix in rho.matrices:
            matrix.weight.mul_(2)
    found = describe_learned(rho)
    expected = {"r3": 49 / 8, "s2": 9 / 8, "(s r)^2": 225 / 8}
    assert found["relator_losses"] == pytest.approx(expected, rel=1e-4)
    assert found["relator_loss"] == pytest.approx(sum(expected.values()), rel=1e-4)


def test_eigenvalues_are_kept_for_figures() -> None:
    problem, model = cifar10_problem()
    model["rho"] = exact(problem.group, "3 trivial + 2 sign + 2a", 7)
    with torch.no_grad():
        (values,) = problem.observe(model).values()
    found = sorted((round(float(real), 5) + 0.0, round(float(imaginary), 5) + 0.0) for real, imaginary in values)
    assert found == [(-1, 0)] * 2 + [(0, -1), (0, 1)] + [(1, 0)] * 3


# The classifier of CIFAR10


class Marked(nn.Module):
    """Reads the class off the middle of an image, rightly if its mark is where an upright image has it."""

    def __init__(self, minds: bool) -> None:
        super().__init__()
        self.minds = minds

    def forward(self, x: Tensor) -> Tensor:
        pixels = (x[:, 0] + 1) * 127.5
        labels = ((pixels[:, 16, 16] - 20) / 20).round().long()
        wrong = (pixels[:, 2, 2] < 250) & self.minds
        return F.one_hot((labels + wrong.long()) % 10, 10).float()


@pytest.mark.parametrize("minds", [True, False])
def test_accuracies_of_the_classifier(minds: bool) -> None:
    labels = torch.arange(60) % 10
    images = (20 + 20 * labels).view(-1, 1, 1, 1).expand(-1, 3, 32, 32).clone()
    images[:, :, :5, :5] = 255
    data = ImageData("marked", 10, images[:20].byte(), labels[:20], images[20:].byte(), labels[20:])
    problem = Cifar10Problem(replace(Cifar10Config(), features=10), CPU, data)
    rho = exact(problem.group, "10 trivial", 10)
    model = nn.ModuleDict({"encoder": Marked(minds), "decoder": nn.Identity(), "rho": rho})
    final = evaluate(problem, model, "test")
    g = problem.group.sample(40, generator=seeded(2))
    share = float((g == 0).double().mean())
    assert 0.1 < share < 0.5
    assert final["test_accuracy"] == 1
    assert final["test_accuracy_turned"] == pytest.approx(share if minds else 1)
    # Two scores of ten differ where the answer is another.
    assert final["test_equivariance"] == pytest.approx(2 / 10 * (1 - share) if minds else 0, rel=1e-4)
    task = math.log(9 + math.e) - 1
    assert final["test_task"] == pytest.approx(task, rel=1e-4)
    assert final["test_decoded_task"] == pytest.approx(task, rel=1e-4)
    assert set(evaluate(problem, model, "validation")) >= {"loss", "task"}
    assert not any(name.startswith("test") for name in evaluate(problem, model, "validation"))
