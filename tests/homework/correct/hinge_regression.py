import numpy as np

def huber_and_hinge(w, b, X, y, t):
    """w: (D,), b: scalar, X: (N, D), y: (N,) labels in {-1, 1}, t: (N,) targets"""
    N = X.shape[0]
    s = X.dot(w) + b
    m = 1 - y * s
    hinge = np.sum(np.maximum(m, 0) ** 2) / N
    r = s - t
    huber = np.sum(np.where(np.abs(r) < 1, 0.5 * r ** 2, np.abs(r) - 0.5)) / N
    loss = hinge + huber

    dm = 2 * np.maximum(m, 0) / N
    ds = -y * dm
    dr = np.clip(r, -1, 1) / N
    ds = ds + dr
    dw = X.T.dot(ds)
    db = np.sum(ds)
    return loss, {'w': dw, 'b': db}
