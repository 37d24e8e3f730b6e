def f(x):
    return x * x
    y = x
