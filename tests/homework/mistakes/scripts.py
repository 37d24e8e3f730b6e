"""Mistakes in scripts without a function, and in a notebook."""

from tests.homework.mistakes.planted import planted

CIRCUIT = "circuit_script.py:circuit_script"
NEURON = "neuron_script.py:neuron_script"
MATMUL = "matmul_script.py:matmul_script"
SIMPLE = "simple_script.py:simple_script"
TOY = "toy_net_script.py:toy_net_script"

SCRIPTS = (
    planted("circuit-overwrites-dx", CIRCUIT, "dx += ((1 - sigx)", "dx = ((1 - sigx)", "overwritten missing-path"),
    planted("circuit-overwrites-dy", CIRCUIT, "dy += ((1 - sigy)", "dy = ((1 - sigy)", "overwritten missing-path"),
    planted("circuit-dden-sign", CIRCUIT, "dden = (-1.0 / (den**2))", "dden = (1.0 / (den**2))", "sign"),
    planted(
        "circuit-dden-upstream", CIRCUIT, "(-1.0 / (den**2)) * dinvden ", "(-1.0 / (den**2)) ", "upstream", at="dden = "
    ),
    planted("circuit-square-factor", CIRCUIT, "dxpy = (2 * xpy) * dxpysqr", "dxpy = (xpy) * dxpysqr", "factor"),
    planted("circuit-sigmoid-at-x", CIRCUIT, "((1 - sigx) * sigx)", "((1 - x) * x)", "wrong-point"),
    planted("circuit-sigmoid-upstream", CIRCUIT, "((1 - sigx) * sigx) * dsigx", "((1 - sigx) * sigx)", "upstream"),
    planted(
        "circuit-dy-first-path-only",
        CIRCUIT,
        "dy += ((1 - sigy) * sigy) * dsigy",
        "pass # dy is done already",
        "missing-path",
        at="dy = (1) * dxpy",
    ),
    planted(
        "circuit-dx-numerator-forgotten",
        CIRCUIT,
        "dx += (1) * dnum  ",
        "pass   ",
        "missing-path",
        at=("dx += ((1 - sigx)", "dx = (1) * dxpy"),
    ),
    planted("circuit-dnum-wrong-operand", CIRCUIT, "dnum = invden", "dnum = num", "wrong-point"),
    planted("circuit-dsigy-upstream", CIRCUIT, "dsigy = (1) * dnum", "dsigy = 1.0", "upstream"),
    planted(
        "circuit-dx-wrong-gradient",
        CIRCUIT,
        "dx = (1) * dxpy",
        "dx = (1) * dxpysqr",
        "wrong-gradient",
        at=("dx = (1) * dxpysqr", "dx += ((1 - sigx)", "dx += (1) * dnum"),
    ),
    planted("neuron-at-pre-activation", NEURON, "ddot = (1 - f) * f", "ddot = (1 - dot) * dot", "wrong-point"),
    planted("neuron-bias-upstream", NEURON, "1.0 * ddot]", "1.0]", "upstream", at="dw = ["),
    planted(
        "neuron-dx-of-x", NEURON, "dx = [w[0] * ddot, w[1] * ddot]", "dx = [x[0] * ddot, x[1] * ddot]", "wrong-point"
    ),
    planted(
        "neuron-dx-exchanged",
        NEURON,
        "dx = [w[0] * ddot, w[1] * ddot]",
        "dx = [w[1] * ddot, w[0] * ddot]",
        "unexplained transposed wrong-point",
    ),
    planted("matmul-dW-transposed", MATMUL, "dW = dD.dot(X.T)", "dW = dD.dot(X)", "transposed"),
    planted("matmul-dX-order", MATMUL, "dX = W.T.dot(dD)", "dX = dD.T.dot(W)", "transposed"),
    planted("simple-dfdx-upstream", SIMPLE, "dfdx = dfdq * dqdx", "dfdx = dqdx", "upstream"),
    planted("simple-dfdz-wrong-operand", SIMPLE, "dfdz = q", "dfdz = z", "wrong-point"),
    planted("simple-dfdy-wrong-gradient", SIMPLE, "dfdy = dfdq * dqdy", "dfdy = dfdz * dqdy", "wrong-gradient"),
    planted("simple-sign", SIMPLE, "dfdx = dfdq * dqdx", "dfdx = -dfdq * dqdx", "sign"),
    planted(
        "toy-not-masked", TOY, "dhidden[hidden_layer <= 0] = 0\n", "", "mask", at="dhidden = np.dot(dscores, W2.T)"
    ),
    planted(
        "toy-db-mean",
        TOY,
        "db = np.sum(dhidden, axis=0, keepdims=True)",
        "db = np.mean(dhidden, axis=0, keepdims=True)",
        "mean-for-sum factor",
    ),
    planted("toy-dW2-reg-factor", TOY, "dW2 += reg * W2", "dW2 += 2 * reg * W2", "factor"),
    planted(
        "toy-dW-no-regulariser", TOY, "dW += reg * W\n", "", "missing-term missing-path", at="dW = np.dot(X.T, dhidden)"
    ),
    planted(
        "toy-no-division",
        TOY,
        "dscores /= N\n",
        "",
        "factor",
        at=("dscores = probs.copy()", "dscores[range(N), y] -= 1"),
    ),
    planted("toy-dhidden-transposed", TOY, "np.dot(dscores, W2.T)", "np.dot(dscores, W2)", "transposed"),
    planted(
        "notebook-db-axis", "exercise.ipynb:linear", "db = dout.sum(axis=0)", "db = dout.sum(axis=1)", "wrong-axis"
    ),
    planted("notebook-dx-transposed", "exercise.ipynb:linear", "dx = dout @ w.T", "dx = dout @ w", "transposed"),
    planted(
        "notebook-no-division",
        "exercise.ipynb:softmax_loss",
        '    "    dscores /= n\\n",\n',
        "",
        "factor",
        at=("dscores = p", "dscores[np.arange(n), y] -= 1"),
    ),
)
