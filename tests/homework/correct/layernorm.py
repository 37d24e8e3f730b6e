import numpy as np


def layernorm_forward(x, gamma, beta, ln_param):
    """
    - x: Data of shape (N, D)
    - gamma: Scale parameter of shape (D,)
    - beta: Shift paremeter of shape (D,)
    - ln_param: Dictionary with the following keys:
        - eps: Constant for numeric stability
    """
    eps = ln_param.get('eps', 1e-5)
    xT = x.T
    mean = xT.mean(axis=0)
    var = xT.var(axis=0)
    std = np.sqrt(var + eps)
    norm = (xT - mean) / std
    out = gamma * norm.T + beta
    cache = (gamma, std, norm)
    return out, cache


def layernorm_backward(dout, cache):
    gamma, std, norm = cache
    dgamma = (dout * norm.T).sum(axis=0)
    dbeta = dout.sum(axis=0)
    dnorm = (dout * gamma).T
    D = dnorm.shape[0]
    dxT = (D * dnorm - dnorm.sum(axis=0) - norm * (dnorm * norm).sum(axis=0)) / (D * std)
    dx = dxT.T
    return dx, dgamma, dbeta
