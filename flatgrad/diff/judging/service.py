"""What runs inside the sandbox: an instrumented homework, as often as the judge asks.

Stands alone (the standard library and NumPy), as the sandbox's interpreter sees nothing of the rest. Requests:

    load   a program (a syntax tree as data) and how to call it            -> its number
    run    at given arguments, forward and backward, free or forced        -> results, gradients when first read
    probe  the derivative of the projected result at some sites           -> arrays of the sites' shape
    slopes the same along directions                                      -> numbers
    hold   the same along a direction, while another site is held constant -> numbers

A reply says what the homework has changed in the modules that it shares with this one (`patched`), and nothing else.
"""

from __future__ import annotations

import ast
import builtins
import copy
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from flatgrad.sandbox import guard

# How things are before homework runs.
BEFORE = guard.snapshot()
# What is called while homework runs, bound before: homework may rebind it, and put it back before anyone looks.
_array, _shape, _deepcopy = np.array, np.shape, copy.deepcopy
_number_types = (int, float, np.integer, np.floating)
FILENAME = "<homework>"
# Five-point differences: the error is h**4 of the fifth derivative plus eps / h of rounding.
STEP = 1e-4
# More rounds than that are not told apart.
MOST_ROUNDS = 64
MOST_NUMBERS = 4096
# A list within a list, so deep at most; an array of more numbers is no gradient of a small input.
MOST_DEPTH = 8
MOST_ELEMENTS = 1_000_000
_MOST_NAMES = 100


def tree_of(data: Any) -> Any:
    """The syntax tree that `instrument.as_data` made data of."""
    if not isinstance(data, list):
        return data
    name = data[0]
    if name == "[]":
        return [tree_of(one) for one in data[1]]
    if name == "=":
        return ... if data[1] == "Ellipsis" else ast.literal_eval(data[1])
    node = getattr(ast, name)()
    for field_name, value in data[1].items():
        setattr(node, field_name, tree_of(value))
    return node


def is_a(value: Any, kinds: Any) -> bool:
    """`isinstance`, by the type alone: an object may lie about its class."""
    return issubclass(type(value), kinds)


def numeric(value: Any, depth: int = MOST_DEPTH) -> bool:
    """A number or an array or list of numbers: something that may have a gradient."""
    if is_a(value, (bool, np.bool_)):
        return False
    if is_a(value, _number_types):
        return True
    if is_a(value, np.ndarray):
        return value.dtype.kind in "fiu"
    if is_a(value, list) and value and depth:
        return all(numeric(one, depth - 1) for one in value) and as_array(value) is not None
    return False


def as_array(value: Any) -> np.ndarray | None:
    """A float64 array of what is numeric, a fresh one; None for anything else: ragged lists, complex numbers, dates."""
    try:
        if is_a(value, np.ndarray) and (value.dtype.kind not in "fiubO" or value.size > MOST_ELEMENTS):
            return None
        return _array(value, dtype=np.float64)
    except BaseException:  # what `__array__` raises, sys.exit too
        return None


def moved(value: Any, delta: np.ndarray) -> Any:
    """`value + delta`, as the kind of thing that it was."""
    if isinstance(value, np.ndarray):
        return value + delta
    if isinstance(value, list):
        return (_array(value, dtype=np.float64) + delta).tolist()
    return type(value)(value + float(delta)) if isinstance(value, np.floating) else value + float(delta)


@dataclass(slots=True)
class Instance:
    """A gradient that has been assigned and not been read yet: by which lines, and which lines' values it has lost
    again."""

    lines: list[int]
    anew: list[int]
    crashed: str = ""
    lost: list[int] = field(default_factory=list)


@dataclass(slots=True)
class Recorder:
    """What the instrumented program calls. One for each run."""

    live: bool = True
    # Probing
    probed: frozenset[tuple[int, str]] = frozenset()
    numbers: frozenset[int] = frozenset()
    round: int | None = None
    steps: tuple[np.ndarray, ...] = ()
    delta: np.ndarray | None = None
    # Paths that count as constant: the values of these sites, noted in one run (`keeping`), stand in the others.
    held: dict[tuple[int, str], list[Any]] | None = None
    keeping: bool = False
    # Listing
    listing: dict[tuple[int, str], list[Any]] | None = None
    rounds: dict[tuple[int, str], int] = field(default_factory=dict)
    owners: dict[str, tuple[int, str]] = field(default_factory=dict)
    definitions: dict[int, str] = field(default_factory=dict)
    uses: dict[int, str] = field(default_factory=dict)
    # Judging
    forced: dict[tuple[int, tuple[int, ...], str], list[np.ndarray | None]] = field(default_factory=dict)
    pending: dict[int, Instance] = field(default_factory=dict)
    counts: dict[tuple[int, tuple[int, ...], str], int] = field(default_factory=dict)
    records: list[dict[str, Any]] = field(default_factory=list)
    values: list[np.ndarray | None] = field(default_factory=list)
    leaves: dict[str, Any] = field(default_factory=dict)
    found_leaves: dict[str, Any] = field(default_factory=dict)

    # Forward

    def at(self, site: int, value: Any, key: str = "") -> Any:
        if self.listing is None and site not in self.numbers:
            return value
        place = (site, key)
        if self.held is not None and place in self.held:
            value = self._held(place, value)
        if self.listing is None and place not in self.probed:
            return value
        count = self.rounds.get(place, 0)
        self.rounds[place] = count + 1
        if self.listing is not None:
            self._list(place, value)
        elif self.round is None or count == self.round:
            delta = self.delta
            if self.steps:
                if count >= len(self.steps):
                    return value
                delta = self.steps[count]
            if delta is not None and numeric(value) and _shape(value) == delta.shape:
                return moved(value, delta)
        return value

    def _held(self, place: tuple[int, str], value: Any) -> Any:
        assert self.held is not None
        if self.keeping:
            self.held[place].append(_deepcopy(value))
            return value
        count = self.counts.get((place[0], (), place[1]), 0)
        self.counts[place[0], (), place[1]] = count + 1
        return _deepcopy(self.held[place][count])

    def item(self, site: int, container: Any, index: Any) -> Any:
        value = container[index]
        if isinstance(container, dict):
            return self.at(site, value, index if isinstance(index, str) else "")
        return self.at(site, value)

    def _list(self, place: tuple[int, str], value: Any) -> None:
        assert self.listing is not None
        site, key = place
        if site in self.definitions:
            self.owners[self.definitions[site]] = place
        if numeric(value):
            owner = self.owners.get(key or self.uses.get(site, ""))
            entry = {"shape": list(_shape(value)), "owner": list(owner) if owner is not None else None}
            self.listing.setdefault(place, []).append(entry)

    def leaf(self, name: str, value: Any) -> Any:
        self.found_leaves[name] = value
        return self.leaves.get(name, value)

    # Backward

    def assigned(self, target: int, line: int, anew: bool) -> None:
        instance = self.pending.setdefault(target, Instance([], []))
        if anew:
            lost = [one for one in (*instance.lost, *instance.lines) if one != line]
            instance = self.pending[target] = Instance([], [line], lost=list(dict.fromkeys(lost)))
        if line not in instance.lines:
            instance.lines.append(line)

    def crashed(self, error: Exception, line: int, *targets: int) -> None:
        place = line_of(error) or line
        text = said(error)
        self.records.append({"crash": text, "line": place, "targets": list(targets), "statement": line})
        for target in targets:
            instance = self.pending.setdefault(target, Instance([], []))
            instance.crashed = text
            if line not in instance.lines:
                instance.lines.append(line)

    def seen(self, target: int, thunk: Any, line: int, quiet: bool = False) -> Any:
        """The value of a gradient that is read; `quiet`: None where it has none, instead of an error."""
        instance = self.pending.pop(target, None)
        if instance is None:
            try:
                return thunk()
            except Exception:
                if quiet:
                    return None
                raise
        value, failed = None, instance.crashed
        if not failed:
            try:
                value = thunk()
            except Exception as error:
                failed = said(error)
        return self.judged(target, instance, value, failed, line, quiet=quiet)

    def judged(
        self,
        target: int,
        instance: Instance,
        value: Any,
        failed: str,
        line: int | None,
        entry: str = "",
        quiet: bool = False,
    ) -> Any:
        """Note the value of an instance; gives what takes its place."""
        key = (target, tuple(instance.lines), entry)
        count = self.counts.get(key, 0)
        self.counts[key] = count + 1
        array = None if failed else as_array(value) if numeric(value) or is_a(value, np.ndarray) else None
        if array is None and not failed and (value is None or is_a(value, (dict, str, bool))):
            return value
        record = {
            "target": target,
            "key": entry,
            "lines": list(instance.lines),
            "anew": list(instance.anew),
            "lost": list(instance.lost),
            "round": count,
            "failed": failed if array is not None or failed else f"no numbers: {kind_of(value)}",
            "read": line,
            "kind": kind_of(value),
        }
        self.records.append(record)
        self.values.append(array)
        forced = self.forced.get(key)
        if forced and (truth := forced[min(count, len(forced) - 1)]) is not None:
            if is_a(value, (float, int)) and truth.shape == ():
                return float(truth)
            return truth.tolist() if is_a(value, list) else truth.copy()
        if failed and not quiet:
            raise NameError(f"this gradient has no value: {failed}")
        return value


def kind_of(value: Any) -> str:
    return str(value.dtype) if is_a(value, (np.ndarray, np.generic)) else type(value).__name__


def line_of(error: BaseException) -> int | None:
    """The last line of the homework that the error came through."""
    found, step = None, error.__traceback__
    while step is not None:
        if step.tb_frame.f_code.co_filename == FILENAME:
            found = step.tb_lineno
        step = step.tb_next
    return found


def said(error: BaseException) -> str:
    """Kind and text of an error; its class may be homework's, and raise in turn."""
    kind = type(error).__name__
    try:
        text = "".join(str(error)[:300])
    except BaseException:
        return kind
    return f"{kind}: {text}" if text else kind


@dataclass(slots=True)
class Loaded:
    """A program that has been loaded, and how to call it."""

    code: Any
    plan: dict[str, Any]
    definitions: dict[int, str]
    uses: dict[int, str]
    recorded: bool
    namespace: dict[str, Any] | None = None
    failed: list[Any] = field(default_factory=list)
    """Line and text of what statements of the file's top level raised."""


_PROGRAMS: dict[int, Loaded] = {}


def handle(request: dict[str, Any], arrays: dict[str, np.ndarray]) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Answer a request. What the homework raises is part of the answer."""
    try:
        with np.errstate(all="ignore"):
            reply, found = _OPERATIONS[request["op"]](request, arrays)
    except BaseException as error:
        reply, found = {"error": said(error), "line": line_of(error)}, {}
    if names := guard.patched(BEFORE):
        return {"patched": names[:_MOST_NAMES]}, {}
    return reply, found


def load(request: dict[str, Any], arrays: dict[str, np.ndarray]) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    tree = tree_of(request["tree"])
    plan = request["plan"]
    if plan["style"] == "script":
        code: Any = compile(tree, FILENAME, "exec")
    else:
        # One statement after the other: a file may do more at its top than a function of it needs.
        code = [compile(ast.Module([node], []), FILENAME, "exec") for node in tree.body]
    number = len(_PROGRAMS)
    definitions = {int(index): name for index, name in request["definitions"].items()}
    uses = {int(index): name for index, name in request["uses"].items()}
    _PROGRAMS[number] = Loaded(code, plan, definitions, uses, request["recorded"])
    return {"program": number}, {}


def namespace_of(program: Loaded) -> dict[str, Any]:
    """The names that the file defines. What its top level fails to do shows where it is missed."""
    if program.namespace is None:
        names: dict[str, Any] = {"__name__": "homework", "__builtins__": builtins}
        for code in program.code:
            try:
                exec(code, names)
            except BaseException as error:
                program.failed.append([line_of(error), said(error)])
        program.namespace = names
    return program.namespace


def decoded(value: Any, arrays: dict[str, np.ndarray]) -> Any:
    """An argument from data: `{"array": name}`, `{"dict": [[key, value], …]}`, `{"list": […]}`, `{"tuple": […]}`, or
    itself."""
    if not isinstance(value, dict):
        return value
    ((kind, inside),) = value.items()
    match kind:
        case "array":
            return arrays[inside].copy()
        case "dict":
            return {key: decoded(one, arrays) for key, one in inside}
        case "tuple":
            return tuple(decoded(one, arrays) for one in inside)
        case _:
            return [decoded(one, arrays) for one in inside]


def at_place(value: Any, place: list[Any]) -> Any:
    for key in place:
        value = value[key]
    return value


def look_up(names: dict[str, Any], qualified: str) -> Any:
    found = names[qualified.partition(".")[0]]
    for part in qualified.split(".")[1:]:
        found = getattr(found, part)
    return found


@dataclass(slots=True)
class Called:
    """A forward pass that has been run: its results, and what its backward pass needs."""

    result: Any
    owner: Any = None
    names: dict[str, Any] = field(default_factory=dict)
    arguments: dict[str, Any] = field(default_factory=dict)


def forward(program: Loaded, recorder: Recorder, arguments: dict[str, Any], seed: int) -> Called:
    plan = program.plan
    np.random.seed(seed)
    if plan["style"] == "script":
        recorder.leaves = arguments
        names: dict[str, Any] = {"__name__": "homework", "__builtins__": builtins, "__recorder__": recorder}
        exec(program.code, names)
        return Called(names.get(plan["script_result"]), names=names, arguments=arguments)
    names = namespace_of(program)
    if program.recorded:
        names["__recorder__"] = recorder
    given = {name: value for name, value in arguments.items() if "." not in name}
    owner = None
    if "." in plan["forward"]:
        owner = made_object(names[plan["forward"].partition(".")[0]], arguments, plan["attributes"], seed)
        function = getattr(owner, plan["forward"].rpartition(".")[2])
    else:
        function = look_up(names, plan["forward"])
    np.random.seed(seed)
    return Called(function(**given), owner, names, arguments)


def made_object(made: Any, arguments: dict[str, Any], read: list[str], seed: int) -> Any:
    """An object of a class of the homework: constructed with drawn arguments, then given the drawn attributes.

    An array that the constructor fills with one number, and that forward reads, gets others about it: zeros hide
    mistakes.
    """
    constructor = {
        name.removeprefix("__init__."): value for name, value in arguments.items() if name.startswith("__init__.")
    }
    attributes = {name.removeprefix("self."): value for name, value in arguments.items() if name.startswith("self.")}
    try:
        owner = made(**constructor)
    except Exception:
        owner = made.__new__(made)
    random = np.random.default_rng(seed + 2)
    for name in read:
        value = getattr(owner, name, None)
        if name not in attributes and isinstance(value, np.ndarray) and value.dtype.kind == "f" and value.size:
            if np.ptp(value) == 0:
                setattr(owner, name, value + 0.3 * np.clip(random.standard_normal(value.shape), -2, 2))
    for name, value in attributes.items():
        setattr(owner, name, value)
    return owner


def results_of(program: Loaded, called: Called) -> list[np.ndarray]:
    """The differentiated results.

    Raises:
        TypeError: one of them is no number.
    """
    plan = program.plan
    values = [at_place(called.result, place) for place in plan["loss"]] if plan["loss"] else [called.result]
    found = []
    for value in values:
        array = as_array(value)
        if array is None:
            raise TypeError(f"the forward pass gives no numbers, but {type(value).__name__}")
        found.append(array)
    return found


def backward(program: Loaded, called: Called, recorder: Recorder, upstream: list[np.ndarray]) -> Any:
    """What the backward pass returns; for a flat function that is in forward's result."""
    plan = program.plan
    if plan["style"] in ("flat", "script"):
        return called.result
    given: dict[str, Any] = {}
    for name, gradient in zip(plan["upstream"], upstream, strict=True):
        if name:
            given[name] = gradient if gradient.shape else float(gradient)
    if plan["cache"]:
        given[plan["cache"]] = at_place(called.result, plan["cache_place"])
    given |= plan["constants"]
    given |= {name: at_place(called.result, place) for name, place in plan["passed"].items()}
    for name, source in [*((one, one) for one in plan["options"]), *plan["sources"].items()]:
        if source in called.arguments:
            given[name] = called.arguments[source]
        elif called.owner is not None and hasattr(called.owner, source):
            given[name] = getattr(called.owner, source)
        elif f"self.{source}" in called.arguments:
            given[name] = called.arguments[f"self.{source}"]
    if called.owner is not None:
        function = getattr(called.owner, plan["backward"].rpartition(".")[2])
    else:
        function = look_up(called.names, plan["backward"])
    return function(**given)


def run(request: dict[str, Any], arrays: dict[str, np.ndarray]) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Forward and backward at given arguments.

    `forced`: `[target, lines, key, [array name or None for each round]]` for each gradient whose truth takes the
    place of its value.
    """
    program = _PROGRAMS[request["program"]]
    forced = {
        (target, tuple(lines), key): [None if name is None else arrays[name] for name in names]
        for target, lines, key, names in request["forced"]
    }
    recorder = Recorder(forced=forced, live=not request["forward_only"])
    if request["listing"]:
        recorder.listing = {}
        recorder.definitions, recorder.uses = program.definitions, program.uses
    arguments = decoded(request["arguments"], arrays)
    before = snapshot(arguments)
    reply: dict[str, Any] = {"crash": "", "line": None, "stage": ""}
    found: dict[str, np.ndarray] = {}
    upstream: list[np.ndarray] = []
    try:
        called = forward(program, recorder, arguments, request["seed"])
        results = results_of(program, called)
    except BaseException as error:
        reply.update(crash=said(error), line=line_of(error), stage="forward", failed=program.failed)
        return reply, found
    found |= {f"result{index}": value for index, value in enumerate(results)}
    given = upstream_of(program, called, results, request["seed"])
    found |= {f"upstream{index}": value for index, value in enumerate(given)}
    if not request["forward_only"]:
        upstream = [value.copy() for value in given]
        changed_forward = changed(before, arguments)
        gradients: Any = None
        try:
            gradients = backward(program, called, recorder, upstream)
        except BaseException as error:
            reply.update(crash=said(error), line=line_of(error), stage="backward")
        returned_values(program, called, recorder, gradients)
        reply["overwritten"] = [
            name
            for name, was, now in zip(program.plan["upstream"], given, upstream, strict=True)
            if name and not same(was, now)
        ]
        reply["changed"] = sorted(set(changed(before, arguments)) - set(changed_forward))
    found |= {f"value{index}": value for index, value in enumerate(recorder.values) if value is not None}
    reply["records"] = recorder.records
    reply["results"] = len(results)
    reply["leaves"] = sorted(recorder.found_leaves)
    for name, value in recorder.found_leaves.items():
        if numeric(value):
            found[f"leaf {name}"] = np.array(value)
    if recorder.listing is not None:
        reply["sites"] = [[site, key, entries] for (site, key), entries in recorder.listing.items()]
    return reply, found


def upstream_of(program: Loaded, called: Called, results: list[np.ndarray], seed: int) -> list[np.ndarray]:
    """An upstream gradient for each result, float64: 1 where the backward pass takes none, what a script makes up,
    else random."""
    random = np.random.default_rng(seed + 1)
    names = program.plan["upstream"] or [""] * len(results)
    found = []
    for name, result in zip(names, results, strict=True):
        drawn = random.standard_normal(result.shape)
        if name and program.plan["style"] == "script":
            own = as_array(called.names.get(name))
            drawn = own if own is not None and own.shape == result.shape else np.ones(result.shape)
        found.append(drawn if name else np.ones(result.shape))
    return found


def returned_values(program: Loaded, called: Called, recorder: Recorder, gradients: Any) -> None:
    """Judge what is returned, or left on the object, and has not been read before."""
    for index, one in enumerate(program.plan["returned"]):
        target, place = one["target"], one["place"]
        pending = recorder.pending.pop(target, None) if target is not None else None
        if pending is None and any(record.get("target") == target for record in recorder.records):
            continue
        number = -1 - index if target is None else target
        instance = pending or Instance([one["line"]], [])
        if instance.crashed:
            recorder.judged(number, instance, None, instance.crashed, None, quiet=True)
            continue
        try:
            if place is not None:
                value = at_place(gradients, place)
            else:
                value = eval(one["text"], {"self": called.owner, **called.names})
        except Exception as error:
            recorder.records.append({"absent": index, "why": said(error)})
            continue
        if value is None or is_a(value, (str, bool)):
            recorder.records.append({"absent": index, "why": "None" if value is None else kind_of(value)})
        entries = value.items() if isinstance(value, dict) else [("", value)]
        for key, entry in entries:
            recorder.judged(number, instance, entry, "", None, str(key), quiet=True)


def snapshot(arguments: Any) -> Any:
    return copy.deepcopy(arguments)


def changed(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    """The arguments whose arrays are not what they were."""
    return [name for name in before if name in after and not same(before[name], after[name])]


def same(one: Any, other: Any) -> bool:
    if isinstance(one, np.ndarray):
        return isinstance(other, np.ndarray) and one.shape == other.shape and np.array_equal(one, other, equal_nan=True)
    if isinstance(one, dict) and isinstance(other, dict):
        return all(key in other and same(value, other[key]) for key, value in one.items())
    return True


def probe(request: dict[str, Any], arrays: dict[str, np.ndarray]) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """The derivative of `sum_k <result_k, upstream_k>` at sites that move together, by five-point differences.

    `rounds`: each alone (an index), or all together (None). `elements`: first and last plus one of those that are
    measured, in C
    order. The reply has, for each round, the five-point estimates and the three-point ones: near a kink they differ.
    """
    program = _PROGRAMS[request["program"]]
    places = frozenset((site, key) for site, key in request["sites"])
    numbers = frozenset(site for site, _ in places)
    shape = tuple(request["shape"])
    first, last = request["elements"]
    found: dict[str, np.ndarray] = {}

    def projected(delta: np.ndarray, round: int | None) -> float:
        recorder = Recorder(live=False, probed=places, numbers=numbers, round=round, delta=delta)
        return projection(program, recorder, request, arrays)

    for number, round in enumerate(request["rounds"]):
        fine, coarse = np.zeros(last - first), np.zeros(last - first)
        for index in range(first, last):
            values = []
            for factor in (-2.0, -1.0, 1.0, 2.0):
                delta = np.zeros(shape)
                delta.reshape(-1)[index] = factor * STEP
                values.append(projected(delta, round))
            fine[index - first] = (values[0] - 8 * values[1] + 8 * values[2] - values[3]) / (12 * STEP)
            coarse[index - first] = (values[2] - values[1]) / (2 * STEP)
        found[f"fine{number}"], found[f"coarse{number}"] = fine, coarse
    return {}, found


def slopes(request: dict[str, Any], arrays: dict[str, np.ndarray]) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """The derivative along directions: `direction0.1` is an array of the sites' shape, for round 1 if `each` has its
    own."""
    program = _PROGRAMS[request["program"]]
    places = frozenset((site, key) for site, key in request["sites"])
    numbers = frozenset(site for site, _ in places)
    found = []
    for number in range(request["directions"]):
        values = []
        for factor in (-2.0, -1.0, 1.0, 2.0):
            steps = tuple(arrays[f"direction{number}.{round}"] * (factor * STEP) for round in range(request["rounds"]))
            recorder = Recorder(live=False, probed=places, numbers=numbers)
            if request["each"]:
                recorder.steps = steps
            else:
                recorder.delta = steps[0]
            values.append(projection(program, recorder, request, arrays))
        fine = (values[0] - 8 * values[1] + 8 * values[2] - values[3]) / (12 * STEP)
        found.append([fine, (values[2] - values[1]) / (2 * STEP)])
    return {}, {"slopes": np.array(found)}


def projection(program: Loaded, recorder: Recorder, request: dict[str, Any], arrays: dict[str, np.ndarray]) -> float:
    """`sum_k <result_k, upstream_k>` of a forward pass."""
    called = forward(program, recorder, decoded(request["arguments"], arrays), request["seed"])
    results = results_of(program, called)
    return sum(float(np.sum(one * arrays[f"upstream{index}"])) for index, one in enumerate(results))


def hold(request: dict[str, Any], arrays: dict[str, np.ndarray]) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """The derivative at sites along given directions, while the values of other sites are held, for each of `held` in
    turn.

    The reply's `values`: for each of `held` a list, for each round of the sites (as in `probe`) one with a number for
    each
    direction; None where the forward pass cannot be run so.
    """
    program = _PROGRAMS[request["program"]]
    places = frozenset((site, key) for site, key in request["sites"])
    upstream = [arrays[f"upstream{index}"] for index in range(request["results"])]
    directions = [arrays[f"direction{index}"] for index in range(request["directions"])]

    def projected(recorder: Recorder) -> float:
        called = forward(program, recorder, decoded(request["arguments"], arrays), request["seed"])
        results = results_of(program, called)
        return sum(float(np.sum(one * two)) for one, two in zip(results, upstream, strict=True))

    def moving(delta: np.ndarray, round: int | None, held: dict[tuple[int, str], list[Any]]) -> Recorder:
        numbers = frozenset(site for site, _ in (*places, *held))
        return Recorder(live=False, probed=places, numbers=numbers, round=round, delta=delta, held=held)

    def along(direction: np.ndarray, round: int | None, held: dict[tuple[int, str], list[Any]]) -> float:
        values = [projected(moving(factor * STEP * direction, round, held)) for factor in (-2.0, -1.0, 1.0, 2.0)]
        return (values[0] - 8 * values[1] + 8 * values[2] - values[3]) / (12 * STEP)

    found: list[Any] = []
    for together in request["held"]:
        held: dict[tuple[int, str], list[Any]] = {(site, key): [] for site, key in together}
        try:
            numbers = frozenset(site for site, _ in held)
            projected(Recorder(live=False, numbers=numbers, held=held, keeping=True))
            found.append([[along(one, round, held) for one in directions] for round in request["rounds"]])
        except Exception:
            found.append(None)
    return {"values": found}, {}


def attempts(request: dict[str, Any], arrays: dict[str, np.ndarray]) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Several forced runs of a program that holds many mutations, one for each of `choices`: the values of one
    gradient.

    `choice` is the key under which a run is told its choice, `wanted` the gradient's target and entry. The reply's
    `records`: for each
    choice a list of lines, a list for each value; the values are the arrays `choice.place`.
    """
    told: list[Any] = []
    found: dict[str, np.ndarray] = {}
    target, lines, key = request["choice"]
    for choice in request["choices"]:
        arrays["choice"] = np.array(float(choice))
        one = {**request, "forced": [*request["forced"], [target, lines, key, ["choice"]]]}
        reply, values = run(one, arrays)
        made = [record for record in reply.get("records", ()) if "round" in record]
        mine: list[Any] = []
        for index, record in enumerate(made):
            if [record["target"], record["key"]] == request["wanted"]:
                if f"value{index}" in values:
                    found[f"{choice}.{len(mine)}"] = values[f"value{index}"]
                mine.append(record["lines"])
        told.append(mine)
    return {"records": told}, found


_OPERATIONS = {"load": load, "run": run, "probe": probe, "slopes": slopes, "hold": hold, "attempts": attempts}
