import numpy as np

def block_forward(x, W1, W2):
    # x: (N, D)  W1: (D, H)  W2: (H, D)
    h = x @ W1
    a = np.maximum(h, 0)
    z = a @ W2
    y = x + z
    s = np.sum(y ** 2, axis=1, keepdims=True)
    out = y / np.sqrt(s + 1)
    cache = {"x": x, "W1": W1, "W2": W2, "h": h, "a": a, "y": y, "s": s}
    return out, cache

def block_backward(dout, cache):
    x, W1, W2 = cache["x"], cache["W1"], cache["W2"]
    h, a, y, s = cache["h"], cache["a"], cache["y"], cache["s"]
    dy = dout / np.sqrt(s + 1)
    ds = np.sum(-0.5 * dout * y * (s + 1) ** -1.5, axis=1, keepdims=True)
    dy = dy + 2 * y * ds
    dz = dy
    dx = dy.copy()
    dW2 = a.T @ dz
    da = dz @ W2.T
    dh = da * (h > 0)
    dW1 = x.T @ dh
    dx += dh @ W1.T
    return dx, dW1, dW2
