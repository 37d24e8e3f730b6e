"""Flat gradient code for dropout.py, written by hand.

dropout_forward(x, dropout_param) -> out, cache
dropout_backward(dout, cache)     -> dx
"""

import numpy as np


def dropout_forward(x, dropout_param):
    """Forward pass for inverted dropout."""
    p, mode = dropout_param["p"], dropout_param["mode"]
    if "seed" in dropout_param:
        np.random.seed(dropout_param["seed"])

    mask = None
    out = None

    if mode == "train":
        mask = (np.random.rand(*x.shape) < p) / p
        out = x * mask  # (1)
    elif mode == "test":
        out = x  # (2)

    out = out.astype(x.dtype, copy=False)  # (3)

    return out, (mode, mask)


def dropout_backward(dout, cache):
    mode, mask = cache
    if mode == "train":
        # (1), (3) out = x * mask, in the dtype of x
        dx = (dout * mask).astype(dout.dtype, copy=False)
    else:
        # (2) out = x
        dx = dout.copy()
    return dx
