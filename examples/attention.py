import numpy as np


def multi_head_attention(query, key, value, Wq, Wk, Wv, Wo, bo, num_heads, attn_mask=None):
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
    N, S, E = query.shape
    T = value.shape[1]
    head_dim = E // num_heads

    # split E into heads, and put the heads before the sequence
    q = query.dot(Wq).reshape(N, S, num_heads, head_dim).transpose(0, 2, 1, 3)
    k = key.dot(Wk).reshape(N, T, num_heads, head_dim).transpose(0, 2, 1, 3)
    v = value.dot(Wv).reshape(N, T, num_heads, head_dim).transpose(0, 2, 1, 3)

    scores = q @ k.transpose(0, 1, 3, 2) / np.sqrt(head_dim)
    if attn_mask is not None:
        scores = np.where(attn_mask == 0, -1e9, scores)
    weights = np.exp(scores - np.max(scores, axis=-1, keepdims=True))
    weights /= np.sum(weights, axis=-1, keepdims=True)

    context = (weights @ v).transpose(0, 2, 1, 3).reshape(N, S, E)
    return context.dot(Wo) + bo
