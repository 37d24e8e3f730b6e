import numpy as np


def svm_loss(W: "D C", X: "N D", y: "N", reg: float):
    N = X.shape[0]
    scores = X @ W
    correct = scores[np.arange(N), y]
    margins = np.maximum(0, scores - correct[:, None] + 1)
    margins[np.arange(N), y] = 0
    return np.sum(margins) / N + reg * np.sum(W * W)
