# input: svm.py --wrt W,X
import numpy as np


def svm_loss(W, X, y, reg):
    """Multiclass hinge loss.

    Inputs:
    - W: weights of shape (D, C)
    - X: a minibatch of shape (N, D)
    - y: integer labels of shape (N,)
    - reg: regularisation strength
    """
    N = X.shape[0]
    scores = X @ W
    correct = scores[np.arange(N), y][:, np.newaxis]
    margins = np.maximum(0, scores - correct + 1.0)
    margins[np.arange(N), y] = 0
    loss = np.sum(margins) / N
    loss += reg * np.sum(W * W)
    return loss

# output
