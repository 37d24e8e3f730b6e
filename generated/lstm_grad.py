"""Flat gradient code for lstm.py, written by flatgrad 0.1.0.

lstm_step_forward(x, prev_h, prev_c, Wx, Wh, b) -> next_h, next_c, cache
lstm_step_backward(dnext_h, dnext_c, cache)     -> dx, dprev_h, dprev_c, dWx, dWh, db
lstm_forward(x, h0, Wx, Wh, b)                  -> h, cache
lstm_backward(dh, cache)                        -> dx, dh0, dWx, dWh, db

Between forward and backward the caller leaves arguments and results as they are.
"""

import numpy as np


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def lstm_step_forward(x, prev_h, prev_c, Wx, Wh, b):
    """
    Forward pass for a single timestep of an LSTM.

    Inputs:
    - x: Input data, of shape (N, D)
    - prev_h: Previous hidden state, of shape (N, H)
    - prev_c: Previous cell state, of shape (N, H)
    - Wx: Input-to-hidden weights, of shape (D, 4H)
    - Wh: Hidden-to-hidden weights, of shape (H, 4H)
    - b: Biases, of shape (4H,)

    Returns a tuple of:
    - next_h: Next hidden state, of shape (N, H)
    - next_c: Next cell state, of shape (N, H)
    """
    if (
        x.ndim != 2
        or prev_h.ndim != 2
        or prev_h.shape[0] != x.shape[0]
        or np.shape(prev_c) != (x.shape[0], prev_h.shape[1])
        or np.ndim(Wx) != 2
        or np.shape(Wx)[1] != 4 * prev_h.shape[1]
        or np.ndim(Wh) != 2
        or np.shape(Wh)[1] != np.shape(Wx)[1]
        or np.shape(b) != np.shape(Wx)[1:]
    ):
        raise ValueError(
            "shapes must be x (N, D), prev_h (N, H), prev_c (N, H), Wx (D, 4*H), Wh (H, 4*H) and b (4*H,)"
        )
    H = prev_h.shape[1]
    a = x.dot(Wx) + prev_h.dot(Wh) + b  # (1)
    i = sigmoid(a[:, :H])  # (2) input gate
    f = sigmoid(a[:, H : 2 * H])  # (3) forget gate
    o = sigmoid(a[:, 2 * H : 3 * H])  # (4) output gate
    g = np.tanh(a[:, 3 * H :])  # (5)
    next_c = f * prev_c + i * g  # (6)
    next_c_tanh = np.tanh(next_c)
    next_h = o * next_c_tanh  # (7)
    return next_h, next_c, (x, prev_h, prev_c, Wx, Wh, i, f, o, g, next_c, next_c_tanh, next_h)


def lstm_step_backward(dnext_h, dnext_c, cache):
    """Gradients from dnext_h (N, H), dnext_c (N, H): dx (N, D), dprev_h (N, H), dprev_c (N, H), dWx (D, 4*H), dWh (H, 4*H), db (4*H,)."""
    x, prev_h, prev_c, Wx, Wh, i, f, o, g, next_c, next_c_tanh, next_h = cache
    if dnext_h is None:
        dnext_h = np.zeros_like(next_h)
    if dnext_c is None:
        dnext_c = np.zeros_like(next_c)
    # (7) next_h = o * np.tanh(next_c)
    do = dnext_h * next_c_tanh
    dnext_c = dnext_c + dnext_h * o * (1 - next_c_tanh**2)
    # (6) next_c = f * prev_c + i * g
    df = dnext_c * prev_c
    dprev_c = dnext_c * f
    di = dnext_c * g
    dg = dnext_c * i
    # (2) i = sigmoid(a[:, :H])
    da = np.hstack([di * i * (1 - i), df * f * (1 - f), do * o * (1 - o), dg * (1 - g**2)])
    # (1) a = x.dot(Wx) + prev_h.dot(Wh) + b
    dx = da @ Wx.T
    dWx = x.T @ da
    dprev_h = da @ Wh.T
    dWh = prev_h.T @ da
    db = da.sum(axis=0)
    return dx, dprev_h, dprev_c, dWx, dWh, db


def lstm_forward(x, h0, Wx, Wh, b):
    """
    Forward pass for an LSTM over an entire sequence of data; the cell state starts at zero.

    Inputs:
    - x: Input data, of shape (N, T, D)
    - h0: Initial hidden state, of shape (N, H)
    - Wx: Weights for input-to-hidden connections, of shape (D, 4H)
    - Wh: Weights for hidden-to-hidden connections, of shape (H, 4H)
    - b: Biases, of shape (4H,)

    Returns:
    - h: Hidden states for all timesteps of all sequences, of shape (N, T, H)
    """
    if (
        h0.ndim != 2
        or h0.shape[0] != x.shape[0]
        or np.shape(Wx) != (x.shape[2], 4 * h0.shape[1])
        or np.shape(Wh) != (h0.shape[1], np.shape(Wx)[1])
        or np.shape(b) != np.shape(Wx)[1:]
    ):
        raise ValueError("shapes must be h0 (N, H), Wx (D, 4*H), Wh (H, 4*H) and b (4*H,)")
    N, T, D = x.shape
    H = h0.shape[1]
    h = np.zeros((N, T, H))  # (1)
    prev_h = h0  # (2)
    prev_c = np.zeros((N, H))  # (3)
    lstm_step_caches = []
    for t in range(T):
        next_h, next_c, lstm_step_cache = lstm_step_forward(
            x[:, t, :], prev_h, prev_c, Wx, Wh, b
        )  # (4)
        lstm_step_caches.append(lstm_step_cache)
        h[:, t, :] = next_h  # (5)
        prev_h, prev_c = next_h, next_c  # (6)
    return h, (x, Wx, Wh, b, prev_h, lstm_step_caches)


def lstm_backward(dh, cache):
    """Gradients from dh (N, T, H): dx (N, T, D), dh0 (N, H), dWx (D, 4*H), dWh (H, 4*H), db (4*H,)."""
    x, Wx, Wh, b, prev_h, lstm_step_caches = cache
    T = x.shape[1]
    dprev_h = np.zeros(prev_h.shape, dh.dtype)
    dprev_c = np.zeros(prev_h.shape, dh.dtype)
    dWx = np.zeros(Wx.shape, dh.dtype)
    dWh = np.zeros(Wh.shape, dh.dtype)
    db = np.zeros(b.shape, dh.dtype)
    dx = np.zeros(x.shape, dh.dtype)
    for t in reversed(range(T)):
        # (5) h[:, t, :] = next_h
        dnext_h = dprev_h + dh[:, t, :]
        # (4) next_h, next_c = lstm_step_forward(x[:, t, :], prev_h, prev_c, Wx, Wh, b)
        dx[:, t, :], dprev_h, dprev_c, dWx_t, dWh_t, db_t = lstm_step_backward(
            dnext_h, dprev_c, lstm_step_caches[t]
        )
        dWx += dWx_t
        dWh += dWh_t
        db += db_t
    # (2) prev_h = h0
    dh0 = dprev_h
    return dx, dh0, dWx, dWh, db
