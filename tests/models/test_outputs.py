"""What the arrays of a model become; tests/models/test_answer.py has each meaning."""

from typing import Any

import numpy as np
import pytest

from composer.models.answer import Answer, ReadContext
from composer.models.bind import Binding, Wanted, bind
from composer.models.feed import Feed
from composer.models.onnxfile import read
from composer.models.outputs import OutputReader, Thresholds
from tests.networks import network, node

SCORES = network(
    "x: float32 1x3xHxW",
    "first: float32 1x3, second: float32 1x3",
    node("ReduceMean", "x", "first", axes=[2, 3], keepdims=0),
    node("ReduceMax", "x", "second", axes=[2, 3], keepdims=0),
)
ALL = Thresholds(0.5, 0.45, 100)


def binding(*names: str) -> Binding:
    gives = {name: Answer(post="classes") for name in names}
    return bind(Wanted(Feed(), {}, gives, labels=("eel", "dog", "cat")), read(SCORES))


def scores(*numbers: float) -> Any:
    return np.array([numbers], np.float32)


def reader(*names: str, logits: set[str] | None = None) -> OutputReader:
    return OutputReader(binding(*names), names, set() if logits is None else logits, ())


CONTEXT = ReadContext(labels=("eel", "dog", "cat"))


def test_one_output_is_the_value_itself() -> None:
    value = reader("first").read({"first": scores(0.1, 0.8, 0.1)}, CONTEXT, ALL)
    assert (value["label"], value["score"]) == ("dog", pytest.approx(0.8))


def test_several_outputs_come_by_port_in_their_order() -> None:
    outputs = {"second": scores(0.7, 0.2, 0.1), "first": scores(0.1, 0.8, 0.1)}
    value = reader("first", "second").read(outputs, CONTEXT, ALL)
    assert [record["label"] for record in value] == ["dog", "eel"]
    assert value._fields == ("first", "second")


def test_scores_that_were_no_chances_once_are_none_for_all_readers_of_the_model() -> None:
    logits: set[str] = set()
    one, other = reader("first", logits=logits), reader("first", logits=logits)
    chances = {"first": scores(0.1, 0.8, 0.1)}
    assert other.read(chances, CONTEXT, ALL)["score"] == pytest.approx(0.8)
    one.learn({"first": scores(5, 1, 1)})
    softened = np.exp(0.8) / (np.exp(0.8) + 2 * np.exp(0.1))
    assert other.read(chances, CONTEXT, ALL)["score"] == pytest.approx(softened)


def test_a_warm_up_that_was_not_made_teaches_nothing() -> None:
    logits: set[str] = set()
    reader("first", logits=logits).learn({})
    assert logits == set()
