import numpy as np


def address(memory, w_prev, head):
    """Where a head looks: by content, then interpolated with where it looked before, shifted and sharpened."""
    k, beta = head["k"], head["beta"]
    similarity = memory @ k / (np.linalg.norm(memory, axis=1) * np.linalg.norm(k) + 1e-8)
    e = np.exp(beta * similarity)
    w_content = e / np.sum(e)

    g = head["g"]
    w_gated = g * w_content + (1 - g) * w_prev

    # circular convolution with the shifts -1, 0 and 1
    N = memory.shape[0]
    w_shifted = np.zeros(N)
    for i in range(N):
        for j, s in enumerate(head["shift"]):
            w_shifted[i] += w_gated[(i + 1 - j) % N] * s

    w_sharp = w_shifted ** head["gamma"]
    return w_sharp / np.sum(w_sharp)


def ntm_step(memory, w_write, w_read, write_head, read_head):
    """
    One step of the memory of a neural Turing machine: the write head erases and adds, then the read head reads.

    - memory: N rows, of shape (N, M)
    - w_write: previous weights of the write head, of shape (N,)
    - w_read: previous weights of the read head, of shape (N,)
    - write_head: dict with k (M,), beta, g, shift (3,), gamma, erase (M,) and add (M,)
    - read_head: dict with k (M,), beta, g, shift (3,) and gamma

    Returns what was read, the new memory and the new weights.
    """
    w_write = address(memory, w_write, write_head)
    memory = memory * (1 - np.outer(w_write, write_head["erase"])) + np.outer(w_write, write_head["add"])
    w_read = address(memory, w_read, read_head)
    r = w_read @ memory
    return r, memory, w_write, w_read
