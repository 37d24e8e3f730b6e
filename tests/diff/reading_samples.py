"""Small homeworks, right ones, in the styles of real courses, with arguments to run them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from flatgrad.diff.homework import Style

R = np.random.default_rng(0)


def normal(*shape: int) -> Any:
    return R.normal(size=shape)


@dataclass(frozen=True)
class Sample:
    """A homework with one backward pass, and what its reading should say.

    Attributes:
        function: what it is called.
        variables: the variables whose gradients it returns.
        gradients: some of its targets with their variables.
        absent: targets that are no gradients.
    """

    name: str
    text: str
    style: Style
    function: str
    variables: set[str]
    arguments: dict[str, Any]
    make: str = ""
    gradients: dict[str, str] = field(default_factory=dict)
    absent: tuple[str, ...] = ()
    upstream: tuple[str, ...] | None = None


SAMPLES = (
    Sample(
        "svm naive",
        '''
import numpy as np
from random import shuffle

def svm_loss_naive(W, X, y, reg):
  """
  Structured SVM loss function, naive implementation (with loops).
  """
  dW = np.zeros(W.shape) # initialize the gradient as zero

  # compute the loss and the gradient
  num_classes = W.shape[1]
  num_train = X.shape[0]
  loss = 0.0
  for i in range(num_train):
    scores = X[i].dot(W)
    correct_class_score = scores[y[i]]
    for j in range(num_classes):
      if j == y[i]:
        continue
      margin = scores[j] - correct_class_score + 1 # note delta = 1
      if margin > 0:
        loss += margin
        dW[:,j] += X[i,:].T
        dW[:,y[i]] -= X[i,:].T

  loss /= num_train
  dW /= num_train
  loss += reg * np.sum(W * W)
  dW += 2 * reg * W
  return loss, dW
''',
        Style.FLAT,
        "svm_loss_naive",
        {"W"},
        {"W": normal(4, 3), "X": normal(5, 4), "y": np.array([0, 2, 1, 1, 0]), "reg": 0.1},
        gradients={"dW": "W"},
        absent=("loss", "margin", "scores"),
    ),
    Sample(
        "softmax vectorized",
        """
import numpy as np

def softmax_loss_vectorized(W, X, y, reg):
    # Initialize the loss and gradient to zero.
    loss = 0.0
    dW = np.zeros_like(W)
    num_train = X.shape[0]
    scores = X.dot(W)
    scores -= np.max(scores, axis=1, keepdims=True)
    p = np.exp(scores)
    p /= p.sum(axis=1, keepdims=True)
    loss = -np.log(p[np.arange(num_train), y]).sum()
    dscores = p
    dscores[np.arange(num_train), y] -= 1
    dW = X.T.dot(dscores)
    loss /= num_train
    loss += reg * np.sum(W**2)
    dW /= num_train
    dW += 2 * reg * W
    return loss, dW
""",
        Style.FLAT,
        "softmax_loss_vectorized",
        {"W"},
        {"W": normal(4, 3), "X": normal(5, 4), "y": np.array([0, 2, 1, 1, 0]), "reg": 0.1},
        gradients={"dW": "W", "dscores": "scores"},
    ),
    Sample(
        "two layer net with a params dict",
        """
import numpy as np

class TwoLayerNet(object):
    def __init__(self, input_size, hidden_size, output_size, std=1e-1):
        self.params = {}
        self.params['W1'] = std * np.random.randn(input_size, hidden_size)
        self.params['b1'] = np.zeros(hidden_size)
        self.params['W2'] = std * np.random.randn(hidden_size, output_size)
        self.params['b2'] = np.zeros(output_size)

    def loss(self, X, y=None, reg=0.0):
        # Unpack variables from the params dictionary
        W1, b1 = self.params['W1'], self.params['b1']
        W2, b2 = self.params['W2'], self.params['b2']
        N, D = X.shape

        # Compute the forward pass
        scores = None
        h1 = np.maximum(0, X.dot(W1) + b1)
        scores = h1.dot(W2) + b2
        # If the targets are not given then jump out, we're done
        if y is None:
            return scores

        # Compute the loss
        loss = None
        shift_scores = scores - np.max(scores, axis=1).reshape(-1, 1)
        softmax_output = np.exp(shift_scores) / np.sum(np.exp(shift_scores), axis=1).reshape(-1, 1)
        loss = -np.sum(np.log(softmax_output[range(N), list(y)]))
        loss /= N
        loss += 0.5 * reg * (np.sum(W1 * W1) + np.sum(W2 * W2))

        # Backward pass: compute gradients
        grads = {}
        dscores = softmax_output.copy()
        dscores[range(N), list(y)] -= 1
        dscores /= N
        grads['W2'] = h1.T.dot(dscores) + reg * W2
        grads['b2'] = np.sum(dscores, axis=0)
        dh = dscores.dot(W2.T)
        dh_ReLu = (h1 > 0) * dh
        grads['W1'] = X.T.dot(dh_ReLu) + reg * W1
        grads['b1'] = np.sum(dh_ReLu, axis=0)

        return loss, grads

    def predict(self, X):
        return np.argmax(self.loss(X), axis=1)
""",
        Style.FLAT,
        "TwoLayerNet.loss",
        {"W1", "b1", "W2", "b2"},
        {"X": normal(5, 4), "y": np.array([0, 2, 1, 1, 0]), "reg": 0.1},
        make="TwoLayerNet(4, 6, 3)",
        gradients={"dscores": "scores", "grads['W1']": "W1", "dh_ReLu": ""},
    ),
    Sample(
        "affine",
        '''
import numpy as np

def affine_forward(x, w, b):
    """Computes the forward pass for an affine (fully-connected) layer."""
    out = None
    N = x.shape[0]
    out = x.reshape(N, -1).dot(w) + b
    cache = (x, w, b)
    return out, cache


def affine_backward(dout, cache):
    """Computes the backward pass for an affine layer."""
    x, w, b = cache
    dx, dw, db = None, None, None
    dx = dout.dot(w.T).reshape(x.shape)
    dw = x.reshape(x.shape[0], -1).T.dot(dout)
    db = np.sum(dout, axis=0)
    return dx, dw, db
''',
        Style.PAIR,
        "affine",
        {"x", "w", "b"},
        {"x": normal(3, 2, 2), "w": normal(4, 5), "b": normal(5)},
        gradients={"dx": "x", "dw": "w", "db": "b"},
        upstream=("dout",),
    ),
    Sample(
        "lstm step",
        """
import numpy as np

def sigmoid(x):
    return 1 / (1 + np.exp(-x))

def lstm_step_forward(x, prev_h, prev_c, Wx, Wh, b):
    next_h, next_c, cache = None, None, None
    N, H = prev_h.shape
    A = x.dot(Wx) + prev_h.dot(Wh) + b
    ai, af, ao, ag = A[:, :H], A[:, H:2*H], A[:, 2*H:3*H], A[:, 3*H:]
    i, f, o, g = sigmoid(ai), sigmoid(af), sigmoid(ao), np.tanh(ag)
    next_c = f * prev_c + i * g
    tanh_c = np.tanh(next_c)
    next_h = o * tanh_c
    cache = (x, prev_h, prev_c, Wx, Wh, i, f, o, g, tanh_c)
    return next_h, next_c, cache

def lstm_step_backward(dnext_h, dnext_c, cache):
    x, prev_h, prev_c, Wx, Wh, i, f, o, g, tanh_c = cache
    do = dnext_h * tanh_c
    dtanh_c = dnext_h * o
    dc = dnext_c + dtanh_c * (1 - tanh_c**2)
    df = dc * prev_c
    di = dc * g
    dg = dc * i
    dprev_c = dc * f
    dai = di * i * (1 - i)
    daf = df * f * (1 - f)
    dao = do * o * (1 - o)
    dag = dg * (1 - g**2)
    dA = np.hstack((dai, daf, dao, dag))
    dx = dA.dot(Wx.T)
    dWx = x.T.dot(dA)
    dprev_h = dA.dot(Wh.T)
    dWh = prev_h.T.dot(dA)
    db = np.sum(dA, axis=0)
    return dx, dprev_h, dprev_c, dWx, dWh, db
""",
        Style.PAIR,
        "lstm_step",
        {"x", "prev_h", "prev_c", "Wx", "Wh", "b"},
        {
            "x": normal(2, 3),
            "prev_h": normal(2, 4),
            "prev_c": normal(2, 4),
            "Wx": normal(3, 16),
            "Wh": normal(4, 16),
            "b": normal(16),
        },
        gradients={"do": "o", "dtanh_c": "tanh_c", "dprev_c": "prev_c", "dA": "A", "dai": "ai", "dc": ""},
        upstream=("dnext_h", "dnext_c"),
    ),
    Sample(
        "relu of coursera",
        '''
import numpy as np

def relu(Z):
    """Implement the RELU function."""
    A = np.maximum(0,Z)
    assert(A.shape == Z.shape)
    cache = Z
    return A, cache

def relu_backward(dA, cache):
    Z = cache
    dZ = np.array(dA, copy=True) # just converting dz to a correct object.
    # When z <= 0, you should set dz to 0 as well.
    dZ[Z <= 0] = 0
    assert (dZ.shape == Z.shape)
    return dZ
''',
        Style.PAIR,
        "relu",
        {"Z"},
        {"Z": normal(3, 4)},
        gradients={"dZ": "Z"},
        upstream=("dA",),
    ),
    Sample(
        "linear of coursera",
        """
import numpy as np

def linear_forward(A, W, b):
    Z = W.dot(A) + b
    assert(Z.shape == (W.shape[0], A.shape[1]))
    cache = (A, W, b)
    return Z, cache

def linear_backward(dZ, cache):
    A_prev, W, b = cache
    m = A_prev.shape[1]
    dW = np.dot(dZ, A_prev.T)
    db = np.sum(dZ, axis=1, keepdims=True)
    dA_prev = np.dot(W.T, dZ)
    return dA_prev, dW, db
""",
        Style.PAIR,
        "linear",
        {"A", "W", "b"},
        {"A": normal(3, 4), "W": normal(2, 3), "b": normal(2, 1)},
        gradients={"dA_prev": "A", "dW": "W", "db": "b"},
        absent=("m",),
    ),
    Sample(
        "backward that takes what forward took",
        """
import numpy as np

def relu_forward(x):
    return np.maximum(0, x)

def relu_backward(dout, x):
    dx = dout.copy()
    dx[x <= 0] = 0
    return dx
""",
        Style.PAIR,
        "relu",
        {"x"},
        {"x": normal(3, 4)},
        gradients={"dx": "x"},
    ),
    Sample(
        "linear of CMU",
        '''
import numpy as np

class Linear:

    def __init__(self, in_features, out_features, debug=False):
        """
        Initialize the weights and biases with zeros
        """
        self.W = np.random.randn(out_features, in_features)
        self.b = np.random.randn(out_features, 1)
        self.debug = debug

    def forward(self, A):
        self.A = A
        self.N = A.shape[0]
        self.Ones = np.ones((self.N, 1))
        Z = self.A @ self.W.T + self.Ones @ self.b.T
        return Z

    def backward(self, dLdZ):
        dLdA = dLdZ @ self.W
        self.dLdW = dLdZ.T @ self.A
        self.dLdb = dLdZ.T @ self.Ones
        if self.debug:
            self.dLdA = dLdA
        return dLdA
''',
        Style.CLASS,
        "Linear",
        {"A", "W", "b"},
        {"A": normal(4, 3)},
        make="Linear(3, 2)",
        gradients={"dLdA": "A", "self.dLdW": "W", "self.dLdb": "b"},
        upstream=("dLdZ",),
    ),
    Sample(
        "tanh of CMU",
        """
import numpy as np

class Tanh:
    def forward(self, Z):
        self.A = np.tanh(Z)
        return self.A

    def backward(self, dLdA):
        dAdZ = 1 - self.A * self.A
        dLdZ = dLdA * dAdZ
        return dLdZ
""",
        Style.CLASS,
        "Tanh",
        {"Z"},
        {"Z": normal(4, 3)},
        make="Tanh()",
        gradients={"dLdZ": "Z"},
        absent=("dAdZ",),
    ),
    Sample(
        "loss of CMU",
        """
import numpy as np

class MSELoss:
    def forward(self, A, Y):
        self.A = A
        self.Y = Y
        self.N = A.shape[0]
        self.C = A.shape[1]
        se = (self.A - self.Y) * (self.A - self.Y)
        sse = np.ones((1, self.N)) @ se @ np.ones((self.C, 1))
        mse = sse / (self.N * self.C)
        return mse

    def backward(self):
        dLdA = 2 * (self.A - self.Y) / (self.N * self.C)
        return dLdA
""",
        Style.CLASS,
        "MSELoss",
        {"A"},
        {"A": normal(4, 3), "Y": normal(4, 3)},
        make="MSELoss()",
        gradients={"dLdA": "A"},
        upstream=("",),
    ),
    Sample(
        "affine of the fish book",
        """
import numpy as np

class Affine:
    def __init__(self, W, b):
        self.W = W
        self.b = b
        self.x = None
        self.original_x_shape = None
        self.dW = None
        self.db = None

    def forward(self, x):
        self.original_x_shape = x.shape
        x = x.reshape(x.shape[0], -1)
        self.x = x
        out = np.dot(self.x, self.W) + self.b
        return out

    def backward(self, dout):
        dx = np.dot(dout, self.W.T)
        self.dW = np.dot(self.x.T, dout)
        self.db = np.sum(dout, axis=0)
        dx = dx.reshape(*self.original_x_shape)
        return dx
""",
        Style.CLASS,
        "Affine",
        {"x", "W", "b"},
        {"x": normal(4, 3, 2)},
        make="Affine(np.random.randn(6, 2), np.random.randn(2))",
        gradients={"dx": "x", "self.dW": "W", "self.db": "b"},
    ),
    Sample(
        "relu of the fish book",
        """
import numpy as np

class Relu:
    def __init__(self):
        self.mask = None

    def forward(self, x):
        self.mask = (x <= 0)
        out = x.copy()
        out[self.mask] = 0
        return out

    def backward(self, dout):
        dout[self.mask] = 0
        dx = dout
        return dx
""",
        Style.CLASS,
        "Relu",
        {"x"},
        {"x": normal(4, 3)},
        make="Relu()",
        gradients={"dx": "x", "dout": ""},
    ),
    Sample(
        "softmax with loss of the fish book",
        """
import numpy as np

def softmax(x):
    x = x - np.max(x, axis=-1, keepdims=True)
    return np.exp(x) / np.sum(np.exp(x), axis=-1, keepdims=True)

def cross_entropy_error(y, t):
    batch_size = y.shape[0]
    return -np.sum(np.log(y[np.arange(batch_size), t] + 1e-7)) / batch_size

class SoftmaxWithLoss:
    def __init__(self):
        self.loss = None
        self.y = None
        self.t = None

    def forward(self, x, t):
        self.t = t
        self.y = softmax(x)
        self.loss = cross_entropy_error(self.y, self.t)
        return self.loss

    def backward(self, dout=1):
        batch_size = self.t.shape[0]
        if self.t.size == self.y.size:
            dx = (self.y - self.t) / batch_size
        else:
            dx = self.y.copy()
            dx[np.arange(batch_size), self.t] -= 1
            dx = dx / batch_size
        return dx
""",
        Style.CLASS,
        "SoftmaxWithLoss",
        {"x"},
        {"x": normal(4, 3), "t": np.array([0, 2, 1, 1])},
        make="SoftmaxWithLoss()",
        gradients={"dx": "x"},
        upstream=("",),
    ),
    Sample(
        "layers of a blog, gradients in a dict on self",
        """
import numpy as np

class Dense:
    def __init__(self, n_in, n_out):
        self.params = {"W": np.random.randn(n_in, n_out), "b": np.zeros((1, n_out))}
        self.grads = {}

    def __call__(self, x):
        self.x = x
        return x @ self.params["W"] + self.params["b"]

    def backward(self, grad):
        self.grads["W"] = self.x.T @ grad
        self.grads["b"] = grad.sum(axis=0, keepdims=True)
        return grad @ self.params["W"].T
""",
        Style.CLASS,
        "Dense",
        {"x", "W", "b"},
        {"x": normal(4, 3)},
        make="Dense(3, 2)",
        gradients={'self.grads["W"]': "W", 'self.grads["b"]': "b"},
    ),
    Sample(
        "batchnorm with a mode",
        """
import numpy as np

def batchnorm_forward(x, gamma, beta, bn_param):
    mode = bn_param["mode"]
    eps = bn_param.get("eps", 1e-5)
    momentum = bn_param.get("momentum", 0.9)
    N, D = x.shape
    running_mean = bn_param.get("running_mean", np.zeros(D, dtype=x.dtype))
    running_var = bn_param.get("running_var", np.zeros(D, dtype=x.dtype))
    out, cache = None, None
    if mode == "train":
        mu = np.mean(x, axis=0)
        xmu = x - mu
        var = np.mean(xmu ** 2, axis=0)
        sqrtvar = np.sqrt(var + eps)
        ivar = 1. / sqrtvar
        xhat = xmu * ivar
        out = gamma * xhat + beta
        cache = (xhat, gamma, xmu, ivar, sqrtvar, var, eps)
        running_mean = momentum * running_mean + (1 - momentum) * mu
        running_var = momentum * running_var + (1 - momentum) * var
    elif mode == "test":
        out = gamma * (x - running_mean) / np.sqrt(running_var + eps) + beta
    else:
        raise ValueError('Invalid forward batchnorm mode "%s"' % mode)
    bn_param["running_mean"] = running_mean
    bn_param["running_var"] = running_var
    return out, cache

def batchnorm_backward(dout, cache):
    xhat, gamma, xmu, ivar, sqrtvar, var, eps = cache
    N, D = dout.shape
    dbeta = np.sum(dout, axis=0)
    dgammax = dout
    dgamma = np.sum(dgammax * xhat, axis=0)
    dxhat = dgammax * gamma
    divar = np.sum(dxhat * xmu, axis=0)
    dxmu1 = dxhat * ivar
    dsqrtvar = -1. / (sqrtvar ** 2) * divar
    dvar = 0.5 * 1. / np.sqrt(var + eps) * dsqrtvar
    dsq = 1. / N * np.ones((N, D)) * dvar
    dxmu2 = 2 * xmu * dsq
    dx1 = (dxmu1 + dxmu2)
    dmu = -1 * np.sum(dxmu1 + dxmu2, axis=0)
    dx2 = 1. / N * np.ones((N, D)) * dmu
    dx = dx1 + dx2
    return dx, dgamma, dbeta
""",
        Style.PAIR,
        "batchnorm",
        {"x", "gamma", "beta"},
        {"x": normal(5, 3), "gamma": normal(3), "beta": normal(3), "bn_param": {"mode": "train"}},
        gradients={
            "dxmu1": "",
            "dxmu2": "",
            "dx1": "",
            "dx2": "",
            "dxhat": "xhat",
            "divar": "ivar",
            "dvar": "var",
            "dsq": "",
            "dx": "x",
            "dgammax": "",
        },
        absent=("N",),
    ),
    Sample(
        "logistic regression of coursera, gradients first",
        """
import numpy as np

def sigmoid(z):
    return 1 / (1 + np.exp(-z))

def propagate(w, b, X, Y):
    m = X.shape[1]
    # FORWARD PROPAGATION (FROM X TO COST)
    A = sigmoid(np.dot(w.T, X) + b)
    cost = -1 / m * np.sum(Y * np.log(A) + (1 - Y) * np.log(1 - A))
    # BACKWARD PROPAGATION (TO FIND GRAD)
    dw = 1 / m * np.dot(X, (A - Y).T)
    db = 1 / m * np.sum(A - Y)
    cost = np.squeeze(cost)
    grads = {"dw": dw,
             "db": db}
    return grads, cost
""",
        Style.FLAT,
        "propagate",
        {"w", "b"},
        {"w": normal(3, 1), "b": 0.3, "X": normal(3, 4), "Y": np.array([[0, 1, 1, 0]])},
        gradients={"dw": "w", "db": "b"},
    ),
    Sample(
        "cost and gradient apart",
        """
import numpy as np

def compute_cost(X, y, w, b):
    m = X.shape[0]
    f_wb = X @ w + b
    total_cost = np.sum((f_wb - y) ** 2) / (2 * m)
    return total_cost

def compute_gradient(X, y, w, b):
    m = X.shape[0]
    err = X @ w + b - y
    dj_dw = X.T @ err / m
    dj_db = np.sum(err) / m
    return dj_dw, dj_db
""",
        Style.PAIR,
        "compute_cost",
        {"w", "b"},
        {"X": normal(4, 3), "y": normal(4), "w": normal(3), "b": 0.5},
        gradients={"dj_dw": "w", "dj_db": "b"},
    ),
    Sample(
        "char rnn",
        '''
import numpy as np

vocab_size, hidden_size = 4, 3

def lossFun(inputs, targets, hprev, Wxh, Whh, Why, bh, by):
  """
  inputs,targets are both list of integers.
  returns the loss, gradients on model parameters, and last hidden state
  """
  xs, hs, ys, ps = {}, {}, {}, {}
  hs[-1] = np.copy(hprev)
  loss = 0
  # forward pass
  for t in range(len(inputs)):
    xs[t] = np.zeros((vocab_size,1)) # encode in 1-of-k representation
    xs[t][inputs[t]] = 1
    hs[t] = np.tanh(np.dot(Wxh, xs[t]) + np.dot(Whh, hs[t-1]) + bh) # hidden state
    ys[t] = np.dot(Why, hs[t]) + by
    ps[t] = np.exp(ys[t]) / np.sum(np.exp(ys[t]))
    loss += -np.log(ps[t][targets[t],0])
  # backward pass: compute gradients going backwards
  dWxh, dWhh, dWhy = np.zeros_like(Wxh), np.zeros_like(Whh), np.zeros_like(Why)
  dbh, dby = np.zeros_like(bh), np.zeros_like(by)
  dhnext = np.zeros_like(hs[0])
  for t in reversed(range(len(inputs))):
    dy = np.copy(ps[t])
    dy[targets[t]] -= 1
    dWhy += np.dot(dy, hs[t].T)
    dby += dy
    dh = np.dot(Why.T, dy) + dhnext # backprop into h
    dhraw = (1 - hs[t] * hs[t]) * dh # backprop through tanh nonlinearity
    dbh += dhraw
    dWxh += np.dot(dhraw, xs[t].T)
    dWhh += np.dot(dhraw, hs[t-1].T)
    dhnext = np.dot(Whh.T, dhraw)
  for dparam in [dWxh, dWhh, dWhy, dbh, dby]:
    np.clip(dparam, -5, 5, out=dparam) # clip to mitigate exploding gradients
  return loss, dWxh, dWhh, dWhy, dbh, dby, hs[len(inputs)-1]
''',
        Style.FLAT,
        "lossFun",
        {"Wxh", "Whh", "Why", "bh", "by"},
        {
            "inputs": [0, 2, 1],
            "targets": [2, 1, 3],
            "hprev": np.zeros((3, 1)),
            "Wxh": normal(3, 4) * 0.3,
            "Whh": normal(3, 3) * 0.3,
            "Why": normal(4, 3) * 0.3,
            "bh": normal(3, 1),
            "by": normal(4, 1),
        },
        gradients={"dhraw": "", "dy": "", "dh": "", "dWhh": "Whh"},
    ),
    Sample(
        "rnn cell of CMU, backward takes results and inputs",
        """
import numpy as np

class RNNCell(object):
    def __init__(self, input_size, hidden_size):
        h, d = hidden_size, input_size
        self.W_ih = np.random.randn(h, d)
        self.W_hh = np.random.randn(h, h)
        self.b_ih = np.random.randn(h)
        self.b_hh = np.random.randn(h)
        self.zero_grad()

    def zero_grad(self):
        d = self.W_ih.shape[1]
        h = self.W_ih.shape[0]
        self.dW_ih = np.zeros((h, d))
        self.dW_hh = np.zeros((h, h))
        self.db_ih = np.zeros(h)
        self.db_hh = np.zeros(h)

    def __call__(self, x, h_prev_t):
        return self.forward(x, h_prev_t)

    def forward(self, x, h_prev_t):
        h_t = np.tanh(x @ self.W_ih.T + self.b_ih + h_prev_t @ self.W_hh.T + self.b_hh)
        return h_t

    def backward(self, delta, h_t, h_prev_l, h_prev_t):
        batch_size = delta.shape[0]
        # 0) Done! Step backward through the tanh activation function.
        dz = delta * (1 - h_t ** 2)
        # 1) Compute the averaged gradients of the weights and biases
        self.dW_ih += dz.T @ h_prev_l
        self.dW_hh += dz.T @ h_prev_t
        self.db_ih += np.sum(dz, axis=0)
        self.db_hh += np.sum(dz, axis=0)
        # 2) Compute dx, dh_prev_t
        dx = dz @ self.W_ih
        dh_prev_t = dz @ self.W_hh
        # 3) Return dx, dh_prev_t
        return dx, dh_prev_t
""",
        Style.CLASS,
        "RNNCell",
        {"x", "h_prev_t", "W_ih", "W_hh", "b_ih", "b_hh"},
        {"x": normal(2, 3), "h_prev_t": normal(2, 4)},
        make="RNNCell(3, 4)",
        gradients={"self.dW_ih": "W_ih", "dz": "", "dh_prev_t": "h_prev_t"},
        absent=("batch_size",),
        upstream=("delta",),
    ),
    Sample(
        "cost in a function of its own",
        """
import numpy as np

def sigmoid(x):
    return 1/(1+np.exp(-x))

def forward_propagation(X, parameters):
    W1 = parameters["W1"]
    b1 = parameters["b1"]
    W2 = parameters["W2"]
    b2 = parameters["b2"]
    Z1 = np.dot(W1, X) + b1
    A1 = np.tanh(Z1)
    Z2 = np.dot(W2, A1) + b2
    A2 = sigmoid(Z2)
    assert(A2.shape == (1, X.shape[1]))
    cache = {"Z1": Z1, "A1": A1, "Z2": Z2, "A2": A2}
    return A2, cache

def compute_cost(A2, Y):
    m = Y.shape[1] # number of examples
    logprobs = np.multiply(np.log(A2), Y) + np.multiply(np.log(1 - A2), 1 - Y)
    cost = -np.sum(logprobs) / m
    return cost

def backward_propagation(parameters, cache, X, Y):
    m = X.shape[1]
    W1 = parameters["W1"]
    W2 = parameters["W2"]
    A1 = cache["A1"]
    A2 = cache["A2"]
    dZ2 = A2 - Y
    dW2 = np.dot(dZ2, A1.T) / m
    db2 = np.sum(dZ2, axis=1, keepdims=True) / m
    dZ1 = np.dot(W2.T, dZ2) * (1 - np.power(A1, 2))
    dW1 = np.dot(dZ1, X.T) / m
    db1 = np.sum(dZ1, axis=1, keepdims=True) / m
    grads = {"dW1": dW1, "db1": db1, "dW2": dW2, "db2": db2}
    return grads

def update_parameters(parameters, grads, learning_rate = 1.2):
    W1 = parameters["W1"]
    dW1 = grads["dW1"]
    W1 = W1 - learning_rate * dW1
    return {"W1": W1}

def nn_model(X, Y, parameters, num_iterations = 10000, print_cost=False):
    for i in range(0, num_iterations):
        A2, cache = forward_propagation(X, parameters)
        cost = compute_cost(A2, Y)
        grads = backward_propagation(parameters, cache, X, Y)
        parameters = update_parameters(parameters, grads)
    return parameters
""",
        Style.PAIR,
        "propagation",
        {"W1", "b1", "W2", "b2"},
        {
            "X": normal(3, 4),
            "parameters": {"W1": normal(2, 3), "b1": normal(2, 1), "W2": normal(1, 2), "b2": normal(1, 1)},
            "Y": np.array([[0, 1, 1, 0]]),
        },
        gradients={"dZ2": "Z2", "dZ1": "Z1", "dW1": "W1"},
    ),
    Sample(
        "a network from a blog, the update inside backward",
        """
import numpy as np

class Dense:
    def __init__(self, input_size, output_size):
        self.weights = np.random.randn(output_size, input_size)
        self.bias = np.random.randn(output_size, 1)

    def forward(self, input):
        self.input = input
        return np.dot(self.weights, self.input) + self.bias

    def backward(self, output_gradient, learning_rate):
        weights_gradient = np.dot(output_gradient, self.input.T)
        input_gradient = np.dot(self.weights.T, output_gradient)
        self.weights -= learning_rate * weights_gradient
        self.bias -= learning_rate * output_gradient
        return input_gradient
""",
        Style.CLASS,
        "Dense",
        {"input"},
        {"input": normal(3, 1)},
        make="Dense(3, 2)",
        gradients={"weights_gradient": "weights", "input_gradient": "input"},
        absent=("self.weights", "self.bias"),
        upstream=("output_gradient",),
    ),
    Sample(
        "neural networks from scratch",
        """
import numpy as np

class Layer_Dense:
    def __init__(self, n_inputs, n_neurons):
        self.weights = 0.01 * np.random.randn(n_inputs, n_neurons)
        self.biases = np.zeros((1, n_neurons))

    def forward(self, inputs):
        # Remember input values
        self.inputs = inputs
        # Calculate output values from inputs, weights and biases
        self.output = np.dot(inputs, self.weights) + self.biases
        return self.output

    def backward(self, dvalues):
        # Gradients on parameters
        self.dweights = np.dot(self.inputs.T, dvalues)
        self.dbiases = np.sum(dvalues, axis=0, keepdims=True)
        # Gradient on values
        self.dinputs = np.dot(dvalues, self.weights.T)
""",
        Style.CLASS,
        "Layer_Dense",
        {"inputs", "weights", "biases"},
        {"inputs": normal(4, 3)},
        make="Layer_Dense(3, 2)",
        gradients={"self.dweights": "weights", "self.dinputs": "inputs"},
        upstream=("dvalues",),
    ),
    Sample(
        "neural networks from scratch, nothing returned at all",
        """
import numpy as np

class Activation_ReLU:
    def forward(self, inputs):
        self.inputs = inputs
        self.output = np.maximum(0, inputs)

    def backward(self, dvalues):
        # Since we need to modify original variable, let's make a copy of values first
        self.dinputs = dvalues.copy()
        # Zero gradient where input values were negative
        self.dinputs[self.inputs <= 0] = 0
""",
        Style.CLASS,
        "Activation_ReLU",
        {"inputs"},
        {"inputs": normal(4, 3)},
        make="Activation_ReLU()",
        gradients={"self.dinputs": "inputs"},
    ),
    Sample(
        "names the other way round, a dict as cache",
        """
import numpy as np

def forward_mlp(x, params):
    z1 = x @ params["W1"] + params["b1"]
    h1 = np.tanh(z1)
    out = h1 @ params["W2"]
    cache = {"x": x, "h1": h1, "params": params}
    return out, cache

def backward_mlp(d_out, cache):
    x, h1, params = cache["x"], cache["h1"], cache["params"]
    grad = {}
    grad["W2"] = h1.T @ d_out
    d_h1 = d_out @ params["W2"].T
    d_z1 = d_h1 * (1 - h1 ** 2)
    grad["W1"] = x.T @ d_z1
    grad["b1"] = d_z1.sum(0)
    d_x = d_z1 @ params["W1"].T
    return d_x, grad
""",
        Style.PAIR,
        "mlp",
        {"x", "W1", "b1", "W2"},
        {"x": normal(4, 3), "params": {"W1": normal(3, 5), "b1": normal(5), "W2": normal(5, 2)}},
        gradients={"d_h1": "h1", "d_z1": "z1", "d_x": "x", 'grad["W1"]': "W1"},
        upstream=("d_out",),
    ),
    Sample(
        "fwd and bwd",
        """
import numpy as np

def conv1d_fwd(x, w, stride=1):
    L, K = x.shape[0], w.shape[0]
    n = (L - K) // stride + 1
    y = np.array([np.dot(x[i * stride : i * stride + K], w) for i in range(n)])
    return y, (x, w, stride)

def conv1d_bwd(dy, stuff):
    x, w, stride = stuff
    dx, dw = np.zeros_like(x), np.zeros_like(w)
    K = len(w)
    for i in range(len(dy)):
        dx[i * stride : i * stride + K] += dy[i] * w
        dw += dy[i] * x[i * stride : i * stride + K]
    return dx, dw
""",
        Style.PAIR,
        "conv1d",
        {"x", "w"},
        {"x": normal(7), "w": normal(3), "stride": 2},
        gradients={"dx": "x", "dw": "w"},
        absent=("K",),
        upstream=("dy",),
    ),
    Sample(
        "dL_d names",
        """
import numpy as np

def gate(x, W, b):
    s = x @ W + b
    y = 1.0 / (1.0 + np.exp(-s))
    return y

def gate_backward(dL_dy, x, W, b):
    y = gate(x, W, b)
    dy_ds = y * (1 - y)
    dL_ds = dL_dy * dy_ds
    dL_dW = x.T @ dL_ds
    dL_db = dL_ds.sum(axis=0)
    dL_dx = dL_ds @ W.T
    return dL_dx, dL_dW, dL_db
""",
        Style.PAIR,
        "gate",
        {"x", "W", "b"},
        {"x": normal(4, 3), "W": normal(3, 2), "b": normal(2)},
        gradients={"dL_ds": "s", "dL_dW": "W", "dL_dx": "x"},
        absent=("dy_ds", "y"),
        upstream=("dL_dy",),
    ),
    Sample(
        "grad_ names and gradients that are put in a tuple",
        """
import numpy as np

def attention_forward(query, keys, values):
    d_k = query.shape[-1]
    scores = query @ keys.T / np.sqrt(d_k)
    weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
    weights /= weights.sum(axis=-1, keepdims=True)
    output = weights @ values
    return output, (query, keys, values, weights)

def attention_backward(grad_output, cache):
    query, keys, values, weights = cache
    d_k = query.shape[-1]
    grad_values = weights.T @ grad_output
    grad_weights = grad_output @ values.T
    grad_scores = weights * (grad_weights - (grad_weights * weights).sum(axis=-1, keepdims=True))
    grad_scores = grad_scores / np.sqrt(d_k)
    grad_query = grad_scores @ keys
    grad_keys = grad_scores.T @ query
    grads = (grad_query, grad_keys, grad_values)
    return grads
""",
        Style.PAIR,
        "attention",
        {"query", "keys", "values"},
        {"query": normal(3, 4), "keys": normal(5, 4), "values": normal(5, 2)},
        gradients={"grad_scores": "scores", "grad_weights": "weights"},
        absent=("d_k",),
        upstream=("grad_output",),
    ),
    Sample(
        "x_grad names, static methods",
        '''
import numpy as np

class Ops:
    """All layers in one place."""

    @staticmethod
    def scale_forward(x, gamma):
        out = x * gamma
        return out, (x, gamma)

    @staticmethod
    def scale_backward(out_grad, cache):
        x, gamma = cache
        x_grad = out_grad * gamma
        gamma_grad = (out_grad * x).sum(axis=0)
        return x_grad, gamma_grad
''',
        Style.PAIR,
        "Ops.scale",
        {"x", "gamma"},
        {"x": normal(3, 4), "gamma": normal(4)},
        gradients={"x_grad": "x", "gamma_grad": "gamma"},
        upstream=("out_grad",),
    ),
    Sample(
        "lists of parameters and gradients of the fish book",
        """
import numpy as np

class MatMul:
    def __init__(self, W):
        self.params = [W]
        self.grads = [np.zeros_like(W)]
        self.x = None

    def forward(self, x):
        W, = self.params
        out = np.dot(x, W)
        self.x = x
        return out

    def backward(self, dout):
        W, = self.params
        dx = np.dot(dout, W.T)
        dW = np.dot(self.x.T, dout)
        self.grads[0][...] = dW
        return dx
""",
        Style.CLASS,
        "MatMul",
        {"x", "W"},
        {"x": normal(4, 3)},
        make="MatMul(np.random.randn(3, 2))",
        gradients={"dx": "x", "dW": "W", "self.grads[0]": "W"},
    ),
    Sample(
        "rnn over time, gradients of several results",
        """
import numpy as np

def step(x, h, c, W, U):
    a = x @ W + h @ U
    next_c = 0.5 * c + np.tanh(a)
    next_h = np.tanh(next_c)
    return next_h, next_c, (x, h, W, U, a, next_h)

def step_backward(dh_next, dc_next, cache):
    x, h, W, U, a, next_h = cache
    dc = dc_next + dh_next * (1 - next_h ** 2)
    da = dc * (1 - np.tanh(a) ** 2)
    dx = da @ W.T
    dh = da @ U.T
    dW = x.T @ da
    dU = h.T @ da
    dc = 0.5 * dc
    return dx, dh, dc, dW, dU
""",
        Style.PAIR,
        "step",
        {"x", "h", "c", "W", "U"},
        {"x": normal(2, 3), "h": normal(2, 4), "c": normal(2, 4), "W": normal(3, 4), "U": normal(4, 4)},
        gradients={"da": "a", "dx": "x", "dh": "h", "dW": "W", "dU": "U", "dc": "c"},
        upstream=("dh_next", "dc_next"),
    ),
    Sample(
        "loss and gradient as the two methods of a class",
        """
import numpy as np

class LogisticRegression:
    def __init__(self, dim):
        self.w = np.random.randn(dim)
        self.lam = 0.1

    def _sigmoid(self, z):
        return 1 / (1 + np.exp(-z))

    def loss(self, X, y):
        p = self._sigmoid(X @ self.w)
        return -np.mean(y * np.log(p) + (1 - y) * np.log(1 - p)) + self.lam * self.w @ self.w

    def gradient(self, X, y):
        p = self._sigmoid(X @ self.w)
        grad_w = X.T @ (p - y) / len(y) + 2 * self.lam * self.w
        return grad_w
""",
        Style.CLASS,
        "LogisticRegression",
        {"w"},
        {"X": normal(5, 3), "y": np.array([0.0, 1, 1, 0, 1])},
        make="LogisticRegression(3)",
        gradients={"grad_w": "w"},
        absent=("p",),
    ),
    Sample(
        "one returned dict with the loss in it",
        """
import numpy as np

def ridge(w, X, y, alpha=0.5):
    r = X @ w - y
    loss = 0.5 * np.sum(r ** 2) + alpha * np.sum(w ** 2)
    dr = r
    dw = X.T @ dr + 2 * alpha * w
    return {"loss": loss, "dw": dw}
""",
        Style.FLAT,
        "ridge",
        {"w"},
        {"w": normal(3), "X": normal(4, 3), "y": normal(4)},
        gradients={"dr": "r", "dw": "w"},
    ),
    Sample(
        "shortened names of word2vec",
        """
import numpy as np

def softmax(x):
    x = np.exp(x - np.max(x))
    return x / np.sum(x)

def naiveSoftmaxLossAndGradient(centerWordVec, outsideWordIdx, outsideVectors, dataset):
    y_hat = softmax(np.dot(outsideVectors, centerWordVec))
    loss = -np.log(y_hat[outsideWordIdx])
    delta = y_hat.copy()
    delta[outsideWordIdx] -= 1
    gradCenterVec = np.dot(outsideVectors.T, delta)
    gradOutsideVecs = np.outer(delta, centerWordVec)
    return loss, gradCenterVec, gradOutsideVecs
""",
        Style.FLAT,
        "naiveSoftmaxLossAndGradient",
        {"centerWordVec", "outsideVectors"},
        {"centerWordVec": normal(3), "outsideWordIdx": 1, "outsideVectors": normal(4, 3), "dataset": None},
        gradients={"delta": ""},
    ),
    Sample(
        "hinge with local derivatives",
        """
import numpy as np

def squared_hinge(w, b, X, y):
    # data are rows
    s = X.dot(w) + b
    margin = 1 - y * s
    dist = np.maximum(margin, 0)
    loss = np.mean(dist ** 2)
    # backward
    n = len(y)
    ddist = 2 * dist / n
    dtmp = ddist * (margin > 0)
    ds = -y * dtmp
    dim = X.shape[1]
    dw = np.zeros(dim)
    dw += X.T.dot(ds)
    db = ds.sum()
    return loss, dw, db
""",
        Style.FLAT,
        "squared_hinge",
        {"w", "b"},
        {"w": normal(3), "b": 0.2, "X": normal(4, 3), "y": np.array([1, -1, 1, 1])},
        gradients={"ddist": "dist", "dtmp": "", "ds": "s"},
        absent=("dist", "dim", "n"),
    ),
    Sample(
        "script of the lecture notes, patched neuron",
        """
import math

w = [2,-3,-3] # assume some random weights and data
x = [-1, -2]

# forward pass
dot = w[0]*x[0] + w[1]*x[1] + w[2]
f = 1.0 / (1 + math.exp(-dot)) # sigmoid function

# backward pass through the neuron (backpropagation)
ddot = (1 - f) * f # gradient on dot variable, using the sigmoid gradient derivation
dx = [w[0] * ddot, w[1] * ddot] # backprop into x
dw = [x[0] * ddot, x[1] * ddot, 1.0 * ddot] # backprop into w
""",
        Style.SCRIPT,
        "homework",
        {"w", "x"},
        {"w": [0.3, -0.2, 0.7], "x": [0.5, -1.1]},
        gradients={"ddot": "dot", "dx": "x", "dw": "w"},
        absent=("dot",),
    ),
    Sample(
        "script of the lecture notes, local gradients with names",
        """
# set some inputs
x = -2; y = 5; z = -4

# perform the forward pass
q = x + y # q becomes 3
f = q * z # f becomes -12

# perform the backward pass (backpropagation) in reverse order:
# first backprop through f = q * z
dfdz = q # df/dz = q, so gradient on z becomes 3
dfdq = z # df/dq = z, so gradient on q becomes -4
dqdx = 1.0
dqdy = 1.0
# now backprop through q = x + y
dfdx = dfdq * dqdx # The multiplication here is the chain rule!
dfdy = dfdq * dqdy
""",
        Style.SCRIPT,
        "homework",
        {"x", "y", "z"},
        {"x": 0.4, "y": -0.9, "z": 1.7},
        gradients={"dfdz": "z", "dfdq": "q", "dfdx": "x", "dfdy": "y"},
        absent=("dqdx", "dqdy"),
    ),
    Sample(
        "script that trains",
        """
import numpy as np

N, D = 6, 3
X = np.random.randn(N, D)
y = X @ np.array([1., -2., 0.5]) + 0.1
lr = 1e-1
w = np.zeros(D)
b = 0.0
for epoch in range(200):
    # forward
    pred = X @ w + b
    diff = pred - y
    loss = np.mean(diff ** 2)
    if epoch % 50 == 0:
        print(epoch, loss)
    # backward
    dpred = 2 * diff / N
    dw = X.T @ dpred
    db = dpred.sum()
    # update
    w -= lr * dw
    b -= lr * db
print('w =', w)
""",
        Style.SCRIPT,
        "homework",
        {"w", "b"},
        {"w": normal(3), "b": 0.3},
        gradients={"dpred": "pred", "dw": "w", "db": "b"},
        absent=("diff", "w", "b"),
    ),
    Sample(
        "a network whose backward method is handed the labels",
        """
import numpy as np

class NeuralNetwork:
    def __init__(self, input_size, hidden_size, output_size):
        self.W1 = np.random.randn(input_size, hidden_size)
        self.b1 = np.zeros((1, hidden_size))
        self.W2 = np.random.randn(hidden_size, output_size)
        self.b2 = np.zeros((1, output_size))

    def sigmoid(self, x):
        return 1 / (1 + np.exp(-x))

    def sigmoid_derivative(self, x):
        return x * (1 - x)

    def forward(self, X):
        self.z1 = np.dot(X, self.W1) + self.b1
        self.a1 = self.sigmoid(self.z1)
        self.z2 = np.dot(self.a1, self.W2) + self.b2
        self.a2 = self.sigmoid(self.z2)
        return self.a2

    def compute_loss(self, y_true, y_pred):
        return 0.5 * np.sum((y_true - y_pred) ** 2)

    def backward(self, X, y, output, learning_rate):
        error = output - y
        d_z2 = error * self.sigmoid_derivative(output)
        d_W2 = np.dot(self.a1.T, d_z2)
        d_b2 = np.sum(d_z2, axis=0, keepdims=True)
        d_a1 = np.dot(d_z2, self.W2.T)
        d_z1 = d_a1 * self.sigmoid_derivative(self.a1)
        d_W1 = np.dot(X.T, d_z1)
        d_b1 = np.sum(d_z1, axis=0, keepdims=True)
        self.W2 -= learning_rate * d_W2
        self.b2 -= learning_rate * d_b2
        self.W1 -= learning_rate * d_W1
        self.b1 -= learning_rate * d_b1
        return d_W1, d_b1, d_W2, d_b2
""",
        Style.CLASS,
        "NeuralNetwork",
        {"W1", "b1", "W2", "b2"},
        {"X": normal(4, 3), "y": np.array([[0.0], [1], [1], [0]])},
        make="NeuralNetwork(3, 5, 1)",
        gradients={"d_z2": "z2", "d_W1": "W1"},
        absent=("error", "self.W1"),
        upstream=("",),
    ),
)
