"""One parameter: its role, shape and range, from types, claims, use and name, in this order."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from flatgrad.checking.mentions import mentioned_shape
from flatgrad.checking.parameters import Domain, Parameter, Role
from flatgrad.checking.use import Constant, Use
from flatgrad.ir.core import DType, Kind, Type
from flatgrad.ir.dims import SCALAR, Dim, Shape

if TYPE_CHECKING:
    from flatgrad.frontend.claim import Claim

_BIAS = re.compile(r"(b|bias|gamma|beta|mu|mean|sigma|var|std|m)(_?\w)?|\w*(bias|_mean|_var)|b[a-z]?h?|b_\w+")
_NUMBER = re.compile(
    r"reg(_\w+)?|lam|lambd|lambda_|lmbda|lr|learning_rate|eps|epsilon|alpha|eta|momentum|rho|decay|weight_decay|tau|temp"
    r"|temperature|delta|margin|p|keep_prob|drop(out)?(_prob|_rate|_ratio)?|dt|h_step|step_size|slope|negative_slope|c0"
)
_MATRIX = re.compile(
    r"[A-Z]\w*|x|x\d|inputs?|data|features|h|h0|c0|h_?prev|prev_h|prev_c|c_?prev|hidden|logits|scores|z\d?|a\d?"
)
_SMALL = re.compile(r"reg(_\w+)?|lam|lambd|lambda_|lmbda|lr|learning_rate|eps|epsilon|weight_decay|dt|step_size")
_UNIT = re.compile(r"p|keep_prob|drop(out)?(_prob|_rate|_ratio|_p)?|momentum|rho|decay|prob|q|slope|negative_slope")
_POSITIVE = re.compile(
    r"(running_|\w+_)?(var|variance)|std|sigma\d?|scale|eps|tau|temp|temperature|lengthscale|sig|precision|gamma_head"
)
_LABELS = re.compile(r"labels?|targets?|idx|indices|index|tokens?|word_?ids?|y_(true|train|batch)|classes|obs|ix")
_COUNT = re.compile(
    r"num_\w+|n_\w+|\w+_(size|dim|units|features|heads|steps|layers|classes|count|height|width)|stride|pad|padding|kernel\w*"
    r"|ksize|dilation|groups?|heads|steps?|T|K|G|n_?(in|out|h|hidden)|fan_(in|out)|seed|size|units|[fhw]h|[fhw]w"
    r"|in_\w+|out_\w+"
)
WINDOW = re.compile(
    r"kernel\w*|k|ksize|filter_(size|height|width)|f|pool\w*|window\w*|field_\w+|[hfwk][hw]|num_layers|depth|steps?"
)
_FILTERS = re.compile(r"[wWkKfF]\d?|filters?\d?|kernels?|weights?\d?|HH|WW|K|KH|KW|FH|FW|kh|kw")


class Absent:
    """Stands for a default value that is not there."""


ABSENT = Absent()


@dataclass(frozen=True, slots=True)
class ParameterReader:
    """All that is known of one parameter."""

    name: str
    use: Use
    claims: Mapping[str, Sequence[Claim]]
    type: Type | None
    entries: Mapping[str, Type]
    document: str
    numeric: bool = False

    def parameter(self, default: Constant | Absent | ast.expr) -> Parameter:
        """What it is, given its default value."""
        optional = not isinstance(default, Absent)
        words = [one for one in self.use.constants if isinstance(one, str)]
        made = Parameter(self.name, optional=optional)
        if isinstance(default, str) or words:
            choices = tuple(dict.fromkeys([*([default] if isinstance(default, str) else []), *words]))
            return replace(made, role=Role.CHOICE, choices=choices)
        if isinstance(default, bool) or (self.use.flag and not self._has_shape() and not optional):
            return replace(made, role=Role.CHOICE, choices=(default if isinstance(default, bool) else True,))
        if isinstance(default, ast.expr):
            return replace(made, role=Role.KEPT)
        if self.use.is_dict:
            return replace(made, role=Role.DICT, entries=tuple(self._entries()))
        if self.type is not None and self.type.kind is Kind.OTHER and not self._has_shape():
            return replace(made, role=Role.KEPT)
        if default is None and not self._has_shape() and not self.use.least and self.use.rank is None:
            if self.use.label:
                return replace(made, role=Role.LABELS, shape=self._shape(None)[0], bound=Dim.symbol(f"{self.name}:"))
            return replace(made, role=Role.KEPT)
        if self._is_integer(default):
            numbers = numbers_for(self.name)
            if isinstance(default, int) and 0 < default <= 4:  # what it is by default does best
                numbers = (default, *(one for one in numbers if one != default))
            return replace(made, role=Role.INTEGER, shape=SCALAR, choices=numbers)
        shape, certain = self._shape(default)
        if self._is_labels():
            return replace(made, role=Role.LABELS, shape=shape, certain=certain, bound=Dim.symbol(f"{self.name}:"))
        domain = self._domain()
        if domain is Domain.SPREAD and shape.rank != 2:
            domain = Domain.ANY
        order = 1 if _FILTERS.fullmatch(self.name) and shape.least_rank > 2 else 0
        return replace(made, shape=shape, certain=certain, domain=domain, order=order)

    # Roles

    def _claimed(self) -> Sequence[Claim]:
        return self.claims.get(self.name, ())

    def _has_shape(self) -> bool:
        if any(claim.shape is not None and not claim.shape.is_scalar for claim in self._claimed()):
            return True
        return self.type is not None and self.type.shape.least_rank > 0

    def _dtypes(self) -> set[DType]:
        found = {claim.dtype for claim in self._claimed() if claim.dtype is not None}
        if self.type is not None:
            found.add(self.type.dtype)
        return found

    def _is_integer(self, default: Constant | Absent | ast.expr) -> bool:
        shapeless = not self._has_shape() and not self.use.least and not self.use.rank
        if not shapeless:
            return False
        if self.use.label:
            return self.use.integer or (isinstance(default, int) and not isinstance(default, bool))
        if DType.INT in self._dtypes() or self.use.integer:
            return True
        if isinstance(default, int) and not isinstance(default, bool):
            return _COUNT.fullmatch(self.name) is not None
        return isinstance(default, Absent) and _COUNT.fullmatch(self.name) is not None and self._unused()

    def _unused(self) -> bool:
        """Nothing at all is known of it but its name."""
        return self.use.likely is None and self.type is None

    def _is_scalar(self) -> bool:
        return self.type is not None and self.type.kind is Kind.SCALAR

    def _is_labels(self) -> bool:
        if DType.INT in self._dtypes() or self.use.label:
            return True
        return self.type is None and _LABELS.fullmatch(self.name) is not None and not self.use.likely

    def _line(self) -> str:
        """What the docstring says of the parameter: the lines that begin with its name, or name it first of all."""
        name = re.escape(self.name.rpartition(".")[2])
        pattern = (
            rf"^[ \t]*[-*]?[ \t]*(?:[\w, ]+,[ \t]*)?`?{name}`?[ \t]*(?:,[\w ,]+)?[:(]([^\n]*(?:\n[ \t]+[^-\n:]*$)?)"
        )
        found = re.search(pattern, self.document, re.MULTILINE)
        return found.group(0).lower() if found else ""

    def _domain(self) -> Domain:
        name, line = self.name.rpartition(".")[2], self._line()
        if "covariance" in line or "positive definite" in line or self.use.spread:
            return Domain.SPREAD
        if re.search(r"-1 (and|or|/) \+?1|\+1 (and|or|/) -1|±1|\{-1, *\+?1\}", line) or _signs(self.document, name):
            return Domain.SIGNS
        if re.search(r"\b0 (and|or|/) 1\b|\{0, *1\}", line) or "mask" in name:
            return Domain.BITS
        if _SMALL.fullmatch(name):
            return Domain.SMALL
        if _UNIT.fullmatch(name) and self._may_be_number():
            return Domain.UNIT
        if re.search(r"\bdistribution\b|\bprobabilit", line) and not re.search(r"\blog\b|log_", line + name):
            return Domain.SIMPLEX
        if self.use.positive or _POSITIVE.fullmatch(name):
            return Domain.POSITIVE
        return Domain.ANY

    def _may_be_number(self) -> bool:
        return not self._has_shape() and not self.use.least

    # Shapes

    def _shape(self, default: Constant | Absent | ast.expr) -> tuple[Shape, bool]:
        """The shape, and whether it is said or proven."""
        if self.type is not None and self.type.kind is Kind.SCALAR:
            return SCALAR, True
        if isinstance(default, int | float) and not isinstance(default, bool):
            return SCALAR, True
        known = self.type.shape if self.type is not None and self.type.kind is not Kind.DICT else None
        if known is not None and known.middle is None:
            return known, True
        for claim in self._claimed():
            if claim.shape is not None and claim.shape.middle is None:
                return claim.shape, True
            if claim.kind == "scalar":
                return SCALAR, True
        if known is None or known.least_rank == 0:
            mentioned = mentioned_shape(self.document, self.name.rpartition(".")[2])
            if mentioned is not None and len(mentioned.front) >= self.use.least:
                return mentioned, False
            known = next((claim.shape for claim in self._claimed() if claim.shape is not None), known)
        rank, certain = self._rank(known)
        if known is not None and known.least_rank:
            if self.use.rank is None and any(one.shape is not None and one.shape.middle for one in self._claimed()):
                rank = max(rank, known.least_rank + 2)  # what may have any number of dims has several
            # Some dims in the middle are not known: as many as make up the rank.
            return _filled(known, max(rank - known.least_rank, 0), self.name), False
        dims = [Dim.symbol(self.use.dims.get(k) or f"{self.name}.{k}") for k in range(rank)]
        if self.use.square and rank == 2:
            dims[1] = dims[0]
        return Shape(tuple(dims)), certain

    def _rank(self, known: Shape | None) -> tuple[int, bool]:
        if self.use.rank is not None:
            return self.use.rank, True
        least = max(self.use.least, max(self.use.dims, default=-1) + 1, known.least_rank if known is not None else 0)
        return max(self._likely_rank(least), least), False

    def _likely_rank(self, least: int) -> int:
        name = self.name.rpartition(".")[2]
        if self._is_labels():
            return 1
        if self.numeric or _NUMBER.fullmatch(name):
            return 0
        if _BIAS.fullmatch(name):
            return 1
        if self.use.likely is not None:
            return self.use.likely if _MATRIX.fullmatch(name) or self.use.likely != 2 else 2
        if _MATRIX.fullmatch(name):
            return 2
        return least or (1 if name in ("y", "t", "target", "targets", "v", "u", "mask") else 0)

    # Dicts

    def _entries(self) -> Iterator[Parameter]:
        keys = dict(self.use.keys)
        for prefix, use in self.use.prefixes.items():
            for number in (1, 2, 3):
                keys.setdefault(f"{prefix}{number}", use)
        order = sorted(keys, key=_layer) if self.use.prefixes else list(keys)
        for key in order:
            spelled = f"{self.name}[{key!r}]"
            claims = {str(key): self.claims.get(spelled, self.claims.get(f"{self.name}[{key}]", ()))}
            reader = ParameterReader(str(key), keys[key], claims, self.entries.get(str(key)), {}, self.document)
            made = reader.parameter(ABSENT)
            if made.shape.rank is not None and not made.certain:
                made = replace(made, shape=_renamed(made.shape, str(key), spelled))
            if key in self.use.optional:
                made = replace(made, optional=True)
            yield made


def _layer(key: str | int) -> tuple[int, str]:
    digits = re.search(r"\d+$", str(key))
    return (int(digits.group()) if digits else 0, str(key))


def _renamed(shape: Shape, name: str, spelled: str) -> Shape:
    """Nameless dims of an entry named for the dict as well: two dicts may have the same keys."""
    known = {f"{name}.{k}": Dim.symbol(f"{spelled}.{k}") for k in range(len(shape.front))}
    return Shape(tuple(dim.substitute(known) for dim in shape.front))


def _filled(shape: Shape, extra: int, name: str) -> Shape:
    # The stars of `(*x,)` say that two arrays are alike: they share the dims that are put in.
    middle = shape.middle or name
    return Shape((*shape.front, *(Dim.symbol(f"{middle}.{k}") for k in range(extra)), *shape.back))


def _signs(document: str, name: str) -> bool:
    """`labels -1 and 1` somewhere in a docstring, where labels are usually called y."""
    said = re.search(r"labels?[^.\n]{0,20}-1 (?:and|or) \+?1", document)
    return said is not None and name in ("y", "labels", "targets", "t")


def numbers_for(name: str) -> tuple[int, ...]:
    """The numbers to choose from for an integer, the safest one first."""
    low = name.lower().rpartition(".")[2]
    if "pad" in low:
        return (0, 1)
    if low == "seed":
        return (3, 5)
    if "stride" in low or "dilation" in low or "group" in low or "head" in low or low == "g":
        return (1, 2)
    if low == "axis":
        return (0, 1)
    return (2, 1, 3)
