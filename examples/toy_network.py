import math


def sigmoid(z):
    return 1.0 / (1.0 + math.exp(-z))


def toy_network(x, y, w1, b1, w2, b2, w3, b3):
    """Four layers of one neuron each: the input x, two hidden neurons, the output; the cost is the squared error."""
    z1 = w1 * x + b1
    a1 = sigmoid(z1)
    z2 = w2 * a1 + b2
    a2 = sigmoid(z2)
    z3 = w3 * a2 + b3
    a3 = sigmoid(z3)
    cost = (a3 - y) ** 2
    return cost
