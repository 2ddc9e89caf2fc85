"""What is asked of latents: search in any pose, relative pose, and a head that is trained on stored latents."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

import equilatent as eq
from equilatent.actions import Action, SupportsAction
from equilatent.bench.demo._data import SEEN, Questions
from equilatent.groups import Group

__all__ = ["Way", "answer", "fit_maps", "in_all_poses", "map_all", "mapped", "pose_labels", "reencoded", "represented"]

#: Images [B, 1, H, W] to latents [B, …], in one pass.
Encode = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Way:
    """A way to have stored items in every pose.

    Attributes:
        encode: images to latents.
        store: upright images to what is stored of them.
        action: what is stored, in another pose: ρ(g), or what stands for it.
        search: index and queries, both images, to the place of the item that is nearest to each query in some pose.
        match: pairs of images to the element that carries the first of each to the second.
    """

    encode: Encode
    store: Encode
    action: SupportsAction
    search: Callable[[Tensor, Tensor], Tensor]
    match: Callable[[Tensor, Tensor], Tensor]


def represented(encode: Encode, rho: SupportsAction) -> Way:
    """ρ(g)E(x) stands for E(g·x): the tools of `eq.latent`."""

    def search(index: Tensor, queries: Tensor) -> Tensor:
        return eq.latent.search(rho, encode(index), encode(queries)).indices[:, 0]

    def match(first: Tensor, second: Tensor) -> Tensor:
        return eq.latent.match(rho, encode(first), encode(second)).element

    return Way(encode, encode, rho, search, match)


def mapped(encode: Encode, act: Action, images: Tensor) -> Way:
    """An affine map for each element stands for ρ(g), as fitted by `fit_maps`."""
    maps = fit_maps(encode, act, images)

    def search(index: Tensor, queries: Tensor) -> Tensor:
        return _cosines("ngd,qd->qng", map_all(maps, encode(index)), encode(queries)).amax(2).argmax(1)

    def match(first: Tensor, second: Tensor) -> Tensor:
        return _cosines("bgd,bd->bg", map_all(maps, encode(first)), encode(second)).argmax(1)

    return Way(encode, encode, _Acting(act.group, lambda z, g: _pick(map_all(maps, z), g)), search, match)


def reencoded(encode: Encode, act: Action) -> Way:
    """No action on latents: the encoder runs for each of the |G| poses, of an item that is stored or of a query."""
    poses = functools.partial(in_all_poses, act, encode)

    def search(index: Tensor, queries: Tensor) -> Tensor:
        return _cosines("qgd,nd->qng", poses(queries), encode(index)).amax(2).argmax(1)

    def match(first: Tensor, second: Tensor) -> Tensor:
        return act.group.inverse(_cosines("bgd,bd->bg", poses(second), encode(first)).argmax(1))

    return Way(encode, poses, _Acting(act.group, _pick), search, match)


@torch.no_grad()
def fit_maps(encode: Encode, act: Action, images: Tensor, ridge: float = 1e-3) -> Tensor:
    """Affine maps from E(x) to E(g·x) by least squares over upright images, [|G|, d + 1, d]."""
    z = F.pad(encode(images), (0, 1), value=1.0).double()
    gram = z.mT @ z + ridge * len(z) * torch.eye(z.shape[1], dtype=z.dtype, device=z.device)
    products = torch.einsum("nd,nge->gde", z, in_all_poses(act, encode, images).double())
    maps: Tensor = torch.linalg.solve(gram, products)
    return maps.float()


def map_all(maps: Tensor, z: Tensor) -> Tensor:
    """Latents [B, d] mapped to all poses, [B, |G|, d]."""
    return torch.einsum("bd,gde->bge", F.pad(z, (0, 1), value=1.0), maps)


def answer(way: Way, questions: Questions, act: Action, steps: int, seed: int) -> dict[str, float]:
    """The shares of questions that are answered correctly."""
    with torch.no_grad():
        found = way.search(questions.index, questions.queries)
        matched = way.match(questions.index, questions.queries)
    return {
        "search": _share(found, torch.arange(len(found), device=found.device)),
        "pose": _share(matched, questions.elements),
        "head": _head(way, questions, act, steps, seed),
    }


def _head(way: Way, questions: Questions, act: Action, steps: int, seed: int) -> float:
    """Accuracy of a head that tells digit and pose, 5·|G| classes, for all poses of held-out new digits.

    It is trained on what is stored of a few upright images, transformed with their labels; one pass answers in any pose.
    """
    group, few, new = act.group, questions.few, questions.new
    labels = pose_labels(group).to(few.labels.device)
    with torch.no_grad():
        stored = way.store(few.images)
        latents = way.encode(eq.latent.orbit(act, new.images).flatten(0, 1)).flatten(1)
    torch.manual_seed(seed)
    head = nn.Sequential(nn.Flatten(), nn.Linear(latents.shape[1], 128), nn.ReLU(), nn.Linear(128, SEEN * group.order))
    optimiser = torch.optim.AdamW(head.to(stored.device).parameters(), 0.005, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 0.005, total_steps=steps)
    generator = torch.Generator().manual_seed(seed)
    for _ in range(steps):
        z, y = eq.latent.augment(way.action, labels, stored, group.order * few.labels, generator=generator)
        optimiser.zero_grad()
        F.cross_entropy(head(z), y).backward()
        optimiser.step()
        schedule.step()
    elements = group.elements.to(few.labels.device).repeat(len(new.labels))
    expected = labels((group.order * new.labels).repeat_interleave(group.order), elements)
    with torch.no_grad():
        return _share(head(latents).argmax(1), expected)


def pose_labels(group: Group) -> Action:
    """How the group acts on labels |G|·digit + pose: the pose h becomes gh, and the digit stays."""
    poses = torch.arange(group.order)
    products = group.product(poses[:, None, None], poses)
    return eq.actions.labels(group, (group.order * torch.arange(SEEN)[:, None] + products).flatten(1))


def in_all_poses(act: Action, encode: Encode, images: Tensor) -> Tensor:
    """E(g·x) for every element g, [B, |G|, …]: |G| passes an image."""
    poses = eq.latent.orbit(act, images)
    found: Tensor = encode(poses.flatten(0, 1)).unflatten(0, poses.shape[:2])
    return found


@dataclass
class _Acting:
    """A function of stored items and elements, with its group: what `eq.latent.augment` takes in place of an action."""

    group: Group
    function: Callable[[Tensor, Tensor], Tensor]

    def __call__(self, x: Tensor, g: Tensor) -> Tensor:
        return self.function(x, g)


def _pick(poses: Tensor, g: Tensor) -> Tensor:
    return poses[torch.arange(len(g), device=poses.device), g]


def _cosines(equation: str, poses: Tensor, z: Tensor) -> Tensor:
    return torch.einsum(equation, F.normalize(poses, dim=-1), F.normalize(z, dim=-1))


def _share(answers: Tensor, right: Tensor) -> float:
    return float((answers == right).float().mean())
