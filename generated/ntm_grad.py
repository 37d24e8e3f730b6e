"""Flat gradient code for ntm.py, written by flatgrad 0.1.0 (--function ntm_step).

address_forward(memory, w_prev, head)                            -> out, cache
address_backward(dout, cache)                                    -> dmemory, dw_prev, dhead
ntm_step_forward(memory, w_write, w_read, write_head, read_head) -> r, memory2, w_write, w_read, cache
ntm_step_backward(dr, dmemory, dw_write, dw_read, cache)         -> dmemory, dw_write, dw_read, dwrite_head, dread_head

Between forward and backward the caller leaves arguments and results as they are.
"""

import numpy as np


def address_forward(memory, w_prev, head):
    """Where a head looks: by content, then interpolated with where it looked before, shifted and sharpened."""
    if (
        memory.ndim != 2
        or np.shape(w_prev) != memory.shape[:1]
        or np.ndim(head["k"]) != 1
        or np.ndim(head["beta"]) != 0
        or np.ndim(head["g"]) != 0
        or np.shape(head["shift"]) != (3,)
        or np.ndim(head["gamma"]) != 0
    ):
        raise ValueError(
            "shapes must be memory (N, M), w_prev (N,), k (M,), beta a scalar, g a scalar, shift (3,) and gamma a scalar"
        )
    k, beta = head["k"], head["beta"]  # (1)
    memory_norm = np.linalg.norm(memory, axis=1)
    k_norm = np.linalg.norm(k)
    similarity_total = memory_norm * k_norm + 1e-8
    similarity = memory @ k / similarity_total  # (2)
    e = np.exp(beta * similarity)  # (3)
    w_content = e / np.sum(e)  # (4)

    g = head["g"]  # (5)
    w_gated = g * w_content + (1 - g) * w_prev  # (6)

    # circular convolution with the shifts -1, 0 and 1
    N = memory.shape[0]
    w_shifted = np.zeros(N)  # (7)
    for i in range(N):
        for j, s in enumerate(head["shift"]):
            w_shifted[i] += w_gated[(i + 1 - j) % N] * s  # (9)
    w_shifted_mask = w_shifted == 0
    w_shifted_before = w_shifted.copy()

    w_sharp = w_shifted ** head["gamma"]  # (10)
    w_sharp_sum = np.sum(w_sharp)
    out = w_sharp / w_sharp_sum  # (11)
    return out, (
        memory,
        w_prev,
        head,
        k,
        beta,
        memory_norm,
        k_norm,
        similarity_total,
        similarity,
        w_content,
        g,
        w_gated,
        w_shifted_before,
        w_shifted_mask,
        w_sharp,
        w_sharp_sum,
        out,
    )


def address_backward(dout, cache):
    """Gradients from dout (N,): dmemory (N, M), dw_prev (N,), dhead like head."""
    (
        memory,
        w_prev,
        head,
        k,
        beta,
        memory_norm,
        k_norm,
        similarity_total,
        similarity,
        w_content,
        g,
        w_gated,
        w_shifted_before,
        w_shifted_mask,
        w_sharp,
        w_sharp_sum,
        out,
    ) = cache
    N = memory.shape[0]
    # (11) out = w_sharp / np.sum(w_sharp)
    dw_sharp = dout / w_sharp_sum
    dw_sharp -= (dout * out).sum() / w_sharp_sum
    # (10) w_sharp = w_shifted ** head["gamma"]
    dw_shifted = (
        dw_sharp * head["gamma"] * w_shifted_before ** (head["gamma"] - (head["gamma"] != 0))
    )
    dgamma = (dw_sharp * w_sharp * np.log(w_shifted_before + w_shifted_mask)).sum()
    dw_gated = np.zeros(w_gated.shape, dout.dtype)
    dshift = np.zeros(head["shift"].shape, dout.dtype)
    for i in reversed(range(N)):
        # (8) for j, s in enumerate(head["shift"])
        for j in reversed(range(head["shift"].shape[0])):
            # (9) w_shifted[i] += w_gated[(i + 1 - j) % N] * s
            dw_shifted_part = dw_shifted[i]
            dw_gated[(i + 1 - j) % N] += dw_shifted_part * head["shift"][j]
            ds = dw_shifted_part * w_gated[(i + 1 - j) % N]
            # (8) for j, s in enumerate(head["shift"])
            dshift[j] += ds
    # (6) w_gated = g * w_content + (1 - g) * w_prev
    dg = (dw_gated * w_content).sum()
    dw_content = dw_gated * g
    dg -= (dw_gated * w_prev).sum()
    dw_prev = dw_gated * (1 - g)
    # (3)-(4) softmax
    de_pre = w_content * (dw_content - (dw_content * w_content).sum())
    # (3) e = np.exp(beta * similarity)
    dbeta = (de_pre * similarity).sum()
    dsimilarity = de_pre * beta
    # (2) similarity = memory @ k / (np.linalg.norm(memory, axis=1) * np.linalg.norm(k) + 1e-8)
    dsimilarity_product = dsimilarity / similarity_total
    d_ratio = dsimilarity * similarity / similarity_total
    dmemory = np.outer(dsimilarity_product, k)
    dk = memory.T @ dsimilarity_product
    dmemory -= (d_ratio * k_norm / (memory_norm + (memory_norm == 0)))[:, None] * memory
    dk -= (d_ratio * memory_norm).sum() / (k_norm + (k_norm == 0)) * k
    dhead = {"k": dk, "beta": dbeta, "g": dg, "shift": dshift, "gamma": dgamma}
    return dmemory, dw_prev, dhead


def ntm_step_forward(memory, w_write, w_read, write_head, read_head):
    """
    One step of the memory of a neural Turing machine: the write head erases and adds, then the read head reads.

    - memory: N rows, of shape (N, M)
    - w_write: previous weights of the write head, of shape (N,)
    - w_read: previous weights of the read head, of shape (N,)
    - write_head: dict with k (M,), beta, g, shift (3,), gamma, erase (M,) and add (M,)
    - read_head: dict with k (M,), beta, g, shift (3,) and gamma

    Returns what was read, the new memory and the new weights.
    """
    if (
        np.shape(write_head["erase"]) != np.shape(memory)[1:]
        or np.shape(write_head["add"]) != np.shape(memory)[1:]
    ):
        raise ValueError("shapes must be erase (M,) and add (M,)")
    w_write, address_cache2 = address_forward(memory, w_write, write_head)  # (1)
    memory_diff = 1 - np.outer(w_write, write_head["erase"])
    memory2 = memory * memory_diff + np.outer(w_write, write_head["add"])  # (2)
    w_read, address_cache = address_forward(memory2, w_read, read_head)  # (3)
    r = w_read @ memory2  # (4)
    return (
        r,
        memory2,
        w_write,
        w_read,
        (
            memory,
            write_head,
            w_write,
            address_cache2,
            memory_diff,
            memory2,
            w_read,
            address_cache,
            r,
        ),
    )


def ntm_step_backward(dr, dmemory, dw_write, dw_read, cache):
    """Gradients from dr (M,), dmemory (N, M), dw_write (N,), dw_read (N,): dmemory (N, M), dw_write (N,), dw_read (N,), dwrite_head like write_head, dread_head like read_head."""
    memory, write_head, w_write, address_cache2, memory_diff, memory2, w_read, address_cache, r = (
        cache
    )
    if dr is None:
        dr = np.zeros_like(r)
    if dmemory is None:
        dmemory = np.zeros_like(memory2)
    if dw_write is None:
        dw_write = np.zeros_like(w_write)
    if dw_read is None:
        dw_read = np.zeros_like(w_read)
    # (4) r = w_read @ memory
    dw_read = dw_read + dr @ memory2.T
    dmemory = dmemory + np.outer(w_read, dr)
    # (3) w_read = address(memory, w_read, read_head)
    dmemory2, dw_read, dread_head = address_backward(dw_read, address_cache)
    dmemory += dmemory2
    # (2) memory = memory * (1 - np.outer(w_write, write_head["erase"])) + np.outer(w_write, write_head["add"])
    dmemory_diff = dmemory * memory
    dmemory2 = dmemory * memory_diff
    dw_write = dw_write + -(dmemory_diff @ write_head["erase"])
    derase = -(w_write @ dmemory_diff)
    dw_write += dmemory @ write_head["add"]
    dadd = w_write @ dmemory
    # (1) w_write = address(memory, w_write, write_head)
    dmemory, dw_write, dwrite_head = address_backward(dw_write, address_cache2)
    dmemory2 += dmemory
    dwrite_head = {**dwrite_head, "erase": derase, "add": dadd}
    return dmemory2, dw_write, dw_read, dwrite_head, dread_head
