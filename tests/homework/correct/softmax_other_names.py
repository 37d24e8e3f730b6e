import numpy as np


def loss_and_grad(theta, data, labels, lam):
    """
    theta: weights of shape (D, K); data: (N, D); labels: integers of shape (N,); lam: the strength of the penalty
    """
    logits = data @ theta
    top = logits.max(axis=1)
    log_z = top + np.log(np.exp(logits - top[:, None]).sum(axis=1))
    picked = logits[np.arange(len(labels)), labels]
    cost = np.mean(log_z - picked) + lam * np.linalg.norm(theta) ** 2

    p = np.exp(logits - log_z[:, None])
    onehot = np.eye(theta.shape[1])[labels]
    dlogits = (p - onehot) / data.shape[0]
    dtheta = data.T @ dlogits + 2 * lam * theta
    return cost, dtheta
