# input: two_layer_net.py --wrt W1,b1,W2,b2
import numpy as np


def two_layer_net(
    X: "N D", y: "N int", W1: "D H", b1: "H", W2: "H C", b2: "C", reg: float
):
    """Softmax loss of a two-layer ReLU network, with L2 regularisation."""
    N = X.shape[0]
    z = X @ W1 + b1
    h = np.maximum(0, z)
    scores = h @ W2 + b2
    shifted = scores - np.max(scores, axis=1, keepdims=True)
    e = np.exp(shifted)
    p = e / np.sum(e, axis=1, keepdims=True)
    data_loss = -np.sum(np.log(p[np.arange(N), y])) / N
    reg_loss = reg * (np.sum(W1 * W1) + np.sum(W2 * W2))
    loss = data_loss + reg_loss
    return loss

# output
"""Flat gradient code for `two_layer_net` in two_layer_net.py, written by flatgrad 0.1.0 (--wrt W1,b1,W2,b2).

two_layer_net_forward(X, y, W1, b1, W2, b2, reg)        -> loss, cache
two_layer_net_backward(dloss, cache)                    -> dW1, db1, dW2, db2
two_layer_net_value_and_grad(X, y, W1, b1, W2, b2, reg) -> loss, (dW1, db1, dW2, db2)

Between forward and backward the caller leaves arguments and results as they are.
"""

import numpy as np


def two_layer_net_forward(X, y, W1, b1, W2, b2, reg):
    """Softmax loss of a two-layer ReLU network, with L2 regularisation.

    Shapes: X (N, D), y (N,) int, W1 (D, H), b1 (H,), W2 (H, C), b2 (C,), reg ().
    """
    if (
        X.ndim != 2
        or np.shape(y) != X.shape[:1]
        or np.ndim(W1) != 2
        or np.shape(b1) != np.shape(W1)[1:]
        or np.ndim(W2) != 2
        or np.shape(b2) != np.shape(W2)[1:]
        or np.ndim(reg) != 0
    ):
        raise ValueError(
            "shapes must be X (N, D), y (N,), W1 (D, H), b1 (H,), W2 (H, C), b2 (C,) and reg a scalar"
        )
    N = X.shape[0]
    z = X @ W1 + b1  # (1)
    h = np.maximum(0, z)  # (2)
    scores = h @ W2 + b2  # (3)
    shifted = scores - np.max(scores, axis=1, keepdims=True)  # (4)
    e = np.exp(shifted)  # (5)
    p = e / np.sum(e, axis=1, keepdims=True)  # (6)
    data_loss = -np.sum(np.log(p[np.arange(N), y])) / N  # (7)
    reg_loss = reg * (np.sum(W1 * W1) + np.sum(W2 * W2))  # (8)
    loss = data_loss + reg_loss  # (9)
    return loss, (X, y, W1, W2, reg, h, p)


def two_layer_net_backward(dloss, cache):
    """Gradients of loss: dW1 (D, H), db1 (H,), dW2 (H, C), db2 (C,)."""
    X, y, W1, W2, reg, h, p = cache
    N = X.shape[0]
    # (9) loss = data_loss + reg_loss
    ddata_loss = dloss
    dreg_loss = dloss
    # (8) reg_loss = reg * (np.sum(W1 * W1) + np.sum(W2 * W2))
    dW1 = dreg_loss * reg * 2 * W1
    dW2 = dreg_loss * reg * 2 * W2
    # (4)-(7) softmax cross-entropy of scores against y
    dscores = p.copy()
    dscores[np.arange(N), y] -= 1
    dscores *= ddata_loss / N
    # (3) scores = h @ W2 + b2
    dh = dscores @ W2.T
    dW2 += h.T @ dscores
    db2 = dscores.sum(axis=0)
    # (2) h = np.maximum(0, z)
    dz = dh * (h > 0)
    # (1) z = X @ W1 + b1
    dW1 += X.T @ dz
    db1 = dz.sum(axis=0)
    return dW1, db1, dW2, db2


def two_layer_net_value_and_grad(X, y, W1, b1, W2, b2, reg):
    loss, cache = two_layer_net_forward(X, y, W1, b1, W2, b2, reg)
    return loss, two_layer_net_backward(1.0, cache)
