import numpy as np

def softmax_cross_entropy(z, t):
    """z: scores of shape (N, C); t: one-hot targets of shape (N, C)"""
    z = z - np.max(z, axis=1, keepdims=True)
    s = np.exp(z) / np.sum(np.exp(z), axis=1, keepdims=True)
    loss = -np.sum(t * np.log(s)) / len(z)
    ds = -t / s / len(z)
    # jacobian of the softmax, sample by sample
    dz = np.zeros_like(z)
    for n in range(len(z)):
        J = np.diag(s[n]) - np.outer(s[n], s[n])
        dz[n] = J @ ds[n]
    return loss, dz
