"""What the demo trains: encoders and autoencoders, which differ in the terms of their objective."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

import equilatent as eq
from equilatent.actions import Action
from equilatent.bench.demo._config import DemoConfig
from equilatent.bench.demo._data import SEEN, chosen
from equilatent.bench.demo._networks import autoencoder, classifier, exact_classifier
from equilatent.bench.digits import Digits
from equilatent.groups import Group
from equilatent.objective import DecodedTask, Decorrelation, Equivariance, Task, Term, TransformedTask

__all__ = ["AUTOENCODERS", "ENCODERS", "SETTINGS", "encoder_terms", "train_autoencoder", "train_encoder"]

#: The encoders, in the order of the tables, and the autoencoders.
ENCODERS = {
    "term": "with the latent term",
    "zero": "λ = 0: the same without it",
    "plain": "augmentation alone",
    "invariant": "invariant latent",
    "outputs": "consistent outputs",
    "exact": "group convolutions",
}
AUTOENCODERS = {"term": "with the latent term", "zero": "without it"}

#: What is the same for all, and the weights of the terms that only one has.
SETTINGS = {"batch": 100, "rate": 0.01, "consistency": 0.3, "decoded": 1.0, "autoencoder_strength": 0.01}


def encoder_terms(name: str, group: Group, config: DemoConfig) -> list[Term]:
    """The objective of an encoder. All train on two views; before its norm the latent would meet the term by shrinking."""
    decorrelation = Decorrelation("norm", config.decorrelation)
    more: Mapping[str, list[Term]] = {
        "term": [Equivariance("norm", config.strength), decorrelation],
        "zero": [decorrelation],
        "plain": [],
        "invariant": [Equivariance("norm", config.strength, eq.actions.trivial(group)), decorrelation],
        "outputs": [Equivariance("", SETTINGS["consistency"], distance="kl")],
        "exact": [decorrelation],
    }
    return [Task(0.5), TransformedTask(0.5), *more[name]]


def train_encoder(
    name: str, seed: int, config: DemoConfig, digits: Digits, act: Action, on_step: Callable[[], object]
) -> tuple[nn.Module, float]:
    """One of `ENCODERS`, trained to classify the digits 0 … 4 in any pose, and the seconds that it took."""
    torch.manual_seed(seed)
    network = (exact_classifier if name == "exact" else classifier)(act.group, SEEN)
    terms, known = encoder_terms(name, act.group, config), chosen(digits, new=False)
    output = eq.actions.trivial(act.group)
    objective = eq.Objective(
        act.group, input=act, output=output, task_loss=F.cross_entropy, terms=terms, passes="joint"
    )
    return network, _train(network, network, objective, known.images, known.labels, config.steps, seed, on_step)


def train_autoencoder(
    name: str, seed: int, config: DemoConfig, digits: Digits, act: Action, on_step: Callable[[], object]
) -> tuple[nn.Module, float]:
    """One of `AUTOENCODERS`, trained on all digits in any pose, and the seconds that it took."""
    torch.manual_seed(seed)
    network = autoencoder(act.group, digits.images.shape[-1])
    terms: list[Term] = [Task(0.5), TransformedTask(0.5)]
    if name == "term":
        imposed = Equivariance(weight=SETTINGS["autoencoder_strength"])
        terms += [DecodedTask(weight=SETTINGS["decoded"]), imposed]
    objective = eq.Objective(
        act.group, input=act, output=act, task_loss=F.binary_cross_entropy, terms=terms, passes="joint"
    )
    model = (network.get_submodule("encoder"), network.get_submodule("decoder"))
    return network, _train(network, model, objective, digits.images, None, config.autoencoder_steps, seed, on_step)


def _train(
    network: nn.Module,
    model: nn.Module | tuple[nn.Module, nn.Module],
    objective: eq.Objective,
    images: Tensor,
    labels: Tensor | None,
    steps: int,
    seed: int,
    on_step: Callable[[], object],
) -> float:
    """Adam with one cycle: each step draws its samples and the poses of both views. Without labels, images are targets."""
    device, start = images.device, time.perf_counter()
    network.to(device).train()
    objective.to(device)
    objective.generator = generator = torch.Generator().manual_seed(seed)
    optimiser = torch.optim.Adam(network.parameters(), SETTINGS["rate"])
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, SETTINGS["rate"], total_steps=steps)
    for _ in range(steps):
        rows = torch.randint(len(images), (int(SETTINGS["batch"]),), generator=generator).to(device)
        x = objective.input(images[rows], objective.group.sample(len(rows), generator=generator, device=device))
        loss, _ = objective(model, x, x if labels is None else labels[rows])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
        on_step()
    network.eval()
    return time.perf_counter() - start
