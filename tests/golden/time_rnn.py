# input: time_rnn.py
import numpy as np


def relu(z):
    return np.maximum(0, z)


class Cell:
    def __init__(self, Wx, Wh, b):
        self.params = [Wx, Wh, b]
        self.cache = None

    def forward(self, x: "N D", h_prev: "N H"):
        Wx, Wh, b = self.params
        a = x @ Wx + h_prev @ Wh + b
        h_next = np.tanh(a)
        self.cache = (x, h_prev, h_next)
        return h_next

    def backward(self, dh_next):
        raise NotImplementedError


class TimeRNN:
    def __init__(self, Wx: "D H", Wh: "H H", b: "H", V: "H M", activation="relu"):
        self.Wx, self.Wh, self.b = Wx, Wh, b
        self.V = V
        self.act = relu if activation == "relu" else np.tanh

    def _scores(self, h):
        pre = h @ self.V
        scores = self.act(pre)
        return scores

    def forward(self, xs: "N T D"):
        N, T, D = xs.shape
        h = np.zeros((N, self.Wh.shape[0]))
        self.layers = []
        outs = []
        for t in range(T):
            layer = Cell(self.Wx, self.Wh, self.b)
            h = layer.forward(xs[:, t], h)
            self.layers.append(layer)
            outs.append(self._scores(h))
        return np.stack(outs, axis=1)
# output
"""Flat gradient code for time_rnn.py, written by flatgrad 0.1.0.

cell_forward(x, h_prev, Wx, Wh, b)      -> h_next, cache
cell_backward(dh_next, cache)           -> dx, dh_prev, dWx, dWh, db
timernn_scores_forward(h, V, act_in)    -> scores, cache
timernn_scores_backward(dscores, cache) -> dh, dV
act_forward(function, x)                -> out, cache
act_backward(dout, cache)               -> dx
act_value_and_grad(function, x)         -> out, dx
TimeRNN.forward(xs) -> out;  TimeRNN.backward(dout) -> dxs, sets dWh, dWx, db, dV

Between forward and backward the caller leaves arguments, attributes and results as they are.
"""

import numpy as np


def relu(z):
    return np.maximum(0, z)


class TimeRNN:
    def __init__(self, Wx, Wh, b, V, activation="relu"):
        self.Wx, self.Wh, self.b = Wx, Wh, b
        self.V = V
        self.act = relu if activation == "relu" else np.tanh

    def forward(self, xs):
        """Shapes: xs (N, T, D), Wx (D, H), Wh (H, H), b (H,), V (H, M)."""
        if (
            self.Wh.ndim != 2
            or self.Wh.shape[1] != self.Wh.shape[0]
            or self.Wx.shape != (xs.shape[2], self.Wh.shape[0])
            or self.b.shape != self.Wh.shape[:1]
            or self.V.ndim != 2
            or self.V.shape[0] != self.Wh.shape[0]
        ):
            raise ValueError("shapes must be Wh (H, H), Wx (D, H), b (H,) and V (H, M)")
        self.xs = xs
        N, T, D = xs.shape
        h = np.zeros((N, self.Wh.shape[0]))  # (1)
        outs = []
        self.timernn_scores_caches = []
        self.cell_caches = []
        for t in range(T):
            h, cell_cache = cell_forward(xs[:, t], h, self.Wx, self.Wh, self.b)  # (2)
            self.cell_caches.append(cell_cache)
            timernn_scores2, timernn_scores_cache = timernn_scores_forward(h, self.V, self.act)
            outs.append(timernn_scores2)  # (3)
            self.timernn_scores_caches.append(timernn_scores_cache)
        self.h = h
        return np.stack(outs, axis=1)  # (4)

    def backward(self, dout):
        """Gradients from dout: returns dxs (N, T, D); sets dWh (H, H), dWx (D, H), db (H,), dV (H, M)."""
        T = self.xs.shape[1]
        # (4) out = np.stack(outs, axis=1)
        douts = np.moveaxis(dout, 1, 0)
        dh = np.zeros(self.h.shape, dout.dtype)
        self.dV = np.zeros(self.V.shape, dout.dtype)
        self.dWx = np.zeros(self.Wx.shape, dout.dtype)
        self.dWh = np.zeros(self.Wh.shape, dout.dtype)
        self.db = np.zeros(self.b.shape, dout.dtype)
        dxs = np.zeros(self.xs.shape, dout.dtype)
        for t in reversed(range(T)):
            # (3) outs.append(timernn_scores(h, self.V, self.act))
            dh_t, dV_t = timernn_scores_backward(douts[t], self.timernn_scores_caches[t])
            dh += dh_t
            self.dV += dV_t
            # (2) h = cell_forward(xs[:, t], h, self.Wx, self.Wh, self.b)
            dxs[:, t], dh, dWx_t, dWh_t, db_t = cell_backward(dh, self.cell_caches[t])
            self.dWx += dWx_t
            self.dWh += dWh_t
            self.db += db_t
        return dxs


def cell_forward(x, h_prev, Wx, Wh, b):
    if (
        np.ndim(x) != 2
        or np.ndim(h_prev) != 2
        or np.shape(h_prev)[0] != np.shape(x)[0]
        or np.ndim(Wx) != 2
        or np.ndim(Wh) != 2
        or np.shape(Wh)[1] != np.shape(Wx)[1]
        or np.shape(b) != np.shape(Wx)[1:]
    ):
        raise ValueError("shapes must be x (N, D), h_prev (N, H), Wx (_, n), Wh (_, n) and b (n,)")
    a = x @ Wx + h_prev @ Wh + b  # (1)
    h_next = np.tanh(a)  # (2)
    return h_next, (x, h_prev, Wx, Wh, h_next)


def cell_backward(dh_next, cache):
    """Gradients from dh_next: dx (N, D), dh_prev (N, H), dWx like Wx, dWh like Wh, db like b."""
    x, h_prev, Wx, Wh, h_next = cache
    # (2) h_next = np.tanh(a)
    da = dh_next * (1 - h_next**2)
    # (1) a = x @ Wx + h_prev @ Wh + b
    dx = da @ Wx.T
    dWx = x.T @ da
    dh_prev = da @ Wh.T
    dWh = h_prev.T @ da
    db = da.sum(axis=0)
    return dx, dh_prev, dWx, dWh, db


def timernn_scores_forward(h, V, act_in):
    if np.ndim(h) != 2 or np.ndim(V) != 2:
        raise ValueError("shapes must be h (N, H) and V (_, _)")
    pre = h @ V  # (1)
    scores, act_cache = act_forward(act_in, pre)  # (2)
    return scores, (h, V, act_cache)


def timernn_scores_backward(dscores, cache):
    """Gradients from dscores: dh (N, H), dV like V."""
    h, V, act_cache = cache
    # (2) scores = act(act_in, pre)
    dpre = act_backward(dscores, act_cache)
    # (1) pre = h @ V
    dh = dpre @ V.T
    dV = h.T @ dpre
    return dh, dV


def act_forward(function, x):
    if function is relu:
        x_maximum = relu(x)
        out = x_maximum  # (1)
        return out, (function, x_maximum, None)
    if function is not np.tanh:
        raise ValueError("act must be relu or np.tanh")
    x_tanh = np.tanh(x)
    out = x_tanh  # (2)
    return out, (function, None, x_tanh)


def act_backward(dout, cache):
    function, x_maximum, x_tanh = cache
    if function is relu:
        # (1) out = relu(x)
        dx = dout * (x_maximum > 0)
    else:
        # (2) out = np.tanh(x)
        dx = dout * (1 - x_tanh**2)
    return dx


def act_value_and_grad(function, x):
    out, cache = act_forward(function, x)
    if np.ndim(out) != 0:
        raise ValueError(f"out has the shape {np.shape(out)}, a scalar is needed")
    return out, act_backward(1.0, cache)
