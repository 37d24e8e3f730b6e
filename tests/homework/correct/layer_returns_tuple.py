import numpy as np


class LeakyLinear:
    """out = leaky_relu(x W + b)"""

    slope = 0.1

    def __call__(self, x, W, b):
        # x: (N, D), W: (D, M), b: (M,)
        self.x, self.W = x, W
        self.pre = x @ W + b
        return np.where(self.pre > 0, self.pre, self.slope * self.pre)

    def backward(self, grad):
        g = grad * np.where(self.pre > 0, 1.0, self.slope)
        grad_x = g @ self.W.T
        grad_W = self.x.T @ g
        grad_b = g.sum(axis=0)
        return grad_x, grad_W, grad_b
