"""Harmless changes of correct homework: other spellings of the same value, which nobody may call wrong."""

from __future__ import annotations

from tests.homework.mistakes.planted import Mistake


def variant(name: str, function: str, *changes: tuple[str, str]) -> Mistake:
    homework, _, function = function.partition(":")
    return Mistake(name, homework, function, changes, ())


AFFINE = "layers_cs231n.py:affine"
RELU = "layers_cs231n.py:relu"
SOFTMAX = "softmax_vectorized.py:softmax_loss_vectorized"
STAGED = "batchnorm_staged.py:batchnorm"

VARIANTS = (
    variant("affine-db-ones", AFFINE, ("db = np.sum(dout, axis=0)", "db = np.ones(N).dot(dout)")),
    variant(
        "affine-dw-einsum",
        AFFINE,
        ("dw = x.reshape(N, -1).T.dot(dout)", "dw = np.einsum('nd,nm->dm', x.reshape(N, -1), dout)"),
    ),
    variant(
        "affine-dw-transposed-twice",
        AFFINE,
        ("dw = x.reshape(N, -1).T.dot(dout)", "dw = dout.T.dot(x.reshape(N, -1)).T"),
    ),
    variant("relu-at-least-zero", RELU, ("dx = dout * (x > 0)", "dx = dout * (x >= 0)")),
    variant("relu-where", RELU, ("dx = dout * (x > 0)", "dx = np.where(x > 0, dout, 0)")),
    variant("relu-copy", RELU, ("dx = dout * (x > 0)", "dx = np.array(dout, copy=True)\n    dx[x < 0] = 0")),
    variant("relu-of-output", RELU, ("cache = x\n", "cache = out\n")),
    variant(
        "softmax-one-hot",
        SOFTMAX,
        (
            "    dscores = probs.copy()\n    dscores[np.arange(num_train), y] -= 1\n    dscores /= num_train\n",
            "    onehot = np.zeros_like(probs)\n    onehot[np.arange(num_train), y] = 1\n"
            "    dscores = (probs - onehot) / num_train\n",
        ),
    ),
    variant(
        "softmax-division-at-the-end",
        SOFTMAX,
        ("    dscores /= num_train\n", ""),
        ("dW = X.T.dot(dscores)", "dW = X.T.dot(dscores) / num_train"),
        ("dscores = probs.copy()", "G = probs.copy()"),
        ("dscores[np.arange(num_train), y] -= 1", "G[np.arange(num_train), y] -= 1"),
        ("X.T.dot(dscores)", "X.T.dot(G)"),
    ),
    variant("softmax-W-plus-W", SOFTMAX, ("dW += 2 * reg * W", "dW += reg * W + reg * W")),
    variant(
        "softmax-in-place",
        SOFTMAX,
        ("dscores = probs.copy()", "dscores = probs"),
    ),
    variant(
        "softmax-sum-of-outer-products",
        SOFTMAX,
        ("dW = X.T.dot(dscores)", "for k in range(num_train):\n        dW += np.outer(X[k], dscores[k])"),
    ),
    variant("staged-dmu-zero-term-left-out", STAGED, ("np.sum(dxmu1+dxmu2, axis=0)", "np.sum(dxmu1, axis=0)")),
    variant(
        "staged-dbeta-late",
        STAGED,
        ("  dbeta = np.sum(dout, axis=0)\n", ""),
        ("  dx = dx1 + dx2\n", "  dx = dx1 + dx2\n  dbeta = dout.sum(0)\n"),
    ),
    variant(
        "staged-dx-in-place",
        STAGED,
        ("dx1 = (dxmu1 + dxmu2)", "dx = (dxmu1 + dxmu2)"),
        ("  dx = dx1 + dx2\n", "  dx += dx2\n"),
    ),
    variant(
        "staged-dvar-power",
        STAGED,
        ("dvar = 0.5 * 1. /np.sqrt(var+eps) * dsqrtvar", "dvar = 0.5 * (var+eps)**(-0.5) * dsqrtvar"),
    ),
    variant("staged-dsq-broadcast", STAGED, ("dsq = 1. /N * np.ones((N,D)) * dvar", "dsq = dvar / N")),
    variant(
        "paper-zero-term-left-out", "batchnorm_paper.py:batchnorm", (" + dvar * np.mean(-2 * (x - mean), axis=0)", "")
    ),
    variant("cmu-second-left-out", "batchnorm_cmu.py:BatchNorm1d", ("dLdM = first + second", "dLdM = first")),
    variant("tanh-of-hidden", "rnn_layers.py:rnn_step", ("(1 - next_h ** 2)", "(1 + next_h) * (1 - next_h)")),
    variant("rnn-dx-by-slice", "rnn_layers.py:rnn", ("dx[:, t, :] = dx_t", "dx[:, t] += dx_t")),
    variant(
        "unrolled-dh-in-place",
        "rnn_unrolled.py:rnn",
        ("dh = dhs[t] + dh_next", "dh = dhs[t].copy()\n        dh += dh_next"),
    ),
    variant(
        "lstm-dc-in-two-steps",
        "lstm_step.py:lstm_step",
        ("dc = dnext_c + dnext_h * o * (1 - tanh_c ** 2)", "dc = dnext_h * o * (1 - tanh_c ** 2)\n    dc += dnext_c"),
    ),
    variant(
        "lstm-dnext-c-in-place",
        "lstm_step.py:lstm_step",
        (
            "dc = dnext_c + dnext_h * o * (1 - tanh_c ** 2)",
            "dnext_c = dnext_c + dnext_h * o * (1 - tanh_c ** 2)\n    dc = dnext_c",
        ),
    ),
    variant(
        "lstm-gates-filled",
        "lstm_step.py:lstm_step",
        (
            "da = np.hstack((da_i, da_f, da_o, da_g))",
            "H = i.shape[1]\n    da = np.zeros((i.shape[0], 4 * H))\n    da[:, :H] = da_i\n"
            "    da[:, H:2 * H] = da_f\n    da[:, 2 * H:3 * H] = da_o\n    da[:, 3 * H:] = da_g",
        ),
    ),
    variant(
        "conv-db-in-the-loop",
        "conv_naive.py:conv_naive",
        ("db = np.sum(dout, axis=(0, 2, 3))", "db = np.zeros_like(b)"),
        (
            "                    dw[f] += dout",
            "                    db[f] += dout[n, f, i, j]\n                    dw[f] += dout",
        ),
    ),
    variant(
        "conv-crop-with-none",
        "conv_naive.py:conv_naive",
        ("dx_pad[:, :, pad:pad + H, pad:pad + W]", "dx_pad[:, :, pad:-pad, pad:-pad] if pad > 0 else dx_pad"),
    ),
    variant(
        "conv-weights-by-window",
        "conv_naive.py:conv_naive",
        ("dw[f] += dout[n, f, i, j] * window", "dw[f, :, :, :] += window * dout[n, f, i, j]"),
    ),
    variant(
        "pool-where", "max_pool.py:max_pool_naive", ("dout[n, c, i, j] * mask", "np.where(mask, dout[n, c, i, j], 0)")
    ),
    variant(
        "embedding-one-hot",
        "word_embedding.py:word_embedding",
        (
            "    dW = np.zeros(W_shape)\n    np.add.at(dW, x, dout)\n",
            "    onehot = np.eye(W_shape[0])[x.reshape(-1)]\n    dW = onehot.T.dot(dout.reshape(-1, W_shape[1]))\n",
        ),
    ),
    variant(
        "svm-bool-sum-by-class",
        "svm_bool.py:multiclass_svm",
        ("dscores[range(n), y] -= count", "for k in range(n):\n        dscores[k, y[k]] -= count[k]"),
    ),
    variant(
        "svm-regulariser-first",
        "svm_mask.py:svm_loss_vectorized",
        (
            "    dW = X.T @ mask\n    dW /= N\n    dW += 2 * reg * W\n",
            "    dW += 2 * reg * W\n    dW += X.T @ mask / N\n",
        ),
    ),
    variant(
        "circuit-dx-in-one", "circuit_script.py:circuit_script", ("dx = (1) * dxpy", "dx = 1 * (2 * xpy) * dxpysqr")
    ),
    variant(
        "circuit-sigmoid-by-exp",
        "circuit_script.py:circuit_script",
        ("((1 - sigy) * sigy) * dsigy", "math.exp(-y) / (1 + math.exp(-y))**2 * dsigy"),
    ),
    variant(
        "toy-mask-multiplied",
        "toy_net_script.py:toy_net_script",
        ("dhidden[hidden_layer <= 0] = 0", "dhidden = dhidden * (hidden_layer > 0)"),
    ),
    variant(
        "two-layer-upstream-scaled-late",
        "two_layer_function.py:two_layer_net",
        ("da1 = np.dot(dz2, W2.T)", "da1 = np.matmul(dz2, np.transpose(W2))"),
    ),
    variant(
        "step-reused-name",
        "train_step.py:train_step",
        ("grad_h = grad_h_relu.copy()\n    grad_h[h < 0] = 0", "grad_h = grad_h_relu * (h_relu > 0)"),
    ),
    variant(
        "delta-hadamard",
        "backprop_delta.py:backprop",
        (
            "delta1 = np.dot(w2.T, delta2) * a1 * (1 - a1)",
            "delta1 = np.multiply(np.dot(delta2.T, w2).T, sigmoid(z1) * (1 - sigmoid(z1)))",
        ),
    ),
    variant(
        "logistic-short",
        "logistic_regression.py:logistic_loss",
        ("    dp = -(y / p - (1 - y) / (1 - p)) / N\n    dz = dp * p * (1 - p)\n", "    dz = (p - y) / N\n"),
    ),
    variant(
        "attention-jacobian",
        "attention_class.py:Softmax",
        (
            "        dot = np.sum(dLdA * self.A, axis=1, keepdims=True)\n        dLdZ = self.A * (dLdA - dot)\n",
            "        dLdZ = np.zeros(dLdA.shape)\n        for i in range(dLdA.shape[0]):\n"
            "            J = np.diag(self.A[i]) - np.outer(self.A[i], self.A[i])\n"
            "            dLdZ[i, :] = dLdA[i, :] @ J\n",
        ),
    ),
    variant(
        "gelu-names-of-gradients",
        "gelu_temporaries.py:gelu",
        ("    return b + h", "    dx = b\n    dx = dx + h\n    return dx"),
    ),
    variant(
        "cross-entropy-minus",
        "mlp_cmu.py:CrossEntropyLoss",
        ("self.softmax * np.sum(self.Y, axis=1, keepdims=True) - self.Y", "self.softmax - self.Y"),
    ),
    variant(
        "dense-db-loop",
        "dense_self_grads.py:Dense",
        (
            "self.db = np.sum(dz, axis=0)",
            "self.db = np.zeros_like(self.b)\n        for row in dz:\n            self.db += row",
        ),
    ),
)
