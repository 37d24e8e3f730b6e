import numpy as np


class Upsample1d:
    def __init__(self, upsampling_factor):
        self.upsampling_factor = upsampling_factor

    def forward(self, A):
        # A: (N, C, W)
        N, C, W = A.shape
        k = self.upsampling_factor
        Z = np.zeros((N, C, W * k - (k - 1)))
        Z[:, :, ::k] = A
        return Z

    def backward(self, dLdZ):
        dLdA = dLdZ[:, :, ::self.upsampling_factor]
        return dLdA


class Flatten:
    def forward(self, A):
        """A: (batch_size, in_channels, in_width)"""
        self.shape = A.shape
        Z = A.reshape(A.shape[0], -1)
        return Z

    def backward(self, dLdZ):
        dLdA = dLdZ.reshape(self.shape)
        return dLdA
