import numpy as np


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def gru_forward(
    x: "T N D",
    h0: "N H",
    Wz: "D H", Uz: "H H", bz: "H",
    Wr: "D H", Ur: "H H", br: "H",
    Wh: "D H", Uh: "H H", bh: "H",
):
    """Gated recurrent unit over a sequence; returns the T + 1 hidden states, the initial one first."""
    hs = [h0]
    for t in range(x.shape[0]):
        h = hs[-1]
        z = sigmoid(x[t] @ Wz + h @ Uz + bz)  # update gate
        r = sigmoid(x[t] @ Wr + h @ Ur + br)  # reset gate
        h_hat = np.tanh(x[t] @ Wh + (r * h) @ Uh + bh)
        hs.append((1 - z) * h + z * h_hat)
    return np.stack(hs)
