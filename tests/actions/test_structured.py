"""Several tensors moved by one element: containers, laws part by part, boxes against drawn masks, refusals."""

from __future__ import annotations

import copy
import dataclasses
import pickle
import types
from collections import OrderedDict, UserDict, defaultdict
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor

from equilatent import actions, groups, reps
from equilatent.actions import StructuredAction, SupportsAction
from equilatent.errors import ActionError, EquilatentError, GroupError
from equilatent.testing import assert_action

C4, D4 = groups.cyclic(4), groups.dihedral(4)
IMAGE, WIND, TRIVIAL, LABELS = (
    actions.image(D4),
    actions.vector_field(D4),
    actions.trivial(D4),
    actions.labels(D4),
)
#: Boxes [B, N, 4]: row and column of the centre about the centre of the image, height, width.
BOXES = actions.channels(
    reps.direct_sum(IMAGE.components((0, 1)), reps.permutation(D4, {"r": [1, 0], "s": [0, 1]})), axis=2
)


class Pair(NamedTuple):
    image: Any
    wind: Any


@dataclasses.dataclass(frozen=True)
class Batch:
    image: Any
    wind: Any = None
    count: int = dataclasses.field(init=False, default=7)


@dataclasses.dataclass
class Output(OrderedDict):  # type: ignore[type-arg]
    """As the outputs of transformers: a mapping of the fields that are not None."""

    image: Any = None
    wind: Any = None

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            if getattr(self, field.name) is not None:
                self[field.name] = getattr(self, field.name)


def image(count: int = 4) -> Tensor:
    return torch.randn(count, 3, 6, 6, generator=torch.Generator().manual_seed(1))


def wind(count: int = 4) -> Tensor:
    return torch.randn(count, 2, 5, 5, generator=torch.Generator().manual_seed(2))


def elements(count: int = 4, seed: int = 3) -> Tensor:
    return D4.sample(count, generator=torch.Generator().manual_seed(seed))


def leaves(x: Any) -> list[Tensor]:
    """All tensors, in an order of their own: dicts by their keys."""
    if isinstance(x, Tensor):
        return [x]
    if isinstance(x, dict | UserDict | types.MappingProxyType):
        return [leaf for key in sorted(x, key=str) for leaf in leaves(x[key])]
    if dataclasses.is_dataclass(x):
        return [leaf for field in dataclasses.fields(x) if field.init for leaf in leaves(getattr(x, field.name))]
    return [leaf for part in x for leaf in leaves(part)]


KEYED, PLACED = {"image": IMAGE, "wind": WIND}, (IMAGE, WIND)
#: The parts of an action with a batch for it, which holds the image first and the wind second.
CASES: dict[str, tuple[Any, Any]] = {
    "dict": (KEYED, {"image": image(), "wind": wind()}),
    "dict in another order": (KEYED, {"wind": wind(), "image": image()}),
    "ordered dict": (KEYED, OrderedDict(image=image(), wind=wind())),
    "dict with a default": (KEYED, defaultdict(list, image=image(), wind=wind())),
    "mapping": (KEYED, UserDict(image=image(), wind=wind())),
    "read-only mapping": (KEYED, types.MappingProxyType({"image": image(), "wind": wind()})),
    "numbers as keys": ({0: IMAGE, 1: WIND}, {0: image(), 1: wind()}),
    "keys that modules use": ({"half": IMAGE, "type": WIND}, {"half": image(), "type": wind()}),
    "tuple": (PLACED, (image(), wind())),
    "list": (PLACED, [image(), wind()]),
    "list of actions": (list(PLACED), (image(), wind())),
    "named tuple": (PLACED, Pair(image(), wind())),
    "dataclass": (KEYED, Batch(image(), wind())),
    "dataclass that is a mapping": (KEYED, Output(image(), wind())),
    "nested": ({"a": [IMAGE], "b": {"c": (WIND,)}}, {"a": [image()], "b": {"c": (wind(),)}}),
    "structured inside": ((actions.structured(D4, {"x": IMAGE}), WIND), ({"x": image()}, wind())),
}


@pytest.mark.parametrize("case", CASES)
def test_each_part_is_moved_by_its_action_in_the_same_containers(case: str) -> None:
    parts, x = CASES[case]
    g = elements()
    moved = actions.structured(D4, parts)(x, g)
    first, second = leaves(moved)
    assert torch.equal(first, IMAGE(image(), g)) and torch.equal(second, WIND(wind(), g))
    assert type(moved) is type(x)
    if isinstance(x, dict | UserDict):
        assert list(moved) == list(x)
    assert all(map(torch.equal, leaves(x), [image(), wind()]))  # the input is left as it was


def test_what_else_a_container_holds_is_kept() -> None:
    x = defaultdict(list, image=image(), wind=wind())
    assert actions.structured(D4, KEYED)(x, elements())["missing"] == []
    act = actions.structured(D4, {"image": IMAGE})
    for batch in (Batch(image()), Output(image())):  # the wind is None
        moved = act(batch, elements())
        assert moved.wind is None and torch.equal(moved.image, IMAGE(image(), elements()))
    assert act(Batch(image()), elements()).count == 7 and list(act(Output(image()), elements())) == ["image"]
    inner = act(Batch(image()), elements())
    with pytest.raises(dataclasses.FrozenInstanceError):
        inner.image = image()


# Laws


def equal(left: Any, right: Any) -> bool:
    return all(map(torch.equal, leaves(left), leaves(right)))


@pytest.mark.parametrize("case", CASES)
def test_the_laws_of_an_action(case: str) -> None:
    parts, x = CASES[case]
    act = actions.structured(D4, parts)
    g, h = elements(seed=4), elements(seed=5)
    assert equal(act(x, torch.zeros_like(g)), x)
    assert equal(act(act(x, h), g), act(x, D4.product(g, h)))


@pytest.mark.parametrize("part", range(4))
def test_every_part_alone_is_an_action(part: int) -> None:
    whole = actions.structured(D4, (IMAGE, WIND, BOXES, LABELS))
    samples = (image(8), wind(8), torch.randn(8, 3, 4), torch.arange(8) % 4)

    def moves(x: Tensor, g: Tensor) -> Tensor:
        others = [sample[torch.arange(len(x)) % 8] for sample in samples]
        moved: Tensor = whole([*others[:part], x, *others[part + 1 :]], g)[part]
        return moved

    assert_action(actions.function(D4, moves), samples[part])


def test_boxes_move_as_the_masks_that_they_frame() -> None:
    def drawn(boxes: Tensor) -> Tensor:
        at = torch.arange(9) - 4.0
        rows = (at - boxes[..., 0, None]).abs() <= boxes[..., 2, None] / 2
        columns = (at - boxes[..., 1, None]).abs() <= boxes[..., 3, None] / 2
        return (rows[..., :, None] & columns[..., None, :]).any(1)

    boxes = torch.tensor([[[-2.0, 1.0, 2.0, 4.0], [3.0, -3.0, 0.0, 2.0]]]).expand(8, 2, 4)
    act = actions.structured(D4, {"mask": IMAGE, "boxes": BOXES})
    moved = act({"mask": drawn(boxes), "boxes": boxes}, D4.elements)
    assert torch.equal(drawn(moved["boxes"]), moved["mask"]) and len(moved["mask"].unique(dim=0)) == 8


def test_gradients_reach_every_part() -> None:
    x = {"image": image().requires_grad_(), "wind": wind().requires_grad_()}
    g = elements()
    moved = actions.structured(D4, KEYED)(x, g)
    weights = {name: value.detach().cos() for name, value in moved.items()}
    sum((moved[name] * weights[name]).sum() for name in moved).backward()
    back = D4.inverse(g)
    assert torch.equal(x["image"].grad, IMAGE(weights["image"], back))
    assert torch.equal(x["wind"].grad, WIND(weights["wind"], back))


# As a module


def test_it_is_a_module_that_reaches_the_tables_of_its_parts() -> None:
    act = actions.structured(D4, {"boxes": BOXES, "more": {"image": IMAGE}})
    assert isinstance(act, torch.nn.Module) and isinstance(act, SupportsAction) and act.group is D4
    assert not list(act.parameters()) and not act.state_dict()
    assert all(any(part is inner for inner in act.modules()) for part in (BOXES, IMAGE, BOXES.rho))
    assert {buffer.device.type for buffer in copy.deepcopy(act).to("meta").buffers()} == {"meta"}


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda act: pickle.loads(pickle.dumps(act))], ids=["copy", "pickle"])
def test_copies_act_alike(copied: Callable[[StructuredAction], StructuredAction]) -> None:
    parts, x = CASES["nested"]
    act = actions.structured(D4, parts)
    twin = copied(act)
    assert equal(twin(x, elements()), act(x, elements())) and repr(twin) == repr(act)


def test_in_words() -> None:
    act = actions.structured(D4, {"image": IMAGE, "target": (LABELS, {"score": reps.trivial(D4)})})
    assert act.describe() == (
        "image: image grid moved by D4, target: (0: permutation of 4 classes by D4, 1: (score: trivial of D4))"
    )
    assert repr(act) == f"StructuredAction({act.describe()})" and actions.describe_action(act) == act.describe()
    assert act.names == ("image", "target")


def test_an_action_that_is_no_module() -> None:
    class Negative:
        group = groups.cyclic(2)

        def __call__(self, x: Tensor, g: Tensor) -> Tensor:
            return x * (1 - 2 * g).view(-1, *[1] * (x.ndim - 1))

    act = actions.structured(Negative.group, (Negative(), actions.trivial(Negative.group)))
    moved, same = act((torch.ones(2, 3), torch.ones(2)), torch.tensor([0, 1]))
    assert moved.tolist() == [[1, 1, 1], [-1, -1, -1]] and same.tolist() == [1, 1]


@pytest.mark.parametrize("case", ["dict", "tuple", "list", "named tuple", "nested", "dataclass"])
def test_compiled_in_one_graph(case: str) -> None:
    parts, x = CASES[case]
    act, g = actions.structured(D4, parts), elements()
    torch.compiler.reset()
    compiled = torch.compile(lambda x, g: act(x, g), backend="eager", fullgraph=True)
    assert equal(compiled(x, g), act(x, g))
    torch.compiler.reset()


# Refusals


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        (IMAGE, r"parts is a dict, tuple or list of actions.*single tensor needs no structure"),
        ({}, r"parts is an empty dict"),
        ({"a": IMAGE, "b": []}, r"parts\['b'\] is an empty list; it needs an action for at least one part"),
        ({"a": (IMAGE, None)}, r"parts\['a'\]\[1\] should be an action or a representation of D4.*got None"),
        ((actions.image,), r"parts\[0\] should be an action.*eq\.actions\.function\(G, f\)"),
        ((StructuredAction,), r"parts\[0\] should be an action"),
        ({"a": {"b": actions.image(C4)}}, r"parts\['a'\]\['b'\] is an action of C4, but the whole is one of D4"),
        ([actions.structured(C4, [actions.trivial(C4)])], r"parts\[0\] is an action of C4"),
        (({"a": reps.regular(C4)},), r"parts\[0\]\['a'\] is an action of C4"),
    ],
)
def test_parts_that_are_no_actions_of_the_group(parts: Any, message: str) -> None:
    with pytest.raises(ActionError, match=message):
        actions.structured(D4, parts)


def test_what_is_no_group() -> None:
    with pytest.raises(ActionError, match=r"an action needs a group, such as .* got 4"):
        actions.structured(4, {"a": IMAGE})  # type: ignore[arg-type]


NESTED = {"image": IMAGE, "target": {"wind": WIND, "more": (TRIVIAL, TRIVIAL)}}
TARGET = {"wind": wind(), "more": (image(), image())}


@pytest.mark.parametrize(
    ("x", "message"),
    [
        ({"image": image()}, r"x has no part 'target', on which the action acts; it has 'image'\. Pass it"),
        ({}, r"x has no part 'image', 'target'.*it has none"),
        (
            {"image": image(), "target": TARGET, "id": image()},
            r"x has a part 'id'.*the action names 'image', 'target'\. Name it, with eq\.actions\.trivial\(G\) if",
        ),
        ({"image": image(), "target": TARGET | {"id": 1}}, r"x\['target'\] has a part 'id'"),
        (
            {"image": image(), "target": TARGET | {"more": (image(),)}},
            r"x\['target'\]\['more'\] has no part 1, on which",
        ),
        (
            {"image": image(), "target": TARGET | {"more": [image()] * 3}},
            r"x\['target'\]\['more'\] has a part 2, for which",
        ),
        (
            {"image": image(), "target": TARGET | {"more": {0: image(), 1: image()}}},
            r"x\['target'\]\['more'\] should be a tuple or a list of 0, 1; got dict",
        ),
        (
            {"image": image(), "target": [wind()]},
            r"x\['target'\] should be a dict or a dataclass of 'wind', 'more'.*list",
        ),
        (image(), r"x should be a dict or a dataclass of 'image', 'target'; got Tensor"),
        (Batch, r"x should be a dict or a dataclass of .*; got type"),
        (Pair(image(), wind()), r"x should be a dict or a dataclass of .*; got Pair"),
        (
            {"image": [image()], "target": TARGET},
            r"x\['image'\] should be a tensor \[B, …\]; got list\. Give its parts",
        ),
        ({"image": "cat", "target": TARGET}, r"x\['image'\] should be a tensor \[B, …\]; got str\. Leave out"),
        ({"image": torch.tensor(1.0), "target": TARGET}, r"x\['image'\] should be .*a single number\. Give it a batch"),
        (
            {"image": image(3), "target": TARGET},
            r"all parts of x hold the same samples; got 3 in x\['image'\], 4 in x\['target'\]\['wind'\]",
        ),
    ],
)
def test_batches_that_do_not_fit(x: Any, message: str) -> None:
    with pytest.raises(ActionError, match=message):
        actions.structured(D4, NESTED)(x, elements())


def test_a_field_of_a_dataclass_that_is_none_is_missing() -> None:
    with pytest.raises(ActionError, match=r"x has no part 'wind', on which the action acts; it has 'image'"):
        actions.structured(D4, KEYED)(Batch(image()), elements())


@pytest.mark.parametrize(
    ("g", "error", "message"),
    [
        (
            torch.zeros(3, dtype=torch.long),
            ActionError,
            r"one element for each sample: expected shape \[4\], got \[3\]",
        ),
        (torch.zeros(4, 1, dtype=torch.long), ActionError, r"expected shape \[4\], got \[4, 1\]"),
        (torch.tensor([0, 1, 2, 8]), GroupError, r"the integers 0 … 7; got values from 0 to 8"),
        ([0, 1, 2, 3], EquilatentError, r"LongTensor"),
    ],
)
def test_elements_that_do_not_fit(g: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        actions.structured(D4, KEYED)({"image": image(), "wind": wind()}, g)


def test_the_part_that_cannot_be_moved_is_named() -> None:
    with pytest.raises(ActionError, match="swaps axes of different length") as refusal:
        actions.structured(D4, {"a": [IMAGE]})({"a": [torch.zeros(4, 5, 6)]}, elements())
    assert refusal.value.__notes__ == ["The part that could not be transformed is x['a'][0]."]


def test_a_single_tensor_action_points_here() -> None:
    with pytest.raises(ActionError, match=r"got dict\. Several tensors, .* eq\.actions\.structured"):
        IMAGE({"image": image()}, elements())  # type: ignore[arg-type]
