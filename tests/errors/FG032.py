def f(x, *rest):
    return x * rest[0]
