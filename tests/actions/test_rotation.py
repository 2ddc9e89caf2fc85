"""Turns by interpolation against scipy, against exact quarter turns, and their mask against brute force."""

import copy
import math

import numpy as np
import pytest
import scipy.ndimage
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from equilatent import actions, groups, reps
from equilatent.actions import RotationAction
from equilatent.errors import ActionError, GroupError, NonFiniteError, RepresentationError
from equilatent.groups import Group
from equilatent.testing import assert_action

C8, D3, D4, D8 = groups.cyclic(8), groups.dihedral(3), groups.dihedral(4), groups.dihedral(8)
MODES = ("bilinear", "bicubic")


def noise(*shape: int, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(3), dtype=torch.float64).to(dtype)


def smooth(size: int, waves: float = 1.0) -> Tensor:
    """A band-limited image [1, 1, size, size]."""
    at = torch.linspace(-math.pi, math.pi, size, dtype=torch.float64)
    row, column = at[:, None], at
    return (torch.sin(waves * row + 0.3) * torch.cos(waves * column) + 0.5 * torch.sin(waves * (row + column)))[
        None, None
    ]


def turned_by_scipy(image: np.ndarray, matrix: np.ndarray, mode: str) -> np.ndarray:
    centre = (np.array(image.shape) - 1) / 2
    back = np.linalg.inv(matrix)
    return scipy.ndimage.affine_transform(image, back, offset=centre - back @ centre, order=1, mode=mode)


def inner(image: Tensor, mask: Tensor) -> Tensor:
    return image[..., mask]


# Values


@pytest.mark.parametrize("group", [groups.cyclic(5), C8, D3, groups.dihedral(7)], ids=lambda group: group.label)
@pytest.mark.parametrize("shape", [(9, 9), (8, 8), (7, 12)], ids=str)
def test_every_element_agrees_with_scipy_where_the_image_is_known(group: Group, shape: tuple[int, int]) -> None:
    act, x = actions.rotation(group), noise(*shape)
    moved = act(x.expand(group.order, 1, *shape), group.elements)
    matrices = reps.from_matrices(group, group.defining).matrix(group.elements).numpy()
    for g in range(group.order):
        expected = turned_by_scipy(x.numpy(), matrices[g], mode="grid-constant")
        mask = act.mask(shape, g).numpy()
        assert mask.any()
        np.testing.assert_allclose(moved[g, 0].numpy()[mask], expected[mask], atol=1e-12)


def test_zeros_outside_the_image_agree_with_scipy() -> None:
    # grid-constant is scipy's name for zeros that are interpolated with.
    x = noise(6, 11)
    moved = actions.rotation(C8)(x.expand(8, 1, 6, 11), C8.elements)
    for g in range(8):
        angle = 2 * math.pi * g / 8
        matrix = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
        expected = turned_by_scipy(x.numpy(), matrix, mode="grid-constant")
        np.testing.assert_allclose(moved[g, 0].numpy(), expected, atol=1e-12)


@pytest.mark.parametrize(("padding", "mode"), [("border", "nearest"), ("reflection", "reflect")])
def test_other_paddings_agree_with_scipy(padding: str, mode: str) -> None:
    x = noise(9, 9)
    moved = actions.rotation(C8, padding=padding)(x[None, None], torch.tensor([C8["r"]]))
    half = math.sqrt(0.5)
    expected = turned_by_scipy(x.numpy(), np.array([[half, -half], [half, half]]), mode=mode)
    np.testing.assert_allclose(moved[0, 0].numpy(), expected, atol=1e-12)


def test_r_turns_counter_clockwise_as_displayed_like_scipys_rotate() -> None:
    group = groups.cyclic(12)
    x = noise(15, 15)
    moved = actions.rotation(group)(x[None, None], torch.tensor([group["r"]]))[0, 0]
    expected = scipy.ndimage.rotate(x.numpy(), 30, reshape=False, order=1)
    mask = actions.rotation(group).mask((15, 15))
    np.testing.assert_allclose(inner(moved, mask), expected[mask.numpy()], atol=1e-12)


@pytest.mark.parametrize("n", [1, 2, 4])
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    ("dtype", "tolerance"), [(torch.float32, 5e-5), (torch.float64, 1e-12), (torch.bfloat16, 0.02)]
)
def test_quarter_turns_and_mirrors_are_those_of_image(n: int, mode: str, dtype: torch.dtype, tolerance: float) -> None:
    group = groups.dihedral(n)
    for size in (1, 2, 7, 28):
        x = noise(group.order, 3, size, size, dtype=dtype)
        moved = actions.rotation(group, mode=mode)(x, group.elements)
        assert moved.dtype == dtype
        torch.testing.assert_close(moved, actions.image(group)(x, group.elements), atol=tolerance, rtol=0)


def test_half_turns_and_mirrors_are_exact_in_images_that_are_not_square() -> None:
    group = groups.klein_four()
    x = noise(4, 2, 5, 8)
    expected = actions.image(group)(x, group.elements)
    torch.testing.assert_close(actions.rotation(group)(x, group.elements), expected, atol=1e-12, rtol=0)


def test_given_matrices_turn_the_other_way() -> None:
    half = math.sqrt(0.5)
    clockwise = actions.rotation(C8, matrices={"r": [[half, half], [-half, half]]})
    x = noise(2, 1, 9, 9)
    r = torch.tensor([C8["r"], C8["r3"]])
    torch.testing.assert_close(clockwise(x, r), actions.rotation(C8)(x, C8.inverse(r)))


@pytest.mark.parametrize(("mode", "gain"), [("bilinear", 3.2), ("bicubic", 1.8)])
def test_a_finer_image_comes_closer_to_the_true_turn(mode: str, gain: float) -> None:
    # Bilinear interpolation is of second order in the distance of the pixels; PyTorch's bicubic kernel, with its slope
    # parameter −0.75, of first order only.
    errors = []
    for size in (17, 33, 65):
        act = actions.rotation(C8, mode=mode)
        half = math.sqrt(0.5)
        at = torch.linspace(-1, 1, size, dtype=torch.float64)
        row, column = at[:, None], at

        def field(row: Tensor, column: Tensor) -> Tensor:
            return torch.sin(2 * row + 0.3) * torch.cos(3 * column)

        moved = act(field(row, column)[None, None], torch.tensor([C8["r"]]))[0, 0]
        # r takes p to M p, so the turned field at p is the field at Mᵀ p.
        truth = field(half * row + half * column, -half * row + half * column)
        errors.append(float(inner(moved - truth, act.mask((size, size))).abs().max()))
    assert errors[0] < 0.05
    assert errors[0] > gain * errors[1] > gain**2 * errors[2] > 0


# The mask


def dense_sources(act: RotationAction, shape: tuple[int, int], g: int) -> Tensor:
    """Which pixels of a much larger image each pixel inside depends on: bool [H, W, larger H, larger W]."""
    margin = max(shape) + 3
    size = [length + 2 * margin for length in shape]

    def centre(x: Tensor) -> Tensor:
        moved = act(x[None, None], torch.tensor([g]))[0, 0]
        return moved[margin : margin + shape[0], margin : margin + shape[1]]

    weights = torch.autograd.functional.jacobian(centre, torch.zeros(size, dtype=torch.float64))
    return weights.abs() > 1e-6


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("group", "shape"), [(C8, (5, 5)), (D3, (6, 6)), (groups.cyclic(5), (4, 7))], ids=str)
def test_the_mask_against_brute_force(mode: str, group: Group, shape: tuple[int, int]) -> None:
    act = actions.rotation(group, mode=mode)
    margin = max(shape) + 3
    each = act.mask(shape, group.elements)
    for g in range(group.order):
        outside = dense_sources(act, shape, g)
        outside[:, :, margin : margin + shape[0], margin : margin + shape[1]] = False
        assert torch.equal(each[g], ~outside.flatten(2).any(2))
        assert torch.equal(act.mask(shape, g), each[g])
    assert torch.equal(act.mask(shape), each.all(0))


@pytest.mark.parametrize("mode", MODES)
def test_inside_the_mask_the_padding_plays_no_part(mode: str) -> None:
    x, shape = noise(16, 2, 21, 18), (21, 18)
    by_padding = [actions.rotation(D8, mode=mode, padding=p)(x, D8.elements) for p in ("zeros", "border", "reflection")]
    mask = actions.rotation(D8, mode=mode).mask(shape, D8.elements)[:, None]
    assert mask.any() and not mask.all()
    for other in by_padding[1:]:
        torch.testing.assert_close(other * mask, by_padding[0] * mask, atol=1e-12, rtol=0)
        assert not torch.allclose(other, by_padding[0])


def test_nothing_is_missing_after_quarter_turns_of_a_square() -> None:
    assert actions.rotation(D4, mode="bicubic").mask((6, 6)).all()
    turned = actions.rotation(groups.cyclic(4)).mask((4, 6))
    assert turned.tolist() == [[False, True, True, True, True, False]] * 4


def test_the_mask_of_many_elements_is_about_a_disc() -> None:
    mask = actions.rotation(groups.cyclic(360)).mask((65, 65))
    at = torch.arange(65) - 32
    radius = (at[:, None] ** 2 + at**2).sqrt()
    assert mask[radius <= 32].all() and not mask[radius > 32.01].any()


# The error


@pytest.mark.parametrize("mode", MODES)
def test_the_error_by_hand(mode: str) -> None:
    act, x = actions.rotation(C8, mode=mode), smooth(24)
    g, h = torch.tensor([C8["r"]]), torch.tensor([C8["r3"]])
    error = act.error(x, pairs=(g, h))
    twice, directly = act(act(x, h), g), act(x, C8.product(g, h))
    once = act.mask((24, 24))
    # A pixel is compared if no element brings anything there from where something may be missing.
    leaked = act((noise(24, 24) * ~once).expand(8, 1, 24, 24), C8.elements).abs().amax((0, 1))
    compared = once & (leaked < 1e-6)
    assert error.covered == compared.double().mean()
    by_hand = inner(twice - directly, compared).square().mean() / inner(directly, compared).square().mean()
    assert float(by_hand) == pytest.approx(error.mean, rel=1e-9) and error.mean == error.worst
    # The padding plays no part in what is compared.
    wide = actions.rotation(C8, mode=mode, padding="border")
    assert wide.error(x, pairs=(g, h)).mean == pytest.approx(error.mean, rel=1e-6)


@pytest.mark.parametrize("mode", MODES)
def test_the_error_is_small_for_smooth_images_and_large_for_noise(mode: str) -> None:
    act = actions.rotation(C8, mode=mode)
    coarse, fine = act.error(smooth(32)).mean, act.error(smooth(96)).mean
    rough = act.error(noise(2, 1, 32, 32)).mean
    assert 0 < fine < coarse / 9 < 1e-2 / 9
    assert rough > 0.04 > 10 * coarse


def test_the_error_of_an_exact_action_is_rounding() -> None:
    error = actions.rotation(D4).error(noise(2, 3, 9, 9))
    assert len(error.g) == 64 and error.covered == 1.0
    assert 0 <= error.worst < 1e-25


def test_what_the_error_says() -> None:
    error = actions.rotation(C8).error(smooth(32))
    assert len(error.g) == len(error.h) == len(error.relative) == 64
    g, h = error.worst_pair
    again = actions.rotation(C8).error(smooth(32), pairs=(torch.tensor([g]), torch.tensor([h])))
    assert again.mean == pytest.approx(error.worst, rel=1e-9) and error.mean < error.worst
    assert "over 64 pairs of C8" in str(error) and f"{C8.name(g)!r}, {C8.name(h)!r}" in str(error)
    # A pair with the identity has nothing to interpolate twice.
    assert float(error.relative[(error.g == 0) | (error.h == 0)].max()) < 1e-20


def test_pairs_of_a_large_group_are_drawn_by_the_seed() -> None:
    act, x = actions.rotation(groups.cyclic(36)), smooth(24)
    first, again, other = (act.error(x, seed=seed) for seed in (0, 0, 1))
    assert len(first.g) == 256 and torch.equal(first.relative, again.relative)
    assert not torch.equal(first.g, other.g)


def test_the_law_fails_to_hold_exactly_and_assert_action_says_so() -> None:
    with pytest.raises(AssertionError, match=r"the largest difference is"):
        assert_action(actions.rotation(C8), smooth(16))


# A well-behaved module


def test_a_mixed_batch_is_moved_as_each_sample_alone() -> None:
    act, x = actions.rotation(D8), noise(16, 2, 9, 7)
    alone = torch.cat([act(x[g : g + 1], torch.tensor([g])) for g in range(16)])
    torch.testing.assert_close(act(x, D8.elements), alone, atol=1e-14, rtol=0)


def test_leading_axes_are_kept() -> None:
    act, x = actions.rotation(D3), noise(6, 2, 3, 8, 8)
    moved = act(x, D3.elements)
    assert moved.shape == x.shape
    assert torch.equal(moved[:, 1, 2], act(x[:, 1, 2], D3.elements))


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("padding", ["zeros", "border", "reflection"])
def test_gradients(mode: str, padding: str) -> None:
    act = actions.rotation(D3, mode=mode, padding=padding)
    x = noise(3, 1, 4, 5).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: act(x, torch.tensor([1, 3, 5])), (x,))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_rounded_once(dtype: torch.dtype) -> None:
    act = actions.rotation(C8)
    x = noise(8, 1, 64, 64, dtype=dtype)
    moved = act(x, C8.elements)
    assert moved.dtype == dtype
    assert torch.equal(moved, act(x.float(), C8.elements).to(dtype))


def test_copies_casts_and_states() -> None:
    act, x = actions.rotation(D8), noise(16, 1, 9, 9)
    expected = act(x, D8.elements)
    assert not act.state_dict() and not list(act.parameters())
    for twin in (copy.deepcopy(act), actions.rotation(D8).to(torch.float16)):
        assert torch.equal(twin(x, D8.elements), expected)


@pytest.mark.parametrize("shape", [(0, 1, 4, 4), (2, 0, 4, 4), (2, 1, 0, 4)], ids=str)
def test_nothing_to_move(shape: tuple[int, ...]) -> None:
    assert actions.rotation(C8)(torch.zeros(shape), torch.zeros(shape[0], dtype=torch.long)).shape == shape


def test_a_group_of_one_element() -> None:
    act, x = actions.rotation(groups.cyclic(1)), noise(2, 1, 5, 6)
    torch.testing.assert_close(act(x, torch.zeros(2, dtype=torch.long)), x, atol=1e-12, rtol=0)
    assert act.mask((5, 6)).all()


@settings(deadline=None, max_examples=30)
@given(n=st.integers(1, 40), height=st.integers(1, 12), width=st.integers(1, 12), mode=st.sampled_from(MODES))
def test_constants_stay_constant_inside_the_mask(n: int, height: int, width: int, mode: str) -> None:
    group = groups.dihedral(n)
    act = actions.rotation(group, mode=mode)
    ones = torch.ones(group.order, 1, height, width, dtype=torch.float64)
    moved = act(ones, group.elements)[:, 0]
    mask = act.mask((height, width), group.elements)
    torch.testing.assert_close(moved[mask], torch.ones_like(moved[mask]), atol=1e-9, rtol=0)


# Refusals


@pytest.mark.parametrize("dtype", [torch.int64, torch.uint8, torch.bool, torch.complex64], ids=str)
def test_images_that_cannot_be_interpolated(dtype: torch.dtype) -> None:
    with pytest.raises(ActionError, match=r"real floating numbers; got torch\..*one-hot scores"):
        actions.rotation(C8)(torch.zeros(1, 1, 4, 4, dtype=dtype), torch.tensor([1]))


def test_what_is_no_image() -> None:
    with pytest.raises(
        ActionError, match=r"image turned by C8 \(bilinear\) expects images \[B, …, H, W\]; got shape \[2, 4\]"
    ):
        actions.rotation(C8)(torch.zeros(2, 4), torch.tensor([0, 1]))


def test_groups_that_do_not_turn_the_plane() -> None:
    with pytest.raises(ActionError, match=r"S3 is not known as a group of motions of an image.*matrices="):
        actions.rotation(groups.symmetric(3))
    with pytest.raises(ActionError, match=r"real 2×2 matrices.*those of O are 3×3"):
        actions.rotation(groups.octahedral())


def test_matrices_that_do_not_fit() -> None:
    with pytest.raises(RepresentationError, match=r"the relator r\^?8"):
        actions.rotation(C8, matrices={"r": [[0.8, -0.6], [0.6, 0.8]]})
    with pytest.raises(ActionError, match=r"some matrices of C3 are not orthogonal: they stretch or shear"):
        actions.rotation(groups.cyclic(3), matrices={"r": [[0, -1], [1, -1]]})
    with pytest.raises(RepresentationError, match=r"given by its generators r; got t"):
        actions.rotation(C8, matrices={"t": [[1, 0], [0, 1]]})


@pytest.mark.parametrize(
    ("options", "message"), [({"mode": "nearest"}, "mode is one of"), ({"padding": 0}, "padding is")]
)
def test_unknown_options(options: dict[str, object], message: str) -> None:
    with pytest.raises(ActionError, match=message):
        actions.rotation(C8, **options)


def test_shapes_that_a_mask_cannot_have() -> None:
    with pytest.raises(ActionError, match=r"shape is the height and the width.*got \(3, 4, 4\)"):
        actions.rotation(C8).mask((3, 4, 4))
    with pytest.raises(ActionError, match=r"both positive; got \(0, 4\)"):
        actions.rotation(C8).mask((0, 4))
    with pytest.raises(GroupError, match=r"integers 0 … 7"):
        actions.rotation(C8).mask((4, 4), 8)


def test_images_on_which_no_error_can_be_measured() -> None:
    act, g = actions.rotation(C8), torch.tensor([1])
    with pytest.raises(ActionError, match=r"N > 0; got \[0, 1, 9, 9\]"):
        act.error(torch.zeros(0, 1, 9, 9))
    with pytest.raises(ActionError, match=r"zero wherever they are compared"):
        act.error(torch.zeros(1, 1, 9, 9))
    with pytest.raises(ActionError, match=r"images of 2×2 are too small"):
        act.error(torch.ones(1, 1, 2, 2))
    with pytest.raises(NonFiniteError, match=r"NaN or infinity"):
        act.error(torch.full((1, 1, 9, 9), torch.nan))
    with pytest.raises(ActionError, match=r"two LongTensors \[n\] with n > 0; got \[1\] and \[2\]"):
        act.error(smooth(9), pairs=(g, torch.tensor([1, 2])))
    with pytest.raises(ActionError, match=r"interpolates between pixels"):
        act.error(torch.ones(1, 1, 9, 9, dtype=torch.long))
