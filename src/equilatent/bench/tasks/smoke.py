"""Table 6: the next frames of the velocity of smoke (paper, section 6.3 and appendix C.3)."""

from __future__ import annotations

import dataclasses
import functools
import statistics
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Self

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import equilatent as eq
from equilatent.actions import Action, SupportsAction
from equilatent.bench.architecture import LAYERS, Conv, FieldPredictor
from equilatent.bench.data import (
    SMOKE_SKIPPED,
    SmokeData,
    SmokeSimulator,
    centred,
    smoke,
    smoke_balanced,
    smoke_windows,
)
from equilatent.bench.harness.task import Control, Drawing, Problem, Quantity, Split, Task
from equilatent.bench.latent_term_config import LatentTermConfig
from equilatent.bench.latents import feature_map_action
from equilatent.bench.tasks._common import equivariance_numbers

__all__ = ["SMOKE", "SmokeConfig", "SmokeProblem", "roll_out"]

#: Frames that go in, and of which roll-outs consist in training and in the tests.
FRAMES, TRAINED, TESTED = 10, 6, 20
#: Steps of a roll-out whose errors tables show.
_SHOWN_STEPS = (1, 2, 5, 10, 15, 20)
#: Samples that are rolled out at once.
_BLOCK = 250
#: Other courses of the paper's simulations, from a start that is a little disturbed, and the windows of the future test that
#: are repeated on each.
_COURSES, _DISTURBANCE, _EVERY = (1, 2, 3), 1e-3, 10
#: Strengths of a balanced set to train on, and those among them that are kept for the domain test.
_BALANCED, _BALANCED_DOMAIN = tuple(range(4, 37, 4)), (12, 20, 28)
#: Errors of equivariance are measured on simulations of these strengths, each from every side, in windows that begin here,
_MEASURED, _STARTS = (10, 14, 20), (10, 30, 50, 70, 90)
#: for forces beside the buoyancy that do not turn with the side, in parts of the one that does.
_BACKGROUNDS = {"0 %": 0.0, "10 %": 0.1, "25 %": 0.25, "50 %": 0.5}


@dataclass(frozen=True)
class _Size:
    """The settings that go with a size.

    Attributes:
        side: points of the grid along each axis.
        channels: of the hidden layers of ordinary networks.
        fields: regular fields of the hidden layers of steerable ones.
        layout: where the components are.
        epochs: passes over the training samples, at most.
    """

    side: int
    channels: int
    fields: int
    layout: Literal["staggered", "centred"]
    epochs: int


_SIZES = {
    # As many channels for all, so that a step of each takes about as long.
    "small": _Size(side=32, channels=32, fields=8, layout="centred", epochs=12),
    "full": _Size(side=64, channels=92, fields=92, layout="staggered", epochs=1000),
}
#: Systems whose hidden layers are fields.
_STEERABLE = frozenset({"e2cnn", "rpp", "lift", "rgroup", "rsteer", "pscnn"})


@dataclass(frozen=True)
class SmokeConfig(LatentTermConfig):
    """Roll-outs of the velocity of smoke, and the network and settings of appendix C.3."""

    group: str = "C4"
    """What acts on the field: C4, quarter turns of the grid and of the vectors."""
    size: Literal["small", "full"] = "small"
    """small: a grid of 32×32 points, 32 channels, 12 epochs; full: the paper's 64×64 points, 92 channels, 1000 epochs."""
    features: int = 0
    """Channels of the hidden layers, the last of which is the latent; fields of steerable ones. 0 for those of the size."""
    layout: Literal["auto", "staggered", "centred"] = "auto"
    """Where the components are: on faces, as the paper has them, or averaged to the centres of cells, where turns are exact;
    auto for that of the size."""
    sign: Literal["right", "reversed"] = "right"
    """How a turn acts on vectors; reversed is what the public code does, which turns them the other way round."""
    splits: Literal["separate", "paper"] = "separate"
    """Starts of the validation windows: behind the last training target, or the paper's, which overlap with these."""
    runs: Literal["paper", "balanced"] = "paper"
    """The simulations: the paper's 36, each from one side, or nine strengths from every side."""
    background: float = 0.0
    """A force beside the buoyancy that does not turn with the side, in parts of the one that does; for balanced runs."""
    epochs: int = 0
    """Passes over the training samples, at most; 0 for those of the size."""
    batch: int = 16
    """Samples in a batch."""
    rate: float = 0.001
    """Learning rate of Adam."""
    schedule: Literal["constant", "cosine", "exponential"] = "cosine"
    """The learning rate over the run: constant, falling to 0 along half a cosine, or times 0.95 after every epoch."""
    weight_decay: float = 4e-4
    """Weight decay of Adam, of all parameters."""
    patience: int = 100
    """Stop when the validation error has not improved for so many epochs."""
    min_change: float = 0.0
    """The least decrease of the validation error that counts as an improvement."""
    channels_last: bool = True
    """Keep fields with the channels last in memory, which is faster for convolutions on most processors."""
    strength: float | None = 0.005
    """λ, the weight of the latent term of ours."""
    layer: Literal["encoder"] = "encoder"
    """The latent of ours: the output of the fourth block."""
    latent: Literal["grid", "regular", "both", "flat", "trivial", "wrong"] = "grid"
    """What acts on the latent of ours: the turn of its grid, the regular representation over channels, both, or the regular
    representation over all numbers in a row; trivial leaves it as it is, wrong permutes its points by a permutation drawn
    for each element."""

    def resolved(self) -> Self:
        """With the settings of the size."""
        known = _SIZES.get(self.size)
        if known is None:
            return self
        layout = known.layout if self.layout == "auto" else self.layout
        width = known.fields if self.method in _STEERABLE else known.channels
        features, epochs = self.features or width, self.epochs or known.epochs
        return dataclasses.replace(self, layout=layout, features=features, epochs=epochs)

    def problems(self) -> list[str]:
        """What is wrong with the fields, in words."""
        wrong = super().problems()
        if self.size not in _SIZES:
            wrong.append(f"--size {self.size!r} should be one of {', '.join(_SIZES)}")
        if self.background and self.runs != "balanced":
            wrong.append(f"--background {self.background} needs --runs balanced")
        if self.features < 1:
            wrong.append(f"--features {self.features} should be at least 1")
        if self.method == "ours" and self.latent in ("regular", "both") and self.features % 4:
            wrong.append(f"--features {self.features} should be a multiple of 4 for --latent {self.latent}")
        if self.consistency:
            wrong.append(f"--consistency {self.consistency} compares class scores; there are none here")
        return wrong


def network(config: SmokeConfig) -> FieldPredictor:
    """Five 3×3 convolutions, of 247,850 parameters at 92 channels (appendix C.3)."""
    blocks = (Conv(config.features, 3, 1, 1),) * 4
    return FieldPredictor(blocks, frames=FRAMES, side=_SIZES[config.size].side)


def field_action(group: eq.groups.Group, sign: str = "right") -> Action:
    """How turns act on fields [B, 2·n, H, W] of vectors (x, y) on rows y and columns x.

    The reversed sign turns the grid one way and the vectors the other, as the public code does.

    >>> G = eq.groups.cyclic(4)
    >>> rightwards = torch.stack([torch.ones(2, 2), torch.zeros(2, 2)])[None]
    >>> turns = [field_action(G, sign)(rightwards, torch.tensor([1]))[0, :, 0, 0].tolist() for sign in ("right", "reversed")]
    >>> turns   # rows count downwards: a turn to the left takes right to up, which is −y
    [[0.0, -1.0], [0.0, 1.0]]
    """
    if sign == "right":
        return eq.actions.vector_field(group, components=(1, 0))
    # Turns commute, so that the vectors' inverse turns are a representation too.
    vectors = eq.reps.from_matrices(group, {"r": torch.tensor([[0.0, -1.0], [1.0, 0.0]])})
    return eq.actions.compose(eq.actions.image(group), eq.actions.channels(vectors))


def roll_out(model: nn.Module, x: Tensor, steps: int) -> Tensor:
    """Frames [B, 2·steps, H, W] that a model predicts one after the other, each from the last frames before it.

    Args:
        model: from frames [B, 2·n, H, W] to the next, [B, 2, H, W].
        x: the first n frames.
        steps: how many.
    """
    frames = []
    for _ in range(steps):
        frames.append(model(x))
        x = torch.cat([x[:, 2:], frames[-1]], 1)
    return torch.cat(frames, 1)


class SmokeProblem(Problem):
    """Windows of frames on the device.

    Attributes:
        velocity: of every run, [runs, frames, 2, H, W].
        starts: (run, first frame) of every window, LongTensor [n, 2], of training, validation and the two tests.
    """

    transformed = False

    def __init__(self, config: SmokeConfig, device: torch.device, data: SmokeData | None = None) -> None:
        self.config, self.device = config, device
        data = data or simulations(config)
        self.provenance = data.provenance
        self.group = eq.groups.cyclic(4)
        self.input = self.output = field_action(self.group, config.sign).to(device)
        self.side = _SIZES[config.size].side
        self.latent = feature_map_action(self.group, config.latent, config.features, self.side)
        self.velocity = self._field(data).to(device)
        strengths = data.strengths.tolist()
        if config.runs == "balanced":
            windows = smoke_windows(config.splits, strengths=strengths, domain=_BALANCED_DOMAIN, unused=())
        else:
            windows = smoke_windows(config.splits, strengths=strengths)
        self.starts = {name: part.to(device) for name, part in windows.items()}
        self.starts["train"] = self.starts["train"][: config.limit]
        self.samples = len(self.starts["train"])

    def batch(self, indices: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Ten frames, and the six after them."""
        return _windows(self.velocity, self.starts["train"][indices], TRAINED)

    def task_loss(self, output: Tensor, target: Tensor) -> Tensor:
        """Mean square of the error of the first frame."""
        return F.mse_loss(output, target[:, :2])

    def further_loss(self, model: nn.Module, x: Tensor, output: Tensor, y: Tensor) -> Tensor:
        """The sum of the mean squares of the other frames of a roll-out that goes on from the first."""
        frames = roll_out(model, torch.cat([x[:, 2:], output], 1), TRAINED - 1)
        return (TRAINED - 1) * F.mse_loss(frames, y[:, 2:])

    def evaluate(self, model: nn.Module, split: Split) -> dict[str, Any]:
        """The root mean square of the error over roll-outs of as many steps as in training.

        At the end over 20 steps, later in the runs of training (*future*) and in other runs (*domain*): in the units of the
        field, as a part of the field's own size, and by step; and the error of equivariance on simulations of every strength
        from every side, without and with a force that breaks the symmetry.
        """
        if split == "validation":
            errors, _ = self._errors(model, self.velocity, self.starts["validation"], TRAINED)
            return {"rmse": float(errors.mean().sqrt())}
        found: dict[str, Any] = {}
        for name in ("future", "domain"):
            errors, power = self._errors(model, self.velocity, self.starts[name], TESTED)
            found[f"{name}_rmse"] = float(errors.mean().sqrt())
            found[f"{name}_relative"] = float((errors.mean() / power.mean()).sqrt())
            by_step = zip(_SHOWN_STEPS, errors[[step - 1 for step in _SHOWN_STEPS]].sqrt().tolist(), strict=True)
            found[f"{name}_by_step"] = {f"step {step}": error for step, error in by_step}
        if self.config.runs == "paper":
            found["future_by_course"] = self._by_course(model)
        by_background, of_simulation = {}, {}
        for name, background in _BACKGROUNDS.items():
            x, truth = self._balanced(background)
            actions = self._actions(model, x)
            errors_of = eq.metrics.equivariance_error(
                model, self.input, actions, x, layer=list(actions), batch_size=_BLOCK
            )
            if not background:
                for layer, error in errors_of.items():
                    found |= equivariance_numbers("latent" if layer else "output", error)
            by_background[name], of_simulation[name] = errors_of[""].mean_centred, truth
        return {**found, "centred_by_background": by_background, "simulation_by_background": of_simulation}

    def figures(self, model: nn.Module) -> dict[str, np.ndarray]:
        """A roll-out of each test beside the truth, [2, 20, 2, H, W], and a frame turned with its vectors and without."""
        found: dict[str, np.ndarray] = {}
        with torch.no_grad():
            for name in ("future", "domain"):
                starts = self.starts[name]
                x, y = _windows(self.velocity, starts[len(starts) // 2 :][:1], TESTED)
                both = torch.stack([y, roll_out(model, x, TESTED)], 1)[0]
                found[name] = both.unflatten(1, (TESTED, 2)).cpu().numpy()
        field, turn = x[:, -2:], torch.ones(1, dtype=torch.int64, device=self.device)
        grid_only = eq.actions.image(self.group).to(self.device)(field, turn)
        found["reorientation"] = torch.cat([field, grid_only, self.input(field, turn)]).cpu().numpy()
        return found

    def _field(self, data: SmokeData) -> Tensor:
        assert self.config.layout != "auto"  # of a configuration that is resolved
        return data.field(self.config.layout, self.side)

    def _actions(self, model: nn.Module, x: Tensor) -> dict[str, SupportsAction]:
        """How the group acts on the output, and on the latent if there is one and it is feature maps."""
        actions: dict[str, SupportsAction] = {"": self.output}
        encoder = dict(model.named_children()).get(LAYERS["encoder"])
        if self.latent is not None and encoder is not None and encoder(x[:1]).ndim == x.ndim:
            actions[LAYERS["encoder"]] = self.latent
        return actions

    def _balanced(self, background: float) -> tuple[Tensor, float]:
        """Ten frames of each window that is measured, [n, 20, H, W], and the error of equivariance of the simulation."""
        # The same for all systems, whatever they were trained on.
        last = SMOKE_SKIPPED + FRAMES + max(_STARTS)
        data = smoke_balanced([float(k) for k in _MEASURED], last, background=background, progress=False)
        field = self._field(data).to(self.device)
        windows = [field[:, start + SMOKE_SKIPPED :][:, :FRAMES].flatten(1, 2) for start in _STARTS]
        return torch.cat(windows), simulation_error(background)

    def _by_course(self, model: nn.Module) -> dict[str, float]:
        """The error in the future test on the course that the flow takes in the data, and on others that it could take."""
        starts = self.starts["future"][::_EVERY]
        others = [self._field(simulations(self.config, course)).to(self.device) for course in _COURSES]
        found = [
            float(self._errors(model, velocity, starts, TESTED)[0].mean().sqrt())
            for velocity in (self.velocity, *others)
        ]
        mean, deviation = statistics.fmean(found[1:]), statistics.stdev(found[1:])
        return {"in the data": found[0], "mean of others": mean, "their deviation": deviation}

    def _errors(self, model: nn.Module, velocity: Tensor, starts: Tensor, steps: int) -> tuple[Tensor, Tensor]:
        """For each step the mean squares of the error and of the field."""
        errors: list[Tensor] = []
        powers: list[Tensor] = []
        for some in starts.split(_BLOCK):
            x, y = _windows(velocity, some, steps)
            frames = roll_out(model, x, steps)
            for kept, values in ((errors, frames - y), (powers, y)):
                kept.append(values.double().square().unflatten(1, (steps, 2)).mean((2, 3, 4)))
        return torch.cat(errors).mean(0), torch.cat(powers).mean(0)


def _windows(velocity: Tensor, starts: Tensor, steps: int) -> tuple[Tensor, Tensor]:
    """Ten frames [n, 20, H, W], and as many after them as there are steps."""
    run, first = starts.T
    offsets = torch.arange(SMOKE_SKIPPED, SMOKE_SKIPPED + FRAMES + steps, device=starts.device)
    frames = velocity[run[:, None], first[:, None] + offsets].flatten(1, 2)
    return frames[:, : 2 * FRAMES], frames[:, 2 * FRAMES :]


def simulations(config: SmokeConfig, course: int = 0) -> SmokeData:
    """The simulations that a configuration trains and tests on; for another course the paper's, disturbed at the start."""
    if config.runs == "paper":
        return smoke(config.data, noise=_DISTURBANCE if course else 0.0, seed=course)
    strengths = [float(k) for k in _BALANCED]
    return smoke_balanced(strengths, background=config.background, cache=config.data)


@functools.cache
def simulation_error(background: float) -> float:
    """How far a step of the simulation is from equivariant: the centred error of `equilatent.metrics.equivariance_error`.

    The state of each run is turned, smoke and velocity, and goes on by one frame under the forces of the side where it then
    flows in; that is compared with the next frame, turned. Without a background both are the same.

    Args:
        background: the force that does not turn, in parts of the one that does.
    """
    # All runs as seen from their own side, where only the force that does not turn differs between the sides.
    turns = torch.arange(4)
    sides, own = turns.repeat(len(_MEASURED)), torch.zeros(4 * len(_MEASURED), dtype=torch.int64)
    directions = torch.tensor([(0.0, 1.0), (1.0, 0.0), (0.0, -1.0), (-1.0, 0.0)], dtype=torch.float64)
    strengths = 0.01 * torch.tensor(_MEASURED, dtype=torch.float64).repeat_interleave(4)[:, None]
    forces = [strengths * (directions[0] + background * directions[(sides + turn) % 4]) for turn in turns]
    simulator = SmokeSimulator(forces[0], own, dtype=torch.float64)
    frames = []
    # One more than the frames that are kept comes first.
    for steps in range(1, 1 + SMOKE_SKIPPED + FRAMES + max(_STARTS) + 1):
        simulator.step()
        if steps - 1 - SMOKE_SKIPPED - FRAMES in _STARTS:
            after = []
            for force in forces:
                turned = SmokeSimulator(force, own, start=simulator.velocity, dtype=torch.float64)
                turned.smoke = simulator.smoke
                turned.step()
                after.append(centred(turned.velocity))
            frames.append(torch.stack(after, 1))
    next_frames = torch.cat(frames)
    difference = (next_frames - next_frames[:, :1]).square().sum((2, 3, 4)).mean()
    as_they_are = field_action(eq.groups.cyclic(4))(next_frames[:, 0], -sides.repeat(len(_STARTS)) % 4)
    return float(difference / as_they_are.var(0, correction=0).sum())


def _figures(kept: Mapping[int, Mapping[str, np.ndarray]], runs: Any) -> list[Drawing]:
    """Animations of a roll-out of each test, and figure 7, of the first seed."""
    seed, arrays = next(iter(kept.items()))
    drawings = []
    titles = {"future": "a run of training, later", "domain": "a run that was not trained on"}
    for name, words in titles.items():
        both = arrays.get(name)
        if both is None or both.ndim != 5 or both.shape[0] != 2:
            continue
        truth, predicted = both
        speeds = {"truth": truth, "prediction": predicted, "difference": predicted - truth}
        highest = float(np.linalg.norm(truth, axis=1).max())
        panels = [
            functools.partial(_speed, fields=fields, highest=highest, title=title) for title, fields in speeds.items()
        ]
        caption = (
            f"Seed {seed}. Speed, black for at rest, yellow for {highest:.2g} cells a frame; the first row is at the top. "
            "The model sees ten true frames; then each prediction goes in again."
        )
        title = f"A roll-out of {len(truth)} frames: {words}"
        drawings.append(
            Drawing(f"roll-out-{name}", title, caption, panels, (2.2, 2.2), framed=False, frames=len(truth))
        )
    fields = arrays.get("reorientation")
    if fields is not None and fields.shape[:2] == (3, 2):
        names = ("a frame", "its grid turned, not its vectors", "turned, as the group acts")
        panels = [
            functools.partial(_arrows, field=field, title=title) for field, title in zip(fields, names, strict=True)
        ]
        caption = "A field of vectors is turned with its vectors. After figure 7 of the paper."
        drawings.append(Drawing("reorientation", "A quarter turn", caption, panels, (2.2, 2.2), framed=False))
    return drawings


def _speed(axis: Any, frame: int, *, fields: np.ndarray, highest: float, title: str) -> None:
    axis.imshow(np.linalg.norm(fields[frame], axis=0), cmap="inferno", vmin=0, vmax=highest)
    axis.set(title=f"{title}, frame {frame + 1}")
    axis.set_axis_off()


def _arrows(axis: Any, *, field: np.ndarray, title: str) -> None:
    step = max(1, field.shape[-1] // 16)
    x, y = field[:, step // 2 :: step, step // 2 :: step]
    axis.imshow(np.linalg.norm(field, axis=0), cmap="Blues", alpha=0.6)
    places = np.arange(step // 2, field.shape[-1], step)
    # Rows count downwards, and so does y.
    axis.quiver(places, places, x, y, angles="xy", pivot="mid")
    axis.set(title=title)
    axis.set_axis_off()


def _published() -> dict[tuple[Any, ...], dict[str, str | tuple[str, ...]]]:
    """Table 6: errors with their deviations, and millions of parameters."""
    table = {
        "mlp": ("1.38 (0.06)", "1.34 (0.03)", "8.33"),
        "plain": ("0.81 (0.01)", "0.63 (0.00)", "0.25"),
        "cnn": ("0.83 (0.03)", "0.67 (0.06)", "0.25"),
        "e2cnn": ("1.05 (0.06)", "0.76 (0.02)", "0.62"),
        "rpp": ("0.96 (0.10)", "0.82 (0.01)", "4.36"),
        "lift": ("0.82 (0.01)", "0.73 (0.02)", "3.32"),
        "rgroup": ("0.82 (0.01)", "0.73 (0.02)", "1.88"),
        "rsteer": ("0.80 (0.00)", "0.67 (0.01)", "5.60"),
        "pscnn": ("0.77 (0.01)", "0.57 (0.00)", "3.12"),
        "ours": ("0.78 (0.01)", "0.61 (0.01)", "0.25"),
    }
    names = ("future_rmse", "domain_rmse", "parameters")
    return {
        (method, "C4", size, "paper", 0.0): dict(zip(names, (future, domain, f"{parameters} M"), strict=True))
        for size in _SIZES
        for method, (future, domain, parameters) in table.items()
    }


SMOKE = Task(
    name="smoke",
    title="SMOKE",
    table="Table 6",
    config=SmokeConfig,
    groups={"C4": "quarter turns of the grid and of the vectors"},
    load=SmokeProblem,
    architecture=network,
    quantities=(
        Quantity("future_rmse", "RMSE, future", "lower", 3),
        Quantity("domain_rmse", "RMSE, domain", "lower", 3),
        Quantity("future_relative", "relative, future", "lower", 3),
        Quantity("domain_relative", "relative, domain", "lower", 3),
        Quantity("parameters", "parameters", given=True),
        Quantity("output_centred_error", "output, centred error", "lower"),
        Quantity("latent_relative_error", "latent, relative error", "lower"),
    ),
    criterion="rmse",
    baseline="cnn",
    budget=("limit", "epochs", "batch"),
    settings=("size", "runs", "background"),
    controls=(
        Control("the same training without the latent term", "ours", {"strength": 0.0}),
        Control("no augmentation", "plain"),
        Control("a wrong representation", "ours", {"latent": "wrong"}),
    ),
    published=_published(),
    by_element={
        "output_centred_by_element": "Equivariance error of the output",
        "latent_centred_by_element": "Equivariance error of the latent",
    },
    by_layer={
        "future_by_step": "RMSE in the future test, by step of the roll-out",
        "future_by_course": "RMSE in every tenth window of the future test, also on other courses of the chaotic flow",
        "domain_by_step": "RMSE in the domain test, by step of the roll-out",
        "centred_by_background": "Centred error of equivariance of the output, by the force that does not turn",
        "simulation_by_background": "The same of the simulation: what would be right for a model trained with that force",
    },
    figures=_figures,
)
