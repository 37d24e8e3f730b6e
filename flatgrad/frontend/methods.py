"""Methods as functions: `self.W` is a variable, spelled with a letter that no source uses in the place of the dot.

A method is read, differentiated and written like any function: the attributes that it reads are parameters behind its
own, and those that it assigns are variables. The spelling keeps every place in the text where it is, and goes when the
module is written.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from flatgrad.diagnostics import Diagnostic

# A letter to Python, and as wide as a dot.
MARK = "ꓸ"
# `self.layers.values()`, where a loop runs over the layers in a dict: they are what is read, and not the dict.
_CALLED = "ꓹꓺ"
VALUES = f"{MARK}values{_CALLED}"


class Role(Enum):
    """What an attribute is to the method that reads it.

    WEIGHT: an array that `__init__` makes. GIVEN: what the caller hands to `__init__`, or nothing that is known.
    SETTING: a number, a flag, a string. STATE: what the method itself assigns. LAYERS: an object, or a list of them,
    that `__init__` makes of classes.
    """

    WEIGHT = "weight"
    GIVEN = "given"
    SETTING = "setting"
    STATE = "state"
    LAYERS = "layers"


# Settings, where a name is all that is known: no one calls a weight one of these.
SETTINGS = frozenset(
    (
        *("alpha", "dropout", "drop_prob", "drop_rate", "drop_ratio", "dropout_rate", "dropout_ratio", "eps"),
        *("epsilon", "keep_prob", "lam", "lambd", "lmbda", "lr", "learning_rate", "momentum", "negative_slope"),
        *("p", "prob", "rate", "ratio", "reg", "reg_lambda", "scale", "slope", "smoothing", "temperature"),
        "weight_decay",
    )
)


@dataclass(frozen=True, slots=True)
class Method:
    """One method that is compiled.

    Attributes:
        key: what it is called among the functions of the module, `Linear.forward`.
        owner: the class, with marked attributes.
        original: the method as it stands there; `node` is the function that is made of it.
        receiver: what it calls its object, '' for a static method.
        attributes: for each marked name that it reads, what that is.
        helpers: the methods of the class that it calls, by their marked names.
        taken: names of attributes and methods that the rest of the class uses, and that must stay what they are.
        read_elsewhere: attributes that methods which are kept read.
        claims: where the values of attributes are said to come from: `__init__`, and the attribute for each parameter.
        distinct: attributes of which `__init__` shows that each holds an object of its own.
        problems: what cannot be followed in the class.
        layers: for attributes that hold layers, the classes of the file that these are of, where they are known.
        steps: the methods of the class that are steps of their own where this one calls them, by their marked names.
        is_entry: it is compiled where nobody says which functions are.
        learnt: the attributes that the class takes for weights, though they may be called like settings.
    """

    key: str
    owner: ast.ClassDef
    original: ast.FunctionDef
    node: ast.FunctionDef
    receiver: str
    attributes: Mapping[str, Role]
    helpers: Mapping[str, ast.FunctionDef]
    taken: frozenset[str]
    read_elsewhere: frozenset[str]
    claims: tuple[tuple[ast.FunctionDef, Mapping[str, str]], ...]
    distinct: frozenset[str]
    problems: tuple[Diagnostic, ...]
    is_entry: bool
    layers: Mapping[str, frozenset[str]]
    steps: Mapping[str, str]
    learnt: frozenset[str]

    @property
    def name(self) -> str:
        return self.original.name

    @property
    def is_forward(self) -> bool:
        return self.name in FORWARD

    @property
    def helper_reads(self) -> frozenset[str]:
        """The attributes that the methods which it calls may read at any time."""
        return frozenset(
            part.id
            for helper in self.helpers.values()
            for part in ast.walk(helper)
            if isinstance(part, ast.Name) and MARK in part.id
        )

    @property
    def stored(self) -> frozenset[str]:
        """The attributes that the method itself assigns."""
        parts = (part for statement in self.original.body for part in ast.walk(statement))
        return frozenset(
            p.id for p in parts if isinstance(p, ast.Name) and MARK in p.id and isinstance(p.ctx, ast.Store)
        )

    @property
    def backward_name(self) -> str:
        return "backward" if self.is_forward else f"{self.name}_backward"

    def setting(self, name: str) -> bool:
        """Whether an attribute is none of those that are differentiated unless they are asked for."""
        role = self.attributes.get(name)
        if name in self.learnt and role in (Role.GIVEN, Role.SETTING):
            return False
        if role is Role.GIVEN:
            return bare(name).strip("_").lower() in SETTINGS
        return role in (Role.SETTING, Role.STATE, Role.LAYERS)


# The methods that make a class a layer.
FORWARD = ("forward", "__call__")


def bare(name: str) -> str:
    """The name of an attribute by itself: `W` of `self.W`."""
    return name.removesuffix(VALUES).rpartition(MARK)[2]


def spoken(text: str) -> str:
    """A text with its attributes as Python spells them."""
    return text.replace(_CALLED, "()").replace(MARK, ".")
