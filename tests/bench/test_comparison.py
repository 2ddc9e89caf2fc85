"""Systems side by side: the cross table, differences against scipy, what the figures show, and the pages they stand in."""

import dataclasses
import json
import math
import statistics
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any
from xml.etree import ElementTree as ET

import numpy as np
import pytest
import scipy.stats

import equilatent as eq
from equilatent.bench import _comparison_figures as drawn
from equilatent.bench import comparison, tables
from equilatent.bench.comparison import Comparison, Point
from equilatent.bench.config import RunConfig
from equilatent.bench.recipe import Experiment
from equilatent.bench.report import make_report
from equilatent.bench.tables import Run, RunGroup, group_runs

COMPARED = Comparison("test_accuracy", "ours", "cnn", {"output_centred_by_element": "Error of the output"})
GROUPS = {"C4": "quarter turns", "D1": "mirrors"}
METHODS = {"cnn": "the network", "ours": "with the latent term", "scnn": "steerable"}
PUBLISHED = {
    ("cnn", "C4"): {"test_accuracy": "0.907 (0.004)", "parameters": "0.03 M"},
    ("ours", "C4"): {"test_accuracy": "0.915 (0.004)", "parameters": "0.03 M"},
    ("ours", "D1"): {"test_accuracy": ("0.94", "0.96"), "parameters": "33,742"},
    ("scnn", "C4"): {"test_accuracy": "0.484 (0.008)", "parameters": "0.12 M"},
}


@dataclass(frozen=True)
class ComparedExperiment(Experiment):
    comparison: Comparison | None = COMPARED


def never(*_: Any) -> Any:
    raise AssertionError("no run is made here")


DIGITS = ComparedExperiment(
    name="digits",
    title="Two digits",
    table="Table 4",
    config=RunConfig,
    methods=METHODS,
    groups=GROUPS,
    make=never,
    columns={"test_accuracy": "test accuracy", "parameters": "parameters"},
    published=PUBLISHED,
)


@pytest.fixture(autouse=True)
def _digits_are_an_experiment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "EXPERIMENTS", MappingProxyType({**tables.EXPERIMENTS, "digits": DIGITS}))


def errors_of(group: str, size: float = 0.1) -> dict[str, float]:
    one = {"C4": eq.groups.cyclic(4), "D1": eq.groups.dihedral(1)}[group]
    both = eq.groups.direct_product(one, one)
    return {both.name(g): size * g for g in range(both.order)}


def a_record(
    method: str = "ours", group: str = "C4", seed: int = 0, accuracy: Any = 0.9, config: Any = None, **final: Any
) -> dict[str, Any]:
    identity = json.loads(json.dumps(RunConfig(method=method, group=group).identity))
    return {
        "experiment": "digits",
        "method": method,
        "group": group,
        "seed": seed,
        "config": identity | (config or {}),
        "machine": {"processor": "abacus", "threads": 2, "device": "cpu"},
        "final": {"test_accuracy": accuracy, "parameters": 33742, "epochs": 50, "best_epoch": 40} | final,
        "seconds": 600.0,
        "peak_memory": 250_000_000,
        "data": {"source": "made up", "stand_in": None},
        "curve": [],
    }


def groups_of(*records: dict[str, Any]) -> list[RunGroup]:
    return group_runs(Run(Path(f"run{number}"), record) for number, record in enumerate(records))


def seeds_of(method: str, group: str, accuracies: list[float], **changes: Any) -> list[dict[str, Any]]:
    return [a_record(method, group, seed, accuracy, **changes) for seed, accuracy in enumerate(accuracies)]


def cells(table: tables.Table) -> dict[str, dict[str, str]]:
    return {row.cells[0]: dict(zip(table.headings[1:], row.cells[1:], strict=True)) for row in table.rows}


def test_the_cross_table_has_a_row_for_each_system_and_two_columns_for_each_group() -> None:
    groups = groups_of(
        *seeds_of("ours", "C4", [0.91, 0.92, 0.93]),
        *seeds_of("ours", "D1", [0.95]),
        *seeds_of("ours", "C4", [0.5, 0.7], config={"rate": 0.1}),
        *seeds_of("cnn", "C4", [0.9, 0.9]),
        a_record("pscnn", "A4", parameters=7),
    )
    table = comparison.cross_table(groups, COMPARED)
    shown = cells(table)
    assert list(shown) == ["cnn", "ours", "ours, rate = 0.1", "scnn", "pscnn"]
    assert list(table.headings) == [
        *("", "C4", "C4, paper", "D1", "D1, paper", "A4", "A4, paper", "parameters", "parameters, paper")
    ]
    assert shown["ours"] == {
        "C4": "0.920 ± 0.010 (3)",
        "C4, paper": "0.915 (0.004)",
        "D1": "0.950 (1)",
        "D1, paper": "0.950 ± 0.014",
        "A4": "–",
        "A4, paper": "–",
        "parameters": "33,742",
        "parameters, paper": "0.03 M / 33,742 / –",
    }
    assert shown["cnn"]["C4"] == "0.900 ± 0.000 (2)"
    # A published number never stands beside another configuration, and is there if nobody has run the system.
    changed = {name: cell for name, cell in shown["ours, rate = 0.1"].items() if cell}
    assert changed == {"C4": "0.600 ± 0.141 (2)", "D1": "–", "A4": "–", "parameters": "33,742"}
    assert shown["scnn"]["C4"] == "–" and shown["scnn"]["C4, paper"] == "0.484 (0.008)"
    assert [row.kind for row in table.rows] == ["run", "run", "run", "paper", "run"]
    assert shown["pscnn"]["A4"] == "0.900 (1)" and shown["pscnn"]["parameters"] == "7"


def test_other_data_are_another_row() -> None:
    others = [a_record(accuracy=0.5), a_record(accuracy=0.6), a_record(accuracy=0.7)]
    others[1]["data"] = {"source": "made up", "stand_in": "half of it"}
    others[2]["data"] = {"source": "elsewhere", "stand_in": None}
    shown = cells(comparison.cross_table(groups_of(*others), COMPARED))
    measured = {name: row["C4"] for name, row in shown.items() if row["C4"] != "–"}
    assert sorted(measured.values()) == ["0.500 (1)", "0.600 (1)", "0.700 (1)"]
    assert set(measured) == {"ours", "ours, other data 1", "ours, stand-in data"}
    assert shown["ours, stand-in data"]["C4, paper"] == shown["ours, other data 1"]["C4, paper"] == ""


@pytest.mark.parametrize("missing", [None, "much", True, {"r": 1}])
def test_a_number_that_a_run_lacks_leaves_a_dash(missing: Any) -> None:
    groups = groups_of(a_record(accuracy=0.9), a_record(seed=1, accuracy=missing), a_record("cnn"))
    assert cells(comparison.cross_table(groups, COMPARED))["ours"]["C4"] == "–"
    (said,) = comparison.differences(groups, COMPARED)
    assert said == "C4: ours and cnn cannot be compared: a run lacks the number."
    assert {p.method for p in comparison.points(groups, COMPARED, "seconds")} == {"cnn"}


@pytest.mark.parametrize("sizes", [(2, 2), (3, 5), (5, 3)])
def test_welch_agrees_with_scipy(sizes: tuple[int, int]) -> None:
    draw = np.random.default_rng(sum(sizes))
    first, second = (
        draw.normal(mean, deviation, n).tolist() for mean, deviation, n in zip((1, 2), (0.1, 3), sizes, strict=True)
    )
    t, freedom = comparison.welch(first, second)
    expected = scipy.stats.ttest_ind(first, second, equal_var=False)
    assert t == pytest.approx(expected.statistic, rel=1e-12)
    assert freedom == pytest.approx(expected.df, rel=1e-12)


@pytest.mark.parametrize(
    ("first", "second", "message"),
    [([1.0], [1.0, 2.0], "needs two numbers of each; got 1 and 2"), ([1.0] * 2, [2.0] * 3, "where neither side")],
)
def test_welch_refuses_what_has_no_deviation(first: list[float], second: list[float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        comparison.welch(first, second)


def test_differences_in_words() -> None:
    ours, theirs = [0.9, 0.92, 0.94], [0.88, 0.89, 0.9]
    groups = groups_of(*seeds_of("ours", "C4", ours), *seeds_of("cnn", "C4", theirs))
    t, freedom = comparison.welch(ours, theirs)
    # Deviations 0.02 and 0.01, a difference of 0.03.
    assert comparison.differences(groups, COMPARED) == [
        "C4: ours, 0.920 ± 0.020 (3 seeds), is 0.0300 above cnn, 0.890 ± 0.010 (3 seeds): +1.34 combined deviations, "
        f"√(s₁²\u00a0+\u00a0s₂²) = 0.0224; Welch's t = {t:.2f} with {freedom:.1f} degrees of freedom."
    ]
    assert math.isclose(0.03 / math.hypot(statistics.stdev(ours), statistics.stdev(theirs)), 1.3416, rel_tol=1e-4)


@pytest.mark.parametrize(
    ("ours", "theirs", "said"),
    [
        (
            [0.9],
            [0.8, 0.7],
            "is 0.150 above cnn, 0.750 ± 0.071 (2 seeds). With fewer than two seeds of each there is no",
        ),
        ([0.7, 0.7], [0.8, 0.8], "is 0.100 below cnn, 0.800 ± 0.000 (2 seeds). Neither deviates over its seeds"),
        ([0.8], [0.8], "ours, 0.800 (1 seed), is level with cnn, 0.800 (1 seed). With fewer"),
        ([0.6, 0.7], [0.8, 0.9], "is 0.200 below cnn, 0.850 ± 0.071 (2 seeds): −2.00 combined deviations"),
    ],
)
def test_differences_without_a_deviation(ours: list[float], theirs: list[float], said: str) -> None:
    groups = groups_of(*seeds_of("ours", "C4", ours), *seeds_of("cnn", "C4", theirs))
    (sentence,) = comparison.differences(groups, COMPARED)
    assert said in sentence


def test_what_is_compared_was_changed_alike() -> None:
    longer, short = {"epochs": 100}, {"epochs": 5}
    groups = groups_of(
        *(a_record("ours", "C4"), a_record("ours", "D1"), a_record("ours", "C4", config=short)),
        *(a_record("cnn", "C4"), a_record("cnn", "C4", config=short), a_record("cnn", "C4", config=longer)),
    )
    pairs = [said.split(", 0.900") for said in comparison.differences(groups, COMPARED)]
    named = [(pair[0], pair[1].split("with ")[1]) for pair in pairs]
    assert sorted(named) == [
        ("C4: ours", "cnn"),
        ("C4: ours", "cnn, epochs = 100"),
        ("C4: ours", "cnn, epochs = 5"),
        ("C4: ours, epochs = 5", "cnn, epochs = 5"),
    ]


def test_only_what_had_the_same_budget_is_compared() -> None:
    little, changed = {"limit": 20}, {"limit": 20, "rate": 0.1}
    groups = groups_of(
        *(a_record("ours", "C4"), a_record("cnn", "D1")),
        *(a_record("ours", "C4", config=little), a_record("cnn", "C4", accuracy=0.8, config=little)),
        a_record("ours", "C4", accuracy=0.7, config=changed, output_centred_by_element=errors_of("C4")),
    )
    whole, part = comparison.by_budget(groups, COMPARED)
    assert [comparison.budget_of(each, COMPARED) for each in (whole, part)] == ["", "limit = 20"]
    assert (len(whole), len(part)) == (2, 3)
    assert comparison.differences(whole, COMPARED) == []
    (said,) = comparison.differences(part, COMPARED)
    assert said.startswith("C4, limit = 20: ours, 0.900 (1 seed), is 0.100 above cnn, 0.800 (1 seed).")
    table = comparison.cross_table(part, COMPARED)
    # The paper's numbers are those of the default budget.
    assert list(table.headings) == ["", "C4", "parameters"] and "limit = 20: test accuracy" in table.title
    assert [row.cells[0] for row in table.rows] == ["cnn", "ours", "ours, rate = 0.1"]
    assert not any(point.paper for point in comparison.points(part, COMPARED, "parameters"))
    assert [point.changed for point in comparison.points(part, COMPARED, "parameters")] == [False, False, True]
    assert [picture.name for picture in comparison.pictures(part, COMPARED)] == [
        *("digits-limit-20-parameters", "digits-limit-20-seconds", "digits-limit-20-output-centred-by-element-C4")
    ]


def test_less_of_a_field_of_the_budget_is_a_budget_and_more_of_it_a_change() -> None:
    both = dataclasses.replace(COMPARED, budget=("limit", "epochs"))
    assert RunConfig().epochs == 90
    less, more = {"limit": 20, "epochs": 10}, {"limit": 20, "epochs": 100}
    groups = groups_of(*(a_record("cnn", config=config) for config in (less, more, {"limit": 20})))
    parts = comparison.by_budget(groups, both)
    assert [comparison.budget_of(part, both) for part in parts] == ["limit = 20", "limit = 20, epochs = 10"]
    names = [[row.cells[0] for row in comparison.cross_table(part, both).rows] for part in parts]
    assert names == [["cnn", "cnn, epochs = 100"], ["cnn"]]


def test_a_field_of_the_budget_that_is_no_number_is_a_change() -> None:
    both = dataclasses.replace(COMPARED, budget=("limit", "epochs"))
    (part,) = comparison.by_budget(groups_of(a_record("cnn", config={"epochs": None})), both)
    assert comparison.budget_of(part, both) == "" and comparison.system_of(part[0], both) == "cnn, epochs = None"


def test_margins_are_those_of_the_plain_method() -> None:
    ours, theirs = seeds_of("ours", "C4", [0.9, 0.92, 0.94]), seeds_of("cnn", "C4", [0.88, 0.89, 0.9])
    other = a_record("ours", "C4", accuracy=0.95, config={"rate": 0.1})
    groups = groups_of(*ours, *theirs, other, a_record("scnn", accuracy=None))
    found = dict(zip([g.system() for g in groups], comparison.margins(groups, COMPARED) or [], strict=True))
    # Deviations 0.02 and 0.01, as in the sentences above.
    assert found == {"ours": "–", "cnn": "+0.030 (+1.3 s)", "ours, rate = 0.1": "−0.030", "scnn": "–"}
    assert comparison.margins(groups_of(*theirs, other), COMPARED) is None


def test_summaries_are_apart_by_group_and_budget_and_say_how_far_behind_each_is() -> None:
    groups = groups_of(
        *(a_record("ours", "C4"), a_record("cnn", "C4", accuracy=0.8), a_record("cnn", "D1")),
        a_record("ours", "C4", config={"limit": 20}),
    )
    full, little, mirrors = tables.summary_tables(groups)
    assert "C4: all" in full.title and "D1: all" in mirrors.title and "C4, limit = 20: all" in little.title
    assert [row.cells[2] for row in full.rows] == ["+0.100", "–"]
    assert "ours is above by" in full.headings and "ours is above by" not in mirrors.headings
    assert little.rows[0].cells[0].startswith("ours (`")


def test_numbers_by_layer_are_a_table_of_the_systems_that_have_them() -> None:
    learned = dataclasses.replace(COMPARED, by_layer={"degrees": "Degree of each layer", "none": "Nothing"})
    groups = groups_of(
        a_record("ours", "C4"),
        *(a_record("scnn", "C4", seed, degrees={"block1": 1.0 - seed / 2, "block2": 0.5}) for seed in range(2)),
        a_record("scnn", "D1", degrees={"block1": 0.25}),
    )
    (table,) = comparison.layer_tables(groups, learned)
    assert cells(table) == {
        "scnn, C4": {"block1": "0.750 ± 0.354", "block2": "0.500 ± 0.000"},
        "scnn, D1": {"block1": "0.250", "block2": "–"},
    }


def test_how_the_numbers_were_made() -> None:
    record = {**a_record(seed=2, accuracy=0.91234, config={"limit": 20}), "commit": "0123456789abcdef"}
    table = tables.making_table(groups_of(a_record(accuracy=0.9, config={"limit": 20}), record))
    (row,) = table.rows
    made = dict(zip(table.headings, row.cells, strict=True))
    assert made["seed: test accuracy"] == "0: 0.9000, 2: 0.9123"
    assert made["best epoch"] == "41 ± 0" and made["seconds"] == "600 ± 0"
    assert made["commit"] == "not a checkout, `01234567`"
    assert made["command"] == "`equilatent run digits --method ours --group C4 --seed 0,2 --limit 20`"


def test_points_are_means_with_deviations_and_the_papers() -> None:
    groups = groups_of(*seeds_of("ours", "C4", [0.9, 0.94]), a_record("cnn", "D1", config={"rate": 0.1}))
    groups[0].runs[0].record["seconds"] = 1200.0  # type: ignore[index]
    by_size, by_time = (comparison.points(groups, COMPARED, x) for x in ("parameters", "seconds"))
    measured = [p for p in by_size if not p.paper]
    assert [(p.method, p.group, p.x, p.changed) for p in measured] == [
        ("cnn", "D1", 33742, True),
        ("ours", "C4", 33742, False),
    ]
    assert measured[1].y == pytest.approx(0.92) and measured[1].y_deviation == pytest.approx(0.02 * math.sqrt(2))
    assert (measured[0].x_deviation, measured[0].y_deviation) == (0, 0)
    assert [p for p in by_size if p.paper] == [
        Point("cnn", "C4", 30e3, 0.0, 0.907, 0.004, paper=True),
        Point("ours", "C4", 30e3, 0.0, 0.915, 0.004, paper=True),
        Point("ours", "D1", 33742.0, 0.0, pytest.approx(0.95), pytest.approx(0.02 / math.sqrt(2)), paper=True),
        Point("scnn", "C4", 120e3, 0.0, 0.484, 0.008, paper=True),
    ]
    assert not any(p.paper for p in by_time)
    assert {p.x for p in by_time} == {600, 900}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0.907 (0.004)", (0.907, 0.004)),
        ("0.9 ± 0.1", (0.9, 0.1)),
        ("33,742", (33742.0, 0.0)),
        ("0.03 M", (30e3, 0.0)),
        ("120k", (120e3, 0.0)),
        (("1", "3"), (2.0, math.sqrt(2))),
        (("1",), (1.0, 0.0)),
        ((), None),
        ("about 3", None),
        ("–", None),
        (None, None),
    ],
)
def test_published_numbers_are_read(text: Any, value: Any) -> None:
    assert comparison._printed(text) == (value if value is None else pytest.approx(value))


def test_errors_of_elements_are_averaged_over_the_seeds() -> None:
    name = "output_centred_by_element"
    groups = groups_of(
        a_record(seed=0, **{name: errors_of("C4", 0.1)}),
        a_record(seed=1, **{name: errors_of("C4", 0.3)}),
        a_record("cnn"),
        a_record("cnn", seed=1, **{name: errors_of("C4")}),
        a_record("scnn", **{name: errors_of("C4") | {"e": None}}),
        a_record("ours", "D1", **{name: errors_of("D1")}),
    )
    errors = comparison.element_errors(groups, COMPARED, name)
    assert list(errors) == ["C4", "D1"]
    assert list(errors["C4"]) == ["ours"], "of the others a seed has no such mapping, or one with a gap"
    assert errors["C4"]["ours"] == pytest.approx(errors_of("C4", 0.2))
    assert comparison.element_errors(groups, COMPARED, "nothing") == {}


@pytest.mark.parametrize("name", ["C4", "D1", "D4"])
def test_elements_of_a_product_of_two_are_pairs(name: str) -> None:
    one = {"C4": eq.groups.cyclic(4), "D1": eq.groups.dihedral(1), "D4": eq.groups.dihedral(4)}[name]
    both = eq.groups.direct_product(one, one)
    pairs = drawn._as_pairs([both.name(g) for g in range(both.order)])
    assert pairs is not None

    def plainly(element: int) -> str:
        return one.name(element).replace("2", "^2").replace("3", "^3")

    assert pairs == [tuple(map(plainly, both.split(g))) for g in range(both.order)]


@pytest.mark.parametrize("group", [eq.groups.dihedral(4), eq.groups.symmetric(4), eq.groups.cyclic(1)])
def test_elements_of_other_groups_are_a_strip(group: eq.groups.Group) -> None:
    names = [group.name(g) for g in range(group.order)]
    assert drawn._as_pairs(names) is None
    figure = drawn.elements({"ours": dict.fromkeys(names, 0.5), "cnn": dict.fromkeys(names, 1.5)})
    (image,) = figure.axes[0].images
    assert np.array_equal(image.get_array(), np.repeat([[0.5], [1.5]], group.order, 1))


def test_a_square_for_each_system_has_each_element_in_its_place() -> None:
    errors = errors_of("C4")
    figure = drawn.elements({"ours": errors, "cnn, with a long name of its own": {"e": 0.25}})
    ours, theirs = (axis.images[0].get_array() for axis in figure.axes[:2])
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == ["e", "r", "r²", "r³"]
    for element, (row, column) in {"e": (0, 0), "r_2": (0, 1), "r_1": (1, 0), "r_1^3 r_2^2": (3, 2)}.items():
        assert ours[row, column] == errors[element]
    assert theirs[0, 0] == 0.25 and np.isnan(np.delete(np.ravel(theirs), 0)).all()


def test_the_plots_have_a_panel_for_each_group_and_hollow_markers_for_the_paper() -> None:
    groups = groups_of(a_record("ours", "C4"), a_record("cnn", "C4"), a_record("cnn", "D1"))
    found = comparison.points(groups, COMPARED, "parameters")
    figure = drawn.scatter(found, list(GROUPS), list(METHODS), "accuracy", "parameters")
    assert figure is not None
    assert [axis.get_title() for axis in figure.axes] == ["C4", "D1"]
    for axis, group in zip(figure.axes, GROUPS, strict=True):
        lines = [bar.lines[0] for bar in axis.containers]
        here = [p for p in found if p.group == group]
        assert [line.get_ydata()[0] for line in lines] == [p.y for p in here]
        assert [line.get_markerfacecolor() == "none" for line in lines] == [p.paper for p in here]
        places = [line.get_xdata()[0] for line in lines]
        assert len(set(places)) == len(places), "none hides another"
        assert np.allclose(places, [p.x for p in here], rtol=0.2)


def test_a_method_has_its_colour_also_where_others_are_not_shown() -> None:
    found = comparison.points(groups_of(a_record("ours", "C4"), a_record("cnn", "C4")), COMPARED, "seconds")
    both = drawn.scatter(found, ["C4"], list(METHODS), "accuracy", "seconds")
    alone = drawn.scatter([p for p in found if p.method == "ours"], ["C4"], list(METHODS), "accuracy", "seconds")
    assert both is not None and alone is not None
    colours = [[bar.lines[0].get_color() for bar in figure.axes[0].containers] for figure in (both, alone)]
    assert colours[0][1] == colours[1][0] != colours[0][0]
    legend = [text.get_text() for text in alone.legends[0].get_texts()]
    assert legend == ["ours"]


def test_nothing_measured_is_no_plot() -> None:
    only_paper = [Point("cnn", "C4", 30e3, 0, 0.9, 0, paper=True)]
    assert drawn.scatter(only_paper, ["C4"], ["cnn"], "accuracy", "parameters") is None
    assert drawn.scatter([], [], [], "accuracy", "parameters") is None
    assert drawn.scatter([Point("cnn", "C4", 0, 0, 0.9, 0)], ["C4"], ["cnn"], "accuracy", "parameters") is None


def test_figures_say_where_times_were_taken() -> None:
    elsewhere = a_record("cnn")
    elsewhere["machine"] = {"device": "a GPU"}
    (_, one), (_, two) = (comparison.pictures(groups_of(*r), COMPARED) for r in ([a_record()], [a_record(), elsewhere]))
    assert one.caption.endswith("Made on abacus, 2 threads.")
    assert two.caption.endswith("Times on different machines do not compare: a GPU; abacus, 2 threads.")


def all_records() -> list[dict[str, Any]]:
    name = "output_centred_by_element"
    return [
        *seeds_of("ours", "C4", [0.91, 0.92, 0.93], **{name: errors_of("C4")}),
        *seeds_of("cnn", "C4", [0.9, 0.89]),
        *seeds_of("cnn", "D1", [0.95], **{name: errors_of("D1")}),
    ]


def save(folder: Path, records: list[dict[str, Any]]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for number, record in enumerate(records):
        (folder / f"{number}.json").write_text(json.dumps(record), "utf-8")
    return folder


def test_the_documentation_gets_tables_sentences_and_figures(tmp_path: Path) -> None:
    page, records = tmp_path / "page.md", save(tmp_path / "records", all_records())
    page.write_text("<!-- begin digits -->\n<!-- end digits -->\n")
    assert tables.write_pages([page], records) == []
    text = page.read_text("utf-8")
    assert "| ours | 0.920 ± 0.010 (3) | 0.915 (0.004) | – | 0.950 ± 0.014 | 33,742 | 0.03 M / 33,742 |" in text
    assert "- C4: ours, 0.920 ± 0.010 (3 seeds), is 0.0250 above cnn" in text
    drawings = {path.name: path.read_text("utf-8") for path in (tmp_path / "images").iterdir()}
    assert set(drawings) == {
        *("digits-parameters.svg", "digits-seconds.svg"),
        *(f"digits-output-centred-by-element-{group}.svg" for group in GROUPS),
    }
    for name, drawing in drawings.items():
        assert text.count(f"](images/{name})") == 1
        ET.fromstring(drawing)
    tables.write_pages([page], records)
    assert page.read_text("utf-8") == text
    assert {path.name: path.read_text("utf-8") for path in (tmp_path / "images").iterdir()} == drawings


def test_mappings_of_elements_stay_out_of_the_other_tables(tmp_path: Path) -> None:
    report = make_report([save(tmp_path, all_records())])
    assert "r_1" not in report.markdown() and "images/" not in report.markdown()
    assert "| peak memory, MB |" in report.markdown() and "| 250 ± 0 |" in report.markdown()


def test_the_page_shows_the_comparison(tmp_path: Path) -> None:
    report = make_report([save(tmp_path / "records", all_records())])
    (page,) = report.write(tmp_path / "page.html")
    text = page.read_text("utf-8")
    for title in ("Test accuracy against parameters", "Test accuracy against training time", "Error of the output, C4"):
        assert text.count(f"<h4>{title}</h4>") == 1
    assert "<li>C4: ours, 0.920 ± 0.010 (3 seeds), is 0.0250 above cnn" in text
    assert text.index("mean ± deviation (number of seeds)") < text.index("all configurations") < text.index("<section>")


@pytest.mark.parametrize("published", [{}, PUBLISHED], ids=["nothing published", "published"])
@pytest.mark.parametrize(
    "records",
    [
        [a_record("unheard of", "torus")],
        [a_record(accuracy=None, parameters=None)],
        [{**a_record(), "final": {}, "machine": None, "data": {}}],
        [a_record(output_centred_by_element={})],
        [a_record(output_centred_by_element={"e": 0.0})],
        [a_record(output_centred_by_element=[1, 2])],
        [a_record(parameters=0), a_record("cnn", accuracy=-1.0)],
        [{**a_record(), "seconds": 0}],
    ],
)
def test_odd_records_never_break_a_page(
    records: list[dict[str, Any]], published: Mapping[Any, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    odd = dataclasses.replace(DIGITS, published=published)
    monkeypatch.setattr(tables, "EXPERIMENTS", MappingProxyType({"digits": odd}))
    page = tmp_path / "page.md"
    page.write_text("<!-- begin digits -->\n<!-- end digits -->\n")
    assert tables.write_pages([page], save(tmp_path / "records", records)) == []
    assert "| 0: " in page.read_text("utf-8") and "nan" not in page.read_text("utf-8")


def test_an_experiment_without_a_comparison_has_none() -> None:
    plain = groups_of(a_record())[0]
    assert comparison.comparison_of([plain]) is COMPARED
    assert comparison.comparison_of([]) is None
    without = dataclasses.replace(plain, experiment=dataclasses.replace(DIGITS, comparison=None))
    assert "paper's mean" not in tables.experiment_block([without])
