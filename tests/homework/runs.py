"""How each homework of the set is run directly, to hold its gradients against central differences without the judge.

One `Run` for each function, pair, class or script: `tests.homework.test_sets` proves with them that everything in
`correct/` is right and that every planted mistake changes a gradient.
"""

from __future__ import annotations

import ast
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tests.homework.arguments import ARGUMENTS, Arguments

CORRECT = Path(__file__).parent / "correct"
STEP = 1e-6
TOLERANCE = 1e-5  # norm-wise, relative to 1 + the norm of the right gradient
SEEDS = range(4)

Module = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Run:
    """One function of a homework.

    Attributes:
        file: in `correct/`.
        function: the name that a report gives it.
        forward: from the module's names and the arguments to the differentiated results.
        backward: from the module's names, the arguments and the upstream gradients to gradients by variable; a variable
            is a key of the arguments, or `params.W1` for an entry of one that is a dict.
    """

    file: str
    function: str
    forward: Callable[[Module, Arguments], tuple[Any, ...]]
    backward: Callable[[Module, Arguments, tuple[Any, ...]], dict[str, Any]]

    def arguments(self, seed: int) -> Arguments:
        return ARGUMENTS[self.file, self.function](np.random.default_rng(seed), seed)


def flat(file: str, function: str, wrt: str, *, of: str = "", keys: str = "", place: int = 0) -> Run:
    """`function` returns the loss (in `place`) and gradients, or a dict of them with `keys`; `of`: a dict parameter."""
    variables = [f"{of}.{name}" if of else name for name in wrt.split()]

    def backward(module: Module, arguments: Arguments, _: tuple[Any, ...]) -> dict[str, Any]:
        result = call(module, function, arguments)
        rest = result[:place] + result[place + 1 :]
        values = [rest[0][key] for key in keys.split()] if keys else rest
        return dict(zip(variables, values, strict=True))

    return Run(file, function, lambda module, arguments: (call(module, function, arguments)[place],), backward)


def pair(file: str, function: str, forward: str, backward: str, wrt: str, results: int = 1) -> Run:
    """`forward` returns `results` values and the cache; `backward` takes as many upstream gradients and the cache."""

    def values(module: Module, arguments: Arguments) -> tuple[Any, ...]:
        result = module[forward](**arguments)
        return tuple(result[:results])

    def gradients(module: Module, arguments: Arguments, upstream: tuple[Any, ...]) -> dict[str, Any]:
        cache = module[forward](**arguments)[results]
        found = module[backward](*[np.array(dout) for dout in upstream], cache)
        found = found if isinstance(found, tuple) else (found,)
        return dict(zip(wrt.split(), found, strict=True))

    return Run(file, function, values, gradients)


def layer(
    file: str,
    name: str,
    wrt: str = "",
    *,
    own: Mapping[str, str] | None = None,
    init: tuple[Any, ...] = (),
    given: tuple[str, ...] = (),
    upstream: bool = True,
    call: str = "forward",
) -> Run:
    """A class: `own` maps attributes (arguments of the same name are put there) to those that hold their gradients.

    `given`: arguments that `__init__` takes, by place; `init` other ones.
    """
    own = own or {}

    def run(module: Module, arguments: Arguments) -> tuple[Any, Any]:
        made = module[name](*[arguments[key] for key in given], *init)
        for attribute in own:
            setattr(made, attribute, arguments[attribute])
        inputs = [value for key, value in arguments.items() if key not in own and key not in given]
        return made, getattr(made, call)(*inputs)

    def backward(module: Module, arguments: Arguments, douts: tuple[Any, ...]) -> dict[str, Any]:
        made, _ = run(module, arguments)
        found = made.backward(np.array(douts[0])) if upstream else made.backward()
        found = found if isinstance(found, tuple) else (found,)
        gradients = {variable: getattr(made, attribute) for variable, attribute in own.items()}
        return gradients | dict(zip(wrt.split(), found, strict=False))

    return Run(file, name, lambda module, arguments: (run(module, arguments)[1],), backward)


def script(file: str, result: str, wrt: Mapping[str, str], upstream: str = "") -> Run:
    """A script: the values of its leaves are replaced; `wrt` maps a leaf to the name that holds its gradient."""

    def final(module: Module, arguments: Arguments, seed: tuple[Any, ...] | None) -> dict[str, Any]:
        values = dict(arguments)
        if seed is not None and upstream:
            values[upstream] = seed[0]
        return module["__rerun__"](values)

    def forward(module: Module, arguments: Arguments) -> tuple[Any, ...]:
        return (final(module, arguments, None)[result],)

    def backward(module: Module, arguments: Arguments, douts: tuple[Any, ...]) -> dict[str, Any]:
        names = final(module, arguments, douts)
        return {variable: names[name] for variable, name in wrt.items()}

    return Run(file, Path(file).stem, forward, backward)


def call(module: Module, function: str, arguments: Arguments) -> tuple[Any, ...]:
    if "." not in function:
        return module[function](**arguments)
    owner, method = function.split(".")
    made = module[owner].__new__(module[owner])
    made.params = arguments["params"]
    return getattr(made, method)(**{key: value for key, value in arguments.items() if key != "params"})


def load(text: str, name: str = "homework.py") -> dict[str, Any]:
    """The names that the homework defines; raises what it raises."""
    if name.endswith(".ipynb"):
        cells = [cell["source"] for cell in json.loads(text)["cells"] if cell["cell_type"] == "code"]
        lines = [
            line.rstrip("\n") for cell in cells for line in (cell if isinstance(cell, list) else cell.splitlines())
        ]
        text = "\n".join("" if line.startswith(("%", "!", "import matplotlib")) else line for line in lines)
    code = compile(text, name, "exec")
    names: dict[str, Any] = {"__name__": "homework"}
    exec(code, names)

    def rerun(values: Mapping[str, Any]) -> dict[str, Any]:
        scope: dict[str, Any] = {"__name__": "homework", "__values__": values}
        tree = ast.parse(text)
        for node in tree.body:
            if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.targets[0].id in values:
                node.value = ast.parse(f"__values__[{node.targets[0].id!r}]", mode="eval").body
        exec(compile(ast.fix_missing_locations(tree), name, "exec"), scope)
        return scope

    names["__rerun__"] = rerun
    return names


def copied(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: copied(item) for key, item in value.items()}
    if isinstance(value, np.ndarray):
        return value.copy()
    return [copied(item) for item in value] if isinstance(value, list) else value


def replaced(arguments: Arguments, variable: str, value: Any) -> Arguments:
    arguments = copied(arguments)
    key, _, entry = variable.partition(".")
    if entry:
        arguments[key][entry] = value
    else:
        arguments[key] = value.tolist() if isinstance(arguments[key], list) else value
    return arguments


def looked_up(arguments: Arguments, variable: str) -> np.ndarray:
    key, _, entry = variable.partition(".")
    return np.asarray(arguments[key][entry] if entry else arguments[key], dtype=float)


def differences(run: Run, module: Module, arguments: Arguments, variable: str, upstream: tuple[Any, ...]) -> np.ndarray:
    """Central differences of the results, weighted with the upstream gradients."""
    at = looked_up(arguments, variable)
    gradient = np.zeros(at.shape)

    def value(shifted: np.ndarray) -> float:
        results = run.forward(module, replaced(arguments, variable, shifted))
        return sum(float(np.sum(np.asarray(result) * dout)) for result, dout in zip(results, upstream, strict=True))

    for index in np.ndindex(at.shape):
        step = np.zeros(at.shape)
        step[index] = STEP
        gradient[index] = (value(at + step) - value(at - step)) / (2 * STEP)
    return gradient


def errors(run: Run, text: str, seed: int) -> dict[str, str]:
    """What is wrong with the gradients of a homework at one seed, by variable; `*` for a crash."""
    try:
        module = load(text, run.file)
    except Exception as error:  # a script runs its backward pass when it is loaded
        return {"*": f"{type(error).__name__}: {error}"}
    arguments = run.arguments(seed)
    rng = np.random.default_rng(seed + 1000)
    results = run.forward(load(original(run.file), run.file), copied(arguments))
    scalar = all(np.ndim(result) == 0 for result in results)
    upstream = tuple(np.float64(1.0) if scalar else rng.standard_normal(np.shape(result)) for result in results)
    try:
        gradients = run.backward(module, copied(arguments), upstream)
    except Exception as error:  # whatever a homework raises
        return {"*": f"{type(error).__name__}: {error}"}
    reference = load(original(run.file), run.file)
    found = {}
    for variable, gradient in gradients.items():
        right = differences(run, reference, arguments, variable, upstream)
        if gradient is None or np.shape(gradient) != right.shape:
            found[variable] = f"shape {np.shape(gradient)}, not {right.shape}"
        elif not np.linalg.norm(np.asarray(gradient) - right) <= TOLERANCE * (1 + np.linalg.norm(right)):
            found[variable] = (
                f"off by {np.linalg.norm(np.asarray(gradient) - right):.3g} of {np.linalg.norm(right):.3g}"
            )
    return found


def original(file: str) -> str:
    return (CORRECT / file).read_text(encoding="utf-8")


RUNS = (
    pair("layers_cs231n.py", "affine", "affine_forward", "affine_backward", "x w b"),
    pair("layers_cs231n.py", "relu", "relu_forward", "relu_backward", "x"),
    pair("layers_cs231n.py", "affine_relu", "affine_relu_forward", "affine_relu_backward", "x w b"),
    flat("softmax_vectorized.py", "softmax_loss_vectorized", "W"),
    flat("softmax_loops.py", "softmax_loss_naive", "W"),
    flat("svm_naive.py", "svm_loss_naive", "W"),
    flat("svm_mask.py", "svm_loss_vectorized", "W"),
    flat("svm_bool.py", "multiclass_svm", "scores"),
    flat("two_layer_net.py", "TwoLayerNet.loss", "W1 b1 W2 b2", of="params", keys="W1 b1 W2 b2"),
    flat("two_layer_function.py", "two_layer_net", "W1 b1 W2 b2", of="model", keys="W1 b1 W2 b2"),
    pair("batchnorm_staged.py", "batchnorm", "batchnorm_forward", "batchnorm_backward", "x gamma beta"),
    pair("batchnorm_paper.py", "batchnorm", "batchnorm_forward", "batchnorm_backward", "x gamma beta"),
    pair("batchnorm_short.py", "batchnorm", "batchnorm_forward", "batchnorm_backward_alt", "x gamma beta"),
    pair("batchnorm_no_zero_term.py", "batchnorm", "batchnorm_forward", "batchnorm_backward", "x gamma beta"),
    pair("layernorm.py", "layernorm", "layernorm_forward", "layernorm_backward", "x gamma beta"),
    pair("rnn_layers.py", "rnn_step", "rnn_step_forward", "rnn_step_backward", "x prev_h Wx Wh b"),
    pair("rnn_layers.py", "rnn", "rnn_forward", "rnn_backward", "x h0 Wx Wh b"),
    pair("rnn_unrolled.py", "rnn", "rnn_forward", "rnn_backward", "x h0 Wx Wh b"),
    pair("lstm_step.py", "lstm_step", "lstm_step_forward", "lstm_step_backward", "x prev_h prev_c Wx Wh b", results=2),
    pair("conv_naive.py", "conv_naive", "conv_forward_naive", "conv_backward_naive", "x w b"),
    pair("max_pool.py", "max_pool_naive", "max_pool_forward_naive", "max_pool_backward_naive", "x"),
    layer("max_pool_argmax.py", "MaxPool", "x", given=("k", "stride")),
    pair("avg_pool.py", "avgpool", "avgpool_forward", "avgpool_backward", "x"),
    pair("word_embedding.py", "word_embedding", "word_embedding_forward", "word_embedding_backward", "W"),
    layer("embedding_loop.py", "Embedding", own={"W": "dW"}, given=("W",)),
    pair("dropout.py", "dropout", "dropout_forward", "dropout_backward", "x"),
    pair("attention_einsum.py", "attention", "attention_forward", "attention_backward", "Q K V"),
    layer("attention_class.py", "Softmax", "Z"),
    layer("attention_class.py", "ScaledDotProductAttention", "Q K V"),
    flat("propagate.py", "propagate", "w b", keys="dw db", place=1),
    flat("logistic_regression.py", "logistic_loss", "w"),
    script("circuit_script.py", "f", {"x": "dx", "y": "dy"}),
    script("neuron_script.py", "f", {"w": "dw", "x": "dx"}),
    script("matmul_script.py", "D", {"W": "dW", "X": "dX"}, upstream="dD"),
    script("simple_script.py", "f", {"x": "dfdx", "y": "dfdy", "z": "dfdz"}),
    script("toy_net_script.py", "loss", {"W": "dW", "b": "db", "W2": "dW2", "b2": "db2"}),
    layer("mlp_cmu.py", "Linear", "A", own={"W": "dLdW", "b": "dLdb"}, init=(2, 3)),
    layer("mlp_cmu.py", "Sigmoid", "Z"),
    layer("mlp_cmu.py", "Tanh", "Z"),
    layer("mlp_cmu.py", "ReLU", "Z"),
    layer("mlp_cmu.py", "MSELoss", "A", upstream=False),
    layer("mlp_cmu.py", "CrossEntropyLoss", "A", upstream=False),
    layer("batchnorm_cmu.py", "BatchNorm1d", "Z", own={"BW": "dLdBW", "Bb": "dLdBb"}, init=(3,)),
    layer("dense_self_grads.py", "Dense", "x", own={"W": "dW", "b": "db"}, init=(2, 3)),
    layer("layer_returns_tuple.py", "LeakyLinear", "x W b", call="__call__"),
    pair("sigmoid_d_x.py", "sigmoid", "sigmoid_forward", "sigmoid_backward", "x"),
    layer("mse_x_grad.py", "MeanSquaredError", "pred", upstream=False),
    layer("mse_x_grad.py", "Scale", "x", own={"w": "w_grad"}, given=("w",)),
    flat("backprop_delta.py", "backprop", "w1 b1 w2 b2", keys="w1 b1 w2 b2"),
    flat("train_step.py", "train_step", "W1 b1 W2 b2"),
    flat("softmax_other_names.py", "loss_and_grad", "theta"),
    flat("two_layer_other_stages.py", "two_layer_loss", "W1 b1 W2 b2", keys="W1 b1 W2 b2"),
    pair("relu_inplace.py", "relu", "relu_forward", "relu_backward", "x"),
    pair("bilinear_einsum.py", "bilinear", "bilinear_forward", "bilinear_backward", "x y W"),
    pair("gelu_temporaries.py", "gelu", "gelu_forward", "gelu_backward", "x"),
    pair("l2_normalize.py", "normalize", "normalize_forward", "normalize_backward", "x"),
    flat("onehot_cross_entropy.py", "softmax_cross_entropy", "z"),
    flat("linear_regression.py", "mse_loss", "W b"),
    flat("min_char_rnn.py", "lossFun", "Wxh Whh Why bh by"),
    flat("fully_connected.py", "fc_net_loss", "W1 b1 W2 b2 W3 b3", of="params", keys="W1 b1 W2 b2 W3 b3"),
    flat("fully_connected.py", "softmax_loss", "x"),
    flat("vae_loss.py", "vae_loss", "mu log_var"),
    pair("activations.py", "elu", "elu_forward", "elu_backward", "x"),
    pair("activations.py", "softplus", "softplus_forward", "softplus_backward", "x"),
    pair("activations.py", "swish", "swish_forward", "swish_backward", "x"),
    layer("prelu.py", "PReLU", "x", own={"alpha": "dLdalpha"}, given=("alpha",)),
    pair("spatial_batchnorm.py", "batchnorm", "batchnorm_forward", "batchnorm_backward", "x gamma beta"),
    pair(
        "spatial_batchnorm.py",
        "spatial_batchnorm",
        "spatial_batchnorm_forward",
        "spatial_batchnorm_backward",
        "x gamma beta",
    ),
    layer("conv1d_cmu.py", "Conv1d_stride1", "A", own={"W": "dLdW", "b": "dLdb"}, init=(2, 3, 2)),
    layer("upsample.py", "Upsample1d", "A", given=("upsampling_factor",)),
    layer("upsample.py", "Flatten", "A"),
    layer(
        "rnn_cell_cmu.py",
        "RNNCell",
        "x h_prev_t",
        own={"W_ih": "dW_ih", "b_ih": "db_ih", "W_hh": "dW_hh", "b_hh": "db_hh"},
        given=("W_ih", "b_ih", "W_hh", "b_hh"),
    ),
    pair("gru_step.py", "gru_step", "gru_step_forward", "gru_step_backward", "x h Wz Wr Wn Uz Ur Un"),
    flat("temporal_softmax.py", "temporal_softmax_loss", "x"),
    pair("residual_block.py", "block", "block_forward", "block_backward", "x W1 W2"),
    flat("hinge_regression.py", "huber_and_hinge", "w b", keys="w b"),
    pair("exercise.ipynb", "linear", "linear_forward", "linear_backward", "x w b"),
    flat("exercise.ipynb", "softmax_loss", "scores"),
    pair("undocumented_layers.py", "dense", "dense_forward", "dense_backward", "inp weights bias"),
    pair("undocumented_layers.py", "scale_shift", "scale_shift_forward", "scale_shift_backward", "x gamma beta"),
    pair("undocumented_layers.py", "leaky", "leaky_forward", "leaky_backward", "x"),
    flat("undocumented_layers.py", "mse_loss", "x"),
    flat("undocumented_layers.py", "log_reg", "w b"),
    flat("undocumented_layers.py", "linreg", "theta"),
    layer("mul_add_layers.py", "MulLayer", "x y"),
    layer("mul_add_layers.py", "AddLayer", "x y"),
    layer("convolution_im2col.py", "Convolution", "x", own={"W": "dW", "b": "db"}, given=("W", "b", "stride", "pad")),
    flat("word2vec_naive.py", "naiveSoftmaxLossAndGradient", "centerWordVec outsideVectors"),
)
