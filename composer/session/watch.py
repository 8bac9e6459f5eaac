"""Watch: whether a session still moves, and whether anybody still wants it."""

from collections.abc import Callable
from typing import Final

from composer.session.channels import Channels
from composer.session.execution import Execution
from composer.session.freshness import Freshness
from composer.session.phase import Life, Phase
from composer.session.supply import Supply
from composer.session.timing import Timing

ON_PURPOSE: Final = ("when", "every", "rate", "node")
"""Reasons for which a node drops a frame because somebody wants it to."""


class Watch:
    """Looks at a session now and then. Each question is a look: what moves was seen to move."""

    def __init__(self, channels: Channels, timing: Timing, now: Callable[[], float]) -> None:
        self.supply = Supply(timing.quiet, timing.stall / 2)
        self.opened_at = 0.0
        """When its nodes were set up; 0 before that."""
        self.ended_at = 0.0
        """When something ended it; 0 before that."""

        self._channels, self._timing, self._now = channels, timing, now
        self._began = now()
        self._work, self._way = Freshness(), Freshness()
        self._dropped, self._dropped_at = 0, 0.0

    def look(self, execution: Execution) -> None:
        """Note what has come in of what the output is made of."""
        if execution.ingress is None:
            return
        fed_at = execution.ingress.fed_at(execution.demand.needs)
        if fed_at > self.supply.last_at:
            self.supply.came(fed_at, execution.egress.last_at)

    def output_stalled(self, execution: Execution) -> str:
        """Why it should end, "" for nothing: what the output is made of comes in, or should be made
        here, and nothing goes out, so a node hangs. A gateway waits for 30 s.

        A silence of the input is no stall, and the time begins anew behind it. Nor is it one that
        nodes drop what they are asked to drop.
        """
        demand = execution.demand
        if not self._channels.publish or not demand.needs:
            return ""
        self.look(execution)
        now, stall = self._now(), self._timing.stall
        if demand.takes_input and self._channels.subscribe:
            fed, since = self.supply.lasts(now), self.supply.since
        else:
            fed, since = bool(demand.makers), self.opened_at
        moved_at = max(execution.egress.last_at, since, self._dropping(execution, now))
        if not fed or now - moved_at <= stall:
            return ""
        though = ", though input came in" if self._channels.subscribe else ""
        return f"nothing came out for {stall:g} s{though}"

    def _dropping(self, execution: Execution, now: float) -> float:
        """When a node on the way to the output was last seen to have dropped something on purpose;
        0 where another one on it stands, in front of work or at it: drops hide no hang.
        """
        way, nodes = execution.demand.way, execution.account().nodes
        dropped = sum(nodes[name].dropped[why] for name in way & nodes.keys() for why in ON_PURPOSE)
        if dropped != self._dropped:
            self._dropped, self._dropped_at = dropped, now
        work, inside = execution.work(), execution.inside()
        moves: dict[str, object] = {name: work[name] for name in way & work.keys()}
        moves |= {f"inside {name}": inside[name] for name in way & inside.keys()}
        self._way.look(moves, now)
        stands = self._way.oldest(now)[1] > self._timing.stall
        return 0.0 if stands else self._dropped_at

    def wanted_for(self, execution: Execution, heard_at: float) -> float:
        """For how many seconds it goes on without a word on control and without input. heard_at:
        when control brought a word last.

        Where there is no input to miss, a caller that never sent a word is not missed either.
        """
        now = self._now()
        fed = execution.ingress if self._channels.subscribe else None
        came_at = fed.last_at if fed is not None else now
        if fed is None and heard_at:
            came_at = 0.0
        return max(heard_at, self._began, came_at) + self._timing.lease - now

    def hangs(self, execution: Execution) -> str:
        """What of a live session has had work for Timing.stuck seconds and was not seen to move in
        that time, so that it should end; "" for nothing.
        """
        return self._standing(execution, self._timing.stuck)

    def stuck(self, life: Life, execution: Execution) -> str:
        """What of it should have come to its end long ago and has not, "" for nothing: it is held
        against the process then.
        """
        now, timing = self._now(), self._timing
        if life.ending:
            limit = max(timing.stuck, timing.end)
            return _long("it has been ending", now - self.ended_at, limit)
        if life.phase is Phase.SETTING_UP:
            limit = timing.setup + timing.stuck
            return _long("its nodes have been set up", now - self._began, limit)
        return self._standing(execution, timing.stuck + timing.stall)

    def _standing(self, execution: Execution, limit: float) -> str:
        """What has work and has not moved for longer than that: a node at a frame before those that
        may wait for it.
        """
        now = self._now()
        self._work.look(self._present(execution), now)
        return self._work.standing(now, limit)

    def _present(self, execution: Execution) -> dict[str, object]:
        """What should go on now, and how far it has come."""
        ingress, demand = execution.ingress, execution.demand
        inside, waiting = execution.inside(), execution.work()
        work: dict[str, object] = {
            f"node {name!r} has been at one frame": frames for name, frames in inside.items()
        }
        work |= {
            f"node {name!r} has taken none of the frames that wait": count
            for name, count in waiting.items()
        }
        if (count := execution.account_count) is not None:
            work["its process has said nothing"] = count
        if ingress is not None and demand.takes_input and ingress.waiting:
            work["nothing has been decoded of the input that waits"] = ingress.given_at
        if self._channels.publish:  # else nobody says how often a source should give something
            work |= {
                f"node {name!r} has given no frame": execution.given(name) for name in demand.makers
            }
        return work


def _long(part: str, seconds: float, limit: float) -> str:
    return f"{part} for {seconds:.0f} s" if seconds > limit else ""
