"""What is live after each statement; what statements bind, change and read."""

from __future__ import annotations

import ast
from textwrap import dedent

import pytest

from flatgrad.frontend.liveness import assigned_names, bound_names, live_after, read_before_bound, reads


def function(body: str, parameters: str = "x, y, w") -> ast.FunctionDef:
    lines = "\n".join("    " + line for line in dedent(body).strip().splitlines())
    node = ast.parse(f"def f({parameters}):\n{lines}\n").body[0]
    assert isinstance(node, ast.FunctionDef)
    return node


def live(body: str, text: str, dropped: tuple[str, ...] = (), ignored: tuple[str, ...] = ()) -> set[str]:
    """The names that are live after the first statement that begins with `text`."""
    node = function(body)
    statements = [part for part in ast.walk(node) if isinstance(part, ast.stmt) and part is not node]
    gone = frozenset(part for part in statements if ast.unparse(part).startswith(dropped)) if dropped else frozenset()
    passed = frozenset(part for part in ast.walk(node) if isinstance(part, ast.expr) and ast.unparse(part) in ignored)
    found = live_after(node, gone, passed)
    assert found.keys() <= set(statements)
    (first, *_) = [part for part in statements if ast.unparse(part).startswith(text)]
    return set(found[first])


def statements(body: str) -> list[ast.stmt]:
    return ast.parse(dedent(body)).body


LOOP = """
    h = x
    for t in range(3):
        a = w * h
        h = a + y
        y = 2
    return h
"""


def test_a_straight_line() -> None:
    assert live("a = x + y\nb = a * w\nreturn b", "a = ") == {"a", "w"}
    assert live("a = x + y\nb = a * w\nreturn b", "b = ") == {"b"}
    assert live("a = x + y\nb = a * w\nreturn b", "return") == set()


def test_the_end_of_a_round_is_the_head_of_the_next() -> None:
    assert live(LOOP, "y = 2") == {"w", "h", "y", "range"}
    assert live(LOOP, "h = a") == {"w", "h", "range"}
    assert live(LOOP, "a = ") == {"w", "a", "y", "range"}
    assert live(LOOP, "for") == {"h"}


def test_a_while_loop_reads_its_test_again() -> None:
    assert live("while x > y:\n    x = x / w\n    y += 1\nreturn y", "y += ") == {"x", "y", "w"}


def test_break_skips_the_else_of_a_loop_and_continue_goes_round() -> None:
    body = """
    for i in x:
        if i > w:
            a = i
            break
        b = y
        continue
    else:
        a = 0
    return a
    """
    assert live(body, "a = i") == {"a"}
    assert live(body, "b = y") == {"x", "w", "y"}
    assert live(body, "break") == {"a"}


def test_each_arm_has_its_own_way_and_the_rest() -> None:
    body = "if x > 0:\n    a = y\nelse:\n    b = w\n    a = b * y\nreturn a"
    assert live(body, "a = y") == {"a"}
    assert live(body, "b = w") == {"b", "y"}


def test_an_early_return_reads_nothing_of_the_rest() -> None:
    assert live("s = x @ w\nif y is None:\n    return s\nloss = s * y\nreturn loss, s", "s = ") == {"s", "y"}
    assert live("if y is None:\n    t = x\n    return t\nreturn w", "t = x") == {"t"}


def test_an_element_is_no_new_binding() -> None:
    assert live("a = x\na[0] = y\nreturn w", "a = x") == {"a", "y", "w"}
    assert live("a = x\na = y\nreturn a", "a = x") == {"y"}
    assert live("a = x\na += y\nreturn w", "a = x") == {"a", "y", "w"}


def test_the_names_of_a_comprehension_are_its_own() -> None:
    body = "i = x\nys = [i * w for i in y]\nreturn i + ys"
    assert live(body, "i = x") == {"i", "y", "w"}  # and i is the outer one
    assert reads(ast.parse("[a for a in b if a > c]").body[0]) == {"b", "c"}
    assert reads(ast.parse("[a for row in rows for a in row]").body[0]) == {"rows"}
    assert reads(ast.parse("lambda a, b=c: a + b + d").body[0]) == {"c", "d"}


def test_what_a_closure_reads_is_live_everywhere() -> None:
    assert "w" in live("g = lambda a: a * w\ns = g(x)\nreturn s", "s = ")
    assert "w" in live("def g(a):\n    return a * w\ns = g(x)\nreturn s", "s = ")
    assert "w" not in live("g = lambda w: w + 1\ns = g(x)\nreturn s", "s = ")
    assert "w" in live("g = (a * w for a in x)\ns = y\nreturn s", "s = ")
    assert "w" not in live("g = sum(a * w for a in x)\ns = y\nreturn s", "s = ")
    assert "w" in live("g = zip((a * w for a in x))\ns = y\nreturn s", "s = ")


def test_dropped_statements_and_ignored_results_read_nothing() -> None:
    body = "loss = x * y\nd = x\nfor i in range(3):\n    d[i] = w\nreturn loss, d"
    assert live(body, "loss = ") == {"loss", "x", "w", "d", "range"} - {"d"}
    assert live(body, "loss = ", dropped=("for", "d = ")) == {"loss", "d"}
    assert live(body, "loss = ", dropped=("for", "d = "), ignored=("d",)) == {"loss"}


def test_a_handler_may_follow_any_statement_of_its_try() -> None:
    body = "try:\n    a = x\n    b = a\nexcept ValueError:\n    b = y\nfinally:\n    c = w\nreturn b"
    assert live(body, "a = x") == {"a", "y", "w", "ValueError", "b"}
    assert "w" in live(body, "b = y")


def test_del_ends_a_name() -> None:
    assert live("a = x\ndel a\na = y\nreturn a", "a = x") == {"y"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a, (b, *c) = x", {"a", "b", "c"}),
        ("a[0].b[1] = x", {"a"}),
        ("for i, j in z:\n    self.w += 1", {"i", "j", "self"}),
        ("hs.append(h)", {"hs"}),
        ("h = hs.pop()", {"h", "hs"}),
        ("np.add.at(dw, i, g)", {"np", "dw"}),
        ("np.exp(x, out=z)", {"z"}),
        ("logger.info('x %s', x)", set()),
        ("y = np.exp(x, out=z)", {"z", "y"}),
        ("with a as b:\n    del c", {"b", "c"}),
        ("xs = [i for i in range(3)]", {"xs"}),
        ("xs = [(last := i) for i in range(3)]", {"xs", "last"}),
        ("def g(a):\n    a[0] = 1\n    grads['w'] = a", {"g", "grads"}),
        ("import numpy.linalg as la", {"la"}),
        ("change(x[0])", {"x"}),
        ("print(x)", set()),
    ],
)
def test_what_statements_bind_or_change(text: str, expected: set[str]) -> None:
    assert assigned_names(statements(text)) == expected


def test_what_is_changed_in_place_is_not_bound() -> None:
    assert bound_names(statements("a[0] = 1\nb = 2\nhs.append(3)")) == {"b"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a = x\nb = a", {"x"}),
        ("if x:\n    a = 1\nb = a", {"x", "a"}),
        ("for i in xs:\n    a = i\nb = a", {"xs", "a"}),
        ("a[0] = 1", {"a"}),
        ("a += 1", {"a"}),
        ("while n:\n    n = m", {"n", "m"}),
        ("for i in xs:\n    s = s + i\n    t = s", {"xs", "s"}),
        ("if a:\n    continue\nb = c", {"a", "c"}),
    ],
)
def test_what_is_read_before_it_is_bound(text: str, expected: set[str]) -> None:
    assert read_before_bound(statements(text)) == expected
