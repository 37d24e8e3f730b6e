"""What is read of attributes in docstrings of classes and in comments, and held to when forward runs."""

from __future__ import annotations

import numpy as np
import pytest

from flatgrad.compiler import compile_source
from flatgrad.frontend.claims import parameter_claims
from flatgrad.frontend.source import read_module
from flatgrad.options import Options

CLASSES = {
    "docstring": '''
class Scale:
    """w: (D,)"""

    def __init__(self, w):
        self.w = w

    def forward(self, x):
        """x: (N, D)"""
        return x * self.w
''',
    "comment": """
class Scale:
    def __init__(self, w):
        self.w = w  # one factor a column, shape (D,)

    def forward(self, x):
        # x is (N, D)
        return x * self.w
""",
}


@pytest.mark.parametrize("where", CLASSES)
def test_attributes_have_the_shape_that_the_class_says(where: str) -> None:
    source = "import numpy as np\n" + CLASSES[where]
    made = compile_source(source, "scale.py", Options(functions=("Scale",)), beside=False)
    names: dict[str, type] = {}
    exec(compile(made.text, "made.py", "exec"), names)
    scale = names["Scale"](np.array([2.0, 3.0]))
    x = np.arange(6.0).reshape(3, 2)
    scale.forward(x)
    assert np.array_equal(scale.backward(np.ones((3, 2))), np.tile([2.0, 3.0], (3, 1)))
    assert np.array_equal(scale.dw, x.sum(axis=0))
    with pytest.raises(ValueError, match="shapes must be"):
        names["Scale"](np.ones((1, 2))).forward(x)


@pytest.mark.parametrize("value", ["w if w is not None else None", "None"])
def test_what_may_be_none_has_no_claim(value: str) -> None:
    source = f"""
class Shift:
    def __init__(self, w=None):
        self.w = {value}  # shape (D,)

    def forward(self, x):
        # x: (N, D)
        return x * 2
"""
    made = compile_source(source, "shift.py", Options(functions=("Shift",)), beside=False)
    assert "self.w.shape" not in made.text


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        ("# x: (N, D), w: (D,)", {"x": "(N, D)", "w": "(D,)"}),
        ("# x is (N, D)", {"x": "(N, D)"}),
        ("y = x  # x: (N, D)", {}),
        ("y = x\n    # x: (N, D)", {}),
        ("# the rows of x", {}),
    ],
)
def test_comments_above_the_first_statement(head: str, expected: dict[str, str]) -> None:
    module = read_module(f"def f(x, w):\n    {head}\n    return x * w\n", "f.py")
    claims = parameter_claims(module, module.functions["f"])
    assert {claim.name: str(claim.shape) for claim in claims} == expected
