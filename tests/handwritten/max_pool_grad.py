"""Flat gradient code for max_pool.py, written by hand.

max_pool_forward(x, pool_param) -> out, cache
max_pool_backward(dout, cache)  -> dx
"""

import numpy as np


def max_pool_forward(x, pool_param):
    """Max pooling; windows overlap where the stride is smaller than the window.

    Shapes: x (N, C, H, W).
    """
    N, C, H, W = x.shape
    HH, WW = pool_param["pool_height"], pool_param["pool_width"]
    stride = pool_param["stride"]
    H_out = (H - HH) // stride + 1
    W_out = (W - WW) // stride + 1
    out = np.zeros((N, C, H_out, W_out))  # (1)
    for i in range(H_out):
        for j in range(W_out):
            window = x[:, :, i * stride : i * stride + HH, j * stride : j * stride + WW]  # (2)
            out[:, :, i, j] = np.max(window, axis=(2, 3))  # (3)
    return out, (x, HH, WW, stride)


def max_pool_backward(dout, cache):
    """Gradient from dout (N, C, H', W'): dx (N, C, H, W)."""
    x, HH, WW, stride = cache
    N, C, H_out, W_out = dout.shape
    dx = np.zeros(x.shape, dout.dtype)
    for i in reversed(range(H_out)):
        for j in reversed(range(W_out)):
            window = x[:, :, i * stride : i * stride + HH, j * stride : j * stride + WW]
            # (3) out[:, :, i, j] = np.max(window, axis=(2, 3)), shared among ties
            top = window == np.max(window, axis=(2, 3), keepdims=True)
            dwindow = dout[:, :, i, j, None, None] * top / top.sum(axis=(2, 3), keepdims=True)
            # (2) window = x[:, :, i * stride : i * stride + HH, j * stride : j * stride + WW]
            dx[:, :, i * stride : i * stride + HH, j * stride : j * stride + WW] += dwindow
    return dx
