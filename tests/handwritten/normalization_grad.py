"""Flat gradient code for normalization.py, written by hand.

batchnorm_forward(x, gamma, beta, bn_param)            -> out, cache
batchnorm_backward(dout, cache)                        -> dx, dgamma, dbeta
layernorm_forward(x, gamma, beta, ln_param)            -> out, cache
layernorm_backward(dout, cache)                        -> dx, dgamma, dbeta
spatial_batchnorm_forward(x, gamma, beta, bn_param)    -> out, cache
spatial_batchnorm_backward(dout, cache)                -> dx, dgamma, dbeta
spatial_groupnorm_forward(x, gamma, beta, G, gn_param) -> out, cache
spatial_groupnorm_backward(dout, cache)                -> dx, dgamma, dbeta
"""

import numpy as np


def batchnorm_forward(x, gamma, beta, bn_param):
    """Forward pass for batch normalization.

    Shapes: x (N, D), gamma (D,), beta (D,).
    """
    if not gamma.shape == beta.shape == x.shape[1:]:
        raise ValueError(f"gamma and beta must have shape (D,) = {x.shape[1:]}")
    mode = bn_param["mode"]
    eps = bn_param.get("eps", 1e-5)
    momentum = bn_param.get("momentum", 0.9)

    N, D = x.shape
    running_mean = bn_param.get("running_mean", np.zeros(D, dtype=x.dtype))
    running_var = bn_param.get("running_var", np.zeros(D, dtype=x.dtype))

    if mode == "train":
        sample_mean = np.mean(x, axis=0)  # (1)
        sample_var = np.var(x, axis=0)  # (2)
        std = np.sqrt(sample_var + eps)
        x_hat = (x - sample_mean) / std  # (3)
        out = gamma * x_hat + beta  # (4)
        running_mean = momentum * running_mean + (1 - momentum) * sample_mean
        running_var = momentum * running_var + (1 - momentum) * sample_var
    elif mode == "test":
        std = np.sqrt(running_var + eps)
        x_hat = (x - running_mean) / std  # (5)
        out = gamma * x_hat + beta  # (6)
    else:
        raise ValueError('Invalid forward batchnorm mode "%s"' % mode)

    # Store the updated running means back into bn_param
    bn_param["running_mean"] = running_mean
    bn_param["running_var"] = running_var

    return out, (gamma, mode, std, x_hat)


def batchnorm_backward(dout, cache):
    """Gradients from dout (N, D): dx (N, D), dgamma (D,), dbeta (D,)."""
    gamma, mode, std, x_hat = cache
    # (4), (6) out = gamma * x_hat + beta
    dgamma = (dout * x_hat).sum(axis=0)
    dx_hat = dout * gamma
    dbeta = dout.sum(axis=0)
    if mode == "train":
        # (1)-(3) standardisation of x
        dx = (dx_hat - dx_hat.mean(axis=0) - x_hat * (dx_hat * x_hat).mean(axis=0)) / std
    else:
        # (5) x_hat = (x - running_mean) / np.sqrt(running_var + eps)
        dx = dx_hat / std
    return dx, dgamma, dbeta


def layernorm_forward(x, gamma, beta, ln_param):
    """Forward pass for layer normalization: every row of x has its own mean and variance.

    Shapes: x (N, D), gamma (D,), beta (D,).
    """
    if not gamma.shape == beta.shape == x.shape[1:]:
        raise ValueError(f"gamma and beta must have shape (D,) = {x.shape[1:]}")
    eps = ln_param.get("eps", 1e-5)
    mean = x.mean(axis=1, keepdims=True)  # (1)
    var = x.var(axis=1, keepdims=True)  # (2)
    std = np.sqrt(var + eps)
    x_hat = (x - mean) / std  # (3)
    out = gamma * x_hat + beta  # (4)
    return out, (gamma, std, x_hat)


def layernorm_backward(dout, cache):
    """Gradients from dout (N, D): dx (N, D), dgamma (D,), dbeta (D,)."""
    gamma, std, x_hat = cache
    # (4) out = gamma * x_hat + beta
    dgamma = (dout * x_hat).sum(axis=0)
    dx_hat = dout * gamma
    dbeta = dout.sum(axis=0)
    # (1)-(3) standardisation of x
    dx = (
        dx_hat
        - dx_hat.mean(axis=1, keepdims=True)
        - x_hat * (dx_hat * x_hat).mean(axis=1, keepdims=True)
    ) / std
    return dx, dgamma, dbeta


def spatial_batchnorm_forward(x, gamma, beta, bn_param):
    """Forward pass for spatial batch normalization: x has shape (N, C, H, W), gamma and beta have shape (C,)."""
    N, C, H, W = x.shape
    x_flat = x.transpose(0, 2, 3, 1).reshape(-1, C)  # (1)
    out_flat, batchnorm_cache = batchnorm_forward(x_flat, gamma, beta, bn_param)  # (2)
    out = out_flat.reshape(N, H, W, C).transpose(0, 3, 1, 2)  # (3)
    return out, batchnorm_cache


def spatial_batchnorm_backward(dout, cache):
    """Gradients from dout (N, C, H, W): dx (N, C, H, W), dgamma (C,), dbeta (C,)."""
    N, C, H, W = dout.shape
    # (3) out = out_flat.reshape(N, H, W, C).transpose(0, 3, 1, 2)
    dout_flat = dout.transpose(0, 2, 3, 1).reshape(-1, C)
    # (2) out_flat = batchnorm_forward(x_flat, gamma, beta, bn_param)
    dx_flat, dgamma, dbeta = batchnorm_backward(dout_flat, cache)
    # (1) x_flat = x.transpose(0, 2, 3, 1).reshape(-1, C)
    dx = dx_flat.reshape(N, H, W, C).transpose(0, 3, 1, 2)
    return dx, dgamma, dbeta


def spatial_groupnorm_forward(x, gamma, beta, G, gn_param):
    """Forward pass for spatial group normalization.

    Shapes: x (N, C, H, W), gamma (1, C, 1, 1), beta (1, C, 1, 1).
    """
    if not gamma.shape == beta.shape == (1, x.shape[1], 1, 1):
        raise ValueError(f"gamma and beta must have shape (1, C, 1, 1), C = {x.shape[1]}")
    eps = gn_param.get("eps", 1e-5)
    N, C, H, W = x.shape
    x_group = x.reshape(N, G, C // G, H, W)  # (1)
    mean = np.mean(x_group, axis=(2, 3, 4), keepdims=True)  # (2)
    var = np.var(x_group, axis=(2, 3, 4), keepdims=True)  # (3)
    std = np.sqrt(var + eps)
    x_groupnorm = (x_group - mean) / std  # (4)
    x_norm = x_groupnorm.reshape(N, C, H, W)  # (5)
    out = x_norm * gamma + beta  # (6)
    return out, (gamma, std, x_groupnorm, x_norm)


def spatial_groupnorm_backward(dout, cache):
    """Gradients from dout (N, C, H, W): dx (N, C, H, W), dgamma (1, C, 1, 1), dbeta (1, C, 1, 1)."""
    gamma, std, x_groupnorm, x_norm = cache
    # (6) out = x_norm * gamma + beta
    dx_norm = dout * gamma
    dgamma = (dout * x_norm).sum(axis=(0, 2, 3), keepdims=True)
    dbeta = dout.sum(axis=(0, 2, 3), keepdims=True)
    # (5) x_norm = x_groupnorm.reshape(N, C, H, W)
    dx_groupnorm = dx_norm.reshape(x_groupnorm.shape)
    # (2)-(4) standardisation of x_group
    dx_group = (
        dx_groupnorm
        - dx_groupnorm.mean(axis=(2, 3, 4), keepdims=True)
        - x_groupnorm * (dx_groupnorm * x_groupnorm).mean(axis=(2, 3, 4), keepdims=True)
    ) / std
    # (1) x_group = x.reshape(N, G, C // G, H, W)
    dx = dx_group.reshape(dout.shape)
    return dx, dgamma, dbeta
