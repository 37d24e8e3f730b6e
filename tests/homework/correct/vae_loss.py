import numpy as np

def vae_loss(mu, log_var, eps, target):
    """all of shape (N, Z); returns loss and its gradients"""
    N = mu.shape[0]
    std = np.exp(0.5 * log_var)
    z = mu + std * eps
    rec = np.sum((z - target) ** 2) / N
    kl = -0.5 * np.sum(1 + log_var - mu ** 2 - np.exp(log_var)) / N
    loss = rec + kl

    dz = 2 * (z - target) / N
    dmu = dz + mu / N
    dstd = dz * eps
    dlog_var = dstd * 0.5 * std
    dlog_var += -0.5 * (1 - np.exp(log_var)) / N
    return loss, dmu, dlog_var
