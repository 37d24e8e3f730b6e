import numpy as np


class MeanSquaredError:
    def forward(self, pred, target):
        """pred and target: arrays of shape (N, K)"""
        self.diff = pred - target
        return np.mean(self.diff ** 2)

    def backward(self):
        pred_grad = 2 * self.diff / self.diff.size
        return pred_grad


class Scale:
    def __init__(self, w):
        self.w = w  # shape (D,)

    def forward(self, x):
        # x: (N, D)
        self.x = x
        return x * self.w

    def backward(self, output_grad):
        self.w_grad = (output_grad * self.x).sum(axis=0)
        x_grad = output_grad * self.w
        return x_grad
