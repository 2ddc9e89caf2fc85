"""Does this group act on this task? Asked of the data before training, or of data and a trained model."""

from equilatent.audit._audit import Audit, audit
from equilatent.audit._changes import Changes, OrbitGain, model_changes
from equilatent.audit._intervals import Interval, Verdict
from equilatent.audit._labels import LabelPermutations, label_permutations
from equilatent.audit._law import ActionCheck, check_action
from equilatent.audit._likeness import Likeness, likeness
from equilatent.audit._names import Kind, default_action, named_group
from equilatent.audit._probe import Score
from equilatent.audit._read import Source, read
from equilatent.audit._refits import Refit, Refits, Subgroups, cyclic_subgroups, refit
from equilatent.audit._strengths import strengths, with_strengths

__all__ = [
    "ActionCheck",
    "Audit",
    "Changes",
    "Interval",
    "Kind",
    "LabelPermutations",
    "Likeness",
    "OrbitGain",
    "Refit",
    "Refits",
    "Score",
    "Source",
    "Subgroups",
    "Verdict",
    "audit",
    "check_action",
    "cyclic_subgroups",
    "default_action",
    "label_permutations",
    "likeness",
    "model_changes",
    "named_group",
    "read",
    "refit",
    "strengths",
    "with_strengths",
]
