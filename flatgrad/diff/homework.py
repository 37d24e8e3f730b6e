"""What is known of a homework before it is run: where its forward and its backward statements are, and what they name.

Reading gives one `Homework` for each function, pair, class or script of a file that has a backward pass by hand.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field


class Style(enum.Enum):
    """How forward and backward code come."""

    FLAT = "flat"  # one function that returns `loss, grads` or `loss, dW`
    PAIR = "pair"  # `f_forward` and `f_backward(dout, cache)`
    CLASS = "class"  # a class with `forward` (or `__call__`) and `backward`
    SCRIPT = "script"  # statements without a function


@dataclass(frozen=True, slots=True)
class Returned:
    """One gradient that the backward pass returns.

    Attributes:
        variable: what it is the gradient of, as the forward pass names it: a parameter (`x`), an entry of a dict
            parameter (`W1` of `params["W1"]`), an attribute (`W` of `self.W`). Empty where nothing says.
        target: the text of what is returned, where that is a name, an entry or an attribute that the backward pass
            assigns: `dx`, `grads["W1"]`, `self.dW`. Empty for an expression in the return statement.
        place: how to find it in what the backward function returns: () for the value itself, (0,) for the first of a
            tuple, (1, "W1") for an entry of a dict in second place. None for an attribute of the object (`target`
            says which).
    """

    variable: str
    target: str
    place: tuple[int | str, ...] | None


@dataclass(frozen=True, slots=True)
class Homework:
    """Forward and backward code of one function, as it stands in a file.

    Attributes:
        file: the file's name, for reports.
        text: the Python text that is run. Its lines are the file's lines (a notebook: its code cells one below the
            other, magics and shell lines as comments; `places` says where a line comes from).
        style: how forward and backward code come.
        function: what reports call it: `softmax_loss`, `affine` (of `affine_forward`), `Linear`, the file's stem for
            a script.
        forward: qualified name of the function that holds the forward statements: `affine_forward`,
            `Linear.forward`; empty for a script.
        backward: the same for the backward statements; equal to `forward` for FLAT and SCRIPT.
        parameters: the forward function's parameters that are arguments, `self` left out; for a script the names of
            its leaves (`x = 3`, `W = np.random.randn(5, 10)`), whose values the judge replaces.
        attributes: the attributes of `self` that forward reads and does not itself write (`W`, `b`): they are inputs
            too.
        loss: how to find the differentiated results in what forward returns: one place for each result, as in
            `Returned.place`; for a script the name of the last forward value stands in `script_result` and this is ().
        script_result: see `loss`.
        upstream: for each of `loss`, the parameter of the backward function that is its upstream gradient; an empty
            string where there is none (then it is 1: FLAT, SCRIPT, `backward()`).
        cache: the parameter of the backward function that takes what forward caches, or empty; then `cache_place` says
            where it is in forward's result.
        cache_place: see `cache`.
        backward_lines: the lines of the statements that belong to the backward pass, by first line; for FLAT and
            SCRIPT those statements that the loss does not depend on; for the others all of the backward function.
        gradients: the targets that the backward statements assign and that are gradients, by their text (`dx`,
            `grads["W1"]` with the quotes as written, `self.dW`): the variable whose gradient the name says it is,
            empty if it does not say (`delta1`, `dx1` where there is no `x1`, `dtmp`).
        returned: the gradients that the homework returns (or leaves on the object), in order.
        options: other parameters of the backward function, with the forward parameter or attribute of the same name
            that they take their value from.
        places: for a notebook, the cell (from 1) and the line in it (from 1) of each line of `text`; else empty.
        sources: other parameters of the backward function, each with the forward parameter or attribute that it
            takes its value from, where that is called otherwise (`x` for `h_prev_l`).
        constants: other parameters of the backward function that get a fixed number (`learning_rate`).
        passed: other parameters of the backward function that take a part of forward's result, and where that is
            (`AL`).
        inside: where `forward` was put together of the homework's functions (`forward_propagation`, then
            `compute_cost`), their
            qualified names: they hold the forward statements.
    """

    file: str
    text: str
    style: Style
    function: str
    forward: str
    backward: str
    parameters: tuple[str, ...]
    attributes: tuple[str, ...]
    loss: tuple[tuple[int | str, ...], ...]
    script_result: str
    upstream: tuple[str, ...]
    cache: str
    cache_place: tuple[int | str, ...]
    backward_lines: frozenset[int]
    gradients: Mapping[str, str]
    returned: tuple[Returned, ...]
    options: tuple[str, ...]
    places: tuple[tuple[int, int], ...] = ()
    sources: Mapping[str, str] = field(default_factory=dict)
    constants: Mapping[str, float] = field(default_factory=dict)
    passed: Mapping[str, tuple[int | str, ...]] = field(default_factory=dict)
    inside: tuple[str, ...] = ()
