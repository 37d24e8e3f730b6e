def f(x, activation):
    h = activation(x)
    return h * h
