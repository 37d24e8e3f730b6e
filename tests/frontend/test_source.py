"""Reading a file: places, comments, names, which functions, what is refused."""

from __future__ import annotations

import ast
import keyword

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flatgrad.diagnostics import Diagnostic, Refused, render
from flatgrad.frontend.python2 import python2_name
from flatgrad.frontend.source import (
    Module,
    dotted_path,
    entry_functions,
    name_span,
    read_module,
    span_of,
    star_import,
    statement_text,
    text_at,
)
from flatgrad.ir.core import Span


def read(source: str) -> Module:
    return read_module(source, "model.py")


def refused(source: str) -> Diagnostic:
    with pytest.raises(Refused) as caught:
        read(source)
    (diagnostic,) = caught.value.diagnostics
    return diagnostic


# What is not Python


@pytest.mark.parametrize(
    ("source", "message", "span"),
    [
        ("def f(:\n pass", "invalid syntax", Span(1, 6, 1, 7)),
        ("x = 1\né = 'ü' $ 3\n", "invalid syntax", Span(2, 8, 2, 9)),
        ("x = (1,\n", "'(' was never closed", Span(1, 4, 1, 5)),
        ("x = 1 +", "invalid syntax", Span(1, 7, 1, 7)),
        ("x = 'abc\n", "unterminated string literal (detected at line 1)", Span(1, 4, 1, 5)),
        ("x = 1\n   y = 2\n", "unexpected indent", Span(2, 3, 2, 8)),
        ("def f():\nx=1\n", "expected an indented block after function definition on line 1", Span(2, 0, 2, 3)),
        ("x = 1\n\\", "unexpected EOF while parsing", Span(2, 1, 2, 1)),
        ("x = 1\né\0y", "a null character", Span(2, 1, 2, 2)),
        ("x = 1\ny = '\ud800'", "half of a surrogate pair, which is not a character", Span(2, 5, 2, 6)),
        ("x = " + "-" * 20000 + "1", "an expression is nested too deeply for Python's parser", None),
        ("x = 1" + " + 1" * 20000, "an expression is nested too deeply for Python's parser", None),
    ],
)
def test_syntax_errors(source: str, message: str, span: Span | None) -> None:
    diagnostic = refused(source)
    assert (diagnostic.code, diagnostic.message) == ("FG001", f"not valid Python: {message}")
    assert diagnostic.span == span
    assert not diagnostic.help
    assert render(diagnostic, source, "model.py")


def test_notebook_commands() -> None:
    diagnostic = refused("import numpy as np\n%matplotlib inline\n")
    assert (diagnostic.code, diagnostic.span) == ("FG001", Span(2, 0, 2, 1))
    assert diagnostic.help == "a notebook's own commands have to be taken out first"


@pytest.mark.parametrize(
    ("source", "what", "label", "span"),
    [
        (
            "def f(x):\n  print 'é', x\n",
            "the print statement",
            "`print x` is written `print(x)` now",
            Span(2, 2, 2, 14),
        ),
        ("exec 'a'\n", "the exec statement", "`exec code` is written `exec(code)` now", Span(1, 0, 1, 8)),
        (
            "try:\n  pass\nexcept A, e:\n  pass\n",
            "`except E, e`",
            "`except E, e` is written `except E as e` now",
            Span(3, 7, 3, 11),
        ),
        (
            "raise V, 'x'\n",
            "`raise E, message`",
            "`raise E, message` is written `raise E(message)` now",
            Span(1, 7, 1, 8),
        ),
        ("if a <> b: pass\n", "the operator `<>`", "`a <> b` is written `a != b` now", Span(1, 5, 1, 7)),
        ("x = `a`\n", "a backquoted expression", "``x`` is written `repr(x)` now", Span(1, 4, 1, 5)),
        ("x = 0777\n", "an octal number", "`0777` is written `0o777` now", Span(1, 4, 1, 5)),
        ("x = 10L\n", "a long integer", "`10L` is written `10` now", Span(1, 5, 1, 6)),
        (
            "def f((a, b)): pass\n",
            "a tuple as a parameter",
            "`def f((a, b))` is written `def f(ab)` now",
            Span(1, 6, 1, 12),
        ),
        (
            "g = lambda (a, b): a\n",
            "a tuple as a parameter",
            "`lambda (a, b)` is written `lambda ab` now",
            Span(1, 11, 1, 17),
        ),
    ],
)
def test_python_2(source: str, what: str, label: str, span: Span) -> None:
    diagnostic = refused(source)
    assert (diagnostic.code, diagnostic.message) == ("FG002", f"this is Python 2: {what}")
    assert diagnostic.label == label
    assert diagnostic.span == span
    assert diagnostic.help.startswith("convert model.py first, for instance with `2to3 -w`")


@pytest.mark.parametrize("source", ["l = [1, 2\n", "l = (1\n", "L += $\n", "raised, x = $\n"])
def test_lines_that_only_look_like_python_2(source: str) -> None:
    assert refused(source).code == "FG001"


def test_names_of_python_2() -> None:
    module = read("def f(n):\n    é = 1; t = xrange(n)\n    return t\n")
    names = [node for node in ast.walk(module.tree) if isinstance(node, ast.Name)]
    (found,) = [d for node in names if (d := python2_name(module, node)) is not None]
    assert (found.code, found.message, found.span) == ("FG002", "this is Python 2: `xrange`", Span(2, 15, 2, 21))
    assert found.label == "`xrange` is written `range` now"
    bound = read("from past.builtins import xrange\nxrange(3)\n")
    assert all(python2_name(bound, n) is None for n in ast.walk(bound.tree) if isinstance(n, ast.Name))


def test_warnings_of_the_parser_are_not_ours(recwarn: pytest.WarningsRecorder) -> None:
    read("x = '\\d'\n")
    assert not recwarn.list


# Text and places


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_line_ends_and_byte_order_marks(end: str, mark: str) -> None:
    source = mark + end.join(["# -*- coding: latin-1 -*-", "x = 1", "\ty = 'ü'".strip(), "z = x  # ä", ""])
    module = read(source)
    assert module.lines == ("# -*- coding: latin-1 -*-", "x = 1", "y = 'ü'", "z = x  # ä", "")
    assert module.text == "\n".join(module.lines)
    assert [text_at(module, span_of(module, s)) for s in module.tree.body] == ["x = 1", "y = 'ü'", "z = x"]
    assert module.comments[4].column == 7


@pytest.mark.parametrize(
    "line",
    [
        "x = a + b",
        "é = α + ß",
        "ü = 'ÄÖÜ'; y = '𝛁' + b",
        "\x0cx = a",
        "x = 'a\x0cb' + c",
        "x\t=\ta  +\tb",
        "x = '\u2028' + y; z = '\x85' + ü",
        "x = f'{é} und {b!r:>{w}}' + c",
        "x = (é,\n\tb, '''ä\nö''', c)",
        "x = a \\\n    + é",
    ],
)
def test_places_are_in_characters(line: str) -> None:
    module = read(f"if True:\n    pass\n{line}\n")
    checked = 0
    for statement in module.tree.body[1:]:
        assert ast.dump(ast.parse(text_at(module, span_of(module, statement)))) == ast.dump(
            ast.Module([statement], type_ignores=[])
        )
        for node in ast.walk(statement):
            if isinstance(node, ast.Name) and "f'" not in line:
                assert text_at(module, span_of(module, node)) == node.id
                checked += 1
    assert checked or "f'" in line


def test_places_inside_an_f_string_of_several_lines_stay_in_the_text() -> None:
    module = read("x = f'''\n{a}\n     {b + c}'''")
    for node in ast.walk(module.tree):
        if isinstance(node, ast.expr):
            text_at(module, span_of(module, node))


def test_a_node_without_a_place() -> None:
    module = read("x = 1\n")
    with pytest.raises(ValueError, match="a Load node has no place"):
        span_of(module, ast.Load())


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("def f(x):\n    return x\n", "f"),
        ("@cached\ndef  größe (x):\n    return x\n", "größe"),
        ("def \\\n  f(x):\n    return x\n", "def \\"),
    ],
)
def test_the_place_of_a_name(source: str, text: str) -> None:
    module = read(source)
    (function,) = module.functions.values()
    assert text_at(module, name_span(module, function)) == text


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("x = a  +  b  # sum", "x = a  +  b"),
        ("x = 1e-3; y = 2", "x = 1e-3"),
        ("x = '#'  # not this", "x = '#'"),
        ("x = f(\n    a,  # first\n    b,\n)", "x = f(a, b)"),
        ("x = (\n    a\n    + b  # c\n)", "x = (a + b)"),
        ("x = (\n    a,\n)", "x = (a,)"),
        ("x = p[\n    0,\n]", "x = p[0,]"),
        ("x = [\n    1e-3,\n    0x10,\n]", "x = [1e-3, 0x10]"),
        ("x = a \\\n    + b", "x = a + b"),
        ("x = (a\n     .dot(b)\n     .sum())", "x = (a.dot(b).sum())"),
        ("x = f(a=1,\n      b = 2)", "x = f(a=1, b = 2)"),
        ("x = ('a'\n     'b')", "x = ('a' 'b')"),
        ("x = '''a\nb'''", "x = 'a\\nb'"),
        ("return_ = {\n    'a': 1,\n}", "return_ = {'a': 1}"),
        ("x += (\n    é\n)", "x += (é)"),
        ("x = lambda: (\n    1\n)", "x = lambda: (1)"),
        ("x = f(*a,\n    **k)", "x = f(*a, **k)"),
        ("x = [\n    -1,\n    not y]", "x = [-1, not y]"),
    ],
)
def test_statement_text(source: str, text: str) -> None:
    module = read(source)
    assert statement_text(module, module.tree.body[0]) == text


LEAVES = st.sampled_from(["a", "é", "1e-3", "0.10", "'x#y'", "(a,)", "-b", "f(a, k = 1)", "p[0, :]"])
EXPRESSIONS = st.recursive(
    LEAVES,
    lambda inner: st.builds(
        "({}{}{}{})".format, inner, st.sampled_from(["", "  # c\n", "\n\t"]), st.sampled_from([" + ", "@", ","]), inner
    ),
    max_leaves=8,
)


@given(EXPRESSIONS)
def test_a_joined_statement_means_the_same(expression: str) -> None:
    module = read(f"x = {expression}\n")
    text = statement_text(module, module.tree.body[0])
    assert "\n" not in text
    assert ast.dump(ast.parse(text)) == ast.dump(module.tree)


@given(
    st.lists(
        st.sampled_from(["é", "a", " ", "\t", "#", "'", "\n", "=", "1", "(", ")", "\\", "\x0c", "\r", "𝛁"]), max_size=25
    )
)
def test_any_text_is_read_or_refused(parts: list[str]) -> None:
    source = "".join(parts)
    try:
        module = read(source)
    except Refused as refusal:
        found = refusal.diagnostics
    else:
        found = ()
        for statement in module.tree.body:
            (again,) = ast.parse(statement_text(module, statement)).body
            assert ast.dump(again) == ast.dump(statement)
    assert {diagnostic.code for diagnostic in found} <= {"FG001", "FG002"}
    for diagnostic in found:
        assert render(diagnostic, source, "model.py")


def test_comments() -> None:
    module = read("# head\nx = 1  # (N, D)  \ny = '# none'\nz = (1,  # é\n     2)  #\n")
    assert [(c.line, c.column, c.text) for c in module.comments.values()] == [
        (1, 0, "# head"),
        (2, 7, "# (N, D)"),
        (4, 9, "# é"),
        (5, 9, "#"),
    ]
    assert list(module.comments) == [1, 2, 4, 5]


# Names

IMPORTS = """\
from __future__ import annotations
import numpy
import numpy as np, math
import scipy.special
import numpy.linalg as la
from numpy import exp, dot as product
from scipy import special
from scipy.special import expit
from .layers import affine_forward
from . import solver
"""


@pytest.mark.parametrize(
    ("expression", "path"),
    [
        ("np.exp", "numpy.exp"),
        ("numpy.linalg.norm", "numpy.linalg.norm"),
        ("np.linalg.norm", "numpy.linalg.norm"),
        ("la.norm", "numpy.linalg.norm"),
        ("exp", "numpy.exp"),
        ("product", "numpy.dot"),
        ("math.pi", "math.pi"),
        ("special.expit", "scipy.special.expit"),
        ("scipy.special.expit", "scipy.special.expit"),
        ("expit", "scipy.special.expit"),
        ("affine_forward", ".layers.affine_forward"),
        ("solver.step", ".solver.step"),
        ("abs", "builtins.abs"),
        ("float.fromhex", "builtins.float.fromhex"),
        ("dot", None),
        ("unknown", None),
        ("x", None),
        ("x.sum", None),
        ("f", None),
        ("f(1).real", None),
        ("a[0].T", None),
    ],
)
def test_dotted_paths(expression: str, path: str | None) -> None:
    module = read(f"{IMPORTS}def f(x):\n    return x\n")
    assert dotted_path(module, ast.parse(expression, mode="eval").body, frozenset({"x"})) == path


@pytest.mark.parametrize("expression", ["np.exp", "exp", "abs", "scipy.special.expit"])
def test_local_variables_hide_imports_and_builtins(expression: str) -> None:
    module = read(IMPORTS)
    node = ast.parse(expression, mode="eval").body
    assert dotted_path(module, node, frozenset({"other"})) is not None
    assert dotted_path(module, node, frozenset({expression.split(".")[0]})) is None


@pytest.mark.parametrize(
    ("source", "name", "path"),
    [
        ("from numpy import exp\ndef exp(x):\n    return x\n", "exp", None),
        ("def exp(x):\n    return x\nfrom numpy import exp\n", "exp", "numpy.exp"),
        ("def abs(x):\n    return x\n", "abs", None),
        ("abs = 3\n", "abs", None),
        ("class abs: pass\n", "abs", None),
        ("for abs in range(3): pass\n", "abs", None),
        ("with open('f') as abs: pass\n", "abs", None),
        ("(abs := 3)\n", "abs", None),
        ("try:\n    pass\nexcept Exception as abs:\n    pass\n", "abs", None),
        ("match 3:\n    case abs:\n        pass\n", "abs", None),
        ("def f():\n    global abs\n    abs = 3\n", "abs", None),
        ("def f():\n    abs = 3\n", "abs", "builtins.abs"),
        ("import numpy as np\nnp = 3\n", "np", None),
        ("import numpy as np\ndel np\n", "np", None),
        ("try:\n    import numpy as np\nexcept ImportError:\n    raise\n", "np", "numpy"),
        ("try:\n    import cupy as np\nexcept ImportError:\n    import numpy as np\n", "np", None),
        ("import numpy as np\nif fast:\n    import cupy as np\n", "np", None),
        ("import numpy as np\nif fast:\n    import numpy as np\n", "np", "numpy"),
        ("import cupy as np\nimport numpy as np\n", "np", "numpy"),
        ("import numpy as np\nif __name__ == '__main__':\n    import cupy as np\n    abs = 3\n", "np", "numpy"),
        ("if '__main__' == __name__:\n    abs = 3\n", "abs", "builtins.abs"),
    ],
)
def test_names_that_are_bound_again(source: str, name: str, path: str | None) -> None:
    assert dotted_path(read(source), ast.Name(name), frozenset()) == path


def test_a_star_import_may_bind_any_name() -> None:
    module = read("import numpy as np\nfrom layers import *\n")
    star = star_import(module)
    assert star is not None
    assert star.text == "from layers import *"
    assert dotted_path(module, ast.Name("sum"), frozenset()) is None
    assert dotted_path(module, ast.Name("np"), frozenset()) == "numpy"
    assert star_import(read(IMPORTS)) is None


def test_import_texts_keep_what_is_used() -> None:
    module = read(
        IMPORTS + "if __name__ == '__main__':\n    import matplotlib\ntry:\n    import a, b as c\nfinally: pass\n"
    )
    assert [statement.text for statement in module.import_texts] == [*IMPORTS.splitlines()[1:], "import a, b as c"]
    used = frozenset({"np", "exp", "scipy", "c"})
    assert [statement.keeping(used) for statement in module.import_texts] == [
        "",
        "import numpy as np",
        "import scipy.special",
        "",
        "from numpy import exp",
        "",
        "",
        "",
        "",
        "import b as c",
    ]
    assert module.import_texts[4].keeping(frozenset({"exp", "product"})) == "from numpy import exp, dot as product"
    assert module.import_texts[7].keeping(frozenset({"affine_forward"})) == "from .layers import affine_forward"


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("EPS = 1e-8", "EPS = 1e-08"),
        ("EPS: float = 1e-8", "EPS = 1e-08"),
        ("N = 3\nM = 2 * N + 1", "N = 3, M = 2 * N + 1"),
        ("A, B = 1, -2", "A = 1, B = -2"),
        ("A = B = 3", "A = 3, B = 3"),
        ("S = (3, 4)\nM = 'same'\nF = True\nZ = None", "S = (3, 4), M = 'same', F = True, Z = None"),
        ("TAU = 2 * np.pi", "TAU = 2 * np.pi"),
        ("C = math.log(2 * math.pi) / 2", "C = math.log(2 * math.pi) / 2"),
        ("C = float('inf')", "C = float('inf')"),
        ("W = [1, 2]\nV = np.array(W, dtype=np.float64)", "W = [1, 2], V = np.array(W, dtype=np.float64)"),
        ("N = 3\ndef f(n):\n    N = n\n    return N", "N = 3"),
        # not constants
        ("N = 3\nN = 4", ""),
        ("N = 3\nN += 1", ""),
        ("N = 3\nif x:\n    N = 4", ""),
        ("if x:\n    N = 4", ""),
        ("N = 3\ndel N", ""),
        ("N = 3\ndef f():\n    global N\n    N = 4", ""),
        ("for N in range(3): pass", ""),
        ("M = 2 * N\nN = 3", "N = 3"),
        ("N = len(x)", ""),
        ("N = np.random.randn(3)", ""),
        ("N = np.loadtxt('f')", ""),
        ("N = open('f')", ""),
        ("def abs(x): return 1\nN = abs(3)", ""),
        ("A, B = f()", ""),
        ("A, *B = 1, 2", ""),
        ("W = [1, 2]\nW.append(3)", ""),
        ("W = [1, 2]\ndef f():\n    W[0] = 3", ""),
        ("W = np.zeros(3)\nW += 1", ""),
        ("W = np.zeros(3)\nnp.add(1, 2, out=W)", ""),
        ("W = np.zeros(3)\nnp.add.at(W, 0, 2)", ""),
        ("W = np.zeros(3)\nW.T[0] = 2", ""),
        ("W = np.zeros(3)\nW.flat[:] = 2", ""),
        ("N: int", ""),
        ("(N := 3)", ""),
        ("N = f'{3}'", ""),
    ],
)
def test_constants(source: str, expected: str) -> None:
    module = read(f"import numpy as np\nimport math\n{source}\n")
    assert ", ".join(f"{name} = {ast.unparse(value)}" for name, value in module.constants.items()) == expected


def test_functions_are_those_at_the_top_level_in_order() -> None:
    module = read(
        "def b(): return 1\nclass A:\n    def m(self): return 2\ndef a(): return 1\ndef b(): return 3\n"
        "if x:\n    def c(): return 1\nasync def d(): return 1\ndef e(): return 1\ne = 3\n"
    )
    assert list(module.functions) == ["a", "b"]
    assert module.functions["b"].lineno == 5
    assert {"a", "b", "c", "d", "e", "A"} <= module.bound
    assert "m" not in module.bound


# Which functions

BODY = "    return x\n"


def functions(*names: str) -> str:
    return "".join(f"def {name}(x):\n{BODY}" for name in names)


@pytest.mark.parametrize(
    ("source", "asked", "expected"),
    [
        (functions("f", "g", "_h"), (), ("f", "g")),
        (functions("f", "g", "_h"), ("_h", "f", "f"), ("f", "_h")),
        (functions("f", "a_forward", "_b_forward", "c_forward", "a_backward"), (), ("a_forward", "c_forward")),
        (functions("a_forward", "g"), ("a", "g"), ("a_forward", "g")),
        (functions("a", "a_forward"), ("a",), ("a",)),
        (functions("f", "f_backward", "g_backward"), (), ("f", "g_backward")),
        (functions("_f_forward", "g"), (), ("g",)),
        (functions("f_backward", "f"), ("f_backward",), ("f_backward",)),
        ("def f(x):\n    print(x)\ndef g(x):\n    return\ndef h(x):\n    return None\n", (), ()),
        ("def f(x):\n    def g():\n        return x\n    k = lambda: x\n", (), ()),
        ("def f(x):\n    if x:\n        return x\n", (), ("f",)),
        ("def f_forward(x):\n    pass\n", (), ("f_forward",)),
        ("", (), ()),
    ],
)
def test_entry_functions(source: str, asked: tuple[str, ...], expected: tuple[str, ...]) -> None:
    assert entry_functions(read(source), asked) == expected


@pytest.mark.parametrize(
    ("asked", "message", "help"),
    [
        ("sofmax", "there is no function sofmax in model.py", "did you mean softmax?"),
        ("q", "there is no function q in model.py", "its functions: softmax, affine"),
        ("Net", "Net is a class, not a function", "its functions: softmax, affine"),
    ],
)
def test_functions_that_are_not_there(asked: str, message: str, help: str) -> None:
    module = read(functions("softmax", "affine") + "class Net: pass\n")
    with pytest.raises(Refused) as caught:
        entry_functions(module, (asked, "affine"))
    (diagnostic,) = caught.value.diagnostics
    assert (diagnostic.code, diagnostic.message, diagnostic.help) == ("FG060", message, help)
    assert diagnostic.span is None


def test_every_missing_function_is_reported() -> None:
    with pytest.raises(Refused) as caught:
        entry_functions(read("x = 1\n"), ("f", "g", "f"))
    assert [diagnostic.help for diagnostic in caught.value.diagnostics] == ["it has no function at its top level"] * 2


@given(
    st.lists(st.text(alphabet="abcé_", min_size=1, max_size=4).filter(lambda n: not keyword.iskeyword(n)), unique=True)
)
def test_entry_functions_keep_the_order_of_the_file(names: list[str]) -> None:
    module = read(functions(*names))
    assert entry_functions(module, tuple(reversed(names))) == tuple(names)
