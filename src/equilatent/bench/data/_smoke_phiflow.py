"""The reference: the same simulations with PhiFlow, one at a time."""

from __future__ import annotations

import importlib
import importlib.metadata
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from equilatent.errors import MissingDependencyError

__all__ = ["phiflow_frames", "phiflow_versions"]


def phiflow_frames(
    force: Sequence[float], side: int, *, size: int = 64, start: npt.NDArray[Any] | None = None
) -> Iterator[npt.NDArray[np.float32]]:
    """The velocity after each step of one simulation by PhiFlow 3.4 (Holl & Thuerey), as long as it is asked for.

    Args:
        force: acceleration (x, y) of a cell that holds smoke 1.
        side: near which side smoke flows in, 0 to 3, as for `SmokeSimulator`.
        size: cells along each axis, N.
        start: the first velocity; at rest by default.

    Yields:
        (u_x, u_y) on the faces before each cell, [2, N, N]: PhiFlow's staggered tensor, cropped.

    Raises:
        MissingDependencyError: if PhiFlow is not installed.
    """
    flow = _flow()
    scale = size / 64
    middle, near, far = size / 2, 5 * scale, size - 5 * scale
    x, y = ((middle, near), (far, middle), (middle, far), (near, middle))[side]
    box, boundary = flow.Box(x=size, y=size), flow.extrapolation.BOUNDARY
    grid = {"x": size, "y": size, "bounds": box}
    smoke = flow.CenteredGrid(0, boundary, **grid)
    inflow = flow.CenteredGrid(flow.Sphere(flow.vec(x=x, y=y), radius=5 * scale), boundary, **grid)
    velocity = flow.StaggeredGrid(0, flow.extrapolation.ZERO, **grid)
    if start is not None:
        faces = start.astype(np.float32)
        # Only the faces inside, and x first, which is the order of the grid.
        u, v = (flow.tensor(part.T, flow.spatial("x,y")) for part in (faces[0, :, 1:], faces[1, 1:]))
        velocity = velocity.with_values(flow.math.stack([u, v], flow.dual(vector="x,y")))
    acceleration = flow.tensor(list(force), flow.channel(vector="x,y"))
    # A rank deficiency of 0 is what lets the solver of a closed box converge.
    solve = flow.Solve("CG-adaptive", 1e-5, 0, rank_deficiency=0)
    if start is not None:
        velocity, _ = flow.fluid.make_incompressible(velocity, (), solve)
    while True:
        smoke = flow.advect.mac_cormack(smoke, velocity, dt=1) + inflow
        buoyancy = flow.resample(smoke * acceleration, to=velocity)
        velocity = flow.advect.semi_lagrangian(velocity, velocity, dt=1) + buoyancy
        velocity, _ = flow.fluid.make_incompressible(velocity, (), solve)
        yield velocity.staggered_tensor().numpy("vector,y,x")[:, :size, :size]


def phiflow_versions() -> dict[str, str]:
    """Which versions the simulations are made with.

    Raises:
        MissingDependencyError: if PhiFlow is not installed.
    """
    _flow()
    return {name: importlib.metadata.version(name) for name in ("phiflow", "phiml")}


def _flow() -> Any:
    try:
        return importlib.import_module("phi.flow")
    except ImportError as error:
        raise MissingDependencyError(
            "the reference simulations are made with PhiFlow, which is not installed. Install it: "
            "pip install 'equilatent[phiflow]'; or have them made in PyTorch (simulator 'torch')."
        ) from error
