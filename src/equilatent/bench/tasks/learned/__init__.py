"""Section 4: which representation a network prefers on its latent. Tables 1 to 3."""

from equilatent.bench.tasks.learned._cifar10 import CIFAR10
from equilatent.bench.tasks.learned._mnist import MNIST
from equilatent.bench.tasks.learned._tmnist import TMNIST

__all__ = ["CIFAR10", "MNIST", "TMNIST"]
