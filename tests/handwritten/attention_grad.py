"""Flat gradient code for `multi_head_attention` in attention.py, written by hand.

multi_head_attention_forward(query, key, value, Wq, Wk, Wv, Wo, bo, num_heads, attn_mask) -> out, cache
multi_head_attention_backward(dout, cache) -> dquery, dkey, dvalue, dWq, dWk, dWv, dWo, dbo
"""

import numpy as np


def multi_head_attention_forward(query, key, value, Wq, Wk, Wv, Wo, bo, num_heads, attn_mask=None):
    """Scaled dot-product attention with several heads.

    Shapes: query (N, S, E), key (N, T, E), value (N, T, E), Wq, Wk, Wv, Wo (E, E), bo (E,), attn_mask (S, T).
    """
    if bo.shape != Wo.shape[1:]:
        raise ValueError(f"bo must have shape (E,) = {Wo.shape[1:]}, not {bo.shape}")
    N, S, E = query.shape
    T = value.shape[1]
    head_dim = E // num_heads

    # split E into heads, and put the heads before the sequence
    q = query.dot(Wq).reshape(N, S, num_heads, head_dim).transpose(0, 2, 1, 3)  # (1)
    k = key.dot(Wk).reshape(N, T, num_heads, head_dim).transpose(0, 2, 1, 3)  # (2)
    v = value.dot(Wv).reshape(N, T, num_heads, head_dim).transpose(0, 2, 1, 3)  # (3)

    scores = q @ k.transpose(0, 1, 3, 2) / np.sqrt(head_dim)  # (4)
    if attn_mask is not None:
        scores = np.where(attn_mask == 0, -1e9, scores)  # (5)
    weights = np.exp(scores - np.max(scores, axis=-1, keepdims=True))  # (6)
    weights /= np.sum(weights, axis=-1, keepdims=True)  # (7)

    context = (weights @ v).transpose(0, 2, 1, 3).reshape(N, S, E)  # (8)
    out = context.dot(Wo) + bo  # (9)
    return out, (query, key, value, Wq, Wk, Wv, Wo, attn_mask, q, k, v, weights, context)


def multi_head_attention_backward(dout, cache):
    """Gradients from dout (N, S, E), each of the shape of its parameter."""
    query, key, value, Wq, Wk, Wv, Wo, attn_mask, q, k, v, weights, context = cache
    N, S, E = query.shape
    T = value.shape[1]
    _, num_heads, _, head_dim = q.shape
    # (9) out = context.dot(Wo) + bo
    dcontext = dout.dot(Wo.T)
    dWo = np.tensordot(context, dout, axes=([0, 1], [0, 1]))
    dbo = dout.sum(axis=(0, 1))
    # (8) context = (weights @ v).transpose(0, 2, 1, 3).reshape(N, S, E)
    dheads = dcontext.reshape(N, S, num_heads, head_dim).transpose(0, 2, 1, 3)
    dweights = dheads @ v.transpose(0, 1, 3, 2)
    dv = weights.transpose(0, 1, 3, 2) @ dheads
    # (6), (7) softmax of scores
    dscores = weights * (dweights - np.sum(dweights * weights, axis=-1, keepdims=True))
    if attn_mask is not None:
        # (5) scores = np.where(attn_mask == 0, -1e9, scores)
        dscores = np.where(attn_mask == 0, 0, dscores)
    # (4) scores = q @ k.transpose(0, 1, 3, 2) / np.sqrt(head_dim)
    dq = dscores @ k / np.sqrt(head_dim)
    dk = dscores.transpose(0, 1, 3, 2) @ q / np.sqrt(head_dim)
    # (3) v = value.dot(Wv).reshape(N, T, num_heads, head_dim).transpose(0, 2, 1, 3)
    dv_flat = dv.transpose(0, 2, 1, 3).reshape(N, T, E)
    dvalue = dv_flat.dot(Wv.T)
    dWv = np.tensordot(value, dv_flat, axes=([0, 1], [0, 1]))
    # (2) k = key.dot(Wk).reshape(N, T, num_heads, head_dim).transpose(0, 2, 1, 3)
    dk_flat = dk.transpose(0, 2, 1, 3).reshape(N, T, E)
    dkey = dk_flat.dot(Wk.T)
    dWk = np.tensordot(key, dk_flat, axes=([0, 1], [0, 1]))
    # (1) q = query.dot(Wq).reshape(N, S, num_heads, head_dim).transpose(0, 2, 1, 3)
    dq_flat = dq.transpose(0, 2, 1, 3).reshape(N, S, E)
    dquery = dq_flat.dot(Wq.T)
    dWq = np.tensordot(query, dq_flat, axes=([0, 1], [0, 1]))
    return dquery, dkey, dvalue, dWq, dWk, dWv, dWo, dbo
