"""flatgrad in Python: `compile`, and the decorators `grad` and `value_and_grad`."""

from __future__ import annotations

import ast
import builtins
import functools
import inspect
import linecache
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec, overload

from flatgrad.capture import Captured, capture
from flatgrad.diagnostics import Cell, Diagnostic, Refused

if TYPE_CHECKING:
    from flatgrad.compiler import Compiled
    from flatgrad.options import Options
    from flatgrad.reading import Source

P = ParamSpec("P")
Names = str | Sequence[str]
Ranks = tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class Entry:
    """The functions that were written for one function.

    Attributes:
        wrt: the parameters whose gradients `backward` hands out, in this order.
        forward: takes the parameters of the function; returns `out, cache`.
        backward: takes `dout, cache`; returns one gradient for each parameter in `wrt`, a single one bare.
        value_and_grad: takes the parameters; returns `out, gradients`. None where the result cannot be a scalar.
    """

    name: str
    parameters: tuple[str, ...]
    wrt: tuple[str, ...]
    results: tuple[str, ...]
    forward: Callable[..., Any]
    backward: Callable[..., Any]
    value_and_grad: Callable[..., Any] | None


@dataclass(frozen=True, slots=True)
class Module:
    """A generated module: its text, and its functions ready to be called.

    Attributes:
        source: the text, a module that stands alone. A name that it binds to `...` stands for a live object that the
            text of the function did not tell how to make.
        ir: the intermediate representation, forward and backward, printed.
        notes: what the compiler has to say about what it left out.
        entries: the compiled functions by name, as far as they were asked for.
        namespace: the globals of the generated functions.
    """

    source: str
    ir: str
    notes: tuple[Diagnostic, ...]
    entries: Mapping[str, Entry]
    filename: str
    namespace: dict[str, Any] = field(repr=False)

    @property
    def entry(self) -> Entry:
        """The only entry. Raises LookupError where there are several."""
        if len(self.entries) != 1:
            names = ", ".join(self.entries)
            raise LookupError(
                f"there are several functions: take one from .entries ({names}), or compile with functions="
            )
        return next(iter(self.entries.values()))

    @property
    def forward(self) -> Callable[..., Any]:
        return self.entry.forward

    @property
    def backward(self) -> Callable[..., Any]:
        return self.entry.backward

    @property
    def value_and_grad(self) -> Callable[..., Any]:
        """Raises TypeError where the result of the function cannot be a scalar."""
        found = self.entry.value_and_grad
        if found is None:
            raise TypeError(f"{self.entry.name} does not return one scalar: call forward and backward")
        return found


def compile(
    function: Callable[..., Any] | str | Path,
    *,
    functions: Names = (),
    wrt: Names = (),
    output: str = "",
    shapes: Mapping[str, str] | None = None,
    gates: str = "grouped",
    stages: str = "source",
    accumulate: str = "forks",
) -> Module:
    """Write the backward pass of a function, of all functions in a source text, or of those in a file.

    Args:
        function: a function made by `def`, source text, or the path of a Python file or a notebook.
        functions: which functions of a text or file, `"f"` or `["f", "g"]`; a helper need not be named.
        wrt: the parameters to differentiate, `"W1,b1"` or `["W1", "b1"]`; by default those without a default value
            that the result reaches.
        output: the result to differentiate, where there are several.
        shapes: shapes of parameters, `{"X": "N, D"}`.
        gates: `"grouped"` treats softmax and its like as one step, `"primitive"` shows every step.
        stages: `"source"` keeps the statements, `"relations"` writes one line for every single relation.
        accumulate: `"forks"` writes `+=` where a gradient is added to, `"always"` adds everything up from zero.

    The constants that a function uses have the value that they have now, arrays are shared with the caller.

    Raises:
        Refused: for what is not understood, with every place and reason.
        TypeError: for an argument that is neither a function nor text nor a path.
        ValueError: for an option that does not exist.
    """
    settings = _options(wrt, output, shapes, gates, stages, accumulate)
    if isinstance(function, str | Path):
        source = _source(function)
        module = _build(_captured(source), settings(_names(functions)), source.cells)
        return replace(module, notes=(*source.notes, *module.notes))
    if not callable(function):
        raise TypeError(f"flatgrad.compile takes a function, source text or a path, not {type(function).__name__}")
    if functions:
        raise TypeError("functions= is for source text: a function is compiled alone")
    captured = capture(function)
    module = _build(captured, settings((captured.name,)))
    _keep_defaults(function, module)
    return module


@overload
def value_and_grad(
    function: Callable[P, Any],
    *,
    wrt: Names = ...,
    shapes: Mapping[str, str] | None = ...,
    gates: str = ...,
) -> Callable[P, tuple[Any, Any]]: ...
@overload
def value_and_grad(
    function: None = ...,
    *,
    wrt: Names = ...,
    shapes: Mapping[str, str] | None = ...,
    gates: str = ...,
) -> Callable[[Callable[P, Any]], Callable[P, tuple[Any, Any]]]: ...
def value_and_grad(
    function: Callable[P, Any] | None = None,
    *,
    wrt: Names = (),
    shapes: Mapping[str, str] | None = None,
    gates: str = "grouped",
) -> Any:
    """A function that returns `out, gradients` for a function with a scalar result.

    `value_and_grad(f)`, `@value_and_grad` and `@value_and_grad(wrt="w")` are all understood; the arguments are those
    of `flatgrad.compile`. The gradients are one for each differentiated parameter, a single one bare. The function is
    compiled when it is called first, and again when a constant that it uses has changed. Where the text does not tell
    how many dimensions an array has, and that matters, the arguments of the call do.

    Raises, when it is called: as `compile`; ValueError where the result is not a scalar.
    """
    if function is None:
        return functools.partial(value_and_grad, wrt=wrt, shapes=shapes, gates=gates)
    current = _compiled_on_call(function, wrt, shapes, gates)

    @functools.wraps(function)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> tuple[Any, Any]:
        out, gradients = current(args, kwargs).value_and_grad(*args, **kwargs)
        return out, gradients

    return wrapper


@overload
def grad(
    function: Callable[P, Any],
    *,
    wrt: Names = ...,
    shapes: Mapping[str, str] | None = ...,
    gates: str = ...,
) -> Callable[P, Any]: ...
@overload
def grad(
    function: None = ...,
    *,
    wrt: Names = ...,
    shapes: Mapping[str, str] | None = ...,
    gates: str = ...,
) -> Callable[[Callable[P, Any]], Callable[P, Any]]: ...
def grad(
    function: Callable[P, Any] | None = None,
    *,
    wrt: Names = (),
    shapes: Mapping[str, str] | None = None,
    gates: str = "grouped",
) -> Any:
    """A function that returns the gradients alone. As `value_and_grad` in all else."""
    if function is None:
        return functools.partial(grad, wrt=wrt, shapes=shapes, gates=gates)
    current = _compiled_on_call(function, wrt, shapes, gates)

    @functools.wraps(function)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> Any:
        return current(args, kwargs).value_and_grad(*args, **kwargs)[1]

    return wrapper


def _compiled_on_call(
    function: Callable[..., Any], wrt: Names, shapes: Mapping[str, str] | None, gates: str
) -> Callable[[tuple[Any, ...], dict[str, Any]], Module]:
    """The compiled function, made at the first call: helpers that are defined further down exist only then.

    A function that is refused as it stands is tried once more with the ranks of the arrays that it is called with,
    as if each were claimed by `shapes`; what is written then checks them.
    """
    if not callable(function):
        raise TypeError(f"flatgrad takes a function to differentiate, not {type(function).__name__}")
    _options(wrt, "", shapes, gates, "source", "forks")  # a wrong one is told where it stands
    known: list[tuple[Captured, dict[Ranks, Module | Refused]]] = []

    def built(captured: Captured, ranks: Ranks) -> Module | Refused:
        claims = {**_claims(ranks), **(shapes or {})}
        options = _options(wrt, "", claims, gates, "source", "forks")
        try:
            module = _build(captured, replace(options((captured.name,)), presume=False))
        except Refused as refused:
            return refused
        _keep_defaults(function, module)
        return module

    def current(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Module:
        if not known or not known[-1][0].is_current():
            known[:] = [(capture(function), {})]
        captured, modules = known[-1]
        if () not in modules:
            modules[()] = built(captured, ())
        found = modules[()]
        if isinstance(found, Refused) and (ranks := _ranks(function, args, kwargs)):
            if ranks not in modules:
                modules[ranks] = built(captured, ranks)
            found = found if isinstance(modules[ranks], Refused) else modules[ranks]
        if isinstance(found, Refused):
            raise found
        return found

    return current


def _ranks(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Ranks:
    """The number of dimensions of each argument that is an array of one or more."""
    try:
        bound = inspect.signature(function).bind(*args, **kwargs).arguments
    except TypeError:  # the call itself will say so
        return ()
    found = [(name, getattr(value, "shape", ())) for name, value in bound.items()]
    return tuple((name, len(shape)) for name, shape in found if isinstance(shape, tuple) and shape)


def _claims(ranks: Ranks) -> dict[str, str]:
    return {name: ", ".join(f"{name}_{axis}" for axis in range(rank)) for name, rank in ranks}


def _options(
    wrt: Names, output: str, shapes: Mapping[str, str] | None, gates: str, stages: str, accumulate: str
) -> Callable[[tuple[str, ...]], Options]:
    from flatgrad.config import CHOICES

    for key, value in (("gates", gates), ("stages", stages), ("accumulate", accumulate)):
        if value not in CHOICES[key]:
            raise ValueError(f"{key} must be {' or '.join(map(repr, CHOICES[key]))}, not {value!r}")

    def options(functions: tuple[str, ...]) -> Options:
        from flatgrad.options import Options

        return Options(
            functions=functions,
            wrt=_names(wrt),
            output=output,
            shapes=tuple((shapes or {}).items()),
            gates=gates,
            stages=stages,
            accumulate=accumulate,
        )

    return options


def _names(names: Names) -> tuple[str, ...]:
    from flatgrad.config import split_names

    return tuple(split_names(names)) if isinstance(names, str) else tuple(names)


def _source(source: str | Path) -> Source:
    from flatgrad.reading import Source, read_source

    if isinstance(source, Path):
        return read_source(source.read_bytes(), str(source))
    if "\n" not in source and source.endswith((".py", ".ipynb")):
        raise ValueError(f"{source!r} looks like a path: give pathlib.Path({source!r}), or the source text")
    return Source(source, "<source>")


def _captured(source: Source) -> Captured:
    return Captured(source.text, source.filename, "", {}, ())


def _build(captured: Captured, options: Options, cells: tuple[Cell, ...] = ()) -> Module:
    from flatgrad.compiler import compile_source

    try:
        # A function object has been captured with its helpers as they are when the program runs.
        compiled = compile_source(captured.source, captured.filename, options, beside=not captured.name)
    except Refused as refused:
        # With the source, so that the message shows the places; without the compiler's own frames.
        raise Refused(refused.diagnostics, captured.source, captured.filename, cells) from None
    return _load(compiled, captured.live, _stem(captured))


def _stem(captured: Captured) -> str:
    stem = Path(captured.filename).stem if not captured.filename.startswith("<") else ""
    return stem or captured.name or "source"


def _load(compiled: Compiled, live: Mapping[str, object], stem: str) -> Module:
    """Run the generated text in a namespace of its own, with live objects for what it cannot make itself."""
    filename = _register(compiled.text, stem)
    tree = ast.parse(compiled.text, filename)
    # Their statements stay in the text, but are not run: they could load a file once more.
    tree.body = [statement for statement in tree.body if not _binds(statement, live)]
    namespace: dict[str, Any] = {"__name__": f"{stem}_grad", **live}
    exec(builtins.compile(tree, filename, "exec", dont_inherit=True), namespace)
    entries = {
        entry.name: Entry(
            entry.name,
            entry.parameters,
            entry.wrt,
            entry.results,
            namespace[f"{entry.name}_forward"],
            namespace[f"{entry.name}_backward"],
            namespace.get(f"{entry.name}_value_and_grad"),
        )
        for entry in sorted(compiled.entries, key=lambda entry: _line(namespace[f"{entry.name}_forward"]))
    }
    return Module(compiled.text, compiled.ir, compiled.notes, entries, filename, namespace)


def _line(function: Any) -> int:
    line: int = function.__code__.co_firstlineno
    return line


def _binds(statement: ast.stmt, names: Mapping[str, object]) -> bool:
    match statement:
        case ast.Assign(targets=[ast.Name(id=name)]) | ast.AnnAssign(target=ast.Name(id=name)):
            return name in names
    return False


def _register(text: str, stem: str) -> str:
    """Tell linecache the text, so that tracebacks and debuggers show its lines. The same text has one filename."""
    number = 1
    while True:
        filename = f"<flatgrad {stem}_grad{f' {number}' if number > 1 else ''}>"
        known = linecache.cache.get(filename)
        if known is None or (len(known) == 4 and "".join(known[2]) == text):
            # No modification time: linecache.checkcache leaves such an entry alone.
            linecache.cache[filename] = (len(text), None, text.splitlines(keepends=True), filename)
            return filename
        number += 1


def _keep_defaults(function: Any, module: Module) -> None:
    """Default values are those that the function was made with, not what their text gives now."""
    forward: Any = module.forward
    both: tuple[Any, ...] = (forward, module.entry.value_and_grad)
    for generated in both:
        if generated is not None:
            generated.__defaults__ = function.__defaults__
            generated.__kwdefaults__ = function.__kwdefaults__
