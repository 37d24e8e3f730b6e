"""Reads and writes of parts of arrays, reversed."""

from __future__ import annotations

from flatgrad.analysis import is_whole, layer_gradients
from flatgrad.differentiate.contributions import Contributions, bare, gradient_name, gradient_type, type_of
from flatgrad.differentiate.rules import build_rule, refusal
from flatgrad.differentiate.unbroadcast import summed_to
from flatgrad.facts.indexing import Style, index_style, tells_apart
from flatgrad.gates.entry import TABLE
from flatgrad.ir.core import ZERO, Attribute, DType, Kind, Literal, Loop, Operand, Relation, Slice, Type, Value
from flatgrad.ir.lists import joined_axis

# Augmented writes whose reverse is a write of the same kind, or none.
CHANGES = frozenset({"add", "subtract", "multiply", "divide"})


class AccessWalk(Contributions):
    """Reads scatter into the gradient of the array, writes read from it."""

    def reverse_read(self, step: Relation) -> None:
        (source,) = step.args
        if not isinstance(source, Value) or source not in self.active:
            return
        source = self.same.get(source, source)
        index = step.attrs["index"]
        assert isinstance(index, tuple)
        gradient = self.adjoint(step.out)
        style = index_style(index, type_of, self.counts_up)
        if style is Style.NEW_AXES:
            self.contribute(source, self.build.add("read", gradient, attrs={"index": _without_new_axes(index)}))
        else:
            if source.type.shape.is_scalar:
                raise refusal("an element of a number has no gradient here", step, "write it without the index")
            name = gradient_name(source)
            base = self.scope.provided(source)
            if base is None:
                base = self.build.value("zeros_for", source, gradient, name=name)
            gradient = bare(self.build, gradient)
            mode = "add_at" if style is Style.REPEATING else "add"
            self.adjoints[source] = self.build.value(
                "scatter", base, gradient, attrs={"index": index, "mode": mode}, name=name
            )
        self.visited(source)

    def reverse_write(self, step: Relation) -> None:
        base, value = step.args
        index = step.attrs["index"]
        assert isinstance(index, tuple)
        gradient = self.adjoint(step.out)
        if not isinstance(gradient, Value):
            raise refusal("a gradient that is a constant is written to", step)
        carries = isinstance(value, Value) and (value in self.active or self._is_change(value))
        # `np.add.at` itself refuses to cut down what is added.
        carries = carries and step.attrs.get("mode") not in ("add", "subtract")
        if (
            carries
            and not step.attrs.get("collects")
            and isinstance(base, Value)
            and base.type.dtype is not DType.FLOAT
            and step.stage is not None
        ):
            self.floating[step.stage] = self._written_array(base)
        if "mode" in step.attrs:
            self._reverse_written(step, str(step.attrs["mode"]), index, gradient)
            return
        if isinstance(value, Value) and isinstance(base, Value) and self._reverse_change(step, base, value, gradient):
            return
        whole = is_whole(index)
        part: Operand | None = None
        if isinstance(value, Value) and value in self.active:
            if index_style(index, type_of, self.counts_up) is Style.REPEATING:
                raise refusal(
                    "an element may be written to more than once here",
                    step,
                    "the last one wins, and which that is is not known: write slices, or labels beside np.arange(N)",
                )
            part = self.build.add("read", gradient, attrs={"index": index})
            part = self._fitted(part, value)
        if part is not None and isinstance(value, Value):
            self.contribute(value, part)
        if isinstance(base, Value) and base in self.active and not whole:
            cleared = gradient
            if not self._written_once(step, base):
                name = gradient_name(base)
                cleared = self.build.value(
                    "write", self._writable(gradient, base), ZERO, attrs={"index": index}, name=name
                )
            if self.scope.provided(base) is not None:
                self.contribute(base, cleared)
            else:
                self.adjoints[base] = cleared
        if isinstance(base, Value) and base in self.active:
            self.visited(base)
        if isinstance(value, Value) and value in self.active:
            self.visited(value)

    def _written_array(self, base: Value) -> Value:
        """The array that has a name: `x.T[0] = v` writes into x."""
        made = None if base.name else self.producers.get(base)
        whole = made.args[0] if isinstance(made, Relation) and made.gate == "transpose" else None
        return whole if isinstance(whole, Value) else base

    def reverse_layer(self, step: Relation) -> None:
        """`x = layer.forward(x)`: a call of the layer's own backward pass, even where nobody asks for that of x."""
        layer, *operands = step.args
        gives = layer_gradients(step)
        for position, operand in enumerate(operands):
            if isinstance(operand, Value) and operand in self.varied and position not in gives:
                name = operand.name or "this argument"
                raise refusal(
                    f"{name} carries a gradient, and the backward pass of {step.attrs['text']} gives none for it",
                    step,
                    "let it return one, named after the parameter, or leave the argument out with --wrt",
                )
        upstream = step.attrs.get("upstream", (0,))
        assert isinstance(upstream, tuple)
        taken = [self._for_layer(step, step.outs[k]) for k in upstream if isinstance(k, int)]
        outs = tuple(self._from_layer(operands, position, gives) for position in gives) or (
            Value("", gradient_type(self.build.type(step.outs[0]))),
        )
        # The gradients that flatgrad's own pass gives are nobody else's.
        attrs: dict[str, Attribute] = {"fresh": (True,) * len(outs)} if step.attrs.get("fresh") else {}
        relation = Relation(outs, "layer_backward", (layer, *taken), attrs, step.stage)
        self.build.body.append(relation)
        visited: list[Value] = []
        for position, out in zip(gives, outs, strict=False):
            self.build.definitions[out] = relation
            given = operands[position] if position >= 0 else None
            if isinstance(given, Value) and given in self.active:
                gradient: Operand = out
                if step.attrs.get("local"):
                    gradient = self.build.add("multiply", self.adjoint(step.out), out)
                self.contribute(given, gradient)
                if given not in visited:
                    visited.append(given)
        for value in visited:
            self.visited(value)

    def _from_layer(self, operands: list[Operand], position: int, gives: tuple[int, ...]) -> Value:
        """What stands for one of the gradients that a layer gives."""
        operand = operands[position] if position >= 0 else None
        if not isinstance(operand, Value):
            return Value("", Type.open("layer"))
        alone = len(gives) == 1 or not operand.name or operand in self.adjoints or self.scope.counter
        name = "" if alone or operand not in self.active else gradient_name(operand)
        return Value(name, gradient_type(self.build.type(operand)))

    def _for_layer(self, step: Relation, out: Value) -> Operand:
        """The gradient of a result as the backward pass of a layer takes it: None for zero only where flatgrad wrote
        it."""
        if out in self.adjoints:
            gradient = self.adjoint(out)
            return self.build.add("copy", gradient) if step.attrs.get("changes") else gradient
        return self.build.value("zeros_for", out) if step.attrs.get("own") else Literal(None, "None")

    # Lists that loops fill

    def reverse_collection(self, step: Relation) -> None:
        """The elements that a list begins with."""
        gradient = self.adjoint(step.out)
        for position, arg in enumerate(step.args):
            if isinstance(arg, Value) and arg in self.active:
                self.contribute(arg, self.build.add("read", gradient, attrs={"index": (position,)}))
                self.visited(arg)

    def reverse_stacked(self, step: Relation) -> None:
        """The gradient of a list is an array whose first axis runs over the elements."""
        source, gradient = step.args[0], self.adjoint(step.out)
        if not isinstance(source, Value) or source not in self.active:
            return
        way = joined_axis(step, source.type.shape.rank)
        if way is None:
            raise refusal(
                "how many dimensions the elements of this list have is not known", step, "use np.array or np.stack"
            )
        axis, is_new = way
        if not is_new:
            rank = source.type.shape.rank
            assert rank is not None
            dims = ["n", "-1"]
            dims = [*(f"np.shape(dz)[{k}]" for k in range(axis)), *dims]
            dims += [f"np.shape(dz)[{k}]" for k in range(axis + 1, rank - 1)]
            spelling = f"np.reshape(dz, ({', '.join(dims)}))"
            count = self.build.add("dim", source, attrs={"axis": 0, "rank": None, "list": True})
            gradient = build_rule(self.build, spelling, {"dz": gradient, "n": count})
        if axis:
            gradient = self.build.add("moveaxis", gradient, attrs={"source": axis, "destination": 0})
        self.contribute(source, gradient)
        self.visited(source)

    # Dicts

    def reverse_item(self, step: Relation) -> None:
        """An entry: where every key is a constant, the gradients are put together at the end; else they add up."""
        source = step.args[0]
        if not isinstance(source, Value) or source not in self.active or source not in self.added_up:
            return
        base = self.scope.provided(source)
        if base is None:
            base = self.zeros_for(source, name=gradient_name(source))
        keys = step.args[1:] or (Literal(step.attrs["key"], repr(step.attrs["key"])),)  # type: ignore[arg-type]
        gradient = bare(self.build, self.adjoint(step.out))
        self.adjoints[source] = self.build.value("item_add", base, gradient, *keys, name=gradient_name(source))
        self.visited(source)

    def reverse_dict(self, step: Relation) -> None:
        """A dict that a function was given: its gradient is a dict of the entries that carry one."""
        gradient, keys = self.adjoint(step.out), step.attrs["keys"]
        assert isinstance(keys, tuple)
        for key, arg in zip(keys, step.args, strict=True):
            if isinstance(arg, Value) and arg in self.active:
                self.contribute(arg, self.build.add("entry", gradient, attrs={"key": key}))
                self.visited(arg)

    def reverse_summed(self, step: Relation) -> None:
        """`unbroadcast(g, x)`: what was summed is spread again."""
        source = step.args[0]
        if isinstance(source, Value) and source in self.active:
            self.contribute(source, self.build.add("spread", self.adjoint(step.out), source))
            self.visited(source)

    def reverse_added(self, step: Relation) -> None:
        """`dparams[key] += dW`: the gradient of the entry goes on to both."""
        base, change, key = step.args
        gradient = self.adjoint(step.out)
        if isinstance(change, Value) and change in self.active:
            part = self.build.add("entry", gradient, key, attrs={"element": True})
            self.contribute(change, summed_to(self.build, part, change))
        if isinstance(base, Value) and base in self.active:
            self.adjoints[base] = gradient
            self.visited(base)
        if isinstance(change, Value) and change in self.active:
            self.visited(change)

    def reverse_put(self, step: Relation) -> None:
        """`margins[i, j] = margin`: no entry is stored twice, so what its gradient holds is not read again."""
        base, value, key = step.args
        gradient = self.adjoint(step.out)
        if isinstance(value, Value) and value in self.active:
            part = self.build.add("entry", gradient, key, attrs={"element": True})
            self.contribute(value, part)
        if isinstance(base, Value) and base in self.active:
            self.adjoints[base] = gradient
            self.visited(base)
        if isinstance(value, Value) and value in self.active:
            self.visited(value)

    def dict_gradient(self, param: Value) -> Value:
        """A dict with a gradient for each entry that forward reads."""
        gradient = self.adjoints.get(param)
        if isinstance(gradient, Value) and param in self.added_up:
            return gradient
        keys: list[Attribute] = []
        parts: list[Operand] = []
        for step in self.function.body:
            if not isinstance(step, Relation) or step.gate != "entry" or step.args[0] is not param:
                continue
            if step.out in self.active:
                keys.append(step.attrs["key"])
                found = self.adjoints.get(step.out)
                parts.append(
                    self.dict_gradient(step.out) if step.out.type.kind is Kind.DICT else found or self.adjoint(step.out)
                )
        if isinstance(gradient, Value):
            # What another function gives for the entries that it reads, and the others.
            if not keys:
                return gradient
            attrs: dict[str, Attribute] = {"keys": tuple(keys), "base": True}
            return self.build.value("dict_of", gradient, *parts, attrs=attrs, name=gradient_name(param))
        return self.build.value("dict_of", *parts, attrs={"keys": tuple(keys)}, name=gradient_name(param))

    def _reverse_written(self, step: Relation, mode: str, index: tuple[Attribute, ...], gradient: Value) -> None:
        """`np.add.at(x, i, v)`: the gradient of x stays, that of v is read from it, at every place where v was added.
        `np.fill_diagonal(x, v)`: the gradient of v is on the diagonal, and x had none there."""
        base, value = step.args
        if isinstance(value, Value) and value in self.active:
            if mode == "diagonal":
                part = self._of_diagonal(step, base, value, gradient)
            else:
                part = self._fitted(self.build.add("read", gradient, attrs={"index": index}), value)
                part = self.build.add("negative", part) if mode == "subtract" else part
            self.contribute(value, part)
        if isinstance(base, Value) and base in self.active:
            if mode == "diagonal":
                attrs: dict[str, Attribute] = {"index": (), "mode": mode}
                name = gradient_name(base)
                gradient = self.build.value("write", self._writable(gradient, base), ZERO, attrs=attrs, name=name)
            if self.scope.provided(base) is not None:
                self.contribute(base, gradient)
            else:
                self.adjoints[base] = gradient
            self.visited(base)
        if isinstance(value, Value) and value in self.active:
            self.visited(value)

    def _of_diagonal(self, step: Relation, base: Operand, value: Value, gradient: Value) -> Operand:
        dims = self.build.type(base).shape.dims
        if dims is None or len(dims) != 2:
            raise refusal("the rank of what is written to is not known here", step, "say its shape")
        if value.type.shape.is_scalar:
            return self.build.add("trace", gradient, attrs=dict(TABLE["trace"].attributes))
        if value.type.shape.dims != dims[:1] or dims[0] != dims[1]:
            # NumPy repeats or cuts what does not fit.
            raise refusal(
                "whether this fits the diagonal is not known", step, "say the shapes, of a square matrix and a vector"
            )
        return self.build.add("diagonal", gradient, attrs=dict(TABLE["diagonal"].attributes))

    def _writable(self, gradient: Value, base: Value) -> Value:
        """A gradient that can be written to: one number spread over a shape is made an array first."""
        definition = self.build.definitions.get(gradient)
        if definition is not None and definition.gate == "spread":
            return self.build.value("let", gradient, name=gradient_name(base))
        return gradient

    def _written_once(self, step: Relation, base: Value) -> bool:
        """Whether every element is written at most once, in a loop over zeros that nobody else writes to.

        Then what the gradient holds at an element is read when its write is reversed, and never after: before the
        write there was nothing that a gradient could go to.
        """
        index = step.attrs["index"]
        assert isinstance(index, tuple)
        if step.attrs.get("collects"):
            return True
        loops: list[Loop] = []
        value, written = base, step.out
        while True:
            found = next(((loop, k) for loop in self.loops for k, p in enumerate(loop.carried) if p is value), None)
            if found is None:
                break
            loop, position = found
            if loop.handed[position] is not written:
                return False
            writes = [s for s in loop.body.body if value in s.operands() and s is not step and s not in loops]
            if any(isinstance(s, Relation) and s.gate == "write" for s in writes):
                return False
            loops.append(loop)
            value, written = loop.inits[position], loop.outs[position]
        return bool(loops) and value not in self.varied and all(self._tells_rounds_apart(loop, index) for loop in loops)

    def _tells_rounds_apart(self, loop: Loop, index: tuple[Attribute, ...]) -> bool:
        """Whether an index is another one in every round: it has the counter of the rounds as an item."""
        if any(item is None or item is Ellipsis or isinstance(item, tuple) for item in index):
            alone = index.count(loop.index) == 1 and Ellipsis not in index and None not in index
            return alone and tells_apart(loop)
        return loop.index in index and bool(loop.bounds) and tells_apart(loop)

    def _is_change(self, value: Value) -> bool:
        """Whether a value is what `x[i] *= v` makes of an element."""
        change = self.producers.get(value)
        return isinstance(change, Relation) and change.span is None and change.gate in CHANGES

    def _reverse_change(self, step: Relation, base: Value, value: Value, gradient: Value) -> bool:
        """`x[i] += v` and its kind: the gradient of x is changed in the same place, that of v read from it."""
        change = self.producers.get(value)
        if not isinstance(change, Relation) or change.span is not None or change.gate not in CHANGES:
            return False
        read = self.producers.get(change.args[0]) if isinstance(change.args[0], Value) else None
        index = step.attrs["index"]
        if (
            not isinstance(read, Relation)
            or read.gate != "read"
            or read.args[0] is not base
            or read.attrs["index"] != index
        ):
            return False
        assert isinstance(index, tuple)
        if index_style(index, type_of, self.counts_up) is Style.REPEATING:
            return False
        other = change.args[1]
        if isinstance(other, Value) and other in self.active:
            self.adjoints[value] = self.build.add("read", gradient, attrs={"index": index})
            contribution = self.rule(change, "y")
            if contribution is not None:
                self.contribute(other, summed_to(self.build, contribution, other))
        self.done |= {change, read}
        name = gradient_name(base)
        changed = gradient
        if base in self.active:
            if change.gate in ("multiply", "divide"):
                attrs: dict[str, Attribute] = {"index": index, "mode": change.gate}
                changed = self.build.value("scatter", gradient, other, attrs=attrs, name=name)
            if self.scope.provided(base) is not None:
                self.contribute(base, changed)
            else:
                self.adjoints[base] = changed
        if isinstance(other, Value) and other in self.active:
            self.visited(other)
        return True

    def _fitted(self, part: Operand, value: Value) -> Operand:
        """The gradient of what was written, in its own shape: leading dims of size 1 fall away when it is written."""
        rank, own = self.build.type(part).shape.rank, value.type.shape.rank
        if rank is not None and own is not None and own > rank:
            return self.build.add("unbroadcast", part, value)
        return summed_to(self.build, part, value)

    def counts_up(self, value: Value) -> bool:
        """Whether an index array holds distinct integers in one row: `np.arange(N)`, `[0, 2]`."""
        step = self.producers.get(value)
        while isinstance(step, Relation) and step.gate == "alias" and isinstance(step.args[0], Value):
            step = self.producers.get(step.args[0])
        if not isinstance(step, Relation) or step.out in self.lowered.overwritten:
            return False
        if step.gate == "array_of":
            numbers = [arg.value for arg in step.args if isinstance(arg, Literal)]
            plain = all(isinstance(n, int) and not isinstance(n, bool) and n >= 0 for n in numbers)
            return plain and len(numbers) == len(step.args) == len(set(numbers))
        return step.gate == "arange"


def _without_new_axes(index: tuple[Attribute, ...]) -> tuple[Attribute, ...]:
    """The index that takes new axes away again: `x[:, None]` is undone by `dz[:, 0]`."""
    items: list[Attribute] = [0 if item is None else item for item in index]
    while items and items[-1] == Slice():
        items.pop()
    return tuple(items)
