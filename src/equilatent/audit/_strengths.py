"""Strengths "auto": a weight for each element, from an audit, for all terms that involve g."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import torch
from torch import Tensor

from equilatent.audit._refits import Refits
from equilatent.errors import EquilatentError
from equilatent.groups import Subgroup
from equilatent.objective import DecodedTask, Equivariance, Term, TransformedTask

__all__ = ["strengths", "with_strengths"]


def strengths(refits: Refits, subgroup: Subgroup | None = None, *, graded: bool = False) -> Tensor:
    """The weight of each element in all terms that involve g, from held-out scores: float64 [order], in [0, 1].

    Its support is a subgroup, the largest that does not hurt: there the weight is 1, elsewhere 0. If there is none, only the
    identity is left, with which the transformed task is the task.

    Args:
        refits: of an audit, ``report.refits``.
        subgroup: another support.
        graded: whether an element of the support whose cyclic subgroup lost some score, though less than the margin, gets
            less: 1 + min(0, gain / margin), at least 0.

    Raises:
        EquilatentError: if the subgroup is one of another group.

    >>> import torch, equilatent as eq
    >>> G = eq.groups.klein_four()
    >>> x = torch.rand(400, 1, 2, 2, generator=torch.Generator().manual_seed(0))
    >>> brighter = (x[..., 0].sum((1, 2)) > x[..., 1].sum((1, 2))).long()  # is it the left side?
    >>> tiny = {"probe": lambda: torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(4, 2)), "steps": 40, "rate": 0.1}
    >>> found = eq.audit.refit(x, brighter, action=eq.actions.image(G), folds=2, **tiny)
    >>> dict(zip(G.names, eq.audit.strengths(found).tolist()))  # a mirrors up and down, b left and right
    {'e': 1.0, 'a': 1.0, 'b': 0.0, 'a b': 0.0}
    """
    group = refits.group
    if subgroup is not None and subgroup.parent != group:
        raise EquilatentError(
            f"the audit is of {group.label}, but the subgroup is {subgroup.label}. Take one of {group.label}."
        )
    if subgroup is None and refits.largest is not None:
        subgroup = refits.largest.subgroup
    weights = torch.zeros(group.order, dtype=torch.float64)
    weights[0] = 1
    for g in () if subgroup is None else subgroup.elements.tolist()[1:]:
        weights[g] = 1
        if graded:
            weights[g] = min(1.0, max(0.0, 1 + refits.of(g).gain.mean / refits.margin))
    return weights


def with_strengths(terms: Sequence[Term], weights: Tensor) -> list[Term]:
    """The terms, with the weight of each that involves g multiplied by that of the element.

    These are `TransformedTask`, `DecodedTask` and `Equivariance`; the others stay as they are. The task loss of the
    objective has to return one loss for each sample: ``partial(F.cross_entropy, reduction="none")``.

    Args:
        terms: of an objective.
        weights: one for each element, [order], as from `strengths`.

    Raises:
        EquilatentError: if weights do not fit those that a term has already.
        LatentError: for negative weights.

    >>> import torch, equilatent as eq
    >>> from equilatent.objective import Task, TransformedTask
    >>> eq.audit.with_strengths([Task(0.5), TransformedTask(0.5)], torch.tensor([1.0, 0.0]))
    [Task(weight=0.5), TransformedTask(weight=(0.5, 0.0))]
    """
    factors = torch.as_tensor(weights, dtype=torch.float64)
    if factors.ndim != 1:
        raise EquilatentError(f"weights holds one number for each element, [order]; got {list(factors.shape)}.")
    result: list[Term] = []
    for term in terms:
        if isinstance(term, TransformedTask | DecodedTask | Equivariance):
            own = torch.as_tensor(term.weight, dtype=torch.float64)
            if own.ndim and own.shape != factors.shape:
                raise EquilatentError(
                    f"{type(term).__name__} has {len(own)} weights, but weights holds {len(factors)}. Both are for the "
                    "elements of one group."
                )
            term = dataclasses.replace(term, weight=own * factors)
        result.append(term)
    return result
