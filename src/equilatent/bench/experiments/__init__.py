"""The experiments, by name."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from equilatent.bench.experiments.cifar10 import CIFAR10
from equilatent.bench.experiments.ddmnist import DDMNIST
from equilatent.bench.experiments.mnist import MNIST
from equilatent.bench.experiments.tmnist import TMNIST
from equilatent.bench.recipe import Experiment

__all__ = ["EXPERIMENTS"]

EXPERIMENTS: Mapping[str, Experiment] = MappingProxyType({e.name: e for e in (TMNIST, MNIST, CIFAR10, DDMNIST)})
