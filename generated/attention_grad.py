"""Flat gradient code for `multi_head_attention` in attention.py, written by flatgrad 0.1.0.

multi_head_attention_forward(query, key, value, Wq, Wk, Wv, Wo, bo, num_heads, attn_mask) -> out, cache
multi_head_attention_backward(dout, cache)                                                -> dquery, dkey, dvalue, dWq, dWk, dWv, dWo, dbo

Between forward and backward the caller leaves arguments and results as they are.
"""

import numpy as np


def multi_head_attention_forward(query, key, value, Wq, Wk, Wv, Wo, bo, num_heads, attn_mask=None):
    """
    Scaled dot-product attention with several heads.

    Inputs:
    - query: Input data of shape (N, S, E)
    - key: Input data of shape (N, T, E)
    - value: Input data of shape (N, T, E)
    - Wq, Wk, Wv, Wo: weights of shape (E, E)
    - bo: bias of the output projection, of shape (E,)
    - num_heads: number of heads, a divisor of E
    - attn_mask: Array of shape (S, T) where mask[i, j] == 0 indicates that token i in the target
      should not attend to token j in the source

    Returns:
    - output: of shape (N, S, E)
    """
    if (
        key.ndim != 3
        or key.shape[0] != query.shape[0]
        or value.shape != (query.shape[0], key.shape[1], query.shape[2])
        or np.ndim(Wq) != 2
        or np.shape(Wq)[1] != query.shape[2]
        or np.shape(Wk) != (query.shape[2], query.shape[2])
        or np.shape(Wv) != (query.shape[2], query.shape[2])
        or np.ndim(Wo) != 2
        or np.shape(Wo)[1] != query.shape[2]
        or np.shape(bo) != query.shape[2:]
        or np.ndim(num_heads) != 0
        or (attn_mask is not None and np.shape(attn_mask) != (query.shape[1], key.shape[1]))
    ):
        raise ValueError(
            "shapes must be key (N, T, E), value (N, T, E), Wq (E, E), Wk (E, E), Wv (E, E), Wo (E, E), bo (E,), num_heads a scalar and attn_mask (S, T)"
        )
    N, S, E = query.shape
    T = value.shape[1]
    head_dim = E // num_heads  # (1)

    # split E into heads, and put the heads before the sequence
    q = query.dot(Wq).reshape(N, S, num_heads, head_dim).transpose(0, 2, 1, 3)  # (2)
    k = key.dot(Wk).reshape(N, T, num_heads, head_dim).transpose(0, 2, 1, 3)  # (3)
    v = value.dot(Wv).reshape(N, T, num_heads, head_dim).transpose(0, 2, 1, 3)  # (4)

    head_dim_sqrt = np.sqrt(head_dim)
    scores = q @ k.transpose(0, 1, 3, 2) / head_dim_sqrt  # (5)
    if attn_mask is not None:
        scores = np.where(attn_mask == 0, -1e9, scores)  # (6)
    weights = np.exp(scores - np.max(scores, axis=-1, keepdims=True))  # (7)
    weights /= np.sum(weights, axis=-1, keepdims=True)  # (8)

    context_product = weights @ v
    context = context_product.transpose(0, 2, 1, 3).reshape(N, S, E)  # (9)
    out = context.dot(Wo) + bo  # (10)
    return out, (
        query,
        key,
        value,
        Wq,
        Wk,
        Wv,
        Wo,
        attn_mask,
        q,
        k,
        v,
        head_dim_sqrt,
        weights,
        context_product,
        context,
    )


def multi_head_attention_backward(dout, cache):
    """Gradients from dout (N, S, E): dquery (N, S, E), dkey (N, T, E), dvalue (N, T, E), dWq (E, E), dWk (E, E), dWv (E, E), dWo (E, E), dbo (E,)."""
    (
        query,
        key,
        value,
        Wq,
        Wk,
        Wv,
        Wo,
        attn_mask,
        q,
        k,
        v,
        head_dim_sqrt,
        weights,
        context_product,
        context,
    ) = cache
    # (10) out = context.dot(Wo) + bo
    dcontext = dout @ Wo.T
    dWo = np.tensordot(context, dout, axes=((0, 1), (0, 1)))
    dbo = dout.sum(axis=(0, 1))
    # (9) context = (weights @ v).transpose(0, 2, 1, 3).reshape(N, S, E)
    dcontext_product = dcontext.reshape(context_product.transpose(0, 2, 1, 3).shape).transpose(
        0, 2, 1, 3
    )
    dweights = dcontext_product @ v.swapaxes(-1, -2)
    dv = weights.swapaxes(-1, -2) @ dcontext_product
    # (7)-(8) softmax of scores
    dscores = weights * (dweights - (dweights * weights).sum(axis=-1, keepdims=True))
    if attn_mask is not None:
        # (6) scores = np.where(attn_mask == 0, -1e9, scores)
        dscores = np.where(attn_mask == 0, 0, dscores)
    # (5) scores = q @ k.transpose(0, 1, 3, 2) / np.sqrt(head_dim)
    dscores_product = dscores / head_dim_sqrt
    dq = dscores_product @ k
    dk = dscores_product.swapaxes(-1, -2) @ q
    # (4) v = value.dot(Wv).reshape(N, T, num_heads, head_dim).transpose(0, 2, 1, 3)
    dv_product = dv.transpose(0, 2, 1, 3).reshape(value.shape)
    dvalue = dv_product @ Wv.T
    dWv = np.tensordot(value, dv_product, axes=((0, 1), (0, 1)))
    # (3) k = key.dot(Wk).reshape(N, T, num_heads, head_dim).transpose(0, 2, 1, 3)
    dk_product = dk.transpose(0, 2, 1, 3).reshape(value.shape)
    dkey = dk_product @ Wk.T
    dWk = np.tensordot(key, dk_product, axes=((0, 1), (0, 1)))
    # (2) q = query.dot(Wq).reshape(N, S, num_heads, head_dim).transpose(0, 2, 1, 3)
    dq_product = dq.transpose(0, 2, 1, 3).reshape(context.shape)
    dquery = dq_product @ Wq.T
    dWq = np.tensordot(query, dq_product, axes=((0, 1), (0, 1)))
    return dquery, dkey, dvalue, dWq, dWk, dWv, dWo, dbo
