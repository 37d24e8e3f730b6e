import numpy as np

def batchnorm_forward(x, gamma, beta, eps=1e-5):
    """x of shape (N, D), gamma of shape (D,), beta of shape (D,)."""
    mu = np.mean(x, axis=0)
    xc = x - mu
    var = np.mean(xc ** 2, axis=0)
    inv_std = 1.0 / np.sqrt(var + eps)
    x_hat = xc * inv_std
    out = gamma * x_hat + beta
    return out, (gamma, xc, inv_std, x_hat)

def batchnorm_backward(dout, cache):
    gamma, xc, inv_std, x_hat = cache
    m = dout.shape[0]
    dbeta = np.sum(dout, axis=0)
    dgamma = np.sum(x_hat * dout, axis=0)
    dx_hat = dout * gamma
    dvar = np.sum(dx_hat * xc, axis=0) * -0.5 * inv_std ** 3
    # the path over the variance is zero: sum(x - mu) == 0
    dmu = -np.sum(dx_hat, axis=0) * inv_std
    dx = dx_hat * inv_std + dvar * 2.0 * xc / m + dmu / m
    return dx, dgamma, dbeta
