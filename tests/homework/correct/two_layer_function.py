import numpy as np

def two_layer_net(X, model, y=None, reg=0.0):
  """
  Compute the loss and gradients for a two layer fully connected neural network.

  Inputs:
  - X: Input data of shape (N, D). Each X[i] is a training sample.
  - model: Dictionary mapping parameter names to arrays of parameter values.
    It should contain the following:
    - W1: First layer weights; has shape (D, H)
    - b1: First layer biases; has shape (H,)
    - W2: Second layer weights; has shape (H, C)
    - b2: Second layer biases; has shape (C,)
  - y: Vector of training labels of shape (N,)
  - reg: Regularization strength.
  """

  # unpack variables from the model dictionary
  W1,b1,W2,b2 = model['W1'], model['b1'], model['W2'], model['b2']
  N, D = X.shape

  # compute the forward pass
  z1 = np.dot(X, W1) + b1
  a1 = np.maximum(0, z1)
  scores = np.dot(a1, W2) + b2

  if y is None:
    return scores

  # compute the loss
  exp_scores = np.exp(scores)
  probs = exp_scores / np.sum(exp_scores, axis=1, keepdims=True)
  corect_logprobs = -np.log(probs[range(N), y])
  data_loss = np.sum(corect_logprobs) / N
  reg_loss = 0.5 * reg * np.sum(W1 * W1) + 0.5 * reg * np.sum(W2 * W2)
  loss = data_loss + reg_loss

  # compute the gradients
  grads = {}
  dz2 = probs.copy()
  dz2[range(N), y] -= 1
  dz2 /= N
  grads['W2'] = np.dot(a1.T, dz2)
  grads['b2'] = np.sum(dz2, axis=0)
  da1 = np.dot(dz2, W2.T)
  dz1 = da1 * (z1 > 0)
  grads['W1'] = np.dot(X.T, dz1)
  grads['b1'] = np.sum(dz1, axis=0)
  # add regularization
  grads['W2'] += reg * W2
  grads['W1'] += reg * W1
  return loss, grads
