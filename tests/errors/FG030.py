def f(x):
    total = 0.0
    for i in range(3):
        total += x[i]
    return total
