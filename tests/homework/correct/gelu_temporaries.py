import numpy as np

C = np.sqrt(2.0 / np.pi)

def gelu_forward(x):
    t = np.tanh(C * (x + 0.044715 * x ** 3))
    return 0.5 * x * (1 + t), (x, t)

def gelu_backward(dout, cache):
    x, t = cache
    a = dout * 0.5
    b = a * (1 + t)
    c = a * x
    e = c * (1 - t * t)
    g = e * C
    h = g * (1 + 3 * 0.044715 * x * x)
    return b + h
