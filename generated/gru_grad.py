"""Flat gradient code for `gru` in gru.py, written by flatgrad 0.1.0.

gru_forward(x, h0, Wz, Uz, bz, Wr, Ur, br, Wh, Uh, bh) -> out, cache
gru_backward(dout, cache)                              -> dx, dh0, dWz, dUz, dbz, dWr, dUr, dbr, dWh, dUh, dbh

Between forward and backward the caller leaves arguments and results as they are.
"""

import numpy as np


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def gru_forward(x, h0, Wz, Uz, bz, Wr, Ur, br, Wh, Uh, bh):
    """Gated recurrent unit over a sequence; returns the T + 1 hidden states, the initial one first.

    Shapes: x (T, N, D), h0 (N, H), Wz (D, H), Uz (H, H), bz (H,), Wr (D, H), Ur (H, H), br (H,), Wh (D, H), Uh (H, H), bh (H,).
    """
    if (
        x.ndim != 3
        or np.ndim(h0) != 2
        or np.shape(h0)[0] != x.shape[1]
        or np.shape(Wz) != (x.shape[2], np.shape(h0)[1])
        or np.shape(Uz) != (np.shape(h0)[1], np.shape(h0)[1])
        or np.shape(bz) != np.shape(h0)[1:]
        or np.shape(Wr) != (x.shape[2], np.shape(h0)[1])
        or np.shape(Ur) != (np.shape(h0)[1], np.shape(h0)[1])
        or np.shape(br) != np.shape(h0)[1:]
        or np.shape(Wh) != (x.shape[2], np.shape(h0)[1])
        or np.shape(Uh) != (np.shape(h0)[1], np.shape(h0)[1])
        or np.shape(bh) != np.shape(h0)[1:]
    ):
        raise ValueError(
            "shapes must be x (T, N, D), h0 (N, H), Wz (D, H), Uz (H, H), bz (H,), Wr (D, H), Ur (H, H), br (H,), Wh (D, H), Uh (H, H) and bh (H,)"
        )
    hs = [h0]
    zs = []
    h_hats = []
    rs = []
    for t in range(x.shape[0]):
        h = hs[-1]  # (1)
        z = sigmoid(x[t] @ Wz + h @ Uz + bz)  # (2) update gate
        zs.append(z)
        r = sigmoid(x[t] @ Wr + h @ Ur + br)  # (3) reset gate
        rs.append(r)
        h_hat = np.tanh(x[t] @ Wh + (r * h) @ Uh + bh)  # (4)
        h_hats.append(h_hat)
        hs.append((1 - z) * h + z * h_hat)  # (5)
    out = np.stack(hs)  # (6)
    return out, (x, h0, Wz, Uz, Wr, Ur, Wh, Uh, bh, hs, zs, h_hats, rs)


def gru_backward(dout, cache):
    """Gradients from dout: dx (T, N, D), dh0 (N, H), dWz (D, H), dUz (H, H), dbz (H,), dWr (D, H), dUr (H, H), dbr (H,), dWh (D, H), dUh (H, H), dbh (H,)."""
    x, h0, Wz, Uz, Wr, Ur, Wh, Uh, bh, hs, zs, h_hats, rs = cache
    # (6) out = np.stack(hs)
    dhs = dout
    dh = np.zeros(h0.shape, dout.dtype)
    dx = np.zeros(x.shape, dout.dtype)
    dWh = np.zeros(Wh.shape, dout.dtype)
    dUh = np.zeros(Uh.shape, dout.dtype)
    dbh = np.zeros(bh.shape, dout.dtype)
    dWr = np.zeros(Wr.shape, dout.dtype)
    dUr = np.zeros(Ur.shape, dout.dtype)
    dbr = np.zeros(bh.shape, dout.dtype)
    dWz = np.zeros(Wz.shape, dout.dtype)
    dUz = np.zeros(Uz.shape, dout.dtype)
    dbz = np.zeros(bh.shape, dout.dtype)
    for t in reversed(range(x.shape[0])):
        h = hs[t]
        # (5) hs.append((1 - z) * h + z * h_hat)
        d_total = dh + dhs[t + 1]
        dz = -d_total * h
        dh = d_total * (1 - zs[t])
        dz += d_total * h_hats[t]
        dh_hat = d_total * zs[t]
        # (4) h_hat = np.tanh(x[t] @ Wh + (r * h) @ Uh + bh)
        dh_hat_pre = dh_hat * (1 - h_hats[t] ** 2)
        dx[t] += dh_hat_pre @ Wh.T
        dWh += x[t].T @ dh_hat_pre
        dh_hat_prod = dh_hat_pre @ Uh.T
        dr = dh_hat_prod * h
        dh += dh_hat_prod * rs[t]
        dUh += (rs[t] * h).T @ dh_hat_pre
        dbh += dh_hat_pre.sum(axis=0)
        # (3) r = sigmoid(x[t] @ Wr + h @ Ur + br)
        dr_pre = dr * rs[t] * (1 - rs[t])
        dx[t] += dr_pre @ Wr.T
        dWr += x[t].T @ dr_pre
        dh += dr_pre @ Ur.T
        dUr += h.T @ dr_pre
        dbr += dr_pre.sum(axis=0)
        # (2) z = sigmoid(x[t] @ Wz + h @ Uz + bz)
        dz_pre = dz * zs[t] * (1 - zs[t])
        dx[t] += dz_pre @ Wz.T
        dWz += x[t].T @ dz_pre
        dh += dz_pre @ Uz.T
        dUz += h.T @ dz_pre
        dbz += dz_pre.sum(axis=0)
    dh0 = dh
    dh0 += dhs[0]
    return dx, dh0, dWz, dUz, dbz, dWr, dUr, dbr, dWh, dUh, dbh
