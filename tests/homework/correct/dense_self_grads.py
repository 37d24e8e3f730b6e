import numpy as np


class Dense(object):
    """A fully connected layer with tanh activation. W has shape (D, H), b has shape (H,)"""

    def __init__(self, n_in, n_out):
        self.W = np.random.randn(n_in, n_out) * 0.1
        self.b = np.zeros(n_out)
        self.dW = None
        self.db = None
        self.dx = None

    def forward(self, x):
        """x: input of shape (N, D)"""
        self.x = x
        self.z = np.dot(x, self.W) + self.b
        self.out = np.tanh(self.z)
        return self.out

    def backward(self, dout):
        dz = dout * (1. - self.out ** 2)
        self.dW = np.dot(self.x.T, dz)
        self.db = np.sum(dz, axis=0)
        self.dx = np.dot(dz, self.W.T)
        return self.dx
