"""Opening: what a session does at its start, step by step."""

from typing import Any

from composer.errors import Problem
from composer.session.changes import Changes
from composer.session.deployment import Deployment
from composer.session.takeover import Takeover


async def set_params(changes: Changes, takeover: Takeover, asked: Any) -> list[Problem]:
    """To what its caller wants from the start, or has set in another process: the problems say what
    of that is not taken here. Raises ParamRejected.
    """
    if takeover.before is not None:
        return await changes.restore(takeover.before.params)
    if asked:
        await changes.patch(asked)
    return []


async def set_up(deployment: Deployment, takeover: Takeover) -> None:
    """Set the nodes up, and wait until they may work. Raises NodeFailed, ParamRejected and Stalled.

    Sources of its own begin when they are set up, so that they are set up last.
    """
    makes = bool(deployment.execution.demand.makers)
    if makes:
        await _wait(deployment, takeover)
    await deployment.set_up()
    if not makes:
        await _wait(deployment, takeover)


async def _wait(deployment: Deployment, takeover: Takeover) -> None:
    """Until its turn comes; then go on where another process has left it."""
    before = await takeover.comes()
    if before is not None and not deployment.given_up:
        await deployment.go_on_after(before)
