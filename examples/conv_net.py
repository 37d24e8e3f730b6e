import numpy as np

from conv_im2col import conv_forward
from layers import affine_forward, affine_relu_forward, relu_forward
from max_pool import max_pool_forward


def softmax_loss(scores: "N C", y: "N"):
    """Average cross-entropy of scores against labels."""
    shifted = scores - np.max(scores, axis=1, keepdims=True)
    log_probs = shifted - np.log(np.sum(np.exp(shifted), axis=1, keepdims=True))
    N = scores.shape[0]
    return -np.sum(log_probs[np.arange(N), y]) / N


def conv_net_loss(params, X, y, reg=0.0):
    """
    Loss of a three-layer convolutional network: conv - relu - 2x2 max pool - affine - relu - affine - softmax

    - params: dictionary of W1 (F, C, HH, WW), b1 (F,), W2 (F * H / 2 * W / 2, M), b2 (M,), W3 (M, K), b3 (K,)
    - X: images of shape (N, C, H, W)
    - y: labels of shape (N,)
    - reg: L2 regularization strength
    """
    W1, b1 = params["W1"], params["b1"]
    W2, b2 = params["W2"], params["b2"]
    W3, b3 = params["W3"], params["b3"]

    # pass conv_param to the forward pass for the convolutional layer
    filter_size = W1.shape[2]
    conv_param = {"stride": 1, "pad": (filter_size - 1) // 2}

    # pass pool_param to the forward pass for the max-pooling layer
    pool_param = {"pool_height": 2, "pool_width": 2, "stride": 2}

    conv, conv_cache = conv_forward(X, W1, b1, conv_param)
    relu = relu_forward(conv)
    pool, pool_cache = max_pool_forward(relu, pool_param)
    hidden = affine_relu_forward(pool, W2, b2)
    scores = affine_forward(hidden, W3, b3)

    loss = softmax_loss(scores, y)
    loss += 0.5 * reg * (np.sum(W1 * W1) + np.sum(W2 * W2) + np.sum(W3 * W3))
    return loss
