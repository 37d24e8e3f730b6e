import numpy as np

def batchnorm_forward(x, gamma, beta, eps=1e-5):
    # x is (N, D)
    mu = x.mean(axis=0)
    var = x.var(axis=0)
    std = np.sqrt(var + eps)
    xhat = (x - mu) / std
    out = gamma * xhat + beta
    cache = (xhat, std, gamma)
    return out, cache

def batchnorm_backward_alt(dout, cache):
    xhat, std, gamma = cache
    N = dout.shape[0]
    dbeta = dout.sum(axis=0)
    dgamma = (dout * xhat).sum(axis=0)
    dx = (1. / N) * gamma / std * (N * dout - dbeta - xhat * dgamma)
    return dx, dgamma, dbeta
