"""The tasks: data, actions, task loss, evaluation and published numbers of each."""

from equilatent.bench.harness.task import Task
from equilatent.bench.tasks.ddmnist import DDMNIST
from equilatent.bench.tasks.frozen import FROZEN
from equilatent.bench.tasks.learned import CIFAR10, MNIST, TMNIST
from equilatent.bench.tasks.medmnist3d import MEDMNIST3D
from equilatent.bench.tasks.smoke import SMOKE

__all__ = ["TASKS"]

#: All tasks, in the order of the paper's tables, then those beside it.
TASKS: tuple[Task, ...] = (TMNIST, MNIST, CIFAR10, DDMNIST, MEDMNIST3D, SMOKE, FROZEN)
