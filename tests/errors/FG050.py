def f(x: "N D", w: "H C"):
    N, D = x.shape
    y = x.reshape(N, D, 1)
    return y.reshape(N, 3) @ w[:, :, 0]
