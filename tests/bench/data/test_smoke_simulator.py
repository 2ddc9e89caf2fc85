"""The simulator of smoke, compared with SciPy, with the group's action and with PhiFlow."""

from itertools import islice
from typing import Any

import numpy as np
import pytest
import torch
from scipy.ndimage import map_coordinates

import equilatent as eq
from equilatent.bench.data import SmokeSimulator, centred
from equilatent.bench.data._smoke_phiflow import phiflow_frames, phiflow_versions
from equilatent.bench.data._smoke_simulator import quarter_turns
from equilatent.errors import DataError, MissingDependencyError, NonFiniteError

#: The paper's accelerations for strength 1, by side.
BUOYANCY = torch.tensor([(0, 0.01), (-0.01, 0), (0, -0.011), (0.01, 0)], dtype=torch.float64)
ACT = eq.actions.vector_field(eq.groups.cyclic(4), components=(1, 0))


def simulated(strengths: list[float], sides: list[int], frames: int, **options: Any) -> torch.Tensor:
    """Velocities [B, frames, 2, N, N] with the paper's buoyancy."""
    options.setdefault("dtype", torch.float64)
    side = torch.tensor(sides)
    forces = BUOYANCY[side] * torch.tensor(strengths, dtype=torch.float64)[:, None]
    simulator = SmokeSimulator(forces, side, **options)
    kept = []
    for _ in range(frames):
        simulator.step()
        kept.append(simulator.velocity)
    return torch.stack(kept, 1)


def turned(field: torch.Tensor, turns: int) -> torch.Tensor:
    """Frames [F, 2, N, N], turned by the library's action."""
    return ACT(field, torch.full((len(field),), turns % 4))


# An independent simulation: one run, SciPy's interpolation, the pressure by least squares


def divergence_matrix(size: int) -> np.ndarray:
    """From all faces (u of rows by size + 1, then v) to cells."""
    faces = size * (size + 1)
    matrix = np.zeros((size * size, 2 * faces))
    for y in range(size):
        for x in range(size):
            cell = y * size + x
            matrix[cell, y * (size + 1) + x + 1], matrix[cell, y * (size + 1) + x] = 1, -1
            matrix[cell, faces + (y + 1) * size + x], matrix[cell, faces + y * size + x] = 1, -1
    return matrix


def by_scipy(
    force: np.ndarray, side: int, size: int, frames: int, start: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Velocity [frames, 2, size, size] and smoke [frames, size, size]; positions are (y, x) with the box from 0 to size."""
    divergence = divergence_matrix(size)
    inside = np.ones(divergence.shape[1], dtype=bool)
    inside[: size * (size + 1)].reshape(size, size + 1)[:, [0, -1]] = False
    inside[size * (size + 1) :].reshape(size + 1, size)[[0, -1]] = False
    inner = divergence[:, inside]

    def project(u: np.ndarray, v: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        flat = np.concatenate([u.ravel(), v.ravel()]) * inside
        # The part orthogonal to all gradients, which are the rows' combinations.
        flat[inside] -= np.linalg.pinv(inner) @ (inner @ flat[inside])
        return flat[: u.size].reshape(u.shape), flat[u.size :].reshape(v.shape)

    def sample_u(u: np.ndarray, y: np.ndarray, x: np.ndarray) -> np.ndarray:
        return map_coordinates(u, [y - 0.5, x], order=1, mode="grid-constant")

    def sample_v(v: np.ndarray, y: np.ndarray, x: np.ndarray) -> np.ndarray:
        return map_coordinates(v, [y, x - 0.5], order=1, mode="grid-constant")

    near = 5 * size / 64
    middle, far = size / 2, size - near
    x0, y0 = [(middle, near), (far, middle), (middle, far), (near, middle)][side]
    y, x = np.meshgrid(np.arange(size) + 0.5, np.arange(size) + 0.5, indexing="ij")
    inflow = ((y - y0) ** 2 + (x - x0) ** 2 <= near**2).astype(float)
    yu, xu = np.meshgrid(np.arange(size) + 0.5, np.arange(size + 1.0), indexing="ij")
    yv, xv = np.meshgrid(np.arange(size + 1.0), np.arange(size) + 0.5, indexing="ij")
    u, v, smoke = np.zeros_like(yu), np.zeros_like(yv), np.zeros((size, size))
    if start is not None:
        u[:, :-1], v[:-1] = start
        u, v = project(u, v)
    velocities, smokes = [], []
    for _ in range(frames):
        vy, vx = sample_v(v, y, x), sample_u(u, y, x)

        def sample(field: np.ndarray, by: float, vy: np.ndarray = vy, vx: np.ndarray = vx) -> np.ndarray:
            return map_coordinates(field, [y + by * vy - 0.5, x + by * vx - 0.5], order=1, mode="nearest")

        forwards = sample(smoke, -1)
        corrected = forwards + (smoke - sample(forwards, 1)) / 2
        around = np.pad(smoke, 1, mode="edge")
        rows, columns = np.floor(y - vy - 0.5).astype(int) + 1, np.floor(x - vx - 0.5).astype(int) + 1
        corners = [
            around[np.clip(rows + a, 0, size + 1), np.clip(columns + b, 0, size + 1)] for a in (0, 1) for b in (0, 1)
        ]
        smoke = np.clip(corrected, np.min(corners, axis=0), np.max(corners, axis=0)) + inflow
        new_u = sample_u(u, yu - sample_v(v, yu, xu), xu - u)
        new_v = sample_v(v, yv - v, xv - sample_u(u, yv, xv))
        new_u += force[0] * map_coordinates(smoke, [yu - 0.5, xu - 0.5], order=1, mode="nearest")
        new_v += force[1] * map_coordinates(smoke, [yv - 0.5, xv - 0.5], order=1, mode="nearest")
        u, v = project(new_u, new_v)
        velocities.append(np.stack([u[:, :-1], v[:-1]]))
        smokes.append(smoke)
    return np.stack(velocities), np.stack(smokes)


@pytest.mark.parametrize("side", range(4))
def test_steps_are_those_of_scipy(side: int) -> None:
    size = 12
    force = np.array([(0.03, 0.4), (-0.4, 0.05), (0.1, -0.44), (0.4, 0.0)][side])
    start = 0.3 * np.random.default_rng(side).standard_normal((2, size, size))
    start[0, :, 0], start[1, 0] = 0, 0
    simulator = SmokeSimulator(
        torch.tensor(force)[None],
        torch.tensor([side]),
        size=size,
        start=torch.tensor(start)[None],
        dtype=torch.float64,
    )
    for velocity, smoke in zip(*by_scipy(force, side, size, 12, start), strict=True):
        simulator.step()
        np.testing.assert_allclose(simulator.smoke[0].numpy(), smoke, rtol=0, atol=1e-10)
        np.testing.assert_allclose(simulator.velocity[0].numpy(), velocity, rtol=0, atol=1e-10)
    # The smoke has been carried along by more than a cell a frame, so that much of the scheme was at work.
    assert np.abs(velocity).max() > 1
    assert smoke.max() > 2


def test_velocity_has_no_divergence_and_none_through_the_walls() -> None:
    velocity = simulated([5, 20, 36], [0, 1, 2], 20, size=16)[:, -1].numpy()
    for u, v in velocity:
        assert not u[:, 0].any()
        assert not v[0].any()
        faces = np.concatenate([np.pad(u, ((0, 0), (0, 1))).ravel(), np.pad(v, ((0, 1), (0, 0))).ravel()])
        assert np.abs(divergence_matrix(16) @ faces).max() < 1e-12
        assert np.abs(faces).max() > 0.1


def test_a_turned_simulation_is_that_of_the_next_side() -> None:
    # Sides 0, 1 and 3 have equal buoyancy, side 2 has 1.1 times as much.
    frames = centred(simulated([5, 5, 5, 5.5], [0, 1, 3, 0], 25))
    opposite = centred(simulated([5], [2], 25))[0]
    up, right, left, stronger = frames
    assert (turned(up, 1) - left).abs().max() <= 1e-10
    assert (turned(up, 3) - right).abs().max() <= 1e-10
    assert (turned(stronger, 2) - opposite).abs().max() <= 1e-10
    # The tests could have failed: the other way round, with the paper's sides taken as equal, or of faces.
    size = float(left.abs().max())
    assert (turned(up, 3) - left).abs().max() > size
    assert (turned(up, 2) - opposite).abs().max() > 0.05 * size
    faces = simulated([5, 5], [0, 3], 25)
    assert (turned(faces[0], 1) - faces[1]).abs().max() > 0.1 * size


def test_vectors_turned_the_other_way_reverse_the_flow() -> None:
    up, left = centred(simulated([5, 5], [0, 3], 25))[:, -1]
    grid = torch.rot90(up, 1, (1, 2))
    reversed_vectors = torch.stack([-grid[1], grid[0]])
    assert float((reversed_vectors - left).norm() / left.norm()) == pytest.approx(2)
    assert float((torch.stack([grid[1], -grid[0]]) - left).norm() / left.norm()) < 1e-12


def test_quarter_turns_of_faces_are_turns_of_centres() -> None:
    velocity = torch.randn(4, 2, 6, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    velocity[:, 0, :, 0], velocity[:, 1, 0] = 0, 0
    turns = torch.tensor([0, 1, 2, 3])
    torch.testing.assert_close(centred(quarter_turns(velocity, turns)), ACT(centred(velocity), turns))
    assert torch.equal(quarter_turns(quarter_turns(velocity, turns), -turns), velocity)


def test_runs_do_not_depend_on_those_beside_them() -> None:
    together = simulated([5, 9, 20], [0, 3, 1], 10, size=16)
    alone = simulated([9], [3], 10, size=16)
    torch.testing.assert_close(together[1:2], alone, rtol=0, atol=1e-12)


def test_single_precision_follows_double_in_early_frames() -> None:
    double, single = (simulated([1, 18, 36], [0, 1, 3], 25, dtype=dtype) for dtype in (torch.float64, torch.float32))
    assert single.dtype == torch.float32
    difference = (double - single).flatten(2).norm(dim=2) / double.flatten(2).norm(dim=2)
    assert difference.max() < 1e-3
    assert difference.max() > 0


def test_what_cannot_be_simulated_is_refused() -> None:
    force, side = torch.zeros(1, 2), torch.tensor([0])
    with pytest.raises(DataError, match=r"sides is a LongTensor.*0 to 3; got .*with \[4\]"):
        SmokeSimulator(force, torch.tensor([4]))
    with pytest.raises(DataError, match=r"sides is a LongTensor.*got torch.float32 \[1\]"):
        SmokeSimulator(force, torch.zeros(1))
    with pytest.raises(DataError, match=r"sides is a LongTensor.*got torch.int64 \[0\]"):
        SmokeSimulator(force, side[:0])
    with pytest.raises(DataError, match=r"forces are finite numbers \[1, 2\].*got \[2, 2\]"):
        SmokeSimulator(torch.zeros(2, 2), side)
    with pytest.raises(DataError, match="forces are finite"):
        SmokeSimulator(force + torch.nan, side)
    with pytest.raises(DataError, match=r"size is .* at least 4; got 3"):
        SmokeSimulator(force, side, size=3)
    with pytest.raises(DataError, match=r"start is a velocity \[1, 2, 8, 8\]; got \[2, 8, 8\]"):
        SmokeSimulator(force, side, size=8, start=torch.zeros(2, 8, 8))


def test_numbers_that_overflow_are_told() -> None:
    simulator = SmokeSimulator(torch.tensor([[0.0, 3e38]]), torch.tensor([0]), size=16)
    steps = (simulator.step() for _ in range(20))
    with pytest.raises(NonFiniteError, match="smaller forces"):
        list(steps)


# PhiFlow


def test_phiflow_is_asked_for_when_it_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "phi.flow", None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'equilatent\[phiflow\]'"):
        next(phiflow_frames((0.0, 0.01), 0))
    with pytest.raises(MissingDependencyError, match="PhiFlow"):
        phiflow_versions()


@pytest.fixture
def phiflow() -> None:
    pytest.importorskip("phi", reason="PhiFlow is not installed")


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_steps_from_any_start_are_those_of_phiflow(phiflow: None) -> None:
    # Fast enough that much of what is carried along comes from beyond the walls.
    start = 4 * torch.randn(2, 16, 16, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    start[0, :, 0], start[1, 0] = 0, 0
    force = (0.05, 0.2)
    simulator = SmokeSimulator(
        torch.tensor([force]), torch.tensor([0]), size=16, start=start[None], dtype=torch.float64
    )
    for frame in islice(phiflow_frames(force, 0, size=16, start=start.numpy()), 12):
        simulator.step()
        assert frame.shape == (2, 16, 16)
        assert frame.dtype == np.float32
        # PhiFlow solves for the pressure up to 1e-5 of the divergence.
        ours = simulator.velocity[0].numpy()
        assert np.linalg.norm(frame - ours) < 3e-4 * np.linalg.norm(ours)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("side", range(4))
def test_early_frames_are_those_of_phiflow(phiflow: None, side: int) -> None:
    ours = simulated([5], [side], 25)[0]
    reference = torch.from_numpy(np.stack(list(islice(phiflow_frames((5 * BUOYANCY[side]).tolist(), side), 25))))
    error = (ours - reference).flatten(1).norm(dim=1) / ours.flatten(1).norm(dim=1)
    assert error.max() < 1e-4
    assert not reference[:, 0, :, 0].any()
    assert not reference[:, 1, 0].any()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_late_frames_have_the_statistics_of_phiflow(phiflow: None) -> None:
    strength, side, realisations = 36, 3, 24
    force = strength * BUOYANCY[side]
    # The flow starts as its own mirror image and loses that to rounding errors; PhiFlow's are of this size.
    noise = 1e-6 * torch.randn(realisations, 2, 64, 64, generator=torch.Generator().manual_seed(1))
    noise[:, 0, :, 0], noise[:, 1, 0] = 0, 0
    simulator = SmokeSimulator(force.repeat(realisations, 1), torch.full((realisations,), side), start=noise)
    squares = []
    for frame in range(310):
        simulator.step()
        if frame >= 100:
            squares.append(simulator.velocity.square().mean((1, 2, 3)))
    ours = torch.stack(squares).mean(0).sqrt()
    reference = np.stack(list(islice(phiflow_frames(force.tolist(), side), 310)))[100:]
    found = float(np.sqrt(np.mean(reference**2)))
    # PhiFlow's is one course of many.
    assert found == pytest.approx(float(ours.mean()), abs=3 * float(ours.std()))
    assert float(ours.std() / ours.mean()) < 0.06
