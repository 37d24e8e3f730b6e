"""What the name of a gradient says: `dW1`, `d_x`, `dL_dx`, `grad_W`, `x_grad`, `grads["W1"]`, `delta2`.

A name is read against the variables of the forward pass. Where it does not name one of them it may be a gradient all
the same (`dtmp`, `dx1`: a part of the gradient of x): then the way its value is made decides.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache


class Kind(enum.Enum):
    """What a name says of its value."""

    GRADIENT = "gradient"  # nobody calls anything else so
    POSSIBLE = "possible"  # a gradient if its value is made of other gradients
    LOCAL = "local"  # the derivative of one intermediate value by another: `dqdx`
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Named:
    """A name as read: its kind, and the variable whose gradient it is, empty where it does not say."""

    kind: Kind
    variable: str = ""


@dataclass(frozen=True, slots=True)
class Variables:
    """What gradients are named after.

    Attributes:
        names: the variables of the forward pass, in order.
        results: those that the forward pass returns, and that are differentiated.
        upstream: whether the backward pass is handed the gradient of the results; then `dAdZ` with the result A is a
            local derivative, else it is the gradient of Z.
        aliases: what the backward pass calls a variable, where that is another name (`X, W = cache`).
        given: for a gradient's name, or the variable in it, the variable that the user says.
    """

    names: tuple[str, ...]
    results: tuple[str, ...] = ()
    upstream: bool = False
    aliases: Mapping[str, str] = field(default_factory=dict)
    given: Mapping[str, str] = field(default_factory=dict)

    def find(self, name: str) -> str:
        """The variable that is meant: as it is written, else in other letters (`dX` for `x`, `dh_prev` for `prev_h`).

        Empty where there is none, or more than one.
        """
        if name in self.given:
            return self.given[name]
        if name in self.names:
            return name
        if name in self.aliases:
            return self.aliases[name]
        for spelling in (_joined, _folded):
            found = {one for one in self.names if spelling(one) == spelling(name)}
            found |= {to for one, to in self.aliases.items() if spelling(one) == spelling(name)}
            if len(found) == 1:
                return found.pop()
        turned = {one for one in self.names if _turns(name) & _turns(one)} if len(name) > 2 else set()
        return turned.pop() if len(turned) == 1 else ""


# What the last result is called in `dL_dx`, whatever the forward pass calls it.
LOSS = frozenset(("L", "J", "C", "E", "Loss", "loss", "cost", "Cost", "err", "error", "obj", "nll", "ce"))
_SMALL_LOSS = frozenset(("l", "j", "c", "e", "f", "out", "o", "y"))
# The gradient that is handed in.
UPSTREAM = re.compile(
    r"d_?(out|outputs?|upstream|next|values?|ret|result)\d*|up(stream)?(_?grad(ient)?s?)?|(out|output|upstream|top|accum|"
    r"acc|next|prev|incoming|error|loss)_?(grad|gradient|delta|error|diff)s?|(grad|gradient|delta|error|g)s?_?(out|outputs?|"
    r"upstream|in|input|next|y|wrt_?output)|grads?|gradients?|deltas?|eta|g|err|errors?|gy|gz|dL|top_diff|dvalues"
)
# Words that begin with a d for reasons of their own.
_OTHER = re.compile(
    r"d|d\d+|dtypes?|dims?\d*|dim_\w+|data\w*|dat|date|dev|device|debug|decay\w*|degree\w*|delim\w*|den|denom\w*|denominator|depth\w*|"
    r"desc\w*|det|diag\w*|dicts?|dictionary|diffs?\w*|differences?|digits?|dilation\w*|direction\w*|disc\w*|disp\w*|dist\w*|div\w*|"
    r"do|docs?|done|dot|dots|double|down\w*|draw\w*|drop\w*|dropout\w*|ds|dummy|dump|duration|days?|default\w*|deriv\w*|"
    r"derivatives?|dense|D\w*"
)
_CONTAINER = re.compile(r"_*(self\.)?(d_?params|(\w*_)?(grads?|gradients?|dparams|derivs))")


def is_container(name: str) -> bool:
    """Whether a dict or a list of this name holds gradients: `grads`, `self.gradients`, `dparams`."""
    return _CONTAINER.fullmatch(name) is not None


def read_name(name: str, variables: Variables) -> Named:
    """What a name says, without what it is an attribute or an entry of: `dW1` of `grads["dW1"]`."""
    bare = name.strip("_")
    for spelled in (name, bare):
        if spelled in variables.given:
            return Named(Kind.GRADIENT, variables.given[spelled])
    if not bare or (name in variables.names and not _is_prefixed(bare, variables)):
        return Named(Kind.NONE)
    for core in _cores(bare):
        if core in variables.names or core in variables.aliases or core in variables.given:
            return Named(Kind.GRADIENT, variables.find(core))
    quotient = _quotient(bare, variables)
    if quotient is not None:
        return quotient
    for core in _cores(bare):
        if found := variables.find(core):
            return Named(Kind.GRADIENT, found)
    return Named(_kind(bare, variables))


def read_key(key: str, variables: Variables) -> Named:
    """What the key of a dict of gradients says: `W1` and `dW1` are both the gradient of W1."""
    named = read_name(key, variables)
    if named.kind is Kind.GRADIENT and named.variable:
        return named
    return Named(Kind.GRADIENT, variables.find(key))


def without_gradients(names: Iterable[str], results: bool = False) -> tuple[str, ...]:
    """Names without those that are gradients of others by what they are called.

    `results`: each of them may be a result, so that `dfdx` is the gradient of x.
    """
    every = tuple(names)
    kept = tuple(
        one
        for one in every
        if read_name(
            one, Variables(others := tuple(name for name in every if name != one), others if results else ())
        ).kind
        is not Kind.GRADIENT
    )
    return kept


def _is_prefixed(name: str, variables: Variables) -> bool:
    """Whether the name of a variable is that of another one's gradient: the cached `dx` beside `x`."""
    return any(core in variables.names for core in _cores(name))


def _cores(name: str) -> Iterator[str]:
    """What is left of a name without the mark of a gradient, the likelier first."""
    for pattern in (
        r"(?:grad|gradient|gradients|grads|d|delta|del|partial|dl|dL|dJ|dloss|dcost|g)_+(\w+)",
        r"(\w+?)_+(?:grad|gradient|grads|gradients|bar|adj|adjoint|d)",
        r"(?:grad|Grad|gradient)([A-Z]\w*|\d\w*)",
        r"(\w+?)(?:Grad|Gradient|Delta)",
        r"d(\w+)",
        r"D(?=[A-Z])(\w+)",
    ):
        if found := re.fullmatch(pattern, name):
            yield found[1]
            if pattern.startswith(r"(?:grad|Grad"):
                yield found[1][0].lower() + found[1][1:]


def _quotient(name: str, variables: Variables) -> Named | None:
    """`dL_dx`, `dLdx`, `dloss_dW`, `df_dq`; None for what is no such thing."""
    unknown: Named | None = None
    for found in _splits(name):
        above, below = found
        plain = above.strip("_")
        below = below.strip("_")
        if not plain or not below:
            continue
        result = plain in variables.results or _folded(plain) in {_folded(one) for one in variables.results}
        loss = plain in LOSS or plain.lower() in LOSS
        marked = "_d" in name
        bound = variables.find(below)
        if bound and (loss and not (result and variables.upstream and plain not in LOSS)):
            return Named(Kind.GRADIENT, bound)
        if bound and result:
            return Named(Kind.LOCAL) if variables.upstream else Named(Kind.GRADIENT, bound)
        if bound and (variables.find(plain) or marked):
            small = plain in _SMALL_LOSS and not variables.find(plain)
            return Named(Kind.GRADIENT, bound) if small and not variables.upstream else Named(Kind.LOCAL)
        if bound and plain in _SMALL_LOSS:
            return Named(Kind.GRADIENT, bound)
        if loss and (marked or plain in ("L", "J")):
            unknown = Named(Kind.GRADIENT)
        elif marked and unknown is None and variables.find(plain):
            unknown = Named(Kind.LOCAL)
    return unknown


def _splits(name: str) -> Iterator[tuple[str, str]]:
    if not name.startswith(("d", "del_")):
        return
    start = 4 if name.startswith("del_") else 1
    for place in range(start + 1, len(name) - 1):
        if name[place] == "d" and (name[place - 1] == "_" or name[place + 1 :] != ""):
            yield name[start:place], name[place + 1 :]


def _kind(name: str, variables: Variables) -> Kind:
    """What to make of a name that does not name a variable."""
    if is_container(name):
        return Kind.GRADIENT
    if re.fullmatch(r"(?:grad|gradient)s?_?\w*|\w+_(?:grad|gradient)s?|\w+Grad(?:ient)?", name):
        return Kind.GRADIENT
    if re.fullmatch(r"deltas?_?\d*|\w+_deltas?|delta_?[A-Za-z]\w*", name):
        return Kind.GRADIENT
    if _OTHER.fullmatch(name):
        return Kind.NONE
    if re.fullmatch(r"d_?out\w*|d_?scores?\w*|d_?logits?\w*|d_?upstream", name):
        return Kind.GRADIENT
    if any(variables.find(part) for core in _cores(name) for part in _parts(core)):
        return Kind.GRADIENT
    return Kind.POSSIBLE if re.fullmatch(r"d_?[A-Za-z]\w*", name) else Kind.NONE


# What is said of a value on its way, behind or before its name: `dhraw`, `dh_next`, `dx_pad`.
_AFFIX = re.compile(
    r"(?:raw|next|prev|pre|post|pad|padded|pad|total|tmp|temp|cur|curr|flat|reshaped|in|out|sum|last|t)"
)


def _parts(core: str) -> Iterator[str]:
    """What a part of a gradient is called after: `x` of `x1`, `x_a` and `x_from_mu`, `hs` and `h` of `h`, `hraw`."""
    yield f"{core}s"
    if found := re.fullmatch(r"(\w*?[A-Za-z_])_*\d+", core):
        yield found[1].rstrip("_")
        yield f"{found[1].rstrip('_')}s"
    for place in range(1, len(core)):
        for rest, affix in ((core[:place], core[place:]), (core[place:], core[:place])):
            if _AFFIX.fullmatch(affix.strip("_")):
                yield rest.strip("_")
                yield f"{rest.strip('_')}s"
    words = core.split("_")
    for count in range(len(words) - 1, 0, -1):
        yield "_".join(words[:count])


def words(name: str) -> list[str]:
    """The words of a name, in small letters: `dense`, `layer` of `DenseLayer`."""
    return [one.lower() for one in re.findall(r"[A-Z]+(?![a-z])\d*|[A-Z]?[a-z]+\d*|\d+", name)]


def _joined(name: str) -> str:
    return name.replace("_", "")


def _folded(name: str) -> str:
    return name.replace("_", "").lower()


@lru_cache(maxsize=4096)
def _turns(name: str) -> frozenset[str]:
    """The name with its words in another order: `prev_h`, `h_prev`, `hprev`."""
    words = [word for word in name.lower().split("_") if word]
    turned = {"".join(words[k:] + words[:k]) for k in range(len(words))}
    for affix in ("prev", "next", "last", "raw"):
        for one in tuple(turned):
            if one.startswith(affix):
                turned.add(one.removeprefix(affix) + affix)
            if one.endswith(affix):
                turned.add(affix + one.removesuffix(affix))
    return frozenset(turned)


def resembling(name: str, variables: Iterable[str]) -> str:
    """The one variable that a gradient's name shortens: `centerWordVec` for `gradCenterVec`; empty if not just one."""
    found: set[str] = set()
    for core in _cores(name.strip("_")):
        short = _folded(core)
        if len(short) >= 4:
            found |= {one for one in variables if _shortens(short, _folded(one))}
    return found.pop() if len(found) == 1 else ""


def _shortens(short: str, long: str) -> bool:
    rest = iter(long.removesuffix("s"))
    return short[0] == long[0] and all(letter in rest for letter in short.removesuffix("s"))
