"""Flat gradient code for `circuit` in add_mul.py, written by flatgrad 0.1.0.

circuit_forward(x, y, z)        -> f, cache
circuit_backward(df, cache)     -> dx, dy, dz
circuit_value_and_grad(x, y, z) -> f, (dx, dy, dz)

Between forward and backward the caller leaves arguments and results as they are.
"""

import numpy as np


def circuit_forward(x, y, z):
    """The first circuit of every course: an addition that feeds a multiplication.

    Shapes: x (), y (), z ().
    """
    if np.ndim(x) != 0 or np.ndim(y) != 0 or np.ndim(z) != 0:
        raise ValueError("x, y and z must be scalars")
    q = x + y  # (1)
    f = q * z  # (2)
    return f, (z, q)


def circuit_backward(df, cache):
    """Gradients of f: dx (), dy (), dz ()."""
    z, q = cache
    # (2) f = q * z
    dq = df * z
    dz = df * q
    # (1) q = x + y
    dx = dq
    dy = dq
    return dx, dy, dz


def circuit_value_and_grad(x, y, z):
    f, cache = circuit_forward(x, y, z)
    return f, circuit_backward(1.0, cache)
