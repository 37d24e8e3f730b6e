import numpy as np


def kalman_log_likelihood(y, A, C, Q, R, m0, P0):
    """Log-likelihood of a linear Gaussian state space model by the Kalman filter.

    Parameters
    ----------
    y : array of shape (T, p)
        The observations.
    A : array of shape (n, n)
        Transition matrix.
    C : array of shape (p, n)
        Observation matrix.
    Q : array of shape (n, n)
        Covariance of the process noise.
    R : array of shape (p, p)
        Covariance of the observation noise.
    m0 : array of shape (n,)
    P0 : array of shape (n, n)
        Mean and covariance of the state before the first step.
    """
    m, P = m0, P0
    log_lik = 0.0
    for t in range(y.shape[0]):
        # predict
        m = A @ m
        P = A @ P @ A.T + Q
        # update
        v = y[t] - C @ m  # innovation
        S = C @ P @ C.T + R
        S_inv = np.linalg.inv(S)
        sign, logdet = np.linalg.slogdet(S)
        log_lik -= 0.5 * (v @ S_inv @ v + logdet + len(v) * np.log(2 * np.pi))
        K = P @ C.T @ S_inv  # Kalman gain
        m = m + K @ v
        P = P - K @ C @ P
    return log_lik
