import numpy as np

class PReLU:
    def __init__(self, alpha):
        self.alpha = alpha  # one slope for each channel, shape (C,)

    def forward(self, x):
        # x is (N, C)
        self.x = x
        return np.maximum(x, 0) + self.alpha * np.minimum(x, 0)

    def backward(self, dLdy):
        self.dLdalpha = np.sum(dLdy * np.minimum(self.x, 0), axis=0)
        dLdX = dLdy * ((self.x > 0) + self.alpha * (self.x <= 0))
        return dLdX
