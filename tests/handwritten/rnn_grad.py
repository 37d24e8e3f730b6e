"""Flat gradient code for `rnn` in rnn.py, written by hand.

rnn_forward(x, h0, Wx, Wh, b)  -> h, cache
rnn_backward(dh, cache)        -> dx, dh0, dWx, dWh, db

`h` is not a scalar, so there is no rnn_value_and_grad.
"""

import numpy as np


def rnn_forward(x, h0, Wx, Wh, b):
    """Vanilla recurrent network over a whole sequence; returns every hidden state.

    Shapes: x (N, T, D), h0 (N, H), Wx (D, H), Wh (H, H), b (H,).
    """
    N, T, D = x.shape
    if b.shape != Wh.shape[1:]:
        raise ValueError(f"b must have shape (H,) = {Wh.shape[1:]}, not {b.shape}")
    h = np.zeros((N, T, h0.shape[1]))  # (1)
    prev = h0  # (2)
    prevs = [prev]
    for t in range(T):
        prev = np.tanh(x[:, t] @ Wx + prev @ Wh + b)  # (3)
        prevs.append(prev)
        h[:, t] = prev  # (4)
    return h, (x, Wx, Wh, prevs)


def rnn_backward(dh, cache):
    """Gradients from dh (N, T, H): dx (N, T, D), dh0 (N, H), dWx (D, H), dWh (H, H), db (H,)."""
    x, Wx, Wh, prevs = cache
    T = x.shape[1]
    dx = np.zeros(x.shape, dh.dtype)
    dWx = np.zeros(Wx.shape, dh.dtype)
    dWh = np.zeros(Wh.shape, dh.dtype)
    db = np.zeros(Wh.shape[0], dh.dtype)
    dprev = np.zeros_like(prevs[T])
    for t in reversed(range(T)):
        # (4) h[:, t] = prev
        dprev += dh[:, t]
        # (3) prev = np.tanh(x[:, t] @ Wx + prev @ Wh + b)
        da = dprev * (1 - prevs[t + 1] ** 2)
        dx[:, t] = da @ Wx.T
        dWx += x[:, t].T @ da
        dprev = da @ Wh.T
        dWh += prevs[t].T @ da
        db += da.sum(axis=0)
    # (2) prev = h0
    dh0 = dprev
    return dx, dh0, dWx, dWh, db
