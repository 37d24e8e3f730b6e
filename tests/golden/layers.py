# input: layers.py
import numpy as np


def affine_forward(x, w: "D M", b: "M"):
    """x has shape (N, d_1, ..., d_k), with D = d_1 * ... * d_k."""
    rows = x.reshape(x.shape[0], -1)
    out = rows @ w + b
    return out


def relu_forward(x):
    return np.maximum(0, x)


def affine_relu_forward(x, w: "D M", b: "M"):
    a = affine_forward(x, w, b)
    out = relu_forward(a)
    return out


def batchnorm_forward(x: "N D", gamma: "D", beta: "D", eps: float = 1e-5):
    mu = x.mean(axis=0)
    xc = x - mu
    var = np.mean(xc**2, axis=0)
    std = np.sqrt(var + eps)
    xhat = xc / std
    return gamma * xhat + beta

# output
"""Flat gradient code for layers.py, written by flatgrad 0.1.0.

affine_forward(x, w, b)                -> out, cache
affine_backward(dout, cache)           -> dx, dw, db
relu_forward(x)                        -> out, cache
relu_backward(dout, cache)             -> dx
relu_value_and_grad(x)                 -> out, dx
affine_relu_forward(x, w, b)           -> out, cache
affine_relu_backward(dout, cache)      -> dx, dw, db
batchnorm_forward(x, gamma, beta, eps) -> out, cache
batchnorm_backward(dout, cache)        -> dx, dgamma, dbeta

Between forward and backward the caller leaves arguments and results as they are.
"""

import numpy as np


def affine_forward(x, w, b):
    """x has shape (N, d_1, ..., d_k), with D = d_1 * ... * d_k.

    Shapes: w (D, M), b (M,).
    """
    if np.ndim(w) != 2 or np.shape(b) != np.shape(w)[1:]:
        raise ValueError("shapes must be w (D, M) and b (M,)")
    rows = x.reshape(x.shape[0], -1)  # (1)
    out = rows @ w + b  # (2)
    return out, (x, w, rows)


def affine_backward(dout, cache):
    """Gradients from dout (N, M): dx like x, dw (D, M), db (M,)."""
    x, w, rows = cache
    # (2) out = rows @ w + b
    drows = dout @ w.T
    dw = rows.T @ dout
    db = dout.sum(axis=0)
    # (1) rows = x.reshape(x.shape[0], -1)
    dx = drows.reshape(x.shape)
    return dx, dw, db


def relu_forward(x):
    out = np.maximum(0, x)  # (1)
    return out, out


def relu_backward(dout, cache):
    out = cache
    # (1) out = np.maximum(0, x)
    dx = dout * (out > 0)
    return dx


def relu_value_and_grad(x):
    out, cache = relu_forward(x)
    if np.ndim(out) != 0:
        raise ValueError(f"out has the shape {np.shape(out)}, a scalar is needed")
    return out, relu_backward(1.0, cache)


def affine_relu_forward(x, w, b):
    """Shapes: w (D, M), b (M,)."""
    a, affine_cache = affine_forward(x, w, b)  # (1)
    out, relu_cache = relu_forward(a)  # (2)
    return out, (affine_cache, relu_cache)


def affine_relu_backward(dout, cache):
    """Gradients from dout: dx like x, dw (D, M), db (M,)."""
    affine_cache, relu_cache = cache
    # (2) out = relu_forward(a)
    da = relu_backward(dout, relu_cache)
    # (1) a = affine_forward(x, w, b)
    dx, dw, db = affine_backward(da, affine_cache)
    return dx, dw, db


def batchnorm_forward(x, gamma, beta, eps=1e-5):
    """Shapes: x (N, D), gamma (D,), beta (D,), eps ()."""
    if (
        x.ndim != 2
        or np.shape(gamma) != x.shape[1:]
        or np.shape(beta) != x.shape[1:]
        or np.ndim(eps) != 0
    ):
        raise ValueError("shapes must be x (N, D), gamma (D,), beta (D,) and eps a scalar")
    mu = x.mean(axis=0)  # (1)
    xc = x - mu  # (2)
    var = np.mean(xc**2, axis=0)  # (3)
    std = np.sqrt(var + eps)  # (4)
    xhat = xc / std  # (5)
    out = gamma * xhat + beta  # (6)
    return out, (gamma, std, xhat)


def batchnorm_backward(dout, cache):
    """Gradients from dout (N, D): dx (N, D), dgamma (D,), dbeta (D,)."""
    gamma, std, xhat = cache
    # (6) out = gamma * xhat + beta
    dgamma = (dout * xhat).sum(axis=0)
    dxhat = dout * gamma
    dbeta = dout.sum(axis=0)
    # (1)-(5) standardisation of x
    dx = (dxhat - dxhat.mean(axis=0) - xhat * (dxhat * xhat).mean(axis=0)) / std
    return dx, dgamma, dbeta
