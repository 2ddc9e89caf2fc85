"""What latents are asked: search in any orientation, relative pose, and a head trained on latents that were stored once.

There are three ways to have the latent of an image in another pose: ρ(g)z, an affine map for each element that was fitted
afterwards, and another pass of the encoder. They know no encoder: what they are given is latents of images.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

import equilatent as eq
from equilatent.actions import Action, SupportsAction
from equilatent.groups import Group

__all__ = [
    "Acting",
    "Encode",
    "HeadTraining",
    "Way",
    "fit_maps",
    "head_accuracy",
    "in_all_poses",
    "map_all",
    "mapped",
    "pose_accuracy",
    "pose_labels",
    "recall",
    "reencoded",
    "represented",
    "train_head",
]

#: Images [B, C, H, W] to latents [B, …], in one pass.
Encode = Callable[[Tensor], Tensor]

#: Numbers in a table of scores that is made at once.
_ENTRIES = 1 << 24


@dataclass(frozen=True)
class Way:
    """A way to have the latents of images in every pose.

    An item of an index is its latent, [d], from one pass of the encoder. Of a query, and of an image that is stored to train
    a head, there is what `passes` passes give: its latent [d], or its latents in all poses [|G|, d].

    Attributes:
        action: what is stored of an image, in another pose: ρ(g), or what stands for it.
        search: items [N, d], what there is of queries, and k, to the places of the items that are nearest to each query in
            some pose, LongTensor [Q, k], the nearest first.
        match: items [B, d] and what there is of as many queries, to the element that carries each item to its query,
            LongTensor [B].
        passes: of the encoder, for a query or a stored image: 1 or |G|.
    """

    action: SupportsAction
    search: Callable[[Tensor, Tensor, int], Tensor]
    match: Callable[[Tensor, Tensor], Tensor]
    passes: int

    def encode(self, act: Action, encode: Encode, images: Tensor) -> Tensor:
        """What there is of queries or stored images, [B, d] or [B, |G|, d]."""
        return encode(images) if self.passes == 1 else in_all_poses(act, encode, images)


@dataclass(frozen=True)
class HeadTraining:
    """How heads are trained: AdamW with one cycle of the learning rate, every step on all stored latents.

    Attributes:
        steps: how many.
        hidden: units of the hidden layer.
        rate: the largest learning rate.
        decay: weight decay.
    """

    steps: int
    hidden: int = 128
    rate: float = 0.005
    decay: float = 0.01


def represented(rho: SupportsAction) -> Way:
    """ρ(g)E(x) stands for E(g·x): the tools of `eq.latent`."""

    def search(items: Tensor, queries: Tensor, k: int) -> Tensor:
        return eq.latent.search(rho, items, queries, k).indices

    def match(items: Tensor, queries: Tensor) -> Tensor:
        return eq.latent.match(rho, items, queries).element

    return Way(rho, search, match, passes=1)


def mapped(group: Group, maps: Tensor) -> Way:
    """An affine map for each element, as `fit_maps` fits them, stands for ρ(g)."""

    def search(items: Tensor, queries: Tensor, k: int) -> Tensor:
        poses = F.normalize(map_all(maps, items), dim=-1).flatten(0, 1)
        found = [
            (F.normalize(some, dim=-1) @ poses.mT).unflatten(1, (len(items), -1)).amax(2).topk(k, dim=1).indices
            for some in queries.split(max(1, _ENTRIES // len(poses)))
        ]
        return torch.cat(found)

    def match(items: Tensor, queries: Tensor) -> Tensor:
        return _cosines(map_all(maps, items), queries).argmax(1)

    return Way(Acting(group, lambda z, g: _pick(map_all(maps, z), g)), search, match, passes=1)


def reencoded(group: Group) -> Way:
    """No action on latents: the encoder has run for each of the |G| poses of a query, or of an image that is stored."""

    def search(items: Tensor, queries: Tensor, k: int) -> Tensor:
        items = F.normalize(items, dim=-1)
        found = [
            (F.normalize(some, dim=-1) @ items.mT).amax(1).topk(k, dim=1).indices
            for some in queries.split(max(1, _ENTRIES // (len(items) * group.order)))
        ]
        return torch.cat(found)

    def match(items: Tensor, queries: Tensor) -> Tensor:
        return group.inverse(_cosines(queries, items).argmax(1))

    return Way(Acting(group, _pick), search, match, passes=group.order)


@torch.no_grad()
def fit_maps(poses: Tensor, ridge: float = 1e-3) -> Tensor:
    """Affine maps from E(x) to E(g·x) by least squares over upright images x, [|G|, d + 1, d].

    Args:
        poses: their latents in all poses, [N, |G|, d].
        ridge: a multiple of the identity that is added to the mean of the squares.
    """
    z = F.pad(poses[:, 0], (0, 1), value=1.0).double()
    gram = z.mT @ z + ridge * len(z) * torch.eye(z.shape[1], dtype=z.dtype, device=z.device)
    maps: Tensor = torch.linalg.solve(gram, torch.einsum("nd,nge->gde", z, poses.double()))
    return maps.float()


def map_all(maps: Tensor, z: Tensor) -> Tensor:
    """Latents [B, d] mapped to all poses, [B, |G|, d]."""
    return torch.einsum("bd,gde->bge", F.pad(z, (0, 1), value=1.0), maps)


@torch.no_grad()
def recall(way: Way, items: Tensor, queries: Tensor, at: Sequence[int]) -> list[float]:
    """The shares of queries whose item is among the nearest 1, 10, …; query i shows item i, in some pose."""
    found = way.search(items, queries, min(max(at), len(items)))
    right = found == torch.arange(len(queries), device=found.device)[:, None]
    return [float(right[:, :count].any(1).float().mean()) for count in at]


@torch.no_grad()
def pose_accuracy(way: Way, items: Tensor, queries: Tensor, elements: Tensor) -> float:
    """The share of queries for which the element is found that carries the item to the query; query i shows item i."""
    return _share(way.match(items[: len(queries)], queries), elements)


def train_head(
    way: Way, stored: Tensor, labels: Tensor, classes: int, training: HeadTraining, seed: int
) -> nn.Sequential:
    """A head that tells class and pose, trained on what is stored of a few upright images, transformed with their labels.

    Args:
        way: how what is stored is had in other poses.
        stored: of the images, [N, d] or [N, |G|, d].
        labels: their classes, LongTensor [N].
        classes: how many there are.
        training: how it is trained.
        seed: of its first weights, and of the elements that are drawn.

    Returns:
        Latents [B, d] to scores [B, classes·|G|]; the label of class c in pose h is |G|·c + h, and upright is pose 0.
    """
    group = way.action.group
    generator = torch.Generator().manual_seed(seed)
    with torch.random.fork_rng([]):
        torch.manual_seed(seed)
        head = nn.Sequential(
            nn.Linear(stored.shape[-1], training.hidden),
            nn.ReLU(),
            nn.Linear(training.hidden, classes * group.order),
        ).to(stored.device)
    output = pose_labels(group, classes).to(stored.device)
    optimiser = torch.optim.AdamW(head.parameters(), training.rate, weight_decay=training.decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, training.rate, total_steps=training.steps)
    with torch.enable_grad():
        for _ in range(training.steps):
            z, y = eq.latent.augment(way.action, output, stored, group.order * labels, generator=generator)
            optimiser.zero_grad()
            F.cross_entropy(head(z), y).backward()
            optimiser.step()
            schedule.step()
    return head


@torch.no_grad()
def head_accuracy(head: nn.Module, group: Group, poses: Tensor, labels: Tensor) -> float:
    """The share of images in all poses, whose latents are [B, |G|, d], of which a head tells class and pose."""
    expected = group.order * labels[:, None] + group.elements.to(labels.device)
    return _share(head(poses).argmax(2), expected)


def pose_labels(group: Group, classes: int) -> Action:
    """How the group acts on labels |G|·class + pose: the pose h becomes gh, and the class stays."""
    poses = torch.arange(group.order)
    products = group.product(poses[:, None, None], poses)
    return eq.actions.labels(group, (group.order * torch.arange(classes)[:, None] + products).flatten(1))


def in_all_poses(act: Action, encode: Encode, images: Tensor) -> Tensor:
    """E(g·x) for every element g, [B, |G|, …]: |G| passes an image."""
    poses = eq.latent.orbit(act, images)
    found: Tensor = encode(poses.flatten(0, 1)).unflatten(0, poses.shape[:2])
    return found


@dataclass
class Acting:
    """A function of stored items and elements, with its group: what `eq.latent.augment` takes in place of an action."""

    group: Group
    function: Callable[[Tensor, Tensor], Tensor]

    def __call__(self, x: Tensor, g: Tensor) -> Tensor:
        """What is stored of x, in the poses g."""
        return self.function(x, g)


def _pick(poses: Tensor, g: Tensor) -> Tensor:
    return poses[torch.arange(len(g), device=poses.device), g]


def _cosines(poses: Tensor, z: Tensor) -> Tensor:
    return torch.einsum("bgd,bd->bg", F.normalize(poses, dim=-1), F.normalize(z, dim=-1))


def _share(answers: Tensor, right: Tensor) -> float:
    return float((answers == right).float().mean())
