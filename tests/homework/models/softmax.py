import numpy as np


def softmax_loss(W: "D C", X: "N D", y: "N", reg: float):
    scores = X @ W
    scores -= np.max(scores, axis=1, keepdims=True)
    probs = np.exp(scores) / np.sum(np.exp(scores), axis=1, keepdims=True)
    loss = -np.sum(np.log(probs[np.arange(X.shape[0]), y])) / X.shape[0]
    return loss + reg * np.sum(W * W)
