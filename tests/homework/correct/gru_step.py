import numpy as np

def sigmoid(a):
    return 1 / (1 + np.exp(-a))

def gru_step_forward(x, h, Wz, Wr, Wn, Uz, Ur, Un):
    """x (N, D), h (N, H), Wz, Wr, Wn (D, H), Uz, Ur, Un (H, H)"""
    z = sigmoid(x @ Wz + h @ Uz)
    r = sigmoid(x @ Wr + h @ Ur)
    rh = r * h
    n = np.tanh(x @ Wn + rh @ Un)
    h_next = (1 - z) * n + z * h
    return h_next, (x, h, Wz, Wr, Wn, Uz, Ur, Un, z, r, rh, n)

def gru_step_backward(dh_next, cache):
    x, h, Wz, Wr, Wn, Uz, Ur, Un, z, r, rh, n = cache
    dn = dh_next * (1 - z)
    dz = dh_next * (h - n)
    dh = dh_next * z
    dan = dn * (1 - n ** 2)
    dWn = x.T @ dan
    dUn = rh.T @ dan
    dx = dan @ Wn.T
    drh = dan @ Un.T
    dr = drh * h
    dh += drh * r
    dar = dr * r * (1 - r)
    dWr = x.T @ dar
    dUr = h.T @ dar
    dx += dar @ Wr.T
    dh += dar @ Ur.T
    daz = dz * z * (1 - z)
    dWz = x.T @ daz
    dUz = h.T @ daz
    dx += daz @ Wz.T
    dh += daz @ Uz.T
    return dx, dh, dWz, dWr, dWn, dUz, dUr, dUn
