"""When two gradients are one."""

from __future__ import annotations

from typing import Any

import numpy as np

Floats = np.ndarray[Any, np.dtype[Any]]

# Of the norm. Differences of five points agree with the derivative to about 1e-10; `log(y + 1e-7)` is differentiated
# as log(y).
TOLERANCE = 1e-5
FLOOR = 1e-9


def close(value: Floats, truth: Floats) -> bool:
    """Of one shape and, by the norm of their difference, one value."""
    if value.shape != truth.shape:
        return False
    with np.errstate(all="ignore"):
        difference = float(np.linalg.norm(value - truth))
        scale = max(float(np.linalg.norm(value)), float(np.linalg.norm(truth)))
    return bool(difference <= TOLERANCE * scale + FLOOR * max(1.0, value.size) ** 0.5 and np.isfinite(difference))


def squeezed(shape: tuple[int, ...]) -> tuple[int, ...]:
    """A shape without its axes of size 1."""
    return tuple(n for n in shape if n != 1)


def as_shaped(value: Floats, shape: tuple[int, ...], whole: bool) -> Floats | None:
    """A homework's gradient in the shape of the true one, None if it has another: axes of size 1 aside, and where it
    is not `whole`, up to broadcasting.

    An intermediate gradient that is the same for all of a batch may be one number; one that is returned may not.
    """
    if value.shape == shape:
        return value
    if squeezed(value.shape) == squeezed(shape):
        return value.reshape(shape)
    if whole:
        return None
    try:
        return np.broadcast_to(value, shape)
    except ValueError:
        return None


def same_gradient(value: Floats, truth: Floats, whole: bool) -> bool:
    """Whether a homework's gradient is the true one, in the sense of `as_shaped`."""
    shaped = as_shaped(value, truth.shape, whole)
    return shaped is not None and close(shaped, truth)


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
