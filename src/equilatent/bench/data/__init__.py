"""The data sets of the experiments: read from a folder or fetched from their publishers, and verified either way.

Images stay uint8 and whole in memory. Nothing is unpickled, and nothing is imported that a loader does not use.
"""

from equilatent.bench.data._brain import brain
from equilatent.bench.data._cifar10 import cifar10
from equilatent.bench.data._command import data_command
from equilatent.bench.data._digit_pairs import WINDOWS, DigitPairs, digit_pairs
from equilatent.bench.data._download import fetch
from equilatent.bench.data._files import find_data_dir
from equilatent.bench.data._images import ImageData
from equilatent.bench.data._medmnist import medmnist3d
from equilatent.bench.data._mnist import mnist
from equilatent.bench.data._smoke import (
    SMOKE_SKIPPED,
    SmokeData,
    centred,
    coarse,
    smoke,
    smoke_balanced,
    smoke_windows,
)
from equilatent.bench.data._smoke_simulator import SmokeSimulator
from equilatent.bench.data._split import held_out
from equilatent.bench.data._tmnist import (
    TYPEFACES,
    DigitViews,
    TypefaceData,
    draw_views,
    random_views,
    tmnist,
    tmnist_glyphs,
)
from equilatent.bench.data._turns import turned

__all__ = [
    "SMOKE_SKIPPED",
    "TYPEFACES",
    "WINDOWS",
    "DigitPairs",
    "DigitViews",
    "ImageData",
    "SmokeData",
    "SmokeSimulator",
    "TypefaceData",
    "brain",
    "centred",
    "cifar10",
    "coarse",
    "data_command",
    "digit_pairs",
    "draw_views",
    "fetch",
    "find_data_dir",
    "held_out",
    "medmnist3d",
    "mnist",
    "random_views",
    "smoke",
    "smoke_balanced",
    "smoke_windows",
    "tmnist",
    "tmnist_glyphs",
    "turned",
]
