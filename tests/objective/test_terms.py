"""Each term of an objective against its formula, written out by hand, and what each asks of the model."""

from __future__ import annotations

import dataclasses
import functools
from collections import OrderedDict
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import equilatent as eq
from equilatent.errors import ActionError, EquilatentError, LatentError
from equilatent.objective import Algebra, DecodedTask, Decorrelation, Equivariance, Task, TransformedTask

C3 = eq.groups.cyclic(3)
#: C3 turns three numbers: r takes entry i to i + 1.
TURN = eq.reps.regular(C3)
STILL = eq.actions.trivial(C3)
G = torch.tensor([0, 1, 2, 1, 2])
mse = nn.functional.mse_loss
cross_entropy = nn.functional.cross_entropy


def turned(x: Tensor, g: Tensor) -> Tensor:
    return torch.stack([row.roll(int(k), -1) for row, k in zip(x, g, strict=True)])


def batch(size: int = 5) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(size, 3, generator=generator).double(), torch.randint(2, (size,), generator=generator)


class Net(nn.Module):
    """Three numbers, a latent of six, and two scores; it counts what runs."""

    def __init__(self, skip: bool = False) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.encoder = nn.Sequential(nn.Linear(3, 6), nn.Tanh()).double()
        self.head = nn.Sequential(nn.Linear(6, 6), nn.Tanh(), nn.Linear(6, 2)).double()
        self.skip = skip
        self.runs: list[str] = []
        self.encoder.register_forward_pre_hook(lambda module, inputs: self.runs.append("encoder"))
        self.head.register_forward_pre_hook(lambda module, inputs: self.runs.append("head"))

    @property
    def pair(self) -> tuple[nn.Module, nn.Module]:
        return self.encoder, self.head

    def forward(self, x: Tensor) -> Tensor:
        latent = self.encoder(x)
        return self.head(latent) + (x[:, :2] if self.skip else 0)


def objective(*terms: Any, **changes: Any) -> eq.Objective:
    arguments: dict[str, Any] = {"input": TURN, "output": STILL, "task_loss": cross_entropy}
    return eq.Objective(C3, terms=list(terms), **{**arguments, **changes})


def on_latents(z: Tensor, g: Tensor) -> Tensor:
    """Two copies of the regular representation."""
    return turned(z.view(len(z), 2, 3), g).reshape(z.shape)


# Values


def test_the_shorthand_is_its_list_of_terms() -> None:
    short = eq.Objective(
        C3, input=TURN, output=STILL, task_loss=cross_entropy, layer="encoder", strength=2.0, decorrelation=0.3
    )
    long = objective(Task(0.5), TransformedTask(0.5), Equivariance("encoder", 2.0), Decorrelation("encoder", 0.3))
    assert short.terms == tuple(long.terms)
    x, y = batch()
    assert short(Net(), x, y, g=G)[1].as_floats() == long(Net(), x, y, g=G)[1].as_floats()


@pytest.mark.parametrize("style", ["pair", "layer"])
def test_the_decoded_task(style: str) -> None:
    net, (x, y) = Net(), batch()
    layer = "encoder" if style == "layer" else None
    loss, terms = objective(DecodedTask(layer, 0.7))(net if layer else net.pair, x, y, g=G)
    expected = 0.7 * cross_entropy(net.head(on_latents(net.encoder(x), G)), y)
    assert loss.item() == pytest.approx(expected.item())
    assert terms.as_floats() == pytest.approx({"loss": expected.item(), "decoded_task": expected.item() / 0.7})
    parameters = list(net.parameters())
    torch.testing.assert_close(torch.autograd.grad(loss, parameters), torch.autograd.grad(expected, parameters))


def divergence(p: Tensor, q: Tensor) -> float:
    """KL(softmax(p) ‖ softmax(q)), a number at a time."""
    rows = []
    for a, b in zip(p.tolist(), q.tolist(), strict=True):
        a, b = np.exp(a) / np.exp(a).sum(), np.exp(b) / np.exp(b).sum()
        rows.append(float((a * np.log(a / b)).sum()))
    return float(np.mean(rows))


@pytest.mark.parametrize("style", ["pair", "module"])
def test_the_consistency_of_scores(style: str) -> None:
    net, (x, _) = Net(), batch()
    loss, terms = objective(Equivariance("", 0.5, distance="kl"))(net.pair if style == "pair" else net, x, g=G)
    expected = divergence(net(x).detach(), net(turned(x, G)).detach())
    assert terms.equivariance["output"].item() == pytest.approx(expected)
    assert loss.item() == pytest.approx(0.5 * expected)


def test_the_output_is_transformed_as_targets_are() -> None:
    swap = eq.actions.labels(C3, {"r": [1, 2, 0]})
    model = nn.Linear(3, 3).double()
    x, _ = batch()
    _, terms = objective(Equivariance(""), output=swap)(model, x, g=G)
    scores = model(x)
    expected = torch.stack([row.roll(int(k)) for row, k in zip(scores, G, strict=True)])
    assert terms.equivariance["output"].item() == pytest.approx(mse(expected, model(turned(x, G))).item())


def test_scores_along_another_axis() -> None:
    model = nn.Unflatten(1, (3, 1))
    x, _ = batch()
    first = objective(Equivariance("", distance="kl", axis=1))(model, x, g=G)[0]
    last = objective(Equivariance("", distance="kl", axis=-1))(model, x, g=G)[0]
    assert last.item() == pytest.approx(0, abs=1e-12) and first.item() > 0.1  # softmax of a single score is 1


@pytest.mark.parametrize("detach", [None, "source", "transformed"])
def test_gradients_reach_the_sides_that_are_not_detached(detach: Any) -> None:
    net, (x, _) = Net(), batch()
    loss, _ = objective(Equivariance("encoder", detach=detach))(net, x, g=G)
    expected, target = on_latents(net.encoder(x), G), net.encoder(turned(x, G))
    if detach == "source":
        expected = expected.detach()
    if detach == "transformed":
        target = target.detach()
    parameters = list(net.encoder.parameters())
    right = torch.autograd.grad(mse(expected, target), parameters)
    torch.testing.assert_close(torch.autograd.grad(loss, parameters), right)


@pytest.mark.parametrize("kind", [list, torch.tensor, np.array])
def test_a_weight_for_each_element(kind: Any) -> None:
    net, (x, y) = Net(), batch()
    weights = [0.1, 2.0, 30.0]
    one_each = functools.partial(cross_entropy, reduction="none")
    terms = [
        TransformedTask(kind(weights)),
        DecodedTask(None, kind(weights)),
        Equivariance(None, kind(weights)),
        Equivariance("", kind(weights), distance="kl"),
    ]
    loss, record = objective(*terms, task_loss=one_each)(net.pair, x, y, g=G)
    expected = 0.0
    for sample, g in enumerate(G):
        one, label, element = x[sample : sample + 1], y[sample : sample + 1], G[sample : sample + 1]
        parts = objective(
            TransformedTask(), DecodedTask(), Equivariance(), Equivariance("", distance="kl"), task_loss=cross_entropy
        )
        expected += weights[int(g)] * parts(net.pair, one, label, g=element)[0].item() / len(x)
    assert loss.item() == pytest.approx(expected)
    assert record.transformed_task.item() == pytest.approx(cross_entropy(net(turned(x, G)), y).item())


def test_a_weight_for_each_element_needs_a_loss_for_each_sample() -> None:
    x, y = batch()
    with pytest.raises(ActionError, match=r"one loss for each sample.*reduction='none'"):
        objective(TransformedTask([1.0, 1.0, 0.0]))(Net(), x, y)


def test_losses_by_sample_are_averaged() -> None:
    x, y = batch()
    one_each = functools.partial(cross_entropy, reduction="none")
    terms = (Task(0.5), TransformedTask(0.5), DecodedTask("encoder"))
    found, expected = (objective(*terms, task_loss=loss)(Net(), x, y, g=G)[1] for loss in (one_each, cross_entropy))
    assert found.as_floats() == pytest.approx(expected.as_floats())


# Decorrelation


@pytest.mark.parametrize(("size", "width"), [(50, 6), (4, 6), (5, 40)])
def test_the_mean_square_correlation_is_numpy_s(size: int, width: int) -> None:
    z = torch.randn(size, width, generator=torch.Generator().manual_seed(0)).double()
    _, terms = objective(Decorrelation(None))((nn.Identity(), nn.Identity()), z)
    correlation = np.corrcoef(z.numpy().T)
    expected = np.mean(correlation[~np.eye(width, dtype=bool)] ** 2)
    assert terms.decorrelation["latent"].item() == pytest.approx(expected)
    covariance = np.cov(z.numpy().T)
    rank = np.trace(covariance) ** 2 / (covariance**2).sum()
    assert terms.effective_rank["latent"].item() == pytest.approx(rank)


def test_positions_of_a_map_are_samples() -> None:
    z = torch.randn(3, 4, 2, 5).double()
    for axis, moved in ((1, z), (-1, z.movedim(1, -1))):
        _, terms = objective(Decorrelation(None, axis=axis))((nn.Identity(), nn.Identity()), moved)
        expected = np.corrcoef(z.movedim(1, -1).reshape(-1, 4).numpy().T)
        assert terms.decorrelation["latent"].item() == pytest.approx(np.mean(expected[~np.eye(4, dtype=bool)] ** 2))


def test_both_views_are_samples() -> None:
    net, (x, _) = Net(), batch()
    _, terms = objective(Equivariance("encoder"), Decorrelation("encoder"))(net, x, g=G)
    both = torch.cat([net.encoder(x), net.encoder(turned(x, G))]).detach().numpy()
    expected = np.corrcoef(both.T)
    assert terms.decorrelation["encoder"].item() == pytest.approx(np.mean(expected[~np.eye(6, dtype=bool)] ** 2))


def value(z: Tensor) -> Tensor:
    return objective(Decorrelation(None))((nn.Identity(), nn.Identity()), z)[0]


def test_decorrelation_sees_no_scale_and_no_order() -> None:
    z = torch.randn(20, 5).double()
    scales = torch.tensor([1e-3, 1.0, -50.0, 7.0, 1e4]).double()
    order = torch.tensor([3, 1, 4, 0, 2])
    assert value(z * 1e-6).item() == pytest.approx(value(z).item())
    assert value(z[:, order] + 3.0).item() == pytest.approx(value(z).item())
    assert value(z[:, :3] * scales[1:4]).item() == pytest.approx(value(z[:, :3]).item())


def test_the_bounds_of_decorrelation() -> None:
    z = torch.randn(20, 1).double()
    assert value(z.repeat(1, 4)).item() == pytest.approx(1.0)
    orthogonal = torch.linalg.qr(torch.randn(20, 4).double() - 0).Q
    orthogonal = torch.linalg.qr(torch.cat([torch.ones(20, 1).double(), orthogonal], 1)).Q[:, 1:]
    assert value(orthogonal).item() == pytest.approx(0.0, abs=1e-12)


@pytest.mark.parametrize("dead", [0.0, 3.7])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_features_that_never_vary_give_finite_gradients(dead: float, dtype: torch.dtype) -> None:
    z = torch.randn(20, 4, dtype=dtype)
    z[:, 1] = dead
    z.requires_grad_()
    (gradient,) = torch.autograd.grad(value(z), z)
    assert gradient.isfinite().all() and gradient.abs().max() < 1


@pytest.mark.parametrize("size", [8, 3])
def test_its_gradient_by_finite_differences(size: int) -> None:
    z = torch.randn(size, 4, dtype=torch.float64, requires_grad=True)
    torch.autograd.gradcheck(value, z)


# What runs


def runs(wanted: eq.Objective, *, style: str = "module", labels: bool = True, times: int = 2) -> list[str]:
    """What a later step runs; the first looks at the model once."""
    net, (x, y) = Net(), batch()
    for _ in range(times):
        net.runs.clear()
        wanted(net.pair if style == "pair" else net, x, y if labels else None, g=G)
    return net.runs


def test_nothing_runs_that_no_term_asks_for() -> None:
    assert runs(objective(Task())) == ["encoder", "head"]
    assert runs(objective(TransformedTask())) == ["encoder", "head"]
    assert runs(objective(Task(), TransformedTask(), Equivariance("encoder"))) == ["encoder", "head"] * 2
    assert runs(objective(Task(), Equivariance("encoder"))) == ["encoder", "head", "encoder"]
    assert runs(objective(Equivariance("encoder"))) == ["encoder", "encoder"]
    assert runs(objective(Task(), Decorrelation("encoder"))) == ["encoder", "head"]
    assert runs(objective(Equivariance(""))) == ["encoder", "head"] * 2
    pair = functools.partial(runs, style="pair")
    assert pair(objective(Task(), Equivariance())) == ["encoder", "head", "encoder"]
    assert pair(objective(Equivariance())) == ["encoder", "encoder"]
    assert pair(objective(Task(), DecodedTask())) == ["encoder", "head", "head"]
    assert pair(objective(Task(), DecodedTask(), Equivariance())) == ["encoder", "head", "encoder", "head"]
    assert pair(objective(Task(), TransformedTask(), Equivariance()), labels=False) == ["encoder", "encoder"]


def test_latent_augmentation_costs_a_part_of_a_pass_more() -> None:
    """With w' = 0 and the latent term on half of the batch: one and a half passes of the encoder."""
    sizes: dict[str, int] = {"encoder": 0, "head": 0}
    net, (x, y) = Net(), batch(8)
    for name in sizes:

        def count(module: nn.Module, inputs: Any, name: str = name) -> None:
            sizes[name] += len(inputs[0])

        getattr(net, name).register_forward_pre_hook(count)
    objective(Task(), DecodedTask(), Equivariance(), pair_fraction=0.5)(net.pair, x, y)
    assert sizes == {"encoder": 12, "head": 12}


def test_a_pass_is_not_cut_short_where_something_waits_for_its_end() -> None:
    net = Net()
    ended: list[int] = []
    net.register_forward_hook(lambda module, inputs, output: ended.append(len(output)))
    wanted, (x, _) = objective(Equivariance("encoder")), batch()
    wanted(net, x)
    wanted(net, x)
    assert ended == [5, 5, 5, 5]


def test_the_plain_output_is_returned_with_its_graph() -> None:
    net, (x, y) = Net(), batch()
    for passes in ("separate", "joint"):
        _, terms = objective(Task(), Equivariance("encoder"), passes=passes, pair_fraction=0.5)(net, x, y)
        torch.testing.assert_close(terms.output, net(x))
        assert terms.output.requires_grad
    assert objective(Equivariance("encoder"))(net, x)[1].output is None


# Labels


def test_without_targets_the_terms_that_need_none_remain() -> None:
    net, (x, _) = Net(), batch()
    terms = (Task(), TransformedTask(), DecodedTask("encoder"), Equivariance("encoder"), Decorrelation("encoder", 0.1))
    loss, found = objective(*terms)(net, x, g=G)
    expected, _ = objective(*terms[3:], task_loss=None)(net, x, g=G)
    assert loss.item() == expected.item()
    assert found.task is found.transformed_task is found.decoded_task is None
    with pytest.raises(LatentError, match="nothing to compute: y is missing"):
        objective(*terms[:3])(net, x)


@pytest.mark.parametrize("passes", ["separate", "joint"])
def test_labelled_and_unlabelled_samples_in_one_batch(passes: Any) -> None:
    net, (x, y) = Net(), batch()
    labelled = torch.tensor([True, False, True, True, False])
    marked = torch.where(labelled, y, -7)  # what stands for a missing label is never looked at
    terms = (Task(0.5), TransformedTask(0.5), DecodedTask("encoder"), Equivariance("encoder"))
    _, found = objective(*terms, passes=passes)(net, x, marked, g=G, labelled=labelled)
    kept = labelled.nonzero()[:, 0]
    _, of_labelled = objective(*terms)(net, x[kept], y[kept], g=G[kept])
    _, of_all = objective(*terms)(net, x, y, g=G)
    for name in ("task", "transformed_task", "decoded_task"):
        assert getattr(found, name).item() == pytest.approx(getattr(of_labelled, name).item())
    assert found.equivariance["encoder"].item() == pytest.approx(of_all.equivariance["encoder"].item())


def test_a_batch_without_a_label() -> None:
    net, (x, y) = Net(), batch()
    none = torch.zeros(5, dtype=torch.bool)
    _, terms = objective(Task(), Equivariance("encoder"))(net, x, y, labelled=none)
    assert terms.task is None and terms.output is not None
    with pytest.raises(LatentError, match="no sample of the batch is labelled"):
        objective(Task())(net, x, y, labelled=none)


def test_weights_by_element_follow_the_labelled_samples() -> None:
    net, (x, y) = Net(), batch()
    labelled = torch.tensor([False, True, True, False, True])
    one_each = functools.partial(cross_entropy, reduction="none")
    weights = [1.0, 10.0, 100.0]
    found, _ = objective(TransformedTask(weights), task_loss=one_each)(net, x, y, g=G, labelled=labelled)
    losses = one_each(net(turned(x, G)), y)[labelled]
    assert found.item() == pytest.approx((torch.tensor([10.0, 100.0, 100.0]) * losses).mean().item())


@pytest.mark.parametrize(
    ("labelled", "part"),
    [(torch.ones(5), "torch.float32"), (torch.ones(4, dtype=torch.bool), r"\[4\]"), ([True] * 5, "list")],
)
def test_what_does_not_say_which_samples_are_labelled(labelled: Any, part: str) -> None:
    x, y = batch()
    with pytest.raises(ActionError, match=rf"labelled .* torch\.bool \[5\].*{part}"):
        objective(Task())(Net(), x, y, labelled=labelled)


# Structures


@dataclasses.dataclass
class Output:
    scores: Tensor
    field: Tensor
    nothing: None = None


class NamedOutput(OrderedDict[str, Any]):
    """A mapping that is a dataclass, as transformers' ModelOutput."""


class TwoInputs(nn.Module):
    def __init__(self, kind: Any) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.encoder, self.head, self.kind = nn.Linear(3, 6).double(), nn.Linear(6, 2).double(), kind

    def forward(self, points: Tensor, extra: Tensor) -> Any:
        latent = self.encoder(points * extra[:, None])
        return self.kind(self.head(latent), points * 2)


KINDS: dict[str, tuple[Any, Any, Any]] = {
    "dict": (lambda scores, field: {"scores": scores, "field": field}, "scores", "field"),
    "tuple": (lambda scores, field: (scores, field), 0, 1),
    "list": (lambda scores, field: [scores, field], 0, 1),
    "dataclass": (Output, "scores", "field"),
    "ordered": (lambda scores, field: NamedOutput(scores=scores, field=field), "scores", "field"),
}


def get(output: Any, part: Any) -> Tensor:
    return getattr(output, part) if isinstance(output, Output) else output[part]


@pytest.mark.parametrize("inputs", ["dict", "tuple"])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("passes", ["separate", "joint"])
def test_inputs_targets_and_outputs_of_several_parts(passes: Any, kind: str, inputs: str) -> None:
    make, scores, field = KINDS[kind]
    model, (points, y) = TwoInputs(make), batch()
    extra = torch.arange(1.0, 6.0).double()
    if inputs == "dict":
        x: Any = {"points": points, "extra": extra}
        act = eq.actions.structured(C3, {"points": TURN, "extra": STILL})
    else:
        x, act = (points, extra), eq.actions.structured(C3, (TURN, STILL))

    def task(output: Any, target: Any) -> Tensor:
        return cross_entropy(get(output, scores), target["label"]) + mse(get(output, field), target["where"])

    wanted = objective(
        Task(),
        TransformedTask(2.0),
        Equivariance("encoder"),
        Equivariance("", distance="kl", action=STILL, part=scores),
        input=act,
        output=eq.actions.structured(C3, {"label": STILL, "where": TURN}),
        task_loss=task,
        passes=passes,
    )
    target = {"label": y, "where": points + 1}
    if kind == "dataclass" and passes == "joint":
        assert wanted(model, x, target, g=G)[0].isfinite()
    loss, terms = wanted(model, x, target, g=G)

    latent = model.encoder(points * extra[:, None])
    latent_of_turned = model.encoder(turned(points, G) * extra[:, None])
    plain, transformed = model.head(latent), model.head(latent_of_turned)
    by_hand = {
        "task": cross_entropy(plain, y) + mse(points * 2, points + 1),
        "transformed_task": cross_entropy(transformed, y) + mse(turned(points, G) * 2, turned(points + 1, G)),
        "equivariance/encoder": mse(on_latents(latent, G), latent_of_turned),
        f"equivariance/output[{scores!r}]": torch.tensor(divergence(plain.detach(), transformed.detach())),
    }
    numbers = terms.as_floats()
    for name, expected in by_hand.items():
        assert numbers[name] == pytest.approx(expected.item()), name
    total = sum((2 if name == "transformed_task" else 1) * number.item() for name, number in by_hand.items())
    assert loss.item() == pytest.approx(total)


def test_distances_of_parts_add_up() -> None:
    x, _ = batch()

    def model(x: Tensor) -> dict[str, Tensor]:
        return {"a": x**2, "b": x[:, :2]}

    by_part = eq.actions.structured(C3, {"a": TURN, "b": STILL})
    _, terms = objective(Equivariance("", action=by_part))(model, x, g=G)
    expected = mse(x[:, :2], turned(x, G)[:, :2])
    assert terms.equivariance["output"].item() == pytest.approx(expected.item())


def test_parts_that_are_not_there() -> None:
    x, _ = batch()

    def model(x: Tensor) -> dict[str, Tensor]:
        return {"logits": x}

    with pytest.raises(EquilatentError, match="model's output is a dict and has no part 'scores'; it has 'logits'"):
        objective(Equivariance("", part="scores"))(model, x)
    with pytest.raises(EquilatentError, match=r"the model's output cannot carry"):
        objective(Equivariance(""), output=TURN)(model, x)


# Decoders


def test_a_layer_with_a_connection_round_it_is_no_bottleneck() -> None:
    x, y = batch()
    net = Net(skip=True)
    with pytest.raises(LatentError, match=r"'encoder' of Net is no bottleneck.*depends on x"):
        objective(DecodedTask("encoder"))(net, x, y)
    with pytest.raises(LatentError, match="no bottleneck"):  # one sample has no other to be exchanged with
        objective(DecodedTask("encoder"))(net, x[:1], y[:1])
    objective(DecodedTask("encoder"))(Net(), x, y)


def test_a_random_network_is_not_blamed_for_a_skip() -> None:
    class Noisy(Net):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x) + torch.rand(len(x), 2)

    x, y = batch()
    objective(DecodedTask("encoder"))(Noisy(), x, y)


def test_a_model_that_returns_its_latent_shows_no_decoder() -> None:
    x, y = batch()
    net = Net()
    with pytest.raises(LatentError, match="does not show its decoder"):
        objective(DecodedTask())(lambda x: (net(x), net.encoder(x)), x, y)


# Learned representations


def test_a_learned_latent_brings_its_algebra_term() -> None:
    rho = eq.reps.LearnedRepresentation(C3, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    net, (x, y) = Net(), batch()
    wanted = eq.Objective(C3, input=TURN, output=STILL, task_loss=cross_entropy, layer="encoder", latent=rho)
    assert [type(term) for term in wanted.terms] == [Task, TransformedTask, Equivariance, Algebra]
    _, terms = wanted(net, x, y, g=G)
    assert terms.algebra.item() == pytest.approx(eq.objective.algebra_loss(rho).item())
    given = objective(Equivariance("encoder", action=rho), Algebra(rho, 0.0))
    assert len(given.terms) == 2 and given(net, x, g=G)[1].algebra.item() == pytest.approx(terms.algebra.item())
    assert [id(p) for p in wanted.parameters()] == [id(p) for p in rho.parameters()]


# Refusals


@pytest.mark.parametrize(
    ("make", "parts"),
    [
        (lambda: Equivariance("1", -1.0), ["weight of Equivariance", "-1.0"]),
        (lambda: Task("1"), ["weight of Task", "'1'"]),
        (lambda: TransformedTask([1.0, float("nan")]), ["weight of TransformedTask for element 1", "nan"]),
        (lambda: Equivariance(nn.Linear(2, 2)), ["dotted name", "Linear", "named_modules"]),
        (lambda: Equivariance("1", distance="cosine"), ["distance is one of", "'kl'", "'cosine'"]),
        (lambda: Equivariance("1", detach="both"), ["detach is one of", "'source'", "'both'"]),
        (lambda: DecodedTask(""), ["decodes a latent"]),
        (lambda: Algebra(TURN), ["LearnedRepresentation", "PermutationRepresentation"]),
        (lambda: objective(), ["terms is empty"]),
        (lambda: objective("task"), ["terms holds Task", "'task'"]),
        (lambda: objective(Task(), Task(0.3)), ["Task twice"]),
        (lambda: objective(Equivariance("1"), Equivariance("1", distance="kl")), ["Equivariance twice for '1'"]),
        (lambda: objective(Equivariance("1", [1.0, 2.0])), ["each of the 3 elements of C3", "2"]),
        (lambda: objective(Task(), layer="1"), ["terms says all", "layer", "either"]),
        (lambda: objective(Task(), task_loss=None), ["task_loss is needed"]),
        (lambda: objective(Task(), input=eq.reps.regular(eq.groups.cyclic(4))), ["input is one of C4", "C3"]),
        (
            lambda: eq.Objective(C3, input=TURN, output=STILL, task_loss=mse, layer=nn.Linear(2, 2)),
            ["layer is the dotted name", "Linear"],
        ),
        (lambda: eq.Objective(C3, input=TURN, output=STILL, task_loss=mse, strength="1"), ["strength", "'1'"]),
    ],
)
def test_terms_that_say_nothing(make: Any, parts: list[str]) -> None:
    with pytest.raises(EquilatentError) as caught:
        make()
    assert all(part in str(caught.value) for part in parts), str(caught.value)


@pytest.mark.filterwarnings("ignore:.*torch.jit.script:DeprecationWarning")
def test_a_scripted_model_has_no_layers_to_observe() -> None:
    x, y = batch()
    scripted = torch.jit.script(nn.Sequential(nn.Linear(3, 6), nn.Linear(6, 2)).double())
    with pytest.raises(LatentError, match=r"layers of a scripted model cannot be observed.*torch\.jit\.script"):
        objective(Task(), Equivariance("0"))(scripted, x, y)


@pytest.mark.parametrize("call", ["forward", "describe"])
def test_channels_last_is_hinted_at(call: str) -> None:
    class Last(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.block = nn.Identity()

        def forward(self, x: Tensor) -> Tensor:
            return self.block(x).mean((1, 2))

    x = torch.randn(2, 2, 2, 9)
    wanted = objective(Equivariance("block"), input=STILL)
    with pytest.raises(LatentError, match=r"too narrow.*last axis has 9.*latent_axis=-1"):
        wanted(Last(), x) if call == "forward" else wanted.describe(Last(), x)
    large = torch.randn(2, 4, 4, 9)  # the height is wide enough for a copy, so that nothing is refused
    text = " ".join(wanted.describe(Last(), large).split())
    assert "along axis 1" in text and "looks like channels last, with 9 features on the last axis" in text
    text = " ".join(objective(Equivariance("block", axis=-1), input=STILL).describe(Last(), large).split())
    assert "along axis 3" in text and "channels last" not in text
