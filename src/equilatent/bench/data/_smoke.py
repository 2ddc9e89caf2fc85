"""SMOKE: velocities of smoke that rises in a closed box, simulated here and kept in a file."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import io
import json
import math
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from equilatent.bench.data._download import file_digest, only_here
from equilatent.bench.data._files import find_data_dir
from equilatent.bench.data._smoke_phiflow import phiflow_frames, phiflow_versions
from equilatent.bench.data._smoke_simulator import SmokeSimulator, quarter_turns
from equilatent.errors import DataError, MissingDependencyError

if TYPE_CHECKING:
    from tqdm import tqdm

__all__ = [
    "SMOKE_FOLDER",
    "SMOKE_SIMULATORS",
    "SMOKE_SKIPPED",
    "SMOKE_SOURCE",
    "SmokeData",
    "SmokeRecipe",
    "centred",
    "coarse",
    "find_smoke",
    "paper_recipe",
    "smoke",
    "smoke_balanced",
    "smoke_windows",
]

SMOKE_SOURCE = "the recipe of Wang, Walters & Yu, simulated here"
SMOKE_SIMULATORS = ("torch", "phiflow")
#: Where the file lies in the data folder, unless directly.
SMOKE_FOLDER = "smoke"
#: Frames at the beginning of every window that are neither put in nor predicted.
SMOKE_SKIPPED = 2

#: The side where smoke flows in, to the acceleration (x, y) of a cell full of smoke, for strength 1.
_BUOYANCY = ((0.0, 0.01), (-0.01, 0.0), (0.0, -0.011), (0.01, 0.0))
_STRENGTHS = tuple(float(strength) for strength in range(1, 37))
#: The strengths of the domain test; 32 is in no split of the paper's.
_DOMAIN = (5, 6, 10, 13, 14, 15, 18, 20, 21, 24)
_UNUSED = (32,)
#: Changes when the same recipe would give other numbers.
_VERSION = 1
#: Runs of which the layout is changed at a time, for the sake of memory.
_RUNS = 4


@dataclass(frozen=True)
class SmokeRecipe:
    """All that decides which numbers a set of simulations holds.

    Attributes:
        strengths: of the buoyancy, for each run.
        sides: where smoke flows in, 0 to 3, for each run.
        frames: of each run that are kept; the one before the first is dropped.
        size: cells along each axis.
        background: None for the paper's buoyancy; else that of `smoke_balanced`.
        noise: standard deviation of the velocity at the start, before it is made free of divergence.
        seed: with which the noise is drawn.
        simulator: ``"torch"`` or ``"phiflow"``.
    """

    strengths: tuple[float, ...]
    sides: tuple[int, ...]
    frames: int = 309
    size: int = 64
    background: float | None = None
    noise: float = 0.0
    seed: int = 0
    simulator: str = "torch"

    def __post_init__(self) -> None:
        if self.simulator not in SMOKE_SIMULATORS:
            raise DataError(f"simulator is one of {', '.join(SMOKE_SIMULATORS)}; got {self.simulator!r}.")
        numbers = (*self.strengths, self.background or 0.0)
        if not self.strengths or not all(math.isfinite(number) for number in numbers):
            raise DataError(
                f"strengths are finite numbers, at least one, and so is background; got {list(self.strengths)} and "
                f"{self.background}."
            )
        if not (math.isfinite(self.noise) and self.noise >= 0):
            raise DataError(f"noise is a standard deviation, finite and not negative; got {self.noise}.")
        if self.frames < 1:
            raise DataError(f"frames is how many are kept of each run, at least 1; got {self.frames}.")

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the velocity: [runs, frames, 2, size, size]."""
        return (len(self.strengths), self.frames, 2, self.size, self.size)

    @property
    def bytes(self) -> int:
        """Size of the velocity."""
        return 4 * math.prod(self.shape)

    @property
    def digest(self) -> str:
        """The same for equal recipes only."""
        described = json.dumps({"version": _VERSION, **dataclasses.asdict(self)}, sort_keys=True)
        return hashlib.sha256(described.encode()).hexdigest()

    @property
    def name(self) -> str:
        """Of the file, without its ending."""
        return "smoke" if self == paper_recipe() else f"smoke_{self.digest[:12]}"


def paper_recipe(simulator: str = "torch", *, noise: float = 0.0, seed: int = 0) -> SmokeRecipe:
    """The 36 simulations of the paper: strength k flows in at side (k − 1) mod 4."""
    sides = tuple((int(strength) - 1) % 4 for strength in _STRENGTHS)
    return SmokeRecipe(_STRENGTHS, sides, noise=noise, seed=seed if noise else 0, simulator=simulator)


@dataclass(frozen=True, eq=False)
class SmokeData:
    """Simulations of smoke in a box: their velocities, in cells a frame.

    Arrays have rows along y and columns along x; the components are (x, y). ``actions.vector_field(C4,
    components=(1, 0))`` turns them, exactly in the layout ``"centred"``.

    Attributes:
        velocity: on the faces (`field` explains), float32 [runs, frames, 2, N, N].
        strengths: of the buoyancy, float64 [runs].
        sides: where smoke flows in: 0 at the first row, 1 at the last column, 2 at the last row, 3 at the first column;
            LongTensor [runs].
        provenance: for the record of a run, as in `ImageData`.
    """

    velocity: Tensor
    strengths: Tensor
    sides: Tensor
    provenance: Mapping[str, Any]

    def __post_init__(self) -> None:
        shape, runs = tuple(self.velocity.shape), {len(self.strengths), len(self.sides)}
        if len(shape) != 5 or shape[2] != 2 or shape[3] != shape[4] or runs != {shape[0]}:
            raise DataError(
                f"velocity is [runs, frames, 2, N, N], with as many strengths and sides as runs; got "
                f"{list(self.velocity.shape)}, {len(self.strengths)} and {len(self.sides)}."
            )

    def __repr__(self) -> str:
        runs, frames, _, size, _ = self.velocity.shape
        return f"SmokeData({runs} runs of {frames} frames, {size}×{size})"

    def field(self, layout: Literal["centred", "staggered"] = "centred", side: int | None = None) -> Tensor:
        """The velocity in a layout and on a grid, [runs, frames, 2, side, side].

        Args:
            layout: ``"staggered"``: u_x on the face before each cell along x, u_y on that before it along y, as simulated
                and as in the paper. A turn about the grid's centre then displaces the components by a cell. ``"centred"``:
                averaged to the centres of the cells, where turns are exact.
            side: N, the default, or N/2.

        Returns:
            A new tensor in memory, but `velocity` itself for its own layout and grid.

        Raises:
            DataError: for another layout or side.
        """
        size = self.velocity.shape[-1]
        side = size if side is None else side
        if layout not in ("centred", "staggered") or side not in (size, size / 2):
            raise DataError(
                f"layout is 'centred' or 'staggered', and side {size} or {size / 2:g}; got {layout!r} and {side}."
            )
        if layout == "staggered" and side == size:
            return self.velocity
        runs, frames = self.velocity.shape[:2]
        field = self.velocity.new_empty(runs, frames, 2, side, side)
        for kept, part in zip(field.split(_RUNS), self.velocity.split(_RUNS), strict=True):
            changed = centred(part) if layout == "centred" else part
            kept.copy_(changed if side == size else coarse(changed, layout))
        return field


def centred(staggered: Tensor) -> Tensor:
    """The velocity in the centres of the cells: for each component the mean of the two faces across from each other.

    Args:
        staggered: (u_x, u_y) on the face before each cell along x, and along y, [..., 2, N, N]. The faces behind the last
            cells are not in it; they are in the walls, where the velocity is zero.

    >>> to_the_right = torch.zeros(2, 3, 3); to_the_right[0, 1, 1:] = 1.0  # through the two faces inside the second row
    >>> centred(to_the_right)[0]
    tensor([[0.0000, 0.0000, 0.0000],
            [0.5000, 1.0000, 0.5000],
            [0.0000, 0.0000, 0.0000]])
    """
    field = staggered.clone()
    field[..., 0, :, :-1] += staggered[..., 0, :, 1:]
    field[..., 1, :-1, :] += staggered[..., 1, 1:, :]
    return field.mul_(0.5)


def coarse(field: Tensor, layout: Literal["centred", "staggered"] = "centred") -> Tensor:
    """The velocity on a grid of half as many points along each axis, [..., 2, N, N] → [..., 2, N/2, N/2].

    Args:
        field: with even N.
        layout: ``"centred"``: the mean over blocks of 2×2 cells, which commutes with turns. ``"staggered"``: the mean over
            the two faces of which a face of the coarse grid consists, so that no divergence arises.

    >>> coarse(torch.arange(8.0).view(2, 2, 2)).flatten()
    tensor([1.5000, 5.5000])
    """
    if field.ndim < 3 or field.shape[-3] != 2 or field.shape[-1] % 2 or field.shape[-2] % 2:
        raise DataError(f"field is [..., 2, N, N] with even N; got {list(field.shape)}.")
    if layout == "centred":
        return F.avg_pool2d(field.flatten(0, -4) if field.ndim > 3 else field, 2).view(
            *field.shape[:-2], field.shape[-2] // 2, field.shape[-1] // 2
        )
    x, y = field[..., 0, :, ::2], field[..., 1, ::2, :]
    return torch.stack([(x[..., ::2, :] + x[..., 1::2, :]) / 2, (y[..., ::2] + y[..., 1::2]) / 2], dim=-3)


def smoke(
    data: Path | None = None,
    *,
    simulator: str = "torch",
    noise: float = 0.0,
    seed: int = 0,
    generate: bool = True,
    progress: bool = True,
) -> SmokeData:
    """The 36 simulations of the paper, 309 frames each on 64×64 cells; simulated once, then read from the data folder.

    Run i has strength k = i + 1 and its inflow at side i mod 4. The file is mapped into memory, not read at once.

    Args:
        data: the data folder; by default that of `find_data_dir`. The file, of 365 MB, lies in it or in ``smoke/``.
        simulator: ``"torch"``, `SmokeSimulator`, seconds for all; or ``"phiflow"``, the reference, a minute for each.
        noise: standard deviation of the velocity at the start; 0 is the paper's start, at rest. The flow is chaotic, so that
            a noise of 1e-3 with several seeds tells which part of a result is due to the one course that it took.
        seed: with which the noise is drawn.
        generate: make the simulations if they are not there.
        progress: show a bar meanwhile.

    Raises:
        DataError: if the file is missing and not to be made, damaged or of another recipe, or cannot be written.
        MissingDependencyError: if PhiFlow is asked for and not installed.
    """
    recipe = paper_recipe(simulator, noise=noise, seed=seed)
    return _kept(recipe, find_data_dir(data), generate=generate, progress=progress)


def smoke_balanced(
    strengths: Sequence[float] = _STRENGTHS,
    frames: int = 309,
    *,
    background: float = 0.0,
    noise: float = 0.0,
    seed: int = 0,
    size: int = 64,
    cache: Path | None = None,
    progress: bool = True,
) -> SmokeData:
    """Each strength with its inflow at each side, so that the group acts on the data set, broken by a known amount.

    The acceleration of a cell full of smoke is 0.01·k·(d + b·e): k the strength, d the unit vector from the side into the
    box, which turns with the side, and b the background along e = (0, 1), which does not.

    - For b = 0 the runs of one strength are turns of each other, to the last bit in the layout ``"centred"``.
    - For b > 0 the dynamics are not those of the turned field; b is the force that breaks them over the one that does not.

    The four runs of a strength start with the same noise, turned.

    Args:
        strengths: k of each group of four runs, in this order, each at sides 0, 1, 2, 3.
        frames: of each run, after the first, which is dropped.
        background: b.
        noise: as for `smoke`.
        seed: as for `smoke`.
        size: cells along each axis; even, for the coarse grid.
        cache: a data folder, where the simulations are kept under a digest of all of these; None keeps none.
        progress: show a bar meanwhile.

    Raises:
        DataError: for no strength or frame, numbers that are not finite, or a folder that cannot be written.
        NonFiniteError: for forces so large that the velocity grows beyond the largest number.

    >>> data = smoke_balanced([4.0, 8.0], 5, size=16)
    >>> data, data.sides
    (SmokeData(8 runs of 5 frames, 16×16), tensor([0, 1, 2, 3, 0, 1, 2, 3]))
    """
    repeated = tuple(float(strength) for strength in strengths for _ in range(4))
    recipe = SmokeRecipe(
        repeated,
        tuple(range(4)) * len(strengths),
        frames,
        size,
        background=float(background),
        noise=float(noise),
        seed=seed if noise else 0,
    )
    if cache is not None:
        return _kept(recipe, find_data_dir(cache), generate=True, progress=progress)
    return _data(recipe, torch.from_numpy(_simulate(recipe, progress)), {})


def smoke_windows(
    splits: str = "separate",
    *,
    strengths: Iterable[float] = _STRENGTHS,
    domain: Iterable[float] = _DOMAIN,
    unused: Iterable[float] = _UNUSED,
    ends: tuple[int, int, int] = (160, 200, 250),
    domain_end: int = 100,
    frames: int = 309,
    inputs: int = 10,
    trained: int = 6,
    tested: int = 20,
) -> dict[str, Tensor]:
    """Where the windows of training, validation, the future test and the domain test begin.

    A window that starts at frame s consists of the two frames s, s + 1, which are not used (``SMOKE_SKIPPED``), the inputs
    s + 2 … s + 11, and the targets from s + 12 on. In the paper, windows start at frames 0 to 159 for training, 160 to 199
    for validation and 200 to 249 for the future test, in 25 runs; at 0 to 99 for the domain test, in 10 others.

    Args:
        splits: ``"separate"``: the first and the last windows of validation are left out, so that it shares no frame with
            training or the future test; ``"paper"``: all of them, so that late targets of training are early inputs of
            validation, and those of validation are of the future test.
        strengths: of each run, such as those of a `SmokeData`. Splits go by strength, so that with several runs of one
            strength these are all on the same side.
        domain: the strengths of the domain test.
        unused: strengths that are in no split; the paper leaves out 32.
        ends: the first frame after the starts for training, validation and the future test.
        domain_end: the same for the domain test.
        frames: of each run.
        inputs: frames that go in.
        trained: frames that are predicted in training and validation.
        tested: frames that are predicted in the tests.

    Returns:
        (run, first frame), LongTensor [n, 2], for ``"train"``, ``"validation"``, ``"future"`` and ``"domain"``. Those of
        training are in a fixed random order, so that the first few are a sample of all.

    Raises:
        DataError: for other splits, strengths in the domain test that no run has, ends that do not increase, windows that
            reach beyond the last frame, and splits without a window.

    >>> {name: len(starts) for name, starts in smoke_windows().items()}
    {'train': 4000, 'validation': 250, 'future': 1250, 'domain': 1000}
    >>> {name: len(starts) for name, starts in smoke_windows("paper").items()}
    {'train': 4000, 'validation': 1000, 'future': 1250, 'domain': 1000}
    """
    if splits not in ("separate", "paper"):
        raise DataError(f"splits is 'separate' or 'paper'; got {splits!r}.")
    of_run = [float(strength) for strength in strengths]
    held, left = {float(strength) for strength in domain}, {float(strength) for strength in unused}
    if not held <= set(of_run) or held & left:
        raise DataError(
            f"domain has strengths of runs, which are not unused: of {sorted(set(of_run) - left)}; got {sorted(held)}."
        )
    if min(inputs, trained, tested) < 1 or not 0 < ends[0] < ends[1] < ends[2] or domain_end < 1:
        raise DataError(
            f"inputs, trained, tested and domain_end are at least 1, and ends increase from above 0; got {inputs}, "
            f"{trained}, {tested}, {domain_end} and {ends}."
        )
    needed = max(ends[2], domain_end) - 1 + SMOKE_SKIPPED + inputs + tested
    if needed > frames:
        raise DataError(
            f"the last window of a test needs {needed} frames; there are {frames}. Give smaller ends and domain_end, or "
            "simulate more frames."
        )
    # Of the frames that it uses, the last of a window at `end` − inputs − trained is just before the first of one at `end`.
    spared = inputs + trained - 1 if splits == "separate" else 0
    trains = [run for run, strength in enumerate(of_run) if strength not in held | left]
    tests = [run for run, strength in enumerate(of_run) if strength in held]
    windows = {
        "train": _pairs(trains, range(ends[0])),
        "validation": _pairs(trains, range(ends[0] + spared, ends[1] - spared)),
        "future": _pairs(trains, range(ends[1], ends[2])),
        "domain": _pairs(tests, range(domain_end)),
    }
    empty = [name for name, starts in windows.items() if not len(starts)]
    if empty:
        raise DataError(
            f"every split has a window; there is none for {', '.join(empty)} with {len(trains)} runs to train, "
            f"{len(tests)} of other strengths, and ends {ends}, of which separate splits leave "
            f"out {spared} starts at either side of validation."
        )
    order = torch.randperm(len(windows["train"]), generator=torch.Generator().manual_seed(0))
    windows["train"] = windows["train"][order]
    return windows


def _pairs(runs: Sequence[int], starts: range) -> Tensor:
    return torch.cartesian_prod(
        torch.tensor(runs, dtype=torch.int64), torch.arange(starts.start, max(starts.start, starts.stop))
    ).reshape(-1, 2)


# Simulations


def _simulate(recipe: SmokeRecipe, progress: bool) -> npt.NDArray[np.float32]:
    """The velocities of a recipe, [runs, frames, 2, N, N]."""
    velocity = np.empty(recipe.shape, dtype=np.float32)
    with _bar(recipe, progress) as bar:
        if recipe.simulator == "phiflow":
            _by_phiflow(recipe, velocity, bar)
        else:
            _by_torch(recipe, velocity, bar)
    return velocity


def _by_torch(recipe: SmokeRecipe, velocity: npt.NDArray[np.float32], bar: tqdm[Any]) -> None:
    sides = torch.tensor(recipe.sides)
    forces, start = _forces(recipe), _start(recipe)
    if recipe.background is None:
        simulator = SmokeSimulator(forces, sides, size=recipe.size, start=start)
    else:
        # As seen from its own side every run is that of side 0, so that equal forces give equal numbers, and not only
        # numbers that are equal until rounding has grown.
        simulator = SmokeSimulator(forces, torch.zeros_like(sides), size=recipe.size, start=start)
    for frame in range(-1, recipe.frames):
        simulator.step()
        if frame >= 0:
            after = simulator.velocity
            velocity[:, frame] = (after if recipe.background is None else quarter_turns(after, -sides)).numpy()
        bar.update(len(sides))


def _by_phiflow(recipe: SmokeRecipe, velocity: npt.NDArray[np.float32], bar: tqdm[Any]) -> None:
    start = _start(recipe)
    for run, (force, side) in enumerate(zip(_forces(recipe).tolist(), recipe.sides, strict=True)):
        first = None if start is None else start[run].numpy()
        frames = phiflow_frames(force, side, size=recipe.size, start=first)
        for frame in range(-1, recipe.frames):
            after = next(frames)
            if frame >= 0:
                velocity[run, frame] = after
            bar.update()


def _forces(recipe: SmokeRecipe) -> Tensor:
    """Accelerations of a cell full of smoke, [runs, 2]; as seen from its own side if there is a background."""
    strengths, sides = torch.tensor(recipe.strengths, dtype=torch.float64), torch.tensor(recipe.sides)
    if recipe.background is None:
        return strengths[:, None] * torch.tensor(_BUOYANCY, dtype=torch.float64)[sides]
    # e = (0, 1), turned by as many quarters as take each side to side 0: r takes (x, y) to (y, −x).
    fixed = torch.tensor([(0.0, 1.0), (1.0, 0.0), (0.0, -1.0), (-1.0, 0.0)], dtype=torch.float64)[sides]
    into = torch.tensor([0.0, 1.0], dtype=torch.float64)
    return 0.01 * strengths[:, None] * (into + recipe.background * fixed)


def _start(recipe: SmokeRecipe) -> Tensor | None:
    """The velocity at the start, [runs, 2, N, N]; None for rest."""
    if not recipe.noise:
        return None
    # The runs of one strength in a balanced set are at sides 0 to 3, and each is simulated as seen from its own.
    repeats = 1 if recipe.background is None else 4
    shape = (len(recipe.strengths) // repeats, 2, recipe.size, recipe.size)
    generator = torch.Generator().manual_seed(recipe.seed)
    drawn = recipe.noise * torch.randn(shape, generator=generator, dtype=torch.float64)
    drawn[:, 0, :, 0], drawn[:, 1, 0] = 0.0, 0.0
    return drawn.repeat_interleave(repeats, 0)


def _bar(recipe: SmokeRecipe, progress: bool) -> tqdm[Any]:
    try:
        from tqdm import tqdm
    except ImportError as error:
        raise MissingDependencyError(
            "the progress of simulations is shown with tqdm, which is not installed. Install it: pip install "
            "'equilatent[bench]'."
        ) from error
    # None: no bar where the output is not a terminal.
    hidden = None if progress else True
    total = len(recipe.strengths) * (recipe.frames + 1)
    return tqdm(desc=recipe.name, total=total, unit="frame", dynamic_ncols=True, disable=hidden)


# Files


def find_smoke(recipe: SmokeRecipe, folder: Path) -> Path | None:
    """Where the simulations of a recipe lie in a data folder; None if they are not there, or not whole."""
    places = [folder / SMOKE_FOLDER / f"{recipe.name}.npy", folder / f"{recipe.name}.npy"]
    # The description comes last, so that a file without one is what a process left that was stopped in between.
    return next((place for place in places if place.is_file() and place.with_suffix(".json").is_file()), None)


def _kept(recipe: SmokeRecipe, folder: Path, *, generate: bool, progress: bool) -> SmokeData:
    path = find_smoke(recipe, folder)
    if path is None and not generate:
        raise DataError(
            f"{recipe.name}.npy with {recipe.name}.json is not in {folder}, neither directly nor in smoke/. Name the folder "
            "that holds them (--data or EQUILATENT_DATA), or have them made: equilatent data smoke."
        )
    if path is None:
        path = _generate(recipe, folder, progress)
    digest, described = verify_smoke(recipe, path)
    try:
        # Copied on write: what is changed in memory is not in the file.
        array = np.load(path, mmap_mode="c", allow_pickle=False)
    except (ValueError, EOFError, OSError) as error:
        raise DataError(f"{path} is no array, or is damaged ({error}). {_REMEDY}") from error
    if not isinstance(array, np.ndarray) or array.dtype != np.dtype("<f4") or array.shape != recipe.shape:
        found = f"{array.dtype} {list(array.shape)}" if isinstance(array, np.ndarray) else "an archive"
        raise DataError(f"{path} holds float32 {list(recipe.shape)}; got {found}. {_REMEDY}")
    files = {path.name: {"digest": digest, "verified": True}}
    return _data(recipe, torch.from_numpy(array), {"files": files, "versions": described.get("versions", {})})


_REMEDY = "Remove it, so that it is made again."


def verify_smoke(recipe: SmokeRecipe, path: Path) -> tuple[str, dict[str, Any]]:
    """The digest of a file with simulations, and its description.

    Raises:
        DataError: if the description is of another recipe or damaged, or the file is not the one described.
    """
    described = path.with_suffix(".json")
    try:
        content = json.loads(described.read_text(encoding="utf-8"))
        found, expected = content["recipe"], content["digest"]
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{described} is no description of simulations, or is damaged. {_REMEDY}") from error
    wanted = _described(recipe)
    if found != wanted:
        named = found if isinstance(found, dict) else {}
        different = [key for key in sorted(wanted.keys() | named.keys()) if named.get(key) != wanted.get(key)]
        raise DataError(
            f"{described} is of simulations that differ in {', '.join(different)}: {[named.get(key) for key in different]}, "
            f"not {[wanted.get(key) for key in different]}. {_REMEDY}"
        )
    digest = file_digest(path, "sha256")
    if digest != expected:
        raise DataError(f"{path} is damaged: its digest is {digest}, not {expected}. {_REMEDY}")
    return digest, content


def _described(recipe: SmokeRecipe) -> dict[str, Any]:
    """A recipe as JSON gives it back."""
    described: dict[str, Any] = json.loads(json.dumps({"version": _VERSION, **dataclasses.asdict(recipe)}))
    return described


def _generate(recipe: SmokeRecipe, folder: Path, progress: bool) -> Path:
    """Make the file of a recipe and its description, unless another process does so meanwhile."""
    path = folder / SMOKE_FOLDER / f"{recipe.name}.npy"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with only_here(path):
            if (found := find_smoke(recipe, folder)) is not None:
                return found
            versions = {"torch": torch.__version__, "numpy": np.__version__}
            if recipe.simulator == "phiflow":
                versions = phiflow_versions() | {"numpy": np.__version__}
            velocity = _simulate(recipe, progress)
            with _replacing(path) as partial:
                digest = _write(partial, velocity)
            with _replacing(path.with_suffix(".json")) as partial:
                content = {"recipe": _described(recipe), "versions": versions, "digest": digest}
                partial.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    except OSError as error:
        if isinstance(error, DataError):
            raise
        raise DataError(
            f"{path.name}, of {recipe.bytes / 1e6:.0f} MB, cannot be kept in {path.parent}: {error}. Give a "
            "folder that can be written, with enough room (--data or EQUILATENT_DATA)."
        ) from error
    return path


@contextlib.contextmanager
def _replacing(path: Path) -> Iterator[Path]:
    """A temporary name that becomes the file's own if all goes well, and is removed if not."""
    partial = path.with_name(f"{path.name}.part")
    try:
        yield partial
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def _write(path: Path, array: npt.NDArray[np.float32]) -> str:
    """Write an array as NumPy does, and give the digest of the file."""
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        header, np.lib.format.header_data_from_array_1_0(array.astype("<f4", copy=False))
    )
    digest = hashlib.sha256()
    with path.open("wb") as file:
        # A run at a time through the ordinary way of writing, which says so when the disk is full; a mapping would crash.
        for part in (header.getbuffer(), *(np.ascontiguousarray(run, dtype="<f4").data for run in array)):
            file.write(part)
            digest.update(part)
        file.flush()
        os.fsync(file.fileno())
    return f"sha256:{digest.hexdigest()}"


def _data(recipe: SmokeRecipe, velocity: Tensor, kept: dict[str, Any]) -> SmokeData:
    stand_in = {
        paper_recipe("phiflow"): None,
        paper_recipe(): "simulated in PyTorch by the publishers' recipe, not with PhiFlow",
    }
    provenance = {
        "source": SMOKE_SOURCE,
        "stand_in": stand_in.get(recipe, "other simulations than the paper's"),
        "files": {},
        "recipe": _described(recipe),
        **kept,
    }
    return SmokeData(
        velocity, torch.tensor(recipe.strengths, dtype=torch.float64), torch.tensor(recipe.sides), provenance
    )
