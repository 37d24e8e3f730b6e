"""Flat gradient code for `kalman_log_likelihood` in kalman.py, written by flatgrad 0.1.0.

kalman_log_likelihood_forward(y, A, C, Q, R, m0, P0)        -> log_lik, cache
kalman_log_likelihood_backward(dlog_lik, cache)             -> dy, dA, dC, dQ, dR, dm0, dP0
kalman_log_likelihood_value_and_grad(y, A, C, Q, R, m0, P0) -> log_lik, (dy, dA, dC, dQ, dR, dm0, dP0)

Between forward and backward the caller leaves arguments and results as they are.
"""

import numpy as np


def kalman_log_likelihood_forward(y, A, C, Q, R, m0, P0):
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
    if (
        y.ndim != 2
        or A.ndim != 2
        or A.shape[1] != A.shape[0]
        or C.shape != (y.shape[1], A.shape[0])
        or np.shape(Q) != A.shape
        or np.shape(R) != (y.shape[1], y.shape[1])
        or np.shape(m0) != A.shape[:1]
        or np.shape(P0) != A.shape
    ):
        raise ValueError(
            "shapes must be y (T, p), A (n, n), C (p, n), Q (n, n), R (p, p), m0 (n,) and P0 (n, n)"
        )
    m, P = m0, P0  # (1)
    log_lik = 0.0  # (2)
    Ps = []
    Ks = []
    vs = []
    S_invs = []
    log_lik_products = []
    Ss = []
    ms = []
    Ps2 = []
    ms2 = []
    for t in range(y.shape[0]):
        Ps2.append(P)
        ms2.append(m)
        # predict
        m = A @ m  # (3)
        ms.append(m)
        P = A @ P @ A.T + Q  # (4)
        Ps.append(P)
        # update
        v = y[t] - C @ m  # (5) innovation
        vs.append(v)
        S = C @ P @ C.T + R  # (6)
        Ss.append(S)
        S_inv = np.linalg.inv(S)  # (7)
        S_invs.append(S_inv)
        sign, logdet = np.linalg.slogdet(S)  # (8)
        log_lik_product = v @ S_inv
        log_lik_products.append(log_lik_product)
        log_lik -= 0.5 * (log_lik_product @ v + logdet + len(v) * np.log(2 * np.pi))  # (9)
        K = P @ C.T @ S_inv  # (10) Kalman gain
        Ks.append(K)
        m = m + K @ v  # (11)
        P = P - K @ C @ P  # (12)
    return log_lik, (y, A, C, Q, R, m, P, Ps, Ks, vs, S_invs, log_lik_products, Ss, ms, Ps2, ms2)


def kalman_log_likelihood_backward(dlog_lik, cache):
    """Gradients of log_lik: dy (T, p), dA (n, n), dC (p, n), dQ (n, n), dR (p, p), dm0 (n,), dP0 (n, n)."""
    y, A, C, Q, R, m, P, Ps, Ks, vs, S_invs, log_lik_products, Ss, ms, Ps2, ms2 = cache
    dm = np.zeros(m.shape, np.result_type(m, 0.0))
    dP = np.zeros(P.shape, np.result_type(P, 0.0))
    dC = np.zeros(C.shape, np.result_type(C, 0.0))
    dR = np.zeros(R.shape, np.result_type(R, 0.0))
    dy = np.zeros(y.shape, np.result_type(y, 0.0))
    dA = np.zeros(A.shape, np.result_type(A, 0.0))
    dQ = np.zeros(Q.shape, np.result_type(Q, 0.0))
    for t in reversed(range(y.shape[0])):
        # (12) P = P - K @ C @ P
        d_product = dP @ Ps[t].T
        dK = -(d_product @ C.T)
        dC -= Ks[t].T @ d_product
        dP -= C.T @ Ks[t].T @ dP
        # (11) m = m + K @ v
        dK += np.outer(dm, vs[t])
        dv = Ks[t].T @ dm
        # (10) K = P @ C.T @ S_inv
        dP += dK @ S_invs[t].T @ C
        dC += S_invs[t] @ dK.T @ Ps[t]
        dS_inv = C @ Ps[t].T @ dK
        # (9) log_lik -= 0.5 * (v @ S_inv @ v + logdet + len(v) * np.log(2 * np.pi))
        d_prod = dlog_lik * 0.5 * vs[t]
        dv -= d_prod @ S_invs[t].T
        dS_inv += np.outer(vs[t], -d_prod)
        dv -= dlog_lik * 0.5 * log_lik_products[t]
        dlogdet = -dlog_lik * 0.5
        # (8) sign, logdet = np.linalg.slogdet(S)
        dS = dlogdet * np.linalg.inv(Ss[t]).T
        # (7) S_inv = np.linalg.inv(S)
        dS -= S_invs[t].T @ dS_inv @ S_invs[t].T
        # (6) S = C @ P @ C.T + R
        dS_product = dS @ C
        dC += dS_product @ Ps[t].T
        dP += C.T @ dS_product
        dC += dS.T @ (C @ Ps[t])
        dR += dS
        # (5) v = y[t] - C @ m
        dy[t] = dv
        dC += np.outer(-dv, ms[t])
        dm -= C.T @ dv
        # (4) P = A @ P @ A.T + Q
        dP_product = dP @ A
        dA += dP_product @ Ps2[t].T
        dP2 = A.T @ dP_product
        dA += dP.T @ (A @ Ps2[t])
        dQ += dP
        # (3) m = A @ m
        dA += np.outer(dm, ms2[t])
        dm = A.T @ dm
        dP = dP2
    # (1) m, P = m0, P0
    dP0 = dP
    dm0 = dm
    return dy, dA, dC, dQ, dR, dm0, dP0


def kalman_log_likelihood_value_and_grad(y, A, C, Q, R, m0, P0):
    log_lik, cache = kalman_log_likelihood_forward(y, A, C, Q, R, m0, P0)
    return log_lik, kalman_log_likelihood_backward(1.0, cache)
