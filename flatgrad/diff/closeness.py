"""When two gradients are one."""

from __future__ import annotations

from typing import Any

import numpy as np

Floats = np.ndarray[Any, np.dtype[Any]]

# Of the norm; differences of five points agree with the derivative to about 1e-10.
TOLERANCE = 2e-6
FLOOR = 1e-9


def close(value: Floats, truth: Floats) -> bool:
    """Of one shape and, by the norm of their difference, one value."""
    if value.shape != truth.shape:
        return False
    with np.errstate(all="ignore"):
        difference = float(np.linalg.norm(value - truth))
        scale = max(float(np.linalg.norm(value)), float(np.linalg.norm(truth)))
    return difference <= TOLERANCE * scale + FLOOR * max(1.0, value.size) ** 0.5


def same_gradient(value: Floats, truth: Floats, whole: bool) -> bool:
    """Whether a homework's gradient is the true one: axes of size 1 aside, and where it is not `whole`, up to broadcasting.

    An intermediate gradient that is the same for all of a batch may be one number; one that is returned may not.
    """
    if value.shape == truth.shape:
        return close(value, truth)
    if value.size == truth.size:
        squeezed = tuple(n for n in value.shape if n != 1) == tuple(n for n in truth.shape if n != 1)
        return squeezed and close(value.reshape(truth.shape), truth)
    if whole:
        return False
    try:
        spread = np.broadcast_to(value, truth.shape)
    except ValueError:
        return False
    return close(spread, truth)


def relative_error(value: Floats, truth: Floats) -> float:
    """The largest `|a - b| / max(1e-8, |a| + |b|)`, after broadcasting; inf where the shapes do not allow it."""
    try:
        one, two = np.broadcast_arrays(value, truth)
    except ValueError:
        return float("inf")
    if not one.size:
        return 0.0
    with np.errstate(all="ignore"):
        error = np.abs(one - two) / np.maximum(1e-8, np.abs(one) + np.abs(two))
    worst = float(np.max(error))
    return worst if np.isfinite(worst) else float("inf")
