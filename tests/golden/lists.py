# input: lists.py
"""A network of any depth whose layers come as a list of pairs, and its penalty."""

import numpy as np


def predict(params, x):
    """x: (N, D)"""
    for i in range(len(params) - 1):
        W, b = params[i]
        x = np.tanh(x @ W + b)
    W, b = params[-1]
    return x @ W + b


def loss(params, x, y, reg=0.1):
    """x: (N, D), y: (N, C)"""
    penalty = 0.0
    for i in range(len(params)):
        penalty += np.sum(params[i][0] ** 2)
    return np.sum((predict(params, x) - y) ** 2) + reg * penalty

# output
"""Flat gradient code for lists.py, written by flatgrad 0.1.0.

predict_forward(params, x)             -> out, cache
predict_backward(dout, cache)          -> dparams, dx
loss_forward(params, x, y, reg)        -> out, cache
loss_backward(dout, cache)             -> dparams, dx, dy
loss_value_and_grad(params, x, y, reg) -> out, (dparams, dx, dy)

Between forward and backward the caller leaves arguments and results as they are.
"""

import numpy as np


def unbroadcast(gradient, shape):
    """Sum a gradient over the axes along which an operand of this shape was broadcast."""
    lead = np.ndim(gradient) - len(shape)
    axes = tuple(k for k in range(np.ndim(gradient)) if k < lead or shape[k - lead] == 1)
    return np.sum(gradient, axis=axes, keepdims=True).reshape(shape)


def predict_forward(params, x):
    """x: (N, D)"""
    if np.ndim(x) != 2:
        raise ValueError(f"x must have shape (N, D), not {np.shape(x)}")
    xs = [x]
    for i in range(len(params) - 1):
        W, b = params[i]  # (1)
        if np.ndim(W) != 2 or np.shape(b) != W.shape[1:]:
            raise ValueError(
                "W in params must be a matrix, and b in params must have a number for each of its columns"
            )
        x = np.tanh(x @ W + b)  # (2)
        xs.append(x)
    W, b = params[-1]  # (3)
    if np.ndim(W) != 2 or np.shape(b) != W.shape[1:]:
        raise ValueError(
            "W in params must be a matrix, and b in params must have a number for each of its columns"
        )
    out = x @ W + b  # (4)
    return out, (params, x, xs, W)


def predict_backward(dout, cache):
    """Gradients from dout: dparams like params, dx (N, D)."""
    params, x, xs, W = cache
    # (4) out = x @ W + b
    dx = dout @ W.T
    dW = x.T @ dout
    db = dout.sum(axis=0)
    # (3) W, b = params[-1]
    dparams = [
        [np.zeros(np.shape(one), np.result_type(one, 0.0)) for one in part] for part in params
    ]
    dparams[-1][1] += db
    dparams[-1][0] += dW
    for i in reversed(range(len(params) - 1)):
        # (2) x = np.tanh(x @ W + b)
        dx_pre = dx * (1 - xs[i + 1] ** 2)
        dx = dx_pre @ params[i][0].T
        dW = xs[i].T @ dx_pre
        db = dx_pre.sum(axis=0)
        # (1) W, b = params[i]
        dparams[i][1] += db
        dparams[i][0] += dW
    return dparams, dx


def loss_forward(params, x, y, reg=0.1):
    """x: (N, D), y: (N, C)"""
    if np.ndim(y) != 2 or np.shape(y)[0] != np.shape(x)[0] or np.ndim(reg) != 0:
        raise ValueError("shapes must be y (N, C) and reg a scalar")
    penalty = 0.0  # (1)
    for i in range(len(params)):
        penalty += np.sum(params[i][0] ** 2)  # (2)
    predict2, predict_cache = predict_forward(params, x)
    out_diff = predict2 - y
    out = np.sum(out_diff**2) + reg * penalty  # (3)
    return out, (params, y, reg, predict2, predict_cache, out_diff)


def loss_backward(dout, cache):
    """Gradients of out: dparams like params, dx (N, D), dy (N, C)."""
    params, y, reg, predict2, predict_cache, out_diff = cache
    # (3) out = np.sum((predict(params, x) - y) ** 2) + reg * penalty
    dout_diff = dout * 2 * out_diff
    dparams_predict, dx = predict_backward(unbroadcast(dout_diff, predict2.shape), predict_cache)
    dy = unbroadcast(-dout_diff, y.shape)
    dpenalty = dout * reg
    dparams = dparams_predict
    for i in reversed(range(len(params))):
        # (2) penalty += np.sum(params[i][0] ** 2)
        dparams[i][0] += dpenalty * 2 * params[i][0]
    return dparams, dx, dy


def loss_value_and_grad(params, x, y, reg=0.1):
    out, cache = loss_forward(params, x, y, reg)
    return out, loss_backward(1.0, cache)
