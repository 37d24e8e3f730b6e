import numpy as np


def max_pool_forward_naive(x: "N C H W", pool_param):
    """pool_param has the keys pool_height, pool_width and stride."""
    N, C, H, W = x.shape
    height, width, stride = pool_param["pool_height"], pool_param["pool_width"], pool_param["stride"]
    Ho = (H - height) // stride + 1
    Wo = (W - width) // stride + 1
    out = np.zeros((N, C, Ho, Wo))
    for n in range(N):
        for c in range(C):
            for i in range(Ho):
                for j in range(Wo):
                    out[n, c, i, j] = np.max(x[n, c, i * stride : i * stride + height, j * stride : j * stride + width])
    return out
