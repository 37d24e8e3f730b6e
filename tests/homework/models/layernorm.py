import numpy as np


def layernorm_forward(x: "N D", gamma: "D", beta: "D", ln_param):
    """ln_param has the key eps."""
    eps = ln_param.get("eps", 1e-5)
    mu = np.mean(x, axis=1, keepdims=True)
    var = np.mean((x - mu) ** 2, axis=1, keepdims=True)
    xhat = (x - mu) / np.sqrt(var + eps)
    return gamma * xhat + beta
