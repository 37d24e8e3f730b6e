import numpy as np


class Conv1d_stride1:
    def __init__(self, in_channels, out_channels, kernel_size):
        self.in_channels = in_channels
        self.out_channels = out_channels
        self.kernel_size = kernel_size
        self.W = np.random.normal(0, 1.0, (out_channels, in_channels, kernel_size))
        self.b = np.zeros(out_channels)
        self.dLdW = np.zeros(self.W.shape)
        self.dLdb = np.zeros(self.b.shape)

    def forward(self, A):
        """
        Argument: A (np.array): (batch_size, in_channels, input_size)
        Return: Z (np.array): (batch_size, out_channels, output_size)
        """
        self.A = A
        batch, _, input_size = A.shape
        output_size = input_size - self.kernel_size + 1
        Z = np.zeros((batch, self.out_channels, output_size))
        for i in range(output_size):
            Z[:, :, i] = np.tensordot(A[:, :, i:i + self.kernel_size], self.W, axes=([1, 2], [1, 2])) + self.b
        return Z

    def backward(self, dLdZ):
        batch, _, output_size = dLdZ.shape
        self.dLdW = np.zeros(self.W.shape)
        for k in range(self.kernel_size):
            self.dLdW[:, :, k] = np.tensordot(dLdZ, self.A[:, :, k:k + output_size], axes=([0, 2], [0, 2]))
        self.dLdb = np.sum(dLdZ, axis=(0, 2))
        pad = self.kernel_size - 1
        dLdZ_pad = np.pad(dLdZ, ((0, 0), (0, 0), (pad, pad)))
        W_flip = np.flip(self.W, axis=2)
        dLdA = np.zeros(self.A.shape)
        for i in range(self.A.shape[2]):
            dLdA[:, :, i] = np.tensordot(dLdZ_pad[:, :, i:i + self.kernel_size], W_flip, axes=([1, 2], [0, 2]))
        return dLdA
