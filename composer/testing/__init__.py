"""What tests of nodes and of capabilities need: a node without a pipeline, an orchestrator.

assert run_node(Sepia(strength=1), image=gradient(64, 48)).shape == (48, 64, 3)
"""

from composer import lazy
from composer.testing.nodes import BARS, Bench, bars, bench, gradient, picture, run_node, sound

with lazy.deferred():  # a test of a node talks to nobody
    from composer.testing import orchestrator

__all__ = [
    "BARS",
    "Bench",
    "bars",
    "bench",
    "gradient",
    "orchestrator",
    "picture",
    "run_node",
    "sound",
]
