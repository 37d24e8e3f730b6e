"""Flat gradient code for `max_pool` in max_pool.py, written by flatgrad 0.1.0.

max_pool_forward(x, pool_param) -> out, cache
max_pool_backward(dout, cache)  -> dx

Between forward and backward the caller leaves arguments and results as they are.
"""

import numpy as np


def max_pool_forward(x, pool_param):
    """
    Max pooling; windows overlap where the stride is smaller than the window.

    Inputs:
    - x: Input data, of shape (N, C, H, W)
    - pool_param: dictionary with the following keys:
      - 'pool_height': The height of each pooling region
      - 'pool_width': The width of each pooling region
      - 'stride': The distance between adjacent pooling regions

    Returns a tuple of:
    - out: Output data, of shape (N, C, H', W')
    - cache: (x, pool_param)
    """
    N, C, H, W = x.shape
    HH, WW = pool_param["pool_height"], pool_param["pool_width"]
    stride = pool_param["stride"]
    H_out = (H - HH) // stride + 1
    W_out = (W - WW) // stride + 1
    out = np.zeros((N, C, H_out, W_out))  # (1)
    window_maxs = {}
    for i in range(H_out):
        for j in range(W_out):
            window = x[:, :, i * stride : i * stride + HH, j * stride : j * stride + WW]  # (2)
            window_max = np.max(window, axis=(2, 3))
            window_maxs[i, j] = window_max
            out[:, :, i, j] = window_max  # (3)
    return out, (x, HH, WW, stride, H_out, W_out, window_maxs)


def max_pool_backward(dout, cache):
    """Gradient from dout: dx (N, C, H, W)."""
    x, HH, WW, stride, H_out, W_out, window_maxs = cache
    dx = np.zeros(x.shape, dout.dtype)
    for i in reversed(range(H_out)):
        for j in reversed(range(W_out)):
            window = x[:, :, i * stride : i * stride + HH, j * stride : j * stride + WW]
            # (3) out[:, :, i, j] = np.max(window, axis=(2, 3))
            dout_part = dout[:, :, i, j]
            dwindow = (
                dout_part[:, :, None, None]
                * (window == window_maxs[i, j][:, :, None, None])
                / (window == window_maxs[i, j][:, :, None, None]).sum(
                    axis=(2, 3), dtype=dout_part.dtype, keepdims=True
                )
            )
            # (2) window = x[:, :, i * stride : i * stride + HH, j * stride : j * stride + WW]
            dx[:, :, i * stride : i * stride + HH, j * stride : j * stride + WW] += dwindow
    return dx
