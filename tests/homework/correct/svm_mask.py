import numpy as np


def svm_loss_vectorized(W, X, y, reg):
    """
    - W: A numpy array of shape (D, C) containing weights.
    - X: A numpy array of shape (N, D) containing a minibatch of data.
    - y: A numpy array of shape (N,) containing training labels
    - reg: (float) regularization strength
    """
    loss = 0.0
    dW = np.zeros(W.shape)
    N = X.shape[0]

    S = X @ W
    correct = S[np.arange(N), y].reshape(-1, 1)
    M = np.maximum(0, S - correct + 1)
    M[np.arange(N), y] = 0
    loss = M.sum() / N + reg * np.sum(W ** 2)

    mask = np.zeros(M.shape)
    mask[M > 0] = 1
    mask[np.arange(N), y] = -np.sum(mask, axis=1)
    dW = X.T @ mask
    dW /= N
    dW += 2 * reg * W
    return loss, dW
