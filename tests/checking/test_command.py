"""`flatgrad check` and `compile --check-gradients` as a user calls them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from flatgrad.cli import cli
from tests.support import EXAMPLES, GENERATED, ROOT

Run = Callable[..., tuple[int, str, str]]

SCALED = """import numpy as np


def f_forward(x, w):
    out = np.tanh(x) * w
    return out, (x, w)


def f_backward(dout, cache):
    x, w = cache
    dx = dout * w * (1 - np.tanh(x) ** 2)
    dw = FACTOR * dout * np.tanh(x)
    return dx, dw
"""
MODEL = 'import numpy as np\n\n\ndef f(x: "N D", w: "N D"):\n    return np.tanh(x) * w\n'


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def run() -> Run:
    def call(*arguments: str) -> tuple[int, str, str]:
        done = CliRunner().invoke(cli, arguments, standalone_mode=False)
        code = done.return_value if done.exception is None else 2
        message = getattr(done.exception, "message", str(done.exception or ""))
        return code, done.stdout, done.stderr + message

    return call


def test_a_right_module_passes_with_a_table(run: Run, folder: Path) -> None:
    (folder / "m.py").write_text(MODEL)
    (folder / "g.py").write_text(SCALED.replace("FACTOR", "1"))
    code, out, _ = run("check", "m.py", "g.py")
    assert code == 0
    assert out.splitlines()[3].split() == [
        "variable",
        "shape",
        "max",
        "rel.",
        "error",
        "norm",
        "rel.",
        "error",
        "verdict",
    ]
    assert [line.split()[0] for line in out.splitlines() if line.endswith(" ok")] == ["x", "w"]
    assert out.endswith("2 gradients agree with differences (norm-wise, to 1e-05)\n")


@pytest.mark.parametrize("directions", [(), ("--directions", "3")])
def test_a_small_factor_is_found_and_named(run: Run, folder: Path, directions: tuple[str, ...]) -> None:
    (folder / "m.py").write_text(MODEL)
    (folder / "g.py").write_text(SCALED.replace("FACTOR", "(1 + 1e-3)"))
    code, out, _ = run("check", "m.py", "g.py", *directions)
    assert code == 1
    assert "1 of 2 gradients wrong: w\n" in out
    assert "wrong: w: w" in out
    code, out, _ = run("check", "m.py", "g.py", "--wrt", "x", *directions)
    assert code == 0


def test_json(run: Run, folder: Path) -> None:
    (folder / "m.py").write_text(MODEL)
    (folder / "g.py").write_text(SCALED.replace("FACTOR", "1.001"))
    code, out, _ = run("check", "m.py", "g.py", "--format", "json")
    found = json.loads(out)
    assert code == 1
    assert found["ok"] is False
    (function,) = found["functions"]
    x, w = function["variables"]
    assert (x["name"], x["verdict"], x["compared"] > 4) == ("x", "ok", True)
    assert (w["name"], w["verdict"]) == ("w", "wrong")
    assert w["norm_relative_error"] == pytest.approx(1e-3, rel=0.01)
    assert w["max_relative_error"] == pytest.approx(5e-4, rel=0.01)


def test_a_factor_in_a_generated_module_by_the_command_itself(folder: Path) -> None:
    text = (GENERATED / "svm_grad.py").read_text()
    (folder / "g.py").write_text(text.replace("    return dW, dX", "    return dW, 1.001 * dX"))
    command = [sys.executable, "-m", "flatgrad", "check", str(EXAMPLES / "svm.py")]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    bad = subprocess.run([*command, "g.py"], capture_output=True, text=True, env=environment)
    assert (bad.returncode, bad.stderr) == (1, "")
    assert "1 of 2 gradients wrong: X\n" in bad.stdout
    good = subprocess.run([*command, str(GENERATED / "svm_grad.py")], capture_output=True, text=True, env=environment)
    assert (good.returncode, good.stderr) == (0, "")


def test_without_a_module_what_is_compiled_now_is_checked(run: Run) -> None:
    code, out, _ = run("check", str(EXAMPLES / "layers.py"), "--function", "affine", "--wrt", "w")
    assert code == 0
    assert "(compiled now)" in out
    assert [line.split()[0] for line in out.splitlines() if line.endswith(" ok")] == ["w"]


def test_a_refused_model_is_shown_with_its_diagnostics(run: Run, folder: Path) -> None:
    (folder / "m.py").write_text("import numpy as np\n\ndef f(x):\n    return np.unwrap(x)\n")
    code, out, err = run("check", "m.py")
    assert (code, out) == (2, "")
    assert "error[FG021]" in err


# Arguments


def test_arguments_from_a_file(run: Run, folder: Path) -> None:
    (folder / "m.py").write_text(
        "import numpy as np\n\ndef f(params, x, times):\n    return params['w'] * x[:times].sum() * params['b'].sum()\n"
    )
    entries: dict[str, Any] = {"params/w": 2.0, "params/b": np.ones(3), "x": np.ones(5, np.float32), "times": 2}
    np.savez(folder / "i.npz", **entries)
    code, out, _ = run("check", "m.py", "--inputs", "i.npz")
    assert code == 0
    assert "at i.npz: params {w 2, b (3,)}, x (5,), times 2" in out
    np.savez(folder / "j.npz", x=np.ones(5))
    code, out, _ = run("check", "m.py", "--inputs", "j.npz")
    assert code == 2
    assert "there is no params, times" in out
    (folder / "k.npz").write_bytes(b"no archive")
    assert run("check", "m.py", "--inputs", "k.npz")[0] == 2


@pytest.mark.parametrize(
    "returned",
    [
        "{'x': np.array([1.0, 2.0]), 'w': 3.0}",
        "(np.array([1.0, 2.0]), 3.0)",
        "{'f': (np.array([1.0, 2.0]), 3.0)}",
        "{'f': {'x': np.array([1.0, 2.0]), 'w': 3.0}}",
    ],
)
def test_arguments_from_the_model(run: Run, folder: Path, returned: str) -> None:
    source = "import numpy as np\n\ndef f(x, w):\n    return np.sum(x) * w\n\ndef example_inputs():\n    return "
    (folder / "m.py").write_text(source + returned + "\n")
    code, out, _ = run("check", "m.py")
    assert code == 0
    assert "at example_inputs(): x (2,), w 3" in out


def test_example_inputs_that_raise(run: Run, folder: Path) -> None:
    (folder / "m.py").write_text("def f(x):\n    return x * x\n\ndef example_inputs():\n    return 1 / 0\n")
    code, _, err = run("check", "m.py")
    assert code == 2
    assert "example_inputs() in m.py raises ZeroDivisionError" in err


def test_example_inputs_are_not_compiled(run: Run, folder: Path) -> None:
    (folder / "m.py").write_text("def f(x):\n    return x * x\n\ndef example_inputs():\n    return {'x': 2.0}\n")
    code, out, _ = run("compile", "m.py", "-o", "-")
    assert code == 0
    assert "example_inputs" not in out


# Kinks


def test_a_kink_at_given_arguments_is_said_and_is_no_error(run: Run, folder: Path) -> None:
    (folder / "m.py").write_text(
        "import numpy as np\n\ndef f(x, w):\n    return np.sum(np.maximum(0, x)) * w\n\n"
        "def example_inputs():\n    return {'x': np.array([0.0, 2.0, -1.0, 0.0]), 'w': 2.0}\n"
    )
    code, out, _ = run("check", "m.py")
    assert code == 0
    assert "kink: x has 2 elements at a kink or a tie, left out" in out
    assert "x[0]: slope 0 below, 2 above; the module says 0" in out


def test_a_tie_is_said_where_the_gradient_goes_to_one_of_them(run: Run, folder: Path) -> None:
    (folder / "m.py").write_text(
        "import numpy as np\n\ndef f(x):\n    return np.max(x)\n\n"
        "def example_inputs():\n    return {'x': np.array([2.0, 1.0, 2.0])}\n"
    )
    assert "kink" not in run("check", "m.py")[1]  # shared, as the central difference has it
    (folder / "g.py").write_text(
        "import numpy as np\n\ndef f_forward(x):\n    return np.max(x), x\n\n"
        "def f_backward(dout, x):\n    dx = np.zeros_like(x)\n    dx[np.argmax(x)] = dout\n    return dx\n"
    )
    code, out, _ = run("check", "m.py", "g.py")
    assert code == 0
    assert "x[0]: slope 0 below, 1 above; the module says 1" in out
    assert "x[2]: slope 0 below, 1 above; the module says 0" in out


def test_all_of_a_variable_at_a_kink_is_no_error(run: Run, folder: Path) -> None:
    (folder / "m.py").write_text(
        "import numpy as np\n\ndef f(x):\n    return np.sum(np.abs(x) + np.maximum(0, x))\n\n"
        "def example_inputs():\n    return {'x': np.zeros(3)}\n"
    )
    code, out, _ = run("check", "m.py")
    assert code == 0
    assert "1 at kinks" in out
    assert " kink\n" in out


def test_a_wrong_element_is_found_beside_a_kink(run: Run, folder: Path) -> None:
    (folder / "m.py").write_text(
        "import numpy as np\n\ndef f(x):\n    return np.maximum(0, x)\n\n"
        "def example_inputs():\n    return {'x': np.array([0.0, 1.0, -1.0])}\n"
    )
    backward = "def f_backward(dout, x):\n    dx = dout * (x > 0) * np.array([1, 1.001, 1])\n    return dx\n"
    (folder / "g.py").write_text(
        "import numpy as np\n\ndef f_forward(x):\n    return np.maximum(0, x), x\n\n" + backward
    )
    code, out, _ = run("check", "m.py", "g.py")
    assert code == 1
    assert "wrong: x: x[1]: " in out


def test_drawn_arguments_avoid_kinks(run: Run, folder: Path) -> None:
    # About one draw in three has an element within reach of the kink.
    (folder / "m.py").write_text('import numpy as np\n\ndef f(x: "N D"):\n    return np.sum(np.abs(np.sin(40 * x)))\n')
    code, out, _ = run("check", "m.py", "--seed", "3")
    assert code == 0
    assert "kink" not in out


# What is no gradient


def test_another_value_is_found(run: Run, folder: Path) -> None:
    (folder / "m.py").write_text(MODEL.replace("* w", "* w + 1"))
    (folder / "g.py").write_text(SCALED.replace("FACTOR", "1"))
    code, out, _ = run("check", "m.py", "g.py")
    assert code == 1
    assert "its forward pass gives another value than the model" in out


@pytest.mark.parametrize(
    ("backward", "said"),
    [
        ("    return dout[:, :1], dout\n", "its gradient has the shape ("),
        ("    dx, dw = dout, dout @ dout\n    return dx, dw\n", "its backward pass raises ValueError"),
        ("    dx, dw = dout * np.nan, dout\n    return dx, dw\n", "its gradient is not finite"),
        ("    raise SystemExit(0)\n    return dx, dw\n", "its backward pass raises SystemExit"),
    ],
)
def test_other_faults_of_a_backward_pass(run: Run, folder: Path, backward: str, said: str) -> None:
    (folder / "m.py").write_text(MODEL)
    head = SCALED.partition("    x, w = cache\n")[0]
    (folder / "g.py").write_text(head + backward)
    code, out, _ = run("check", "m.py", "g.py")
    assert code == 1
    assert said in out


def test_value_and_grad_is_held_against_backward(run: Run, folder: Path) -> None:
    (folder / "m.py").write_text("def f(x):\n    return x * x\n")
    module = (
        "def f_forward(x):\n    return x * x, x\n\ndef f_backward(dout, x):\n    dx = 2 * x * dout\n    return dx\n\n"
        "def f_value_and_grad(x):\n    out, cache = f_forward(x)\n    return out, f_backward(UPSTREAM, cache)\n"
    )
    (folder / "g.py").write_text(module.replace("UPSTREAM", "1.0"))
    assert run("check", "m.py", "g.py")[0] == 0
    (folder / "g.py").write_text(module.replace("UPSTREAM", "1.001"))
    code, out, _ = run("check", "m.py", "g.py")
    assert code == 1
    assert "f_value_and_grad gives another gradient of x than f_backward" in out


def test_value_and_grad_alone(run: Run, folder: Path) -> None:
    (folder / "m.py").write_text("def f(x, y):\n    return x * x * y\n")
    text = "def f_value_and_grad(x, y):\n    return x * x * y, (2 * x * y, FACTOR * x * x)\n"
    (folder / "g.py").write_text(text.replace("FACTOR", "1"))
    assert run("check", "m.py", "g.py")[0] == 0
    (folder / "g.py").write_text(text.replace("FACTOR", "1.001"))
    code, out, _ = run("check", "m.py", "g.py")
    assert code == 1
    assert "gradients wrong: y" in out


LAYER = """import numpy as np


class Linear:
    def __init__(self, n_in, n_out):
        self.W = 0.01 * np.random.randn(n_in, n_out)
        self.b = np.zeros(n_out)

    def forward(self, x):
        self.x = x
        return x @ self.W + self.b

    def backward(self, dout):
        self.dW = self.x.T @ dout
        self.db = dout.sum(axis=0)
        return FACTOR * dout @ self.W.T
"""


def test_a_class_by_hand(run: Run, folder: Path) -> None:
    (folder / "m.py").write_text(LAYER.replace("FACTOR", "1"))
    code, out, _ = run("check", "m.py", "m.py")
    assert code == 0
    assert [line.split()[0] for line in out.splitlines() if line.endswith(" ok")] == ["x", "self.W", "self.b"]
    (folder / "g.py").write_text(LAYER.replace("FACTOR", "1.001"))
    code, out, _ = run("check", "m.py", "g.py")
    assert code == 1
    assert "1 of 3 gradients wrong: x\n" in out
    (folder / "g.py").write_text(LAYER.replace("FACTOR", "1").replace("dout.sum(axis=0)", "dout.mean(axis=0)"))
    assert "wrong: self.b\n" in run("check", "m.py", "g.py")[1]


def test_a_class_that_is_compiled_with_the_layers_that_it_holds(run: Run, folder: Path) -> None:
    source = LAYER.partition("    def backward")[0].replace("        self.x = x\n", "")
    source += (
        "\nclass Net:\n    def __init__(self, d, h, c):\n        self.first, self.last = Linear(d, h), Linear(h, c)\n\n"
        "    def forward(self, x):\n        return self.last.forward(np.tanh(self.first.forward(x)))\n"
    )
    (folder / "m.py").write_text(source)
    code, out, _ = run("check", "m.py", "--function", "Net")
    assert code == 0
    names = [line.split()[0] for line in out.splitlines() if line.endswith(" ok")]
    assert names == ["x", "self.first.W", "self.first.b", "self.last.W", "self.last.b"]


def test_random_masks_are_the_same_in_every_run(run: Run) -> None:
    assert run("check", str(EXAMPLES / "dropout.py"))[0] == 0


# What cannot be judged


def test_a_model_that_raises_when_it_is_run(run: Run, folder: Path) -> None:
    (folder / "m.py").write_text("def f(x):\n    return x * x\n\nraise RuntimeError('no data')\n")
    code, out, err = run("check", "m.py")
    assert (code, out) == (2, "")
    assert "m.py:4: RuntimeError: no data" in err


def test_a_model_without_a_main_part_being_run(run: Run, folder: Path) -> None:
    (folder / "m.py").write_text(
        "def f(x):\n    return x * x\n\nprint('hello')\nif __name__ == '__main__':\n    1 / 0\n"
    )
    code, out, err = run("check", "m.py")
    assert code == 0
    assert "hello" not in out + err


def test_imports_beside_the_model_are_found_and_forgotten(run: Run, folder: Path) -> None:
    (folder / "sub").mkdir()
    (folder / "sub" / "beside_it.py").write_text("def twice(x):\n    return 2 * x\n")
    (folder / "sub" / "m.py").write_text("from beside_it import twice\n\ndef f(x):\n    return twice(x) * x\n")
    before = list(sys.path)
    assert run("check", "sub/m.py")[0] == 0
    assert sys.path == before
    assert "beside_it" not in sys.modules


def test_nothing_to_check(run: Run, folder: Path) -> None:
    (folder / "m.py").write_text(MODEL)
    (folder / "g.py").write_text("def g(x):\n    return x\n")
    code, _, err = run("check", "m.py", "g.py")
    assert code == 2
    assert "nothing that m.py has as well" in err
    (folder / "g.py").write_text(SCALED.replace("FACTOR", "1"))
    code, _, err = run("check", "m.py", "g.py", "--function", "h")
    assert code == 2
    assert "has no h with forward and backward" in err
    assert run("check", "m.py", "g.py", "--wrt", "z")[0] == 2


def test_arguments_that_cannot_be_drawn(run: Run, folder: Path) -> None:
    (folder / "m.py").write_text(
        "def f(x):\n    if x > 0 or x <= 0:\n        raise ValueError('never')\n    return x * x\n"
    )
    (folder / "g.py").write_text(
        "def f_forward(x):\n    return x * x, x\n\ndef f_backward(d, x):\n    return 2 * x * d\n"
    )
    code, out, _ = run("check", "m.py", "g.py")
    assert code == 2
    assert "ValueError: never; give some with --inputs" in out


# Second derivatives


@pytest.mark.parametrize("stem", ["svm", "tanh_net", "rnn"])
def test_second_derivatives(run: Run, stem: str) -> None:
    code, out, err = run("check", str(EXAMPLES / f"{stem}.py"), "--order", "2")
    assert code == 0, out + err
    assert "second derivatives of" in out


def test_second_derivatives_with_given_arguments(run: Run, folder: Path) -> None:
    (folder / "m.py").write_text("import numpy as np\n\ndef f(x: 'N'):\n    return np.sum(x**3)\n")
    np.savez(folder / "i.npz", x=np.array([1.0, -2.0]))
    code, out, _ = run("check", "m.py", "--order", "2", "--inputs", "i.npz")
    assert code == 0
    assert "at i.npz: x (2,)" in out


def test_second_derivatives_of_dicts(run: Run, folder: Path) -> None:
    code, out, _ = run("check", str(EXAMPLES / "fully_connected.py"), "--order", "2", "--wrt", "params")
    assert code == 0
    assert "6 gradients agree" in out
    (folder / "m.py").write_text(
        "import numpy as np\n\ndef f(params, X):\n"
        '    h = np.tanh(X @ params["one"]["W"] + params["one"]["b"])\n'
        '    return np.sum(h**3 @ params["two"]["W"])\n'
    )
    code, out, _ = run("check", "m.py", "--order", "2", "--shape", "X=N,D")
    assert code == 0, out
    assert "4 gradients agree" in out
    assert "params['two']['W']" in out


def test_wrong_second_derivatives_of_a_dict_are_found(run: Run, folder: Path) -> None:
    # The gradient of a declared gate is right, the one of its gradient is not.
    (folder / "pyproject.toml").write_text(
        '[tool.flatgrad.gate."cube"]\ncall = "cube(x)"\nbackward = { x = "dz * 3 * square(x)" }\nshape = "()->()"\n'
        '[tool.flatgrad.gate."square"]\ncall = "square(x)"\nbackward = { x = "dz * 2.01 * x" }\nshape = "()->()"\n'
    )
    (folder / "m.py").write_text(
        "import numpy as np\n\ndef square(x):\n    return x * x\n\ndef cube(x):\n    return x * x * x\n\n"
        'def f(params):\n    return np.sum(cube(params["W"]) * params["b"])\n'
    )
    code, out, err = run("check", "m.py", "--function", "f", "--order", "2")
    assert code == 1, out + err
    assert "1 of 2 gradients wrong: params['W']" in out


def test_a_module_that_is_not_compiled_again_is_shown_with_the_reason(run: Run, folder: Path) -> None:
    (folder / "m.py").write_text(
        "import numpy as np\n\ndef f(weights: list, X):\n    h = X\n    for W in weights:\n        h = np.tanh(h * W)\n"
        "    return np.sum(h * h)\n"
    )
    code, out, _ = run("check", "m.py", "--order", "2", "--shape", "X=N,D")
    assert code == 2
    assert "not judged: the generated module is not compiled again:\nerror[FG" in out


# compile --check-gradients


def test_compile_checks_what_it_has_written(run: Run, folder: Path) -> None:
    code, out, err = run("compile", str(EXAMPLES / "svm.py"), "--wrt", "W", "--check-gradients")
    assert code == 0
    assert (folder / "generated" / "svm_grad.py").is_file()
    assert out == ""
    assert "1 gradient agrees with differences" in err


def test_compile_finds_a_wrong_gradient(run: Run, folder: Path) -> None:
    # A gate of the user's own, declared with a wrong rule.
    (folder / "pyproject.toml").write_text(
        '[tool.flatgrad.gate."cube"]\ncall = "cube(x)"\nbackward = { x = "dz * 3.003 * x**2" }\nshape = "()->()"\n'
    )
    (folder / "m.py").write_text("def cube(x):\n    return x * x * x\n\ndef f(x):\n    return 2 * cube(x)\n")
    code, _, err = run("compile", "m.py", "--function", "f", "--check-gradients")
    assert code == 1, err
    assert "1 of 1 gradients wrong: x" in err


def test_compile_does_not_check_what_it_does_not_write(run: Run) -> None:
    for option in ("--check", "--diff"):
        assert run("compile", str(EXAMPLES / "svm.py"), "--check-gradients", option)[0] == 2
