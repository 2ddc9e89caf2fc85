"""Sums of irreps as text: what is printed is read back, and what cannot be read is refused."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import equilatent as eq
from equilatent.errors import RepresentationError
from equilatent.groups import Group
from equilatent.reps import Irrep
from equilatent.reps._irreps import Field

#: Groups with irreps of each kind, and with many names.
over_some = pytest.mark.parametrize("G", ["C1", "C12", "D4", "Q8", "Dic3", "A5", "C7⋊C3", "S3xQ8"], indirect=True)

D4, Q8 = eq.groups.dihedral(4), eq.groups.quaternion()


@over_some
def test_what_multiplicities_print_is_read_back(G: Group, known: tuple[Irrep, ...], field: Field) -> None:
    regular = eq.reps.regular(G)
    counts = eq.reps.multiplicities(regular, field=field)
    read = eq.reps.parse(G, str(counts), field=field)
    assert eq.reps.is_isomorphic(read, regular)
    assert read.label == str(counts)
    assert eq.reps.multiplicities(read, field=field).as_floats() == pytest.approx(counts.as_floats(), abs=1e-9)


@over_some
def test_every_name_alone_is_its_irrep(G: Group, known: tuple[Irrep, ...], field: Field) -> None:
    for rho in known:
        assert torch.equal(eq.reps.parse(G, rho.name, field=field).character, rho.character)
        assert eq.reps.parse(G, f"3 {rho.name}", field=field).dim == 3 * rho.dim


@settings(deadline=None, max_examples=30)
@given(
    name=st.sampled_from(["D3", "C12", "Q8", "C7⋊C3", "S4"]),
    field=st.sampled_from(["complex", "real"]),
    data=st.data(),
)
def test_any_sum_is_read_back(name: str, field: Field, data: st.DataObject) -> None:
    G = eq.testing.GROUPS[name]()
    known = eq.reps.irreps(G, field=field)
    counts = data.draw(st.lists(st.integers(0, 12), min_size=len(known), max_size=len(known)).filter(any))
    rho = eq.reps.direct_sum(*(eq.reps.multiple(sigma, count) for sigma, count in zip(known, counts, strict=True)))
    found = eq.reps.multiplicities(rho, field=field)
    assert [round(value) for value in found.values()] == counts and found.is_whole and found.residual < 1e-9
    read = eq.reps.parse(G, str(found), field=field)
    assert read.label == str(found) and read.dim == rho.dim
    assert eq.reps.is_isomorphic(read, rho)


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("2 2a", "2 2a"),
        ("2·2a", "2 2a"),
        ("2 · 2a", "2 2a"),
        ("2*2a", "2 2a"),
        ("2 × 2a", "2 2a"),
        ("2a", "2a"),
        ("22 2a", "22 2a"),
        ("1 2a", "2a"),
        ("  trivial⊕2a ", "trivial ⊕ 2a"),
        ("trivial + 1b+2 sign", "trivial ⊕ 1b ⊕ 2 sign"),
        ("sign ⊕ sign", "sign ⊕ sign"),
        ("regular + 2 trivial", "regular ⊕ 2 trivial"),
        ("3 regular", "3 regular"),
        ("0 sign + 2a", "2a"),
    ],
)
def test_ways_to_write_a_sum(text: str, label: str) -> None:
    assert eq.reps.parse(D4, text).label == label


@pytest.mark.parametrize(
    "text",
    ["", " ", "⊕", "trivial ⊕", "+ trivial", "2", "2 2", "22a", "2 3a", "-1 trivial", "1.5 trivial", "trivial, sign",
     "trivial sign", "2 2 2a", "Trivial", "permutation"],
)  # fmt: skip
def test_what_cannot_be_read_is_refused_with_the_names(text: str) -> None:
    with pytest.raises(RepresentationError, match=r"is no multiple of an irrep of D4\..* trivial, 1b, 1c, sign, 2a"):
        eq.reps.parse(D4, text)
    with pytest.raises(ValueError, match="in "):
        eq.reps.parse(D4, text)


def test_names_belong_to_their_field() -> None:
    assert eq.reps.parse(Q8, "2a").dim == 2
    assert eq.reps.parse(Q8, "2 4a", field="real").dim == 8
    with pytest.raises(
        RepresentationError, match=r"'2a' in 'trivial \+ 2a' is no multiple .* the real irreps are trivial"
    ):
        eq.reps.parse(Q8, "trivial + 2a", field="real")
    with pytest.raises(RepresentationError, match="field is 'complex' or 'real'; got 'rational'"):
        eq.reps.parse(Q8, "trivial", field="rational")  # type: ignore[arg-type]


def test_a_sum_that_was_read_acts_block_by_block() -> None:
    rho = eq.reps.parse(D4, "2 sign + 2a")
    g = D4["r"]
    sign, plane = eq.reps.irrep(D4, "sign").matrix(g), eq.reps.irrep(D4, "2a").matrix(g)
    assert torch.equal(rho.matrix(g), torch.block_diag(sign, sign, plane))
