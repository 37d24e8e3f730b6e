"""Flat gradient code for conv_naive.py, written by hand.

conv_forward(x, w, b, conv_param) -> out, cache
conv_backward(dout, cache)        -> dx, dw, db
"""

import numpy as np


def conv_forward(x, w, b, conv_param):
    """A naive implementation of the forward pass for a convolutional layer.

    Shapes: x (N, C, H, W), w (F, C, HH, WW), b (F,).
    """
    if b.shape != w.shape[:1] or w.shape[1] != x.shape[1]:
        raise ValueError("shapes must be x (N, C, H, W), w (F, C, HH, WW) and b (F,)")
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
    return out, (x, w, stride, pad, x_pad)


def conv_backward(dout, cache):
    """Gradients from dout (N, F, H', W'): dx (N, C, H, W), dw (F, C, HH, WW), db (F,)."""
    x, w, stride, pad, x_pad = cache
    N, F, H_out, W_out = dout.shape
    _, _, H, W = x.shape
    _, _, HH, WW = w.shape
    dx_pad = np.zeros(x_pad.shape, dout.dtype)
    dw = np.zeros(w.shape, dout.dtype)
    for n in reversed(range(N)):
        for f in reversed(range(F)):
            for i in reversed(range(H_out)):
                for j in reversed(range(W_out)):
                    window = x_pad[n, :, i * stride : i * stride + HH, j * stride : j * stride + WW]
                    # (4) out[n, f, i, j] = np.sum(window * w[f]) + b[f]
                    dwindow = dout[n, f, i, j] * w[f]
                    dw[f] += dout[n, f, i, j] * window
                    # (3) window = x_pad[n, :, i * stride : i * stride + HH, j * stride : j * stride + WW]
                    dx_pad[
                        n, :, i * stride : i * stride + HH, j * stride : j * stride + WW
                    ] += dwindow
    db = dout.sum(axis=(0, 2, 3))
    # (1) x_pad = np.pad(x, ((0, 0), (0, 0), (pad, pad), (pad, pad)), mode="constant")
    dx = dx_pad[:, :, pad : pad + H, pad : pad + W]
    return dx, dw, db
