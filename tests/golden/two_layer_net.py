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
