def f(x):
    t = x
    t += 1
    return t * x
