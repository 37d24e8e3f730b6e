"""How random programs are grown, as source text, with arguments that they run on; here straight-line ones.

A program is grown statement by statement while it runs: every candidate is tried on the values that the names have at
that point and taken only if NumPy accepts it and the numbers stay finite, moderate and away from kinks. So the
programs are all valid; whether the compiler understands one is another question.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from tests.kinks import tools, watched

Inputs = dict[str, Any]

HELPERS = {
    "add": "def add(a, b):\n    return a + b\n",
    "same": "def same(a):\n    return a\n",
    "half": "def half(a):\n    t = a * 0.5\n    return t\n",
    "flipped": "def flipped(a):\n    return a.T\n",
    "both": "def both(a, b):\n    s = a + b\n    return s, s * a\n",
    "twice": "def twice(a):\n    return a, a\n",
    "scale": "def scale(a, k=2.0):\n    return a * k\n",
    "sigmoid": "def sigmoid(t):\n    return 1 / (1 + np.exp(-t))\n",
    "relu": "def relu(x):\n    return np.maximum(0, x)\n",
    "blend": "def blend(a, b):\n    c = add(half(a), same(b))\n    return c * a\n",
    "bump": "def bump(a):\n    a += 0.5\n    return a * 1.5\n",
    "clear": "def clear(a):\n    a[0] = 0.0\n    return a\n",
    "power": "def power(a, n):\n    p = 1.0\n    for _ in range(n):\n        p = p * a\n    return p\n",
    "leaky": "def leaky(a, on=True):\n    if on:\n        return np.tanh(a)\n    return 0.1 * a\n",
    "total": "def total(a):\n    s = 0.0\n    for row in a:\n        s = np.sin(s + row)\n    return s\n",
    "steps_of": "def steps_of(a):\n    h = np.zeros(a.shape)\n    for t in range(1, a.shape[0]):\n"
    "        h[t] = 0.5 * h[t - 1] + np.sin(a[t])\n    return h\n",
}
NEEDS = {"blend": ("add", "half", "same")}

NAMES = ("h", "t", "s", "a", "u", "v", "z", "p", "q", "r", "g", "e", "m", "c")
AWKWARD = ("dx", "cache", "dout", "out", "da", "d", "np_", "lambda_", "grads", "dh", "out_", "dt", "unbroadcast", "h_1")
PARAMETERS = ("x", "y", "w", "b", "k", "a", "h", "d", "out", "dx")

# `{0}`, `{1}` stand for operands; the same operand may stand twice.
UNARY = (
    "np.tanh({0})", "np.sin({0})", "np.cos({0})", "np.exp(0.5 * {0})", "np.exp(-{0} ** 2)", "np.sqrt({0} ** 2 + 1)",
    "np.log({0} ** 2 + 1.5)", "1 / (1 + np.exp(-{0}))", "-{0}", "{0} ** 2", "{0} ** 3", "np.square({0})",
    "np.arctan({0})", "np.log1p(np.exp({0}))", "{0} / (1 + {0} ** 2)", "sigmoid({0})", "half({0})", "same({0})",
    "scale({0})", "scale({0}, k=-0.5)", "np.exp({0}) / (1 + np.exp({0}))", "2 ** {0}", "np.logaddexp(0, {0})",
    "{0} * {0}", "1.0 / (2 + {0} ** 2)",
)  # fmt: skip
KINKED = (
    "np.abs({0})", "np.maximum({0}, 0)", "np.maximum(0, {0})", "relu({0})", "np.where({0} > 0, {0}, 0.1 * {0})",
    "{0} * ({0} > 0)", "np.clip({0}, -0.7, 0.9)", "np.minimum({0}, 0.5)",
)  # fmt: skip
VIEWS = (
    "{0}.T", "{0}.reshape(-1)", "{0}.ravel()", "np.asarray({0})", "{0}[None]", "{0}[..., None]", "{0}[0]",
    "{0}[-1]", "{0}[1:]", "{0}[:-1]", "{0}[::2]", "{0}[::-1]", "{0}[:, 0]", "{0}[:, 1:]", "{0}[:, None]",
    "np.squeeze({0})", "np.expand_dims({0}, 0)", "np.swapaxes({0}, 0, -1)", "{0}.reshape({0}.shape)",
    "{0}.reshape({0}.shape[0], -1)", "np.transpose({0})", "{0}[...]", "{0}[:]", "np.flip({0}, 0)", "{0}[1:][0]",
    "flipped({0})", "np.broadcast_to({0}, {1}.shape)", "{0}.reshape({1}.shape)", "np.atleast_2d({0})",
    "{0}[{0}.shape[0] // 2 :]",
)  # fmt: skip
COPIES = (
    "{0}.copy()", "{0}[[0, 0]]", "{0}[[0, -1, 0]]", "{0}[np.arange({0}.shape[0]) // 2]", "{0}.flatten()",
    "np.array({0})", "np.concatenate([{0}, {1}])", "np.stack([{0}, {1}])", "np.repeat({0}, 2, axis=0)",
    "np.tile({0}, 2)", "np.roll({0}, 1, axis=0)", "np.cumsum({0}, axis=0)", "np.vstack([{0}, {1}])",
    "{0}[:, [0, 0]]", "{0}[np.arange({0}.shape[0]), 0]", "np.diag({0})", "np.triu({0})", "np.diff({0}, axis=0)",
    "np.hstack([{0}, {1}])", "{0}[[0, 0], 0]", "np.take({0}, [0, 0], axis=0)",
)  # fmt: skip
REDUCTIONS = (
    "np.sum({0})", "{0}.sum(axis=0)", "np.sum({0}, axis=-1, keepdims=True)", "np.mean({0})", "np.mean({0}, axis=0)",
    "{0}.mean(axis=-1, keepdims=True)", "np.sum({0}, axis=(0, 1))", "np.var({0}, axis=0)", "np.prod({0}, axis=0)",
    "np.sum({0} ** 2)", "np.sum({0} * {1})", "np.trace({0})", "np.sum({0}[{0} > 0.1])", "np.mean({0}[1:] - {0}[:-1])",
)  # fmt: skip
EXTREMES = (
    "np.max({0})",
    "{0}.max(axis=0)",
    "np.min({0}, axis=-1, keepdims=True)",
    "np.max({0}, axis=0, keepdims=True)",
)
BINARY = (
    "{0} + {1}", "{0} - {1}", "{0} * {1}", "{0} + {1}", "{0} * {1}", "{0} / (2 + {1} ** 2)", "{0} / {1}",
    "np.multiply({0}, {1})", "np.subtract({0}, {1})", "add({0}, {1})", "blend({0}, {1})", "scale({0}, {1})",
    "np.logaddexp({0}, {1})", "np.power(np.abs({0}) + 0.5, {1})", "({0} ** 2 + 0.5) ** {1}", "{0} + {1} * {0}",
    "np.arctan2({0}, {1} ** 2 + 1)", "np.hypot({0} + 3, {1})",
)  # fmt: skip
CHOICES = (
    "np.maximum({0}, {1})",
    "np.minimum({0}, {1})",
    "np.where({0} > {1}, {0}, {1})",
    "np.where({0} > 0.2, {1}, {0})",
)
PRODUCTS = (
    "{0} @ {1}", "np.dot({0}, {1})", "{0}.dot({1})", "{0} @ {1}.T", "{0}.T @ {1}", "np.matmul({0}, {1})",
    "np.outer({0}, {1})", 'np.einsum("ij,ij->i", {0}, {1})', 'np.einsum("ij,kj->ik", {0}, {1})',
    'np.einsum("...i,...i", {0}, {1})', 'np.einsum("i,j->ij", {0}, {1})', "np.inner({0}, {1})", "{0} @ {0}.T",
    "np.tensordot({0}, {1}, axes=1)",
)  # fmt: skip
KINDS: tuple[tuple[int, tuple[str, ...]], ...] = (
    (24, UNARY), (8, KINKED), (12, VIEWS), (8, COPIES), (10, REDUCTIONS), (3, EXTREMES), (26, BINARY), (4, CHOICES),
    (8, PRODUCTS),
)  # fmt: skip
TEMPLATES = tuple(template for _, kind in KINDS for template in kind)

TARGETS = (
    "[0]", "[-1]", "[1:]", "[:-1]", "[::2]", "[:, 0]", "[:, 1:]", "[...]", "[:]", "[[0, -1]]", "[[0, 0]]",
    "[np.arange({0}.shape[0]), 0]", "[{0} > 0.1]", "[0, 0]", "[-1, :1]", "[::-1]", "[{1} > 0.1]",
)  # fmt: skip
MADE = (
    "np.zeros({0}.shape)", "np.zeros_like({0})", "np.ones({0}.shape)", "np.ones_like({0})", "{0}.copy()", "{0} * 2.0",
    "np.array({0})", "np.zeros((2, {0}.shape[0]))", "np.full({0}.shape, 0.5)", "{0} + {1}", "np.tanh({0})",
)  # fmt: skip
IDIOMS = (
    ("{n}_m = {0} - np.max({0}, axis=-1, keepdims=True)", "{n}_e = np.exp({n}_m)",
     "{n} = {n}_e / np.sum({n}_e, axis=-1, keepdims=True)"),
    ("{n}_e = np.exp({0})", "{n} = {n}_e / {n}_e.sum(axis=0)"),
    ("{n}_m = {0} - np.max({0}, axis=1, keepdims=True)",
     "{n} = {n}_m - np.log(np.sum(np.exp({n}_m), axis=1, keepdims=True))"),
    ("{n}_mu = {0}.mean(axis=0)", "{n}_c = {0} - {n}_mu", "{n}_var = np.mean({n}_c ** 2, axis=0)",
     "{n} = {n}_c / np.sqrt({n}_var + 0.1)"),
    ("{n}_z = np.maximum(0, {0})", "{n}_on = {n}_z > 0.1", "{n} = {n}_z * {n}_on"),
    ("{n}_s = 1 / (1 + np.exp(-{0}))", "{n} = -np.mean(np.log({n}_s))"),
    ("{n}_i = np.argmax({0}, axis=1)", "{n} = {0}[np.arange({0}.shape[0]), {n}_i]"),
    ("{n}_p, {n} = both({0}, {1})",),
    ("{n}_p, {n} = twice({0})",),
    ("{n}_p, {n} = {0}, {1}",),
    ("{n}_n, {n}_k = {0}.shape", "{n} = {0}[{n}_n // 2] * {n}_k"),
    ("{n} = {n}_p = np.sin({0})",),
)  # fmt: skip
SPOILERS = ("{n} = bump({0})", "{n} = clear({0})", "{0} += {1}", "{0} *= 0.5")


@dataclass(frozen=True, slots=True)
class Parameter:
    """`dims` are letters or ones. `claim` says where its shape is written: `annotation`, `docstring`, or `none`.

    A parameter that no gradient reaches has the claim `int`, `count` (the same, unannotated), `flag` or `mode`.
    """

    name: str
    dims: tuple[str, ...]
    claim: str

    def declared(self) -> str:
        if self.claim in ("int", "flag", "mode"):
            return f"{self.name}: " + {"int": "int", "flag": "bool", "mode": "str"}[self.claim]
        if self.claim != "annotation":
            return self.name
        return f"{self.name}: " + (f'"{" ".join(self.dims)}"' if self.dims else "float")


@dataclass(frozen=True, slots=True)
class Program:
    """One program, the argument sets to run it on and the options of a second way to compile it."""

    parameters: tuple[Parameter, ...]
    body: tuple[str, ...]
    result: str
    inputs: tuple[Inputs, ...]
    variant: Mapping[str, str]

    def source(self, result: str | None = None) -> str:
        code = "\n".join((*self.body, self.result))
        used = {name for name in HELPERS if f"{name}(" in code}
        used |= {needed for name in used for needed in NEEDS.get(name, ())}
        lines = ["import numpy as np", "", ""]
        for name, text in HELPERS.items():
            if name in used:
                lines += [text, ""]
        lines.append(f"def f_forward({', '.join(p.declared() for p in self.parameters)}):")
        documented = [p for p in self.parameters if p.claim == "docstring"]
        if documented:
            lines.append('    """A random program.')
            lines.append("")
            for p in documented:
                shape = ", ".join(p.dims) + ("," if len(p.dims) == 1 else "")
                lines.append(f"    - {p.name}: an array of shape ({shape})")
            lines.append('    """')
        lines += [f"    {line}" for line in self.body]
        lines.append(f"    return {self.result if result is None else result}")
        return "\n".join(lines) + "\n"


class Rejected(Exception):
    """The candidate does not run, or its numbers are out of hand."""


def moderate(value: Any) -> bool:
    if isinstance(value, tuple):
        return all(moderate(part) for part in value)
    if value is None or isinstance(value, str):
        return True
    array = np.asarray(value)
    if array.dtype.kind not in "fiub" or array.ndim > 4 or not 0 < array.size <= 40:
        return False
    return bool(np.all(np.isfinite(array)) and np.max(np.abs(array.astype(float))) < 25)


def is_number(value: Any) -> bool:
    return isinstance(value, (float, np.floating)) or (isinstance(value, np.ndarray) and value.dtype.kind == "f")


def is_backward(name: str) -> bool:
    """A result that is made of such a name alone would be taken for the user's own backward matter."""
    return name in ("cache", "grads") or name.startswith("d")


class Growth:
    """A program under way: its lines, and the values of its names after them."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.numbers = np.random.default_rng(rng.getrandbits(32))
        # Most programs leave alone what shares memory: the compiler may refuse the others.
        self.tame = rng.random() < 0.75
        self.letters = {letter: rng.choice((1, 2, 2, 3, 3, 4)) for letter in ("N", "D", "H")}
        self.parameters = self._draw_parameters()
        self.inputs = {p.name: self._draw_argument(p, self.letters, False) for p in self.parameters}
        self.lines: list[str] = []
        self.names: dict[str, Any] = {k: v.copy() if isinstance(v, np.ndarray) else v for k, v in self.inputs.items()}
        self.arguments = list(self.names.values())
        self.tools: dict[str, Any] = tools()
        for text in HELPERS.values():
            exec(watched(text), self.tools)

    def program(self) -> Program:
        for _ in range(self._length()):
            for _attempt in range(20):
                try:
                    self._statement()
                    break
                except Rejected:
                    continue
        program = Program(tuple(self.parameters), self._body(), self._result(), (self.inputs,), self._variant())
        if not _moderate_run(program, self.inputs):
            raise Rejected("a kink is near")
        return replace(program, inputs=(self.inputs, *self._other_inputs(program)))

    def _length(self) -> int:
        return self.rng.randint(3, 12)

    def _body(self) -> tuple[str, ...]:
        return tuple(line for statement in self.lines for line in statement.split("\n"))

    def _variant(self) -> dict[str, str]:
        return {
            "gates": self.rng.choice(("grouped", "primitive")),
            "accumulate": self.rng.choice(("forks", "always")),
            "stages": self.rng.choice(("source", "relations")),
        }

    # --- parameters and arguments

    def _draw_parameters(self) -> list[Parameter]:
        rng = self.rng
        base = rng.choice((("N", "D"), ("N", "D"), ("N", "D"), ("N",), ("N", "D", "H"), ("N", "N")))
        claiming = rng.random()
        found: list[Parameter] = []
        for name in rng.sample(PARAMETERS, rng.randint(2, 4)):
            kind = rng.random()
            if not found or kind < 0.55:
                dims: tuple[str, ...] = base
            elif kind < 0.9:
                dims = tuple(rng.choice((d, d, "1")) for d in base[rng.randint(0, len(base)) :])
            else:
                dims = (base[-1], rng.choice(("H", "N")))
            claim = "none"
            if rng.random() < claiming:
                claim = "annotation" if not dims or rng.random() < 0.7 else "docstring"
            found.append(Parameter(name, dims, claim))
        return found

    def _draw_argument(self, parameter: Parameter, letters: Mapping[str, int], wild: bool) -> Any:
        shape = tuple(letters[d] if d in letters else int(d) for d in parameter.dims)
        if wild and parameter.claim == "none":
            shape = tuple(1 if self.rng.random() < 0.2 else d for d in shape)
            shape = shape[self.rng.choice((0, 0, 0, 1)) :]
        values = self.numbers.uniform(0.15, 1.6, shape) * self.numbers.choice((-1, 1), shape)
        if wild and parameter.claim == "none" and self.rng.random() < 0.1:
            values = np.rint(values * 2).astype(int)
            values = values + (values == 0)  # zero is where the kinks are
            return values if shape else int(values)
        if shape:
            return values
        kinds: tuple[Callable[[Any], Any], ...] = (float, np.float64)
        if parameter.claim == "none":
            kinds = (float, np.float64, np.array)
        return self.rng.choice(kinds)(float(values))

    def _other_inputs(self, program: Program) -> list[Inputs]:
        """More arguments that the program runs on: other dims, other broadcasting, integers."""
        found: list[Inputs] = []
        for _ in range(6):
            letters = {letter: self.rng.choice((1, 2, 3, 4, 5)) for letter in self.letters}
            inputs = {p.name: self._draw_argument(p, letters, True) for p in self.parameters}
            if _moderate_run(program, inputs) and len(found) < 2:
                found.append(inputs)
        return found

    # --- expressions

    def _evaluate(self, text: str) -> Any:
        try:
            with np.errstate(all="ignore"):
                value = eval(watched(text, "eval"), self.tools, dict(self.names))
        except Exception as error:
            raise Rejected(text) from error
        if not moderate(value):
            raise Rejected(text)
        return value

    def _operand(self, depth: int) -> str:
        rng = self.rng
        if depth > 0 and rng.random() < 0.5:
            text = self._expression(depth - 1)
            return (
                text
                if text.isidentifier() or (text.endswith(")") and "(" not in text[:1] and _is_call(text))
                else f"({text})"
            )
        if rng.random() < 0.08:
            return rng.choice(("2.0", "0.5", "3", "1.5"))
        floats = [name for name, value in self.names.items() if is_number(value)]
        arrays = [name for name in floats if np.ndim(self.names[name])]
        pool = arrays if arrays and rng.random() < 0.8 else floats
        # Later names twice as likely: programs should be deep and not only wide.
        return rng.choice(pool + pool[len(pool) // 2 :])

    def _expression(self, depth: int) -> str:
        rng = self.rng
        for _ in range(12):
            kind = rng.choices([templates for _, templates in KINDS], [weight for weight, _ in KINDS])[0]
            template = rng.choice(kind)
            first, second = self._operand(depth), self._operand(depth)
            text = template.format(first, second)
            try:
                self._evaluate(text)
                self._away_from_kinks(kind, first, second, text)
            except Rejected:
                continue
            return text
        raise Rejected("no expression")

    def _away_from_kinks(self, kind: tuple[str, ...], first: str, second: str, text: str) -> None:
        if kind is KINKED or "> 0" in text or kind is EXTREMES:
            x = np.asarray(self._evaluate(first), float)
            if any(np.any(np.abs(x - kink) < 0.01) for kink in (0.0, 0.1, 0.2, 0.5, -0.7, 0.9)):
                raise Rejected(text)
            flat = np.sort(x.ravel())
            if kind is EXTREMES and np.any(np.diff(flat) < 0.01):
                raise Rejected(text)
        if kind is CHOICES:
            difference = np.asarray(self._evaluate(f"{first} - {second}"), float)
            if np.any(np.abs(difference) < 0.01):
                raise Rejected(text)
        if (
            kind is BINARY
            and text == f"{first} / {second}"
            and np.any(np.abs(np.asarray(self._evaluate(second))) < 0.3)
        ):
            raise Rejected(text)

    # --- statements

    def _run(self, *lines: str) -> None:
        """Take the lines, if the numbers stay in hand. What a rejected line changed in place ends the program."""
        before = len(self.lines)
        names = dict(self.names)
        self.tools.update(tools())
        try:
            with np.errstate(all="ignore"):
                for line in lines:
                    exec(watched(line), self.tools, names)
        except Exception as error:
            raise Rejected(lines[-1]) from error
        if not all(moderate(value) for value in names.values()):
            raise Rejected(lines[-1])
        self.names = names
        self.lines[before:] = lines

    def _fresh(self) -> str:
        rng = self.rng
        if rng.random() < 0.2 and self.names:
            return rng.choice([name for name in self.names if "_" not in name or name in AWKWARD])
        return rng.choice(AWKWARD) if rng.random() < 0.12 else rng.choice(NAMES)

    def _array(self) -> str:
        arrays = [name for name, value in self.names.items() if is_number(value) and np.ndim(value)]
        if not arrays:
            raise Rejected("no array")
        return self.rng.choice(arrays)

    def _owned(self) -> str:
        """An array that may be changed in place: in a tame program neither an argument nor seen by another name."""
        if not self.tame:
            return self._array()
        others = [*self.names.items(), *(("", argument) for argument in self.arguments)]
        made = [
            name
            for name, value in self.names.items()
            if is_number(value)
            and np.ndim(value)
            and not any(isinstance(v, np.ndarray) and k != name and np.shares_memory(v, value) for k, v in others)
        ]
        if not made:
            raise Rejected("nothing is owned")
        return self.rng.choice(made)

    def _statement(self) -> None:
        kind = self.rng.random()
        if kind < 0.40:
            self._run(f"{self._fresh()} = {self._expression(self.rng.choice((0, 0, 1, 1, 2)))}")
        elif kind < 0.46:
            self._run(f"{self._fresh()} = {self._array()}")
        elif kind < 0.54:
            self._run(f"{self._fresh()} = {self.rng.choice(VIEWS).format(self._array(), self._array())}")
        elif kind < 0.68:
            self._augmented()
        elif kind < 0.82:
            self._write()
        elif kind < 0.96:
            self._idiom()
        elif kind < 0.98:
            if self.tame:
                raise Rejected("spoils")
            self._run(self.rng.choice(SPOILERS).format(self._array(), self._operand(0), n=self._fresh()))
        else:
            name, other = self._array(), self._array()
            self._run(f"{name}, {other} = {other}, {name}")

    def _augmented(self) -> None:
        target = self._owned()
        op = self.rng.choice(("+", "+", "-", "*"))
        value = self._expression(self.rng.choice((0, 1)))
        result = self._evaluate(f"{target} {op} ({value})")
        if np.shape(result) != np.shape(self.names[target]):
            raise Rejected(target)
        self._run(f"{target} {op}= {value}")

    def _write(self) -> None:
        rng = self.rng
        if rng.random() < 0.5:
            target = self._fresh()
            self._run(f"{target} = {rng.choice(MADE).format(self._array(), self._array())}")
        else:
            target = self._owned()
        place = target + rng.choice(TARGETS).format(target, self._array())
        op = rng.choice(("", "", "+", "*", "-"))
        value = rng.choice((self._operand(0), self._operand(1), "0.0", place.replace("> 0.1", "> -0.5")))
        self._evaluate(f"{place} {op or '+'} ({value})")
        self._run(f"{place} {op}= {value}")

    def _idiom(self) -> None:
        lines = self.rng.choice(IDIOMS)
        first, second = self._array(), self._array()
        name = self.rng.choice([n for n in NAMES if n not in self.names] or list(NAMES))
        if "> 0" in "".join(lines) or "max" in "".join(lines):
            self._away_from_kinks(EXTREMES, first, second, first)
        self._run(*(line.format(first, second, n=name) for line in lines))

    # --- results

    def _result(self) -> str:
        """One or two results that depend on the arguments."""
        for _ in range(30):
            try:
                picked = [self._one_result() for _ in range(self.rng.choice((1, 1, 1, 2)))]
            except Rejected:
                continue
            if all(self._depends(text) for text in picked):
                return ", ".join(picked)
        raise Rejected("no result depends on an argument")

    def _one_result(self) -> str:
        rng = self.rng
        last = [name for name in list(self.names)[-5:] if is_number(self.names[name]) and not is_backward(name)]
        first, second = rng.choice([*last, self._operand(0)]), self._operand(0)
        if any(is_backward(operand) for operand in (first, second)):
            raise Rejected(first)
        forms = ("{0}", "np.sum({0})", "np.sum({0} * {1})", "{0} * {1}", "np.sum(np.sin({0}))", "np.mean({0} ** 2)")
        text = rng.choice(forms).format(first, second)
        self._evaluate(text)
        return f"1.0 * {text}" if text in AWKWARD or text.startswith("d") else text

    def _depends(self, result: str) -> bool:
        program = Program(tuple(self.parameters), self._body(), result, (), {})
        moved = {
            k: v + 1e-3 * (1 + np.arange(np.size(v))).reshape(np.shape(v)) if is_number(v) else v
            for k, v in self.inputs.items()
        }
        return _run_program(program, self.inputs) != _run_program(program, moved)


def _is_call(text: str) -> bool:
    """The text is one name and one call around everything else, so that it needs no parentheses."""
    depth = 0
    for position, letter in enumerate(text):
        depth += (letter == "(") - (letter == ")")
        if depth == 0 and letter == ")":
            return position == len(text) - 1
        if depth == 0 and letter in " +-*/@":
            return False
    return False


def run_source(source: str, inputs: Inputs) -> Any:
    """What the program returns for copies of the inputs."""
    names: dict[str, Any] = {}
    exec(source, names)
    copies = {k: v.copy() if isinstance(v, np.ndarray) else v for k, v in inputs.items()}
    with np.errstate(all="ignore"):
        return names["f_forward"](**copies)


def _run_program(program: Program, inputs: Inputs) -> list[Any] | None:
    try:
        value = run_watched(program.source(), inputs)
    except Exception:
        return None
    return [np.asarray(part).tolist() for part in (value if isinstance(value, tuple) else (value,))]


def run_watched(source: str, inputs: Inputs) -> Any:
    """The same. Raises kinks.NearKink or kinks.TooLong where differences would not tell."""
    names = tools()
    exec(watched(source), names)
    copies = {k: v.copy() if isinstance(v, np.ndarray) else v for k, v in inputs.items()}
    with np.errstate(all="ignore"):
        return names["f_forward"](**copies)


def _moderate_run(program: Program, inputs: Inputs) -> bool:
    try:
        result = run_watched(program.source(), inputs)
        value = run_source(program.source("locals()"), inputs)
    except Exception:
        return False
    if isinstance(value, dict) and not all(moderate(part) for part in value.values()):
        return False
    return moderate(result)
