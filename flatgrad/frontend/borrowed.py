"""What a module takes from other files of its project: data, made by `frontend.linking`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from flatgrad.diagnostics import Diagnostic


@dataclass(frozen=True, slots=True)
class Returned:
    """One gradient that a backward function returns: of which parameter, and whether it is in memory of its own."""

    parameter: str
    fresh: bool


@dataclass(frozen=True, slots=True)
class Pair:
    """A function of another file with a backward function beside it. Both are imported, neither is written.

    Attributes:
        forward, backward: how they are called: `affine_forward`, `L.affine_forward`.
        origin: the module that they are imported from, as in `from .layers import ...`; '' where `forward` is an
            attribute of a module that the user imports.
        names: what is imported from there, and under which names.
        results: how many results there are; the cache comes after them.
        gradients: what backward returns, in order.
        changes: whether backward may write into the upstream gradients.
    """

    forward: str
    backward: str
    origin: str
    names: tuple[tuple[str, str], ...]
    results: int
    gradients: tuple[Returned, ...]
    changes: bool


@dataclass(frozen=True, slots=True)
class Absent:
    """Why an import leads nowhere."""

    code: str
    message: str
    label: str
    help: str
    found: tuple[Diagnostic, ...] = ()  # what is wrong with the file that it leads to


@dataclass(frozen=True, slots=True)
class Borrowed:
    """What stands in the text of a module and is not the model's own.

    Attributes:
        functions: the names of the functions that come from other files, or were made of others
            (`frontend.respelling`).
        pairs: those of them that have a backward function of their own there.
        unmatched: those whose backward function there cannot be called, and why.
        called: for the path of a function that is called as an attribute of its module, its name in the text.
        absent: for the path of an import that leads nowhere, why.
    """

    functions: frozenset[str] = frozenset()
    pairs: Mapping[str, Pair] = field(default_factory=dict)
    unmatched: Mapping[str, str] = field(default_factory=dict)
    called: Mapping[str, str] = field(default_factory=dict)
    absent: Mapping[str, Absent] = field(default_factory=dict)
