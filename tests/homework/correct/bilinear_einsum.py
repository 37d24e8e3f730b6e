import numpy as np

def bilinear_forward(x, y, W):
    """x: (N, I), y: (N, J), W: (I, J, K)"""
    out = np.einsum('ni,nj,ijk->nk', x, y, W)
    return out, (x, y, W)

def bilinear_backward(dout, cache):
    x, y, W = cache
    dx = np.einsum('nk,nj,ijk->ni', dout, y, W)
    dy = np.einsum('nk,ni,ijk->nj', dout, x, W)
    dW = np.einsum('ni,nj,nk->ijk', x, y, dout)
    return dx, dy, dW
