import numpy as np


def affine(x, w, b):
    return x.dot(w) + b


def softmax_loss(x, y):
    shifted = x - np.max(x, axis=1, keepdims=True)
    log_probs = shifted - np.log(np.sum(np.exp(shifted), axis=1, keepdims=True))
    N = x.shape[0]
    loss = -np.sum(log_probs[np.arange(N), y]) / N
    dx = np.exp(log_probs)
    dx[np.arange(N), y] -= 1
    dx /= N
    return loss, dx


def fc_net_loss(params, X, y, reg, num_layers=3):
    """
    params: dictionary with
      - W1 of shape (D, H1), b1 of shape (H1,)
      - W2 of shape (H1, H2), b2 of shape (H2,)
      - W3 of shape (H2, C), b3 of shape (C,)
    X: of shape (N, D), y: labels of shape (N,)
    """
    grads = {}
    inputs, pre = {}, {}
    h = X
    reg_loss = 0.0
    for i in range(1, num_layers):
        W, b = params['W' + str(i)], params['b' + str(i)]
        inputs[i] = h
        pre[i] = affine(h, W, b)
        h = np.maximum(pre[i], 0)
        reg_loss += 0.5 * reg * np.sum(W * W)
    W, b = params['W' + str(num_layers)], params['b' + str(num_layers)]
    inputs[num_layers] = h
    scores = affine(h, W, b)
    reg_loss += 0.5 * reg * np.sum(W * W)

    data_loss, dscores = softmax_loss(scores, y)
    loss = data_loss + reg_loss

    last = str(num_layers)
    grads['W' + last] = inputs[num_layers].T.dot(dscores) + reg * params['W' + last]
    grads['b' + last] = np.sum(dscores, axis=0)
    dh = dscores.dot(params['W' + last].T)
    for i in range(num_layers - 1, 0, -1):
        da = dh * (pre[i] > 0)
        grads['W' + str(i)] = inputs[i].T.dot(da) + reg * params['W' + str(i)]
        grads['b' + str(i)] = np.sum(da, axis=0)
        dh = da.dot(params['W' + str(i)].T)
    return loss, grads
