"""Configurations: what they refuse, what tells them apart, and that runs of earlier versions are found again."""

import dataclasses
import json
import math
import pickle
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from toy_experiment import TOY, ToyConfig

from equilatent.bench.catalogue import CATALOGUE
from equilatent.bench.harness.config import CIRCUMSTANCES, RunConfig, added, digest_of, parse_seeds
from equilatent.bench.harness.loop import batches
from equilatent.bench.harness.run import problems, run, run_folder
from equilatent.bench.tasks.ddmnist import DdmnistConfig
from equilatent.errors import EquilatentError

RESULTS = Path(__file__).parents[2] / "results"
RECORDS = sorted([*(RESULTS / "experiments").glob("*.json"), *(RESULTS / "superseded").rglob("*.json")])
CONFIGS = {name: task.config for name, task in CATALOGUE.items()}


def tell(config: RunConfig) -> str:
    return "; ".join(config.problems())


# Seeds


@given(st.lists(st.integers(0, 10**12), min_size=1, max_size=20, unique=True))
def test_seeds_are_read_back(seeds: list[int]) -> None:
    assert parse_seeds(",".join(map(str, seeds))) == seeds


def test_ranges_have_both_ends() -> None:
    assert parse_seeds("3..5,0,7..7") == [3, 4, 5, 0, 7]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "names no seeds"),
        ("one", "names no seeds"),
        ("-1", "names no seeds"),
        ("-1..2", "names no seeds"),
        ("3..1", "names no seeds"),
        ("3..1,0", "names no seeds"),  # else the mistake would be passed over
        ("0..2,1", "names seed 1 more than once"),
        ("0..9999999999", "names 10,000,000,000 seeds; at most 10,000"),
        ("0..99999999999999999999999", "at most 10,000"),
        ("0..6000,7000..12000", "at most 10,000"),
    ],
)
def test_seeds_that_are_none(text: str, why: str) -> None:
    since = time.perf_counter()
    with pytest.raises(EquilatentError) as caught:
        parse_seeds(text)
    assert f"--seed {text!r}" in str(caught.value)
    assert why in str(caught.value)
    assert time.perf_counter() - since < 0.5  # none is listed first
    assert why in tell(ToyConfig(seed=text, device="cpu"))


# Fields


@pytest.mark.parametrize("name", CONFIGS)
def test_defaults_can_be_run(name: str) -> None:
    task = CATALOGUE[name]
    for group in task.groups:
        for method in task.systems:
            config = task.config(group=group, method=method, device="cpu").resolved()
            assert problems(task, config) == []
            assert config.resolved() == config


def floats() -> list[tuple[str, str]]:
    """The fields of every task that are floating numbers, or may be."""
    return [
        (name, field.name)
        for name, config in CONFIGS.items()
        for field in dataclasses.fields(config)
        if "float" in str(field.type)
    ]


@pytest.mark.parametrize("value", [math.nan, math.inf, -0.1])
@pytest.mark.parametrize(("name", "field"), floats())
def test_every_number_is_checked(name: str, field: str, value: float) -> None:
    config = replace(CONFIGS[name](device="cpu"), **{field: value}).resolved()  # type: ignore[arg-type]
    flag = f"--{field.replace('_', '-')} {value}"
    assert any(
        each.startswith(f"{flag} should be finite and not negative") for each in problems(CATALOGUE[name], config)
    )


def test_every_task_has_numbers_to_check() -> None:
    assert {("mnist", "mixed_damping"), ("ddmnist", "strength"), ("cifar10", "noise"), ("tmnist", "rate")} < set(
        floats()
    )


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"rate": 0.0}, "--rate 0.0 should be positive"),
        ({"epochs": 0}, "--epochs 0 should be at least 1"),
        ({"patience": 0}, "--patience 0 should be at least 1"),
        ({"devices": 0}, "--devices 0 should be at least 1"),
        ({"nodes": 0}, "--nodes 0 should be at least 1"),
        ({"limit": 19}, "--limit 19 should be at least 20"),
        ({"batch": 2}, "--batch 2 should be at least 3"),
        ({"batch": 6, "devices": 2}, "--batch 6 should be at least 7"),
        ({"out": Path()}, "--out should name a folder"),
        ({"out": Path("")}, "--out should name a folder"),
        ({"out": Path(" ")}, "--out should name a folder"),
        ({"device": "abacus"}, "--device 'abacus' cannot be used here"),
        ({"device": "meta"}, "--device 'meta' cannot be used here"),
        ({"precision": "16-mixed"}, "--precision 16-mixed cannot be had on a CPU"),
    ],
)
def test_refused_fields(fields: dict[str, Any], words: str) -> None:
    assert words in tell(ToyConfig(**{"device": "cpu", **fields}))


@given(st.integers(20, 400), st.integers(1, 4), st.data())
def test_every_process_has_two_samples_of_every_batch(samples: int, devices: int, data: st.DataObject) -> None:
    """Which is why the least batch is what it is."""
    batch = data.draw(st.integers(4 * devices - 1, 64))
    assert tell(ToyConfig(device="cpu", batch=batch, devices=devices)) == ""
    sizes = [len(part[rank::devices]) for part in batches(samples, batch, 0, 0) for rank in range(devices)]
    assert min(sizes) >= 2
    assert f"should be at least {4 * devices - 1}" in tell(
        ToyConfig(device="cpu", batch=4 * devices - 2, devices=devices)
    )


# What tells configurations apart


@dataclass(frozen=True)
class Earlier(ToyConfig):
    """As it was when a run was made."""

    colour: str = "red"


@dataclass(frozen=True)
class Later(Earlier):
    """With fields that were added since: one of them had no choice before but another than the default now."""

    size: int = added(3)
    shape: str = added("round", was="square")


def digest(config: RunConfig, protocol: int = 1) -> str:
    return digest_of(type(config), config.identity, protocol)


def test_a_run_is_found_again_when_its_configuration_has_a_field_more(tmp_path: Path) -> None:
    before = replace(TOY, config=Earlier)
    made = run(before, Earlier(out=tmp_path, device="cpu", epochs=1), 0, progress=False)
    after = replace(TOY, config=Later, load=lambda *_: pytest.fail("it is finished"))
    config = Later(out=tmp_path, device="cpu", epochs=1, shape="square")
    assert run(after, config, 0, progress=False) == made
    # Read today, the record says what held then.
    filled = Later.filled(made["config"])
    assert (filled["size"], filled["shape"], filled["colour"]) == (3, "square", "red")
    assert filled == config.identity
    assert "size" not in made["config"]
    # What says otherwise is another run, by default too.
    others = [replace(config, size=4), replace(config, shape="round"), replace(config, colour="blue")]
    assert len({run_folder(after, each, 0) for each in [config, *others]}) == 4


def test_what_a_record_says_is_not_filled_over() -> None:
    came_later = dict.fromkeys(("schedule", "weight_decay", "compile"), "")
    assert Later.filled({"size": 9, "shape": "round"}) | came_later == {"size": 9, "shape": "round", **came_later}
    assert not CIRCUMSTANCES & set(Later.filled({}))


def test_schedule_and_compilation_tell_runs_apart() -> None:
    config = ToyConfig()
    assert len({digest(config), digest(replace(config, schedule="cosine")), digest(replace(config, compile=True))}) == 3
    # Both came later: at what held before they leave no trace.
    later = ("schedule", "weight_decay", "compile")
    plain = {name: value for name, value in config.identity.items() if name not in later}
    assert digest_of(ToyConfig, plain, 1) == digest(config)


def test_circumstances_tell_no_runs_apart() -> None:
    config = ToyConfig()
    other = ToyConfig(
        seed="0..3", device="cpu", devices=2, nodes=2, data=Path("elsewhere"), out=Path("there"), again=True
    )
    assert digest(other) == digest(config)
    fields = {field.name for field in dataclasses.fields(ToyConfig)} - CIRCUMSTANCES
    assert set(config.identity) == fields
    assert json.loads(json.dumps(config.identity)) == config.identity
    # Every other field does.
    changed: dict[str, Any] = {"limit": 30, "precision": "bf16-mixed", "schedule": "cosine"}
    for name in fields - set(changed):
        value = getattr(config, name)
        changed[name] = not value if isinstance(value, bool) else value + type(value)(1)
    for name, value in changed.items():
        assert digest(replace(config, **{name: value})) != digest(config), name


def test_the_protocol_tells_runs_apart() -> None:
    config = ToyConfig()
    digests = [digest(config, protocol) for protocol in (1, 2, 3)]
    assert len(set(digests)) == 3
    assert run_folder(replace(TOY, protocol=2), config, 0).name.endswith(digests[1])
    assert run_folder(TOY, config, 3).name == f"toy-fixed-S3-seed3-{digests[0]}"


@pytest.mark.parametrize("path", RECORDS, ids=lambda path: path.stem)
def test_records_of_earlier_versions_have_the_digest_of_their_name(path: Path) -> None:
    record = json.loads(path.read_text("utf-8"))
    config = CONFIGS[record["experiment"]]
    named = f"{record['experiment']}-{record['method']}-{record['group']}-seed{record['seed']}"
    assert path.stem == f"{named}-{digest_of(config, config.filled(record['config']), record.get('protocol', 1))}"
    # Every field of today is known of it.
    assert set(config.filled(record["config"])) >= {
        field.name for field in dataclasses.fields(config) if field.name not in CIRCUMSTANCES
    }


def test_there_are_records_of_earlier_versions() -> None:
    assert len(RECORDS) >= 136
    # Those of table 2 say what their damping was, which is another than today's default.
    dampings = {
        json.loads(path.read_text())["config"]["mixed_damping"] for path in RECORDS if "mnist-learned-D3" in path.name
    }
    assert CONFIGS["mnist"]().mixed_damping not in dampings  # type: ignore[attr-defined]


def test_published_settings_are_part_of_the_configuration() -> None:
    named = DdmnistConfig(method="ours", group="C4", rate=0.001, strength=2.0)
    assert run_folder(CATALOGUE["ddmnist"], DdmnistConfig(group="C4", rate=0.0), 0) == run_folder(
        CATALOGUE["ddmnist"], named, 0
    )


# The catalogue


@pytest.mark.parametrize("name", CATALOGUE)
def test_what_a_task_refers_to_is_there(name: str) -> None:
    task = CATALOGUE[name]
    assert pickle.loads(pickle.dumps(task)) == task  # as a process of its own needs it
    fields = {field.name for field in dataclasses.fields(task.config)}
    assert task.name == name
    assert task.config().method in task.systems
    assert task.config().group in task.groups
    assert task.baseline is None or task.baseline in task.systems
    assert set(task.budget) <= fields
    for control in task.controls:
        assert control.method in task.systems
        assert set(control.fields) <= fields
    for method, group, *settings in task.published:
        assert method in task.systems and group in task.groups
        assert len(settings) == len(task.settings)
    names = [quantity.name for quantity in task.quantities]
    assert len(names) == len(set(names))
    assert all(system.title for system in task.systems.values())


def test_systems_are_offered_where_they_can_be_built() -> None:
    learned = ["learned", "control"]
    others = ["cnn", "scnn", "restriction", "rpp", "pscnn", "ours"]
    assert {name: list(task.systems) for name, task in CATALOGUE.items()} == {
        "tmnist": learned,
        "mnist": learned,
        "cifar10": learned,
        "ddmnist": others,
        "smoke": [
            *("zero", "persistence", "mlp", "plain", "cnn", "e2cnn"),
            *("rpp", "lift", "rgroup", "rsteer", "pscnn", "ours"),
        ],
        "medmnist3d": ["plain", "cnn", "scnn", "rpp", "pscnn", "ours"],
        "frozen": ["cnn", "ours", "exact", "thumbnail"],
    }
