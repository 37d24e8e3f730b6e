import numpy as np

def two_layer_loss(X, y, W1, b1, W2, b2, reg):
    """X (N, D), y (N,) labels, W1 (D, H), b1 (H,), W2 (H, C), b2 (C,)"""
    N = X.shape[0]
    u = X @ W1
    v = u + b1
    on = v > 0
    h = v * on
    s = h @ W2 + b2
    s = s - s.max(axis=1, keepdims=True)
    logp = s - np.log(np.sum(np.exp(s), axis=1, keepdims=True))
    loss = -np.mean(logp[np.arange(N), y]) + reg * (np.sum(W1 ** 2) + np.sum(W2 ** 2))

    ds = np.exp(logp)
    ds[np.arange(N), y] -= 1
    ds /= N
    db2 = ds.sum(0)
    dW2 = h.T @ ds + 2 * reg * W2
    dh = ds @ W2.T
    dv = dh * on
    db1 = dv.sum(0)
    dW1 = X.T @ dv + 2 * reg * W1
    return loss, {'W1': dW1, 'b1': db1, 'W2': dW2, 'b2': db2}
