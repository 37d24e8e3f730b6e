"""Flat gradient code for normalization.py, written by flatgrad 0.1.0.

batchnorm_forward(x, gamma, beta, bn_param)            -> out, cache
batchnorm_backward(dout, cache)                        -> dx, dgamma, dbeta
layernorm_forward(x, gamma, beta, ln_param)            -> out, cache
layernorm_backward(dout, cache)                        -> dx, dgamma, dbeta
spatial_batchnorm_forward(x, gamma, beta, bn_param)    -> out, cache
spatial_batchnorm_backward(dout, cache)                -> dx, dgamma, dbeta
spatial_groupnorm_forward(x, gamma, beta, G, gn_param) -> out, cache
spatial_groupnorm_backward(dout, cache)                -> dx, dgamma, dbeta

Between forward and backward the caller leaves arguments and results as they are.
"""

import numpy as np


def batchnorm_forward(x, gamma, beta, bn_param):
    """
    Forward pass for batch normalization.

    Input:
    - x: Data of shape (N, D)
    - gamma: Scale parameter of shape (D,)
    - beta: Shift parameter of shape (D,)
    - bn_param: Dictionary with the following keys:
      - mode: 'train' or 'test'; required
      - eps: Constant for numeric stability
      - momentum: Constant for running mean / variance.
      - running_mean: Array of shape (D,) giving running mean of features
      - running_var: Array of shape (D,) giving running variance of features

    Returns a tuple of:
    - out: of shape (N, D)
    - cache: A tuple of values needed in the backward pass
    """
    if np.shape(gamma) != x.shape[1:] or np.shape(beta) != x.shape[1:]:
        raise ValueError("shapes must be gamma (D,) and beta (D,)")
    mode = bn_param["mode"]  # (1)
    eps = bn_param.get("eps", 1e-5)  # (2)
    if np.ndim(eps) != 0:
        raise ValueError("eps must be a number")
    momentum = bn_param.get("momentum", 0.9)  # (3)

    N, D = x.shape
    running_mean = bn_param.get("running_mean", np.zeros(D, dtype=x.dtype))  # (4)
    if np.shape(running_mean) != (D,):
        raise ValueError("running_mean must have shape (D,)")
    running_var = bn_param.get("running_var", np.zeros(D, dtype=x.dtype))  # (5)
    if np.shape(running_var) != (D,):
        raise ValueError("running_var must have shape (D,)")

    out, cache = None, None
    x_hat_sqrt = None
    x_hat_sqrt2 = None
    if mode == "train":
        sample_mean = np.mean(x, axis=0)  # (6)
        sample_var = np.var(x, axis=0)  # (7)
        x_hat_sqrt = np.sqrt(sample_var + eps)
        x_hat = (x - sample_mean) / x_hat_sqrt  # (8)
        out = gamma * x_hat + beta  # (9)
        running_mean = momentum * running_mean + (1 - momentum) * sample_mean  # (10)
        running_var = momentum * running_var + (1 - momentum) * sample_var  # (11)
    elif mode == "test":
        x_hat_sqrt2 = np.sqrt(running_var + eps)
        x_hat = (x - running_mean) / x_hat_sqrt2  # (12)
        out = gamma * x_hat + beta  # (13)
    else:
        raise ValueError('Invalid forward batchnorm mode "%s"' % mode)

    # Store the updated running means back into bn_param
    bn_param["running_mean"] = running_mean
    bn_param["running_var"] = running_var

    return out, (gamma, mode, x_hat_sqrt, x_hat, x_hat_sqrt2)


def batchnorm_backward(dout, cache):
    """Gradients from dout (N, D): dx (N, D), dgamma (D,), dbeta (D,)."""
    gamma, mode, x_hat_sqrt, x_hat, x_hat_sqrt2 = cache
    if mode == "train":
        # (9) out = gamma * x_hat + beta
        dgamma = (dout * x_hat).sum(axis=0)
        dx_hat = dout * gamma
        dbeta = dout.sum(axis=0)
        # (6)-(8) standardisation of x
        dx = (dx_hat - dx_hat.mean(axis=0) - x_hat * (dx_hat * x_hat).mean(axis=0)) / x_hat_sqrt
    else:
        # (13) out = gamma * x_hat + beta
        dgamma = (dout * x_hat).sum(axis=0)
        dx_hat2 = dout * gamma
        dbeta = dout.sum(axis=0)
        # (12) x_hat = (x - running_mean) / np.sqrt(running_var + eps)
        dx = dx_hat2 / x_hat_sqrt2
    return dx, dgamma, dbeta


def layernorm_forward(x, gamma, beta, ln_param):
    """
    Forward pass for layer normalization: every row of x has its own mean and variance.

    Input:
    - x: Data of shape (N, D)
    - gamma: Scale parameter of shape (D,)
    - beta: Shift parameter of shape (D,)
    - ln_param: Dictionary with the key eps, a constant for numeric stability
    """
    if x.ndim != 2 or np.shape(gamma) != x.shape[1:] or np.shape(beta) != x.shape[1:]:
        raise ValueError("shapes must be x (N, D), gamma (D,) and beta (D,)")
    eps = ln_param.get("eps", 1e-5)  # (1)
    if np.ndim(eps) != 0:
        raise ValueError("eps must be a number")
    mean = x.mean(axis=1, keepdims=True)  # (2)
    var = x.var(axis=1, keepdims=True)  # (3)
    x_hat_sqrt = np.sqrt(var + eps)
    x_hat = (x - mean) / x_hat_sqrt  # (4)
    out = gamma * x_hat + beta  # (5)
    return out, (gamma, x_hat_sqrt, x_hat)


def layernorm_backward(dout, cache):
    """Gradients from dout (N, D): dx (N, D), dgamma (D,), dbeta (D,)."""
    gamma, x_hat_sqrt, x_hat = cache
    # (5) out = gamma * x_hat + beta
    dgamma = (dout * x_hat).sum(axis=0)
    dx_hat = dout * gamma
    dbeta = dout.sum(axis=0)
    # (2)-(4) standardisation of x
    dx = (
        dx_hat
        - dx_hat.mean(axis=1, keepdims=True)
        - x_hat * (dx_hat * x_hat).mean(axis=1, keepdims=True)
    ) / x_hat_sqrt
    return dx, dgamma, dbeta


def spatial_batchnorm_forward(x, gamma, beta, bn_param):
    """
    Forward pass for spatial batch normalization: x has shape (N, C, H, W), gamma and beta have shape (C,).
    """
    N, C, H, W = x.shape
    x_flat = x.transpose(0, 2, 3, 1).reshape(-1, C)  # (1)
    out_flat, batchnorm_cache = batchnorm_forward(x_flat, gamma, beta, bn_param)  # (2)
    out = out_flat.reshape(N, H, W, C).transpose(0, 3, 1, 2)  # (3)
    return out, (x, out_flat, batchnorm_cache)


def spatial_batchnorm_backward(dout, cache):
    """Gradients from dout (N, C, H, W): dx (N, C, H, W), dgamma (C,), dbeta (C,)."""
    x, out_flat, batchnorm_cache = cache
    # (3) out = out_flat.reshape(N, H, W, C).transpose(0, 3, 1, 2)
    dout_flat = dout.transpose(0, 2, 3, 1).reshape(out_flat.shape)
    # (2) out_flat, cache = batchnorm_forward(x_flat, gamma, beta, bn_param)
    dx_flat, dgamma, dbeta = batchnorm_backward(dout_flat, batchnorm_cache)
    # (1) x_flat = x.transpose(0, 2, 3, 1).reshape(-1, C)
    dx = dx_flat.reshape(x.transpose(0, 2, 3, 1).shape).transpose(0, 3, 1, 2)
    return dx, dgamma, dbeta


def spatial_groupnorm_forward(x, gamma, beta, G, gn_param):
    """
    Forward pass for spatial group normalization.

    Inputs:
    - x: Input data of shape (N, C, H, W)
    - gamma: Scale parameter, of shape (1, C, 1, 1)
    - beta: Shift parameter, of shape (1, C, 1, 1)
    - G: Integer number of groups to split into, should be a divisor of C
    - gn_param: Dictionary with the key eps, a constant for numeric stability
    """
    if (
        np.shape(gamma) != (1, x.shape[1], 1, 1)
        or np.shape(beta) != (1, x.shape[1], 1, 1)
        or np.ndim(G) != 0
    ):
        raise ValueError("shapes must be gamma (1, C, 1, 1), beta (1, C, 1, 1) and G a scalar")
    eps = gn_param.get("eps", 1e-5)  # (1)
    if np.ndim(eps) != 0:
        raise ValueError("eps must be a number")
    N, C, H, W = x.shape
    x_group = x.reshape(N, G, C // G, H, W)  # (2)
    mean = np.mean(x_group, axis=(2, 3, 4), keepdims=True)  # (3)
    var = np.var(x_group, axis=(2, 3, 4), keepdims=True)  # (4)
    x_groupnorm_sqrt = np.sqrt(var + eps)
    x_groupnorm = (x_group - mean) / x_groupnorm_sqrt  # (5)
    x_norm = x_groupnorm.reshape(N, C, H, W)  # (6)
    out = x_norm * gamma + beta  # (7)
    return out, (gamma, x_groupnorm_sqrt, x_groupnorm, x_norm)


def spatial_groupnorm_backward(dout, cache):
    """Gradients from dout (N, C, H, W): dx (N, C, H, W), dgamma (1, C, 1, 1), dbeta (1, C, 1, 1)."""
    gamma, x_groupnorm_sqrt, x_groupnorm, x_norm = cache
    # (7) out = x_norm * gamma + beta
    dx_norm = dout * gamma
    dgamma = (dout * x_norm).sum(axis=(0, 2, 3), keepdims=True)
    dbeta = dout.sum(axis=(0, 2, 3), keepdims=True)
    # (6) x_norm = x_groupnorm.reshape(N, C, H, W)
    dx_groupnorm = dx_norm.reshape(x_groupnorm.shape)
    # (3)-(5) standardisation of x_group
    dx_group = (
        dx_groupnorm
        - dx_groupnorm.mean(axis=(2, 3, 4), keepdims=True)
        - x_groupnorm * (dx_groupnorm * x_groupnorm).mean(axis=(2, 3, 4), keepdims=True)
    ) / x_groupnorm_sqrt
    # (2) x_group = x.reshape(N, G, C // G, H, W)
    dx = dx_group.reshape(x_norm.shape)
    return dx, dgamma, dbeta
