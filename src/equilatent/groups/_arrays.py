"""Matrices as people give them, as arrays of numpy."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

__all__ = ["as_array"]


def as_array(value: npt.ArrayLike | Tensor) -> np.ndarray:
    """Numbers as a float64 array, or complex128 if some are complex, from anything that numpy reads or from any tensor.

    Raises:
        TypeError, ValueError: for what is no array of numbers.
    """
    if isinstance(value, Tensor):  # numpy knows neither bfloat16 nor tensors that require gradients
        value = value.detach().cpu().to(torch.complex128 if value.is_complex() else torch.float64).numpy()
    array = np.asarray(value)
    return array.astype(np.complex128 if np.iscomplexobj(array) else np.float64)
