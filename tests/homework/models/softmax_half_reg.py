import numpy as np


def softmax_loss(W: "D C", X: "N D", y: "N", reg: float):
    scores = X @ W
    logs = scores - np.log(np.sum(np.exp(scores), axis=1, keepdims=True))
    return -np.mean(logs[np.arange(X.shape[0]), y]) + 0.5 * reg * np.sum(W**2)
