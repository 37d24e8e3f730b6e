"""Flat gradient code for `conv1d` in conv1d.py, written by flatgrad 0.1.0.

conv1d_forward(x, w, b, stride) -> out, cache
conv1d_backward(dout, cache)    -> dx, dw, db

Between forward and backward the caller leaves arguments and results as they are.
"""

import numpy as np


def conv1d_forward(x, w, b, stride=1):
    """Valid one-dimensional convolution; windows may overlap.

    Shapes: x (N, C, L), w (F, C, K), b (F,).
    """
    if w.shape[1] != x.shape[1] or np.shape(b) != w.shape[:1]:
        raise ValueError("shapes must be w (F, C, K) and b (F,)")
    N, C, L = x.shape
    F, _, K = w.shape
    out = np.zeros((N, F, (L - K) // stride + 1))  # (1)
    for t in range(out.shape[2]):
        window = x[:, :, t * stride : t * stride + K]  # (2)
        out[:, :, t] = np.tensordot(window, w, axes=([1, 2], [1, 2])) + b  # (3)
    return out, (x, w, stride)


def conv1d_backward(dout, cache):
    """Gradients from dout: dx (N, C, L), dw (F, C, K), db (F,)."""
    x, w, stride = cache
    K = w.shape[2]
    dw = np.zeros(w.shape, dout.dtype)
    dx = np.zeros(x.shape, dout.dtype)
    for t in reversed(range(dout.shape[2])):
        window = x[:, :, t * stride : t * stride + K]
        # (3) out[:, :, t] = np.tensordot(window, w, axes=([1, 2], [1, 2])) + b
        dout_part = dout[:, :, t]
        dwindow = np.tensordot(dout_part, w, axes=(1, 0))
        dw += np.tensordot(dout_part, window, axes=(0, 0))
        # (2) window = x[:, :, t * stride : t * stride + K]
        dx[:, :, t * stride : t * stride + K] += dwindow
    db = dout.sum(axis=(0, 2))
    return dx, dw, db
