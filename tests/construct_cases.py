"""The constructs of the language, in the order of docs/language.md: a source in `constructs/`, how it is compiled, and
what it is called with."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tests.support import ROOT

CONSTRUCTS = ROOT / "tests" / "constructs"
Inputs = dict[str, Any]
Draw = Callable[[Callable[..., Any]], tuple[Inputs, ...]]


@dataclass(frozen=True, slots=True)
class Construct:
    """One construct.

    `draw` makes the arguments of every run from a function that draws an array of normal numbers of a shape; None for a
    class. Only the first `results` results are differentiated, if it is not None: the others are the user's own cache
    or gradients. The runs in `early` return with nothing that can be differentiated. `options` are fields of the
    compiler's Options.
    """

    stem: str
    draw: Draw | None
    results: int | None = None
    early: tuple[int, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def source(self) -> str:
        return (CONSTRUCTS / f"{self.stem}.py").read_text(encoding="utf-8")

    def runs(self) -> tuple[Inputs, ...]:
        rng = np.random.default_rng(sum(map(ord, self.stem)))
        return self.draw(lambda *shape: rng.normal(size=shape)) if self.draw else ()

    def select(self, value: Any) -> tuple[Any, ...]:
        """The differentiated results among those that the user's function returns."""
        results = value if isinstance(value, tuple) else (value,)
        return results[: self.results]


# Loops: no round, one round, several.
LOOPS = (
    Construct("for_range", lambda n: tuple({"x": n(3), "W": n(3, 3), "T": t} for t in (0, 1, 3))),
    Construct(
        "for_range_step",
        lambda n: tuple(
            {"x": n(9), "lo": lo, "hi": hi, "step": step} for lo, hi, step in ((1, 8, 3), (7, 0, -2), (4, 4, 1))
        ),
    ),
    Construct("for_reversed", lambda n: tuple({"x": n(t), "gamma": 0.9} for t in (0, 1, 4))),
    Construct("for_rows", lambda n: tuple({"X": n(k, 4), "w": n(4)} for k in (0, 1, 3))),
    Construct("for_enumerate", lambda n: tuple({"X": n(k, 4), "w": n(4)} for k in (0, 1, 3))),
    Construct("for_zip", lambda n: tuple({"x": n(N), "y": n(M)} for N, M in ((0, 2), (1, 1), (3, 3), (4, 2), (2, 4)))),
    Construct(
        "for_list",
        lambda n: tuple(
            {"x": n(N, 4), "W1": n(4, 3), "b1": n(3), "W2": n(3, 2), "b2": n(2), "reg": 0.3} for N in (1, 5)
        ),
    ),
    Construct(
        "for_position", lambda n: tuple({"x": n(N, 4), "W1": n(4, 3), "W2": n(3, 3), "W3": n(3, 2)} for N in (1, 5))
    ),
    Construct(
        "for_dict",
        lambda n: tuple(
            {"x": n(N, 4), "params": {"W1": n(4, 3), "b1": n(3), "W2": n(3, 2)}, "reg": 0.3} for N in (1, 5)
        ),
    ),
    Construct(
        "sum_over",
        lambda n: tuple(
            {"x": n(N, 4), "params": {"W1": n(4, 3), "b1": n(3), "W2": n(3, 2)}, "reg": 0.3} for N in (1, 5)
        ),
    ),
    Construct("for_nested", lambda n: tuple({"x": n(N, N), "w": n(K, K)} for N, K in ((5, 2), (2, 2), (3, 1)))),
    Construct("while_test", lambda n: tuple({"x": x, "a": 0.3} for x in (2.7, 1.0, -2.0))),
    Construct("loop_return", lambda n: tuple({"x": n(3), "tol": tol} for tol in (1e-3, 0.5, 100.0, 0.0))),
    Construct(
        "loop_break",
        lambda n: tuple(
            {"x": np.array(x), "w": w}
            for x, w in (
                ([], 0.9),
                ([0.5], 0.9),
                ([2.0, 1.0, 1.0], 0.9),  # in the second round
                ([1.6, 1.6, 1.0], 1.0),
                ([0.2, 0.1, 0.3, 0.1], 0.9),  # never
            )
        ),
    ),
    Construct(
        "loop_continue",
        lambda n: tuple({"W": n(4, C), "x": n(4), "y": y} for C, y in ((3, 0), (3, 1), (3, 2), (1, 0))),
    ),
    Construct("loop_scalar", lambda n: tuple({"x": n(k)} for k in (0, 1, 4))),
    Construct("loop_several", lambda n: tuple({"x": n(t, 3), "h": n(3), "c": n(3), "w": n(3)} for t in (0, 1, 4))),
    Construct("loop_variable", lambda n: tuple({"x": n(k)} for k in (1, 4))),
)
# Branches: every arm.
BRANCHES = (
    Construct("if_flag", lambda n: tuple({"x": n(3, 4), "w": n(4), "train": train} for train in (True, False))),
    Construct("if_string", lambda n: tuple({"x": n(3), "kind": kind} for kind in ("tanh", "relu", "exp"))),
    Construct("if_data", lambda n: ({"x": 1.5, "y": 0.5}, {"x": 0.5, "y": 1.5})),
    Construct(
        "if_none",
        lambda n: (
            {"x": n(3, 4), "w": n(4)},
            {"x": n(3, 4), "w": n(4), "mask": None},
            {"x": n(3, 4), "w": n(4), "mask": n(3, 4)},
        ),
    ),
    Construct("if_one_arm", lambda n: tuple({"x": n(3), "w": n(3), "gate": gate} for gate in (True, False))),
    Construct("if_return", lambda n: tuple({"x": n(3), "t": t} for t in (-1.0, 0.7))),
    Construct("if_expression", lambda n: tuple({"x": n(3), "soft": soft} for soft in (True, False))),
    Construct(
        "if_and_or",
        lambda n: tuple(
            {"x": n(3), "param": param} for param in ({}, {"scale": 2.0, "off": False}, {"scale": 2.0, "off": True})
        ),
    ),
    Construct("asserts", lambda n: ({"x": n(3), "p": 1.5},)),
    Construct("assign_in_test", lambda n: tuple({"x": n(N), "w": n(N)} for N in (1, 4))),
)
WRITES = (
    Construct("write_slice", lambda n: tuple({"x": n(2, t, 3), "W": n(3, 2)} for t in (0, 1, 4))),
    Construct("write_element", lambda n: tuple({"X": n(k, 3), "w": n(3)} for k in (0, 1, 4))),
    Construct("write_over", lambda n: ({"x": n(3, 4), "v": n(4)}, {"x": n(1, 4), "v": n(4)})),
    Construct("write_mask", lambda n: ({"x": n(3, 4)}, {"x": np.abs(n(3, 4))}, {"x": -np.abs(n(3, 4))})),
    Construct("write_fancy", lambda n: ({"s": n(3, 4), "y": np.array([1, 3, 1])}, {"s": n(1, 4), "y": np.array([2])})),
    Construct("write_add", lambda n: ({"x": n(3, 4), "v": n(4)}, {"x": n(1, 4), "v": n(4)})),
    Construct(
        "write_add_at",
        lambda n: (
            {"v": n(5, 2), "i": np.array([0, 2, 0, 0, 1]), "x": n(3, 2)},
            {"v": n(0, 2), "i": np.array([], int), "x": n(3, 2)},
        ),
    ),
    Construct("write_chained", lambda n: tuple({"x": n(N), "y": n(N)} for N in (1, 3))),
    Construct("write_transposed", lambda n: tuple({"x": n(N), "sigma": 0.7} for N in (1, 3))),
    Construct("write_out", lambda n: ({"x": n(3, 3)}, {"x": n(1, 1)})),
)
CONTAINERS = (
    Construct("tuples", lambda n: ({"x": n(3), "y": n(3), "z": n(3)},)),
    Construct("list_fixed", lambda n: ({"x": n(3), "w": n(3)},)),
    Construct("list_change", lambda n: ({"x": n(3), "w": n(3)},)),
    Construct("joined", lambda n: tuple({"X": n(N, 3), "theta": n(3), "bias": n(1)} for N in (1, 4))),
    Construct("list_append", lambda n: tuple({"x": n(t, 3), "h": n(3), "W": n(3, 3)} for t in (1, 4))),
    Construct("list_arms", lambda n: ({"x": n(4, 3)}, {"x": np.abs(n(2, 3))}, {"x": -np.abs(n(1, 3))})),
    Construct("list_joined", lambda n: tuple({"x": n(t, 3), "h": n(3), "W": n(3, 3)} for t in (2, 5))),
    Construct("list_places", lambda n: tuple({"x": n(t, 3), "h": n(3), "W": n(3, 3)} for t in (1, 4))),
    Construct("list_states", lambda n: tuple({"x": n(t, 3), "h1": n(3), "h2": n(3), "W": n(3, 3)} for t in (0, 1, 4))),
    Construct("list_of_tuples", lambda n: tuple({"x": n(t, 3), "h": n(3), "W": n(3, 3)} for t in (0, 1, 4))),
    Construct(
        "list_parameter",
        lambda n: tuple(
            {
                "weights": [n(3, 4), n(4, 4), n(4, 2)][3 - layers :],
                "biases": [n(4), n(4), n(2)][3 - layers :],
                "x": n(N, (3, 4, 4)[3 - layers]),
            }
            for layers, N in ((3, 5), (2, 1), (1, 2))
        ),
    ),
    Construct(
        "list_of_pairs",
        lambda n: tuple(
            {"params": [(n(3, 3), n(3)) for _ in range(L)], "x": n(N, 3)} for L, N in ((0, 2), (1, 1), (3, 4))
        ),
    ),
    Construct("list_through", lambda n: tuple({"x": n(t, 3), "h": n(3), "W": n(3, 3)} for t in (0, 1, 4))),
    Construct("list_sum", lambda n: tuple({"x": n(t, 3), "y": n(t, 3), "w": n(3)} for t in (0, 1, 4))),
    Construct("comprehension", lambda n: ({"x": n(3, 4), "W1": n(4, 2), "W2": n(4, 2)},)),
    Construct("comprehension_loop", lambda n: tuple({"x": n(t, 3), "w": n(3)} for t in (1, 4))),
    Construct(
        "dict_parameter",
        lambda n: tuple({"x": n(N, 4), "params": {"W1": n(4, 3), "b1": n(3), "W2": n(3, 2)}} for N in (5, 1)),
    ),
    Construct(
        "dict_comprehension",
        lambda n: tuple({"x": n(N, 4), "params": {"W1": n(4, 3), "b1": n(3), "W2": n(3, 2)}} for N in (5, 1)),
    ),
    Construct(
        "dict_keys",
        lambda n: tuple(
            {"x": n(5, 3), "params": {"W1": n(3, 3), "W2": n(3, 3), "W3": n(3, 3)}, "L": L} for L in (0, 1, 3)
        ),
    ),
    Construct("dict_steps", lambda n: tuple({"x": n(t, 3), "h0": n(3), "W": n(3, 3)} for t in (0, 1, 4))),
    Construct(
        "dict_made",
        lambda n: tuple(
            {"x": n(5, 3), "gamma": n(3), "param": param}
            for param in (None, {}, {"eps": 0.5}, {"mode": "test", "scale": 4.0, "eps": 1})
        ),
    ),
    Construct(
        "dict_key_names",
        lambda n: tuple(
            {
                "x": n(2, 3),
                "params": {k + str(i): n(*(3,) * (2 - (k == "b"))) for k in "Wb" for i in (1, 2)},
                "L": count,
            }
            for count in (0, 1, 2)
        ),
    ),
    Construct("dict_state", lambda n: tuple({"x": n(t, 3), "h": n(3), "c": n(3), "W": n(3, 3)} for t in (0, 1, 4))),
    Construct(
        "dict_settings",
        lambda n: tuple(
            {"x": n(5, 3), "gamma": n(3), "beta": n(3), "bn_param": bn_param}
            for bn_param in ({}, {"eps": 1e-3, "momentum": 0.5}, {"running_mean": n(3)})
        ),
    ),
)
RESULTS = (
    Construct("several_results", lambda n: ({"x": n(3), "h": n(3), "w": n(3)},)),
    Construct(
        "results_by_way", lambda n: tuple({"x": n(3), "decay": 0.3, "full": full} for full in (False, True)), results=1
    ),
    Construct("own_cache", lambda n: ({"x": n(3, 4), "w": n(4, 2), "b": n(2)},), results=1),
    Construct(
        "own_gradients",
        lambda n: ({"W": n(4, 3), "X": n(5, 4), "y": np.array([0, 1, 2, 1, 1]), "reg": 0.3},),
        results=1,
    ),
    Construct(
        "early_scores",
        lambda n: (
            {"X": n(5, 4), "W": n(4, 3), "y": np.array([0, 1, 2, 1, 1])},
            {"X": n(5, 4), "W": n(4, 3), "y": None},
        ),
        early=(1,),
    ),
)
FUNCTIONS = (
    Construct("helper", lambda n: tuple({"x": n(t, 3), "h": n(3), "W": n(3, 3)} for t in (0, 1, 4))),
    Construct(
        "helper_sizes",
        lambda n: tuple(
            {"x": n(2, 3, 4), "filter_shape": shape, "mode": mode}
            for shape, mode in (((2, 3), "same"), ((1, 1), "same"), ((2, 3), "valid"))
        ),
        options={"functions": ("f",)},
    ),
    Construct(
        "helper_dict",
        lambda n: tuple(
            {"y": n(2), "params": {"growth": growth, "decay": n(2)}, "dt": 0.1, "steps": steps}
            for growth, steps in ((0.7, 3), (n(2), 1), (0.7, 0))
        ),
        options={"functions": ("f",)},
    ),
    Construct(
        "helper_in_place",
        lambda n: tuple({"W": n(C, 4), "x": n(4), "y": y} for C, y in ((3, 2), (1, 0))),
        options={"functions": ("f",)},
    ),
    Construct("closure", lambda n: ({"x": n(3), "w": n(3)},)),
    Construct("function_argument", lambda n: ({"x": n(3), "w": n(3)},), options={"functions": ("f",)}),
    Construct(
        "function_default",
        lambda n: ({"x": n(2, 3), "W1": n(3, 4), "W2": n(4, 2)},),
        options={"functions": ("net",)},
    ),
    Construct("function_table", lambda n: ({"x": n(2, 3), "W": n(3, 4)},)),
    Construct("function_lookup", lambda n: tuple({"x": n(2, 3), "W": n(3, 4), "kind": k} for k in ("tanh", "relu"))),
    Construct("function_partial", lambda n: ({"x": n(4), "slope": 0.3},), options={"functions": ("f",)}),
    Construct("function_starred", lambda n: ({"x": n(3), "y": n(3), "scale": 0.3},), options={"functions": ("f",)}),
    Construct("function_nested", lambda n: tuple({"x": n(3), "w": n(3), "n": k} for k in (0, 1, 3))),
    Construct("function_fills", lambda n: tuple({"x": n(t, 3), "w": n(3)} for t in (1, 4))),
    Construct(
        "function_loop",
        lambda n: tuple({"x": n(t, 3), "w": n(3)} for t in (0, 1, 4)),
        options={"functions": ("f",)},
    ),
    Construct("class_functions", lambda n: tuple({"x": n(N, 3), "W": n(3, 4)} for N in (1, 2))),
    Construct("recursion", lambda n: tuple({"A": n(3, 3), "n": k} for k in (0, 1, 6))),
)
CLASSES = (
    Construct("class_forward", None),
    Construct("class_attribute", None),
    Construct("class_own_method", None),
    Construct("class_step", None),
    Construct("class_inherited", None),
    Construct("class_activation", None),
    Construct("class_each_step", None, options={"functions": ("RNN",)}),
    Construct("class_named_layers", None),
    Construct("class_layers", None),
    Construct("class_dict_layers", None, options={"functions": ("Net.loss",)}),
    Construct("class_layer_names", None, options={"functions": ("Net.loss",)}),
    Construct("class_cell", None, options={"functions": ("Step",)}),
    Construct("class_loss_layer", None, options={"functions": ("Net.loss",)}),
    Construct("class_static", None),
    Construct("class_method", None, options={"functions": ("TwoLayerNet.loss",), "wrt": ("self.params",)}),
)
EFFECTS = (
    Construct("dropout", lambda n: tuple({"x": n(3, 4), "p": 0.5, "train": train} for train in (True, False))),
    Construct("with_errstate", lambda n: ({"p": np.abs(n(4)) + 0.1},)),
    Construct("printing", lambda n: tuple({"x": n(3), "T": t} for t in (0, 1, 3))),
)
SECTIONS: dict[str, tuple[Construct, ...]] = {
    "Loops": LOOPS,
    "Branches": BRANCHES,
    "Writes": WRITES,
    "Containers": CONTAINERS,
    "Results": RESULTS,
    "Functions": FUNCTIONS,
    "Classes": CLASSES,
    "Random draws and side effects": EFFECTS,
}
