"""Containers, strings, comprehensions, tests and functions as values: what is decided while a function is read."""

from __future__ import annotations

import re

import numpy as np
import pytest

from flatgrad.diagnostics import CATALOGUE, Refused
from flatgrad.frontend.constants import FINFO
from tests.support import check_module, compiled
from tests.traps import ROW, X, Y, drawn, model, outcome, right

S = {"s": 0.7, "t": -1.3}
A = {"x": X, "y": Y}
SQUARES = {"x": X, "W": drawn((4, 4), 5), "U": drawn((4, 4), 6)}


def rejected(source: str) -> tuple[str, str, str]:
    """The code of the first diagnostic, the text that it points at, and its help."""
    with pytest.raises(Refused) as caught:
        compiled(source)
    first = caught.value.diagnostics[0]
    assert first.code in CATALOGUE
    assert first.span is not None
    line = source.split("\n")[first.span.line - 1]
    return first.code, line[first.span.column : first.span.end_column], first.help


# --- containers


@pytest.mark.parametrize(
    "body",
    [
        "d = {'a': x * y, 'b': y}; return d['a'] * np.sin(d['b'])",
        "d = dict(a=x, b=np.exp(y)); return d['a'] * d['b']",
        "d = {1: x, 2: y}; return d[1] * d[2] * d[2]",
        "d = {'a': x}; return d.get('a') * d.get('b', y)",
        "d = {'a': x}; return d.get('a', y) * y",
        "d = {'p': {'q': x * y}, 'r': (x, [y, x])}; return d['p']['q'] * d['r'][1][0]",
        "d = {**{'a': x}, 'b': y}; e = dict(d, a=y * 2); return d['a'] * e['a'] * e['b']",
        "d = {'a': x} | {'b': y}; return d['a'] * np.cos(d['b'])",
        "d = {'a': x, 'b': y}; k = 'a'; return d[k] * d['b']",
        "d = {'a': x, 'b': y}; u, v = d.values(); return u * np.tanh(v)",
        "d = {'a': x, 'b': y}; p, q = d; return d[p] * np.tanh(d[q])",
        "d = {'a': x * y, 'b': y}; u = d['a']; w = d['a']; return u * np.sin(w)",
        "d = {'a': x}; e = d.copy(); return d['a'] * e['a'] * y * len(d)",
        "d = {'a': x, 'b': y}; return d['a'] * d['b'] * ('a' in d) * ('z' not in d)",
        "d = {'a': x, 'b': y}; return sum(d.values()) * x",
        "d = {'a': x, 'b': y}; return sum(v * v for k, v in d.items() if k != 'a') * x",
        "p, *rest = x, y, x * y; return p * rest[0] * np.sin(rest[-1])",
        "*rest, p = [x, y, x * y]; return p * rest[0] * np.sin(rest[1])",
        "p, *rest, q = x, y; return p * np.sin(q) * (1 + len(rest))",
        "(p, (q, *r)), w = (x, (y, x * y, y)), y; return p * q * np.exp(r[0]) * r[1] * w",
        "t = (x, y, x * y); return t[-1] * t[-3] + t[1:][0] * t[::-1][0] * t[:-1][1]",
        "t = [x] + [y, x * y]; return t[2] * t[0]",
        "t = [x, y] * 2; return t[2] * np.sin(t[3])",
        "t = 2 * (x, y); return t[2] * np.sin(t[3]) * len(t)",
        "n = 1; t = (x,) * (n + 1); return t[n] * np.sin(t[0]) * y",
        "t = (*[x, y], x * y); return t[2] * np.sin(t[0])",
        "t = [*(x, y), *[x]]; return np.sin(t[2]) * t[1]",
        "t = tuple([x, y]); u = list(t); return u[0] * np.sin(t[1])",
        "((p, q),) = zip([x], [y]); return p * np.sin(q)",
        "u, v = reversed((x, y)); return u * np.sin(v)",
        "a = np.array([x[0], y[1]]); return a * a",
        "xs = [x, y]; return np.stack(xs) * np.stack(xs + [x])[:2]",
        "xs = [x, np.exp(y)]; ys = xs + [x]; return np.concatenate(ys, axis=1)[:, :4] * y",
        "xs = [x, y]; return np.square(xs)",
        "xs = [x, y]; return np.sum(np.exp(xs), axis=0) * x",
        "xs = [x * y, y]; ys = [xs, xs]; return np.exp(ys)",
        "return np.array([[x[0], y[0]], [y[1], x[1]]]) ** 2",
        "return sum([x, y, x * y]) * x",
        "return sum([x, y], 1.0) * x",
        "return max([0.5, 0.25]) * x * y",
    ],
)  # fmt: skip
def test_containers(body: str) -> None:
    right(body, "x, y", A)


@pytest.mark.parametrize(
    ("header", "call"),
    [
        ("from scipy.spatial.distance import cdist", "cdist(x, y)"),
        ("import scipy.spatial.distance", "scipy.spatial.distance.cdist(x, y, 'sqeuclidean')"),
        ("from scipy.spatial import distance as d", "d.cdist(x, y, metric='cityblock')"),
        ("from scipy.spatial.distance import cdist", "(lambda v: np.exp(-cdist(v, y)))(x)"),
    ],
)
def test_distances(header: str, call: str) -> None:
    inputs = {"x": drawn((3, 2), 1), "y": drawn((4, 2), 2)}
    check_module(model(f"return np.sin({call})", 'x: "N D", y: "M D"', f"import numpy as np\n{header}"), inputs)


def test_finfo() -> None:
    report = right("return x / (np.finfo(float).eps + y * y) + np.finfo(np.float32).tiny", "x, y", A)
    assert set(report.gradients) == {"x", "y"}
    text = compiled(model("return np.log(x * y + np.finfo(float).eps)")).text
    assert text.count("np.finfo(float).eps") >= 2


def test_finfo_is_what_numpy_says() -> None:
    for name, facts in FINFO.items():
        for fact, value in facts.items():
            assert value == float(getattr(np.finfo(name), fact))


@pytest.mark.parametrize(
    "body",
    [
        "return max(s, t, s * t) * s",
        "return min([s, t, 0.1]) * t",
        "return max(s, t) * min(s, t)",
        "xs = [s, t]; return sum(xs) * sum(v * v for v in xs)",
        "return s * (0 < s < 1) + t * (s > t > 0)",
        "return s * (-2 < t <= s < 1 != s)",
        "return s * (s > 0 and t < 0) * t",
        "return s * (s < 0 or t < 0 or s > t) * t",
        "return s * (not (s > 0 and t > 0)) * t",
        "return t * (t in (1, 2, s)) + s * (s not in (1, 2)) * t",
        "return s * any([s > t, t > s]) * all([s > t, t < 0]) * t",
        "return s * any(v > 0 for v in (s, t)) * t",
    ],
)  # fmt: skip
def test_numbers(body: str) -> None:
    right(body, "s: float, t: float", S, {"s": -0.4, "t": 0.3})


# --- strings


@pytest.mark.parametrize(
    "key",
    ["'W' + str(1)", "'W%d' % 1", "'W{}'.format(1)", "f'W{1}'", "f'{name}{n}'", "'%s%d' % (name, n)", "name + str(n)",
     "'{k}{i:d}'.format(k=name, i=n)", "('w' + '1').upper()", "f'{name}{n:d}'", "'W' + f'{n!r}'", "NAMES[0]",
     "'W' * n + str(2 - n)"],
)  # fmt: skip
def test_keys_that_are_put_together(key: str) -> None:
    source = f"""
import numpy as np

NAMES = ["W1", "W2"]


def f(x, y):
    n = 1
    name = "W"
    d = {{"W1": x * y, "W2": y}}
    return d[{key}] * np.sin(d["W2"])
"""
    check_module(source, A, differentiated=("x", "y"))


# --- comprehensions


@pytest.mark.parametrize(
    "body",
    [
        "hs = [x @ M for M in (W, U)]; return hs[0] * np.tanh(hs[1])",
        "a, b = [np.tanh(x @ M) for M in (W, U)]; return a * b",
        "hs = [(k + 1) * (x @ M) for k, M in enumerate([W, U])]; return hs[0] * hs[1]",
        "hs = [a @ b for a, b in zip((W, U), (U, W))]; return x @ (hs[0] + np.tanh(hs[1]))",
        "d = {k: x @ M for k, M in [('a', W), ('b', U)]}; return d['a'] * np.sin(d['b'])",
        "d = {'W%d' % i: M for i, M in enumerate((W, U), 1)}; return x @ d['W1'] * np.sin(x @ d['W2'])",
        "return sum(np.sum(M * M) for M in (W, U)) * x",
        "return sum(0.5 * np.sum(M ** 2) for M in [W, U]) + np.sum(x)",
        "d = {'W1': W, 'W2': U}; return sum(np.sum(d[k] ** 2) for k in d) * x",
        "d = {'W1': W, 'W2': U}; return sum(np.sum(d[f'W{i}'] ** 2) for i in range(1, 3)) * x",
        "hs = [a @ b for a in (W, U) for b in (W, U) if 1 < 2 != 3]; return x @ (hs[1] * hs[2])",
        "hs = [[a @ b for a in (W, U)] for b in (W, U)]; return x @ (hs[1][0] * hs[0][1])",
        "return x @ np.stack([M * M for M in (W, U)])[0] * np.sum(U)",
        "hs = list(map(np.tanh, [W, U])); return x @ hs[0] @ hs[1]",
        "hs = [np.exp(M[i]) for i, M in zip(range(2), (W, U))]; return x * hs[0] * hs[1]",
        "k = 3; hs = [k * M for k, M in enumerate((W, U))]; return x @ (hs[1] + hs[0]) * k * np.sum(W)",
        "fs = [lambda v: v * i for i in range(1, 3)]; return fs[0](x) @ W * np.sum(U)",
        "fs = [lambda v, i=i: v * i for i in range(1, 3)]; return fs[0](x) @ W * fs[1](np.sum(U))",
    ],
)  # fmt: skip
def test_comprehensions(body: str) -> None:
    right(body, 'x, W: "D D", U: "D D"', SQUARES)


def test_reduce() -> None:
    header = "import numpy as np\nfrom functools import reduce"
    body = "return reduce(lambda a, b: np.tanh(a @ b), (x, W, U))"
    check_module(model(body, "x, W, U", header), SQUARES)
    check_module(model("return reduce(np.matmul, [W, U], x)", "x, W, U", header), SQUARES)


# --- tests that are decided


@pytest.mark.parametrize(
    "body",
    [
        "k = None; return x * y if k is None else x",
        "k = 'tanh'; return np.tanh(x) * y if k == 'tanh' else x",
        "k = 2; h = (np.tanh(x) if 1 < k <= 2 else x) * y; return h",
        "k = 2; return x * y if k in (1, 2) else x",
        "k = 'a'; return x * y if k in {'a': 1} and not k == 'b' else x",
        "return (np.tanh if isinstance((x, y), tuple) else np.sin)(x) * y",
        "h = x * y if True else np.unwrap(x); return h * (x if [] else y)",
        "return x * y if isinstance(3, (int, float)) and not isinstance('a', int) else np.unwrap(x)",
        "k = 0; return x * (k or 2) * y * (3 and 4)",
    ],
)
def test_decided_tests(body: str) -> None:
    right(body, "x, y", A)


# --- functions as values


@pytest.mark.parametrize(
    "body",
    [
        "f = lambda v: np.tanh(v); return f(x) * y",
        "f = lambda v, w: v * np.exp(w); return f(x, y) * f(w=x, v=y)",
        "f = lambda v, k=2: v ** k; return f(x) * f(y, 3)",
        "return (lambda v: v * y)(np.sin(x))",
        "act = np.tanh; return act(x) * act(x * y)",
        "f = lambda v: v * y; y = y * y; return f(x) * y",
        "f = lambda v: np.exp(np.sin(v) * y); return f(x)",
        "f = lambda v: v; z = f(x * y); return z * np.sin(z)",
        "f = lambda: x * y; return f() * f()",
        "f = lambda v: lambda w: v * np.sin(w); g = f(x); return g(y) * g(x)",
        "f = lambda *vs: vs[0] * np.sin(vs[-1]); return f(x, y)",
        "f = lambda **vs: vs['a'] * np.sin(vs['b']); return f(a=x, b=y)",
        "fs = {'tanh': np.tanh, 'sq': lambda v: v * v}; return fs['sq'](x) * fs['tanh'](y)",
        "fs = [np.sin, np.tanh]; h = x; hs = [f(h) for f in fs]; return hs[0] * hs[1] * y",
        "twice = lambda f, v: f(f(v)); return twice(np.sin, x) * twice(lambda w: w * y, x)",
        "f = lambda v: (v, v * y); p, q = f(x); return p * np.sin(q)",
        "args = (x, y); f = lambda v, w: v * np.sin(w); return f(*args) * np.multiply(*args)",
        "kw = {'axis': 0, 'keepdims': True}; return np.sum(x, **kw) * y",
        "kw = dict(axis=0); return x.sum(**kw) * np.mean(*(y,), **kw)",
        "f = lambda v: np.sum(v, axis=0) if np.pi > 3 else v; return f(x) * y",
        "f = lambda v: 1 / (1 + np.exp(-v)); return f(x) * (1 - f(y))",
    ],
)  # fmt: skip
@pytest.mark.parametrize("gates", ["grouped", "primitive"])
def test_functions_as_values(body: str, gates: str) -> None:
    right(body, "x, y", A, gates=gates)


NESTED = [
    """
    def act(v):
        \"\"\"Scaled.\"\"\"
        h = np.tanh(v)
        return h * y

    return act(x) * act(x * y)
""",
    """
    def outer(v):
        def inner(w, k=2):
            return np.sin(w) ** k * y
        a, b = inner(v), v
        return a * b

    z = outer(x)
    return z + outer(y)
""",
    """
    def act(v, kind="relu"):
        if kind == "relu":
            return np.maximum(v, 0)
        elif kind == "tanh":
            h = np.tanh(v)
        else:
            raise ValueError(kind)
        return h * v

    return act(x) * act(y, "tanh")
""",
    """
    def act(v):
        assert v is not None
        if np.any(np.isnan(v)):
            raise ValueError("nan")
        return v * scale

    scale = np.exp(y)
    z = act(x)
    return z * z
""",
    """
    def halves(v):
        return v[:, :2], v[:, 2:]

    p, q = halves(x * y)
    return p * np.sin(q)
""",
]


@pytest.mark.parametrize("body", NESTED)
def test_nested_functions(body: str) -> None:
    source = f"import numpy as np\n\n\ndef f(x, y):\n{body.strip(chr(10))}"
    for accumulate in ("forks", "always"):
        check_module(source, A, accumulate=accumulate)
    check_module(source, A, stages="relations")


HELPERS = '''
import numpy as np

SCALE = 2.0
N = 3


def relu(v):
    return np.maximum(v, 0)


def dense(v, layer, act=relu):
    W, b = layer
    return act(v @ W + b) * SCALE


def named(v, p, prefix="W"):
    """Of a dict."""
    return np.tanh(v @ p[prefix + "1"]) * N


def twice(f, v):
    return f(f(v))


def plain(v, w):
    return v * np.exp(w)


def model(x, W, b):
    N = x.shape[0]
    h = dense(x, (W, b))
    g = dense(h, layer=[W, b], act=np.tanh)
    f = relu
    q = plain
    pair = (g, h)
    return twice(lambda v: relu(v @ W), g) / N + named(h, {"W1": W}) + f(x) * q(*pair) + plain(**{"v": x, "w": b})
'''


@pytest.mark.parametrize("stages", ["source", "relations"])
def test_helpers_that_are_given_containers_and_functions(stages: str) -> None:
    inputs = {"x": X, "W": drawn((4, 4), 9), "b": ROW}
    check_module(
        HELPERS, inputs, function="model", functions=("model",), stages=stages, fresh_process=stages == "source"
    )


def test_a_constant_of_the_module_under_the_name_of_a_variable() -> None:
    """SCALE and N above: N is 3 in the helper, and a variable of its caller."""
    text = compiled(HELPERS, functions=("model",)).text
    backward = text[text.index("def model_backward") :]
    assert "N = x.shape[0]" in backward
    assert re.search(r"\* 3\b", backward)


def test_the_text_stays_the_users_own() -> None:
    text = compiled(model("f = lambda v: v * y  # late; y = y * y; return f(x) * np.sin(y)")).text
    assert "f = lambda v: v * y  # late" in text
    assert "out = f(x) * " in text


def test_a_name_that_a_lambda_reads_is_renamed_in_it() -> None:
    # y is needed as it was and as it is: the later one gets another name, in the lambda too
    report = right("f = lambda v: v * y; z = np.sin(y) * x; y = y * x; return f(z) * np.exp(y)", "x, y", A)
    assert set(report.gradients) == {"x", "y"}


def test_what_a_lambda_reads_counts_as_read_where_it_is_called() -> None:
    body = "f = lambda v: v * t; t = x * 2; u = t; u += y; return f(x)"
    check_module(model(body, 'x: "N D", y: "N D"'), A)


@pytest.mark.parametrize(
    "body",
    [
        "p, q = [x * y] * 2; return p * np.sin(q)",
        "f = lambda v: (v, (v, v)); p, (q, r) = f(x * y); return p * np.sin(q) * r",
        "f = lambda v: (v, [v]); p, t = f(x * y); return p * np.sin(t[0])",
        "g = lambda w=x * y: w; p = g(); q = g(); return p * np.sin(q)",
        "g = (lambda v: lambda: v)(x * y); p = g(); return p * np.sin(g())",
        "t = {'a': [x * y]}; p = t['a'][0]; q = t['a'][0]; return p * np.sin(q)",
        "fs = [lambda k=i: k * x for i in range(3)]; return fs[1]() * fs[2]() * y",
    ],
)
def test_one_value_in_several_places(body: str) -> None:
    right(body, "x, y", A)


@pytest.mark.parametrize(
    "body",
    [
        "t = x * 2; d = {'a': t}; t += y; return d['a'] * x",
        "t = x * 2; d = {'a': {'b': [t]}}; t += y; return d['a']['b'][0] * x",
        "t = x * 2; f = lambda v, t=t: v * t; t += y; return f(x)",
        "t = x * 2; f = (lambda w: lambda v: v * w)(t); t += y; return f(x)",
        "t = x * 2; f = lambda v: v; u = f(t); u += y; return t * x",
        "t = x * 2; u = {'a': t}['a']; u += y; return t * x",
        "t = x * 2; u = [t for k in range(2)][1]; u += y; return t * x",
        "t = x * 2; f = lambda v: v[0]; u = f(t); u += y[0]; return t * x",
        "f = lambda v: v * t; t = x * 2; u = t; u += y; return f(x)",
        "t = x * 2; args = (t, y); z = h(*args); t += 1; return z * t",
        "t = x * 2; z = h(**{'v': t, 'w': y}); t += 1; return z * t",
        "t = x * 2; z = h(*(t, y)); z += 1; t *= 3; return z * t",
    ],
)
@pytest.mark.parametrize("parameters", ["x, y", 'x: "N D", y: "N D"'])
def test_changes_in_place_are_seen_or_refused(body: str, parameters: str) -> None:
    header = "import numpy as np\n\n\ndef h(v, w):\n    return v * np.exp(w) * v"
    source = model(body, parameters, header)
    assert outcome(source, A, function="f", functions=("f",)) in ("right", "refused")


LOOPS = [
    """
    h = x
    for t in range(3):
        f = lambda v: v * h
        h = np.tanh(f(y)) + h
    return h
""",
    """
    f = lambda v: np.tanh(v) * h
    h = x
    for t in range(3):
        h = f(y) + f(x)
    return h
""",
    """
    d = {"h": x}
    for t in range(3):
        d = {"h": np.tanh(d["h"] * y)}
    return d["h"]
""",
    """
    h = x
    for t in range(3):
        hs = [h * v for v in (x, y)]
        h = hs[0] + np.tanh(hs[1])
    return h
""",
    """
    f = lambda v: v * y
    if np.sum(x) < 1000:
        y = y * 2
    return f(x)
""",
    """
    n = 2
    h = x
    for t in range(2):
        h = h * (n + 1) * y
        n = n + 1
    return h * sum([n, 1])
""",
]


@pytest.mark.parametrize("body", LOOPS)
def test_in_loops_and_branches(body: str) -> None:
    """What a function or a container holds is what it holds in that round."""
    source = f'import numpy as np\n\n\ndef f(x: "N D", y: "N D"):\n{body.strip(chr(10))}'
    check_module(source, A, differentiated=("x", "y"))


# --- what is refused


@pytest.mark.parametrize(
    ("body", "code", "place"),
    [
        ("d = {'a': x}; return d['b'] * y", "FG038", "'b'"),
        ("t = (x, y); return t[2]", "FG038", "2"),
        ("d = {x.shape[0]: x}; return d[3] * y", "FG030", "x.shape[0]"),
        ("t = [x, y]; return t[x.shape[0] - 3] * y", "FG030", "x.shape[0] - 3"),
        ("t = [x, y]; return t[x.shape[0] - 3:][0] * y", "FG030", "x.shape[0] - 3:"),
        ("t = [v for v in (x, y) if np.sum(v) > 0]; return t[0] * y", "FG030", "np.sum(v) > 0"),
        ("z = zip([x], [y]); a = list(z); return a[0][0] * y", "FG030", "z"),
        ("t = np.exp(v for v in (x, y)); return t * y", "FG034", "(v for v in (x, y))"),
        ("t = [x] + (y,); return t[0] * y", "FG034", "[x] + (y,)"),
        ("t = [x] * x.shape[0]; return t[0] * y", "FG034", "[x] * x.shape[0]"),
        ("a, b = {'k': x}; return x * y", "FG035", "{'k': x}"),
        ("a, b, *c = [x]; return x * y", "FG035", "[x]"),
        ("a, *b = x; return a * y[0]", "FG035", "*b"),
        ("return x * y * (x is y)", "FG030", "y"),
        ("t = x and y; return t * y", "FG023", "x and y"),
        ("return x * y * isinstance(x, np.ndarray)", "FG030", "isinstance(x, np.ndarray)"),
        ("return x * y * hasattr(x, 'shape')", "FG030", "hasattr(x, 'shape')"),
        ("d = {'a': x}; return d.pop('a') * y", "FG030", "d.pop('a')"),
        ("d = {'a': x}; return d + y", "FG034", "d"),
        ("f = lambda v: v; return f + y", "FG034", "f"),
        ("f = lambda v: v * y; return f(x, y)", "FG024", "f(x, y)"),
        ("f = lambda v: v * y; return f(w=x)", "FG024", "f(w=x)"),
        ("f = lambda v, w: v * y; return f(x)", "FG024", "f(x)"),
        ("f = lambda v: v * y; p = f(x); y = y * 2; return p * f(x) * y", "FG039", "y"),
        ("f = lambda v: f(v); return f(x) * y", "FG037", "f(v)"),
        ("f = x * y; return f(x)", "FG022", "f"),
        ("f = lambda v: np.unwrap(v); return f(x) * y", "FG021", "np.unwrap"),
        ("f = lambda x: x if np.sum(x) > 0 else -x; return f(y) * x", "FG039", "x if np.sum(x) > 0 else -x"),
        ("f = lambda v: v if np.sum(v) > 0 else -v; return f(y) * x", "FG039", "v if np.sum(v) > 0 else -v"),
        ("f = lambda v: v.get('a', 2.0); return f(x) * x['b'] * y", "FG039", "v.get('a', 2.0)"),
        ("return np.add(*x) * y", "FG030", "x"),
        ("return np.sum(**x) * y", "FG030", "x"),
    ],
)  # fmt: skip
def test_refused(body: str, code: str, place: str) -> None:
    found, pointed, _ = rejected(model(body))
    assert (found, pointed) == (code, place)


@pytest.mark.parametrize(
    ("inner", "code", "place"),
    [
        ("v[0] = 1", "FG039", "v[0]"),
        ("nonlocal y", "FG039", "nonlocal y"),
        ("h = k * v; k = 2", "FG020", "k"),
        ("print(v)", "FG039", "print(v)"),
    ],
)
def test_refused_in_a_nested_function(inner: str, code: str, place: str) -> None:
    lines = "".join(f"        {line.strip()}\n" for line in inner.split(";"))
    source = f"import numpy as np\n\n\ndef f(x, y):\n    def g(v):\n{lines}        return v * y\n\n    return g(x)\n"
    found, pointed, help = rejected(source)
    assert (found, pointed) == (code, place)
    assert help or code == "FG020"


def test_a_pair_cannot_be_called_inside() -> None:
    source = """
import numpy as np


def relu_forward(v):
    return np.maximum(v, 0) * v


def net_forward(x, y):
    f = lambda v: relu_forward(v)
    return f(x) * y
"""
    assert rejected(source)[:2] == ("FG039", "relu_forward(v)")


def test_a_chain_that_doubles_is_refused_and_not_written_out() -> None:
    body = "f = lambda v: v * v * np.sin(v); g = lambda v: f(f(f(f(f(f(v)))))); return g(x) * y"
    assert rejected(model(body))[0] == "FG039"
