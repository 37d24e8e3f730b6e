"""`loss, grads`.

The function's own backward code falls away: only what the loss depends on is kept.
"""

import numpy as np


def svm_loss(W: "D C", X: "N D", y: "N int", reg: float):
    N = X.shape[0]
    scores = X @ W
    margins = np.maximum(0, scores - scores[np.arange(N), y][:, None] + 1)
    margins[np.arange(N), y] = 0
    loss = np.sum(margins) / N + reg * np.sum(W * W)
    dscores = (margins > 0).astype(X.dtype)
    dscores[np.arange(N), y] -= np.sum(dscores, axis=1)
    dW = X.T @ dscores / N + 2 * reg * W
    return loss, dW
