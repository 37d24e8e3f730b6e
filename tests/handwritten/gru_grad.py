"""Flat gradient code for gru.py, written by hand.

gru_forward(x, h0, Wz, Uz, bz, Wr, Ur, br, Wh, Uh, bh) -> out, cache
gru_backward(dout, cache)                              -> dx, dh0, dWz, dUz, dbz, dWr, dUr, dbr, dWh, dUh, dbh
"""

import numpy as np


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def gru_forward(x, h0, Wz, Uz, bz, Wr, Ur, br, Wh, Uh, bh):
    """Gated recurrent unit over a sequence; returns the T + 1 hidden states, the initial one first.

    Shapes: x (T, N, D), h0 (N, H), W* (D, H), U* (H, H), b* (H,).
    """
    if not bz.shape == br.shape == bh.shape == h0.shape[1:]:
        raise ValueError(f"bz, br and bh must have shape (H,) = {h0.shape[1:]}")
    hs = [h0]  # (1)
    zs, rs, h_hats = [], [], []
    for t in range(x.shape[0]):
        h = hs[-1]
        z = sigmoid(x[t] @ Wz + h @ Uz + bz)  # (2) update gate
        r = sigmoid(x[t] @ Wr + h @ Ur + br)  # (3) reset gate
        h_hat = np.tanh(x[t] @ Wh + (r * h) @ Uh + bh)  # (4)
        zs.append(z)
        rs.append(r)
        h_hats.append(h_hat)
        hs.append((1 - z) * h + z * h_hat)  # (5)
    out = np.stack(hs)  # (6)
    return out, (x, Wz, Uz, Wr, Ur, Wh, Uh, hs, zs, rs, h_hats)


def gru_backward(dout, cache):
    """Gradients from dout (T + 1, N, H): dx (T, N, D), dh0 (N, H), dW* (D, H), dU* (H, H), db* (H,)."""
    x, Wz, Uz, Wr, Ur, Wh, Uh, hs, zs, rs, h_hats = cache
    dx = np.zeros(x.shape, dout.dtype)
    dWz = np.zeros(Wz.shape, dout.dtype)
    dUz = np.zeros(Uz.shape, dout.dtype)
    dbz = np.zeros(len(Uz), dout.dtype)
    dWr = np.zeros(Wr.shape, dout.dtype)
    dUr = np.zeros(Ur.shape, dout.dtype)
    dbr = np.zeros(len(Ur), dout.dtype)
    dWh = np.zeros(Wh.shape, dout.dtype)
    dUh = np.zeros(Uh.shape, dout.dtype)
    dbh = np.zeros(len(Uh), dout.dtype)
    # (6) out = np.stack(hs)
    dh = dout[-1].copy()
    for t in reversed(range(x.shape[0])):
        h, z, r, h_hat = hs[t], zs[t], rs[t], h_hats[t]
        # (4), (5) h_hat = np.tanh(x[t] @ Wh + (r * h) @ Uh + bh), next h = (1 - z) * h + z * h_hat
        dah = dh * z * (1 - h_hat**2)
        drh = dah @ Uh.T
        # (3) r = sigmoid(x[t] @ Wr + h @ Ur + br)
        dar = drh * h * r * (1 - r)
        # (2) z = sigmoid(x[t] @ Wz + h @ Uz + bz)
        daz = dh * (h_hat - h) * z * (1 - z)
        dWh += x[t].T @ dah
        dUh += (r * h).T @ dah
        dbh += dah.sum(axis=0)
        dWr += x[t].T @ dar
        dUr += h.T @ dar
        dbr += dar.sum(axis=0)
        dWz += x[t].T @ daz
        dUz += h.T @ daz
        dbz += daz.sum(axis=0)
        dx[t] = dah @ Wh.T + dar @ Wr.T + daz @ Wz.T
        dh = dh * (1 - z) + drh * r + dar @ Ur.T + daz @ Uz.T + dout[t]
    # (1) hs = [h0]
    dh0 = dh
    return dx, dh0, dWz, dUz, dbz, dWr, dUr, dbr, dWh, dUh, dbh
