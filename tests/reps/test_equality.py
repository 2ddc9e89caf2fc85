"""Irreps as values: what is equal, and that equal irreps in one model are none of them lost."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable

import pytest
import torch
from torch import nn

from equilatent import groups, reps
from equilatent._layers import evaluating
from equilatent.groups import Group
from equilatent.reps import Irrep
from equilatent.reps._irreps import Field

D3, S3, Q8 = groups.dihedral(3), groups.symmetric(3), groups.quaternion()
COPIES: dict[str, Callable[[Irrep], Irrep]] = {
    "deepcopy": copy.deepcopy,
    "pickle": lambda rho: pickle.loads(pickle.dumps(rho)),
}


def test_irreps_made_twice_are_equal_and_one_key(G: Group, known: tuple[Irrep, ...], field: Field) -> None:
    again = reps.irreps(copy.deepcopy(G), field=field)
    assert again == known and all(a is not b for a, b in zip(again, known, strict=True))
    assert len({*again, *known}) == len(known)
    counts = dict.fromkeys(known, 0) | {rho: number for number, rho in enumerate(again)}
    assert list(counts.values()) == list(range(len(known)))


def test_no_two_irreps_of_one_group_are_equal(G: Group) -> None:
    both = [*reps.irreps(G), *reps.irreps(G, field="real")]
    assert all((a == b) == (a is b) for a in both for b in both)


@pytest.mark.parametrize("field", ["complex", "real"])
def test_equal_irreps_can_replace_each_other(field: Field) -> None:
    for first, second in zip(reps.irreps(Q8, field=field), reps.irreps(groups.quaternion(), field=field), strict=True):
        assert first == second and hash(first) == hash(second)
        assert torch.equal(first.matrix(Q8.elements), second.matrix(Q8.elements))
        assert torch.equal(first.character, second.character)


def test_irreps_of_other_groups_fields_and_kinds_differ() -> None:
    assert reps.irrep(D3, "sign") != reps.irrep(S3, "sign")  # isomorphic groups, but other numbers for the elements
    assert reps.irrep(D3, "sign") != reps.irrep(D3, "sign", field="real")
    assert reps.irrep(D3, "sign") != reps.sign(D3)  # isomorphic, but of another kind
    assert reps.irrep(D3, "sign") != "sign"
    assert reps.regular(D3) != reps.regular(D3)  # modules, by identity


def test_labels_and_names_do_not_matter() -> None:
    renamed = groups.Group(D3._law, D3.generators, label="another")  # not known as a group of permutations
    for first, second in zip(reps.irreps(D3), reps.irreps(renamed), strict=True):
        assert first == second and hash(first) == hash(second)
    assert reps.irrep(renamed, "2a") == reps.irrep(D3, "standard")
    counts = reps.multiplicities(reps.padded_regular(D3, 8))
    assert round(counts[reps.irrep(renamed, "2a")]) == 2
    assert counts == reps.multiplicities(reps.padded_regular(renamed, 8))


def test_multiplicities_answer_to_irreps_of_their_own_group_and_field() -> None:
    counts = reps.multiplicities(reps.regular(Q8), field="real")
    assert [round(counts[rho]) for rho in reps.irreps(groups.quaternion(), field="real")] == [1, 1, 1, 1, 1]
    for other in (reps.irrep(Q8, "trivial"), reps.irrep(D3, "trivial", field="real"), "2a"):
        assert other not in counts
        with pytest.raises(KeyError):
            counts[other]


@pytest.mark.parametrize("copied", COPIES)
@pytest.mark.parametrize("used", [False, True])
def test_copies_are_equal(copied: str, used: bool) -> None:
    rho = reps.irrep(Q8, "2a")
    if used:
        rho.matrix(1)
    twin = COPIES[copied](rho)
    assert twin is not rho and twin == rho and {rho: 1}[twin] == 1
    assert torch.equal(twin.matrix(Q8.elements), rho.matrix(Q8.elements))
    counts = reps.multiplicities(reps.regular(Q8))
    assert pickle.loads(pickle.dumps(counts)) == counts == copy.deepcopy(counts)
    assert counts[twin] == counts[rho]


# Equal irreps in one model


class Two(nn.Module):
    """A model that holds two equal irreps, and one of them by two names."""

    def __init__(self) -> None:
        super().__init__()
        self.first = reps.irrep(D3, "standard")
        self.second = reps.irrep(D3, "standard")
        self.again = self.first
        self.linear = nn.Linear(2, 2)


def test_modules_list_each_object_once() -> None:
    model = Two()
    assert [name for name, _ in model.named_modules()] == ["", "first", "second", "linear"]
    listed = [id(part) for part in model.modules()]
    assert listed.count(id(model.first)) == listed.count(id(model.second)) == 1
    every = [name for name, _ in model.named_modules(remove_duplicate=False)]
    assert every == ["", "first", "second", "again", "linear"]
    with evaluating(model):
        assert not model.first.training and not model.second.training
    assert model.first.training and model.second.training


@pytest.mark.parametrize("used", [False, True])
def test_both_follow_their_vectors(used: bool) -> None:
    model = Two()
    x, g = torch.eye(2).repeat(6, 1, 1), D3.elements
    expected = reps.irrep(D3, "standard").matrix(g).float()
    if used:
        assert torch.equal(model.first(x, g), expected) and torch.equal(model.second(x, g), expected)
    assert set(model.state_dict()) == {"linear.weight", "linear.bias"} and not list(model.buffers())
    model.to("meta")
    for rho in (model.first, model.second):
        assert rho(x.to("meta"), g.to("meta")).device.type == "meta"
        assert torch.equal(rho(x, g), expected)  # still there
    for twin in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert twin.first is twin.again and twin.first is not twin.second
        assert torch.equal(twin.first(x, g), expected) and torch.equal(twin.second(x, g), expected)


def test_equal_blocks_of_a_sum_stay_two_blocks() -> None:
    rho = reps.direct_sum(reps.irrep(D3, "standard"), reps.irrep(D3, "standard"))
    assert [count for _, count in rho.blocks] == [1, 1]
    standard = reps.irrep(D3, "standard").matrix(D3.elements)
    both = torch.stack([torch.block_diag(matrix, matrix) for matrix in standard])
    assert torch.equal(rho.matrix(D3.elements), both)
    assert torch.equal(rho.double()(torch.eye(4).double().repeat(6, 1, 1), D3.elements), both)


def test_an_irrep_as_a_latent_action_in_a_compiled_function() -> None:
    rho = reps.irrep(D3, "standard")
    x, g = torch.randn(4, 2), torch.tensor([0, 1, 3, 5])
    expected = rho(x, g)
    torch.compiler.reset()
    compiled = torch.compile(lambda x, g: rho(x, g), backend="eager", fullgraph=True)
    assert torch.equal(compiled(x, g), expected)
