"""Tables of small records: every number against one that was worked out by hand."""

import math
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import tyro
from scipy import stats

from equilatent.bench.catalogue import CATALOGUE
from equilatent.bench.harness.config import digest_of
from equilatent.bench.harness.task import Task
from equilatent.bench.results import tables
from equilatent.bench.results.tables import compare, show, spread

Make = Callable[..., Any]


def several(record: Make, accuracies: list[float], **fields: Any) -> list[dict[str, Any]]:
    return [record(seed=seed, final={"accuracy": value}, **fields) for seed, value in enumerate(accuracies)]


def beside(frame: pd.DataFrame, task: Task, budget: str = "") -> tuple[pd.DataFrame, pd.DataFrame, str]:
    """The part on a budget with its controls, those that are wanted, and the verdict."""
    part = frame[frame["budget"] == budget]
    shown, controls = tables.with_controls(part, frame, task)
    return shown, controls, tables.verdict(part, controls, frame, task)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0, "0"),
        (0.0, "0"),
        (12345, "12,345"),
        (-12345, "−12,345"),
        (12345.6, "12,346"),
        (99.994, "99.99"),
        (1.0, "1.00"),
        (0.4567, "0.457"),
        (0.00123, "0.00123"),
        (1.234e-5, "1.2e−5"),
        (1e-12, "1.0e−12"),
        (-0.5, "−0.500"),
        (None, "–"),
        (math.nan, "–"),
    ],
)
def test_numbers_as_they_are_read(value: Any, shown: str) -> None:
    assert show(value) == shown


def test_mean_and_deviation_by_hand() -> None:
    # Deviations from the mean 0.03 are −0.02, 0 and 0.02, so the variance is (4 + 0 + 4)·10⁻⁴ / (3 − 1).
    assert spread(pd.Series([0.01, 0.03, 0.05])) == "0.0300 ± 0.0200"
    assert spread(pd.Series([0.01, 0.03, 0.05]), 3) == "0.030 ± 0.020"
    # Mean 20.5 and variance (2.25 + 0.25 + 0.25 + 2.25) / 3.
    assert spread(pd.Series([19, 20, 21, 22])) == "20.50 ± 1.29"
    assert spread(pd.Series([3e-6] * 3)) == "3.0e−6 ± 0" and spread(pd.Series([7, 7])) == "7 ± 0"
    assert spread(pd.Series([0.25])) == "0.250" and spread(pd.Series([0.25, None])) == spread(pd.Series([])) == "–"


def test_the_same_seeds_are_compared_in_pairs() -> None:
    # Differences 0.1, 0.2 and 0.3: mean 0.2, deviation 0.1, t = 0.2 / (0.1 / √3) with 2 degrees of freedom.
    first, second = pd.Series([0.5, 0.7, 0.9]), pd.Series([0.4, 0.5, 0.6])
    mean, deviation, p, paired = compare(first, second)
    assert (mean, deviation, paired) == (pytest.approx(0.2), pytest.approx(0.1), True)
    assert p == pytest.approx(2 * stats.t.sf(2 * math.sqrt(3), 2))
    # Which seed comes first does not matter.
    assert compare(first, second.iloc[::-1]) == pytest.approx((mean, deviation, p, True))


def test_other_seeds_are_compared_by_welch() -> None:
    first, second = pd.Series([1.0, 2.0, 3.0]), pd.Series([1.0, 3.0], index=[5, 6])
    mean, deviation, p, paired = compare(first, second)
    assert (mean, paired) == (0.0, False)
    assert deviation == pytest.approx(math.sqrt(1 + 2))
    second += 4
    a, b = 1 / 3, 2 / 2  # variances over numbers
    freedom = (a + b) ** 2 / (a**2 / 2 + b**2 / 1)
    p = compare(first, second).p
    assert p == pytest.approx(2 * stats.t.sf(4 / math.sqrt(a + b), freedom))


def test_too_few_seeds_leave_a_difference_alone() -> None:
    mean, deviation, p, paired = compare(pd.Series([0.5, 0.7]), pd.Series([0.4]))
    assert mean == pytest.approx(0.1), "of the seed that both have"
    assert math.isnan(deviation) and math.isnan(p) and not paired
    assert compare(pd.Series([0.5, 0.7]), pd.Series([0.4], index=[9])).mean == pytest.approx(0.2)
    assert compare(pd.Series([0.5]), pd.Series([0.25])).paired


def test_differences_that_do_not_deviate_have_no_probability() -> None:
    mean, deviation, p, _ = compare(pd.Series([0.3, 0.5]), pd.Series([0.1, 0.3]))
    assert (mean, deviation) == (pytest.approx(0.2), 0) and math.isnan(p)


def test_systems_against_groups(record: Make, read: Make, tasks: dict[str, Task]) -> None:
    runs = [
        *several(record, [0.7, 0.8, 0.9]),
        *several(record, [0.5], group="D4"),
        *several(record, [0.6, 0.7], method="cnn"),
        *several(record, [0.1], strength=2.0),
    ]
    shown, _, _ = beside(read(*runs), tasks["toy"])
    table = tables.cross_table(shown, tasks["toy"], "")
    assert list(table) == ["C4", "C4, paper", "D4", "D4, paper"]
    assert {name: list(row) for name, row in table.iterrows()} == {
        "cnn": ["0.650 ± 0.071 (2)", "0.900 (0.010)", "–", "–"],
        "scnn": ["–", "0.800 (0.020)", "–", "–"],
        "ours": ["0.800 ± 0.100 (3)", "–", "0.500 (1)", "–"],
        "ours, strength = 2.0": ["0.100 (1)", "", "–", ""],
    }


def test_another_budget_stands_alone_and_without_the_paper(record: Make, read: Make, tasks: dict[str, Task]) -> None:
    frame = read(*several(record, [0.7]), *several(record, [0.3, 0.5], limit=100))
    shown, _, _ = beside(frame, tasks["toy"], "limit = 100")
    table = tables.cross_table(shown, tasks["toy"], "limit = 100")
    assert table.to_dict() == {"C4": {"ours": "0.400 ± 0.141 (2)"}}


def test_all_quantities_and_the_difference(record: Make, read: Make, tasks: dict[str, Task]) -> None:
    def run(seed: int, accuracy: float, error: float, **fields: Any) -> dict[str, Any]:
        return record(seed=seed, final={"accuracy": accuracy, "error": error}, **fields)

    frame = read(
        *(run(seed, *pair) for seed, pair in enumerate([(0.7, 0.25), (0.8, 0.5), (0.9, 0.75)])),
        *(run(seed, *pair, method="cnn") for seed, pair in enumerate([(0.6, 2.0), (0.6, 3.0), (0.6, 4.0)])),
        run(0, 0.75, 1.0, label="other"),
    )
    shown, _, _ = beside(frame, tasks["toy"])
    table = tables.detail_table(shown, tasks["toy"])
    digests = dict(zip(frame["name"], frame["digest"], strict=True))
    # 0.1, 0.2 and 0.3 above cnn: t = 0.2 √3 / 0.1; 0.7 − 0.75 with the seed that both have.
    p = 2 * stats.t.sf(2 * math.sqrt(3), 2)
    assert {name: list(row) for name, row in table.iterrows()} == {
        f"cnn (`{digests['cnn']}`)": ["3", f"+0.200 ± 0.100 (p = {p:.2g})", "0.600 ± 0.000", "3.00 ± 1.00"],
        f"ours (`{digests['ours']}`)": ["3", "–", "0.800 ± 0.100", "0.500 ± 0.250"],
        f"ours, label = other (`{digests['ours, label = other']}`)": ["1", "−0.050", "0.750", "1.00"],
    }
    assert list(table) == ["seeds", "ours is above by", "accuracy", "error"], (
        "what follows from the configuration is apart"
    )
    given = tables.given_table(shown, tasks["toy"])
    assert given is not None
    assert given.loc["cnn, C4"].to_dict() == {
        "parameters": "1,200",
        "parameters, paper": "0.1 M",
        "samples in a batch": "64",
    }


def test_a_number_that_a_run_lacks_is_not_averaged(record: Make, read: Make, tasks: dict[str, Task]) -> None:
    frame = read(*several(record, [0.7]), record(seed=1))
    shown, _, said = beside(frame, tasks["toy"])
    assert tables.cross_table(shown, tasks["toy"], "").loc["ours", "C4"] == "– (of 2)"
    assert "accuracy – (2 seeds)" in said


def test_a_row_for_each_seed_then_the_paper(record: Make, read: Make, tasks: dict[str, Task]) -> None:
    final = [
        {"counts": {"1": count, "i": 8 - count}, "loss": loss, "copies": 2.0} for count, loss in ((3, 0.5), (5, 1.5))
    ]
    frame = read(*(record("counts", seed=seed, final=values) for seed, values in enumerate(final)))
    table = tables.seed_table(frame, tasks["counts"], tasks["counts"].quantities, paper=True)
    assert table is not None and list(table) == ["1", "i", "loss"]
    assert {name: list(row) for name, row in table.iterrows()} == {
        "seed 0": ["3", "5", "0.500"],
        "seed 1": ["5", "3", "1.50"],
        "mean of 2": ["4.00 ± 1.41", "4.00 ± 1.41", "1.00 ± 0.71"],
        "paper, run 1": ["2", "1", "–"],
        "paper, run 2": ["4", "2", "–"],
        "paper, mean of 2": ["3.00 ± 1.41", "1.50 ± 0.71", "–"],
    }
    assert tables.seed_table(frame, tasks["counts"], tasks["counts"].details) is None


def test_layers_of_the_systems_that_have_them(record: Make, read: Make, tasks: dict[str, Task]) -> None:
    frame = read(
        *(
            record(seed=seed, method="scnn", final={"degrees": {"a": a, "b": 1.0}})
            for seed, a in enumerate((0.25, 0.75))
        ),
        record(),
    )
    table = tables.layer_table(frame, "degrees")
    assert table is not None
    assert table.to_dict("index") == {"scnn, C4": {"a": "0.500 ± 0.354", "b": "1.00 ± 0.00"}}
    assert tables.layer_table(frame[frame["system"] == "ours"], "degrees") is None


def test_how_numbers_were_made(record: Make, read: Make, tasks: dict[str, Task]) -> None:
    first, second = several(record, [0.7, 0.8], strength=2.0)
    first["commit"], second["seconds"], second["peak_memory"] = "fedcba9876543210+", 180.0, 4_000_000
    frame = read(first, second)
    table = tables.made_table(frame, tasks["toy"])
    assert table.to_dict("index") == {
        f"`{frame['digest'].iloc[0]}`": {
            "seed: accuracy": "0: 0.7000, 1: 0.8000",
            "epochs": "3 ± 0",
            "best epoch": "2 ± 0",
            "seconds": "120 ± 85",
            "peak memory, MB": "3.00 ± 1.41",
            "commit": "`fedcba98` with changes, `01234567`",
            "command": "`equilatent run toy --method ours --group C4 --seed 0,1 --strength 2.0`",
        }
    }


def test_what_this_version_cannot_make_again_is_told(record: Make, read: Make, tasks: dict[str, Task]) -> None:
    gone = record()
    gone["config"]["momentum"] = 0.9
    (command,) = tables.made_table(read(gone), tasks["toy"])["command"]
    assert command == "at that commit: `equilatent run toy --method ours --group C4 --seed 0 --momentum 0.9`"


def test_missing_controls_are_told_with_their_commands(record: Make, read: Make, tasks: dict[str, Task]) -> None:
    frame = read(*several(record, [0.7, 0.8, 0.9]), *several(record, [0.6], method="cnn"))
    _, controls, said = beside(frame, tasks["toy"])
    table = tables.control_table(controls)
    assert table is not None
    assert dict(zip(table.index, table["command"], strict=True)) == {
        "cnn": "`equilatent run toy --method cnn --group C4 --seed 1,2`",
        "the same without the term": "`equilatent run toy --method ours --group C4 --seed 0..2 --strength 0.0`",
        "twice the epochs": "`equilatent run toy --method cnn --group C4 --seed 0..2 --epochs 20`",
    }
    assert said == (
        "`ours` on C4 has accuracy 0.800 ± 0.100 (3 seeds); too few seeds to tell it from `cnn` on C4 (0.800 ± 0.100 beside "
        "0.600, 3 and 1 seeds); not run: the same without the term on C4 and twice the epochs on C4."
    )


def test_the_command_of_a_control_makes_the_run_that_is_looked_for(
    record: Make, read: Make, tasks: dict[str, Task]
) -> None:
    frame = read(*several(record, [0.7], epochs=4, limit=50, group="D4"))
    _, controls, _ = beside(frame, tasks["toy"], "limit = 50, epochs = 4")
    made = {}
    for control in controls.itertuples():
        config = tyro.cli(tasks["toy"].config, args=shlex.split(control.command)[3:]).resolved()
        made[control.title] = (config.method, config.group, config.epochs, config.limit, config.strength)  # type: ignore[attr-defined]
        assert digest_of(type(config), config.identity, 2) == control.digest
    assert made == {
        "cnn": ("cnn", "D4", 4, 50, 1.0),
        "the same without the term": ("ours", "D4", 4, 50, 0.0),
        "twice the epochs": ("cnn", "D4", 8, 50, 1.0),
    }


def test_a_control_of_another_budget_stands_beside(record: Make, read: Make, tasks: dict[str, Task]) -> None:
    frame = read(
        *several(record, [0.7, 0.8], epochs=4),
        *several(record, [0.6, 0.6], epochs=4, method="cnn"),
        *several(record, [0.9, 0.9], epochs=8, method="cnn"),
        *several(record, [0.2, 0.2], epochs=6, method="cnn"),
        *several(record, [0.7, 0.9], epochs=4, strength=0.0),
    )
    shown, controls, _ = beside(frame, tasks["toy"], "epochs = 4")
    assert tables.control_table(controls) is None
    assert tables.cross_table(shown, tasks["toy"], "epochs = 4")["C4"].to_dict() == {
        "cnn": "0.600 ± 0.000 (2)",
        "cnn (twice the epochs)": "0.900 ± 0.000 (2)",
        "ours": "0.750 ± 0.071 (2)",
        "ours, strength = 0.0 (the same without the term)": "0.800 ± 0.141 (2)",
    }


def test_a_control_keeps_what_it_shares_with_its_run(record: Make, read: Make, tasks: dict[str, Task]) -> None:
    frame = read(
        record("counts", label="odd", final={"counts": {"1": 3}}),
        record("counts", label="odd", method="control", final={"counts": {"1": 3}}),
        record("counts", strength=9.0, final={"counts": {"1": 5}}),
    )
    _, controls, _ = beside(frame, tasks["counts"])
    assert controls["command"][controls["seeds"].str.len() > 0].tolist() == [
        "equilatent run counts --method control --group C4 --seed 0"
    ]


def test_the_verdict_says_above_below_or_neither(record: Make, read: Make, tasks: dict[str, Task]) -> None:
    frame = read(
        *several(record, [0.7, 0.8, 0.9]),
        *several(record, [0.6, 0.69, 0.8], method="cnn"),  # 0.1, 0.11 and 0.1 above
        *several(record, [0.6, 0.9, 0.9], strength=0.0),  # 0.1, −0.1 and 0 above
        *several(record, [0.9, 0.98, 1.1], method="cnn", epochs=20),  # 0.2, 0.18 and 0.2 below
    )
    _, _, said = beside(frame, tasks["toy"])
    p = [
        2 * stats.t.sf(mean * math.sqrt(3) / s, 2)
        for mean, s in ((0.31 / 3, 0.01 / math.sqrt(3)), (0.58 / 3, 0.02 / math.sqrt(3)))
    ]
    assert p[0] < 0.05 and p[1] < 0.05
    assert said == (
        f"`ours` is above `cnn` on C4 (+0.103 ± 0.006, 17.9 deviations, p = {p[0]:.2g}, 3 seeds each), not told apart from "
        "the same without the term on C4 (+0.000 ± 0.100, 0.0 deviations, p = 1, 3 seeds each) and below twice the epochs "
        f"on C4 (−0.193 ± 0.012, 16.7 deviations, p = {p[1]:.2g}, 3 seeds each)."
    )


def test_the_verdict_without_what_it_is_about(record: Make, read: Make, tasks: dict[str, Task]) -> None:
    _, _, said = beside(read(*several(record, [0.6], method="cnn")), tasks["toy"])
    assert said == "not run: `ours` on C4."
    exact = [*several(record, [0.75, 0.5]), *several(record, [0.5, 0.25], method="cnn")]
    assert beside(read(*exact), tasks["toy"])[2].startswith("`ours` is above `cnn` on C4 (by 0.250, 2 seeds each);")


def test_the_verdict_is_of_the_configuration_that_was_run(record: Make, read: Make, tasks: dict[str, Task]) -> None:
    frame = read(*several(record, [0.75, 0.5], strength=0.0), *several(record, [0.5, 0.25], method="cnn"))
    assert beside(frame, tasks["toy"])[2].startswith(
        "`ours, strength = 0.0` is above `cnn` on C4 (by 0.250, 2 seeds each)"
    )


def test_the_verdict_of_a_task_without_a_baseline(record: Make, read: Make, tasks: dict[str, Task]) -> None:
    def runs(method: str, counts: list[int]) -> list[dict[str, Any]]:
        return [
            record("counts", seed=seed, method=method, final={"counts": {"1": count, "i": 8 - count}})
            for seed, count in enumerate(counts)
        ]

    alone = runs("ours", [3, 5])
    measured = "`ours` on C4 has 1 4.00 ± 1.41, i 4.00 ± 1.41 (2 seeds; the paper 3.00 ± 1.41, 1.50 ± 0.71)"
    assert beside(read(*alone), tasks["counts"])[2] == f"{measured}; not run: the start alone on C4."
    said = beside(read(*alone, *runs("control", [4, 4])), tasks["counts"])[2]
    assert said.startswith(f"{measured}: it is not told apart from the start alone on C4 (+0.00 ± 1.41")


def test_every_command_of_the_archive_makes_its_digest_again() -> None:
    """But for those of which it is told that this version does not."""
    from equilatent.bench import load

    results = Path(__file__).parents[3] / "results"
    frame = load(results / "experiments", results / "superseded")
    again = 0
    for name, runs in frame.groupby("task", sort=False):
        for digest, command in tables.made_table(runs, CATALOGUE[name])["command"].items():
            config = tyro.cli(CATALOGUE[name].config, args=shlex.split(command.split("`")[1])[3:]).resolved()
            same = f"`{digest_of(type(config), config.identity, CATALOGUE[name].protocol)}`" == digest
            assert same != command.startswith("at that commit: "), command
            again += same
    assert again >= 8
