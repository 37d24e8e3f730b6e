"""Flat gradient code for `dropout` in dropout.py, written by flatgrad 0.1.0.

dropout_forward(x, dropout_param)        -> out, cache
dropout_backward(dout, cache)            -> dx
dropout_value_and_grad(x, dropout_param) -> out, dx

Between forward and backward the caller leaves arguments and results as they are.
"""

import numpy as np


def unbroadcast(gradient, shape):
    """Sum a gradient over the axes along which an operand of this shape was broadcast."""
    lead = np.ndim(gradient) - len(shape)
    axes = tuple(k for k in range(np.ndim(gradient)) if k < lead or shape[k - lead] == 1)
    return np.sum(gradient, axis=axes, keepdims=True).reshape(shape)


def dropout_forward(x, dropout_param):
    """
    Forward pass for inverted dropout.

    Inputs:
    - x: Input data, of any shape
    - dropout_param: A dictionary with the following keys:
      - p: Dropout parameter. We keep each neuron output with probability p.
      - mode: 'test' or 'train'. If the mode is train, then perform dropout;
        if the mode is test, then just return the input.
      - seed: Seed for the random number generator.

    Outputs:
    - out: Array of the same shape as x.
    - cache: tuple (dropout_param, mask).
    """
    p, mode = dropout_param["p"], dropout_param["mode"]  # (1)
    if "seed" in dropout_param:
        np.random.seed(dropout_param["seed"])
    out = None

    mask = None
    if mode == "train":
        mask = (np.random.rand(*x.shape) < p) / p  # (2)
        out = x * mask  # (3)
    elif mode == "test":
        out = x  # (4)
    if x.dtype.kind != "f":
        raise ValueError("x must hold floating-point numbers")
    out = out.astype(x.dtype, copy=False)  # (5)

    return out, (x, mode, mask)


def dropout_backward(dout, cache):
    x, mode, mask = cache
    if mode == "train":
        # (3) out = x * mask
        dx = unbroadcast(dout * mask, np.shape(x))
    else:
        dx = np.zeros(np.shape(x), np.result_type(np.asarray(x), 0.0))
        if mode == "test":
            # (4) out = x
            dx += dout
    return dx


def dropout_value_and_grad(x, dropout_param):
    out, cache = dropout_forward(x, dropout_param)
    if np.ndim(out) != 0:
        raise ValueError(f"out has the shape {np.shape(out)}, a scalar is needed")
    return out, dropout_backward(1.0, cache)
