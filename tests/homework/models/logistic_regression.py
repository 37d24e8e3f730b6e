import numpy as np


def logistic_loss(w: "D", X: "N D", y: "N"):
    """Labels 0 and 1."""
    z = X @ w
    return np.mean(np.log(1 + np.exp(z)) - y * z)
