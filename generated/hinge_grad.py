"""Flat gradient code for `hinge_loss` in hinge.py, written by flatgrad 0.1.0 (--wrt w).

hinge_loss_forward(w, X, y, reg)        -> out, cache
hinge_loss_backward(dout, cache)        -> dw
hinge_loss_value_and_grad(w, X, y, reg) -> out, dw

Between forward and backward the caller leaves arguments and results as they are.
"""

import numpy as np


def hinge_loss_forward(w, X, y, reg):
    """Squared hinge loss of a linear classifier, labels -1 and 1.

    Shapes: w (D,), X (N, D), y (N,), reg ().
    """
    if (
        np.ndim(w) != 1
        or X.ndim != 2
        or X.shape[1] != np.shape(w)[0]
        or np.shape(y) != X.shape[:1]
        or np.ndim(reg) != 0
    ):
        raise ValueError("shapes must be w (D,), X (N, D), y (N,) and reg a scalar")
    loss = 0.0  # (1)
    margins = []
    for i in range(X.shape[0]):
        margin = 1 - y[i] * (X[i] @ w)  # (2)
        margins.append(margin)
        if margin <= 0:
            continue
        loss += margin**2  # (3)
    out = loss / X.shape[0] + reg * (w @ w)  # (4)
    return out, (w, X, y, reg, margins)


def hinge_loss_backward(dout, cache):
    """Gradient of out: dw (D,)."""
    w, X, y, reg, margins = cache
    N = X.shape[0]
    # (4) out = loss / X.shape[0] + reg * (w @ w)
    dloss = dout / N
    dw = dout * reg * 2 * w
    for i in reversed(range(N)):
        if margins[i] <= 0:
            continue
        # (3) loss += margin**2
        dmargin = dloss * 2 * margins[i]
        # (2) margin = 1 - y[i] * (X[i] @ w)
        dw -= dmargin * y[i] * X[i]
    return dw


def hinge_loss_value_and_grad(w, X, y, reg):
    out, cache = hinge_loss_forward(w, X, y, reg)
    return out, hinge_loss_backward(1.0, cache)
