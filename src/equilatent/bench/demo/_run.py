"""All runs of the demo: training, questions, and their records."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn

import equilatent as eq
from equilatent.actions import Action
from equilatent.bench.demo._config import DemoConfig
from equilatent.bench.demo._data import Questions, load_data, make_questions
from equilatent.bench.demo._tasks import answer
from equilatent.bench.demo._training import AUTOENCODERS, ENCODERS, SETTINGS, train_autoencoder, train_encoder
from equilatent.bench.digits import Digits
from equilatent.bench.harness.config import parse_seeds, pick_device
from equilatent.bench.harness.record import make_record
from equilatent.bench.latent_questions import Way, fit_maps, in_all_poses, map_all, mapped, reencoded, represented
from equilatent.bench.systems.thumbnail import Thumbnail, thumbnail_representation

__all__ = ["WAYS", "Pictures", "demo_action", "run_demo", "total_steps"]

#: How the items of each encoder are had in every pose: by ρ, not at all, by maps fitted afterwards, or by |G| passes.
WAYS = {
    "term": ("rho",),
    "zero": ("none", "rho", "maps", "passes"),
    "plain": (),
    "invariant": ("none",),
    "outputs": ("rho",),
    "exact": ("rho",),
}

#: Pixels along each side of the thumbnails.
THUMBNAIL = 7

#: The digits in the pictures: the first that is held out of each of these classes, which look different in every pose.
SHOWN = (4, 7, 5, 2)


@dataclass(frozen=True)
class Pictures:
    """Held-out digits in every pose, [n, |G|, 28, 28]: as they are, and decoded from transformed latents."""

    true: Tensor
    decoded: dict[str, Tensor]


def demo_action() -> Action:
    """D4 on images."""
    return eq.actions.image(eq.groups.dihedral(4))


def total_steps(config: DemoConfig) -> int:
    """Training steps of all encoders and autoencoders with all seeds."""
    one = len(ENCODERS) * config.steps + len(AUTOENCODERS) * config.autoencoder_steps
    return len(parse_seeds(config.seed)) * one


def run_demo(
    config: DemoConfig, tell: Callable[[str], object] = lambda text: None, on_step: Callable[[], object] = lambda: None
) -> tuple[list[dict[str, Any]], Pictures]:
    """All networks with all seeds: a record of each, and pictures of the first seed. `tell` hears what is happening."""
    device = pick_device(config.device)
    data, act = load_data(device, config.limit), demo_action().to(device)
    settings = {**asdict(config), **SETTINGS, "data": data.test.source}
    settings |= {f"{name}_digits": len(getattr(data, name).labels) for name in ("train", "validation", "test")}
    del settings["out"]  # where the results go says nothing about them
    shown = data.test.images[[int((data.test.labels == label).nonzero()[0]) for label in SHOWN]]
    pictures = Pictures(eq.latent.orbit(act, shown)[:, :, 0], {})
    records = []

    def add(method: str, final: Mapping[str, float], seconds: float) -> None:
        records.append(
            make_record(
                experiment="demo",
                method=method,
                group=act.group.label,
                seed=seed,
                config={**settings, "seed": seed},
                final=final,
                seconds=seconds,
                device=device,
            )
        )

    with _one_thread():
        for seed in parse_seeds(config.seed):
            questions = make_questions(data.train, data.test, act, config, seed)
            settings["head_digits"] = len(questions.few.labels)
            for name, label in AUTOENCODERS.items():
                tell(f"seed {seed}, autoencoder {label}")
                network, seconds = train_autoencoder(name, seed, config, data.train, act, on_step)
                pictures.decoded.setdefault(name, decoded_images(network, shown, act))
                add(f"autoencoder {name}", measure_autoencoder(network, data.train, data.test, act), seconds)
            for name, label in ENCODERS.items():
                tell(f"seed {seed}, encoder {label}")
                network, seconds = train_encoder(name, seed, config, data.train, act, on_step)
                tell(f"seed {seed}, encoder {label}: search, pose, new task")
                add(name, measure_encoder(name, network, questions, act, config.steps, seed), seconds)
            way = represented(thumbnail_representation(act.group, 1, THUMBNAIL).to(device))
            answers = answer(way, Thumbnail(THUMBNAIL), questions, act, config.steps, seed)
            add("thumbnail", {f"rho_{task}": share for task, share in answers.items()}, 0.0)
    return records, pictures


@contextlib.contextmanager
def _one_thread() -> Iterator[None]:
    """Networks as small as these gain little from a second thread, and lose much where other programs run."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def measure_encoder(
    method: str, network: nn.Module, questions: Questions, act: Action, steps: int, seed: int
) -> dict[str, float]:
    """The trained task in every pose, the latent's equivariance error, and the answers in every way of `WAYS`."""
    known = questions.known
    encode = nn.Sequential(network.get_submodule("encoder"), network.get_submodule("norm"))
    with torch.no_grad():
        features = encode(known.images[:1]).shape[1]
        scores = in_all_poses(act, network, known.images)
    rho = eq.reps.padded_regular(act.group, features)
    final = {
        "accuracy": float((scores.argmax(2) == known.labels[:, None]).float().mean()),
        "consistency": eq.metrics.prediction_consistency(network, act, known.images).mean,
        "latent_error": eq.metrics.equivariance_error(network, act, rho, known.images, layer="norm").mean_centred,
        "parameters": sum(parameter.numel() for parameter in network.parameters()),
    }
    make: Mapping[str, Callable[[], Way]] = {
        "rho": lambda: represented(rho),
        "none": lambda: represented(eq.reps.multiple(eq.reps.trivial(act.group), features)),
        "maps": lambda: mapped(act.group, fit_maps(in_all_poses(act, encode, questions.fit.images))),
        "passes": lambda: reencoded(act.group),
    }
    for name in WAYS[method]:
        answers = answer(make[name](), encode, questions, act, steps, seed)
        final |= {f"{name}_{task}": share for task, share in answers.items()}
    return final


@torch.no_grad()
def decoded_images(network: nn.Module, images: Tensor, act: Action) -> Tensor:
    """D(ρ(g)E(x)) for every element g, [N, |G|, H, W]."""
    z = network.get_submodule("encoder")(images)
    return _decode(network, eq.latent.orbit(eq.reps.padded_regular(act.group, z.shape[1]), z))


@torch.no_grad()
def measure_autoencoder(network: nn.Module, train: Digits, held_out: Digits, act: Action) -> dict[str, float]:
    """Mean square errors as parts of the images' variance, over all poses of held-out digits.

    Of images decoded from transformed latents, from latents mapped by maps fitted afterwards, and from latents of the
    transformed images themselves.
    """
    encoder, images = network.get_submodule("encoder"), held_out.images
    true = eq.latent.orbit(act, images)[:, :, 0]
    decoded = {
        "decoded_error": decoded_images(network, images, act),
        "maps_error": _decode(network, map_all(fit_maps(in_all_poses(act, encoder, train.images)), encoder(images))),
        "reconstruction_error": in_all_poses(act, network, images)[:, :, 0],
    }
    variance = (true - true.mean(0)).square().mean()
    return {name: float((found - true).square().mean() / variance) for name, found in decoded.items()}


def _decode(network: nn.Module, latents: Tensor) -> Tensor:
    images: Tensor = network.get_submodule("decoder")(latents.flatten(0, 1))
    poses: Tensor = images.unflatten(0, latents.shape[:2])
    return poses[:, :, 0]
