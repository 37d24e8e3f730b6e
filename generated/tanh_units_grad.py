"""Flat gradient code for `two_units` in tanh_units.py, written by flatgrad 0.1.0.

two_units_forward(x1, x2, y1, Wx1, bx1, Wx2, bx2, Wy1, by1, Wy2, by2)        -> z1, cache
two_units_backward(dz1, cache)                                               -> dx1, dx2, dy1, dWx1, dbx1, dWx2, dbx2, dWy1, dby1, dWy2, dby2
two_units_value_and_grad(x1, x2, y1, Wx1, bx1, Wx2, bx2, Wy1, by1, Wy2, by2) -> z1, (dx1, dx2, dy1, dWx1, dbx1, dWx2, dbx2, dWy1, dby1, dWy2, dby2)

Between forward and backward the caller leaves arguments and results as they are.
"""

from math import tanh


def two_units_forward(x1, x2, y1, Wx1, bx1, Wx2, bx2, Wy1, by1, Wy2, by2):
    """Two tanh units, the first of which feeds the second."""
    y2 = tanh(Wx1 * x1 + bx1 + Wx2 * x2 + bx2)  # (1)
    z1 = tanh(Wy1 * y1 + by1 + Wy2 * y2 + by2)  # (2)
    return z1, (x1, x2, y1, Wx1, Wx2, Wy1, Wy2, y2, z1)


def two_units_backward(dz1, cache):
    """Gradients of z1: dx1 (), dx2 (), dy1 (), dWx1 (), dbx1 (), dWx2 (), dbx2 (), dWy1 (), dby1 (), dWy2 (), dby2 ()."""
    x1, x2, y1, Wx1, Wx2, Wy1, Wy2, y2, z1 = cache
    # (2) z1 = tanh(Wy1 * y1 + by1 + Wy2 * y2 + by2)
    dby1 = dz1 * (1 - z1**2)
    dWy1 = dby1 * y1
    dy1 = dby1 * Wy1
    dWy2 = dby1 * y2
    dy2 = dby1 * Wy2
    dby2 = dby1
    # (1) y2 = tanh(Wx1 * x1 + bx1 + Wx2 * x2 + bx2)
    dbx1 = dy2 * (1 - y2**2)
    dWx1 = dbx1 * x1
    dx1 = dbx1 * Wx1
    dWx2 = dbx1 * x2
    dx2 = dbx1 * Wx2
    dbx2 = dbx1
    return dx1, dx2, dy1, dWx1, dbx1, dWx2, dbx2, dWy1, dby1, dWy2, dby2


def two_units_value_and_grad(x1, x2, y1, Wx1, bx1, Wx2, bx2, Wy1, by1, Wy2, by2):
    z1, cache = two_units_forward(x1, x2, y1, Wx1, bx1, Wx2, bx2, Wy1, by1, Wy2, by2)
    return z1, two_units_backward(1.0, cache)
