"""Lane: on a device, the work of a stage happens on its lane, behind what it takes."""

from dataclasses import replace

from composer.engine import marks
from composer.engine.inbox import WorkItem
from composer.engine.layers.layer import Call, Layer, Missed, Out, Site


def layer(site: Site) -> Layer | None:
    lane, step = site.lane, site.step
    if lane is None:
        return None

    def around(call: Call) -> Call:
        def on_lane(item: WorkItem) -> Out | Missed:
            with lane:
                others = {port: marks.reached(lane, value) for port, value in item.others.items()}
                frame = marks.arrived(lane, item.frame)
                out = call(replace(item, frame=frame, others=others))
                if isinstance(out, Missed):
                    return out
                return marks.all_marked(lane, step, out)

        return on_lane

    return Layer(around=around)
