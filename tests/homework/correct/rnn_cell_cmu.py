import numpy as np


class RNNCell:
    """W_ih: (H, D), b_ih: (H,), W_hh: (H, H), b_hh: (H,)"""

    def __init__(self, W_ih, b_ih, W_hh, b_hh):
        self.W_ih = W_ih
        self.b_ih = b_ih
        self.W_hh = W_hh
        self.b_hh = b_hh

    def forward(self, x, h_prev_t):
        """x: (batch_size, D), h_prev_t: (batch_size, H)"""
        self.x = x
        self.h_prev_t = h_prev_t
        self.h_t = np.tanh(x @ self.W_ih.T + self.b_ih + h_prev_t @ self.W_hh.T + self.b_hh)
        return self.h_t

    def backward(self, delta):
        dz = delta * (1 - self.h_t ** 2)
        self.dW_ih = dz.T @ self.x
        self.dW_hh = dz.T @ self.h_prev_t
        self.db_ih = np.sum(dz, axis=0)
        self.db_hh = np.sum(dz, axis=0)
        dx = dz @ self.W_ih
        dh_prev_t = dz @ self.W_hh
        return dx, dh_prev_t
