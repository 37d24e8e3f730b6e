"""Flat gradient code for lstm.py, written by hand.

lstm_step_forward(x, prev_h, prev_c, Wx, Wh, b) -> next_h, next_c, cache
lstm_step_backward(dnext_h, dnext_c, cache)     -> dx, dprev_h, dprev_c, dWx, dWh, db
lstm_forward(x, h0, Wx, Wh, b)                  -> h, cache
lstm_backward(dh, cache)                        -> dx, dh0, dWx, dWh, db
"""

import numpy as np


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def lstm_step_forward(x, prev_h, prev_c, Wx, Wh, b):
    """Forward pass for a single timestep of an LSTM.

    Shapes: x (N, D), prev_h (N, H), prev_c (N, H), Wx (D, 4H), Wh (H, 4H), b (4H,).
    """
    if b.shape != Wh.shape[1:] or prev_c.shape != prev_h.shape:
        raise ValueError("shapes must be prev_h (N, H), prev_c (N, H), Wh (H, 4H) and b (4H,)")
    H = prev_h.shape[1]
    a = x.dot(Wx) + prev_h.dot(Wh) + b  # (1)
    i = sigmoid(a[:, :H])  # (2) input gate
    f = sigmoid(a[:, H : 2 * H])  # (3) forget gate
    o = sigmoid(a[:, 2 * H : 3 * H])  # (4) output gate
    g = np.tanh(a[:, 3 * H :])  # (5)
    next_c = f * prev_c + i * g  # (6)
    next_c_tanh = np.tanh(next_c)
    next_h = o * next_c_tanh  # (7)
    return next_h, next_c, (x, prev_h, prev_c, Wx, Wh, i, f, o, g, next_c_tanh)


def lstm_step_backward(dnext_h, dnext_c, cache):
    """Gradients from dnext_h (N, H), dnext_c (N, H): dx (N, D), dprev_h (N, H), dprev_c (N, H), dWx (D, 4H), dWh (H, 4H), db (4H,)."""
    x, prev_h, prev_c, Wx, Wh, i, f, o, g, next_c_tanh = cache
    if dnext_h is None:
        dnext_h = np.zeros_like(o)
    if dnext_c is None:
        dnext_c = np.zeros_like(o)
    # (7) next_h = o * np.tanh(next_c)
    do = dnext_h * next_c_tanh
    dnext_c = dnext_c + dnext_h * o * (1 - next_c_tanh**2)
    # (6) next_c = f * prev_c + i * g
    df = dnext_c * prev_c
    dprev_c = dnext_c * f
    di = dnext_c * g
    dg = dnext_c * i
    # (2)-(5) the gates
    da = np.hstack([di * i * (1 - i), df * f * (1 - f), do * o * (1 - o), dg * (1 - g**2)])
    # (1) a = x.dot(Wx) + prev_h.dot(Wh) + b
    dx = da.dot(Wx.T)
    dWx = x.T.dot(da)
    dprev_h = da.dot(Wh.T)
    dWh = prev_h.T.dot(da)
    db = da.sum(axis=0)
    return dx, dprev_h, dprev_c, dWx, dWh, db


def lstm_forward(x, h0, Wx, Wh, b):
    """Forward pass for an LSTM over an entire sequence of data; the cell state starts at zero.

    Shapes: x (N, T, D), h0 (N, H), Wx (D, 4H), Wh (H, 4H), b (4H,).
    """
    N, T, D = x.shape
    H = h0.shape[1]
    h = np.zeros((N, T, H))  # (1)
    prev_h = h0  # (2)
    prev_c = np.zeros((N, H))
    step_caches = []
    for t in range(T):
        next_h, next_c, step_cache = lstm_step_forward(x[:, t, :], prev_h, prev_c, Wx, Wh, b)  # (3)
        step_caches.append(step_cache)
        h[:, t, :] = next_h  # (4)
        prev_h, prev_c = next_h, next_c  # (5)
    return h, (x, h0, Wx, Wh, b, step_caches)


def lstm_backward(dh, cache):
    """Gradients from dh (N, T, H): dx (N, T, D), dh0 (N, H), dWx (D, 4H), dWh (H, 4H), db (4H,)."""
    x, h0, Wx, Wh, b, step_caches = cache
    T = x.shape[1]
    dx = np.zeros(x.shape, dh.dtype)
    dWx = np.zeros(Wx.shape, dh.dtype)
    dWh = np.zeros(Wh.shape, dh.dtype)
    db = np.zeros(b.shape, dh.dtype)
    dprev_h = np.zeros(h0.shape, dh.dtype)
    dprev_c = np.zeros(h0.shape, dh.dtype)
    for t in reversed(range(T)):
        # (4) h[:, t, :] = next_h
        dnext_h = dprev_h + dh[:, t, :]
        # (3) next_h, next_c = lstm_step_forward(x[:, t, :], prev_h, prev_c, Wx, Wh, b)
        dx[:, t, :], dprev_h, dprev_c, dWx_t, dWh_t, db_t = lstm_step_backward(
            dnext_h, dprev_c, step_caches[t]
        )
        dWx += dWx_t
        dWh += dWh_t
        db += db_t
    # (2) prev_h = h0
    dh0 = dprev_h
    return dx, dh0, dWx, dWh, db
