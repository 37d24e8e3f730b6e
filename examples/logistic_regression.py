import numpy as np


def logistic_loss(w, X, y, reg=0.0):
    """Negative log-likelihood of logistic regression, with an L2 penalty.

    Parameters
    ----------
    w : array of shape (D,)
        The weights; the bias is the weight of a column of ones in X.
    X : array of shape (N, D)
    y : array of shape (N,)
        Labels, 0 or 1.
    """
    z = X @ w
    nll = np.mean(np.logaddexp(0, z) - y * z)
    return nll + 0.5 * reg * np.sum(w**2)
