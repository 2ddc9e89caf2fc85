"""Images of the generators are multiplied in the order in which words are read."""

import pytest
import torch

from equilatent import groups, reps
from equilatent.errors import RepresentationError
from equilatent.testing import assert_representation


def test_words_are_read_so_that_the_last_generator_acts_first() -> None:
    # In this group of order 21 the relators do not hold for the inverses of the generators.
    G = groups.from_presentation("a^7, b^3, b a b^-1 = a^2")
    images = {"a": [(i + 1) % 7 for i in range(7)], "b": [2 * i % 7 for i in range(7)]}
    rho = reps.permutation(G, images)
    assert rho(torch.arange(7)[None], torch.tensor([G["a b"]]))[0].tolist() == [3, 0, 4, 1, 5, 2, 6]  # 2i + 1 holds i
    assert_representation(rho)
    assert_representation(reps.from_matrices(G, {x: rho.matrix(g) for x, g in G.generators.items()}))
    with pytest.raises(RepresentationError, match=r"no action of"):
        reps.permutation(G, {"a": images["a"], "b": [4 * i % 7 for i in range(7)]})
