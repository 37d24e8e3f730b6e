import numpy as np

def mse_loss(X, y, W, b):
    """X: (N, D), y: (N, M), W: (D, M), b: (M,)"""
    N, D = X.shape
    pred = np.matmul(X, W) + b
    error = pred - y
    loss = np.sum(error ** 2) / (2 * N)
    dW = np.matmul(X.T, error) / N
    db = np.mean(error, axis=0)
    return loss, dW, db
