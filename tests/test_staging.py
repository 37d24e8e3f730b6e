"""`--stages relations`: one relation a line, the same values in the same order, the same gradients."""

from __future__ import annotations

import ast
import copy
import inspect
from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from flatgrad.diagnostics import Refused
from flatgrad.frontend.linking import link
from flatgrad.frontend.source import Module, read_module
from flatgrad.frontend.staging import one_relation_a_line
from flatgrad.ir.core import Branch, DType, Loop, Relation, bound_values, every_step
from tests.example_cases import CASES, FILES, Case, Example
from tests.ir.stages import stages_of
from tests.oracles import leaves
from tests.program_generator import generate, run_source
from tests.support import EXAMPLES, check_module, compiled, freeze, load, original, seeded

PROGRAMS = 100
HEAD = """\
import numpy as np
import math
from scipy import special

K = 3
RATE = 1e-3


def half(a):
    return a * 0.5


def bump(a):
    a[0] += 1
    return a


"""


def staged(source: str) -> str:
    return one_relation_a_line(read_module(source, "model.py"))


def body(lines: str, parameters: str) -> list[str]:
    """The body of a function of some statements, after staging."""
    source = f"{HEAD}def f({parameters}):\n" + "".join(f"    {line}\n" for line in lines.split("\n"))
    text = staged(source)
    start = f"def f({parameters}):\n"
    assert text.startswith(HEAD)
    return [line.removeprefix("    ") for line in text.split(start)[1].rstrip("\n").split("\n")]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("return x", "return x"),
        ("y = x * 2\nreturn y", "y = x * 2\nreturn y"),
        ("y = x * 2 + 1\nreturn y", "x_prod = x * 2\ny = x_prod + 1\nreturn y"),
        ("y = 1\nreturn x * y - x", "y = 1\nx_prod = x * y\nout = x_prod - x\nreturn out"),
        ("y = x\nreturn x * 2, y", "y = x\nout = x * 2\nreturn out, y"),
        ("return x * 2, x + 1", "out = x * 2\nout2 = x + 1\nreturn out, out2"),
        ("y = -np.sum(np.exp(x), axis=0)", "x_exp = np.exp(x)\ny_sum = np.sum(x_exp, axis=0)\ny = -y_sum"),
        ("y = np.sum((x - w) ** 2)", "y_diff = x - w\ny_pow = y_diff ** 2\ny = np.sum(y_pow)"),
        ("y = x.T @ x.mean(axis=0)", "x_T = x.T\nx_mean = x.mean(axis=0)\ny = x_T @ x_mean"),
        ("y = half(x * 2) + half(w)", "x_prod = x * 2\ny_half = half(x_prod)\nw_half = half(w)\ny = y_half + w_half"),
        ("y = np.where(x > 0, x, 0.1 * x)", "x_mask = x > 0\nx_prod = 0.1 * x\ny = np.where(x_mask, x, x_prod)"),
        ("y = np.stack([x * 2, w])", "x_prod = x * 2\ny = np.stack([x_prod, w])"),
        ("y = np.clip(x, a_min=-1, a_max=np.max(w))", "w_max = np.max(w)\ny = np.clip(x, a_min=-1, a_max=w_max)"),
        (
            "y = x[0] * x[1, 2] + x[1:][0]",
            "x_0 = x[0]\nx_1_2 = x[1, 2]\ny_prod = x_0 * x_1_2\nx_part = x[1:]\nx_part_0 = x_part[0]\n"
            "y = y_prod + x_part_0",
        ),
        ("y = x[x > 0].sum()", "x_mask = x > 0\nx_part = x[x_mask]\ny = x_part.sum()"),
        ("p = np.exp(x)[np.arange(len(x)), w]", "x_exp = np.exp(x)\np = x_exp[np.arange(len(x)), w]"),
        ("p = x[np.arange(len(x))[:, None], w] * 2", "x_w = x[np.arange(len(x))[:, None], w]\np = x_w * 2"),
        ("y = x - (w + -1)", "w_total = w + -1\ny = x - w_total"),
        ("y: 'N' = x * 2 + 1", "x_prod = x * 2\ny: 'N' = x_prod + 1"),
        ("y = z = x * 2 + 1", "x_prod = x * 2\ny = z = x_prod + 1"),
        ("y, z = x * 2, w + 1", "x_prod = x * 2\nw_total = w + 1\ny, z = x_prod, w_total"),
        ("x, w = w, x", "x, w = w, x"),
        ("y = special.expit(x * 2)", "x_prod = x * 2\ny = special.expit(x_prod)"),
        ("y = np.exp(x) * 1e-5", "x_exp = np.exp(x)\ny = x_exp * 1e-5"),
        ("y = x.astype(np.float32).ravel()", "x_astype = x.astype(np.float32)\ny = x_astype.ravel()"),
        # sizes
        (
            "N, D = x.shape\ny = x.reshape(N * D, -1) / (N * D)",
            "N, D = x.shape\nx_reshape = x.reshape(N * D, -1)\ny = x_reshape / (N * D)",
        ),
        ("y = x / x.shape[0] * (len(w) - 1)", "x_ratio = x / x.shape[0]\ny = x_ratio * (len(w) - 1)"),
        (
            "y = np.zeros((len(x) // 2, K + 1), dtype=x.dtype) + w",
            "y_zeros = np.zeros((len(x) // 2, K + 1), dtype=x.dtype)\ny = y_zeros + w",
        ),
        ("y = (x @ w).shape[0] * x", "y_product = x @ w\ny = y_product.shape[0] * x"),
        ("H = x.shape[1] // 4\ny = x[:, H : 2 * H] + x[:, : H + 1]", None),
        ("n = 2\nn = x\ny = w * (n * 2)", "n = 2\nn = x\nn_prod = n * 2\ny = w * n_prod"),
        ("y = x * (2 * math.pi * RATE)", "y = x * (2 * math.pi * RATE)"),
        # in place
        ("x += w * 2", "w_prod = w * 2\nx += w_prod"),
        ("x += w", "x += w"),
        ("x += 2 * len(w)", "x += 2 * len(w)"),
        ("x[0] = w * 2", "w_prod = w * 2\nx[0] = w_prod"),
        ("x[0] += w[1] * 2", "w_1 = w[1]\nx_prod = w_1 * 2\nx[0] += x_prod"),
        (
            "x[np.argmax(w), 1:] = half(w) + 1",
            "w_half = half(w)\nx_total = w_half + 1\nw_argmax = np.argmax(w)\nx[w_argmax, 1:] = x_total",
        ),
        ("x[np.argmax(w)] -= half(w)", "w_argmax = np.argmax(w)\nw_half = half(w)\nx[w_argmax] -= w_half"),
        # not understood: the compiler says so
        ("y = x * 2 + 1 if len(x) else -x * 2", "y = x * 2 + 1 if len(x) else -x * 2"),
        ("y = [v * 2 + 1 for v in x]", "y = [v * 2 + 1 for v in x]"),
        ("y = np.sum(*x) * 2 + 1", "y = np.sum(*x) * 2 + 1"),
        ("y = 0 < x + 1 < 2 * w", "y = 0 < x + 1 < 2 * w"),
        ("y = fs[0](x * 2) + 1", "y = fs[0](x * 2) + 1"),
        ("print(x * 2 + 1)", "print(x * 2 + 1)"),
        ("y = x.size and x * 2", "y = x.size and x * 2"),
        # lists and dicts
        (
            "hs = [x]\nfor t in range(3):\n    hs.append(np.tanh(hs[t - 1] @ w + hs[-1]))\ny = np.stack(hs[1:]) * 2",
            "hs = [x]\nfor t in range(3):\n    hs_product = hs[t - 1] @ w\n    hs_total = hs_product + hs[-1]\n"
            "    hs.append(np.tanh(hs_total))\nhs_stack = np.stack(hs[1:])\ny = hs_stack * 2",
        ),
        (
            "hs = {}\nhs[-1] = np.exp(x) * 2\nfor t in range(3):\n    hs[t] = np.tanh(hs[t - 1]) * 2\n"
            "    hs[t][w[t]] = 1 + w[0]",
            "hs = {}\nx_exp = np.exp(x)\nhs[-1] = x_exp * 2\nfor t in range(3):\n    hs_tanh = np.tanh(hs[t - 1])\n"
            "    hs[t] = hs_tanh * 2\n    w_0 = w[0]\n    hs_total = 1 + w_0\n    w_t = w[t]\n"
            "    hs[t][w_t] = hs_total",
        ),
        (
            "for i in range(3):\n    W, b = x['W%d' % i], x[f\"b{i + 1}\"]\ny = w.dot(x[\"V\" + str(i)]) + x['a']",
            "for i in range(3):\n    W, b = x['W%d' % i], x[f\"b{i + 1}\"]\n"
            "y_product = w.dot(x[\"V\" + str(i)])\ny = y_product + x['a']",
        ),
        ("key = 'W' + w\ny = x[key] * w + 1", "key = 'W' + w\ny_prod = x[key] * w\ny = y_prod + 1"),
        ("hs = [x, w]\nhs = np.array(hs)\ny = hs[0] * 2", "hs = [x, w]\nhs = np.array(hs)\nhs_0 = hs[0]\ny = hs_0 * 2"),
        (
            "d = {'a': x * 2 + 1, 'b': w}\ny = d['a'] * 2",
            "x_prod = x * 2\nd_total = x_prod + 1\nd = {'a': d_total, 'b': w}\ny = d['a'] * 2",
        ),
        (
            "hs = [x]\ny = hs[0] * 2 + hs.pop()",
            "hs = [x]\nhs_prod = hs[0] * 2\nhs_pop = hs.pop()\ny = hs_prod + hs_pop",
        ),
        (
            "hs = [x]\ny = hs[0] + 2 * hs.pop()",
            "hs = [x]\nhs_0 = hs[0]\nhs_pop = hs.pop()\ny_prod = 2 * hs_pop\ny = hs_0 + y_prod",
        ),
        ("hs = [x, w]\nhs[0] += hs.pop() * 2", "hs = [x, w]\nhs[0] += hs.pop() * 2"),
        ("y = x[0]\nx[0] += bump(x) * 2", "y = x[0]\nx[0] += bump(x) * 2"),
        # random draws, each after the other
        (
            "m = (np.random.rand(*x.shape) < w) / w * np.random.rand(3)",
            "m_rand = np.random.rand(*x.shape)\nm_mask = m_rand < w\nm_ratio = m_mask / w\n"
            "m_rand2 = np.random.rand(3)\nm = m_ratio * m_rand2",
        ),
        # several results
        ("a, b = x\ny = a", "a, b = x\ny = a"),
        ("a, b = x * 2 + 1", "x_prod = x * 2\na_total = x_prod + 1\na, b = a_total"),
        ("a, b = half(x * 2)", "x_prod = x * 2\na, b = half(x_prod)"),
        # what may not be evaluated
        (
            "y = (x * 2 + 1 if len(x) else w) * 2 + 1",
            "y_part = x * 2 + 1 if len(x) else w\ny_prod = y_part * 2\ny = y_prod + 1",
        ),
        # in loops and branches
        (
            "if np.sum(x) > 1: y = x * 2 + 1\nelif w: y = x\nelse: y = w * 2; y = y - x * 2",
            "if np.sum(x) > 1:\n    x_prod = x * 2\n    y = x_prod + 1\nelif w:\n    y = x\nelse:\n    y = w * 2\n"
            "    x_prod2 = x * 2\n    y = y - x_prod2",
        ),
        (
            "n = 2\nfor i, v in enumerate(x):\n    y = v * (n + i) + x[2 * i]\n    n = v",
            "n = 2\nfor i, v in enumerate(x):\n    n_total = n + i\n    y_prod = v * n_total\n    x_part = x[2 * i]\n"
            "    y = y_prod + x_part\n    n = v",
        ),
        # the function's own backward matter
        ("y = x\nreturn y, (x * 2 + 1, w)", "y = x\nreturn y, (x * 2 + 1, w)"),
        # names of the user's
        ("x_prod = 1\ny = x * 2 + x_prod", "x_prod = 1\nx_prod2 = x * 2\ny = x_prod2 + x_prod"),
        ("out = x\nreturn x * out * 2", "out = x\nout_prod = x * out\nout2 = out_prod * 2\nreturn out2"),
        ("sum = np.sum(x) + 1\nreturn sum", "x_sum = np.sum(x)\nsum = x_sum + 1\nreturn sum"),
    ],
)  # fmt: skip
def test_statements(before: str, after: str | None) -> None:
    wanted = before if after is None else after
    if after is None:
        wanted = "H = x.shape[1] // 4\nx_part = x[:, H:2 * H]\nx_part2 = x[:, :H + 1]\ny = x_part + x_part2"
    if "\n" not in before and not before.startswith("return"):
        # Not the only statement of the function
        before, wanted = f"{before}\nreturn x", f"{wanted}\nreturn x"
    assert body(before, "x, w") == wanted.split("\n")


def test_a_function_of_one_relation_stays_on_one_line() -> None:
    """So a helper remains the gate that it is: half of HEAD is one too."""
    source = "import numpy as np\ndef relu(x): return np.maximum(0, x)\ndef f(x):\n    '''Doc.'''\n    return relu(x)\n"
    assert staged(source) == source


MESSY = '''\
"""Module."""
import numpy as np  # numerics


def one(x): return x * 2 + 1  # one line


def semicolons(x, y):
\ta = x * 2 + y; b = a * a - 1  # both
\tc = a; return b * 2 + c;  # trailing


@staticmethod
def comments(x,  # the input
             y: "N"=np.pi / 2 + 1):
    """Doc: x * 2 + 1."""
    # leading: x * 2 + 1
    z = np.sum(
        np.exp(x)  # inner
        * y,

        axis=0,
    )  # last

    ω = (z +
         y * 2)  # tail
    # before return
    return ω * z  # done


class Layer:
    def forward(self, x):
        return x * 2 + 1
'''

TIDY = '''\
"""Module."""
import numpy as np  # numerics


def one(x):
    x_prod = x * 2
    out = x_prod + 1
    return out  # one line


def semicolons(x, y):
\tx_prod = x * 2
\ta = x_prod + y
\tb_prod = a * a
\tb = b_prod - 1  # both
\tc = a
\tb_prod2 = b * 2
\tout = b_prod2 + c
\treturn out  # trailing


@staticmethod
def comments(x,  # the input
             y: "N"=np.pi / 2 + 1):
    """Doc: x * 2 + 1."""
    # leading: x * 2 + 1
    # inner
    x_exp = np.exp(x)
    z_prod = x_exp * y
    z = np.sum(z_prod, axis=0)  # last

    y_prod = y * 2
    ω = z + y_prod  # tail
    # before return
    out = ω * z
    return out  # done


class Layer:
    def forward(self, x):
        return x * 2 + 1
'''


def test_text_around_the_statements_stays() -> None:
    assert staged(MESSY) == TIDY
    assert staged(TIDY) == TIDY


# --- one relation a line, the same numbers


BOOKKEEPING = {"alias", "constant", "shape", "dim", "size", "ndim", "subshape", "dtype", "array_of", "arange"}
BOOKKEEPING |= {"entry", "dict_of"}


def relations_a_line(source: str, **options: Any) -> Iterator[tuple[str, int]]:
    """The statements of the compiled functions and how many relations each is, as the compiler counts them."""
    stages = stages_of(source, gates="primitive", **options)
    for name in stages.backward:
        lowered = stages.lowered[name]
        counts: Counter[Any] = Counter()
        every = list(every_step(lowered.function.block))
        keys = {key for step in every if isinstance(step, Relation) and step.gate == "entry" for key in step.args[1:]}
        for step in every:
            if isinstance(step, Loop | Branch) or keys.intersection(bound_values(step)):
                continue
            if isinstance(step, Relation):
                is_size = all(out.type.dtype is DType.INT for out in step.outs)
                if step.gate in BOOKKEEPING or is_size:
                    continue
            counts[step.stage] += 1
        for stage in lowered.stages:
            if stage.text.startswith(("for ", "while ", "if ", "elif ")):
                continue  # the head of a loop or a branch stays as it is
            statement = ast.parse(stage.text).body[0]
            if isinstance(getattr(statement, "value", None), ast.IfExp):
                continue  # so does what may not be evaluated
            if taken_apart(statement):
                continue
            yield stage.text, counts[stage] - own_writes(statement)


def own_writes(statement: ast.stmt) -> int:
    """The relations that a statement is by being what it is: `x[i] += v` reads and writes, `hs.append(h)` keeps h."""
    match statement:
        case ast.AugAssign(target=ast.Subscript()):
            return 2
        case ast.Expr(ast.Call(func=ast.Attribute(attr="append"))):
            return 1
    return 0


def taken_apart(statement: ast.stmt) -> bool:
    """`x, y = z`"""
    match statement:
        case ast.Assign(targets=[ast.Tuple()], value=ast.Name()):
            return True
    return False


def linked(example: Example) -> Module:
    """An example with what it takes from other files."""
    path = EXAMPLES / f"{example.stem}.py"
    return link(read_module(path.read_text(), str(path))).module


@pytest.mark.parametrize("example", FILES, ids=lambda example: example.stem)
def test_examples_have_one_relation_a_line(example: Example) -> None:
    module = linked(example)
    text = one_relation_a_line(module)
    assert staged(text) == text
    options = {key: value for key, value in example.options.items() if key == "functions"}
    for line, count in relations_a_line(text, **options):
        assert count <= 1, line
    for name, node in module.functions.items():
        other = read_module(text, "model.py").functions[name]
        assert ast.dump(node.args) == ast.dump(other.args)
        assert ast.get_docstring(node) == ast.get_docstring(other)
    assert [c.text for c in module.comments.values()] == [c.text for c in read_module(text, "m").comments.values()]


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.stem}-{case.function}")
def test_values_of_examples_are_the_same_bits(case: Case) -> None:
    rng = np.random.default_rng(0)
    plain = seeded(original(case.source, case.function))
    after = seeded(original(one_relation_a_line(linked(Example(case.stem))), case.function))
    assert inspect.signature(plain) == inspect.signature(after)
    for size in range(len(case.sizes)):
        inputs = case.inputs(rng, size)
        copies = copy.deepcopy(inputs)
        assert freeze(plain(**inputs)) == freeze(after(**copies))
        assert freeze(inputs) == freeze(copies)


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.stem}-{case.function}")
def test_gradients_of_examples_are_the_same(case: Case) -> None:
    rng = np.random.default_rng(0)
    options: dict[str, Any] = {"functions": (case.function,)}
    one, two = (compiled(case.source, str(case.path), stages=stages, **options) for stages in ("source", "relations"))
    assert one.entries == two.entries
    modules = load(one.text), load(two.text)
    for size in range(len(case.sizes)):
        if size in case.scores_only:
            continue
        inputs = case.inputs(rng, size)
        found = []
        for names in modules:
            *results, cache = seeded(names[f"{case.function}_forward"])(**copy.deepcopy(inputs))
            upstream = [np.cos(np.arange(np.size(r), dtype=float)).reshape(np.shape(r)) for r in results]
            found.append(gradients(names[f"{case.function}_backward"](*upstream, cache)))
        first, second = found
        assert list(first) == list(second)
        for key, gradient in first.items():
            assert np.shape(gradient) == np.shape(second[key])
            assert np.allclose(gradient, second[key], rtol=1e-9, atol=1e-12)


def gradients(returned: Any) -> dict[Any, Any]:
    """By position, and within a dict by key."""
    every = returned if isinstance(returned, tuple) else (returned,)
    return {(number, *path): leaf for number, one in enumerate(every) for path, leaf in leaves(one)}


def test_random_programs() -> None:
    compared = 0
    with np.errstate(all="ignore"):
        for seed in range(PROGRAMS):
            program = generate(seed)
            source = program.source()
            text = staged(source)
            assert staged(text) == text, seed
            for inputs in program.inputs:
                assert freeze(run_source(source, inputs)) == freeze(run_source(text, inputs)), seed
            try:
                written = compiled(source)
            except Refused:
                continue
            found: list[Any] = []
            try:
                after = compiled(source, stages="relations")
                for line, count in relations_a_line(text):
                    assert count <= 1, (seed, line)
            except Refused as refused:
                # A helper of one line may be a part of a conditional expression, one of several lines may not.
                conditional = any(isinstance(part, ast.IfExp) for part in ast.walk(ast.parse(source)))
                if conditional and {one.code for one in refused.diagnostics} <= {"FG025", "FG030"}:
                    continue
                raise
            for one in (written, after):
                names = load(one.text)
                try:
                    *results, cache = names["f_forward"](**copy.deepcopy(program.inputs[0]))
                except ValueError:
                    found.append(None)  # a guard of the module's: the arguments are not those that were understood
                    continue
                upstream = [np.cos(np.arange(np.size(r), dtype=float)).reshape(np.shape(r))[()] for r in results]
                found.append(gradients(names["f_backward"](*upstream, cache)))
            plain, other = found
            assert (plain is None) == (other is None), seed
            for key, gradient in (plain or {}).items():
                assert np.allclose(gradient, other[key], rtol=1e-7, atol=1e-9), (seed, key)
            compared += plain is not None
    assert compared > PROGRAMS / 2


def test_the_order_of_evaluation_is_that_of_python() -> None:
    """Every operator, call, read and write in the order in which it happens."""
    source = (
        "def f(a, b, c, g):\n"
        "    d = g(a + b) * g(b, k=a - c)[a * c] - (-c)\n"
        "    a[g(b)] = g(c) + a\n"
        "    a += g(b) * c\n"
        "    d += g(a) - b\n"
        "    return g(d, a * b), [g(a), b][0]\n"
    )

    def trace(text: str) -> list[str]:
        log: list[str] = []

        class Traced:
            def __init__(self, name: str) -> None:
                self.name = name

            def __getattribute__(self, name: str) -> Any:
                return object.__getattribute__(self, name)

            def __setitem__(self, index: Any, value: Any) -> None:
                log.append(f"{self.name}[{index.name}] = {value.name}")

        def operation(symbol: str) -> Any:
            def apply(self: Traced, *others: Traced) -> Traced:
                log.append(f"{symbol}({', '.join(one.name for one in (self, *others))})")
                return Traced(str(len(log)))

            return apply

        for symbol in ("add", "sub", "mul", "neg", "getitem", "iadd"):
            setattr(Traced, f"__{symbol}__", operation(symbol))

        def g(*args: Traced, **keywords: Traced) -> Traced:
            return operation("g")(*args, *keywords.values())  # type: ignore[no-any-return]

        names: dict[str, Any] = {}
        exec(text, names)
        names["f"](Traced("a"), Traced("b"), Traced("c"), g)
        return log

    text = staged(source)
    assert text.count("\n") > source.count("\n") + 10
    assert trace(text) == trace(source)


def test_in_place_stays_in_place() -> None:
    """`h += a * b` is no `h = h + ...`: the argument changes, and so does what shares its memory."""
    source = 'def f(h: "N", a: "N"):\n    t = h * 1.0\n    u = t\n    u += a * a + 1\n    return t * u\n'
    report = check_module(source, {"h": np.array([1.0, 2.0]), "a": np.array([3.0, 4.0])}, stages="relations")
    assert np.allclose(report.results[0], [121, 361])


def test_diagnostics_are_about_the_users_text() -> None:
    source = "import numpy as np\n\ndef f(x):\n    y = np.exp(x) * 2 + np.unwrap(np.exp(x)) * 3\n    return y * 2 + 1\n"
    with pytest.raises(Refused) as refused:
        compiled(source, stages="relations")
    (diagnostic,) = refused.value.diagnostics
    assert diagnostic.span is not None
    assert (diagnostic.span.line, diagnostic.span.column) == (4, source.split("\n")[3].index("np.unwrap"))
