"""What a module is made of: the functions to be written, and their texts as the template takes them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from flatgrad.differentiate.walk import Backward
from flatgrad.emit.callee import Callee
from flatgrad.emit.forward_plan import ForwardText
from flatgrad.frontend.claim import Claim
from flatgrad.frontend.environment import Lowered
from flatgrad.frontend.source import Module


@dataclass(frozen=True, slots=True)
class FunctionPlan:
    """One function to be written."""

    name: str
    lowered: Lowered
    backward: Backward
    guards: tuple[str, ...]
    claims: tuple[Claim, ...]
    returned: tuple[int, ...]

    @property
    def base(self) -> str:
        return self.name.removesuffix("_forward")


@dataclass(frozen=True, slots=True)
class ModulePlan:
    """All that the module holds; `command`: the options it was written with; `callees`: what is called, by name."""

    module: Module
    functions: tuple[FunctionPlan, ...]
    command: str
    callees: Mapping[str, Callee]


@dataclass(frozen=True, slots=True)
class MethodText:
    """What the template needs of one method; `decorator` is a line of its own, or nothing."""

    decorator: str
    name: str
    signature: str
    docstring: str
    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ClassText:
    """A class: its head, and what stands in it, as it is or as a method with its backward pass. `rows` are those of the
    table, `plain` all that stays as it is."""

    head: str
    parts: tuple[str | tuple[MethodText, MethodText], ...]
    rows: tuple[tuple[str, str], ...]
    plain: str


@dataclass(frozen=True, slots=True)
class FunctionText:
    """What the template needs of one function."""

    forward_name: str
    backward_name: str
    value_and_grad_name: str
    forward: ForwardText
    docstring: str
    backward_docstring: str
    backward_parameters: str
    backward_lines: tuple[str, ...]
    backward_results: str
    gradients: tuple[str, ...]
    result: str
    results: tuple[str, ...]
    cache_variable: str
    arguments: str
    check_scalar: bool
    unbroadcasts: bool
