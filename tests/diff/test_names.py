"""What names of gradients say."""

from __future__ import annotations

import pytest

from flatgrad.diff.reading.names import (
    Kind,
    Variables,
    is_container,
    read_key,
    read_name,
    resembling,
    without_gradients,
)

FORWARD = Variables(("x", "W1", "b1", "scores", "prev_h", "next_h", "gamma", "z1", "mu", "f", "q", "A", "hs"))


@pytest.mark.parametrize(
    ("name", "variable"),
    [
        ("dx", "x"),
        ("dX", "x"),
        ("dW1", "W1"),
        ("d_x", "x"),
        ("dscores", "scores"),
        ("dLdx", "x"),
        ("dL_dx", "x"),
        ("dL_dW1", "W1"),
        ("dJ_db1", "b1"),
        ("dloss_dW1", "W1"),
        ("dldx", "x"),
        ("grad_x", "x"),
        ("grad_W1", "W1"),
        ("gradW1", "W1"),
        ("gradGamma", "gamma"),
        ("x_grad", "x"),
        ("W1_grad", "W1"),
        ("W1_gradient", "W1"),
        ("dW_1", "W1"),
        ("dz__1", "z1"),
        ("dgamma", "gamma"),
        ("dprev_h", "prev_h"),
        ("dh_prev", "prev_h"),
        ("dprevh", "prev_h"),
        ("dnext_h", "next_h"),
        ("_dx", "x"),
        ("delta_x", "x"),
    ],
)
def test_the_variable_that_a_name_says(name: str, variable: str) -> None:
    named = read_name(name, FORWARD)
    assert (named.kind, named.variable) == (Kind.GRADIENT, variable)


@pytest.mark.parametrize("name", ["dx1", "dmu2", "delta1", "delta", "grad", "x_delta", "dh", "dout", "grad_tmp"])
def test_a_gradient_whose_variable_no_one_says(name: str) -> None:
    named = read_name(name, FORWARD)
    assert (named.kind, named.variable) == (Kind.GRADIENT, "")


@pytest.mark.parametrize("name", ["dtmp", "dthing", "d_other", "dpre"])
def test_a_name_that_may_be_a_gradient(name: str) -> None:
    assert read_name(name, FORWARD).kind is Kind.POSSIBLE


@pytest.mark.parametrize(
    "name",
    [
        *("dtype", "dim", "dims", "data", "d", "D", "diff", "dist", "dists", "dropout_param", "decay", "den", "denom"),
        *("mask", "x", "scores", "N", "dict", "dot", "direction", "degree", "dilation"),
    ],
)
def test_no_gradient(name: str) -> None:
    assert read_name(name, FORWARD).kind is Kind.NONE


def test_a_name_of_the_forward_pass_is_no_gradient() -> None:
    assert read_name("delta", Variables(("delta", "x"))).kind is Kind.NONE
    assert read_name("dot", Variables(("dot",))).kind is Kind.NONE
    assert read_name("ddot", Variables(("dot",))).variable == "dot"


def test_the_derivative_of_one_intermediate_by_another() -> None:
    known = Variables(("x", "q", "f"), ("f",))
    assert read_name("dqdx", known).kind is Kind.LOCAL
    assert read_name("dq_dx", known).kind is Kind.LOCAL
    assert read_name("dfdx", known).variable == "x"
    assert read_name("df_dq", known).variable == "q"


def test_by_the_result_is_local_where_its_gradient_is_handed_in() -> None:
    assert read_name("dAdZ", Variables(("Z", "A"), ("A",), True)).kind is Kind.LOCAL
    assert read_name("dAdZ", Variables(("Z", "A"), ("A",), False)).variable == "Z"
    assert read_name("dLdZ", Variables(("Z", "A"), ("A",), True)).variable == "Z"


def test_two_variables_that_fit_equally_well_are_none() -> None:
    assert read_name("dw", Variables(("W", "w_a", "W_A"))).variable == "W"
    assert read_name("dwa", Variables(("wA", "WA"))).variable == ""
    assert read_name("dw", Variables(("W", "w"))).variable == "w"


def test_what_the_user_says_comes_first() -> None:
    known = Variables(("x", "W"), given={"foo": "W", "dx": "W"})
    assert read_name("foo", known).variable == "W"
    assert read_name("dfoo", known).variable == "W"
    assert read_name("dx", known).variable == "W"


def test_what_backward_calls_a_variable() -> None:
    assert read_name("dA_prev", Variables(("A", "W"), aliases={"A_prev": "A"})).variable == "A"


def test_keys_of_a_dict_of_gradients() -> None:
    assert read_key("W1", FORWARD).variable == "W1"
    assert read_key("dW1", FORWARD).variable == "W1"
    assert read_key("other", FORWARD).variable == ""


@pytest.mark.parametrize("name", ["grads", "grad", "gradients", "dparams", "layer_grads"])
def test_containers(name: str) -> None:
    assert is_container(name)


def test_no_containers() -> None:
    assert not any(map(is_container, ("params", "cache", "data", "dW")))


def test_a_shortened_name() -> None:
    inputs = ("centerWordVec", "outsideWordIdx", "outsideVectors")
    assert resembling("gradCenterVec", inputs) == "centerWordVec"
    assert resembling("gradOutsideVecs", inputs) == "outsideVectors"
    assert resembling("grad", inputs) == ""
    assert resembling("dW", inputs) == ""


def test_names_without_those_of_gradients() -> None:
    assert without_gradients(("x", "dx", "W", "grad_W", "loss", "dtype")) == ("x", "W", "loss", "dtype")
    assert without_gradients(("f", "x", "dfdx"), True) == ("f", "x")
