"""What a function's text says of the things that it reads: ranks, names of dims, what is an index, a key, a flag.

Nothing is proven here, and nothing rests on it but the arguments that are tried: code that the compiler refuses is read
as well as code that it accepts.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping

from flatgrad.checking.syntax import callee, conditions, in_order, is_text, key_prefix, untransposed, whole_parts
from flatgrad.checking.use import Use

_SIZED = frozenset({"zeros", "ones", "empty", "full", "eye", "identity", "randn", "rand", "reshape", "range", "arange"})
_REPEATED = frozenset({"repeat", "tile", "pad", "roll", "array_split", "split", "expand_dims", "swapaxes"})
_SQUARE = frozenset({"inv", "det", "slogdet", "cholesky", "eigh", "eigvalsh", "solve", "matrix_power"})
_SPREAD = frozenset({"cholesky", "eigh", "eigvalsh"})
_PLAIN = frozenset({"array", "asarray", "atleast_1d", "atleast_2d", "float", "copy"})
_DEEPEST = 4  # calls of helpers that are looked into


def read_uses(
    function: ast.FunctionDef,
    functions: Mapping[str, ast.FunctionDef],
    receiver: str = "",
    methods: Mapping[str, ast.FunctionDef] | None = None,
    depth: int = 0,
) -> dict[str, Use]:
    """How a function uses its parameters, by name, and the attributes of its object, by `self.` and their name.

    Args:
        functions: those that it may call by name.
        receiver: what the function calls its object; empty for no method.
        methods: the methods of its class.
    """
    reader = _Reader(function, functions, receiver, methods or {}, depth)
    reader.read()
    return reader.uses


class _Reader:
    def __init__(
        self,
        function: ast.FunctionDef,
        functions: Mapping[str, ast.FunctionDef],
        receiver: str,
        methods: Mapping[str, ast.FunctionDef],
        depth: int,
    ) -> None:
        self.function = function
        self.functions = functions
        self.receiver = receiver
        self.methods = methods
        self.depth = depth
        arguments = function.args
        names = [one.arg for one in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)]
        self.uses: dict[str, Use] = {name: Use() for name in names if name != receiver}
        self.aliases: dict[str, Use] = dict(self.uses)
        self.mates: list[tuple[Use, Use]] = []

    def read(self) -> None:
        nodes = list(in_order(self.function.body))
        for node in nodes:
            self._alias(node)
        for node in nodes:
            self._fact(node)
        # Stacks of matrices are multiplied with stacks.
        for one, other in self.mates:
            for use, mate in ((one, other), (other, one)):
                if use.rank is None and mate.rank is not None and mate.rank > 2:
                    use.likely = mate.rank

    # Names

    def _resolve(self, node: ast.AST | None) -> Use | None:
        """The thing of outside that an expression is, if it is one."""
        match node:
            case ast.Name(id=name):
                return self.aliases.get(name)
            case ast.Attribute(value=ast.Name(id=name), attr=attribute) if name == self.receiver != "":
                return self.uses.setdefault(f"self.{attribute}", Use()) if attribute not in self.methods else None
            case ast.Subscript(value=value, slice=ast.Constant(value=str() as key)):
                owner = self._resolve(value)
                return None if owner is None else owner.keys.setdefault(key, Use())
            case ast.Subscript(value=value, slice=index) if (prefix := key_prefix(index)) is not None:
                owner = self._resolve(value)
                return None if owner is None else owner.prefixes.setdefault(prefix, Use())
            case ast.Call(func=ast.Attribute(value=value, attr="get" | "setdefault" | "pop"), args=[key, *_]):
                owner = self._resolve(value)
                if owner is None:
                    return None
                if isinstance(key, ast.Constant) and isinstance(key.value, str):
                    if key.value not in owner.keys:
                        owner.optional.add(key.value)
                    return owner.keys.setdefault(key.value, Use())
                prefix = key_prefix(key)
                return owner.prefixes.setdefault(prefix, Use()) if prefix is not None else None
            case ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name), args=[value]) if name in _PLAIN:
                return self._resolve(value)
        return None

    def _alias(self, node: ast.AST) -> None:
        match node:
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                self._bind(name, value)
            case ast.Assign(targets=[ast.Tuple(elts=targets)], value=ast.Tuple(elts=values)) if len(targets) == len(
                values
            ):
                for target, value in zip(targets, values, strict=True):
                    if isinstance(target, ast.Name):
                        self._bind(target.id, value)

    def _bind(self, name: str, value: ast.expr) -> None:
        known = self._resolve(value)
        if known is not None and name not in self.aliases:
            self.aliases[name] = known

    # Facts

    def _fact(self, node: ast.AST) -> None:
        match node:
            case ast.Assign(targets=[ast.Tuple(elts=targets)], value=ast.Attribute(value=value, attr="shape")):
                self._unpacked(targets, value)
            case ast.Assign(targets=[ast.Tuple(elts=targets)], value=value):
                if (use := self._resolve(value)) is not None and not any(isinstance(t, ast.Starred) for t in targets):
                    use.rank = 1 if use.rank is None else use.rank
            case ast.Assign(
                targets=[ast.Name(id=name)],
                value=ast.Subscript(
                    value=ast.Attribute(value=value, attr="shape"), slice=ast.Constant(value=int() as k)
                ),
            ):
                if (use := self._resolve(value)) is not None and k >= 0:
                    use.dims.setdefault(k, name)
            case ast.Assign(targets=[ast.Name(id=name)], value=ast.Call(func=ast.Name(id="len"), args=[value])) if (
                use := self._resolve(value)
            ) is not None and not use.is_dict:
                use.dims.setdefault(0, name)
            case ast.If(test=test) | ast.IfExp(test=test) | ast.While(test=test):
                for part in conditions(test):
                    if (use := self._resolve(part)) is not None:
                        use.flag = True
            case ast.For(iter=source) | ast.comprehension(iter=source):
                self._iterated(source)
        if isinstance(node, ast.Subscript):
            self._subscript(node)
        elif isinstance(node, ast.Attribute):
            self._attribute(node)
        elif isinstance(node, ast.BinOp):
            self._operator(node)
        elif isinstance(node, ast.Compare):
            self._compared(node)
        elif isinstance(node, ast.Call):
            self._call(node)

    def _unpacked(self, targets: list[ast.expr], value: ast.expr) -> None:
        use = self._resolve(value)
        if use is None:
            return
        if any(isinstance(target, ast.Starred) for target in targets):
            use.least = max(use.least, len(targets) - 1)
            return
        use.rank = len(targets)
        for position, target in enumerate(targets):
            if isinstance(target, ast.Name) and target.id.strip("_"):
                use.dims[position] = target.id

    def _iterated(self, source: ast.expr) -> None:
        match source:
            case ast.Call(func=ast.Name(id="zip"), args=args):
                for arg in args:
                    if (use := self._resolve(arg)) is not None:
                        use.sequence, use.least = True, max(use.least, 1)
            case ast.Call(func=ast.Name(id="enumerate" | "reversed"), args=[arg, *_]):
                self._iterated(arg)
            case _:
                if (use := self._resolve(source)) is not None:
                    use.least = max(use.least, 1)

    def _subscript(self, node: ast.Subscript) -> None:
        base = self._resolve(node.value)
        index = node.slice
        items = list(index.elts) if isinstance(index, ast.Tuple) else [index]
        if base is not None and not is_text(index):
            plain = not any(isinstance(i, ast.Constant) and i.value in (None, Ellipsis) for i in items)
            used = sum(not (isinstance(i, ast.Constant) and i.value in (None, Ellipsis)) for i in items)
            if plain or used:
                base.least = max(base.least, used)
        match node.value:
            case ast.Attribute(value=value, attr="shape"):
                use = self._resolve(value)
                if use is not None and isinstance(index, ast.Constant) and isinstance(index.value, int):
                    use.least = max(use.least, index.value + 1 if index.value >= 0 else -index.value)
                return
        for item in items:
            if isinstance(item, ast.Slice):
                for bound in (item.lower, item.upper, item.step):
                    for part in ast.walk(bound) if bound is not None else ():
                        if (use := self._resolve(part)) is not None:
                            use.integer = True
                continue
            if (use := self._resolve(item)) is not None:
                use.label = True
            elif isinstance(item, ast.Subscript) and (use := self._resolve(item.value)) is not None:
                use.label, use.least = True, max(use.least, 1)
            elif isinstance(item, ast.BinOp):
                for part in (item.left, item.right):
                    if (use := self._resolve(part)) is not None:
                        use.integer = True

    def _attribute(self, node: ast.Attribute) -> None:
        use = self._resolve(node.value)
        if use is None:
            return
        if node.attr == "T" and use.likely is None:
            use.likely = 2

    def _operator(self, node: ast.BinOp) -> None:
        left, right = self._resolve(node.left), self._resolve(node.right)
        if isinstance(node.op, ast.FloorDiv | ast.Mod):
            for use in (left, right):
                if use is not None and not use.least:
                    use.integer = True
        elif isinstance(node.op, ast.MatMult):
            for use in (left, right):
                if use is not None:
                    use.least = max(use.least, 1)
                    use.likely = use.likely or 2
            one, other = self._resolve(untransposed(node.left)), self._resolve(untransposed(node.right))
            if one is not None and other is not None:
                self.mates.append((one, other))
        elif isinstance(node.op, ast.Div) and right is not None and _names(node.right, _POSITIVE_NAMES):
            right.positive = True
        elif isinstance(node.op, ast.Mult) and left is not None and isinstance(node.right, ast.Tuple | ast.List):
            left.integer = True

    def _compared(self, node: ast.Compare) -> None:
        if len(node.ops) != 1:
            return
        op, first, second = node.ops[0], node.left, node.comparators[0]
        if isinstance(op, ast.In | ast.NotIn):
            if isinstance(first, ast.Constant) and isinstance(first.value, str):
                owner = self._resolve(second)
                if owner is not None:
                    owner.keys.setdefault(first.value, Use())
                    owner.optional.add(first.value)
            elif (use := self._resolve(first)) is not None and isinstance(second, ast.Tuple | ast.List | ast.Set):
                use.constants += [one.value for one in second.elts if isinstance(one, ast.Constant)]  # type: ignore[misc]
            return
        for one, other in ((first, second), (second, first)):
            use = self._resolve(one)
            if use is None:
                # `np.arange(C) == y[:, None]`: a comparison with all numbers makes labels as well.
                inner = one.value if isinstance(one, ast.Subscript) else None
                use = self._resolve(inner)
                if use is not None and isinstance(op, ast.Eq | ast.NotEq) and not isinstance(other, ast.Constant):
                    use.label, use.least = True, max(use.least, 1)
                continue
            if isinstance(other, ast.Constant) and isinstance(op, ast.Is | ast.IsNot | ast.Eq | ast.NotEq):
                if other.value is None:
                    use.nullable = True
                elif isinstance(other.value, str | bool):
                    use.constants.append(other.value)
            elif isinstance(op, ast.Eq | ast.NotEq) and isinstance(other, ast.Call) and callee(other) == "arange":
                use.label = True

    def _call(self, node: ast.Call) -> None:
        name = callee(node)
        uses = [self._resolve(arg) for arg in node.args]
        own = self._resolve(node.func.value) if isinstance(node.func, ast.Attribute) else None
        if name in _SIZED or name in _REPEATED:
            skip = 1 if name in ("full", "repeat", "tile", "pad", "roll", "split", "array_split") else 0
            parts = node.args[skip:] if name != "full" else node.args[:1]
            if name == "reshape" and own is None and isinstance(node.func, ast.Attribute):
                parts = node.args
            for arg in [*parts, *(keyword.value for keyword in node.keywords if keyword.arg in ("shape", "num"))]:
                for part in whole_parts(arg):
                    use = self._resolve(part)
                    if use is not None and not use.least and use.rank is None:
                        use.integer = True
        if name in ("log", "sqrt", "log2", "log10") and uses and uses[0] is not None:
            uses[0].positive = True
        if name in _SQUARE and uses and uses[0] is not None and isinstance(node.func, ast.Attribute):
            uses[0].square, uses[0].likely = True, 2
            uses[0].spread |= name in _SPREAD
        if name in ("dot", "matmul"):
            for use in (own, *uses):
                if use is not None:
                    use.least, use.likely = max(use.least, 1), use.likely or 2
        if name == "outer":
            for use in uses:
                if use is not None:
                    use.likely = use.likely or 1
        if name == "transpose" and own is not None and len(node.args) > 1:
            own.rank = len(node.args)
        if name == "len" and uses and uses[0] is not None and not uses[0].is_dict:
            uses[0].least = max(uses[0].least, 1)
        if name == "einsum" and node.args and isinstance(node.args[0], ast.Constant):
            operands = str(node.args[0].value).replace(" ", "").split("->")[0].split(",")
            for letters, use in zip(operands, uses[1:], strict=False):
                if use is not None and "." not in letters:
                    use.rank = len(letters)
        self._axis(node, own, uses)
        self._module_function(node, name, uses)
        self._helper(node, name)

    def _axis(self, node: ast.Call, own: Use | None, uses: list[Use | None]) -> None:
        use = own if own is not None else (uses[0] if uses else None)
        for keyword in node.keywords:
            if keyword.arg == "axis" and use is not None and isinstance(keyword.value, ast.Constant | ast.Tuple):
                axes = keyword.value.elts if isinstance(keyword.value, ast.Tuple) else [keyword.value]
                numbers = [one.value for one in axes if isinstance(one, ast.Constant) and isinstance(one.value, int)]
                if numbers and callee(node) not in ("stack", "concatenate", "expand_dims"):
                    use.least = max(use.least, max(numbers) + 1)

    def _module_function(self, node: ast.Call, name: str, uses: list[Use | None]) -> None:
        match node.func:
            case ast.Attribute(value=ast.Name(id="math")):
                for use in uses:
                    if use is not None:
                        use.rank = 0

    def _helper(self, node: ast.Call, name: str) -> None:
        if self.depth >= _DEEPEST:
            return
        match node.func:
            case ast.Name(id=called) if called in self.functions:
                helper, receiver = self.functions[called], ""
            case ast.Attribute(value=ast.Name(id=owner), attr=called) if owner == self.receiver != "" and (
                called in self.methods
            ):
                helper = self.methods[called]
                receiver = helper.args.args[0].arg if helper.args.args else ""
            case _:
                return
        if helper is self.function:
            return
        inner = read_uses(helper, self.functions, receiver, self.methods, self.depth + 1)
        names = [one.arg for one in (*helper.args.posonlyargs, *helper.args.args) if one.arg != receiver]
        given = dict(zip(names, node.args, strict=False))
        given |= {keyword.arg: keyword.value for keyword in node.keywords if keyword.arg}
        for parameter, arg in given.items():
            use = self._resolve(arg)
            if use is not None and parameter in inner:
                use.absorb(inner[parameter])
        for attribute, use in inner.items():
            if attribute.startswith("self."):
                self.uses.setdefault(attribute, Use()).absorb(use)


_POSITIVE_NAMES = re.compile(r"(running_)?(var|variance|std|sigma|scale|tau|temp|temperature|norm)\d?")


def _names(node: ast.expr, pattern: re.Pattern[str]) -> bool:
    name = node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""
    return pattern.fullmatch(name) is not None
