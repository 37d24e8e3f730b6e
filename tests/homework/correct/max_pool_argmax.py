import numpy as np


class MaxPool:
    def __init__(self, k=2, stride=2):
        self.k = k
        self.stride = stride

    def forward(self, x):
        # x: (N, C, H, W)
        self.x = x
        n, c, h, w = x.shape
        oh = (h - self.k) // self.stride + 1
        ow = (w - self.k) // self.stride + 1
        out = np.zeros((n, c, oh, ow))
        for i in range(oh):
            for j in range(ow):
                r, q = i * self.stride, j * self.stride
                out[:, :, i, j] = x[:, :, r:r + self.k, q:q + self.k].max(axis=(2, 3))
        return out

    def backward(self, dout):
        n, c, oh, ow = dout.shape
        dx = np.zeros(self.x.shape)
        for b in range(n):
            for ch in range(c):
                for i in range(oh):
                    for j in range(ow):
                        r, q = i * self.stride, j * self.stride
                        patch = self.x[b, ch, r:r + self.k, q:q + self.k]
                        k, l = np.unravel_index(np.argmax(patch), patch.shape)
                        dx[b, ch, r + k, q + l] += dout[b, ch, i, j]
        return dx
