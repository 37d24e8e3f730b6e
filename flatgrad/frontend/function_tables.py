"""A function that is looked up when the program runs, as the ways that it may be.

    h = ACT[kind](x @ W)          z = x @ W
                                  if kind == "relu":
                                      h = np.maximum(z, 0)
                                  elif kind == "tanh":
                                      h = np.tanh(z)
                                  else:
                                      raise KeyError(kind)

`ACT` is a dict at the head of the module, or of the function, with functions under constant keys. So is `act(x)` below
`act = ACT[kind]`. `act(x)` below `act = functools.partial(leaky, a=0.1)` is read as `leaky(x, a=0.1)`,
`f(x)` below `f = numba.njit(g)` as `g(x)`.
"""

from __future__ import annotations

import ast
import copy
from collections.abc import Iterator, Sequence

from flatgrad.emit.names import numbered_name
from flatgrad.frontend.flattened import Renamed, Replaced, stored_in
from flatgrad.frontend.known_functions import functions_of
from flatgrad.frontend.liveness import arguments, own_statements
from flatgrad.frontend.rewriting import edited
from flatgrad.frontend.source import Module, dotted_path
from flatgrad.frontend.unfolding import Unfolded

MOST_WAYS = 12
# Inside these an expression is worked out at another time, or not at all.
_LATER = (ast.BoolOp, ast.IfExp, ast.Lambda, ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)


def table_as_ways(module: Module, function: ast.FunctionDef, statement: ast.stmt) -> Sequence[ast.stmt] | None:
    """The statements that one with a call of a looked-up function comes to; None where there is none."""
    match statement:
        case ast.Assign(value=value) | ast.AugAssign(value=value) | ast.Return(value=ast.expr() as value):
            pass
        case _:
            return None
    for call in _calls_at_once(value):
        looked_up = _looked_up(module, function, call.func)
        if looked_up is None or call.keywords or any(isinstance(one, ast.Starred) for one in call.args):
            continue
        if "random" in ast.unparse(value):
            return None  # what is drawn before the call would be drawn behind it
        table, key = looked_up
        found = _as_ways(module, function, statement, call, table, key)
        for part in (part for one in found for part in ast.walk(one)):
            if isinstance(part, ast.stmt) and not hasattr(part, "lineno"):
                ast.copy_location(part, statement)
        return found
    return None


def _as_ways(
    module: Module,
    function: ast.FunctionDef,
    statement: ast.stmt,
    call: ast.Call,
    table: Sequence[tuple[ast.Constant, ast.expr]],
    key: ast.expr,
) -> list[ast.stmt]:
    taken = {part.id for part in ast.walk(function) if isinstance(part, ast.Name)} | set(module.bound)
    taken |= {part.arg for part in ast.walk(function) if isinstance(part, ast.arg)}

    def fresh(wanted: str) -> str:
        name = numbered_name(wanted, lambda one: one not in taken)
        taken.add(name)
        return name

    heads: list[ast.stmt] = []
    given: list[ast.expr] = []
    for argument in call.args:
        if not isinstance(argument, ast.Name | ast.Constant):
            name = fresh("z")
            heads.append(ast.Assign([ast.Name(name, ast.Store())], argument))
            argument = ast.Name(name, ast.Load())
        given.append(argument)
    target: ast.expr
    match statement:
        case ast.Assign(targets=[ast.Name() as target], value=value) if value is call:
            tails: list[ast.stmt] = []
        case _:
            name = fresh("activated")
            target = ast.Name(name, ast.Store())
            tails = [Replaced(call, ast.Name(name, ast.Load())).visit(statement)]
    raised = ast.Raise(ast.Call(ast.Name("KeyError", ast.Load()), [copy.deepcopy(key)], []))
    ways: list[ast.stmt] = [raised]
    for one, entry in reversed(table):
        value = _applied(entry, given)
        test = ast.Compare(copy.deepcopy(key), [ast.Eq()], [one])
        ways = [ast.If(test, [ast.Assign([copy.deepcopy(target)], value)], ways)]
    return [*heads, *ways, *tails]


def _applied(entry: ast.expr, given: Sequence[ast.expr]) -> ast.expr:
    if not isinstance(entry, ast.Lambda):
        return ast.Call(copy.deepcopy(entry), [copy.deepcopy(one) for one in given], [])
    names = {one.arg: value for one, value in zip(entry.args.args, given, strict=True)}
    found = Renamed(names).visit(copy.deepcopy(entry.body))
    assert isinstance(found, ast.expr)
    return found


def _looked_up(
    module: Module, function: ast.FunctionDef, called: ast.expr
) -> tuple[list[tuple[ast.Constant, ast.expr]], ast.expr] | None:
    """The entries of the table, and the key."""
    if isinstance(called, ast.Name):
        bound = _bound_once(function, called.id)
        if not isinstance(bound, ast.Subscript):
            return None
        called = bound
    match called:
        case ast.Subscript(value=ast.Name(id=name), slice=(ast.Name() | ast.Attribute()) as key):
            pass
        case _:
            return None
    roots = {part.id for part in ast.walk(key) if isinstance(part, ast.Name)}
    if roots & stored_in(function.body):
        return None  # bound again, it may be another key
    local = name in stored_in(function.body) | {one.arg for one in arguments(function.args)}
    shadowed = stored_in(function.body) | {one.arg for one in arguments(function.args)}
    pairs: list[tuple[ast.expr | None, ast.expr]] = []
    if not local:
        pairs = [(ast.Constant(one), entry) for one, entry in functions_of(module, name).items()]
    elif isinstance(table := _bound_once(function, name), ast.Dict) and _is_only_read(function, name):
        pairs = list(zip(table.keys, table.values, strict=True))
    if not 0 < len(pairs) <= MOST_WAYS:
        return None
    entries: list[tuple[ast.Constant, ast.expr]] = []
    for one, entry in pairs:
        if not isinstance(one, ast.Constant) or not _is_function(module, entry):
            return None
        own = {argument.arg for argument in entry.args.args} if isinstance(entry, ast.Lambda) else set()
        if not local and {part.id for part in ast.walk(entry) if isinstance(part, ast.Name)} - own & shadowed:
            return None  # the name is another thing in the function
        entries.append((one, entry))
    return entries, key


def _is_only_read(function: ast.FunctionDef, name: str) -> bool:
    """Whether a local dict is used for nothing but to look something up."""
    read = [part for part in ast.walk(function) if isinstance(part, ast.Name) and part.id == name]
    looked = [
        part.value for part in ast.walk(function) if isinstance(part, ast.Subscript) and isinstance(part.ctx, ast.Load)
    ]
    return all(part in looked for part in read if isinstance(part.ctx, ast.Load))


def _is_function(module: Module, entry: ast.expr) -> bool:
    match entry:
        case ast.Lambda(args=ast.arguments(posonlyargs=[], vararg=None, kwonlyargs=[], kwarg=None, defaults=[])):
            return True
        case ast.Name(id=name):
            return name in module.functions or dotted_path(module, entry, frozenset()) is not None
        case ast.Attribute():
            return dotted_path(module, entry, frozenset()) is not None
    return False


def _bound_once(function: ast.FunctionDef, name: str) -> ast.expr | None:
    """What a local name is bound to, in the one place where it is."""
    stores = [part for part in ast.walk(function) if isinstance(part, ast.Name) and part.id == name]
    stores = [part for part in stores if not isinstance(part.ctx, ast.Load)]
    if len(stores) != 1 or any(part.arg == name for part in ast.walk(function) if isinstance(part, ast.arg)):
        return None
    for statement in own_statements(function.body):
        match statement:
            case ast.Assign(targets=[ast.Name() as target], value=value) if target is stores[0]:
                return value
    return None


def _calls_at_once(node: ast.expr) -> Iterator[ast.Call]:
    """The calls that are made whenever an expression is worked out, the inner ones first."""
    if isinstance(node, _LATER):
        return
    for part in ast.iter_child_nodes(node):
        inner = part.value if isinstance(part, ast.keyword | ast.Starred) else part
        if isinstance(inner, ast.expr):
            yield from _calls_at_once(inner)
    if isinstance(node, ast.Call):
        yield node


def unread_function(module: Module, function: ast.FunctionDef, statement: ast.stmt) -> bool:
    """Whether a statement binds a looked-up or a partial function, or a table of functions, that nobody reads now."""
    match statement:
        case ast.Assign(targets=[ast.Name(id=name) as target], value=value):
            pass
        case _:
            return False
    if any(isinstance(part, ast.Name) and part.id == name and part is not target for part in ast.walk(function)):
        return False
    if isinstance(value, ast.Dict):
        return bool(value.values) and all(_is_function(module, one) for one in value.values)
    if isinstance(value, ast.Subscript):
        return _looked_up(module, function, value) is not None
    bound = stored_in(function.body) | {one.arg for one in arguments(function.args)}
    return isinstance(value, ast.Call) and dotted_path(module, value.func, frozenset(bound)) == "functools.partial"


def module_value(module: Module, name: str) -> ast.expr | None:
    """What the module binds a name to, in the one place where it does."""
    found: list[ast.expr] = []
    for part in ast.walk(module.tree):
        if isinstance(part, ast.Name) and part.id == name and not isinstance(part.ctx, ast.Load):
            found.append(part)
        if isinstance(part, ast.Global) and name in part.names:
            return None
    values = [
        one.value
        for one in module.tree.body
        if isinstance(one, ast.Assign) and len(one.targets) == 1 and one.targets[0] in found
    ]
    return values[0] if len(values) == len(found) == 1 else None


# Functions some of whose arguments are given already


def without_jit(whole: Unfolded) -> Unfolded | None:
    """The text with one call of what numba makes of a function, `f = jit(g)`, as a call of that function."""
    module = whole.module
    for function in module.functions.values():
        own = stored_in(function.body) | {one.arg for one in arguments(function.args)}
        for call in ast.walk(function):
            if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Name) or call.func.id in own:
                continue
            match module_value(module, call.func.id):
                case ast.Call(func=made, args=[ast.Name(id=plain)]):
                    path = dotted_path(module, made, frozenset()) or ""
                    if path.rpartition(".")[2] in ("jit", "njit") and plain in module.functions and plain not in own:
                        return edited(whole, call.func, plain)
    return None


def without_partial(whole: Unfolded) -> Unfolded | None:
    """The text with one call of a partial function as a call of the whole one; None where there is none."""
    module = whole.module
    for function in module.functions.values():
        stored = stored_in(function.body)
        parameters = {one.arg for one in arguments(function.args)}
        for call in ast.walk(function):
            if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Name) or call.lineno != call.end_lineno:
                continue
            name = call.func.id
            local = name in stored
            made = _bound_once(function, name) if local else module_value(module, name)
            if name in parameters or not isinstance(made, ast.Call) or not made.args:
                continue
            if dotted_path(module, made.func, frozenset(stored | parameters)) != "functools.partial":
                continue
            called, *before = made.args
            parts = [*before, *(one.value for one in made.keywords)]
            names = {part.id for one in (called, *parts) for part in ast.walk(one) if isinstance(part, ast.Name)}
            kept = all(isinstance(one, ast.Name | ast.Constant | ast.UnaryOp) for one in parts)
            if not kept or names & stored or (not local and names & parameters):
                continue
            if any(one.arg is None or one.arg in {other.arg for other in call.keywords} for one in made.keywords):
                continue
            plain = ast.Call(called, [*before, *call.args], [*call.keywords, *made.keywords])
            return edited(whole, call, ast.unparse(ast.fix_missing_locations(plain)))
    return None
