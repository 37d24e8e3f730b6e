# input: tanh_net.py --wrt W1,b1,W2,b2
import numpy as np


def tanh_net(X: "N D", Y: "N C", W1: "D H", b1: "H", W2: "H C", b2: "C"):
    """Squared error of a two-layer tanh network."""
    h = np.tanh(X @ W1 + b1)
    scores = h @ W2 + b2
    loss = np.sum((scores - Y) ** 2)
    return loss

# output
"""Flat gradient code for `tanh_net` in tanh_net.py, written by flatgrad 0.1.0 (--wrt W1,b1,W2,b2).

tanh_net_forward(X, Y, W1, b1, W2, b2)        -> loss, cache
tanh_net_backward(dloss, cache)               -> dW1, db1, dW2, db2
tanh_net_value_and_grad(X, Y, W1, b1, W2, b2) -> loss, (dW1, db1, dW2, db2)

Between forward and backward the caller leaves arguments and results as they are.
"""

import numpy as np


def tanh_net_forward(X, Y, W1, b1, W2, b2):
    """Squared error of a two-layer tanh network.

    Shapes: X (N, D), Y (N, C), W1 (D, H), b1 (H,), W2 (H, C), b2 (C,).
    """
    if (
        np.ndim(X) != 2
        or np.ndim(Y) != 2
        or np.shape(Y)[0] != np.shape(X)[0]
        or np.ndim(W1) != 2
        or np.shape(b1) != np.shape(W1)[1:]
        or np.shape(W2) != (np.shape(W1)[1], np.shape(Y)[1])
        or np.shape(b2) != np.shape(Y)[1:]
    ):
        raise ValueError(
            "shapes must be X (N, D), Y (N, C), W1 (D, H), b1 (H,), W2 (H, C) and b2 (C,)"
        )
    h = np.tanh(X @ W1 + b1)  # (1)
    scores = h @ W2 + b2  # (2)
    loss = np.sum((scores - Y) ** 2)  # (3)
    return loss, (X, Y, W2, h, scores)


def tanh_net_backward(dloss, cache):
    """Gradients of loss: dW1 (D, H), db1 (H,), dW2 (H, C), db2 (C,)."""
    X, Y, W2, h, scores = cache
    # (3) loss = np.sum((scores - Y) ** 2)
    dscores = dloss * 2 * (scores - Y)
    # (2) scores = h @ W2 + b2
    dh = dscores @ W2.T
    dW2 = h.T @ dscores
    db2 = dscores.sum(axis=0)
    # (1) h = np.tanh(X @ W1 + b1)
    dh_pre = dh * (1 - h**2)
    dW1 = X.T @ dh_pre
    db1 = dh_pre.sum(axis=0)
    return dW1, db1, dW2, db2


def tanh_net_value_and_grad(X, Y, W1, b1, W2, b2):
    loss, cache = tanh_net_forward(X, Y, W1, b1, W2, b2)
    return loss, tanh_net_backward(1.0, cache)
