"""Flat gradient code for `rnn` in rnn.py, written by flatgrad 0.1.0.

rnn_forward(x, h0, Wx, Wh, b) -> h, cache
rnn_backward(dh, cache)       -> dx, dh0, dWx, dWh, db

Between forward and backward the caller leaves arguments and results as they are.
"""

import numpy as np


def rnn_forward(x, h0, Wx, Wh, b):
    """Vanilla recurrent network over a whole sequence; returns every hidden state.

    Shapes: x (N, T, D), h0 (N, H), Wx (D, H), Wh (H, H), b (H,).
    """
    if (
        h0.ndim != 2
        or h0.shape[0] != x.shape[0]
        or np.shape(Wx) != (x.shape[2], h0.shape[1])
        or np.shape(Wh) != (h0.shape[1], h0.shape[1])
        or np.shape(b) != h0.shape[1:]
    ):
        raise ValueError("shapes must be h0 (N, H), Wx (D, H), Wh (H, H) and b (H,)")
    N, T, D = x.shape
    h = np.zeros((N, T, h0.shape[1]))  # (1)
    prev = h0  # (2)
    prevs = [prev]
    for t in range(T):
        prev = np.tanh(x[:, t] @ Wx + prev @ Wh + b)  # (3)
        prevs.append(prev)
        h[:, t] = prev  # (4)
    return h, (x, Wx, Wh, b, prevs)


def rnn_backward(dh, cache):
    """Gradients from dh (N, T, H): dx (N, T, D), dh0 (N, H), dWx (D, H), dWh (H, H), db (H,)."""
    x, Wx, Wh, b, prevs = cache
    T = x.shape[1]
    dprev = np.zeros(prevs[-1].shape, dh.dtype)
    dx = np.zeros(x.shape, dh.dtype)
    dWx = np.zeros(Wx.shape, dh.dtype)
    dWh = np.zeros(Wh.shape, dh.dtype)
    db = np.zeros(b.shape, dh.dtype)
    for t in reversed(range(T)):
        # (4) h[:, t] = prev
        dprev += dh[:, t]
        # (3) prev = np.tanh(x[:, t] @ Wx + prev @ Wh + b)
        dprev_pre = dprev * (1 - prevs[t + 1] ** 2)
        dx[:, t] = dprev_pre @ Wx.T
        dWx += x[:, t].T @ dprev_pre
        dprev = dprev_pre @ Wh.T
        dWh += prevs[t].T @ dprev_pre
        db += dprev_pre.sum(axis=0)
    # (2) prev = h0
    dh0 = dprev
    return dx, dh0, dWx, dWh, db
