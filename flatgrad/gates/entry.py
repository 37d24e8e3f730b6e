"""What a gate is: one readable entry for one relation that the compiler understands.

    tanh = gate(
        "np.tanh(x)",
        backward={"x": "dz * (1 - z**2)"},
        shape="()->()",
        proof="tanh(x)",
    )

The alphabet is fixed: operands `x` and `y` (a condition `c`, an index `i`, a sequence of operands `xs`), the result
`z`, the incoming gradient `dz`. Every other name in the call is an attribute, and stands for its value in the backward
spellings. A backward spelling is an expression in the language that the compiler reads; it gives the contribution to
one operand, in the shape of the operands broadcast together: the walk sums it down to the operand's own shape.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from flatgrad.ir.core import Attribute, Call, DType, Operand, Relation, Step, Type, Value
from flatgrad.ir.dims import Dim, Shape

ALPHABET = ("x", "y", "c", "i", "xs")
REQUIRED = "<required>"
# What stands before the name of a function of the model's own file in the path of a gate that a user declares for it.
OWN = "<file>"
# The section of the gates that users declare: see `flatgrad.gates.declared`.
DECLARED = "declared"


class Site(Protocol):
    """One use of a gate: what a rule may ask about it. Names are those of the alphabet; the operands of `xs` are
    `x0`, `x1`, ... and `count` is how many there are."""

    attrs: Mapping[str, Attribute]
    count: int

    def operand(self, name: str) -> Operand: ...
    def type(self, name: str) -> Type:
        """The type of an operand, or of the result (`z`) in a backward rule."""

    def shape(self, name: str) -> Shape: ...
    def rank(self, name: str) -> int | None: ...
    def constant(self, name: str) -> int | float | str | bool | None:
        """The value of an operand that is a literal, else None."""

    def same_dim(self, first: Dim, second: Dim) -> None:
        """Executed lines make the two equal: only in a shape rule."""

    def exact_rank(self, name: str, rank: int) -> Shape:
        """The operand must have this rank or the line fails: only in a shape rule."""

    def grow_front(self, name: str, count: int) -> Shape: ...
    def grow_back(self, name: str, count: int) -> Shape: ...
    def broadcast(self, *shapes: Shape) -> Shape: ...
    def unknown(self) -> Shape:
        """A shape of which nothing is known."""

    def dim_given_by(self, value: Value, reason: Hashable) -> Dim:
        """A dim that comes of a number of which nothing is known: the same one for the same number and reason."""

    def fresh_dim(self) -> Dim:
        """A dim of which nothing is known."""

    def number(self, attribute: Attribute) -> Dim | None:
        """The size that an attribute holds, symbolically, or None."""

    def integer(self, attribute: Attribute) -> Dim | None:
        """As `number`, or an integer of either sign that the caller gives: -1 may be a size of another meaning."""

    def attribute_type(self, value: Value) -> Type:
        """The type of a value inside an attribute."""

    def refuse(self, message: str, help: str = "") -> Exception:
        """An exception to raise: this use is not understood."""


BackwardRule = str | Callable[[Site], str] | Callable[[Site, int], str]
ShapeRule = str | Callable[[Site], Shape | tuple[Shape, ...] | str]
DTypeRule = DType | str | Callable[[Site], DType]


@dataclass(frozen=True, slots=True)
class Spelling:
    """One way to call a gate, `np.sum(x, axis=None, keepdims=False)` or `x.sum(axis=None, keepdims=False)`.

    `path` is `numpy.sum`, or `.sum` for a method, or the class name of an operator node (`Add`). `names` are the
    parameters in order, `defaults` those that may be left out, `starred` those that take all the rest (`*xs`).
    """

    text: str
    path: str
    names: tuple[str, ...]
    defaults: Mapping[str, Attribute]
    starred: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Gate:
    """One entry of the table. See `gate` for the fields."""

    name: str
    spellings: tuple[Spelling, ...]
    operands: tuple[str, ...]
    attributes: Mapping[str, Attribute]
    backward: Mapping[str, BackwardRule]
    shape: ShapeRule
    dtype: DTypeRule
    proof: str | None
    numeric_only: str
    convention: str
    view: bool
    elementwise: bool
    domain: tuple[float, float]
    samples: Mapping[str, object] = field(default_factory=dict)
    section: str = ""
    effect: bool = False


TABLE: dict[str, Gate] = {}


def has_effect(step: Step) -> bool:
    """Whether a step draws at random, or calls a function that does or that says something."""
    match step:
        case Relation(gate="opaque", attrs=attrs):
            return "effect" in attrs
        case Relation(gate=gate):
            return gate == "layer" or (gate in TABLE and TABLE[gate].effect)
        case Call(effect=effect):
            return effect
    return False


BY_PATH: dict[str, list[tuple[Gate, Spelling]]] = {}


def gate(
    call: str,
    *,
    backward: Mapping[str, BackwardRule] | None = None,
    shape: ShapeRule = "()->()",
    dtype: DTypeRule = "promote",
    proof: str | None = None,
    numeric_only: str = "",
    convention: str = "",
    also: tuple[str, ...] = (),
    view: bool = False,
    effect: bool = False,
    domain: tuple[float, float] = (-2.0, 2.0),
    samples: Mapping[str, object] | None = None,
    name: str = "",
) -> Gate:
    """Declare a gate and put it into the table.

    Args:
        call: the call as read in a forward function, and as written in the generated text.
        also: other spellings of the same call, method forms among them (`x.sum(axis=None)`).
        backward: for each differentiable operand, the contribution to its gradient: a spelling, or a function from
            a `Site` to one, where ranks or attributes decide. Empty: the result carries no gradient.
        shape: a NumPy gufunc signature (loop dims broadcast), or a function from a `Site` to a `Shape` or a signature.
        dtype: `promote` (NumPy's promotion of the operands), `float` (floating whatever comes in), `same` (that of x),
            a `DType`, or a function from a `Site` to one.
        proof: the forward function for SymPy (`tanh(x)`), for smooth elementwise gates; `numpy` for gates that are
            proved by running their spellings on arrays of symbols.
        numeric_only: why there is no proof, where there is none but a numeric one.
        convention: what happens at kinks and ties, for the docs.
        view: the result may share memory with the first operand.
        effect: it changes something besides (a generator's state): it is run once, where it stands, and never again.
        domain: the open interval from which tests draw the operands, in the unit of the operand.
        samples: for tests: `shapes` (a list of operand shape tuples) and `attrs` (a list of attribute dicts).
        name: the gate's name where the last part of the call is not it.
    """
    spellings = tuple(_spelling(text) for text in (call, *also))
    names = spellings[0].names
    operands = tuple(n for n in names if n in ALPHABET)
    attributes: dict[str, Attribute] = {}
    for spelling in spellings:
        for parameter in spelling.names:
            if parameter not in ALPHABET:
                attributes.setdefault(parameter, spelling.defaults.get(parameter, REQUIRED))
    entry = Gate(
        name=name or _plain_name(spellings[0].path),
        spellings=spellings,
        operands=operands,
        attributes=attributes,
        backward=dict(backward or {}),
        shape=shape,
        dtype=dtype,
        proof=proof,
        numeric_only=numeric_only,
        convention=convention,
        view=view,
        elementwise=isinstance(shape, str) and set(shape) <= set("(),->"),
        domain=domain,
        samples=dict(samples or {}),
        effect=effect,
    )
    if entry.name in TABLE:
        raise ValueError(f"gate {entry.name}: declared twice")
    unknown = set(entry.backward) - set(operands)
    if unknown:
        raise ValueError(f"gate {entry.name}: backward rule for {sorted(unknown)}, not an operand")
    TABLE[entry.name] = entry
    for spelling in spellings:
        BY_PATH.setdefault(spelling.path, []).append((entry, spelling))
    return entry


_ROOTS = {"np": "numpy", "math": "math", "special": "scipy.special", "builtins": "builtins"}


def _spelling(text: str) -> Spelling:
    try:
        node = ast.parse(text, mode="eval").body
    except SyntaxError as error:
        raise ValueError(f"gate {text}: not an expression") from error
    match node:
        case ast.BinOp(left=ast.Name(id=left), op=op, right=ast.Name(id=right)):
            return Spelling(text, type(op).__name__, (left, right), {})
        case ast.UnaryOp(op=op, operand=ast.Name(id=name)):
            return Spelling(text, type(op).__name__, (name,), {})
        case ast.BoolOp(op=logic, values=[ast.Name(id=left), ast.Name(id=right)]):
            return Spelling(text, type(logic).__name__, (left, right), {})
        case ast.Compare(left=ast.Name(id=left), ops=[compare], comparators=[ast.Name(id=right)]):
            return Spelling(text, type(compare).__name__, (left, right), {})
        case ast.Subscript(value=ast.Name(id=name), slice=ast.Name(id=index)):
            return Spelling(text, "Subscript", (name, index), {})
        case ast.Attribute(value=ast.Name(id="x"), attr=attr):
            return Spelling(text, f".{attr}", ("x",), {})
        case ast.Subscript(value=ast.Attribute() as joiner, slice=ast.Call(args=[ast.Name(id=name)])):
            root, _, rest = _dotted(joiner).partition(".")  # `np.c_[tuple(xs)]`, which is `np.c_[a, b]`
            return Spelling(text, f"{_ROOTS[root]}.{rest}", (name,), {})
        case ast.Call(func=func, args=args, keywords=keywords):
            return _call_spelling(text, func, args, keywords)
    raise ValueError(f"gate {text}: not a call, an operator or an attribute")


def _call_spelling(text: str, func: ast.expr, args: list[ast.expr], keywords: list[ast.keyword]) -> Spelling:
    names: list[str] = []
    defaults: dict[str, Attribute] = {}
    path = _dotted(func)
    if path.startswith("x."):
        names.append("x")
        path = path[1:]
    else:
        root, _, rest = path.partition(".")
        path = f"{_ROOTS.get(root, root)}.{rest}" if rest else f"builtins.{root}"
    for arg in args:
        inner = arg.value if isinstance(arg, ast.Starred) else arg
        if not isinstance(inner, ast.Name):
            raise ValueError(f"gate {text}: a parameter must be a name")
        names.append("*" + inner.id if isinstance(arg, ast.Starred) else inner.id)
    for keyword in keywords:
        if keyword.arg is None:
            raise ValueError(f"gate {text}: ** is not a parameter")
        names.append(keyword.arg)
        defaults[keyword.arg] = ast.literal_eval(keyword.value)
    # `*xs` takes its operands one by one, `xs` takes them as one list or tuple.
    starred = frozenset(n[1:] for n in names if n.startswith("*"))
    return Spelling(text, path, tuple(n.lstrip("*") for n in names), defaults, starred)


def _dotted(node: ast.expr) -> str:
    match node:
        case ast.Name(id=name):
            return name
        case ast.Attribute(value=value, attr=attr):
            return f"{_dotted(value)}.{attr}"
    raise ValueError(f"not a dotted name: {ast.dump(node)}")


def _plain_name(path: str) -> str:
    return path.rpartition(".")[2].lower() if "." in path else path.lower()
