"""Small arguments for each homework of the set, drawn for one seed: odd seeds have other sizes and geometry."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

Arguments = dict[str, Any]
Generator = np.random.Generator
Draw = Callable[[Generator, int], Arguments]


def normal(**shapes: tuple[int, ...]) -> Draw:
    return lambda rng, seed: {name: rng.standard_normal(shape) for name, shape in shapes.items()}


def drawn(draw: Callable[..., Arguments]) -> Draw:
    """With sizes N, D, H, C that depend on the seed."""

    def sized(rng: Generator, seed: int) -> Arguments:
        N, D, H, C = ((5, 4, 3, 3), (4, 2, 6, 5))[seed % 2]
        return draw(rng.standard_normal, lambda *shape: rng.integers(0, C, shape), N, D, H, C)

    return sized


def labels(rng: Generator, count: int, classes: int) -> np.ndarray:
    return rng.integers(0, classes, count)


affine = drawn(lambda n, i, N, D, H, C: {"x": n((N, D)), "w": n((D, C)), "b": n(C)})
affine_wide = drawn(lambda n, i, N, D, H, C: {"x": n((N, D, 2)), "w": n((2 * D, C)), "b": n(C)})
classifier = drawn(lambda n, i, N, D, H, C: {"W": n((D, C)), "X": n((N, D)), "y": i(N), "reg": 0.3})
scores = drawn(lambda n, i, N, D, H, C: {"scores": n((N, C)), "y": i(N)})
one_array = drawn(lambda n, i, N, D, H, C: {"x": n((N, D))})
batch = drawn(lambda n, i, N, D, H, C: {"x": n((N, D)), "gamma": n(D), "beta": n(D)})
step = drawn(
    lambda n, i, N, D, H, C: {"x": n((N, D)), "prev_h": n((N, H)), "Wx": n((D, H)), "Wh": n((H, H)), "b": n(H)}
)


def params(n: Any, D: int, H: int, C: int) -> Arguments:
    return {"W1": n((D, H)), "b1": n(H), "W2": n((H, C)), "b2": n(C)}


def geometry(rng: Generator, seed: int) -> tuple[int, int]:
    """stride, pad"""
    return ((1, 1), (2, 0), (1, 0), (2, 1))[seed % 4]


def conv(rng: Generator, seed: int) -> Arguments:
    stride, pad = geometry(rng, seed)
    shape = {"x": (2, 2, 5, 7), "w": (3, 2, 3, 3), "b": (3,)}
    return normal(**shape)(rng, seed) | {"conv_param": {"stride": stride, "pad": pad}}


def convolution_layer(rng: Generator, seed: int) -> Arguments:
    stride, pad = geometry(rng, seed)
    return normal(x=(2, 2, 5, 7), W=(3, 2, 3, 3), b=(3,))(rng, seed) | {"stride": stride, "pad": pad}


def pool(rng: Generator, seed: int) -> Arguments:
    stride = (1, 2)[seed % 2]
    return {
        "x": rng.standard_normal((2, 3, 6, 4)),
        "pool_param": {"pool_height": 2, "pool_width": 2, "stride": stride},
    }


def one_hot(rng: Generator, seed: int, first: str, second: str) -> Arguments:
    n, c = ((4, 3), (3, 5))[seed % 2]
    return {first: rng.standard_normal((n, c)), second: np.eye(c)[labels(rng, n, c)]}


def with_extra(draw: Draw, **extra: Any) -> Draw:
    return lambda rng, seed: (
        draw(rng, seed) | {key: dict(value) if isinstance(value, dict) else value for key, value in extra.items()}
    )


def without(draw: Draw, *names: str) -> Draw:
    return lambda rng, seed: {key: value for key, value in draw(rng, seed).items() if key not in names}


def row_vectors(n: Any, i: Any, N: int, D: int, H: int, C: int) -> Arguments:
    return {"x": n((D, 1)), "y": n((C, 1)), "w1": n((H, D)), "b1": n((H, 1)), "w2": n((C, H)), "b2": n((C, 1))}


def gates(n: Any, i: Any, N: int, D: int, H: int, C: int) -> Arguments:
    inputs = {name: n((D, H)) for name in ("Wz", "Wr", "Wn")}
    return {"x": n((N, D)), "h": n((N, H))} | inputs | {name: n((H, H)) for name in ("Uz", "Ur", "Un")}


def characters(n: Any, i: Any, N: int, D: int, H: int, C: int) -> Arguments:
    return {
        "inputs": i(N).tolist(),
        "targets": i(N).tolist(),
        "hprev": n((H, 1)),
        "Wxh": n((H, C)),
        "Whh": n((H, H)),
        "Why": n((C, H)),
        "bh": n((H, 1)),
        "by": n((C, 1)),
    }


def three_layers(n: Any, i: Any, N: int, D: int, H: int, C: int) -> Arguments:
    found = params(n, D, H, H + 1) | {"W3": n((H + 1, C)), "b3": n(C)}
    return {"params": found, "X": n((N, D)), "y": i(N), "reg": 0.3}


def cell(n: Any, i: Any, N: int, D: int, H: int, C: int) -> Arguments:
    own = {"W_ih": n((H, D)), "b_ih": n(H), "W_hh": n((H, H)), "b_hh": n(H)}
    return {"x": n((N, D)), "h_prev_t": n((N, H))} | own


ARGUMENTS: dict[tuple[str, str], Draw] = {
    ("layers_cs231n.py", "affine"): affine_wide,
    ("layers_cs231n.py", "relu"): one_array,
    ("layers_cs231n.py", "affine_relu"): affine_wide,
    ("softmax_vectorized.py", "softmax_loss_vectorized"): classifier,
    ("softmax_loops.py", "softmax_loss_naive"): classifier,
    ("svm_naive.py", "svm_loss_naive"): classifier,
    ("svm_mask.py", "svm_loss_vectorized"): classifier,
    ("svm_bool.py", "multiclass_svm"): scores,
    ("two_layer_net.py", "TwoLayerNet.loss"): drawn(
        lambda n, i, N, D, H, C: {"params": params(n, D, H, C), "X": n((N, D)), "y": i(N), "reg": 0.3}
    ),
    ("two_layer_function.py", "two_layer_net"): drawn(
        lambda n, i, N, D, H, C: {"model": params(n, D, H, C), "X": n((N, D)), "y": i(N), "reg": 0.3}
    ),
    ("batchnorm_staged.py", "batchnorm"): with_extra(batch, eps=1e-5),
    ("batchnorm_paper.py", "batchnorm"): with_extra(batch, bn_param={"mode": "train"}),
    ("batchnorm_short.py", "batchnorm"): batch,
    ("batchnorm_no_zero_term.py", "batchnorm"): batch,
    ("layernorm.py", "layernorm"): with_extra(batch, ln_param={"eps": 1e-3}),
    ("rnn_layers.py", "rnn_step"): step,
    ("rnn_layers.py", "rnn"): drawn(
        lambda n, i, N, D, H, C: {
            "x": n((N, 3, D)),
            "h0": n((N, H)),
            "Wx": n((D, H)),
            "Wh": n((H, H)),
            "b": n(H),
        }
    ),
    ("rnn_unrolled.py", "rnn"): drawn(
        lambda n, i, N, D, H, C: {"x": n((N, D)), "h0": n(H), "Wx": n((H, D)), "Wh": n((H, H)), "b": n(H)}
    ),
    ("lstm_step.py", "lstm_step"): drawn(
        lambda n, i, N, D, H, C: {
            "x": n((N, D)),
            "prev_h": n((N, H)),
            "prev_c": n((N, H)),
            "Wx": n((D, 4 * H)),
            "Wh": n((H, 4 * H)),
            "b": n(4 * H),
        }
    ),
    ("conv_naive.py", "conv_naive"): conv,
    ("max_pool.py", "max_pool_naive"): pool,
    ("max_pool_argmax.py", "MaxPool"): lambda rng, seed: {
        "x": rng.standard_normal((2, 2, 6, 6)),
        "k": (3, 2)[seed % 2],
        "stride": (1, 2)[seed % 2],
    },
    ("avg_pool.py", "avgpool"): lambda rng, seed: {"x": rng.standard_normal((2, 6, 12, 2)), "size": (2, 3)[seed % 2]},
    ("word_embedding.py", "word_embedding"): drawn(lambda n, i, N, D, H, C: {"x": i(N, 4), "W": n((C, D))}),
    ("embedding_loop.py", "Embedding"): drawn(lambda n, i, N, D, H, C: {"W": n((C, D)), "ids": i(N + C)}),
    ("dropout.py", "dropout"): with_extra(one_array, dropout_param={"p": 0.6, "mode": "train", "seed": 3}),
    ("attention_einsum.py", "attention"): drawn(
        lambda n, i, N, D, H, C: {"Q": n((2, N, D)), "K": n((2, H, D)), "V": n((2, H, C))}
    ),
    ("attention_class.py", "Softmax"): drawn(lambda n, i, N, D, H, C: {"Z": n((N, C))}),
    ("attention_class.py", "ScaledDotProductAttention"): drawn(
        lambda n, i, N, D, H, C: {"Q": n((N, D)), "K": n((H, D)), "V": n((H, C))}
    ),
    ("propagate.py", "propagate"): drawn(
        lambda n, i, N, D, H, C: {"w": n((D, 1)), "b": 0.3, "X": n((D, N)), "Y": i(1, N) % 2}
    ),
    ("logistic_regression.py", "logistic_loss"): drawn(
        lambda n, i, N, D, H, C: {"w": n(D), "X": n((N, D)), "y": i(N) % 2}
    ),
    ("circuit_script.py", "circuit_script"): lambda rng, seed: {"x": 3.0 + seed, "y": -4.0 + 0.1 * seed},
    ("neuron_script.py", "neuron_script"): lambda rng, seed: {
        "w": rng.standard_normal(3).tolist(),
        "x": rng.standard_normal(2).tolist(),
    },
    ("matmul_script.py", "matmul_script"): normal(W=(5, 10), X=(10, 3)),
    ("simple_script.py", "simple_script"): lambda rng, seed: {"x": -2.0, "y": 5.0 + seed, "z": -4.0 - seed},
    ("toy_net_script.py", "toy_net_script"): lambda rng, seed: {
        "X": rng.standard_normal((6, 4)),
        "y": labels(rng, 6, 3),
        "W": rng.standard_normal((4, 5)),
        "b": rng.standard_normal((1, 5)),
        "W2": rng.standard_normal((5, 3)),
        "b2": rng.standard_normal((1, 3)),
        "reg": 0.3,
    },
    ("mlp_cmu.py", "Linear"): drawn(lambda n, i, N, D, H, C: {"A": n((N, D)), "W": n((C, D)), "b": n((C, 1))}),
    ("mlp_cmu.py", "Sigmoid"): drawn(lambda n, i, N, D, H, C: {"Z": n((N, C))}),
    ("mlp_cmu.py", "Tanh"): drawn(lambda n, i, N, D, H, C: {"Z": n((N, C))}),
    ("mlp_cmu.py", "ReLU"): drawn(lambda n, i, N, D, H, C: {"Z": n((N, C))}),
    ("mlp_cmu.py", "MSELoss"): drawn(lambda n, i, N, D, H, C: {"A": n((N, C)), "Y": n((N, C))}),
    ("mlp_cmu.py", "CrossEntropyLoss"): lambda rng, seed: one_hot(rng, seed, "A", "Y"),
    ("batchnorm_cmu.py", "BatchNorm1d"): drawn(
        lambda n, i, N, D, H, C: {"Z": n((N, D)), "BW": n((1, D)), "Bb": n((1, D))}
    ),
    ("dense_self_grads.py", "Dense"): drawn(lambda n, i, N, D, H, C: {"x": n((N, D)), "W": n((D, H)), "b": n(H)}),
    ("layer_returns_tuple.py", "LeakyLinear"): drawn(
        lambda n, i, N, D, H, C: {"x": n((N, D)), "W": n((D, H)), "b": n(H)}
    ),
    ("sigmoid_d_x.py", "sigmoid"): one_array,
    ("mse_x_grad.py", "MeanSquaredError"): drawn(lambda n, i, N, D, H, C: {"pred": n((N, C)), "target": n((N, C))}),
    ("mse_x_grad.py", "Scale"): drawn(lambda n, i, N, D, H, C: {"w": n(D), "x": n((N, D))}),
    ("backprop_delta.py", "backprop"): drawn(row_vectors),
    ("train_step.py", "train_step"): drawn(
        lambda n, i, N, D, H, C: {"X": n((N, D)), "y": n((N, C))} | params(n, D, H, C)
    ),
    ("softmax_other_names.py", "loss_and_grad"): drawn(
        lambda n, i, N, D, H, C: {"theta": n((D, C)), "data": n((N, D)), "labels": i(N), "lam": 0.2}
    ),
    ("two_layer_other_stages.py", "two_layer_loss"): drawn(
        lambda n, i, N, D, H, C: {"X": n((N, D)), "y": i(N), "reg": 0.3} | params(n, D, H, C)
    ),
    ("relu_inplace.py", "relu"): one_array,
    ("bilinear_einsum.py", "bilinear"): drawn(
        lambda n, i, N, D, H, C: {"x": n((N, D)), "y": n((N, H)), "W": n((D, H, C))}
    ),
    ("gelu_temporaries.py", "gelu"): one_array,
    ("l2_normalize.py", "normalize"): one_array,
    ("onehot_cross_entropy.py", "softmax_cross_entropy"): lambda rng, seed: one_hot(rng, seed, "z", "t"),
    ("linear_regression.py", "mse_loss"): drawn(
        lambda n, i, N, D, H, C: {"X": n((N, D)), "y": n((N, C)), "W": n((D, C)), "b": n(C)}
    ),
    ("min_char_rnn.py", "lossFun"): drawn(characters),
    ("fully_connected.py", "fc_net_loss"): drawn(three_layers),
    ("fully_connected.py", "softmax_loss"): drawn(lambda n, i, N, D, H, C: {"x": n((N, C)), "y": i(N)}),
    ("vae_loss.py", "vae_loss"): drawn(
        lambda n, i, N, D, H, C: {name: n((N, D)) for name in ("mu", "log_var", "eps", "target")}
    ),
    ("activations.py", "elu"): one_array,
    ("activations.py", "softplus"): one_array,
    ("activations.py", "swish"): one_array,
    ("prelu.py", "PReLU"): drawn(lambda n, i, N, D, H, C: {"alpha": n(C), "x": n((N, C))}),
    ("spatial_batchnorm.py", "batchnorm"): with_extra(batch, eps=1e-4),
    ("spatial_batchnorm.py", "spatial_batchnorm"): normal(x=(2, 3, 3, 2), gamma=(3,), beta=(3,)),
    ("conv1d_cmu.py", "Conv1d_stride1"): normal(A=(3, 2, 6), W=(3, 2, 2), b=(3,)),
    ("upsample.py", "Upsample1d"): lambda rng, seed: {
        "A": rng.standard_normal((2, 3, 4)),
        "upsampling_factor": (2, 3)[seed % 2],
    },
    ("upsample.py", "Flatten"): normal(A=(2, 3, 4)),
    ("rnn_cell_cmu.py", "RNNCell"): drawn(cell),
    ("gru_step.py", "gru_step"): drawn(gates),
    ("temporal_softmax.py", "temporal_softmax_loss"): drawn(
        lambda n, i, N, D, H, C: {"x": n((N, 3, C)), "y": i(N, 3), "mask": n((N, 3)) > 0}
    ),
    ("residual_block.py", "block"): drawn(lambda n, i, N, D, H, C: {"x": n((N, D)), "W1": n((D, H)), "W2": n((H, D))}),
    ("hinge_regression.py", "huber_and_hinge"): drawn(
        lambda n, i, N, D, H, C: {
            "w": n(D),
            "b": 0.2,
            "X": n((N, D)),
            "y": 2.0 * (i(N) % 2) - 1,
            "t": n(N),
        }
    ),
    ("exercise.ipynb", "linear"): affine,
    ("undocumented_layers.py", "dense"): drawn(
        lambda n, i, N, D, H, C: {"inp": n((N, D)), "weights": n((D, C)), "bias": n(C)}
    ),
    ("undocumented_layers.py", "scale_shift"): batch,
    ("undocumented_layers.py", "leaky"): one_array,
    ("undocumented_layers.py", "mse_loss"): drawn(lambda n, i, N, D, H, C: {"x": n((N, D)), "y": n((N, D))}),
    ("undocumented_layers.py", "log_reg"): drawn(
        lambda n, i, N, D, H, C: {"w": n(D), "b": n(()), "X": n((N, D)), "y": i(N) % 2}
    ),
    ("undocumented_layers.py", "linreg"): drawn(lambda n, i, N, D, H, C: {"theta": n(D), "X": n((N, D)), "y": n(N)}),
    ("mul_add_layers.py", "MulLayer"): drawn(lambda n, i, N, D, H, C: {"x": n((N, D)), "y": n((N, D))}),
    ("mul_add_layers.py", "AddLayer"): drawn(lambda n, i, N, D, H, C: {"x": n((N, D)), "y": n((N, D))}),
    ("convolution_im2col.py", "Convolution"): convolution_layer,
    ("word2vec_naive.py", "naiveSoftmaxLossAndGradient"): drawn(
        lambda n, i, N, D, H, C: {"centerWordVec": n(D), "outsideWordIdx": 1, "outsideVectors": n((C, D))}
    ),
    ("exercise.ipynb", "softmax_loss"): scores,
}
