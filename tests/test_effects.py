"""Random draws, what is printed and logged, statements that are calls, and `del`."""

from __future__ import annotations

import textwrap
from typing import Any

import numpy as np
import pytest

from flatgrad.diagnostics import Refused
from flatgrad.groups.graph import Graph
from flatgrad.ir.core import Relation
from flatgrad.ir.verifier import verify
from tests.ir.stages import run_stages, stages_of
from tests.ir.test_interpreter import check_stages
from tests.ir.test_verifier import verify_stages
from tests.support import check_module, compiled, load
from tests.traps import COLUMN, LABELS, ROW, SQUARE, V, W, X, drawn

HEADER = "import logging\nimport warnings\n\nimport numpy as np\n\nlogger = logging.getLogger(__name__)\n\n\n"
NARROW = 'x: "N D"'
SQUARE_X = 'x: "N N"'


def model(body: str, parameters: str = "x") -> str:
    lines = textwrap.indent(textwrap.dedent(body).strip(), "    ")
    return f"{HEADER}def f({parameters}):\n{lines}\n"


def right(body: str, parameters: str = "x", **inputs: Any) -> None:
    check_module(model(body, parameters), inputs or {"x": X.copy()})


def text_of(body: str, parameters: str = "x") -> str:
    return compiled(model(body, parameters)).text


def backward_of(text: str) -> str:
    return text.partition("def f_backward")[2].partition("\n\n\n")[0]


def forward_of(text: str) -> str:
    return text.partition("def f_forward")[2].partition("\n\n\n")[0]


def refusal(body: str, parameters: str = "x") -> str:
    with pytest.raises(Refused) as refused:
        compiled(model(body, parameters))
    return "\n".join(f"{d.code} {d.message} {d.label} {d.help}" for d in refused.value.diagnostics)


# --- draws are constants of the forward pass


def test_dropout() -> None:
    text = text_of("mask = (np.random.rand(*x.shape) < p) / p\nout = x * mask\nreturn out", "x, p=0.5")
    assert "    mask = (np.random.rand(*x.shape) < p) / p  # (1)\n" in text
    assert "    mask = cache\n    # (2) out = x * mask\n    dx = dout * mask\n    return dx" in text


SEEDED = [
    "return x * np.random.rand(*x.shape)",
    "return x * np.random.rand(*x.shape) + np.random.rand(3, 4)",
    "return np.random.rand(3, 4) + x * np.random.rand(*x.shape) * x",
    "return np.random.rand(4) + x * (np.random.rand(4) + np.random.rand(3, 1)) * np.random.rand()",
    "a, b = np.random.rand(3, 4), x * np.random.rand(3, 4)\nreturn a * b",
    "shape = x.shape\nreturn x * np.random.rand(*shape) * np.random.randn(*x.shape[1:])",
    "N, D = x.shape\nreturn np.sin(x * np.random.uniform(-1, 1, size=(N, 1)))",
    "return np.exp(np.random.randn(4) * x) / np.sum(np.exp(np.random.randn(4) * x))",
    "i = np.random.permutation(x.shape[0])\ny = x[i]\nreturn np.sum(y * y, axis=0)",
    "i = np.random.choice(x.shape[0], 2)\nreturn x[i] * 2",
    "i = np.random.randint(0, 3, size=5)\nreturn x[i] * x[np.random.randint(0, 3, size=5)]",
    "return x[np.random.randint(3)] * x",
    "return x * np.random.binomial(1, 0.5, size=x.shape)",
    "x = x + 0.1 * np.random.normal(0.0, 1.0, x.shape)\nreturn x * x",
    "rng = np.random.RandomState(3)\nreturn x * rng.rand(*x.shape) * rng.randint(5)",
    "rng = np.random.default_rng(3)\nreturn rng.random(4) + x * (rng.random(x.shape) < 0.5) * rng.normal(size=4)",
    "a, b = np.split(x * np.random.rand(4), 2, axis=1)\nreturn a * b",
    "t = (np.exp(x) * np.random.rand(3, 4)).T\nt += 1\nreturn t * t",
]


@pytest.mark.parametrize("body", SEEDED)
def test_draws(body: str) -> None:
    """Seeded, so that the values show that nothing is drawn in another order, twice or not at all."""
    right("np.random.seed(0)\n" + body)
    check_module(model("np.random.seed(0)\n" + body, NARROW), {"x": X}, stages="relations")


@pytest.mark.parametrize("body", SEEDED)
def test_backward_draws_nothing(body: str) -> None:
    names = load(text_of("np.random.seed(0)\n" + body))
    out, cache = names["f_forward"](X)
    before = repr(np.random.get_state())
    names["f_backward"](np.ones_like(out), cache)
    assert repr(np.random.get_state()) == before
    lines = backward_of(text_of(body)).split("\n")
    assert not any("random" in line for line in lines if not line.strip().startswith("#"))


def test_draws_of_a_loop_are_kept_for_each_round() -> None:
    body = """
    np.random.seed(0)
    h = x
    for t in range(T):
        mask = np.random.rand(*h.shape) < 0.7
        h = np.tanh(h * mask + x * np.random.rand(4))
    return h
    """
    for rounds in (0, 1, 3):
        right(body, "x, T", x=X, T=rounds)
    assert "masks.append(mask)" in text_of(body, "x, T")


def test_draws_decide_branches_and_rounds() -> None:
    for seed in range(4):
        right(
            f"""
            np.random.seed({seed})
            n = 0
            while np.random.rand() < 0.7:
                n += 1
                x = x * 1.5
            if np.random.rand() < 0.5:
                y = x * np.random.rand(4)
            elif np.random.rand() < 0.5:
                y = x * x
            else:
                y = x * x * np.random.rand(4)
            return y * n
            """
        )


def test_draws_in_a_conditional_expression() -> None:
    right("np.random.seed(0)\ny = x * (np.random.rand(4) if flag else 1.0)\nreturn y * x", "x, flag=True")
    assert "conditional expression" in refusal("y = x * np.random.rand(4) if flag else x\nreturn y * x", "x, flag=True")


def test_two_draws_are_two() -> None:
    """Written alike, they do not hold the same numbers."""
    body = "np.random.seed(0)\na = np.random.rand(4)\nb = np.random.rand(4)\nreturn np.exp(a * x) - np.exp(b * x)"
    right(body)
    lowered = stages_of(model(body)).lowered["f"]
    graph = Graph(lowered)
    draws = [one for one in lowered.function.block.body if isinstance(one, Relation) and one.gate == "random.rand"]
    assert len({graph.keys[one.out] for one in draws}) == len(draws) == 2


def test_order_of_draws_is_kept_where_one_is_needed() -> None:
    lines = forward_of(text_of("return np.random.rand(4) + x * np.random.rand(3, 4) + np.random.rand(4)")).split("\n")
    assert [line.strip() for line in lines[1:4]] == [
        "out_rand2 = np.random.rand(4)",
        "out_rand = np.random.rand(3, 4)",
        "out = out_rand2 + x * out_rand + np.random.rand(4)  # (1)",
    ]


HELPERS = """
import numpy as np


def noise(x):
    return np.random.rand(*x.shape)


def told(x):
    print("told")
    return np.exp(x)


def drop(x, p):
    mask = (np.random.rand(*x.shape) < p) / p
    return x * mask


def f(x, p=0.5):
    np.random.seed(1)
    h = noise(x) + drop(x, p) * noise(x) * np.random.rand(4)
    for t in range(2):
        h = noise(h) + drop(h, p) * told(x) * noise(x)
    return drop(h, p) * np.random.rand(4)
"""


def test_draws_of_helpers(capsys: pytest.CaptureFixture[str]) -> None:
    check_module(HELPERS, {"x": X}, functions=("f",))
    names = load(compiled(HELPERS, functions=("f",)).text)
    capsys.readouterr()
    names["f_forward"](X)
    assert capsys.readouterr().out == "told\ntold\n"


def test_a_lambda_draws_where_it_is_called() -> None:
    right(
        "np.random.seed(1)\nnoise = lambda s: np.random.normal(0.0, 1.0, s)\nreturn noise(x.shape) + x * noise(x.shape)"
    )
    body = "noise = lambda s: 2 * np.random.normal(0.0, 1.0, s)\nreturn noise(x.shape) + x * noise(x.shape)"
    assert "cannot be named" in refusal(body)
    assert "cannot be named" in refusal("return x * np.sum([np.random.rand(4) for _ in range(2)], axis=0)")


def test_a_generator_that_is_given() -> None:
    body = "a = rng.normal(size=x.shape)\nreturn x * a + x * rng.standard_normal(x.shape) + rng.random()"
    right(body, "x, rng", x=X, rng=np.random.default_rng(1))
    assert compiled(model(body, "x, rng")).entries[0].wrt == ("x",)


@pytest.mark.parametrize(
    "call",
    [
        "np.random.normal(0.0, s, x.shape)",
        "np.random.uniform(-s, s, size=x.shape)",
        "np.random.normal(x, 1.0)",
        "np.random.permutation(x)",
        "np.random.choice(s * x[0], 4)",
        "rng.exponential(s, x.shape)",
    ],
)
def test_a_gradient_into_a_draw_is_refused(call: str) -> None:
    said = refusal(f"rng = np.random.default_rng(0)\nreturn x * {call}", "x, s")
    assert "carries a gradient that" in said
    assert "np.random.standard_normal(size)" in said


def test_parameters_of_a_distribution_that_are_constants() -> None:
    right("np.random.seed(0)\nreturn x + np.random.normal(0.0, s, x.shape)", "x, s=0.1")
    body = model("np.random.seed(0)\nreturn x * np.random.normal(0.0, s, x.shape)", "x, s")
    check_module(body, {"x": X, "s": 0.3}, wrt=("x",))
    right("np.random.seed(0)\nreturn x + s * np.random.standard_normal(x.shape)", "x, s", x=X, s=0.3)


# --- what is printed, logged and seeded


def test_prints_are_kept(capsys: pytest.CaptureFixture[str]) -> None:
    body = """
    h = x * 2
    print("h", h.shape, f"{h[0, 0]:.3f} {h[0, 0]:.3f}", np.sum(h), len(h))
    h = np.exp(h)
    print(f"{h[0, 0]:.3f} {h[0, 0]:.3f}")
    h = h * h
    for t in range(2):
        print(t, end=" ")
    return h
    """
    right(body)
    expected = load(model(body))
    capsys.readouterr()
    expected["f"](X)
    wanted = capsys.readouterr().out
    load(text_of(body))["f_forward"](X)
    assert capsys.readouterr().out == wanted


def test_logs_are_kept() -> None:
    body = "logger.info('x %s', x.shape)\nlogging.debug(x)\nwarnings.warn('careful')\nlog.info(x)\nreturn x * 2"
    text = text_of(body, "x, log")
    assert "import logging\nimport warnings\n" in text
    assert "\nlogger = logging.getLogger(__name__)\n" in text
    for line in ('logger.info("x %s", x.shape)', "logging.debug(x)", 'warnings.warn("careful")', "log.info(x)"):
        assert f"    {line}\n" in text


def test_what_is_printed_is_not_carried_by_a_loop() -> None:
    text = text_of(
        "for t in range(3):\n    logger.info(w, x)\n    print(w)\n    x = x * w\nreturn x", 'x: "N D", w: "D"'
    )
    assert "dw += " in text
    assert "ws" not in text


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("g(h)", "what g changes is not known"),
        ("h.sort()", "write `h = np.sort(h)`"),
        ("np.random.shuffle(h)", "write `h = np.random.permutation(h)`"),
        ("np.random.default_rng(0).shuffle(h)", "write `h = np.random.default_rng(0).permutation(h)`"),
        ("np.put(h, 0, 1.0)", "it changes an array in place"),
        ("np.multiply.at(h, 0, 2.0)", "what np.multiply.at changes is not known"),
        ("print(h.sort())", "what h.sort does here is not known"),
        ("print(np.exp(h, h))", "what np.exp does here is not known"),
        ("print(np.exp(h, out=h))", "what np.exp does here is not known"),
        ("print([h.pop() for _ in h])", "what h.pop does here is not known"),
        ("logger.info(double(h))", "what double does here is not known"),
        ("if double(h) is None:\n    h = h * 2", "what double does here is not known"),
    ],
)
def test_what_may_change_something_is_refused(line: str, said: str) -> None:
    source = model(f"h = x * 2\n{line}\nreturn h", "x").replace(
        "def f(", "def double(a):\n    a *= 2\n    return None\n\n\ndef f("
    )
    with pytest.raises(Refused) as refused:
        compiled(source, functions=("f",))
    assert said in " ".join(f"{d.message} {d.label} {d.help}" for d in refused.value.diagnostics)


# --- calls that write into an array

WRITES: list[tuple[str, str, dict[str, Any]]] = [
    ("a = np.zeros(3)\nnp.add.at(a, [0, 0, 2, 1, 0], v * v)\nreturn a * a", "v", {"v": V}),
    ("a = v * v\nnp.add.at(a, [0, 0, 2], w)\nreturn a * a", "v, w", {"v": V, "w": V[:3]}),
    ("a = v * v\nnp.subtract.at(a, [0, 0, 2], w)\nreturn a * a", "v, w", {"v": V, "w": V[:3]}),
    ("a = v * v\nnp.add.at(a, [0, 0, 2], w)\nreturn a * a", "v, w", {"v": V, "w": 0.5}),
    ("a = x * x\nnp.add.at(a, (np.arange(3), y), -1.0)\nreturn a * a", "x, y", {"x": X, "y": LABELS}),
    ("a = x * x\nnp.add.at(a, np.s_[:, 1:3], s * s)\nreturn a * a", "x, s", {"x": X, "s": COLUMN}),
    (
        "a = np.zeros_like(W)\nnp.add.at(a, i, d)\nreturn a * a",
        'W: "V D", i: "N int", d: "N D"',
        {"W": X, "i": np.array([1, 0, 1, 1]), "d": drawn((4, 4))},
    ),
    ("np.add.at(x, [0, 0], s)\nreturn x * x", "x, s", {"x": X, "s": ROW}),
    ("a = x * x\nb = a\nnp.add.at(a, [0, 0], s)\nreturn b * x", "x, s", {"x": X, "s": ROW}),
    ("a = np.exp(x)\nnp.add.at(a, [0, 0], s)\nreturn a * a", "x, s", {"x": X, "s": ROW}),
    (
        "a = x * x\nfor t in range(3):\n    np.add.at(a, [0, t], a[1] * s)\nreturn a",
        "x, s",
        {"x": X, "s": ROW},
    ),
    ("a = x @ x\nnp.fill_diagonal(a, 0)\nreturn a * a", SQUARE_X, {"x": SQUARE}),
    ("a = x * x\nnp.fill_diagonal(a, s * 2)\nreturn np.sum(a * a)", f"{NARROW}, s: float", {"x": X, "s": 0.5}),
    ("a = x * x\nnp.fill_diagonal(a, s * 2)\nreturn np.sum(a)", f"{NARROW}, s: float", {"x": X.T.copy(), "s": 0.5}),
    (
        "a = x * x\nnp.fill_diagonal(a, s * s)\nreturn np.sum(a * x)",
        f'{SQUARE_X}, s: "N"',
        {"x": SQUARE, "s": V[:3]},
    ),
    ("a = x * x\nnp.fill_diagonal(a, 1.0)\nreturn np.exp(a)", "x", {"x": X}),
    ("a = x * x\na.fill(s)\nreturn a * x", "x, s: float", {"x": X, "s": 0.5}),
    ("a = np.empty((3, 4))\na.fill(s * s)\nreturn a * x", "x, s: float", {"x": X, "s": 0.5}),
    ("a = np.empty(x.shape)\nnp.copyto(a, x)\na[0] = 0\nreturn a * x", "x", {"x": X}),
    ("a = np.empty((3, 4))\nnp.copyto(a, r * r)\nreturn a * x", "x, r", {"x": X, "r": ROW}),
    ("y = np.empty_like(x)\nnp.exp(x, out=y)\nreturn y * x", NARROW, {"x": X}),
    ("y = np.empty(x.shape)\nz = np.exp(x, out=y)\nreturn y * z", NARROW, {"x": X}),
    ("h = x * x\nh = np.maximum(h, 0.5, out=h)\nreturn h * x", NARROW, {"x": X}),
    ("h = x * x\nnp.maximum(h, 0.5, out=h)\nreturn h * x", "x", {"x": X}),
    (
        "c = np.zeros((3, 4))\nnp.add(x, r, out=c)\nnp.multiply(c, x, out=c)\nreturn c * c",
        f'{NARROW}, r: "D"',
        {"x": X, "r": ROW},
    ),
    ("c = np.zeros((3, 4))\nnp.exp(r, out=c)\nreturn c * x", f'{NARROW}, r: "D"', {"x": X, "r": ROW}),
    ("c = np.zeros((3, 4))\nnp.exp(r, out=c)\nreturn c * x", "x, r", {"x": X, "r": ROW}),
    ("np.exp(x, out=x)\nreturn x * x", NARROW, {"x": X}),
    ("h = x * x\nnp.exp(h, out=h)\nnp.log(h, out=h)\nnp.sin(h, out=h)\nreturn h", NARROW, {"x": X}),
    ("h = x.clip(-1, 1)\nx.clip(-0.5, 0.5, out=h)\nreturn h", NARROW, {"x": X}),
    ("s = np.empty(4)\nnp.sum(x, axis=0, out=s)\nreturn s * x", NARROW, {"x": X}),
    ("h = x * x\nfor t in range(3):\n    np.multiply(h, x, out=h)\nreturn h", NARROW, {"x": X}),
    (
        "c = np.empty((3, 2), dtype=x.dtype)\nnp.dot(x, w, out=c)\nnp.tanh(c, out=c)\nreturn c",
        'x: "N D", w: "D M"',
        {"x": X, "w": W},
    ),
]


@pytest.mark.parametrize(("body", "parameters", "inputs"), WRITES)
def test_writes(body: str, parameters: str, inputs: dict[str, Any]) -> None:
    source = model(body, parameters)
    check_module(source, inputs)
    check_module(source, inputs, gates="primitive", accumulate="always")


@pytest.mark.parametrize(("body", "parameters", "inputs"), WRITES)
def test_the_ir_of_writes(body: str, parameters: str, inputs: dict[str, Any]) -> None:
    verify_stages(model(body, parameters))
    check_stages(model(body, parameters), "f", inputs)


def test_the_ir_of_draws() -> None:
    for body in SEEDED:
        stages = stages_of(model(body))
        lowered, backward = stages.lowered["f"], stages.backward["f"]
        verify(lowered.function)
        verify(backward.block, lowered.function.block)
        assert run_stages(stages, "f", {"x": X}).gradients["x"].shape == X.shape


@pytest.mark.parametrize(
    ("body", "parameters", "said"),
    [
        ("a = x * x\nb = a[0]\nnp.add.at(a, [0, 0], s)\nreturn b * a", "x, s", "this changes b as well"),
        ("h = x * x\nv = h[0]\nnp.exp(h, out=h)\nreturn v * h", "x", "this changes v as well"),
        ("a = [x, x]\nnp.add.at(a, 0, x)\nreturn a[0]", "x", "a is a list or a tuple"),
        ("a = x * x\nnp.add.at(a.T, 0, x)\nreturn a", "x", "has no name"),
        ("np.exp(x, out=x[0])\nreturn x", "x", "has no name"),
        ("return 2 * np.exp(x, out=x)", "x", "the argument out= is not understood"),
        ("a = x * x\nnp.fill_diagonal(a, s)\nreturn a * a", f"{NARROW}, s", "whether this fits the diagonal"),
        ("a = x * x\nnp.fill_diagonal(a, s)\nreturn a * a", "x, s: float", "the rank of what is written to"),
        ("a = x * x\nnp.copyto(a, s, where=a > 0)\nreturn a", "x, s", "not understood"),
    ],
)
def test_writes_that_are_refused(body: str, parameters: str, said: str) -> None:
    assert said in refusal(body, parameters)


def test_the_gradient_of_what_is_added_at_an_index_is_read_from_it() -> None:
    backward = backward_of(text_of("a = x * x\nnp.add.at(a, i, v)\nreturn a", 'x: "N D", i: "M int", v: "M D"'))
    assert "    dv = da[i]\n" in backward
    assert "da[i] =" not in backward


def test_the_gradient_of_the_diagonal() -> None:
    backward = backward_of(text_of("a = x * x\nnp.fill_diagonal(a, s)\nreturn a * a", f"{SQUARE_X}, s: float"))
    assert "np.fill_diagonal(da, 0)" in backward
    assert "ds = np.trace(da)" in backward


def test_what_out_holds_is_not_computed_again() -> None:
    text = text_of("h = x * x\nnp.exp(h, out=h)\nreturn h", NARROW)
    assert "np.exp" not in backward_of(text).replace("# (2) np.exp(h, out=h)", "")
    text = text_of("h = x * x\nnp.maximum(h, 0, out=h)\nreturn h", NARROW)
    assert "(h > 0)" in backward_of(text)


# --- del


def test_names_that_backward_needs_are_not_deleted() -> None:
    body = "g = np.exp(x)\nh = g * 2\nk = h * h\ndel g, h\nreturn k"
    right(body)
    assert "del g, h" not in text_of(body)
    right("h = x * 2\ng = np.exp(h)\ndel h\nreturn g * 2")
    assert "    del h\n" in text_of("h = x * 2\ng = np.exp(h)\ndel h\nreturn g * 2")


def test_del_in_a_loop() -> None:
    right("for t in range(2):\n    h = np.exp(x)\n    x = h * x\n    del h\nreturn x")
    assert "needed in the next" in refusal("h = x\nfor t in range(2):\n    h = h * x\n    del h\nreturn x")
    assert "FG020" in refusal("h = x * 2\ndel h\nreturn h")
