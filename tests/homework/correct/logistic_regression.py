import numpy as np

def logistic_loss(w, X, y):
    """w: (D,)   X: (N, D)   y: (N,) of 0/1.   Returns loss, grad"""
    N = len(y)
    z = X.dot(w)
    p = 1.0 / (1.0 + np.exp(-z))
    loss = -np.mean(y * np.log(p) + (1 - y) * np.log(1 - p))

    dp = -(y / p - (1 - y) / (1 - p)) / N
    dz = dp * p * (1 - p)
    dw = X.T.dot(dz)
    return loss, dw
