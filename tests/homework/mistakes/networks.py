"""Mistakes in networks: layers, activations and a loss in one function."""

from tests.homework.mistakes.planted import Fault, Mistake, planted

NET = "two_layer_net.py:TwoLayerNet.loss"
FUNCTION = "two_layer_function.py:two_layer_net"
STAGES = "two_layer_other_stages.py:two_layer_loss"
STEP = "train_step.py:train_step"
DELTA = "backprop_delta.py:backprop"
DEEP = "fully_connected.py:fc_net_loss"
BLOCK = "residual_block.py:block"
ATTENTION = "attention_einsum.py:attention"
DOT_PRODUCT = "attention_class.py:ScaledDotProductAttention"
GRAD_H = ("grad_h = grad_h_relu.copy()", "grad_h[h < 0] = 0")

NETWORKS = (
    planted(
        "two-layer-db1-axis",
        NET,
        "grads['b1'] = np.sum(dhidden, axis=0)",
        "grads['b1'] = np.sum(dhidden, axis=1)",
        "wrong-axis",
    ),
    planted(
        "two-layer-db2-mean",
        NET,
        "grads['b2'] = np.sum(dscores, axis=0)",
        "grads['b2'] = np.mean(dscores, axis=0)",
        "mean-for-sum factor",
    ),
    planted("two-layer-reg-factor-W2", NET, "dot(dscores) + 2 * reg * W2", "dot(dscores) + reg * W2", "factor"),
    planted(
        "two-layer-reg-missing-W1",
        NET,
        "X.T.dot(dhidden) + 2 * reg * W1",
        "X.T.dot(dhidden)",
        "missing-term missing-path",
    ),
    planted(
        "two-layer-relu-not-masked",
        NET,
        "        dhidden[hidden <= 0] = 0\n",
        "",
        "mask",
        at="dhidden = dscores.dot(W2.T)",
    ),
    planted(
        "two-layer-no-division",
        NET,
        "        dscores /= N\n",
        "",
        "factor",
        at=("dscores = probs", "dscores[range(N), y] -= 1"),
    ),
    planted("two-layer-dhidden-transposed", NET, "dscores.dot(W2.T)", "dscores.dot(W2)", "transposed"),
    planted(
        "two-layer-W1-wrong-gradient",
        NET,
        "X.T.dot(dhidden)",
        "X.T.dot(dscores)",
        "wrong-gradient shape",
    ),
    planted(
        "two-layer-b1-is-zero",
        NET,
        "np.sum(dhidden, axis=0)",
        "np.zeros_like(b1)",
        "missing-path unexplained",
        at="grads['b1'] = np.zeros_like(b1)",
    ),
    planted(
        "function-relu-mask-of-upstream", FUNCTION, "dz1 = da1 * (z1 > 0)", "dz1 = da1 * (da1 > 0)", "wrong-point mask"
    ),
    planted("function-relu-upstream", FUNCTION, "dz1 = da1 * (z1 > 0)", "dz1 = 1.0 * (z1 > 0)", "upstream"),
    planted("function-relu-not-masked", FUNCTION, "dz1 = da1 * (z1 > 0)", "dz1 = da1", "mask wrong-gradient"),
    planted(
        "function-no-division",
        FUNCTION,
        "  dz2 /= N\n",
        "",
        "factor",
        at=("dz2 = probs.copy()", "dz2[range(N), y] -= 1"),
    ),
    planted(
        "function-b2-over-all",
        FUNCTION,
        "grads['b2'] = np.sum(dz2, axis=0)",
        "grads['b2'] = np.sum(dz2)",
        "wrong-axis shape",
    ),
    planted(
        "function-b1-divided-again",
        FUNCTION,
        "grads['b1'] = np.sum(dz1, axis=0)",
        "grads['b1'] = np.sum(dz1, axis=0) / N",
        "factor mean-for-sum",
    ),
    planted(
        "function-b1-near-identical-name",
        FUNCTION,
        "grads['b1'] = np.sum(dz1, axis=0)",
        "grads['b1'] = np.sum(da1, axis=0)",
        "wrong-gradient",
    ),
    planted("function-W1-near-identical-name", FUNCTION, "np.dot(X.T, dz1)", "np.dot(X.T, da1)", "wrong-gradient"),
    planted("function-W2-of-pre-activation", FUNCTION, "np.dot(a1.T, dz2)", "np.dot(z1.T, dz2)", "wrong-point"),
    planted("function-reg-overwrites", FUNCTION, "grads['W1'] += reg * W1", "grads['W1'] = reg * W1", "overwritten"),
    Mistake(
        "function-one-weight-twice",
        "two_layer_function.py",
        "two_layer_net",
        (("  grads['W1'] += reg * W1\n", "  grads['W2'] += reg * W2\n"),),
        (
            Fault(("grads['W2'] += reg * W2", "grads['W2'] = np.dot(a1.T, dz2)"), ("factor", "unexplained")),
            Fault(("grads['W1'] = np.dot(X.T, dz1)",), ("missing-term", "missing-path")),
        ),
    ),
    planted("stages-dv-not-masked", STAGES, "dv = dh * on", "dv = dh", "mask wrong-gradient", at="    dv = dh"),
    planted("stages-dh-from-W1", STAGES, "dh = ds @ W2.T", "dh = ds @ W2", "transposed"),
    planted(
        "stages-dW1-reg-of-W2", STAGES, "X.T @ dv + 2 * reg * W1", "X.T @ dv + 2 * reg", "unexplained missing-term"
    ),
    planted(
        "stages-ds-no-division",
        STAGES,
        "    ds /= N\n",
        "",
        "factor",
        at=("ds = np.exp(logp)", "ds[np.arange(N), y] -= 1"),
    ),
    planted("stages-db1-from-ds", STAGES, "db1 = dv.sum(0)", "db1 = dh.sum(0)", "wrong-gradient"),
    planted(
        "step-W2-updated-too-early",
        STEP,
        (
            ("    W2 = W2 - learning_rate * grad_W2\n", ""),
            (
                "    grad_h_relu = grad_y_pred.dot(W2.T)\n",
                "    W2 = W2 - learning_rate * grad_W2\n    grad_h_relu = grad_y_pred.dot(W2.T)\n",
            ),
        ),
        "",
        "wrong-point unexplained",
        at=("grad_h_relu = grad_y_pred.dot(W2.T)", "W2 = W2 - learning_rate * grad_W2"),
    ),
    planted(
        "step-W2-updated-in-place-too-early",
        STEP,
        (
            ("    W2 = W2 - learning_rate * grad_W2\n", ""),
            (
                "    grad_h_relu = grad_y_pred.dot(W2.T)\n",
                "    W2 -= learning_rate * grad_W2\n    grad_h_relu = grad_y_pred.dot(W2.T)\n",
            ),
        ),
        "",
        "wrong-point unexplained",
        at=("grad_h_relu = grad_y_pred.dot(W2.T)", "W2 -= learning_rate * grad_W2"),
    ),
    planted("step-not-masked", STEP, "    grad_h[h < 0] = 0\n", "", "mask wrong-gradient", at=GRAD_H[0]),
    planted(
        "step-mask-inverted",
        STEP,
        "grad_h[h < 0] = 0",
        "grad_h[h > 0] = 0",
        "mask",
        at=("grad_h[h > 0] = 0", GRAD_H[0]),
    ),
    planted("step-square-factor", STEP, "2.0 * (y_pred - y)", "(y_pred - y)", "factor"),
    planted("step-square-sign", STEP, "2.0 * (y_pred - y)", "2.0 * (y - y_pred)", "sign"),
    planted("step-b1-wrong-gradient", STEP, "grad_b1 = grad_h.sum", "grad_b1 = grad_h_relu.sum", "wrong-gradient"),
    planted("step-W2-of-pre-activation", STEP, "h_relu.T.dot(grad_y_pred)", "h.T.dot(grad_y_pred)", "wrong-point"),
    planted("step-b2-not-summed", STEP, "grad_b2 = grad_y_pred.sum(axis=0)", "grad_b2 = grad_y_pred", "not-summed"),
    planted(
        "delta1-post-derivative",
        DELTA,
        "delta1 = np.dot(w2.T, delta2) * a1 * (1 - a1)",
        "delta1 = np.dot(w2.T, delta2) * sigmoid(a1) * (1 - sigmoid(a1))",
        "wrong-point",
    ),
    planted(
        "delta1-no-activation",
        DELTA,
        "delta1 = np.dot(w2.T, delta2) * a1 * (1 - a1)",
        "delta1 = np.dot(w2.T, delta2)",
        "wrong-gradient mask unexplained",
    ),
    planted(
        "delta1-not-transposed", DELTA, "delta1 = np.dot(w2.T, delta2)", "delta1 = np.dot(w2, delta2)", "transposed"
    ),
    planted(
        "delta2-no-activation",
        DELTA,
        "delta2 = (a2 - y) * a2 * (1 - a2)",
        "delta2 = (a2 - y)",
        "wrong-gradient unexplained",
    ),
    planted("delta2-upstream", DELTA, "delta2 = (a2 - y) * a2 * (1 - a2)", "delta2 = a2 * (1 - a2)", "upstream"),
    planted("delta2-sign", DELTA, "delta2 = (a2 - y) *", "delta2 = (y - a2) *", "sign"),
    planted("delta-b1-near-identical-name", DELTA, 'grads["b1"] = delta1', 'grads["b1"] = delta2', "wrong-gradient"),
    planted("delta-w1-transposed", DELTA, "np.dot(delta1, x.T)", "np.dot(x, delta1.T)", "transposed"),
    planted("deep-wrong-upstream", DEEP, "dh = da.dot(params", "dh = dh.dot(params", "wrong-gradient"),
    planted("deep-not-masked", DEEP, "da = dh * (pre[i] > 0)", "da = dh", "mask wrong-gradient", at="        da = dh"),
    planted("deep-mask-of-upstream", DEEP, "da = dh * (pre[i] > 0)", "da = dh * (dh > 0)", "wrong-point mask"),
    planted(
        "deep-bias-wrong-gradient",
        DEEP,
        "grads['b' + str(i)] = np.sum(da, axis=0)",
        "grads['b' + str(i)] = np.sum(dh, axis=0)",
        "wrong-gradient",
    ),
    planted(
        "deep-reg-of-hidden-layers-forgotten",
        DEEP,
        "inputs[i].T.dot(da) + reg * params['W' + str(i)]",
        "inputs[i].T.dot(da)",
        "missing-term missing-path",
    ),
    planted(
        "deep-reg-factor",
        DEEP,
        "dot(dscores) + reg * params['W' + last]",
        "dot(dscores) + 2 * reg * params['W' + last]",
        "factor",
    ),
    planted(
        "deep-softmax-no-division",
        "fully_connected.py:softmax_loss",
        "    dx /= N\n",
        "",
        "factor",
        at=("dx = np.exp(log_probs)", "dx[np.arange(N), y] -= 1"),
    ),
    planted("block-fork-overwritten", BLOCK, "dx += dh @ W1.T", "dx = dh @ W1.T", "overwritten missing-path"),
    planted("block-fork-forgotten", BLOCK, "    dx += dh @ W1.T\n", "", "missing-path", at="dx = dy.copy()"),
    planted(
        "block-length-is-constant", BLOCK, "    dy = dy + 2 * y * ds\n", "", "missing-path", at="dy = dout / np.sqrt"
    ),
    planted("block-length-factor", BLOCK, "dy = dy + 2 * y * ds", "dy = dy + y * ds", "factor"),
    planted("block-not-masked", BLOCK, "dh = da * (h > 0)", "dh = da", "mask wrong-gradient", at="    dh = da"),
    planted(
        "attention-scale",
        ATTENTION,
        "    dscores = dscores / np.sqrt(d)\n",
        "",
        "factor",
        at="dscores = A * (dA",
    ),
    planted(
        "attention-dV-transposed",
        ATTENTION,
        "dV = np.einsum('bts,bte->bse', A, dout)",
        "dV = np.einsum('bts,bse->bte', A, dout)",
        "transposed",
    ),
    planted(
        "attention-softmax-elementwise",
        ATTENTION,
        "dscores = A * (dA - np.sum(dA * A, axis=-1, keepdims=True))",
        "dscores = A * (1 - A) * dA",
        "missing-path missing-term unexplained",
        at=("dscores = A * (1 - A) * dA", "dscores = dscores / np.sqrt(d)"),
    ),
    planted(
        "attention-softmax-axis",
        ATTENTION,
        "np.sum(dA * A, axis=-1, keepdims=True)",
        "np.sum(dA * A, axis=1, keepdims=True)",
        "wrong-axis",
        at=("dscores = A * (dA", "dscores = dscores / np.sqrt(d)"),
    ),
    planted(
        "attention-dQ-of-weights",
        ATTENTION,
        "dQ = np.einsum('bts,bsd->btd', dscores, K)",
        "dQ = np.einsum('bts,bsd->btd', dA, K)",
        "wrong-gradient",
    ),
    planted(
        "softmax-class-without-sum",
        "attention_class.py:Softmax",
        "dLdZ = self.A * (dLdA - dot)",
        "dLdZ = self.A * dLdA",
        "missing-path missing-term",
    ),
    planted(
        "dot-product-scale",
        DOT_PRODUCT,
        "d_scaled = d_scaled / np.sqrt(self.d_k)",
        "d_scaled = d_scaled * np.sqrt(self.d_k)",
        "factor",
        at=("d_scaled = d_scaled * np.sqrt(self.d_k)", "d_scaled = self.softmax.backward(d_weights)"),
    ),
    planted("dot-product-d_V", DOT_PRODUCT, "d_V = self.weights.T @", "d_V = self.weights @", "transposed"),
    planted("dot-product-d_Q", DOT_PRODUCT, "d_Q = d_scaled @ self.K", "d_Q = d_weights @ self.K", "wrong-gradient"),
    planted(
        "dot-product-d_K", DOT_PRODUCT, "d_K = d_scaled.T @ self.Q", "d_K = d_scaled.T @ self.K", "wrong-point shape"
    ),
)
