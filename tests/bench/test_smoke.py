"""The task smoke: its action, its loss, and what it evaluates, for models and fields whose right numbers are known."""

import dataclasses
import io
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

import equilatent as eq
from equilatent.bench.catalogue import CATALOGUE
from equilatent.bench.data import SmokeData, SmokeSimulator, centred, smoke_balanced
from equilatent.bench.harness.run import problems
from equilatent.bench.harness.system import System
from equilatent.bench.results.figures import as_gif, as_svgs
from equilatent.bench.results.frame import changes, command, load
from equilatent.bench.results.page import blocks_of
from equilatent.bench.tasks import smoke
from equilatent.bench.tasks.smoke import SmokeConfig, SmokeProblem, field_action, roll_out, simulation_error

CPU = torch.device("cpu")
SMOKE = CATALOGUE["smoke"]
C4 = eq.groups.cyclic(4)
SIDE = 32
#: Windows (run, first frame) of runs of which each has fields of its own size.
WINDOWS = {
    "train": torch.tensor([(0, 3), (1, 40), (0, 77), (1, 5)]),
    "validation": torch.tensor([(0, 180), (1, 181)]),
    "future": torch.tensor([(0, 200), (1, 249)]),
    "domain": torch.tensor([(2, 0), (2, 99)]),
}


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(smoke, "smoke_windows", lambda *_, **__: dict(WINDOWS))
    monkeypatch.setattr(smoke, "_MEASURED", (10,))
    monkeypatch.setattr(smoke, "_STARTS", (5, 9))
    monkeypatch.setattr(smoke, "_EVERY", 1)
    monkeypatch.setattr(smoke, "simulations", lambda _, course: faster(growing(), 1 + course))
    monkeypatch.setattr(smoke, "_BACKGROUNDS", {"0 %": 0.0, "50 %": 0.5})
    simulation_error.cache_clear()


def growing() -> SmokeData:
    """Fields that grow by the same pattern from frame to frame: by 0.01 (run + 1) times it."""
    generator = torch.Generator().manual_seed(1)
    pattern = torch.randn(2, SIDE, SIDE, generator=generator, dtype=torch.float64)
    times, speeds = torch.arange(309.0).double(), 0.01 * torch.arange(1.0, 4.0).double()
    velocity = (speeds[:, None] * times)[:, :, None, None, None] * pattern
    return SmokeData(velocity.float(), torch.arange(1.0, 4.0).double(), torch.tensor([0, 1, 2]), {"files": {}})


def faster(data: SmokeData, times: float) -> SmokeData:
    return dataclasses.replace(data, velocity=times * data.velocity)


def make(data: SmokeData | None = None, **fields: Any) -> tuple[SmokeProblem, System]:
    torch.manual_seed(0)
    config = SmokeConfig(**{"device": "cpu", "layout": "staggered", "features": 8, **fields}).resolved()
    assert problems(SMOKE, config) == []
    problem = SmokeProblem(config, CPU, data or growing())
    system = SMOKE.systems[config.method](problem, SMOKE.architecture(config), config, 0)
    problem.latent = system.latent if system.latent is not None else problem.latent
    return problem, system


class Predictor(nn.Module):
    def __init__(self, predict: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.predict = predict
        self.encoder = nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return self.predict(self.encoder(x))


LINEAR = Predictor(lambda x: 2 * x[:, -2:] - x[:, -4:-2])
PERSISTENT = Predictor(lambda x: x[:, -2:])


# ------------------------------------------------------------------------------------------------------------------
# The action


def test_the_right_sign_turns_a_flow_and_the_reversed_one_turns_it_round() -> None:
    """Rows count downwards: what flows up, to smaller rows, flows to the left after a quarter turn counter-clockwise."""
    up = torch.zeros(1, 2, 4, 4)
    up[:, 1] = -1.0
    turn = torch.tensor([1])
    left = torch.zeros(1, 2, 4, 4)
    left[:, 0] = -1.0
    assert torch.equal(field_action(C4)(up, turn), left)
    assert torch.equal(field_action(C4, "reversed")(up, turn), -left)


@pytest.mark.parametrize("sign", ["right", "reversed"])
def test_both_signs_are_actions(sign: str) -> None:
    act = field_action(C4, sign)
    x = torch.randn(16, 20, 6, 6, dtype=torch.float64)
    g, h = torch.cartesian_prod(torch.arange(4), torch.arange(4)).T
    assert torch.equal(act(act(x, h), g), act(x, C4.product(g, h)))
    half = torch.full((16,), 2)
    assert torch.equal(act(x, half), field_action(C4)(x, half))


def test_a_turned_simulation_is_that_of_another_side() -> None:
    data = smoke_balanced([20.0], 12, size=SIDE, progress=False)
    field = data.field("centred")
    turned = field_action(C4)(field.flatten(0, 1), torch.ones(4 * 12, dtype=torch.int64)).view_as(field)
    # A quarter turn takes the first row to the first column.
    assert torch.equal(turned[data.sides == 0], field[data.sides == 3])


# ------------------------------------------------------------------------------------------------------------------
# What is trained on


def test_batches_are_ten_frames_and_the_six_after_them() -> None:
    problem, _ = make()
    x, y = problem.batch(torch.tensor([1]), torch.Generator())
    run, start = WINDOWS["train"][1].tolist()
    frames = growing().velocity[run]
    assert torch.equal(x[0].unflatten(0, (10, 2)), frames[start + 2 : start + 12])
    assert torch.equal(y[0].unflatten(0, (6, 2)), frames[start + 12 : start + 18])


def test_a_roll_out_goes_on_from_its_own_frames() -> None:
    x = torch.randn(3, 20, 4, 4)
    model = Predictor(lambda x: x[:, :2] + 2 * x[:, -2:])
    frames = [x[:, 2 * i : 2 * i + 2] for i in range(10)]
    for step in range(13):
        frames.append(frames[step] + 2 * frames[-1])
    assert torch.allclose(roll_out(model, x, 13), torch.cat(frames[10:], 1))


@pytest.mark.parametrize("method", ["plain", "cnn"])
def test_the_cnn_is_trained_on_whole_roll_outs(method: str) -> None:
    problem, system = make(method=method)
    x, y = problem.batch(torch.arange(4), torch.Generator())
    loss, _ = system.loss(x, y, torch.Generator().manual_seed(4))
    if method == "cnn":
        g = C4.sample(4, generator=torch.Generator().manual_seed(4))
        x, y = problem.input(x, g), problem.output(y, g)
    squares = (roll_out(system.model, x, 6) - y).square().unflatten(1, (6, 2)).mean((0, 2, 3, 4))
    assert loss.item() == pytest.approx(squares.sum().item(), rel=1e-5)


@pytest.mark.parametrize("strength", [0.0, 0.7])
def test_ours_pairs_the_first_frame_and_rolls_out_the_plain_one(strength: float) -> None:
    problem, system = make(method="ours", strength=strength)
    system.model.eval()  # so that a frame does not depend on those passed with it
    x, y = problem.batch(torch.arange(4), torch.Generator())
    loss, _ = system.loss(x, y, torch.Generator().manual_seed(4))
    g = C4.sample(4, generator=torch.Generator().manual_seed(4))
    model: Any = system.model
    frames = roll_out(model, x, 6)
    squares = (frames - y).square().unflatten(1, (6, 2)).mean((0, 2, 3, 4))
    of_transformed = (model(problem.input(x, g)) - problem.output(y[:, :2], g)).square().mean()
    turned = torch.stack([z.rot90(int(k), (1, 2)) for z, k in zip(model.encoder(x), g, strict=True)])
    latent = (model.encoder(problem.input(x, g)) - turned).square().mean()
    expected = 0.5 * squares[0] + 0.5 * of_transformed + strength * latent + squares[1:].sum()
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)


# ------------------------------------------------------------------------------------------------------------------
# What is evaluated


def size(run: int) -> float:
    """The root mean square of what a field of a run grows by in a frame."""
    velocity = growing().velocity[run].double()
    return (velocity[1] - velocity[0]).square().mean().sqrt().item()


def test_errors_of_a_model_that_is_right() -> None:
    problem, _ = make()
    found = problem.evaluate(LINEAR, "test")
    for name in ("future", "domain"):
        assert found[f"{name}_rmse"] == pytest.approx(0, abs=1e-3)
    assert problem.evaluate(LINEAR, "validation")["rmse"] == pytest.approx(0, abs=1e-3)


def test_errors_of_a_model_that_repeats_the_last_frame() -> None:
    """After n steps it is wrong by n times what the field grows by; runs differ in that, and so do the splits."""
    problem, _ = make()
    found = problem.evaluate(PERSISTENT, "test")
    squares = np.arange(1, 21) ** 2
    mean = (size(0) ** 2 + size(1) ** 2) / 2
    assert found["future_rmse"] == pytest.approx(math.sqrt(mean * squares.mean()), rel=1e-4)
    assert found["domain_rmse"] == pytest.approx(size(2) * math.sqrt(squares.mean()), rel=1e-4)
    assert found["domain_by_step"]["step 5"] == pytest.approx(5 * size(2), rel=1e-4)
    expected = math.sqrt(mean * squares.mean())
    assert found["future_by_course"] == {
        "in the data": pytest.approx(expected, rel=1e-4),
        "mean of others": pytest.approx(3 * expected, rel=1e-4),  # which grow 2, 3 and 4 times as fast
        "their deviation": pytest.approx(expected, rel=1e-4),
    }
    assert found["future_by_step"]["step 20"] == pytest.approx(20 * math.sqrt(mean), rel=1e-4)
    validation = problem.evaluate(PERSISTENT, "validation")
    assert validation == {"rmse": pytest.approx(math.sqrt(mean * np.mean(np.arange(1, 7) ** 2)), rel=1e-4)}


def test_relative_errors_are_parts_of_the_field() -> None:
    problem, _ = make()
    found = problem.evaluate(Predictor(lambda x: torch.zeros_like(x[:, -2:])), "test")
    assert found["future_relative"] == pytest.approx(1)
    assert found["domain_relative"] == pytest.approx(1)
    frames = growing().velocity[2, [*range(12, 32), *range(111, 131)]].double()
    assert found["domain_rmse"] == pytest.approx(frames.square().mean().sqrt().item(), rel=1e-5)


def test_errors_of_equivariance_of_known_models() -> None:
    problem, _ = make()
    found = problem.evaluate(LINEAR, "test")
    assert max(found["output_centred_by_element"].values()) == pytest.approx(0, abs=1e-10)
    assert found["centred_by_background"] == {"0 %": pytest.approx(0, abs=1e-10), "50 %": pytest.approx(0, abs=1e-10)}
    swapped = problem.evaluate(Predictor(lambda x: x[:, [-1, -2]]), "test")
    errors = swapped["output_centred_by_element"]
    assert errors["e"] == errors["r2"] == pytest.approx(0, abs=1e-10)
    assert errors["r"] > 1
    assert swapped["output_relative_error"] > 1
    # The identity in place of an encoder: the grid turns in both, the vectors in one of them only.
    assert found["latent_relative_error"] > 1


@pytest.mark.parametrize("method", SMOKE.systems)
def test_every_system_is_evaluated(method: str) -> None:
    problem, system = make(method=method)
    with torch.no_grad():
        found = problem.evaluate(system.model.eval(), "test")
    numbers = [found["future_rmse"], found["domain_rmse"], found["output_relative_error"]]
    assert np.isfinite(numbers).all()
    assert ("latent_relative_error" in found) == (method not in ("zero", "persistence", "mlp"))
    if method in ("zero", "persistence", "e2cnn", "rgroup"):  # rgroup before it is trained
        assert found["output_centred_error"] == pytest.approx(0, abs=1e-8)
    if method in ("e2cnn", "rgroup"):
        assert found["latent_relative_error"] == pytest.approx(0, abs=1e-8)


def test_a_force_that_does_not_turn_breaks_the_simulation_by_as_much_as_a_brute_force_says() -> None:
    assert simulation_error(0.0) == 0
    background = 0.5
    up_to = [2 + 10 + start + 1 for start in (5, 9)]  # steps of the simulation before the frame that is predicted
    into = torch.tensor([(0.0, 1.0), (-1.0, 0.0), (0.0, -1.0), (1.0, 0.0)], dtype=torch.float64)
    force = 0.1 * (into + background * into[:1])
    simulator, sides = SmokeSimulator(force, torch.arange(4), dtype=torch.float64), torch.arange(4)
    difference, frames = 0.0, []
    for steps in range(1, max(up_to) + 1):
        simulator.step()
        if steps not in up_to:
            continue
        nexts = {}
        for turns in range(4):
            # The state turned in the layout of the simulator, and one step of it at the side where it then is.
            velocity, smoke_ = simulator.velocity, simulator.smoke
            for _ in range(turns):
                u, v = velocity[:, 0, :, 1:], velocity[:, 1, 1:]
                u = nn.functional.pad(u, (1, 1)).rot90(1, (1, 2))
                v = nn.functional.pad(v, (0, 0, 1, 1)).rot90(1, (1, 2))
                velocity = torch.stack([v[:, :, :-1], -u[:, :-1]], 1)
                smoke_ = smoke_.rot90(1, (1, 2))
            to = (sides - turns) % 4
            turned = SmokeSimulator(force[to], to, start=velocity, dtype=torch.float64)
            turned.smoke = smoke_
            turned.step()
            nexts[turns] = centred(turned.velocity)
        for turns, after in nexts.items():
            expected = field_action(C4)(nexts[0], torch.full((4,), turns))
            difference += (after - expected).square().sum().item() / (4 * 4 * len(up_to))
        frames.append(nexts[0])
    variance = torch.cat(frames).var(0, correction=0).sum().item()
    assert simulation_error(background) == pytest.approx(difference / variance, rel=1e-6)


# ------------------------------------------------------------------------------------------------------------------
# Configurations and figures


def test_settings_of_a_size() -> None:
    def settings(**fields: Any) -> tuple[Any, ...]:
        config = SmokeConfig(**fields).resolved()
        return config.features, config.layout, config.epochs

    assert settings() == (32, "centred", 12)
    assert settings(method="e2cnn") == (8, "centred", 12)
    assert settings(size="full") == (92, "staggered", 1000)
    assert settings(size="full", method="rpp", layout="centred", epochs=3) == (92, "centred", 3)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"features": 30, "latent": "both"}, "--features 30 should be a multiple of 4 for --latent both"),
        ({"background": 0.5}, "--background 0.5 needs --runs balanced"),
        ({"features": -1}, "--features -1 should be at least 1"),
        ({"consistency": 1.0}, "--consistency 1.0 compares class scores"),
    ],
)
def test_what_cannot_be(fields: dict[str, Any], message: str) -> None:
    config = SmokeConfig(device="cpu", **fields).resolved()
    assert any(message in each for each in problems(SMOKE, config))


@pytest.mark.parametrize("latent", ["grid", "regular", "both", "flat", "trivial", "wrong"])
def test_every_latent_trains(latent: str) -> None:
    problem, system = make(method="ours", latent=latent)
    x, y = problem.batch(torch.arange(2), torch.Generator())
    loss, _ = system.loss(x, y, torch.Generator().manual_seed(0))
    loss.backward()
    assert all(torch.isfinite(weights.grad).all() for weights in system.model.parameters() if weights.grad is not None)


def test_figures() -> None:
    problem, _ = make()
    arrays = problem.figures(PERSISTENT)
    assert arrays["future"].shape == arrays["domain"].shape == (2, 20, 2, SIDE, SIDE)
    start = growing().velocity[2, 99 + 12 : 99 + 32]
    assert np.allclose(arrays["domain"][0], start)
    assert np.allclose(arrays["domain"][1], growing().velocity[2, 99 + 11])
    assert SMOKE.figures is not None
    drawings = {drawing.name: drawing for drawing in SMOKE.figures({0: arrays}, None)}
    assert set(drawings) == {"roll-out-future", "roll-out-domain", "reorientation"}
    assert all(text.startswith("<svg") for text in as_svgs(drawings["reorientation"]))
    short = dataclasses.replace(drawings["roll-out-domain"], frames=3)
    for content, frames in zip(as_gif(short), (3, 1), strict=True):
        with Image.open(io.BytesIO(content)) as picture:
            assert (picture.format, getattr(picture, "n_frames", 1)) == ("GIF", frames)


def test_a_size_stands_by_itself_and_brings_its_settings() -> None:
    full = SmokeConfig(method="cnn", size="full", rate=0.002).resolved().identity
    assert changes(full, SMOKE) == {"rate": 0.002}
    words = command(full, SMOKE, [0])
    assert "--size full" in words
    assert "--rate 0.002" in words
    assert "--epochs" not in words


def test_the_papers_numbers_are_beside_both_sizes(tmp_path: Path) -> None:
    problem, system = make(method="persistence")
    final = {**problem.evaluate(system.model, "test"), "parameters": 0, "epochs": 1, "best_epoch": 0}
    for size in ("small", "full"):
        config = SmokeConfig(method="persistence", size=size).resolved().identity
        record = {
            "schema": 2,
            "experiment": "smoke",
            **{name: config[name] for name in ("method", "group")},
            "seed": 0,
            "protocol": 1,
            "config": config,
            "commit": "0" * 40,
            "versions": {"torch": "2"},
            "machine": {"processor": "one", "cores": 1},
            "selected": {"epoch": 0, "rmse": 1.0},
            "final": final,
            "seconds": 1.0,
            "data": {"source": "here", "files": {}},
            "curve": [{"epoch": 0.0, "val/rmse": 1.0}],
            "peak_memory": 1,
        }
        (tmp_path / f"{size}.json").write_text(json.dumps(record))
    runs = load([tmp_path], {"smoke": SMOKE})
    assert runs.attrs["left_out"] == {}
    blocks = list(blocks_of(runs, SMOKE))
    headings = [block.content for block in blocks if block.kind == "heading"]
    assert headings == ["Size = full, runs = paper, background = 0.0", "Size = small, runs = paper, background = 0.0"]
    compared = [block for block in blocks if block.kind == "table" and block.title.startswith("RMSE, ")]
    assert [list(block.content.columns) for block in compared] == [["C4", "C4, paper"]] * 4  # future and domain
