"""Flat gradient code for `conv` in conv_naive.py, written by flatgrad 0.1.0.

conv_forward(x, w, b, conv_param) -> out, cache
conv_backward(dout, cache)        -> dx, dw, db

Between forward and backward the caller leaves arguments and results as they are.
"""

import numpy as np


def conv_forward(x, w, b, conv_param):
    """
    A naive implementation of the forward pass for a convolutional layer.

    Input:
    - x: Input data of shape (N, C, H, W)
    - w: Filter weights of shape (F, C, HH, WW)
    - b: Biases, of shape (F,)
    - conv_param: A dictionary with the following keys:
      - 'stride': The number of pixels between adjacent receptive fields
      - 'pad': The number of pixels that will be used to zero-pad the input

    Returns a tuple of:
    - out: Output data, of shape (N, F, H', W') where
      H' = 1 + (H + 2 * pad - HH) // stride
      W' = 1 + (W + 2 * pad - WW) // stride
    - cache: (x, w, b, conv_param)
    """
    if w.shape[1] != x.shape[1] or np.shape(b) != w.shape[:1]:
        raise ValueError("shapes must be w (F, C, HH, WW) and b (F,)")
    stride, pad = conv_param["stride"], conv_param["pad"]
    N, C, H, W = x.shape
    F, _, HH, WW = w.shape
    H_out = 1 + (H + 2 * pad - HH) // stride
    W_out = 1 + (W + 2 * pad - WW) // stride
    x_pad = np.pad(x, ((0, 0), (0, 0), (pad, pad), (pad, pad)), mode="constant")  # (1)
    out = np.zeros((N, F, H_out, W_out))  # (2)
    for n in range(N):
        for f in range(F):
            for i in range(H_out):
                for j in range(W_out):
                    window = x_pad[
                        n, :, i * stride : i * stride + HH, j * stride : j * stride + WW
                    ]  # (3)
                    out[n, f, i, j] = np.sum(window * w[f]) + b[f]  # (4)
    return out, (w, stride, pad, H, W, H_out, W_out, x_pad)


def conv_backward(dout, cache):
    """Gradients from dout: dx (N, C, H, W), dw (F, C, HH, WW), db (F,)."""
    w, stride, pad, H, W, H_out, W_out, x_pad = cache
    N = x_pad.shape[0]
    F, _, HH, WW = w.shape
    dw = np.zeros(w.shape, dout.dtype)
    dx_pad = np.zeros(x_pad.shape, dout.dtype)
    for n in reversed(range(N)):
        for f in reversed(range(F)):
            for i in reversed(range(H_out)):
                for j in reversed(range(W_out)):
                    window = x_pad[n, :, i * stride : i * stride + HH, j * stride : j * stride + WW]
                    # (4) out[n, f, i, j] = np.sum(window * w[f]) + b[f]
                    dout_part = dout[n, f, i, j]
                    dwindow = dout_part * w[f]
                    dw[f] += dout_part * window
                    # (3) window = x_pad[n, :, i * stride : i * stride + HH, j * stride : j * stride + WW]
                    dx_pad[
                        n, :, i * stride : i * stride + HH, j * stride : j * stride + WW
                    ] += dwindow
    db = dout.sum(axis=(0, 2, 3))
    # (1) x_pad = np.pad(x, ((0, 0), (0, 0), (pad, pad), (pad, pad)), mode="constant")
    dx = dx_pad[:, :, pad : pad + H, pad : pad + W]
    return dx, dw, db
