import numpy as np


def rnn_forward(x, h0, Wx, Wh, b):
    """x (T, D), h0 (H,), Wx (H, D), Wh (H, H), b (H,)"""
    T, D = x.shape
    H = h0.shape[0]
    hs = np.zeros((T + 1, H))
    hs[0] = h0
    for t in range(T):
        hs[t + 1] = np.tanh(Wx @ x[t] + Wh @ hs[t] + b)
    cache = (x, hs, Wx, Wh)
    return hs[1:], cache


def rnn_backward(dhs, cache):
    x, hs, Wx, Wh = cache
    T = x.shape[0]
    dx = np.zeros_like(x)
    dWx = np.zeros_like(Wx)
    dWh = np.zeros_like(Wh)
    db = np.zeros(Wh.shape[0])
    dh_next = np.zeros(Wh.shape[0])
    for t in range(T - 1, -1, -1):
        dh = dhs[t] + dh_next
        da = (1 - hs[t + 1] ** 2) * dh
        dWx += np.outer(da, x[t])
        dWh += np.outer(da, hs[t])
        db += da
        dx[t] = Wx.T @ da
        dh_next = Wh.T @ da
    dh0 = dh_next
    return dx, dh0, dWx, dWh, db
