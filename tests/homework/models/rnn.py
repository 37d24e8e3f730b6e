import numpy as np


def rnn_step_forward(x: "N D", prev_h: "N H", Wx: "D H", Wh: "H H", b: "H"):
    next_h = np.tanh(x @ Wx + prev_h @ Wh + b)
    return next_h


def rnn_forward(x: "N T D", h0: "N H", Wx: "D H", Wh: "H H", b: "H"):
    N, T, D = x.shape
    h = np.zeros((N, T, h0.shape[1]))
    prev_h = h0
    for t in range(T):
        prev_h = np.tanh(x[:, t] @ Wx + prev_h @ Wh + b)
        h[:, t] = prev_h
    return h
