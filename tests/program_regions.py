"""Random programs with loops and branches.

The body of a loop is grown on the values of its first round, the arms of a branch on those before it; then the whole of
it must run as everything else must.
"""

from __future__ import annotations

import random
from typing import Any

import numpy as np

from tests.program_growth import Growth, Inputs, Parameter, Rejected, is_backward, is_number

INDICES = ("t", "i", "j", "k", "step", "x_i")
# `{a}`, `{b}` are arrays, `{n}` an integer parameter; the second part is what the index is in the first round.
RANGES = (
    ("range({a}.shape[0])", "0"), ("range({a}.shape[0])", "0"), ("range(len({a}))", "0"), ("range(3)", "0"),
    ("range({n})", "0"), ("range({n})", "0"), ("range(1, {a}.shape[0])", "1"), ("range(0, {a}.shape[0], 2)", "0"),
    ("range({a}.shape[0] - 1, -1, -1)", "{a}.shape[0] - 1"), ("reversed(range({a}.shape[0]))", "{a}.shape[0] - 1"),
    ("range(0)", "0"), ("range({n}, 4)", "{n}"), ("range(3, {n}, -1)", "3"), ("reversed(range(1, {n} + 1))", "{n}"),
    ("range({a}.shape[0] - 1)", "0"), ("range(1, 5, 3)", "1"), ("range(-1, 2)", "-1"), ("range({n} - 1)", "0"),
)  # fmt: skip
ROWS = (
    ("{r}", "{a}", ("{a}[0]",)),
    ("{i}, {r}", "enumerate({a})", ("0", "{a}[0]")),
    ("{r}, {q}", "zip({a}, {b})", ("{a}[0]", "{b}[0]")),
    ("{r}", "reversed({a})", ("{a}[-1]",)),
    ("{r}", "{a}[1:]", ("{a}[1]",)),
    ("{r}, {q}", "zip({a}, {a}[::-1])", ("{a}[0]", "{a}[-1]")),
)
# What stands before a loop that fills it.
BEFORE = (
    "{o} = np.zeros({a}.shape)", "{o} = np.zeros_like({a})", "{o} = np.zeros(({a}.shape[0] + 1, {a}.shape[-1]))",
    "{o} = {a}.copy()", "{o} = 0.0", "{o} = 1.0", "{o} = 0", "{o} = np.zeros({a}.shape[1:])", "{o} = {a}[0]",
    "{o} = {a} * 0.5", "{o} = np.zeros({a}.shape[0])", "{o} = None", "{o} = {a}", "{o} = np.ones({a}.shape[-1])",
    "{o} = np.zeros((4, {a}.shape[-1]))", "{o} = np.zeros(5)",
)  # fmt: skip
# `{h}` is bound before the loop, `{x}` is an expression, `{t}` an index.
ROUNDS = (
    "{h} = np.tanh({h} + {x})", "{h} = 0.5 * {h} + {x}", "{h} = {h} * 0.5 + np.sin({x})", "{h} += {x}", "{h} += {x}",
    "{h} -= 0.5 * {h}", "{h} = {x}", "{h} += np.sum({x})", "{h} = {h} + np.sum({x}) * 0.1", "{h} *= 0.5",
    "{h}, {g} = {g}, {h}", "{h}, {g} = {g} + 0.5 * {h}, {h} - 0.5 * {x}", "{g} = {h}", "{h} = np.sin({h})",
    "{h} = {h} * 1.2", "{h} = {h}[::-1]", "{h} = {h}.T", "{h} = sigmoid({h})", "{h} = blend({h}, {x})",
    "{h} = leaky({h})", "{h} = total({h})", "{h} = steps_of({h})", "{v} = leaky({x}, False)",
    "{h} = {h} - np.max({h})", "{h} -= {h}.mean()", "{h} = {h} / (1 + np.sum({h} ** 2))",
)  # fmt: skip
INDEXED = (
    "{h}[{t}] = {x}", "{h}[{t}] = {x}", "{h}[{t}] += {x}", "{h}[{t}] = np.tanh({h}[{t} - 1] + {x})",
    "{h}[{t} + 1] = np.sin({h}[{t}] + {x})", "{h}[:, {t}] = {x}", "{h}[{t}:{t} + 1] = {x}", "{h}[{t}] *= 0.5",
    "{h}[{t}, 0] = np.sum({x})", "{h}[0] = {h}[{t}] + {x}", "{h}[0] += {x}", "{h}[{h} > 0.3] = 0.0", "{h}[:] = {x}",
    "{h}[-1] = {x}", "{h}[{h} > 0.2] *= 0.5", "{h}[{t}:] += {x}", "{h}[{t}] = {g}[{t}]", "{h}[[0, {t}]] = {x}",
    "{h}[{t}] = np.sum({g}[{t}] * {x})", "{h}[{t} // 2] += {x}", "{h}[...] = np.sin({h})", "{h}[{t}] -= {h}[0]",
)  # fmt: skip
READS = (
    "{v} = {a}[{t}]", "{v} = {a}[{t}]", "{v} = {a}[{t} - 1] * {a}[{t}]", "{v} = {a}[:, {t}]", "{v} = {a}[{t}:{t} + 2]",
    "{v} = {a} * {t}", "{v} = np.sin({a}[{t}])", "{v} = {a}[: {t} + 1].sum(axis=0)", "{v} = {a}[-{t}]",
    "{v} = {a}[{t} // 2]", "{v} = {a}[[{t}, 0]]", "{v} = np.exp({a}[{t}]) / ({t} + 1)", "{v} = power({a}, {t})",
    "{v} = {a}[{t}] if {t} > 0 else {a}[0]", "{v} = {a}[{t}].copy()", "{v} = {a}[min({t}, 1)]",
    "{v} = np.sum({a}[{t}:])", "{v} = np.sum({a}[:{t}])", "{v} = ({t} + 0.5) * {a}[0]",
)  # fmt: skip
INDEX_TESTS = ("{t} > 0", "{t} == 0", "{t} % 2 == 0", "{t} != 1", "{t} < 2", "{t} > 5", "not {t}")
STATIC_TESTS = (
    "{n} > 1", "{n} == 0", "{f}", "not {f}", '{m} == "a"', '{m} != "b"', "{f} and {n} > 0", "{a}.shape[0] > 2",
    "{a}.ndim == 2", "len({a}) == 1", "{n}", "{n} > 0 or {f}", "{f} is True", "np.ndim({a}) > 1",
)  # fmt: skip
DATA_TESTS = (
    "np.sum({a}) > 0.3", "np.mean({a}) < 0", "np.max({a}) > 0.8", "np.sum({a} ** 2) < 4", "{a}.sum() > 0",
    "np.sum({a} * {b}) > 0", "np.linalg.norm({a}) > 1.5", "np.any({a} > 1.2)", "{a}.min() < -0.5 and {n} > 0",
    "np.sum({a}) > np.sum({b})",
)  # fmt: skip
# The line before, the test and the line that brings the end nearer.
WHILES = (
    ("{t} = 0", "{t} < {n}", "{t} += 1"),
    ("{t} = 0", "{t} < {a}.shape[0]", "{t} = {t} + 1"),
    ("{t} = {n}", "{t} > 0", "{t} -= 1"),
    ("{t} = 0", "{t} < 3 and np.sum({h} ** 2) < 6", "{t} += 1"),
    ("{h} = {a} * 1.0", "np.sum({h} ** 2) < 8", "{h} = {h} * 1.6"),
    ("{h} = {a} * 2.0", "np.sum(np.abs({h})) > 1", "{h} = {h} * 0.6"),
    ("{h} = np.sum({a} ** 2) + 0.3", "{h} < 9", "{h} = {h} * 1.7"),
    ("{h} = np.sum({a} ** 2) + 0.3", "{h} > 40", "{h} = {h} * 0.5"),
)
TERNARIES = ("{v} = {x} if {test} else {y}", "{v} = {x} if {test} else 0.5", "{v} = 0.0 if {test} else {x}")


class RegionGrowth(Growth):
    """A program under way that has loops and branches."""

    def __init__(self, rng: random.Random) -> None:
        super().__init__(rng)
        self.depth = 0
        self.in_loop = False
        # The indices of the loops around, the innermost last, and the names that were bound before the outermost.
        self.indices: list[str] = []
        self.early = False

    def _length(self) -> int:
        return self.rng.randint(2, 6)

    def _fresh(self) -> str:
        for _ in range(10):
            name = super()._fresh()
            if name not in self.indices and is_number(self.names.get(name, 0.0)):
                return name
        raise Rejected("no name")

    def _one_result(self) -> str:
        """Often of much of what there is: little should be of no account."""
        rng = self.rng
        if rng.random() < 0.3:
            return super()._one_result()
        numbers = [name for name, value in self.names.items() if is_number(value) and not is_backward(name)]
        changed = [name for name in numbers if self.names[name] is not self.inputs.get(name)][-6:]
        picked = rng.sample(changed, min(len(changed), rng.choice((1, 2, 3))))
        if not picked:
            raise Rejected("no number")
        text = " + ".join(
            rng.choice(("np.sum({0})", "np.sum({0} ** 2)", "np.sum(np.sin({0}))")).format(n) for n in picked
        )
        self._evaluate(text)
        return text

    def _draw_parameters(self) -> list[Parameter]:
        rng = self.rng
        found = super()._draw_parameters()
        taken = {one.name for one in found}
        found.append(Parameter(rng.choice(("n", "n", "n", "steps", "T")), (), rng.choice(("int", "int", "count"))))
        if rng.random() < 0.5:
            found.append(Parameter(rng.choice(("flag", "train")), (), "flag"))
        if rng.random() < 0.25:
            found.append(Parameter("mode", (), "mode"))
        assert len(taken) + 1 <= len(found)
        return found

    def _draw_argument(self, parameter: Parameter, letters: Any, wild: bool) -> Any:
        match parameter.claim:
            case "int" | "count":
                return self.rng.choice((0, 1, 1, 2, 2, 3, 4))
            case "flag":
                return self.rng.random() < 0.5
            case "mode":
                return self.rng.choice(("a", "b", "c"))
        return super()._draw_argument(parameter, letters, wild)

    # --- statements

    def _statement(self) -> None:
        kind = self.rng.random()
        deepest = self.depth >= 2 or (self.depth == 1 and kind < 0.18)
        if kind < 0.30 and not deepest:
            self._loop()
        elif kind < 0.36 and not deepest:
            self._while()
        elif kind < 0.50 and not deepest:
            self._branch()
        elif kind < 0.51:
            self._ternary()
        elif kind < 0.55 and not self.depth:
            self._early_return()
        elif self.in_loop and kind < 0.90:
            self._of_round()
        else:
            super()._statement()

    def _filled(self, text: str, **names: str) -> str:
        """The template with names in it that are there."""
        rng = self.rng
        numbers = [name for name, value in self.names.items() if is_number(value)]
        numbers = numbers[: -len(numbers) // 2 or None] + numbers * 2
        found = {
            "a": self._array(),
            "b": self._array(),
            "h": rng.choice(numbers),
            "g": rng.choice(numbers),
            "n": next(p.name for p in self.parameters if p.claim in ("int", "count")),
            "t": rng.choice(self.indices[-1:] * 3 + self.indices) if self.indices else "0",
            "v": self._fresh(),
        }
        for letter, claim in (("f", "flag"), ("m", "mode")):
            holders = [p.name for p in self.parameters if p.claim == claim]
            if f"{{{letter}}}" in text and not holders:
                raise Rejected(text)
            found[letter] = holders[0] if holders else ""
        for letter in ("x", "y"):
            if f"{{{letter}}}" in text:
                found[letter] = self._expression(rng.choice((0, 0, 0, 1)))
        return text.format(**(found | names))

    def _of_round(self) -> None:
        """What one does in a loop: read by the index, carry on, write by the index, leave."""
        rng = self.rng
        kind = rng.random()
        if kind < 0.1:
            word = rng.choice(("continue", "continue", "break"))
            self.lines.append(f"if {self._test()}:\n    {word}")
            return
        templates = READS if kind < 0.35 else ROUNDS if kind < 0.68 else INDEXED
        for _ in range(10):
            try:
                line = self._filled(rng.choice(templates))
                self._owned_only(line)
                target = line.split()[0]
                before = self.names
                self._run(line)
            except Rejected:
                continue
            # What changes its shape seldom runs a second time.
            shapes = [np.shape(names.get(target, 0.0)) for names in (before, self.names)]
            if templates is not ROUNDS or shapes[0] == shapes[1] or rng.random() < 0.2:
                return
            self.lines.pop()
            self.names = before
        raise Rejected("nothing of a round")

    def _owned_only(self, line: str) -> None:
        """In a tame program no line changes in place what others see."""
        target, _, rest = line.partition(" ")
        in_place = "[" in target or rest[:2] in ("+=", "-=", "*=")
        name = target.partition("[")[0]
        value = self.names.get(name)
        if not (self.tame and in_place and isinstance(value, np.ndarray)):
            return
        others = [*self.names.items(), *(("", argument) for argument in self.arguments)]
        if any(isinstance(v, np.ndarray) and k != name and np.shares_memory(v, value) for k, v in others):
            raise Rejected(line)

    def _test(self) -> str:
        rng = self.rng
        kinds = [STATIC_TESTS, DATA_TESTS] + ([INDEX_TESTS, INDEX_TESTS] if self.indices else [])
        text = self._filled(rng.choice(rng.choice(kinds)))
        self._evaluate(text)
        return text

    # --- blocks

    def _block(self, most: int) -> list[str]:
        """Lines grown on the names as they are."""
        lines, self.lines = self.lines, []
        self.depth += 1
        try:
            for _ in range(self.rng.randint(1, most)):
                for _attempt in range(8):
                    try:
                        self._statement()
                        break
                    except Rejected:
                        continue
            if not self.lines:
                raise Rejected("an empty block")
            return self.lines
        finally:
            self.lines = lines
            self.depth -= 1

    def _bind(self, name: str, text: str) -> None:
        """What a name is in the first round."""
        with np.errstate(all="ignore"):
            try:
                self.names[name] = eval(text, {"np": np}, dict(self.names))
            except Exception as error:
                raise Rejected(text) from error

    def _index(self) -> str:
        return self.rng.choice([name for name in INDICES if name not in self.indices])

    def _loop(self) -> None:
        before = self._before()
        names, in_loop, indices = dict(self.names), self.in_loop, list(self.indices)
        lines, self.lines = self.lines, []
        head = ""
        try:
            for line in before:
                self._run(line)
            self.lines = []
            if self.rng.random() < 0.7:
                index = self._index()
                rounds, first = self.rng.choice(RANGES)
                a, n = self._array(), next(p.name for p in self.parameters if p.claim in ("int", "count"))
                outer = self.indices[-1] if self.indices and self.rng.random() < 0.3 else ""
                if outer:
                    rounds, first = f"range({outer} + 1)", "0"
                self._bind(index, first.format(a=a, n=n))
                self.indices.append(index)
                head = f"for {index} in {rounds.format(a=a, n=n)}:"
            else:
                head = self._over_rows()
            self.in_loop = True
            body = self._block(3)
        finally:
            self.names, self.in_loop, self.indices, self.lines = names, in_loop, indices, lines
        self._run(*before, _indented(head, body))

    def _before(self) -> list[str]:
        """Lines that make what the loop fills or carries."""
        lines = []
        for _ in range(self.rng.choice((0, 1, 1, 2))):
            lines.append(self.rng.choice(BEFORE).format(o=self._fresh(), a=self._array()))
        return lines

    def _over_rows(self) -> str:
        targets, iterated, firsts = self.rng.choice(ROWS)
        index = self._index()
        r, q = self.rng.sample([n for n in ("row", "u", "v", "p", "q", "r") if n not in self.indices], 2)
        a, b = self._array(), self._array()
        words = {"r": r, "q": q, "i": index, "a": a, "b": b}
        for target, first in zip(targets.format(**words).split(", "), firsts, strict=True):
            self._bind(target, first.format(**words))
        if "{i}" in targets:
            self.indices.append(index)
        return f"for {targets.format(**words)} in {iterated.format(**words)}:"

    def _while(self) -> None:
        names, in_loop, indices = dict(self.names), self.in_loop, list(self.indices)
        lines, self.lines = self.lines, []
        words = {"t": self._index(), "h": self._fresh(), "a": self._array()}
        if "{h}" not in (template := self.rng.choice(WHILES))[0]:
            words["h"] = self._array()
        first, test, last = (self._filled(part, **words) for part in template)
        try:
            self._run(first)
            self.lines = []
            self.in_loop = True
            if first.startswith(words["t"]):
                self.indices.append(words["t"])
            body = self._block(2)
        finally:
            self.names, self.in_loop, self.indices, self.lines = names, in_loop, indices, lines
        early = any("continue" in line for line in body) or self.rng.random() < 0.3
        self._run(first, _indented(f"while {test}:", [last, *body] if early else [*body, last]))

    def _branch(self) -> None:
        count = self.rng.choice((1, 1, 2, 2, 2, 3))
        arms = []
        names = dict(self.names)
        for position in range(count):
            word = "if" if position == 0 else "elif"
            if position == count - 1 and count > 1 and (count == 2 or self.rng.random() < 0.5):
                head = "else:"
            else:
                head = f"{word} {self._test()}:"
            try:
                arms.append(_indented(head, self._block(2)))
            finally:
                self.names = dict(names)
        self._run("\n".join(arms))

    def _run(self, *lines: str) -> None:
        """A line that leaves a round leaves only the round: what comes after it is grown all the same."""
        whole = "\n".join(lines)
        if not self.in_loop or not any(word in whole for word in ("continue", "break")):
            super()._run(*lines)
            return
        before = len(self.lines)
        body = [line.replace("continue", "pass").replace("break", "pass") for line in lines]
        super()._run(*body)
        self.lines[before:] = lines

    def _ternary(self) -> None:
        self._run(self._filled(self.rng.choice(TERNARIES), test=self._test()))

    def _early_return(self) -> None:
        if self.early:
            raise Rejected("one is enough")
        test = self._filled(self.rng.choice(self.rng.choice((STATIC_TESTS, DATA_TESTS))))
        self._evaluate(test)
        self.lines.append(f"if {test}:\n    return {self._one_result()}")
        self.early = True

    def _result(self) -> str:
        if not self.early:
            return super()._result()
        for _ in range(30):
            try:
                text = self._one_result()
            except Rejected:
                continue
            if self._depends(text):
                return text
        raise Rejected("no result depends on an argument")


def _indented(head: str, body: list[str]) -> str:
    lines = [f"    {line}" for statement in body for line in statement.split("\n")]
    return "\n".join([head, *lines])


__all__ = ["Inputs", "RegionGrowth"]
