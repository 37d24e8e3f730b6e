def f(x, net):
    net.h = x * x
    return x * x
