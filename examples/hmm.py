import numpy as np


def logsumexp(a):
    a_max = np.max(a)
    return a_max + np.log(np.sum(np.exp(a - a_max)))


def hmm_log_likelihood(log_pi, log_A, log_B, obs):
    """
    Forward algorithm of a hidden Markov model with K states and M symbols, in logs.

    - log_pi: log initial probabilities of shape (K,)
    - log_A: log transition probabilities of shape (K, K), from row to column
    - log_B: log emission probabilities of shape (K, M)
    - obs: observed symbols, an integer array of shape (T,)
    """
    T = len(obs)
    K = log_pi.shape[0]
    log_alpha = np.zeros((T, K))
    log_alpha[0] = log_pi + log_B[:, obs[0]]
    for t in range(1, T):
        for k in range(K):
            log_alpha[t, k] = logsumexp(log_alpha[t - 1] + log_A[:, k]) + log_B[k, obs[t]]
    return logsumexp(log_alpha[T - 1])
