import numpy as np


def fully_connected_loss(params, X, y=None, reg=0.0):
    """
    Softmax loss of a fully connected ReLU network of any depth: {affine - relu} x (L - 1) - affine - softmax.

    Inputs:
    - params: dictionary of the weights W1, ..., WL and the biases b1, ..., bL
    - X: Array of input data of shape (N, d_1, ..., d_k)
    - y: Array of labels, of shape (N,); without labels the scores are returned
    - reg: L2 regularization strength
    """
    num_layers = len(params) // 2
    num_train = X.shape[0]

    h = X.reshape(num_train, -1)
    for i in range(1, num_layers):
        W, b = params["W" + str(i)], params["b" + str(i)]
        h = np.maximum(0, h.dot(W) + b)
    scores = h.dot(params["W" + str(num_layers)]) + params["b" + str(num_layers)]

    # If y is None then we are in test mode, so just return scores
    if y is None:
        return scores

    shifted = scores - np.max(scores, axis=1, keepdims=True)
    log_probs = shifted - np.log(np.sum(np.exp(shifted), axis=1, keepdims=True))
    loss = -np.sum(log_probs[np.arange(num_train), y]) / num_train
    for i in range(1, num_layers + 1):
        W = params["W%d" % i]
        loss += 0.5 * reg * np.sum(W * W)
    return loss
