def matmul(W: "M K", X: "K N"):
    D = W.dot(X)
    return D
