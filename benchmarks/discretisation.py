"""What a finite subgroup leaves over of the rotations of the plane and of space: ``python -m benchmarks.discretisation``."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

import equilatent as eq
from equilatent.bench.digits import Digits, load_digits, split_digits
from equilatent.groups import Group

SOLIDS: dict[str, Callable[[], Group]] = {
    "none": lambda: eq.groups.from_matrices({"e_1": torch.eye(3).numpy()}, label="none"),
    "tetrahedral, 12": eq.groups.tetrahedral,
    "octahedral, 24": eq.groups.octahedral,
    "icosahedral, 60": eq.groups.icosahedral,
}
FINE = 64  # turns by 5.6°, on which networks are measured
SEEDS = (0, 1)


def rotations(count: int, generator: torch.Generator) -> Tensor:
    """Rotations of space drawn uniformly (Haar), float64 [count, 3, 3]."""
    a, b, c, d = F.normalize(torch.randn(count, 4, generator=generator, dtype=torch.float64)).unbind(1)
    rows = [
        [1 - 2 * (c * c + d * d), 2 * (b * c - a * d), 2 * (b * d + a * c)],
        [2 * (b * c + a * d), 1 - 2 * (b * b + d * d), 2 * (c * d - a * b)],
        [2 * (b * d - a * c), 2 * (c * d + a * b), 1 - 2 * (b * b + c * c)],
    ]
    return torch.stack([torch.stack(row, 1) for row in rows], 1)


def distance_to(group: Group, turns: Tensor) -> Tensor:
    """The angle in degrees between each rotation and the nearest element of a group of motions of space."""
    matrices = eq.reps.from_matrices(group, group.defining or {}).matrix(group.elements)
    trace = (turns.reshape(-1, 9) @ matrices.reshape(-1, 9).T).amax(1)
    return torch.rad2deg(((trace - 1) / 2).clamp(-1, 1).acos())


def worst_distance(group: Group, generator: torch.Generator) -> float:
    """The largest distance of any rotation: the farthest of many, carried farther by smaller and smaller turns."""
    turns = rotations(20_000, generator)
    best = turns[distance_to(group, turns).argmax()]
    for round_number in range(25):
        size = 0.3 * 0.6**round_number
        generators = torch.randn(2_000, 3, generator=generator, dtype=torch.float64) * size
        x, y, z = generators.unbind(1)
        zero = torch.zeros_like(x)
        skew = torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], 1).view(-1, 3, 3)
        near = torch.cat([best[None], torch.linalg.matrix_exp(skew) @ best])
        best = near[distance_to(group, near).argmax()]
    return float(distance_to(group, best[None]))


def distances() -> None:
    print("\nFrom a rotation to the nearest element, in degrees")
    print(f"{'':<18} {'mean':>7} {'worst':>7}")
    generator = torch.Generator().manual_seed(0)
    angles = 360 * torch.rand(200_000, generator=generator, dtype=torch.float64)
    for n in (4, 8, 16):
        away = (angles - (angles * n / 360).round() * 360 / n).abs()
        print(f"{f'C{n}, plane':<18} {away.mean():7.1f} {180 / n:7.1f}")
    turns = rotations(200_000, generator)
    for name, make in SOLIDS.items():
        group = make()
        away = distance_to(group, turns)
        print(f"{name:<18} {away.mean():7.1f} {worst_distance(group, generator):7.1f}")


def averaged_functions() -> None:
    print("\nFunctions of point clouds, made exactly invariant to the group: centred error under random rotations")
    frequencies = (1.0, 2.0, 4.0)
    print(f"{'':<18} " + " ".join(f"{f'σ = {frequency:g}':>9}" for frequency in frequencies))
    generator = torch.Generator().manual_seed(0)
    clouds = torch.randn(200, 16, 3, generator=generator) @ torch.diag(torch.tensor([0.4, 0.6, 0.8]))
    turned = clouds @ rotations(200, generator).float().mT
    waves = torch.randn(32, 3, generator=generator)
    phases = 2 * math.pi * torch.rand(32, generator=generator)
    for name, make in SOLIDS.items():
        group = make()
        act = eq.actions.channels(eq.reps.from_matrices(group, group.defining or {}), axis=-1)

        def average(x: Tensor, frequency: float, act: eq.actions.Action = act) -> Tensor:
            total = torch.zeros(len(x), len(waves))
            for g in range(act.group.order):
                moved = act(x, torch.full((len(x),), g))
                total += torch.cos(frequency * moved @ waves.T + phases).mean(1)
            return total / act.group.order

        errors = []
        for frequency in frequencies:
            plain, other = average(clouds, frequency), average(turned, frequency)
            errors.append(float((plain - other).square().mean() / (plain - plain.mean(0)).square().mean()))
        print(f"{name:<18} " + " ".join(f"{error:9.2g}" for error in errors))


def train(digits: Digits, n: int, strength: float, seed: int) -> nn.Module:
    """A small network, trained with C_n for 600 steps: the objective with the given strength."""
    generator = torch.Generator().manual_seed(seed)
    torch.manual_seed(seed)
    model = nn.Sequential(
        nn.Flatten(),
        nn.Linear(196, 128),
        nn.ReLU(),
        nn.Linear(128, 64),  # layer "3"
        nn.ReLU(),
        nn.Linear(64, 64),
        nn.ReLU(),
        nn.Linear(64, 10),
    )
    group = eq.groups.cyclic(n)
    objective = eq.Objective(
        group,
        input=eq.actions.rotation(group),
        output=eq.actions.trivial(group),
        task_loss=F.cross_entropy,
        layer="3",
        strength=strength,
        distance="centred",
        generator=generator,
    )
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)
    for _ in range(600):
        rows = torch.randint(len(digits.labels), (100,), generator=generator)
        loss, _terms = objective(model, digits.images[rows], digits.labels[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return model.eval()


def measure(model: nn.Module, digits: Digits, n: int) -> list[float]:
    """Centred error of the logits at the elements of C_n and half-way between them, and accuracy at any angle."""
    fine = eq.groups.cyclic(FINE)
    act, step = eq.actions.rotation(fine), FINE // n
    on, between = (torch.arange(start, FINE, step) for start in (0, step // 2))
    numbers = [
        eq.metrics.equivariance_error(model, act, eq.actions.trivial(fine), digits.images, elements=g).mean_centred
        for g in (on[1:] if n > 1 else on, between)
    ]
    g = fine.sample(len(digits.labels), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        guess = model(act(digits.images, g)).argmax(1)
    return [*numbers, float((guess == digits.labels).float().mean())]


def trained_networks() -> None:
    digits = load_digits()
    training, _, test = split_digits(digits)
    test = Digits(test.images[::2], test.labels[::2], test.source)
    print(f"\nNetworks trained with C_n on {digits.source}: centred error of the logits")
    print(f"{'':<14} {'elements':>10} {'half-way':>10} {'accuracy':>10}   ({len(SEEDS)} seeds: mean)")
    for n in (4, 8, 16):
        for strength in (0.0, 1.0):
            numbers = torch.tensor([measure(train(training, n, strength, seed), test, n) for seed in SEEDS]).mean(0)
            on, between, accuracy = numbers.tolist()
            print(f"{f'C{n}, λ = {strength:g}':<14} {on:10.3f} {between:10.3f} {accuracy:10.3f}", flush=True)


def main() -> None:
    distances()
    averaged_functions()
    trained_networks()


if __name__ == "__main__":
    main()
