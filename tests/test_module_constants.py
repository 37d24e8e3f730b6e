"""Constants that the head of a module computes, and imports inside functions."""

from __future__ import annotations

import numpy as np
import pytest

from flatgrad.diagnostics import Refused
from tests.support import check_module, compiled

X = np.random.default_rng(5).normal(size=(3, 4))
HEAD = (
    "import numpy as np\nfrom numpy import pi, sqrt\n\nROOT = sqrt(2 * pi)\n"
    "LOG = float(np.log(np.finfo(float).max) - 0.1)\nTINY = np.finfo(float).tiny\nHALF = ROOT / 2\n\n\n"
)


def test_computed_constants_are_numbers_of_the_module() -> None:
    source = HEAD + "def f(x: 'N D'):\n    return np.sum(x ** 2 / HALF) / LOG + TINY\n"
    check_module(source, {"x": X})
    text = compiled(source).text
    assert "ROOT = sqrt(2 * pi)\nLOG = float(np.log(np.finfo(float).max) - 0.1)\nTINY = np.finfo(float).tiny\n" in text
    assert "unbroadcast" not in text


def test_a_constant_that_a_function_binds_anew_is_none() -> None:
    source = HEAD + "def g():\n    global ROOT\n    ROOT = 3.0\n\n\ndef f(x):\n    return x * ROOT\n"
    with pytest.raises(Refused) as refused:
        compiled(source, functions=("f",))
    assert [one.code for one in refused.value.diagnostics] == ["FG020"]


@pytest.mark.parametrize(
    "statement", ["import math", "from math import sqrt", "import numpy as xp", "from scipy.special import erf"]
)
def test_an_import_in_a_function_is_one_of_the_module(statement: str) -> None:
    used = {"math": "math.sqrt(2)", "sqrt": "sqrt(2)", "xp": "xp.tanh(x)", "erf": "erf(x)"}[statement.split()[-1]]
    source = f"import numpy as np\n\n\ndef f(x):\n    {statement}\n    return np.sum(x * {used})\n"
    check_module(source, {"x": X})
    assert f"\n{statement}\n" in compiled(source).text


def test_an_import_that_is_all_of_a_function() -> None:
    source = (
        "import numpy as np\n\n\ndef g():\n    import math\n\n\ndef f(x):\n    import math\n    return x * math.pi\n"
    )
    check_module(source, {"x": X}, functions=("f",))


@pytest.mark.parametrize(
    "body",
    [
        # The same name is two things.
        "def f(x):\n    from math import sqrt\n    return x * sqrt(2)\n\n\n"
        "def g(x):\n    from numpy import sqrt\n    return sqrt(x)\n",
        # It is bound anew.
        "def f(x):\n    import math\n    math = 3.0\n    return x * math\n",
        # What another package does when it is imported is not known.
        "def f(x):\n    import helpers\n    return x * helpers.k\n",
    ],
)
def test_an_import_that_stays_where_it_is_is_refused(body: str) -> None:
    with pytest.raises(Refused) as refused:
        compiled(f"import numpy as np\n\n\n{body}", functions=("f",))
    assert "FG030" in [one.code for one in refused.value.diagnostics]
