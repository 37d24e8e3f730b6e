"""Runs a homework as its reading says that it is run, and holds what it returns against differences."""

from __future__ import annotations

import copy
import random
from collections.abc import Mapping
from typing import Any

import numpy as np

from flatgrad.diff.homework import Homework, Style

STEP = 1e-5


def at(value: Any, place: tuple[int | str, ...]) -> Any:
    for step in place:
        value = value[step]
    return value


class Run:
    """One homework with its inputs.

    Args:
        homework: what was read.
        arguments: the forward function's, by name; for a script the values of its leaves.
        make: the expression that makes the object, for methods.
    """

    def __init__(self, homework: Homework, arguments: Mapping[str, Any], make: str = "") -> None:
        self.homework = homework
        self.space: dict[str, Any] = {"__name__": "homework"}
        if homework.style is not Style.SCRIPT:
            exec(compile(homework.text, homework.file, "exec"), self.space)
        self.arguments = dict(arguments)
        np.random.seed(0)
        self.object = eval(make, self.space) if make else None

    def _function(self, name: str, receiver: Any) -> Any:
        owner, _, method = name.rpartition(".")
        if not owner:
            return self.space[name]
        return getattr(receiver if receiver is not None else self.space[owner], method)

    def forward(self, arguments: Mapping[str, Any], receiver: Any) -> tuple[list[Any], Any]:
        """The differentiated results and all that is returned."""
        homework = self.homework
        np.random.seed(1)
        random.seed(1)
        given = copy.deepcopy(dict(arguments))
        if homework.style is Style.SCRIPT:
            space = self.script(given)
            return [space[homework.script_result]], space
        whole = self._function(homework.forward, receiver)(**given)
        return [at(whole, place) for place in homework.loss], whole

    def script(self, given: Mapping[str, Any]) -> dict[str, Any]:
        import ast

        space: dict[str, Any] = {"__name__": "homework"}

        class Replace(ast.NodeTransformer):
            def visit_Assign(self, node: ast.Assign) -> Any:
                target, value = node.targets[0], node.value
                pairs = [(target, value)]
                if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple):
                    pairs = list(zip(target.elts, value.elts, strict=True))
                out: list[ast.stmt] = []
                for one, part in pairs:
                    name = one.id if isinstance(one, ast.Name) else ""
                    out.append(ast.Assign([one], ast.Name("__" + name, ast.Load()) if name in given else part))
                return out

        tree = Replace().visit(ast.parse(self.homework.text))
        space |= {f"__{name}": value for name, value in given.items()}
        exec(compile(ast.fix_missing_locations(tree), self.homework.file, "exec"), space)
        return space

    def backward(self) -> tuple[dict[int, Any], list[Any]]:
        """For each of `returned` its value, and the upstream gradients."""
        homework, receiver = self.homework, copy.deepcopy(self.object)
        results, whole = self.forward(self.arguments, receiver)
        generator = np.random.default_rng(5)
        upstream = [
            generator.normal(size=np.shape(one)) if name else 1.0
            for one, name in zip(results, homework.upstream, strict=True)
        ]
        if homework.style in (Style.FLAT, Style.SCRIPT):
            back = whole
        else:
            given: dict[str, Any] = {name: one for name, one in zip(homework.upstream, upstream, strict=True) if name}
            if homework.cache:
                given[homework.cache] = at(whole, homework.cache_place)
            inputs = copy.deepcopy(self.arguments)
            for name in homework.options:
                given[name] = inputs[name] if name in inputs else getattr(receiver, name)
            for name, source in homework.sources.items():
                given[name] = inputs[source] if source in inputs else getattr(receiver, source)
            given |= homework.constants
            back = self._function(homework.backward, receiver)(**given)
        found: dict[int, Any] = {}
        for index, one in enumerate(homework.returned):
            if homework.style is Style.SCRIPT:
                found[index] = np.array(eval(one.target, whole))
            elif one.place is None:
                name = one.target.partition(".")[0]
                found[index] = eval(one.target, {name: receiver})
            else:
                found[index] = at(back, one.place)
        return found, upstream

    def places(self, variable: str, target: str) -> list[tuple[int | str, ...]]:
        """Where the value of a variable is: an argument, an entry of one, an attribute, an entry of one."""
        found: list[tuple[int | str, ...]] = []
        if target.startswith("self.grads[") and target[-2].isdigit():  # the list `self.params` goes with it
            found.append(("attribute", "params", int(target[len("self.grads[") : -1])))
        if variable in self.arguments:
            found.append(("argument", variable))
        found += [
            ("argument", name, variable)
            for name, one in self.arguments.items()
            if isinstance(one, dict) and variable in one
        ]
        if self.object is not None:
            if variable in vars(self.object):
                found.append(("attribute", variable))
            found += [
                ("attribute", name, variable)
                for name, one in vars(self.object).items()
                if isinstance(one, dict) and variable in one
            ]
        return found

    def true(self, place: tuple[int | str, ...], upstream: list[Any]) -> Any:
        """The gradient of what stands in a place, by central differences."""

        def shifted(index: tuple[int, ...], step: float) -> float:
            arguments, receiver = copy.deepcopy(self.arguments), copy.deepcopy(self.object)
            holder: Any = arguments if place[0] == "argument" else vars(receiver)
            for key in place[1:-1]:
                holder = holder[key]
            value = np.array(holder[place[-1]], float)
            value[index] += step
            holder[place[-1]] = value if np.ndim(value) else float(value)
            results, _ = self.forward(arguments, receiver)
            return float(sum(np.sum(one * given) for one, given in zip(results, upstream, strict=True)))

        start: Any = self.arguments if place[0] == "argument" else vars(self.object)
        gradient = np.zeros(np.shape(at(start, place[1:])))
        for index in np.ndindex(gradient.shape):
            gradient[index] = (shifted(index, STEP) - shifted(index, -STEP)) / (2 * STEP)
        return gradient


def check(homework: Homework, arguments: Mapping[str, Any], make: str = "") -> set[str]:
    """Fails unless every returned gradient is that of its variable; gives the variables."""
    run = Run(homework, arguments, make)
    found, upstream = run.backward()
    for index, one in enumerate(homework.returned):
        assert one.variable, f"nothing says what {one} is the gradient of"
        places = run.places(one.variable, one.target)
        assert places, f"{one.variable} is no input"
        true = run.true(places[0], upstream)
        assert np.shape(found[index]) == np.shape(true), (one, np.shape(found[index]), np.shape(true))
        np.testing.assert_allclose(found[index], true, rtol=1e-4, atol=1e-6, err_msg=str(one))
    return {one.variable for one in homework.returned}
