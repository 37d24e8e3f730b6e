"""Flat gradient code for `hmm_log_likelihood` in hmm.py, written by hand.

hmm_log_likelihood_forward(log_pi, log_A, log_B, obs)        -> out, cache
hmm_log_likelihood_backward(dout, cache)                     -> dlog_pi, dlog_A, dlog_B
hmm_log_likelihood_value_and_grad(log_pi, log_A, log_B, obs) -> out, (dlog_pi, dlog_A, dlog_B)
"""

import numpy as np


def logsumexp(a):
    a_max = np.max(a)
    return a_max + np.log(np.sum(np.exp(a - a_max)))


def hmm_log_likelihood_forward(log_pi, log_A, log_B, obs):
    """Forward algorithm of a hidden Markov model with K states and M symbols, in logs.

    Shapes: log_pi (K,), log_A (K, K), log_B (K, M), obs (T,) int.
    """
    if log_A.shape != log_pi.shape * 2 or log_B.shape[:1] != log_pi.shape:
        raise ValueError("shapes must be log_pi (K,), log_A (K, K) and log_B (K, M)")
    T = len(obs)
    K = log_pi.shape[0]
    log_alpha = np.zeros((T, K))
    log_alpha[0] = log_pi + log_B[:, obs[0]]  # (1)
    for t in range(1, T):
        for k in range(K):
            log_alpha[t, k] = logsumexp(log_alpha[t - 1] + log_A[:, k]) + log_B[k, obs[t]]  # (2)
    out = logsumexp(log_alpha[T - 1])  # (3)
    return out, (log_A, log_B, obs, log_alpha, out)


def hmm_log_likelihood_backward(dout, cache):
    """Gradients of out: dlog_pi (K,), dlog_A (K, K), dlog_B (K, M)."""
    log_A, log_B, obs, log_alpha, out = cache
    T, K = log_alpha.shape
    dlog_A = np.zeros_like(log_A)
    dlog_B = np.zeros_like(log_B)
    dlog_alpha = np.zeros_like(log_alpha)
    # (3) out = logsumexp(log_alpha[T - 1])
    dlog_alpha[T - 1] = dout * np.exp(log_alpha[T - 1] - out)
    for t in reversed(range(1, T)):
        for k in reversed(range(K)):
            # (2) log_alpha[t, k] = logsumexp(log_alpha[t - 1] + log_A[:, k]) + log_B[k, obs[t]]
            a = log_alpha[t - 1] + log_A[:, k]
            da = dlog_alpha[t, k] * np.exp(a - logsumexp(a))
            dlog_alpha[t - 1] += da
            dlog_A[:, k] += da
            dlog_B[k, obs[t]] += dlog_alpha[t, k]
    # (1) log_alpha[0] = log_pi + log_B[:, obs[0]]
    dlog_pi = dlog_alpha[0]
    dlog_B[:, obs[0]] += dlog_alpha[0]
    return dlog_pi, dlog_A, dlog_B


def hmm_log_likelihood_value_and_grad(log_pi, log_A, log_B, obs):
    out, cache = hmm_log_likelihood_forward(log_pi, log_A, log_B, obs)
    return out, hmm_log_likelihood_backward(1.0, cache)
