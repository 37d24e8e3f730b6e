"""Flat gradient code for `kalman_log_likelihood` in kalman.py, written by hand.

kalman_log_likelihood_forward(y, A, C, Q, R, m0, P0)        -> log_lik, cache
kalman_log_likelihood_backward(dlog_lik, cache)             -> dy, dA, dC, dQ, dR, dm0, dP0
kalman_log_likelihood_value_and_grad(y, A, C, Q, R, m0, P0) -> log_lik, (dy, dA, dC, dQ, dR, dm0, dP0)
"""

import numpy as np


def kalman_log_likelihood_forward(y, A, C, Q, R, m0, P0):
    """Log-likelihood of a linear Gaussian state space model by the Kalman filter.

    Shapes: y (T, p), A (n, n), C (p, n), Q (n, n), R (p, p), m0 (n,), P0 (n, n).
    """
    if Q.shape != A.shape or R.shape != (C.shape[0], C.shape[0]) or y.shape[1:] != C.shape[:1]:
        raise ValueError("shapes must be y (T, p), A (n, n), C (p, n), Q (n, n) and R (p, p)")
    m, P = m0, P0  # (1)
    log_lik = 0.0
    steps = []
    for t in range(y.shape[0]):
        m_prev, P_prev = m, P
        # predict
        m_pred = A @ m  # (2)
        P_pred = A @ P @ A.T + Q  # (3)
        # update
        v = y[t] - C @ m_pred  # (4) innovation
        S = C @ P_pred @ C.T + R  # (5)
        S_inv = np.linalg.inv(S)  # (6)
        sign, logdet = np.linalg.slogdet(S)
        log_lik -= 0.5 * (v @ S_inv @ v + logdet + len(v) * np.log(2 * np.pi))  # (7)
        K = P_pred @ C.T @ S_inv  # (8) Kalman gain
        m = m_pred + K @ v  # (9)
        P = P_pred - K @ C @ P_pred  # (10)
        steps.append((m_prev, P_prev, m_pred, P_pred, v, S_inv, K))
    return log_lik, (y, A, C, m0, P0, steps)


def kalman_log_likelihood_backward(dlog_lik, cache):
    """Gradients of log_lik: dy (T, p), dA (n, n), dC (p, n), dQ (n, n), dR (p, p), dm0 (n,), dP0 (n, n)."""
    y, A, C, m0, P0, steps = cache
    dy = np.zeros_like(y)
    dA = np.zeros_like(A)
    dC = np.zeros_like(C)
    dQ = np.zeros_like(P0)
    dR = np.zeros((C.shape[0], C.shape[0]))
    dm = np.zeros_like(m0)
    dP = np.zeros_like(P0)
    for t in reversed(range(y.shape[0])):
        m_prev, P_prev, m, P, v, S_inv, K = steps[t]
        # (10) P = P_pred - K @ C @ P_pred
        dK = -dP @ (C @ P).T
        dC -= K.T @ dP @ P.T
        dP = dP - (K @ C).T @ dP
        # (9) m = m_pred + K @ v
        dK += np.outer(dm, v)
        dv = K.T @ dm
        # (8) K = P_pred @ C.T @ S_inv
        dPCT = dK @ S_inv.T
        dP += dPCT @ C
        dC += dPCT.T @ P
        # (7) log_lik -= 0.5 * (v @ S_inv @ v + logdet + len(v) * np.log(2 * np.pi))
        dS_inv = (P @ C.T).T @ dK - 0.5 * dlog_lik * np.outer(v, v)
        dv -= 0.5 * dlog_lik * (S_inv + S_inv.T) @ v
        # (6) S_inv = np.linalg.inv(S), and logdet
        dS = -S_inv.T @ dS_inv @ S_inv.T - 0.5 * dlog_lik * S_inv.T
        # (5) S = C @ P_pred @ C.T + R
        dR += dS
        dC += dS @ C @ P.T + dS.T @ C @ P
        dP += C.T @ dS @ C
        # (4) v = y[t] - C @ m_pred
        dy[t] = dv
        dC -= np.outer(dv, m)
        dm = dm - C.T @ dv
        # (3) P_pred = A @ P @ A.T + Q
        dQ += dP
        dA += dP @ A @ P_prev.T + dP.T @ A @ P_prev
        dP = A.T @ dP @ A
        # (2) m_pred = A @ m
        dA += np.outer(dm, m_prev)
        dm = A.T @ dm
    # (1) m, P = m0, P0
    dm0, dP0 = dm, dP
    return dy, dA, dC, dQ, dR, dm0, dP0


def kalman_log_likelihood_value_and_grad(y, A, C, Q, R, m0, P0):
    log_lik, cache = kalman_log_likelihood_forward(y, A, C, Q, R, m0, P0)
    return log_lik, kalman_log_likelihood_backward(1.0, cache)
