import numpy as np


def batchnorm_forward(x: "N D", gamma: "D", beta: "D", eps: float = 1e-5):
    mu = x.mean(axis=0)
    xc = x - mu
    var = np.mean(xc**2, axis=0)
    std = np.sqrt(var + eps)
    xhat = xc / std
    return gamma * xhat + beta
