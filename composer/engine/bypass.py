"""The ways past a node: how a frame gets the Format of each of its outputs without it."""

from collections.abc import Mapping

from composer.compiler.conversions import Conversion, conversion, same
from composer.compiler.plan import Step


def bypass_of(step: Step) -> str:
    """What comes out while there is no node yet: the frame where it can be all the outputs."""
    return "pass" if ways_of(step).keys() == step.outputs.keys() else "hold_last"


def ways_of(step: Step) -> Mapping[str, Conversion | None]:
    """For each output that a frame can reach by going past the node: how it gets its Format, None
    where it has it.
    """
    if step.settings is None or not step.inputs:
        return {}
    first = next(port.name for port in type(step.settings).inputs if port.name in step.inputs)
    start = step.inputs[first]
    conversions = {port: conversion(start, wanted) for port, wanted in step.outputs.items()}
    return {
        port: None if same(start, step.outputs[port]) else way
        for port, way in conversions.items()
        if way is not None or same(start, step.outputs[port])
    }
