"""Flat gradient code for `conv` in conv_naive.py, written by flatgrad 0.1.0.

conv_forward(x, w, b, conv_param) -> out, cache
conv_backward(dout, cache)        -> dx, dw, db

Between forward and backward the caller leaves arguments and results as they are.
"""

import numpy as np


def unbroadcast(gradient, shape):
    """Sum a gradient over the axes along which an operand of this shape was broadcast."""
    lead = np.ndim(gradient) - len(shape)
    axes = tuple(k for k in range(np.ndim(gradient)) if k < lead or shape[k - lead] == 1)
    return np.sum(gradient, axis=axes, keepdims=True).reshape(shape)


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
    stride, pad = conv_param["stride"], conv_param["pad"]  # (1)
    N, C, H, W = x.shape
    F, _, HH, WW = w.shape
    H_out = 1 + (H + 2 * pad - HH) // stride  # (2)
    W_out = 1 + (W + 2 * pad - WW) // stride  # (3)
    x_pad = np.pad(x, ((0, 0), (0, 0), (pad, pad), (pad, pad)), mode="constant")  # (4)
    out = np.zeros((N, F, H_out, W_out))  # (5)
    for n in range(N):
        for f in range(F):
            for i in range(H_out):
                for j in range(W_out):
                    window = x_pad[
                        n, :, i * stride : i * stride + HH, j * stride : j * stride + WW
                    ]  # (6)
                    out[n, f, i, j] = np.sum(window * w[f]) + b[f]  # (7)
    return out, (w, b, stride, pad, H, W, H_out, W_out, x_pad)


def conv_backward(dout, cache):
    """Gradients from dout: dx (N, C, H, W), dw (F, C, HH, WW), db (F,)."""
    w, b, stride, pad, H, W, H_out, W_out, x_pad = cache
    N = x_pad.shape[0]
    F, _, HH, WW = w.shape
    dw = np.zeros(w.shape, dout.dtype)
    db = np.zeros(b.shape, dout.dtype)
    dx_pad = np.zeros(x_pad.shape, dout.dtype)
    for n in reversed(range(N)):
        for f in reversed(range(F)):
            for i in reversed(range(H_out)):
                for j in reversed(range(W_out)):
                    window = x_pad[n, :, i * stride : i * stride + HH, j * stride : j * stride + WW]
                    # (7) out[n, f, i, j] = np.sum(window * w[f]) + b[f]
                    dout_part = dout[n, f, i, j]
                    d_spread = dout_part * np.ones_like(window * w[f])
                    dwindow = unbroadcast(
                        d_spread * w[f],
                        x_pad[
                            n, :, i * stride : i * stride + HH, j * stride : j * stride + WW
                        ].shape,
                    )
                    dw[f] += unbroadcast(d_spread * window, w[f].shape)
                    db[f] += dout_part
                    # (6) window = x_pad[n, :, i * stride : i * stride + HH, j * stride : j * stride + WW]
                    dx_pad[
                        n, :, i * stride : i * stride + HH, j * stride : j * stride + WW
                    ] += dwindow
    # (4) x_pad = np.pad(x, ((0, 0), (0, 0), (pad, pad), (pad, pad)), mode="constant")
    dx = dx_pad[:, :, pad : pad + H, pad : pad + W]
    return dx, dw, db
