"""Flat gradient code for `ntm_step` in ntm.py, written by hand.

ntm_step_forward(memory, w_write, w_read, write_head, read_head) -> r, memory, w_write, w_read, cache
ntm_step_backward(dr, dmemory, dw_write, dw_read, cache) -> dmemory, dw_write, dw_read, dwrite_head, dread_head
"""

import numpy as np


def address_forward(memory, w_prev, head):
    """Where a head looks: by content, then interpolated with where it looked before, shifted and sharpened."""
    k, beta = head["k"], head["beta"]
    dots = memory @ k
    row_norms = np.linalg.norm(memory, axis=1)
    k_norm = np.linalg.norm(k)
    similarity = dots / (row_norms * k_norm + 1e-8)  # (1)
    e = np.exp(beta * similarity)  # (2)
    w_content = e / np.sum(e)  # (3)

    g = head["g"]
    w_gated = g * w_content + (1 - g) * w_prev  # (4)

    # circular convolution with the shifts -1, 0 and 1
    N = memory.shape[0]
    w_shifted = np.zeros(N)
    for i in range(N):
        for j, s in enumerate(head["shift"]):
            w_shifted[i] += w_gated[(i + 1 - j) % N] * s  # (5)

    w_sharp = w_shifted ** head["gamma"]  # (6)
    out = w_sharp / np.sum(w_sharp)  # (7)
    cache = (
        memory,
        w_prev,
        head,
        row_norms,
        k_norm,
        similarity,
        w_content,
        w_gated,
        w_shifted,
        w_sharp,
        out,
    )
    return out, cache


def address_backward(dout, cache):
    """Gradients from dout (N,): dmemory (N, M), dw_prev (N,), dhead with the keys k, beta, g, shift and gamma."""
    (
        memory,
        w_prev,
        head,
        row_norms,
        k_norm,
        similarity,
        w_content,
        w_gated,
        w_shifted,
        w_sharp,
        out,
    ) = cache
    N = memory.shape[0]
    k, beta, g, shift, gamma = (head[key] for key in ("k", "beta", "g", "shift", "gamma"))
    # (7) out = w_sharp / np.sum(w_sharp)
    dw_sharp = (dout - dout @ out) / np.sum(w_sharp)
    # (6) w_sharp = w_shifted ** head["gamma"]
    dw_shifted = dw_sharp * gamma * w_shifted ** (gamma - 1)
    dgamma = dw_sharp @ (w_sharp * np.log(w_shifted))
    # (5) w_shifted[i] += w_gated[(i + 1 - j) % N] * s
    dw_gated = np.zeros_like(w_gated)
    dshift = np.zeros_like(shift)
    for i in reversed(range(N)):
        for j in reversed(range(len(shift))):
            dw_gated[(i + 1 - j) % N] += dw_shifted[i] * shift[j]
            dshift[j] += dw_shifted[i] * w_gated[(i + 1 - j) % N]
    # (4) w_gated = g * w_content + (1 - g) * w_prev
    dg = dw_gated @ (w_content - w_prev)
    dw_content = dw_gated * g
    dw_prev = dw_gated * (1 - g)
    # (2), (3) softmax of beta * similarity
    dlogits = w_content * (dw_content - dw_content @ w_content)
    dbeta = dlogits @ similarity
    # (1) similarity = memory @ k / (np.linalg.norm(memory, axis=1) * np.linalg.norm(k) + 1e-8)
    ddots = dlogits * beta / (row_norms * k_norm + 1e-8)
    dnorms = -ddots * similarity
    dmemory = np.outer(ddots, k) + (dnorms * k_norm / row_norms)[:, np.newaxis] * memory
    dk = ddots @ memory + dnorms @ row_norms * k / k_norm
    return dmemory, dw_prev, {"k": dk, "beta": dbeta, "g": dg, "shift": dshift, "gamma": dgamma}


def ntm_step_forward(memory, w_write, w_read, write_head, read_head):
    """One step of the memory of a neural Turing machine: the write head erases and adds, then the read head reads.

    Shapes: memory (N, M), w_write (N,), w_read (N,).
    """
    if not w_write.shape == w_read.shape == memory.shape[:1]:
        raise ValueError(f"w_write and w_read must have shape (N,) = {memory.shape[:1]}")
    memory_old = memory
    w_write, write_cache = address_forward(memory, w_write, write_head)  # (1)
    memory = memory * (1 - np.outer(w_write, write_head["erase"])) + np.outer(
        w_write, write_head["add"]
    )  # (2)
    w_read, read_cache = address_forward(memory, w_read, read_head)  # (3)
    r = w_read @ memory  # (4)
    return (
        r,
        memory,
        w_write,
        w_read,
        (write_head, memory_old, w_write, write_cache, memory, w_read, read_cache),
    )


def ntm_step_backward(dr, dmemory, dw_write, dw_read, cache):
    """Gradients of the arguments; those of the heads are dicts with the heads' keys."""
    write_head, memory_old, w_write, write_cache, memory, w_read, read_cache = cache
    erase, add = write_head["erase"], write_head["add"]
    if dr is None:
        dr = np.zeros(memory.shape[1])
    if dmemory is None:
        dmemory = np.zeros_like(memory)
    if dw_write is None:
        dw_write = np.zeros_like(w_write)
    if dw_read is None:
        dw_read = np.zeros_like(w_read)
    # (4) r = w_read @ memory
    dw_read = dw_read + memory @ dr
    dmemory = dmemory + np.outer(w_read, dr)
    # (3) w_read = address(memory, w_read, read_head)
    dmemory_read, dw_read, dread_head = address_backward(dw_read, read_cache)
    dmemory += dmemory_read
    # (2) memory = memory * (1 - np.outer(w_write, erase)) + np.outer(w_write, add)
    derased = -dmemory * memory_old
    dw_write = dw_write + derased @ erase + dmemory @ add
    derase = w_write @ derased
    dadd = w_write @ dmemory
    dmemory = dmemory * (1 - np.outer(w_write, erase))
    # (1) w_write = address(memory, w_write, write_head)
    dmemory_write, dw_write, dwrite_head = address_backward(dw_write, write_cache)
    dmemory += dmemory_write
    dwrite_head["erase"] = derase
    dwrite_head["add"] = dadd
    return dmemory, dw_write, dw_read, dwrite_head, dread_head
