"""Faults that the tests have to notice, each with the tests that do; and what puts them in, one at a time.

All are applied to a copy of the source tree, on which the named tests are run: ``python -m tests.mutations``, or
``pytest -m slow tests/mutations``.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

__all__ = ["MUTATIONS", "ROOT", "Mutation", "MutationError", "check", "run"]

ROOT = Path(__file__).parents[2]


class MutationError(Exception):
    """A mutation that cannot be put in, or whose tests cannot be run: it shows nothing."""


@dataclass(frozen=True)
class Mutation:
    """A fault.

    Attributes:
        name: what is wrong.
        file: where, in ``src/equilatent/bench``.
        old: the text that is right; it has to be there exactly once.
        new: the text that is wrong.
        tests: those in ``tests/bench`` of which each has to fail; of a test with parameters, at least one of them.
    """

    name: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]


_EVALUATION, _SPLITS, _LOOP = "test_evaluation.py", "test_splits.py", "test_loop.py"
_RUN, _CONFIG, _SWEEP, _RECORD = "test_run.py", "test_config.py", "test_sweep.py", "test_record.py"
_DDMNIST, _SMOKE, _TASKS = "test_ddmnist.py", "test_smoke.py", "test_tasks.py"
_FIELDS, _FROZEN = "systems/test_field_predictors.py", "test_frozen.py"
_MEDMNIST, _VOLUMES, _BRAIN = "test_medmnist3d.py", "systems/test_volumes.py", "data/test_brain.py"
_UPRIGHT = f"{_EVALUATION}::test_pairs_that_are_read_rightly_when_the_left_digit_is_upright"
_HOWEVER = f"{_EVALUATION}::test_pairs_that_are_read_rightly_however_they_lie"
_ERRORS = f"{_EVALUATION}::test_errors_of_equivariance_by_dense_matrices"
_PARTS = f"{_EVALUATION}::test_the_four_parts_by_dense_matrices"
_ACCURACIES = f"{_EVALUATION}::test_accuracies_of_the_classifier"
_TENTH = f"{_SPLITS}::test_a_tenth_of_the_training_file_validates_and_the_test_file_tests"
_PAIRS = f"{_SPLITS}::test_pairs_are_made_of_the_digits_of_their_part"
_VIEWS = f"{_SPLITS}::test_views_of_typefaces_are_drawn_apart"
_BEST = f"{_LOOP}::test_the_best_epoch_is_kept"
_STATISTICS = f"{_LOOP}::test_statistics_are_means_over_batches"
_COSINE = f"{_LOOP}::test_the_rate_falls_with_every_step_along_half_a_cosine"
_EPOCH = f"{_LOOP}::test_an_epoch_takes_every_sample_once_and_tells_means_over_batches"

_EVALUATIONS = (
    Mutation(
        "the test pairs are not transformed",
        "tasks/ddmnist.py",
        '"test": self._transformed(plain, 12),',
        '"test": plain,',
        (_UPRIGHT,),
    ),
    Mutation(
        "the accuracy on the pairs as they are is that on the transformed ones",
        "tasks/ddmnist.py",
        '"test_accuracy_plain": 1 - _score(model, self.plain)["error"],',
        '"test_accuracy_plain": 1 - scored["error"],',
        (_UPRIGHT,),
    ),
    Mutation(
        "the final numbers of pairs are those of the validation samples",
        "tasks/ddmnist.py",
        "scored = _score(model, self.evaluation[split])",
        'scored = _score(model, self.evaluation["validation"])',
        (_UPRIGHT,),
    ),
    Mutation(
        "pairs are validated on the test samples",
        "tasks/ddmnist.py",
        "scored = _score(model, self.evaluation[split])",
        'scored = _score(model, self.evaluation["test"])',
        (_UPRIGHT,),
    ),
    Mutation(
        "the epoch is selected on the test samples",
        "harness/loop.py",
        'problem.evaluate(model, "validation")',
        'problem.evaluate(model, "test")',
        (_EPOCH, _BEST),
    ),
    Mutation(
        "the accuracy is the error",
        "tasks/ddmnist.py",
        '"test_accuracy": 1 - scored["error"],',
        '"test_accuracy": scored["error"],',
        (_HOWEVER, _UPRIGHT),
    ),
    Mutation(
        "D1 has the traces of interpolation, C4 and D4 have none",
        "tasks/ddmnist.py",
        'artefacts = self.config.group != "D1"',
        'artefacts = self.config.group == "D1"',
        (f"{_DDMNIST}::test_traces_of_interpolation_are_on_what_is_turned_alone",),
    ),
    Mutation(
        "the validation pairs are made of digits that are trained on",
        "tasks/ddmnist.py",
        "self._pairs(images[validation], labels[validation], _VALIDATION, 1)",
        "self._pairs(images[train], labels[train], _VALIDATION, 1)",
        (_PAIRS, f"{_DDMNIST}::test_validation_digits_are_training_digits_that_are_not_trained_on"),
    ),
    Mutation(
        "the digits that validate are trained on",
        "data/_split.py",
        "return order[size:], order[:size]",
        "return order, order[:size]",
        (_TENTH, _PAIRS),
    ),
    Mutation(
        "MNIST is validated on what is trained on",
        "tasks/learned/_mnist.py",
        '"validation": self._fixed(images[validation], 1),',
        '"validation": self._fixed(images[train], 1),',
        (_TENTH,),
    ),
    Mutation(
        "CIFAR10 is validated on what is trained on",
        "tasks/learned/_cifar10.py",
        "self._fixed(images[validation], classes[validation], 1)",
        "self._fixed(images[train], classes[train], 1)",
        (_TENTH,),
    ),
    Mutation(
        "the test pairs are made of digits of the training file",
        "tasks/ddmnist.py",
        "plain = self._pairs(data.test_x, data.test_y, _TEST, 2)",
        "plain = self._pairs(data.train_x, data.train_y, _TEST, 2)",
        (_PAIRS, f"{_DDMNIST}::test_validation_digits_are_training_digits_that_are_not_trained_on"),
    ),
    Mutation(
        "MNIST is tested on the training file",
        "tasks/learned/_mnist.py",
        '"test": self._fixed(data.test_x.to(device), 2),',
        '"test": self._fixed(images, 2),',
        (_TENTH,),
    ),
    Mutation(
        "CIFAR10 is tested on the training file",
        "tasks/learned/_cifar10.py",
        '"test": self._fixed(data.test_x.to(device), data.test_y.to(device), 2),',
        '"test": self._fixed(images, classes, 2),',
        (_TENTH,),
    ),
    Mutation(
        "the typefaces are tested on the views that validate",
        "tasks/learned/_tmnist.py",
        "self.evaluation = {split: self._fixed_views(number) for number, split in enumerate(splits, start=1)}",
        "self.evaluation = {split: self._fixed_views(1) for split in splits}",
        (_VIEWS, _PARTS),
    ),
    Mutation(
        "the final parts of the learned loss are those of the validation samples",
        "tasks/learned/_common.py",
        "x, y, g = self.evaluation[split]",
        'x, y, g = self.evaluation["validation"]',
        (_PARTS,),
    ),
    Mutation(
        "the accuracies of the classifier are those of the validation samples",
        "tasks/learned/_cifar10.py",
        'x, y, g = self.evaluation["test"]',
        'x, y, g = self.evaluation["validation"]',
        (_ACCURACIES,),
    ),
    Mutation(
        "the accuracy on turned images is that on upright ones",
        "tasks/learned/_cifar10.py",
        '("test_accuracy_turned", self.input(x, g))',
        '("test_accuracy_turned", x)',
        (_ACCURACIES,),
    ),
    Mutation(
        "the bins of the eigenvalues are reversed",
        "tasks/learned/_common.py",
        ".root.bincount(minlength=order).tolist()",
        ".root.bincount(minlength=order).flip(0).tolist()",
        (f"{_EVALUATION}::test_what_an_exact_representation_is",),
    ),
    Mutation(
        "the parts of the learned loss have each other's weights",
        "tasks/learned/_common.py",
        "output_weight=self.config.output_weight,\n            latent_weight=self.config.latent_weight,",
        "output_weight=self.config.latent_weight,\n            latent_weight=self.config.output_weight,",
        (_PARTS,),
    ),
    Mutation(
        "the model is not averaged over the orbit",
        "tasks/ddmnist.py",
        "averaged = eq.metrics.Symmetrised(model, self.input, self.output, batch_size=_BLOCK)",
        "averaged = model",
        (_UPRIGHT,),
    ),
    Mutation(
        "the errors of the latent and behind the norm are exchanged",
        "tasks/ddmnist.py",
        '{LAYERS["encoder"]: "latent", LAYERS["norm"]: "norm"}',
        '{LAYERS["encoder"]: "norm", LAYERS["norm"]: "latent"}',
        (_ERRORS,),
    ),
    Mutation(
        "consistency and errors are measured on the pairs as they are",
        "tasks/ddmnist.py",
        "measured = pairs.images[:_MEASURED]",
        "measured = self.plain.images[:_MEASURED]",
        (_UPRIGHT,),
    ),
)
_LATENTS = (
    Mutation(
        "latents are tested on the images that validate",
        "tasks/frozen.py",
        '"test": (data.test_x, data.test_y),',
        '"test": (data.train_x[validation], data.train_y[validation]),',
        (f"{_FROZEN}::test_no_image_is_in_two_splits_and_the_encoder_sees_half_of_the_classes",),
    ),
    Mutation(
        "the encoder is trained on all classes",
        "tasks/frozen.py",
        "seen = (labels < SEEN).nonzero()[: config.limit, 0]",
        "seen = (labels < 2 * SEEN).nonzero()[: config.limit, 0]",
        (f"{_FROZEN}::test_no_image_is_in_two_splits_and_the_encoder_sees_half_of_the_classes",),
    ),
    Mutation(
        "queries are not jittered",
        "tasks/frozen.py",
        "queries=self.act(self._jittered(queries, generator).to(self.device), elements.to(self.device)),",
        "queries=self.act(queries.to(self.device), elements.to(self.device)),",
        (f"{_FROZEN}::test_items_and_queries_are_jittered_apart_and_all_other_evaluation_is_exact",),
    ),
    Mutation(
        "the answers about test images are those about the validation images",
        "tasks/frozen.py",
        '**answers["test"],',
        '**answers["validation"],',
        (f"{_FROZEN}::test_an_encoder_that_reads_class_and_pose_answers_everything",),
    ),
    Mutation(
        "recall counts the items of the next query",
        "latent_questions.py",
        "right = found == torch.arange(len(queries), device=found.device)[:, None]",
        "right = found == 1 + torch.arange(len(queries), device=found.device)[:, None]",
        (
            f"{_FROZEN}::test_recall_counts_the_queries_whose_item_is_among_the_first",
            f"{_FROZEN}::test_exact_systems_answer_everything_without_jitter",
        ),
    ),
    Mutation(
        "the pose of |G| passes is that of the inverse element",
        "latent_questions.py",
        "return group.inverse(_cosines(queries, items).argmax(1))",
        "return _cosines(queries, items).argmax(1)",
        (
            f"{_FROZEN}::test_ways_agree_with_a_loop_over_items_and_elements",
            f"{_FROZEN}::test_exact_systems_answer_everything_without_jitter",
        ),
    ),
    Mutation(
        "a head is asked about the poses in another order than it has learned them",
        "latent_questions.py",
        "products = group.product(poses[:, None, None], poses)",
        "products = group.product(group.inverse(poses)[:, None, None], poses)",
        (f"{_FROZEN}::test_an_encoder_that_reads_class_and_pose_answers_everything",),
    ),
)
_TRAINING = (
    Mutation(
        "pairs are not transformed in training",
        "tasks/ddmnist.py",
        "return self.input(self.train.images[indices], g), self.train.classes[indices]",
        "return self.train.images[indices], self.train.classes[indices]",
        (f"{_DDMNIST}::test_a_batch_is_transformed_by_elements_drawn_anew",),
    ),
    Mutation(
        "the penalty of a steerable network is left out",
        "systems/steerable_networks.py",
        "loss = task + penalty",
        "loss = task",
        (f"{_DDMNIST}::test_other_systems_train_on_the_same_loss_with_their_penalty",),
    ),
    Mutation(
        "the penalty of relaxed layers is squared",
        "systems/penalised.py",
        "_VARIATION * layer.variation()",
        "(_VARIATION * layer.variation()) ** 2",
        (f"{_FIELDS}::test_the_penalty_of_relaxed_steerable_layers_by_hand",),
    ),
    Mutation(
        "the components of vectors are taken for each other",
        "systems/field_predictors.py",
        "components((1, 0))",
        "components((0, 1))",
        (
            f"{_FIELDS}::test_channels_transform_as_vector_fields_do",
            f"{_FIELDS}::test_they_are_exactly_equivariant",
            f"{_FIELDS}::test_they_are_exactly_equivariant_once_the_relaxation_is_off",
        ),
    ),
    Mutation(
        "relaxed group convolutions leave the vectors of the elements as they are",
        "systems/relaxed.py",
        "sigma.matrix(group.elements) / group.order",
        "sigma.matrix(0 * group.elements) / group.order",
        (f"{_FIELDS}::test_group_convolutions_start_exactly_equivariant",),
    ),
    Mutation(
        "the last layer is not in the penalty",
        "systems/penalised.py",
        '(*self.encoder.named_children(), ("head", self.head))',
        "self.encoder.named_children()",
        (f"{_FIELDS}::test_the_penalty_of_the_partial_network_counts_the_last_layer",),
    ),
    Mutation(
        "a model with nothing to train is trained",
        "harness/loop.py",
        "if not any(weights.requires_grad for weights in system.model.parameters()):",
        "if False:",
        (f"{_FIELDS}::test_the_untrained_are_scored_by_the_task",),
    ),
    Mutation(
        "the two views of ours have each other's weight",
        "systems/latent_term.py",
        "Task(1 - config.shifted_weight),\n        TransformedTask(config.shifted_weight),",
        "Task(config.shifted_weight),\n        TransformedTask(1 - config.shifted_weight),",
        (f"{_DDMNIST}::test_what_the_configuration_asks_for_is_in_the_loss_of_ours",),
    ),
    Mutation(
        "the restricted network is not restricted",
        "systems/steerable_networks.py",
        "group, kind.convolution, restricted=kind.restricted)",
        "group, kind.convolution)",
        ("systems/test_steerable_classifier.py::test_the_systems_build_these_networks",),
    ),
    Mutation(
        "the control stops early",
        "tasks/learned/_common.py",
        'dataclasses.replace(self, patience=self.epochs) if self.method == "control" else self',
        "self",
        (f"{_TASKS}::test_the_control_runs_for_all_epochs", f"{_TASKS}::test_patience_of_the_control_is_not_heard"),
    ),
    Mutation(
        "a limit on the pairs is not heard",
        "tasks/ddmnist.py",
        "_TRAINING, 0, config.limit)",
        "_TRAINING, 0)",
        (_PAIRS,),
    ),
    Mutation(
        "a limit on MNIST is not heard",
        "tasks/learned/_mnist.py",
        "images = data.train_x[: config.limit].to(device)",
        "images = data.train_x.to(device)",
        (_TENTH,),
    ),
    Mutation(
        "a limit on the views is not heard",
        "tasks/learned/_tmnist.py",
        "self.samples = min(_VIEWS, config.limit or _VIEWS)",
        "self.samples = _VIEWS",
        (_VIEWS,),
    ),
)
_HARNESS = (
    Mutation(
        "the last epoch is kept",
        "harness/loop.py",
        "        if improved:\n            self.best",
        "        if True:\n            self.best",
        (_BEST, f"{_LOOP}::test_the_record_tells_the_selected_epoch_and_its_value"),
    ),
    Mutation(
        "the least change is not heard",
        "harness/loop.py",
        "improved = value < self.best - config.min_change",
        "improved = value < self.best",
        (_BEST, f"{_LOOP}::test_patience_counts_epochs_without_improvement"),
    ),
    Mutation(
        "the lowest value is the best where the highest should be",
        "harness/loop.py",
        'sign = 1 if task.better == "lower" else -1',
        "sign = 1",
        (_BEST, f"{_LOOP}::test_the_record_tells_the_selected_epoch_and_its_value"),
    ),
    Mutation(
        "the selected value is that of the last epoch",
        "harness/run.py",
        "state.rows[state.best_epoch][f",
        "state.rows[-1][f",
        (f"{_LOOP}::test_the_record_tells_the_selected_epoch_and_its_value",),
    ),
    Mutation(
        "the last weights are tested",
        "harness/run.py",
        "    system.model.load_state_dict(state.best_weights)\n",
        "",
        (f"{_LOOP}::test_the_record_tells_the_selected_epoch_and_its_value",),
    ),
    Mutation(
        "the statistics of norms are not computed anew",
        "harness/loop.py",
        "        refresh_statistics(system.model, problem, config.batch, fabric.device)\n",
        "",
        (f"{_LOOP}::test_statistics_are_those_of_the_training_samples_whenever_it_is_evaluated",),
    ),
    Mutation(
        "the last batches weigh most in the statistics of norms",
        "harness/loop.py",
        "part.momentum = 1 / number",
        "part.momentum = 0.1",
        (_STATISTICS,),
    ),
    Mutation(
        "the statistics of norms are those of other samples each time",
        "harness/loop.py",
        "generator = torch.Generator(device=device).manual_seed(0)",
        "generator = torch.Generator(device=device)\n    generator.seed()",
        (_STATISTICS,),
    ),
    Mutation(
        "the statistics of norms are taken with dropout",
        "harness/loop.py",
        "    model.eval()\n    for part in norms:",
        "    model.train()\n    for part in norms:",
        (f"{_LOOP}::test_a_norm_behind_another_sees_what_that_makes_of_the_batch",),
    ),
    Mutation(
        "the momentum of norms is not put back",
        "harness/loop.py",
        "        part.momentum = momentum\n",
        "        pass\n",
        (f"{_LOOP}::test_nothing_else_of_the_model_is_changed",),
    ),
    Mutation(
        "it is evaluated in training mode",
        "harness/loop.py",
        "    model.eval()\n    with torch.no_grad():\n        values",
        "    with torch.no_grad():\n        values",
        (_EPOCH,),
    ),
    Mutation(
        "batches leave the remainder out",
        "harness/loop.py",
        "return order.tensor_split(max(1, math.ceil(samples / batch)))",
        "return order[: samples // batch * batch].split(batch)",
        (f"{_LOOP}::test_batches_hold_every_sample_once_and_are_of_equal_sizes", _EPOCH),
    ),
    Mutation(
        "the last batch is a small one",
        "harness/loop.py",
        "return order.tensor_split(max(1, math.ceil(samples / batch)))",
        "return order.split(batch)",
        (f"{_LOOP}::test_batches_hold_every_sample_once_and_are_of_equal_sizes", _EPOCH),
    ),
    Mutation(
        "every epoch has the same order",
        "harness/loop.py",
        "combined_seed(seed, 2 * epoch + 1)",
        "combined_seed(seed, 1)",
        (f"{_LOOP}::test_batches_are_drawn_from_the_seed_and_the_epoch_alone", _EPOCH),
    ),
    Mutation(
        "processes share samples of a batch",
        "harness/loop.py",
        "indices[fabric.global_rank :: fabric.world_size]",
        "indices[fabric.global_rank :]",
        (f"{_LOOP}::test_ranks_share_each_batch_and_draw_apart",),
    ),
    Mutation(
        "processes draw alike",
        "harness/loop.py",
        "    generator.manual_seed(combined_seed(seed, 2 * epoch + 2, fabric.global_rank))",
        "    generator.manual_seed(combined_seed(seed, 2 * epoch + 2, 0))",
        (f"{_LOOP}::test_ranks_share_each_batch_and_draw_apart",),
    ),
    Mutation(
        "the schedule is not heard",
        "harness/loop.py",
        'if config.schedule == "cosine":',
        "if False:",
        (_COSINE,),
    ),
    Mutation(
        "the schedule falls with every epoch, not with every step",
        "harness/loop.py",
        "            scheduler.step()\n            system.after_step()\n",
        "            system.after_step()\n",
        (_COSINE,),
    ),
    Mutation(
        "a resumed run starts its schedule anew",
        "harness/loop.py",
        '        scheduler.load_state_dict(saved["scheduler"])\n',
        "",
        (_COSINE,),
    ),
    Mutation(
        "a resumed run has an optimiser without a past",
        "harness/loop.py",
        '        optimiser.load_state_dict(saved["optimiser"])\n',
        "",
        (f"{_RUN}::test_killed_in_an_epoch_and_resumed",),
    ),
    Mutation(
        "a resumed run draws dropout from where the process happens to be",
        "harness/loop.py",
        "    torch.manual_seed(combined_seed(seed, 2 * epoch + 2, fabric.global_rank))  # for dropout and the like\n",
        "",
        (f"{_RUN}::test_killed_in_an_epoch_and_resumed",),
    ),
    Mutation(
        "a run that was killed behind its checkpoint lacks a row of metrics",
        "harness/run.py",
        "had its name\n            self._write(state)\n",
        "had its name\n            pass\n",
        (f"{_RUN}::test_killed_between_two_files",),
    ),
    Mutation(
        "terms are sums over batches",
        "harness/loop.py",
        "fabric.all_reduce(value / steps)",
        "fabric.all_reduce(value)",
        (_EPOCH,),
    ),
    Mutation(
        "the step is not compiled",
        "harness/loop.py",
        "    if config.compile:\n        step = torch.compile(step)\n",
        "",
        (f"{_LOOP}::test_a_compiled_step_gives_the_numbers_of_eager[eager]",),
    ),
    Mutation(
        "two processes carry out one run",
        "harness/run.py",
        "        lock.acquire(timeout=0)\n",
        "        pass\n",
        (f"{_RUN}::test_two_at_once",),
    ),
    Mutation(
        "a file is written in its place",
        "harness/record.py",
        "        write(temporary)\n",
        "        write(path)\n        write(temporary)\n",
        (f"{_RUN}::test_full_disk_leaves_what_was",),
    ),
    Mutation(
        "a record is not looked at",
        "harness/record.py",
        "    wrong = _faults(record)\n",
        '    wrong = ""\n',
        (f"{_RECORD}::test_a_field_of_the_wrong_kind_is_told_by_its_name", f"{_RUN}::test_damaged_record_is_told"),
    ),
    Mutation(
        "the protocol is no part of what a run is",
        "harness/config.py",
        "    if protocol > 1:\n",
        "    if False:\n",
        (f"{_CONFIG}::test_the_protocol_tells_runs_apart",),
    ),
    Mutation(
        "a field that was added hides the runs from before",
        "harness/config.py",
        "if name not in was or value != was[name]}",
        "}",
        (
            f"{_CONFIG}::test_a_run_is_found_again_when_its_configuration_has_a_field_more",
            f"{_CONFIG}::test_records_of_earlier_versions_have_the_digest_of_their_name",
        ),
    ),
    Mutation(
        "a field that was added is read as its default today",
        "harness/config.py",
        "default if was is dataclasses.MISSING else was}",
        "default}",
        (f"{_CONFIG}::test_a_run_is_found_again_when_its_configuration_has_a_field_more",),
    ),
    Mutation(
        "a number that is none is taken",
        "harness/config.py",
        "if isinstance(value, float) and not 0 <= value < math.inf",
        "if isinstance(value, float) and (value < 0 or value == math.inf)",
        (f"{_CONFIG}::test_every_number_is_checked",),
    ),
    Mutation(
        "the highest mean is the best of a sweep where the lowest should be",
        "harness/sweep.py",
        '"best": (min if task.better == "lower" else max)(',
        '"best": (max if task.better == "lower" else min)(',
        (
            f"{_SWEEP}::test_best_is_the_lowest_mean_over_seeds_as_the_file_says",
            f"{_SWEEP}::test_the_highest_is_the_best_where_more_is_better",
        ),
    ),
    Mutation(
        "a choice is the best without all of its seeds",
        "harness/sweep.py",
        '"mean": statistics.fmean(losses.values()) if complete else None,',
        '"mean": statistics.fmean(losses.values()) if losses else None,',
        (f"{_SWEEP}::test_choice_with_a_seed_missing_is_not_the_best",),
    ),
    Mutation(
        "a sweep chooses by the last epochs",
        "harness/sweep.py",
        "    return sign * best\n",
        '    return float(record["curve"][-1][column])\n',
        (f"{_SWEEP}::test_value_is_that_of_the_weights_that_are_kept",),
    ),
)
_SMOKES = (
    Mutation(
        "vectors of smoke turn the other way round than their grid",
        "tasks/smoke.py",
        'if sign == "right":',
        'if sign != "right":',
        (f"{_SMOKE}::test_the_right_sign_turns_a_flow_and_the_reversed_one_turns_it_round",),
    ),
    Mutation(
        "the future test is the domain test",
        "tasks/smoke.py",
        "self._errors(model, self.velocity, self.starts[name], TESTED)",
        'self._errors(model, self.velocity, self.starts["domain"], TESTED)',
        (f"{_SMOKE}::test_errors_of_a_model_that_repeats_the_last_frame",),
    ),
    Mutation(
        "smoke is validated on training windows",
        "tasks/smoke.py",
        'self._errors(model, self.velocity, self.starts["validation"], TRAINED)',
        'self._errors(model, self.velocity, self.starts["train"], TESTED)',
        (f"{_SMOKE}::test_errors_of_a_model_that_repeats_the_last_frame",),
    ),
    Mutation(
        "a roll-out sees true frames",
        "tasks/smoke.py",
        "        x = torch.cat([x[:, 2:], frames[-1]], 1)\n",
        "        x = torch.cat([x[:, 2:], x[:, -2:]], 1)\n",
        (f"{_SMOKE}::test_a_roll_out_goes_on_from_its_own_frames",),
    ),
    Mutation(
        "the first frames of a window are those that are left out",
        "tasks/smoke.py",
        "torch.arange(SMOKE_SKIPPED, SMOKE_SKIPPED + FRAMES + steps,",
        "torch.arange(0, FRAMES + steps,",
        (f"{_SMOKE}::test_batches_are_ten_frames_and_the_six_after_them",),
    ),
    Mutation(
        "only the first frame of a roll-out is trained on",
        "tasks/smoke.py",
        "return (TRAINED - 1) * F.mse_loss(frames, y[:, 2:])",
        "return 0 * F.mse_loss(frames, y[:, 2:])",
        (
            f"{_SMOKE}::test_the_cnn_is_trained_on_whole_roll_outs",
            f"{_SMOKE}::test_ours_pairs_the_first_frame_and_rolls_out_the_plain_one",
        ),
    ),
    Mutation(
        "augmented roll-outs are not transformed",
        "systems/augmented.py",
        "if not problem.transformed:",
        "if problem.transformed:",
        (f"{_SMOKE}::test_the_cnn_is_trained_on_whole_roll_outs",),
    ),
    Mutation(
        "the error of the simulation is that of the one without the force",
        "tasks/smoke.py",
        "(directions[0] + background * directions[(sides + turn) % 4])",
        "(directions[0] + background * directions[sides % 4])",
        (f"{_SMOKE}::test_a_force_that_does_not_turn_breaks_the_simulation_by_as_much_as_a_brute_force_says",),
    ),
    Mutation(
        "other courses of the flow are the one in the data",
        "tasks/smoke.py",
        "self._field(simulations(self.config, course))",
        "self._field(simulations(self.config, 0))",
        (f"{_SMOKE}::test_errors_of_a_model_that_repeats_the_last_frame",),
    ),
    Mutation(
        "validation windows of smoke overlap with training targets",
        "data/_smoke.py",
        "range(ends[0] + spared, ends[1] - spared)",
        "range(ends[0], ends[1] - spared)",
        ("data/test_smoke.py::test_default_splits_share_no_frame",),
    ),
    Mutation(
        "the strengths of the domain test are trained on",
        "data/_smoke.py",
        "trains = [run for run, strength in enumerate(of_run) if strength not in held | left]",
        "trains = [run for run, strength in enumerate(of_run) if strength not in left]",
        ("data/test_smoke.py::test_balanced_sets_are_split_by_strength",),
    ),
)
_VOLUMETRIC = (
    Mutation(
        "the AUC of more than two classes is of scores, not of probabilities",
        "tasks/medmnist3d.py",
        "shares, labels = scores.softmax(1).cpu().numpy(), classes.cpu().numpy()",
        "shares, labels = scores.cpu().numpy(), classes.cpu().numpy()",
        (f"{_MEDMNIST}::test_shares_and_not_scores_are_compared_between_samples",),
    ),
    Mutation(
        "the AUC of two classes is that of class 0",
        "tasks/medmnist3d.py",
        "return float(roc_auc_score(labels == 1, shares[:, 1]))",
        "return float(roc_auc_score(labels == 1, shares[:, 0]))",
        (f"{_MEDMNIST}::test_auc_by_counting_pairs",),
    ),
    Mutation(
        "volumes are validated as they are twice",
        "tasks/medmnist3d.py",
        "transformed = self._scored(model, self.input(x, self.elements[split]), y)",
        "transformed = self._scored(model, x, y)",
        (f"{_MEDMNIST}::test_numbers_of_a_model_that_reads_upright_volumes",),
    ),
    Mutation(
        "volumes are tested on the validation split",
        "tasks/medmnist3d.py",
        "x, y = self.volumes[split]",
        'x, y = self.volumes["validation"]',
        (f"{_MEDMNIST}::test_numbers_of_a_model_that_reads_upright_volumes",),
    ),
    Mutation(
        "the CNN of volumes trains on them as they are",
        "tasks/medmnist3d.py",
        "    transformed = False\n",
        "    transformed = True\n",
        (f"{_MEDMNIST}::test_the_cnn_trains_on_transformed_volumes_and_plain_on_them_as_they_are",),
    ),
    Mutation(
        "the reversed pairing is the right one",
        "latents.py",
        "self.rho(latent, self.rho.group.inverse(g))",
        "self.rho(latent, g)",
        (
            f"{_MEDMNIST}::test_loss_of_ours_on_volumes",
            f"{_MEDMNIST}::test_the_reversed_pairing_composes_in_the_wrong_order_and_leaves_two_dimensions_of_a_copy",
        ),
    ),
    Mutation(
        "validation patches of the brain overlap with training patches",
        "data/_brain.py",
        '"val": range(98, 99)',
        '"val": range(84, 99)',
        (f"{_BRAIN}::test_splits_do_not_overlap_and_have_both_labels_of_all",),
    ),
    Mutation(
        "the right half of the brain is cut where it is no mirror image",
        "data/_brain.py",
        "for corner in (x, length - _SIDE - x)",
        "for corner in (x, length - _SIDE - x - 1)",
        (f"{_BRAIN}::test_patches_are_where_their_corners_say_and_come_in_mirror_twins",),
    ),
    Mutation(
        "parities do not matter to kernels on volumes",
        "systems/steerable/_volume_kernels.py",
        "None if outputs.parity is None else (-1) ** number",
        "None if outputs.parity is None else 1",
        (f"{_VOLUMES}::test_kernels_are_as_many_as_frequencies_fit",),
    ),
    Mutation(
        "the harmonics of a shell are scaled one by one",
        "systems/steerable/_volume_kernels.py",
        "filters /= filters.square().sum(1).mean().sqrt()",
        "filters /= filters.square().sum(1, keepdim=True).sqrt()",
        (f"{_VOLUMES}::test_filters_turn_as_their_harmonics_do",),
    ),
    Mutation(
        "the mean over the group acts on the other side",
        "systems/steerable/_volumes.py",
        "mean.view(psi.dim, psi.dim).T)",
        "mean.view(psi.dim, psi.dim))",
        (f"{_VOLUMES}::test_a_partial_kernel_is_the_mean_of_moved_kernels",),
    ),
)
#: All of them.
MUTATIONS = (*_EVALUATIONS, *_LATENTS, *_TRAINING, *_SMOKES, *_VOLUMETRIC, *_HARNESS)


def check(mutation: Mutation, source: Path = ROOT / "src") -> Path:
    """The file of a mutation.

    Raises:
        MutationError: if its text is not there exactly once, or a test is not where it should be.
    """
    path = source / "equilatent" / "bench" / mutation.file
    count = path.read_text("utf-8").count(mutation.old) if path.is_file() else 0
    if count != 1 or mutation.new == mutation.old:
        raise MutationError(f"{mutation.name!r}: {mutation.file} holds {count} times, not once: {mutation.old}")
    for test in mutation.tests:
        file, _, name = test.partition("::")
        where = ROOT / "tests" / "bench" / file
        if not where.is_file() or f"def {name.partition('[')[0]}(" not in where.read_text("utf-8"):
            raise MutationError(f"{mutation.name!r}: there is no test {test}")
    return path


def run(mutations: Sequence[Mutation], folder: Path) -> list[tuple[Mutation, str]]:
    """Run the tests of each mutation on a copy of the source tree that has it, and tell of each.

    Args:
        mutations: at least one.
        folder: an empty one, for the copy.

    Returns:
        Those that survived, each with the tests that passed nevertheless.

    Raises:
        MutationError: if a mutation cannot be put in, or its tests fail without it.
    """
    source = folder / "src"
    shutil.copytree(ROOT / "src", source, ignore=shutil.ignore_patterns("__pycache__"))
    for mutation in mutations:
        check(mutation, source)
    _check_copy(source)
    tests = list(dict.fromkeys(test for mutation in mutations for test in mutation.tests))
    failed = _failures(tests, source)
    if failed:
        raise MutationError(f"these tests fail without any mutation: {', '.join(failed)}")
    survived = []
    for number, mutation in enumerate(mutations, start=1):
        since = time.monotonic()
        with _applied(mutation, source):
            failed = _failures(mutation.tests, source)
        passed = [test for test in mutation.tests if not any(_is_of(test, each) for each in failed)]
        if passed:
            survived.append((mutation, ", ".join(passed)))
        outcome = f"SURVIVED {', '.join(passed)}" if passed else "killed"
        print(f"[{number}/{len(mutations)}] {mutation.name}: {outcome} ({time.monotonic() - since:.0f} s)", flush=True)
    print(f"{len(mutations) - len(survived)} of {len(mutations)} are killed.", flush=True)
    return survived


@contextlib.contextmanager
def _applied(mutation: Mutation, source: Path) -> Iterator[None]:
    path = check(mutation, source)
    text = path.read_text("utf-8")
    path.write_text(text.replace(mutation.old, mutation.new), "utf-8")
    try:
        yield
    finally:
        path.write_text(text, "utf-8")


def _failures(tests: Iterable[str], source: Path) -> list[str]:
    """The tests, with their parameters, that fail on a source tree."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--tb=no", "--no-header", "-rfE"]
    done = subprocess.run(
        [*command, *(f"tests/bench/{test}" for test in tests)],
        env=_environment(source),
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    if done.returncode not in (0, 1):
        raise MutationError(f"pytest ended with status {done.returncode}:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    lines = [line.split(" - ")[0].split(maxsplit=1) for line in done.stdout.splitlines()]
    return [line[1].removeprefix("tests/bench/") for line in lines if line[:1] in (["FAILED"], ["ERROR"])]


def _environment(source: Path) -> dict[str, str]:
    """In which a source tree is the one that is imported."""
    # Without byte code: that of a file that is changed twice in a second would be taken for the new one.
    return {**os.environ, "PYTHONPATH": str(source), "PYTHONDONTWRITEBYTECODE": "1"}


def _check_copy(source: Path) -> None:
    program = "import equilatent; print(equilatent.__file__)"
    command = [sys.executable, "-c", program]
    told = subprocess.run(command, env=_environment(source), capture_output=True, text=True, check=True).stdout.strip()
    if not Path(told).is_relative_to(source):
        raise MutationError(f"the tests would not run on the copy of the source tree, but on {told}")


def _is_of(test: str, failed: str) -> bool:
    return failed == test or failed.startswith(f"{test}[")
