import numpy as np

def softmax_loss_naive(W, X, y, reg):
    """W has shape (D, C), X shape (N, D), y of shape (N,) with 0 <= y[i] < C."""
    loss = 0.0
    dW = np.zeros(W.shape)
    N = X.shape[0]
    C = W.shape[1]
    for i in range(N):
        f = X[i].dot(W)
        f -= f.max()
        sum_exp = 0.0
        for j in range(C):
            sum_exp += np.exp(f[j])
        loss += -f[y[i]] + np.log(sum_exp)
        for j in range(C):
            p = np.exp(f[j]) / sum_exp
            dW[:, j] += p * X[i]
            if j == y[i]:
                dW[:, j] -= X[i]
    loss /= N
    dW /= N
    loss += 0.5 * reg * np.sum(W * W)
    dW += reg * W
    return loss, dW
