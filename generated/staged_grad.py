"""Flat gradient code for `f` in staged.py, written by flatgrad 0.1.0.

f_forward(x, y)         -> out, cache
f_backward(dout, cache) -> dx, dy
f_value_and_grad(x, y)  -> out, (dx, dy)

Between forward and backward the caller leaves arguments and results as they are.
"""

import math


def f_forward(x, y):
    sigy = 1.0 / (1 + math.exp(-y))  # (1) sigmoid in numerator
    num = x + sigy  # (2) numerator
    sigx = 1.0 / (1 + math.exp(-x))  # (3) sigmoid in denominator
    xpy = x + y  # (4)
    xpysqr = xpy**2  # (5)
    den = sigx + xpysqr  # (6) denominator
    invden = 1.0 / den  # (7)
    out = num * invden  # (8)
    return out, (sigy, num, sigx, xpy, invden)


def f_backward(dout, cache):
    """Gradients of out: dx (), dy ()."""
    sigy, num, sigx, xpy, invden = cache
    # (8) out = num * invden
    dnum = dout * invden
    dinvden = dout * num
    # (7) invden = 1.0 / den
    dden = -dinvden * invden**2
    # (6) den = sigx + xpysqr
    dsigx = dden
    dxpysqr = dden
    # (5) xpysqr = xpy**2
    dxpy = dxpysqr * 2 * xpy
    # (4) xpy = x + y
    dx = dxpy
    dy = dxpy
    # (3) sigx = 1.0 / (1 + math.exp(-x))
    dx += dsigx * sigx * (1 - sigx)
    # (2) num = x + sigy
    dx += dnum
    dsigy = dnum
    # (1) sigy = 1.0 / (1 + math.exp(-y))
    dy += dsigy * sigy * (1 - sigy)
    return dx, dy


def f_value_and_grad(x, y):
    out, cache = f_forward(x, y)
    return out, f_backward(1.0, cache)
