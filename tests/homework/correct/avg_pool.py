import numpy as np

def avgpool_forward(x, size):
    '''x: input of shape (N, H, W, C), non-overlapping windows of size x size'''
    N, H, W, C = x.shape
    out = np.zeros((N, H // size, W // size, C))
    for h in range(H // size):
        for w in range(W // size):
            out[:, h, w, :] = np.mean(x[:, h*size:(h+1)*size, w*size:(w+1)*size, :], axis=(1, 2))
    return out, (x.shape, size)

def avgpool_backward(dout, cache):
    shape, size = cache
    dx = np.zeros(shape)
    for h in range(dout.shape[1]):
        for w in range(dout.shape[2]):
            da = dout[:, h, w, :] / (size * size)
            dx[:, h*size:(h+1)*size, w*size:(w+1)*size, :] += da[:, None, None, :]
    return dx
