"""What every encoder of the demo is asked."""

from __future__ import annotations

import torch

from equilatent.actions import Action
from equilatent.bench.demo._data import SEEN, Questions
from equilatent.bench.latent_questions import (
    Encode,
    HeadTraining,
    Way,
    head_accuracy,
    in_all_poses,
    pose_accuracy,
    recall,
    train_head,
)

__all__ = ["answer"]


def answer(way: Way, encode: Encode, questions: Questions, act: Action, steps: int, seed: int) -> dict[str, float]:
    """The shares of questions that are answered correctly.

    The head tells digit and pose, 5·|G| classes, for all poses of held-out new digits. It is trained on what is stored of a
    few upright images, transformed with their labels; one pass answers in any pose.
    """
    few, new = questions.few, questions.new
    with torch.no_grad():
        items, queries = encode(questions.index), way.encode(act, encode, questions.queries)
        stored, poses = way.encode(act, encode, few.images), in_all_poses(act, encode, new.images)
    (search,) = recall(way, items, queries, (1,))
    head = train_head(way, stored, few.labels, SEEN, HeadTraining(steps), seed)
    return {
        "search": search,
        "pose": pose_accuracy(way, items, queries, questions.elements),
        "head": head_accuracy(head, act.group, poses, new.labels),
    }
