def f(x, n: int):
    if n == 0:
        return x
    return x * g(x, n - 1)


def g(x, n: int):
    if n == 0:
        return x
    return f(x, n - 1) + x
