import numpy as np

def sigmoid_forward(x):
    y = 1 / (1 + np.exp(-x))
    return y, y

def sigmoid_backward(d_y, cache):
    y = cache
    d_x = d_y * y * (1 - y)
    return d_x
