import numpy as np


def softmax(z):
    e = np.exp(z - np.max(z, axis=-1, keepdims=True))
    return e / np.sum(e, axis=-1, keepdims=True)


def attention_forward(Q, K, V):
    """Scaled dot-product attention.  Q: (B, T, d), K: (B, S, d), V: (B, S, e)"""
    d = Q.shape[-1]
    scores = np.einsum('btd,bsd->bts', Q, K) / np.sqrt(d)
    A = softmax(scores)
    out = np.einsum('bts,bse->bte', A, V)
    return out, (Q, K, V, A)


def attention_backward(dout, cache):
    Q, K, V, A = cache
    d = Q.shape[-1]
    dV = np.einsum('bts,bte->bse', A, dout)
    dA = np.einsum('bte,bse->bts', dout, V)
    dscores = A * (dA - np.sum(dA * A, axis=-1, keepdims=True))
    dscores = dscores / np.sqrt(d)
    dQ = np.einsum('bts,bsd->btd', dscores, K)
    dK = np.einsum('bts,btd->bsd', dscores, Q)
    return dQ, dK, dV
