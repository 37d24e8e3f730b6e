def f(x, *rest):
    return x * x
