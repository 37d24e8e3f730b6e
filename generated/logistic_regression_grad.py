"""Flat gradient code for `logistic_loss` in logistic_regression.py, written by flatgrad 0.1.0 (--wrt w).

logistic_loss_forward(w, X, y, reg)        -> out, cache
logistic_loss_backward(dout, cache)        -> dw
logistic_loss_value_and_grad(w, X, y, reg) -> out, dw

Between forward and backward the caller leaves arguments and results as they are.
"""

import numpy as np


def logistic_loss_forward(w, X, y, reg=0.0):
    """Negative log-likelihood of logistic regression, with an L2 penalty.

    Parameters
    ----------
    w : array of shape (D,)
        The weights; the bias is the weight of a column of ones in X.
    X : array of shape (N, D)
    y : array of shape (N,)
        Labels, 0 or 1.
    """
    if np.ndim(w) != 1 or np.ndim(X) != 2 or np.shape(y) != np.shape(X)[:1] or np.ndim(reg) != 0:
        raise ValueError("shapes must be w (D,), X (N, D), y (N,) and reg a scalar")
    z = X @ w  # (1)
    nll = np.mean(np.logaddexp(0, z) - y * z)  # (2)
    out = nll + 0.5 * reg * np.sum(w**2)  # (3)
    return out, (w, X, y, reg, z)


def logistic_loss_backward(dout, cache):
    """Gradient of out: dw (D,)."""
    w, X, y, reg, z = cache
    # (3) out = nll + 0.5 * reg * np.sum(w**2)
    dnll = dout
    dw = dout * reg * w
    # (2) nll = np.mean(np.logaddexp(0, z) - y * z)
    dz = dnll / z.size / (1 + np.exp(-z))
    dz -= dnll / z.size * y
    # (1) z = X @ w
    dw += X.T @ dz
    return dw


def logistic_loss_value_and_grad(w, X, y, reg=0.0):
    out, cache = logistic_loss_forward(w, X, y, reg)
    return out, logistic_loss_backward(1.0, cache)
