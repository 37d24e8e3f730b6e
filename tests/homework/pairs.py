"""Which model file each homework is held against."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

MODELS = Path(__file__).parent / "models"


@dataclass(frozen=True, slots=True)
class Pair:
    """A homework and its model.

    Attributes:
        homework: in `correct/`.
        function: of the homework.
        model: in `models/`.
        names: what `--names` must say: the homework's name of a gradient, the model's variable.
    """

    homework: str
    function: str
    model: str
    names: tuple[tuple[str, str], ...] = ()

    def model_file(self) -> tuple[str, str]:
        """The model's text and file name."""
        return (MODELS / self.model).read_text(encoding="utf-8"), self.model


PAIRS = (
    Pair("layers_cs231n.py", "affine", "affine_relu.py"),
    Pair("layers_cs231n.py", "relu", "affine_relu.py"),
    Pair("layers_cs231n.py", "affine_relu", "affine_relu.py"),
    Pair("softmax_vectorized.py", "softmax_loss_vectorized", "softmax.py"),
    Pair("softmax_loops.py", "softmax_loss_naive", "softmax_half_reg.py"),
    Pair(
        "softmax_other_names.py",
        "loss_and_grad",
        "softmax.py",
        (("dtheta", "W"),),
    ),
    Pair("svm_naive.py", "svm_loss_naive", "svm.py"),
    Pair("svm_mask.py", "svm_loss_vectorized", "svm.py"),
    Pair("two_layer_other_stages.py", "two_layer_loss", "two_layer_net.py"),
    Pair("batchnorm_staged.py", "batchnorm", "batchnorm.py"),
    Pair("batchnorm_short.py", "batchnorm", "batchnorm.py"),
    Pair("batchnorm_no_zero_term.py", "batchnorm", "batchnorm.py"),
    Pair("layernorm.py", "layernorm", "layernorm.py"),
    Pair("rnn_layers.py", "rnn_step", "rnn.py"),
    Pair("rnn_layers.py", "rnn", "rnn.py"),
    Pair("lstm_step.py", "lstm_step", "lstm_step.py"),
    Pair("conv_naive.py", "conv_naive", "conv_naive.py"),
    Pair("max_pool.py", "max_pool_naive", "max_pool.py"),
    Pair("word_embedding.py", "word_embedding", "word_embedding.py"),
    Pair("dropout.py", "dropout", "dropout.py"),
    Pair("attention_einsum.py", "attention", "attention.py"),
    Pair("logistic_regression.py", "logistic_loss", "logistic_regression.py"),
    Pair("circuit_script.py", "circuit_script", "circuit.py"),
    Pair("mlp_cmu.py", "Linear", "mlp.py"),
    Pair("mlp_cmu.py", "Sigmoid", "mlp.py"),
    Pair("mlp_cmu.py", "Tanh", "mlp.py"),
    Pair("mlp_cmu.py", "ReLU", "mlp.py"),
    Pair("mlp_cmu.py", "MSELoss", "mlp.py"),
    Pair("mlp_cmu.py", "CrossEntropyLoss", "mlp.py"),
    Pair("linear_regression.py", "mse_loss", "linear_regression.py"),
    Pair("residual_block.py", "block", "residual_block.py"),
)
