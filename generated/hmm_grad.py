"""Flat gradient code for hmm.py, written by flatgrad 0.1.0 (--function hmm_log_likelihood).

logsumexp_forward(a)                                         -> out, cache
logsumexp_backward(dout, cache)                              -> da
logsumexp_value_and_grad(a)                                  -> out, da
hmm_log_likelihood_forward(log_pi, log_A, log_B, obs)        -> out, cache
hmm_log_likelihood_backward(dout, cache)                     -> dlog_pi, dlog_A, dlog_B
hmm_log_likelihood_value_and_grad(log_pi, log_A, log_B, obs) -> out, (dlog_pi, dlog_A, dlog_B)

Between forward and backward the caller leaves arguments and results as they are.
"""

import numpy as np


def logsumexp_forward(a):
    a_max = np.max(a)  # (1)
    out = a_max + np.log(np.sum(np.exp(a - a_max)))  # (2)
    return out, (a, out)


def logsumexp_backward(dout, cache):
    a, out = cache
    # (1)-(2) logsumexp of a
    da = dout * np.exp(a - out)
    return da


def logsumexp_value_and_grad(a):
    out, cache = logsumexp_forward(a)
    return out, logsumexp_backward(1.0, cache)


def hmm_log_likelihood_forward(log_pi, log_A, log_B, obs):
    """
    Forward algorithm of a hidden Markov model with K states and M symbols, in logs.

    - log_pi: log initial probabilities of shape (K,)
    - log_A: log transition probabilities of shape (K, K), from row to column
    - log_B: log emission probabilities of shape (K, M)
    - obs: observed symbols, an integer array of shape (T,)
    """
    if (
        log_pi.ndim != 1
        or np.shape(log_A) != (log_pi.shape[0], log_pi.shape[0])
        or np.ndim(log_B) != 2
        or np.shape(log_B)[0] != log_pi.shape[0]
        or np.ndim(obs) != 1
    ):
        raise ValueError("shapes must be log_pi (K,), log_A (K, K), log_B (K, M) and obs (T,)")
    T = len(obs)
    K = log_pi.shape[0]
    log_alpha = np.zeros((T, K))  # (1)
    log_alpha[0] = log_pi + log_B[:, obs[0]]  # (2)
    logsumexp_cache2s = {}
    for t in range(1, T):
        for k in range(K):
            logsumexp2, logsumexp_cache2 = logsumexp_forward(log_alpha[t - 1] + log_A[:, k])
            log_alpha[t, k] = logsumexp2 + log_B[k, obs[t]]  # (3)
            logsumexp_cache2s[t, k] = logsumexp_cache2
    out, logsumexp_cache = logsumexp_forward(log_alpha[T - 1])
    return out, (log_A, log_B, obs, log_alpha, logsumexp_cache2s, logsumexp_cache)


def hmm_log_likelihood_backward(dout, cache):
    """Gradients of out: dlog_pi (K,), dlog_A (K, K), dlog_B (K, M)."""
    log_A, log_B, obs, log_alpha, logsumexp_cache2s, logsumexp_cache = cache
    T = obs.shape[0]
    K = log_A.shape[0]
    # (4) out = logsumexp(log_alpha[T - 1])
    da = logsumexp_backward(dout, logsumexp_cache)
    dlog_alpha = np.zeros(log_alpha.shape, da.dtype)
    dlog_alpha[T - 1] += da
    dlog_A = np.zeros(log_A.shape, np.result_type(log_A, 0.0))
    dlog_B = np.zeros(log_B.shape, np.result_type(log_B, 0.0))
    for t in reversed(range(1, T)):
        for k in reversed(range(K)):
            # (3) log_alpha[t, k] = logsumexp(log_alpha[t - 1] + log_A[:, k]) + log_B[k, obs[t]]
            dlog_alpha_part = 1.0 * dlog_alpha[t, k]
            dlog_alpha[t, k] = 0
            da_k = logsumexp_backward(dlog_alpha_part, logsumexp_cache2s[t, k])
            dlog_alpha[t - 1] += da_k
            dlog_A[:, k] += da_k
            dlog_B[k, obs[t]] += dlog_alpha_part
    # (2) log_alpha[0] = log_pi + log_B[:, obs[0]]
    dlog_pi = dlog_alpha[0]
    dlog_B[:, obs[0]] += dlog_pi
    return dlog_pi, dlog_A, dlog_B


def hmm_log_likelihood_value_and_grad(log_pi, log_A, log_B, obs):
    out, cache = hmm_log_likelihood_forward(log_pi, log_A, log_B, obs)
    return out, hmm_log_likelihood_backward(1.0, cache)
