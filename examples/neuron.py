import math


def neuron(w, x):
    """A sigmoid neuron with two inputs: weights w = [w0, w1, bias], inputs x = [x0, x1]."""
    dot = w[0] * x[0] + w[1] * x[1] + w[2]
    f = 1.0 / (1 + math.exp(-dot))  # sigmoid function
    return f
