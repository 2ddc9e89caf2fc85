"""SMOKE: how it is made, kept and read, its layouts, balanced sets and windows."""

import dataclasses
import json
import resource
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import equilatent as eq
from equilatent.bench.data import (
    SMOKE_SKIPPED,
    SmokeData,
    SmokeSimulator,
    _command,
    _smoke,
    centred,
    coarse,
    data_command,
    smoke,
    smoke_balanced,
    smoke_windows,
)
from equilatent.bench.data._smoke import SmokeRecipe, paper_recipe
from equilatent.errors import DataError, MissingDependencyError

ACT = eq.actions.vector_field(eq.groups.cyclic(4), components=(1, 0))

#: (k, side) of the paper's runs.
TRAINING = (
    "(27,2) (33,0) (3,2) (28,3) (9,0) (12,3) (22,1) (8,3) (30,1) (25,0) (16,3) (11,2) (23,2) (29,0) (36,3) (26,1) (1,0) "
    "(35,2) (19,2) (34,1) (4,3) (2,1) (7,2) (31,2) (17,0)"
)
DOMAIN = "(6,1) (14,1) (15,2) (10,1) (18,1) (20,3) (24,3) (13,0) (21,0) (5,0)"


def runs_of(text: str) -> dict[int, int]:
    return dict(tuple(map(int, pair.strip("()").split(","))) for pair in text.split())


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> Callable[..., SmokeRecipe]:
    """The paper's recipe, with four frames of 8×8 cells."""

    def recipe(*arguments: Any, **options: Any) -> SmokeRecipe:
        return dataclasses.replace(paper_recipe(*arguments, **options), size=8, frames=4)

    for module in (_smoke, _command):
        monkeypatch.setattr(module, "paper_recipe", recipe)
    return recipe


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[SmokeRecipe]:
    """The recipes that are simulated."""
    simulate, recipes = _smoke._simulate, []

    def noted(recipe: SmokeRecipe, progress: bool) -> Any:
        recipes.append(recipe)
        return simulate(recipe, progress)

    monkeypatch.setattr(_smoke, "_simulate", noted)
    return recipes


# What is simulated


def test_runs_are_those_of_the_paper() -> None:
    recipe = paper_recipe()
    assert recipe.shape == (36, 309, 2, 64, 64)
    assert recipe.strengths == tuple(range(1, 37))
    side_of = dict(zip(recipe.strengths, recipe.sides, strict=True))
    listed = runs_of(TRAINING) | runs_of(DOMAIN)
    assert len(runs_of(TRAINING)) == 25 and len(runs_of(DOMAIN)) == 10
    # Each strength once, but for 32, which the paper does not use.
    assert sorted(listed) == [k for k in range(1, 37) if k != 32]
    assert all(side_of[k] == side for k, side in listed.items())
    assert side_of[32] == 3


def test_data_are_what_the_simulator_gives_without_the_first_frame(
    small: Callable[..., SmokeRecipe], tmp_path: Path
) -> None:
    data = smoke(tmp_path)
    assert repr(data) == "SmokeData(36 runs of 4 frames, 8×8)"
    assert data.velocity.dtype == torch.float32
    assert data.strengths.tolist() == list(range(1, 37))
    assert data.sides.tolist() == [0, 1, 2, 3] * 9
    for k in (1, 2, 7, 36):
        side = torch.tensor([(k - 1) % 4])
        force = torch.tensor([(0, 0.01), (-0.01, 0), (0, -0.011), (0.01, 0)])[side] * k
        simulator = SmokeSimulator(force, side, size=8)
        simulator.step()
        for frame in range(4):
            simulator.step()
            torch.testing.assert_close(data.velocity[k - 1, frame], simulator.velocity[0], rtol=1e-4, atol=1e-6)


def test_noise_is_drawn_with_the_seed(small: Callable[..., SmokeRecipe], tmp_path: Path) -> None:
    still, first, again, second = (
        smoke(tmp_path / name, noise=noise, seed=seed)
        for name, noise, seed in (("a", 0.0, 3), ("b", 1e-3, 3), ("c", 1e-3, 3), ("d", 1e-3, 4))
    )
    assert torch.equal(first.velocity, again.velocity)
    difference = (first.velocity - still.velocity).abs().amax((1, 2, 3, 4))
    assert (difference > 1e-5).all() and (difference < 1e-2).all()
    assert not torch.equal(first.velocity, second.velocity)
    # Without noise the seed decides nothing, and no second file is made for it.
    assert [file.name for file in (tmp_path / "a" / "smoke").glob("*.npy")] == ["smoke.npy"]
    assert first.provenance["recipe"]["seed"] == 3 and still.provenance["recipe"]["seed"] == 0
    assert len({float(run.abs().sum()) for run in first.velocity}) == 36


# The file


def test_file_is_made_once_and_the_same_everywhere(
    small: Callable[..., SmokeRecipe], made: list[SmokeRecipe], tmp_path: Path
) -> None:
    first, other = smoke(tmp_path / "one"), smoke(tmp_path / "other")
    assert len(made) == 2
    again = smoke(tmp_path / "one", generate=False)
    assert len(made) == 2
    assert torch.equal(first.velocity, again.velocity)
    assert first.provenance == other.provenance == again.provenance
    assert first.provenance["files"]["smoke.npy"]["digest"].startswith("sha256:")
    assert first.provenance["versions"] == {"torch": torch.__version__, "numpy": np.__version__}
    assert json.loads(json.dumps(first.provenance)) == first.provenance
    assert "in PyTorch" in first.provenance["stand_in"]
    files = {file.name for file in (tmp_path / "one" / "smoke").iterdir()}
    assert files - {".smoke.npy.lock"} == {"smoke.npy", "smoke.json"}
    # An ordinary array, for whoever wants to read it without this library.
    array = np.load(tmp_path / "one" / "smoke" / "smoke.npy", allow_pickle=False)
    assert array.dtype == np.dtype("<f4")
    assert np.array_equal(array, first.velocity.numpy())


def test_file_may_lie_in_the_folder_itself(
    small: Callable[..., SmokeRecipe], made: list[SmokeRecipe], tmp_path: Path
) -> None:
    smoke(tmp_path)
    for file in (tmp_path / "smoke").glob("smoke.*"):
        file.rename(tmp_path / file.name)
    smoke(tmp_path)
    assert len(made) == 1


def test_velocity_is_mapped_and_not_copied(small: Callable[..., SmokeRecipe], tmp_path: Path) -> None:
    data = smoke(tmp_path)
    maps = Path("/proc/self/maps")
    if maps.exists():
        address = data.velocity.data_ptr()
        within = [
            line
            for line in maps.read_text().splitlines()
            if int(line.split("-")[0], 16) <= address < int(line.split()[0].split("-")[1], 16)
        ]
        assert within[0].endswith("smoke.npy")
    assert data.field("staggered").data_ptr() == data.velocity.data_ptr()
    # What is written to the tensor does not get into the file.
    data.velocity.add_(1)
    assert not torch.equal(smoke(tmp_path).velocity, data.velocity)


def test_missing_file_is_told_of(small: Callable[..., SmokeRecipe], made: list[SmokeRecipe], tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"smoke.npy with smoke.json is not in .*equilatent data smoke"):
        smoke(tmp_path, generate=False)
    assert not made
    assert not list(tmp_path.iterdir())


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-3] ^= 1
    path.write_bytes(content)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


@pytest.mark.parametrize("damage", [flip, cut])
def test_damaged_file_is_refused(
    small: Callable[..., SmokeRecipe], tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    smoke(tmp_path)
    damage(tmp_path / "smoke" / "smoke.npy")
    with pytest.raises(DataError, match=r"smoke.npy is damaged: its digest is sha256:.*Remove it"):
        smoke(tmp_path)


def test_file_of_another_recipe_is_refused(small: Callable[..., SmokeRecipe], tmp_path: Path) -> None:
    smoke(tmp_path)
    described = tmp_path / "smoke" / "smoke.json"
    content = json.loads(described.read_text())
    content["recipe"]["frames"] = 310
    described.write_text(json.dumps(content))
    with pytest.raises(DataError, match=r"differ in frames: \[310\], not \[4\]"):
        smoke(tmp_path)
    for text in ("{", "[]", "{}", '{"recipe": 3, "digest": ""}'):
        described.write_text(text)
        with pytest.raises(DataError, match=r"smoke.json is "):
            smoke(tmp_path)


@pytest.mark.parametrize("kind", ["archive", "objects", "double", "text"])
def test_other_content_is_refused_even_with_its_digest(
    small: Callable[..., SmokeRecipe], tmp_path: Path, kind: str
) -> None:
    smoke(tmp_path)
    path, described = tmp_path / "smoke" / "smoke.npy", tmp_path / "smoke" / "smoke.json"
    with path.open("wb") as file:
        if kind == "archive":
            np.savez(file, np.zeros(3))
        elif kind == "objects":
            np.save(file, np.array([{}]), allow_pickle=True)
        elif kind == "double":
            np.save(file, np.zeros((36, 4, 2, 8, 8)))
        else:
            file.write(b"no array")
    content = json.loads(described.read_text())
    content["digest"] = _smoke.file_digest(path, "sha256")
    described.write_text(json.dumps(content))
    with pytest.raises(DataError, match=r"smoke.npy (holds float32 \[36, 4, 2, 8, 8\]; got|is no array)"):
        smoke(tmp_path)


@pytest.mark.parametrize("when", ["simulating", "writing", "describing"])
def test_generation_that_is_stopped_leaves_nothing_that_is_taken_for_the_file(
    small: Callable[..., SmokeRecipe], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    def stop(*_arguments: Any, **_options: Any) -> Any:
        raise KeyboardInterrupt

    replace = _smoke.os.replace
    with monkeypatch.context() as patch:
        if when == "simulating":
            patch.setattr(_smoke, "_simulate", stop)
        elif when == "writing":
            patch.setattr(_smoke.os, "fsync", stop)
        else:
            patch.setattr(_smoke.os, "replace", lambda a, b: stop() if b.suffix == ".json" else replace(a, b))
        with pytest.raises(KeyboardInterrupt):
            smoke(tmp_path)
    assert not list(tmp_path.rglob("*.part"))
    assert "missing" in line_of(data_command([], tmp_path), "smoke")
    # What a killed process had no time to remove is in nobody's way either.
    (tmp_path / "smoke" / "smoke.npy.part").write_bytes(b"half")
    assert smoke(tmp_path).velocity.shape == (36, 4, 2, 8, 8)
    assert not list(tmp_path.rglob("*.part"))


def test_of_two_that_want_the_file_one_makes_it(
    small: Callable[..., SmokeRecipe], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    simulate, count = _smoke._simulate, []

    def slow(recipe: SmokeRecipe, progress: bool) -> Any:
        count.append(recipe)
        time.sleep(0.3)
        return simulate(recipe, progress)

    monkeypatch.setattr(_smoke, "_simulate", slow)
    got: list[SmokeData] = []
    threads = [threading.Thread(target=lambda: got.append(smoke(tmp_path))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(count) == 1
    assert len(got) == 3
    assert all(torch.equal(data.velocity, got[0].velocity) for data in got)


@pytest.fixture
def little_room() -> Iterator[None]:
    """Files may not grow beyond 20 kB, about half of the small file."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_full_disk_is_told_of(small: Callable[..., SmokeRecipe], tmp_path: Path, little_room: None) -> None:
    with pytest.raises(DataError, match=r"smoke.npy, of 0 MB, cannot be kept in .*File too large.*enough room"):
        smoke(tmp_path)
    assert not list(tmp_path.rglob("smoke.*"))


def test_folder_that_cannot_be_made_is_told_of(small: Callable[..., SmokeRecipe], tmp_path: Path) -> None:
    (tmp_path / "smoke").write_text("")
    with pytest.raises(DataError, match="cannot be kept in"):
        smoke(tmp_path)


def line_of(table: str, name: str) -> str:
    return next(line for line in table.splitlines() if line.split()[:1] == [name])


def test_command_makes_it(small: Callable[..., SmokeRecipe], tmp_path: Path) -> None:
    assert "missing" in line_of(data_command([], tmp_path), "smoke")
    assert "73.7 kB" in line_of(data_command([], tmp_path), "smoke")  # 36·4·2·8·8 numbers of 4 bytes
    line = line_of(data_command(["smoke"], tmp_path, progress=False), "smoke")
    assert "verified, by torch" in line and "made here" in line
    flip(tmp_path / "smoke" / "smoke.npy")
    assert "damaged or another file" in line_of(data_command([], tmp_path), "smoke")
    with pytest.raises(DataError, match=r"smoke: .*damaged"):
        data_command(["smoke"], tmp_path)


def test_command_asks_for_the_simulator(
    small: Callable[..., SmokeRecipe], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(DataError, match="simulator is one of torch, phiflow; got 'fluids'"):
        data_command([], tmp_path, simulator="fluids")
    monkeypatch.setitem(__import__("sys").modules, "phi.flow", None)
    smoke(tmp_path)
    # The file of one simulator is not that of the other.
    assert "missing" in line_of(data_command([], tmp_path, simulator="phiflow"), "smoke")
    with pytest.raises(MissingDependencyError, match=r"equilatent\[phiflow\]"):
        data_command(["smoke"], tmp_path, simulator="phiflow")


def test_phiflow_data_are_its_frames_without_the_first(
    small: Callable[..., SmokeRecipe], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def frames(force: list[float], side: int, *, size: int, start: Any) -> Iterator[np.ndarray]:
        asked.append((force, side, start))
        for number in range(100):
            yield np.full((2, size, size), 100 * len(asked) + number, dtype=np.float32)

    monkeypatch.setattr(_smoke, "phiflow_frames", frames)
    monkeypatch.setattr(_smoke, "phiflow_versions", lambda: {"phiflow": "3.4.0"})
    data = smoke(tmp_path, simulator="phiflow")
    assert data.velocity[:, :, 0, 0, 0].tolist() == [
        [100 * run + frame for frame in range(1, 5)] for run in range(1, 37)
    ]
    assert [side for _, side, _ in asked] == [0, 1, 2, 3] * 9
    np.testing.assert_allclose([asked[6][0], asked[35][0]], [[0, -0.077], [0.36, 0]])
    assert data.provenance["stand_in"] is None
    assert data.provenance["versions"]["phiflow"] == "3.4.0"


# Layouts


@pytest.fixture
def faces() -> torch.Tensor:
    """Velocities as simulated, hence zero in the walls, and without divergence: [2, 3, 2, 8, 8]."""
    return smoke_balanced([30.0], 3, size=8, noise=0.5).velocity[:2]


def test_centres_are_means_of_two_faces(faces: torch.Tensor) -> None:
    field = centred(faces)
    assert field.shape == faces.shape
    u, v = (torch.zeros(2, 3, 9, 9) for _ in range(2))
    u[..., :8, :8], v[..., :8, :8] = faces[:, :, 0], faces[:, :, 1]
    for y in range(8):
        for x in range(8):
            torch.testing.assert_close(field[:, :, 0, y, x], (u[..., y, x] + u[..., y, x + 1]) / 2)
            torch.testing.assert_close(field[:, :, 1, y, x], (v[..., y, x] + v[..., y + 1, x]) / 2)
    assert float(faces.abs().max()) > 0.1


def test_coarse_cells_are_means_of_four(faces: torch.Tensor) -> None:
    field = centred(faces)
    small = coarse(field)
    assert small.shape == (2, 3, 2, 4, 4)
    assert float(small[1, 2, 0, 3, 1]) == pytest.approx(float(field[1, 2, 0, 6:8, 2:4].mean()), rel=1e-5)
    for g in range(4):
        element = torch.full((6,), g)
        torch.testing.assert_close(
            coarse(ACT(field.flatten(0, 1), element)), ACT(small.flatten(0, 1), element), rtol=0, atol=1e-6
        )
    assert torch.equal(coarse(field[0, 0]), small[0, 0])


def divergence(faces: torch.Tensor) -> torch.Tensor:
    u = torch.nn.functional.pad(faces[..., 0, :, :], (0, 1))
    v = torch.nn.functional.pad(faces[..., 1, :, :], (0, 0, 0, 1))
    return u.diff(dim=-1) + v.diff(dim=-2)


def test_coarse_faces_keep_the_flow_without_divergence(faces: torch.Tensor) -> None:
    small = coarse(faces, "staggered")
    assert small.shape == (2, 3, 2, 4, 4)
    assert float(divergence(small).abs().max()) < 1e-6
    # The mean over cells displaces the faces, and with them the walls.
    assert float(divergence(coarse(faces)).abs().max()) > 1e-3
    assert float(small[1, 2, 0, 3, 1]) == pytest.approx(float(faces[1, 2, 0, 6:8, 2].mean()), rel=1e-5)
    assert float(small[1, 2, 1, 3, 1]) == pytest.approx(float(faces[1, 2, 1, 6, 2:4].mean()), rel=1e-5)


def test_fields_of_the_data(faces: torch.Tensor) -> None:
    data = smoke_balanced([10.0, 30.0], 3, size=8)
    assert torch.equal(data.field(), centred(data.velocity))
    assert torch.equal(data.field("centred", 4), coarse(centred(data.velocity)))
    assert torch.equal(data.field("staggered", 4), coarse(data.velocity, "staggered"))
    with pytest.raises(DataError, match=r"side 8 or 4; got 'centred' and 5"):
        data.field("centred", 5)
    with pytest.raises(DataError, match=r"'centred' or 'staggered'.*'faces'"):
        data.field("faces")  # type: ignore[arg-type]
    with pytest.raises(DataError, match=r"even N; got \[2, 5, 5\]"):
        coarse(torch.zeros(2, 5, 5))
    with pytest.raises(DataError, match=r"velocity is .*got \[3, 2, 8, 8\]"):
        dataclasses.replace(data, velocity=data.velocity[0])
    with pytest.raises(DataError, match=r"as many strengths and sides as runs; got \[8, 3, 2, 8, 8\], 7 and 8"):
        dataclasses.replace(data, strengths=data.strengths[1:])


# Balanced sets


def test_balanced_runs_are_turns_of_each_other() -> None:
    data = smoke_balanced([4.0, 36.0], 120, size=16, noise=1e-3, seed=5)
    assert data.strengths.tolist() == [4.0] * 4 + [36.0] * 4
    assert data.sides.tolist() == [0, 1, 2, 3] * 2
    field = data.field("centred").unflatten(0, (2, 4))
    for side in range(4):
        for runs in field:
            # r takes side 0 to side 3.
            assert torch.equal(ACT(runs[0], torch.full((120,), -side % 4)), runs[side])
    assert float(field[0, 0].abs().max()) > 0.01
    assert not torch.equal(field[0], field[1])


@pytest.mark.parametrize("background", [0.0, 0.3])
def test_balanced_runs_have_the_force_of_their_side_and_the_background(background: float) -> None:
    data = smoke_balanced([20.0], 10, background=background, size=16)
    into_the_box = torch.tensor([(0.0, 1.0), (-1.0, 0.0), (0.0, -1.0), (1.0, 0.0)])
    forces = 0.2 * (into_the_box + background * torch.tensor([0.0, 1.0]))
    simulator = SmokeSimulator(forces, torch.arange(4), size=16)
    simulator.step()
    for frame in range(10):
        simulator.step()
        torch.testing.assert_close(data.velocity[:, frame], simulator.velocity, rtol=1e-3, atol=1e-5)


def test_background_breaks_the_symmetry_by_its_size() -> None:
    broken = []
    for background in (0.0, 0.01, 0.02):
        field = smoke_balanced([20.0], 5, background=background, size=16).field()[:, -1]
        back = ACT(field, torch.arange(4))  # side s is r^(−s) of side 0
        broken.append(float((back - back[0]).norm()))
    assert broken[0] == 0
    assert broken[2] == pytest.approx(2 * broken[1], rel=0.05)
    assert broken[1] > 0


def test_balanced_set_is_kept_under_its_recipe(made: list[SmokeRecipe], tmp_path: Path) -> None:
    options: dict[str, Any] = {"size": 8, "cache": tmp_path, "progress": False}
    first = smoke_balanced([1.0, 2.0], 3, background=0.1, **options)
    again = smoke_balanced([1.0, 2.0], 3, background=0.1, seed=8, **options)
    assert len(made) == 1
    assert torch.equal(first.velocity, again.velocity)
    for other in ({"background": 0.2}, {"noise": 1e-3}, {"noise": 1e-3, "seed": 1}):
        smoke_balanced([1.0, 2.0], 3, **{"background": 0.1, **other}, **options)
    assert len(made) == 4
    assert len(list((tmp_path / "smoke").glob("smoke_*.npy"))) == 4
    plain = smoke_balanced([1.0, 2.0], 3, background=0.1, size=8)
    assert torch.equal(plain.velocity, first.velocity)
    assert plain.provenance["recipe"] == first.provenance["recipe"]
    assert plain.provenance["stand_in"] == "other simulations than the paper's"


def test_impossible_balanced_sets_are_refused() -> None:
    for strengths, options, match in (
        ([], {}, "strengths are finite numbers, at least one"),
        ([float("nan")], {}, "strengths are finite"),
        ([1.0], {"background": float("inf")}, "so is background; got .* and inf"),
        ([1.0], {"noise": -1.0}, "noise is a standard deviation.*got -1"),
        ([1.0], {"frames": 0}, "frames is .* at least 1; got 0"),
    ):
        with pytest.raises(DataError, match=match):
            smoke_balanced(strengths, **options)


# Windows


def frames_of(starts: torch.Tensor, steps: int) -> tuple[set[tuple[int, int]], set[tuple[int, int]]]:
    """(run, frame) of all inputs, and of all targets."""
    inputs, targets = set(), set()
    for run, start in starts.tolist():
        inputs |= {(run, start + SMOKE_SKIPPED + i) for i in range(10)}
        targets |= {(run, start + SMOKE_SKIPPED + 10 + i) for i in range(steps)}
    return inputs, targets


def used(windows: dict[str, torch.Tensor], inputs: int = 10) -> dict[str, set[tuple[int, int]]]:
    steps = {"train": 6, "validation": 6, "future": 20, "domain": 20}
    return {name: set.union(*frames_of(starts, steps[name])) for name, starts in windows.items()}


def test_default_splits_share_no_frame() -> None:
    windows = smoke_windows()
    frames = used(windows)
    names = list(frames)
    for i, name in enumerate(names):
        for other in names[i + 1 :]:
            assert not frames[name] & frames[other], (name, other)
    # And no window more would do: the frames of one split end where those of the next begin.
    for name, other in (("train", "validation"), ("validation", "future")):
        assert max(frame for _, frame in frames[name]) + 1 == min(frame for _, frame in frames[other])
    assert max(frame for _, frame in frames["future"]) == 280
    assert sorted({start for _, start in windows["train"].tolist()}) == list(range(160))


def test_splits_of_the_paper_are_its_own_and_overlap() -> None:
    windows = smoke_windows("paper")
    starts = {name: sorted({start for _, start in part.tolist()}) for name, part in windows.items()}
    assert starts == {
        "train": list(range(160)),
        "validation": list(range(160, 200)),
        "future": list(range(200, 250)),
        "domain": list(range(100)),
    }
    runs = {name: {run + 1 for run, _ in part.tolist()} for name, part in windows.items()}
    assert runs["train"] == runs["validation"] == runs["future"] == set(runs_of(TRAINING))
    assert runs["domain"] == set(runs_of(DOMAIN))
    assert [len(part) for part in windows.values()] == [4000, 1000, 1250, 1000]
    for part in windows.values():
        assert len(set(map(tuple, part.tolist()))) == len(part)
        assert part.dtype == torch.int64
    _, targets = frames_of(windows["train"], 6)
    inputs, _ = frames_of(windows["validation"], 6)
    assert {frame for _, frame in targets & inputs} == set(range(162, 177))


def test_both_splits_use_the_same_runs_and_tests() -> None:
    separate, paper = smoke_windows(), smoke_windows("paper")
    assert torch.equal(separate["future"], paper["future"])
    assert torch.equal(separate["domain"], paper["domain"])
    assert torch.equal(separate["train"], paper["train"])
    assert set(map(tuple, separate["validation"].tolist())) < set(map(tuple, paper["validation"].tolist()))


def test_first_training_windows_are_a_sample_of_all() -> None:
    first = smoke_windows()["train"][:300]
    assert torch.equal(first, smoke_windows()["train"][:300])
    assert len(first[:, 0].unique()) == 25
    assert 68 < float(first[:, 1].double().mean()) < 91


def test_windows_follow_their_lengths() -> None:
    windows = smoke_windows(ends=(40, 60, 70), domain_end=5, inputs=4, trained=3, tested=8, frames=83)
    starts = {name: sorted({start for _, start in part.tolist()}) for name, part in windows.items()}
    # Inputs and targets are 7 frames long: those of the last training window end at frame 47, the first of validation is 48.
    assert starts["train"] == list(range(40))
    assert starts["validation"] == list(range(46, 54))
    assert starts["future"] == list(range(60, 70))
    assert starts["domain"] == list(range(5))
    with pytest.raises(DataError, match="needs 83 frames; there are 82"):
        smoke_windows(ends=(40, 60, 70), domain_end=5, inputs=4, trained=3, tested=8, frames=82)


def test_balanced_sets_are_split_by_strength() -> None:
    strengths = torch.tensor([1.0, 2.0, 3.0]).repeat_interleave(4)
    windows = smoke_windows(strengths=strengths, domain=[2.0], unused=())
    assert sorted(windows["domain"][:, 0].unique().tolist()) == [4, 5, 6, 7]
    assert sorted(windows["train"][:, 0].unique().tolist()) == [0, 1, 2, 3, 8, 9, 10, 11]


def test_impossible_windows_are_refused() -> None:
    for options, match in (
        ({"splits": "random"}, "'separate' or 'paper'; got 'random'"),
        ({"strengths": [1.0, 2.0], "domain": [3.0]}, r"of \[1.0, 2.0\]; got \[3.0\]"),
        ({"domain": [32]}, r"not unused"),
        ({"ends": (160, 160, 250)}, "ends increase"),
        ({"inputs": 0}, "at least 1"),
        ({"ends": (160, 190, 250)}, "none for validation with 25 runs"),
        ({"strengths": [1.0, 2.0], "domain": []}, "none for domain"),
        ({"tested": 60}, "needs 321 frames; there are 309"),
    ):
        with pytest.raises(DataError, match=match):
            smoke_windows(**options)
