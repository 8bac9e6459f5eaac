"""The command `byoc`: arguments -> calls. The only file that prints."""

import contextlib
import logging
import math
import os
import signal
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, NoReturn

import typer

from composer import exits, lazy, strictjson
from composer import limits as wire_limits
from composer.compiler import compile as compiler
from composer.compiler import plan as plans
from composer.compiler.ends import Ends
from composer.compiler.plan import Plan
from composer.errors import ComposerError, MediaError, NodeFailed, ParamRejected, PipelineInvalid
from composer.node.registry import NotFound, Registry
from composer.node.roles import Role, having, playing
from composer.pipeline import report

with lazy.deferred():
    from composer import logs
    from composer.command import flags, progress, scaffold, schedule
    from composer.command import selftest as selftests
    from composer.dev import command as development
    from composer.engine import run as runs
    from composer.image import contents, context, ship
    from composer.models import fetch as fetching
    from composer.pipeline import codes
    from composer.plot import mermaid, plan_text, reference, svg
    from composer.probe import findings
    from composer.server import settings, upgrades, worker
    from composer.trickle import server as trickle_server

if TYPE_CHECKING:
    from composer.compiler.graph import Graph
    from composer.models.weights import Weights

app = typer.Typer(
    help="Compose live video pipelines from a YAML graph of nodes.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

PROBLEMS: Final = 1
CANNOT_LOOK: Final = 2
TRACK_LOST: Final = 3

Pipeline = Annotated[Path, typer.Argument(help="pipeline file", metavar="FILE")]
Inputs = Annotated[
    list[str] | None,
    typer.Option("--input", "-i", help="file, URL or %03d pattern; node=... for one of several"),
]
Outputs = Annotated[
    list[str] | None,
    typer.Option("--output", "-o", help="mp4, mkv, mov, ts, webm or a png pattern"),
]
Json = Annotated[bool, typer.Option("--json", help="print JSON")]


def main() -> None:
    """Run the command; the exit code is 0 fine, 1 problems, 2 could not look, for `byoc run` 3 when
    a track came to nothing, and for `byoc serve` one of exits.Exit.
    """
    try:
        app()
    except BrokenPipeError:
        # The reader of our output has seen enough; that is no error.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


@app.command()
def check(
    files: Annotated[list[Path], typer.Argument(help="pipeline files", metavar="FILE...")],
    form: Annotated[str, typer.Option("--format", help="text or json")] = "text",
) -> None:
    """Say everything that is wrong with pipeline files."""
    if form not in ("text", "json"):
        _cannot(f"--format should be text or json, got {form!r}")
    registry = _registry()
    found: list[Any] = []
    lines: dict[str, Sequence[str]] = {}
    for file in files:
        try:
            compiled = compiler.compile_file(file, registry)
        except OSError as exc:
            _cannot(f"{file}: {exc.strerror or exc}")
        found += compiled.problems or _unplanned(compiled)
        lines |= compiled.lines
    if form == "json":
        print(strictjson.text(report.as_json(found), indent=2))
    elif found:
        print(report.text(found, lines))
    else:
        print("\n".join(f"{file}: fine" for file in files))
    raise typer.Exit(PROBLEMS if found else 0)


def _unplanned(compiled: compiler.Compiled) -> Sequence[Any]:
    """Problems that only the choice of formats shows."""
    try:
        compiler.plan_of(compiled)
    except PipelineInvalid as exc:
        return exc.problems
    return ()


@app.command()
def plan(
    file: Pipeline,
    inputs: Inputs = None,
    outputs: Outputs = None,
    as_json: Json = False,  # noqa: FBT002 - typer's way to declare a switch
    live: Annotated[bool, typer.Option("--live", help="as a session, not a file")] = False,  # noqa: FBT002
) -> None:
    """Show what will run: formats, converters, stages and inboxes. With --input and --output: for
    these files.
    """
    mode = plans.Mode.LIVE if live else plans.Mode.FILE
    made, _ = _plan(file, mode, inputs=inputs, outputs=outputs)
    if as_json:
        print(strictjson.text(plans.as_data(made), indent=2))
    else:
        print(plan_text.text(made), end="")


@app.command()
def graph(
    file: Pipeline,
    output: Annotated[Path | None, typer.Option("-o", "--output", help=".svg or .mmd")] = None,
) -> None:
    """Draw a pipeline, with the format on each edge: SVG to a file, or Mermaid text."""
    made, _ = _plan(file)
    boxes, arrows = plan_text.boxes(made), plan_text.arrows(made)
    title = made.graph.capability or file.stem
    if output is None:
        print(mermaid.flowchart(boxes, arrows, title), end="")
        return
    forms: dict[str, Callable[..., str]] = {".svg": svg.document, ".mmd": mermaid.flowchart}
    if output.suffix not in forms:
        _cannot(f"{output}: the picture should end in .svg or .mmd")
    try:
        output.write_text(forms[output.suffix](boxes, arrows, title), encoding="utf-8")
    except OSError as exc:
        _cannot(f"{output}: {exc.strerror or exc}")


@app.command()
def nodes(
    type_: Annotated[str, typer.Argument(help="a node type", metavar="[TYPE]")] = "",
    markdown: Annotated[bool, typer.Option("--markdown", help="the whole reference")] = False,  # noqa: FBT002
) -> None:
    """List the node types, or explain one."""
    registry = _registry()
    try:
        if markdown:
            print(reference.markdown(registry), end="")
        elif type_:
            print(reference.text(type_, registry.find(type_, Path.cwd())), end="")
        else:
            own = reference.own_nodes(registry, Path.cwd())
            types = {name: registry.find(name, Path()) for name in registry.names()} | own
            width = max(map(len, types), default=0)
            for name, cls in types.items():
                print(f"{name:{width}}  {reference.summary(cls)}")
    except NotFound as exc:
        _cannot(f"{exc}{'; ' + exc.hint if exc.hint else ''}")


@app.command()
def schema() -> None:
    """Print the JSON Schema of a pipeline file, the nodes of this folder included."""
    print(strictjson.text(reference.schema(_registry(), Path.cwd()), indent=2))


@app.command()
def problems(
    code: Annotated[str, typer.Argument(help="a problem's code", metavar="[CODE]")] = "",
    markdown: Annotated[bool, typer.Option("--markdown", help="the whole reference")] = False,  # noqa: FBT002
) -> None:
    """List the codes of problems, or explain one."""
    try:
        said = codes.markdown() if markdown else codes.text(code) if code else codes.listed()
    except LookupError as exc:
        _cannot(str(exc.args[0]))
    print(said, end="")


@app.command()
def new(folder: Annotated[Path, typer.Argument(help="a folder to make", metavar="DIR")]) -> None:
    """Make a capability folder: a pipeline, a node, its test."""
    try:
        made = scaffold.create(folder)
    except (OSError, ValueError) as exc:
        _cannot(str(exc))
    print("\n".join(str(each) for each in made))
    print(f"next: cd {folder}, and do what README.md says")


@app.command()
def run(
    file: Pipeline,
    inputs: Inputs = None,
    outputs: Outputs = None,
    settings: Annotated[list[str] | None, typer.Option("--set", help="a param: name=value")] = None,
    params: Annotated[
        Path | None, typer.Option("--params", help="a YAML file of changes at given times")
    ] = None,
    as_json: Json = False,  # noqa: FBT002 - typer's way to declare a switch
) -> None:
    """Run a pipeline on a file. Ctrl-C ends it properly: what was made is playable.

    Exit code: 0 fine, 1 it failed, 3 it is done, but nothing came through of a track of the input.
    """
    made, ends = _plan(file, whole=True, inputs=inputs, outputs=outputs)
    media = runs.Media(ends.sources, ends.sinks)
    started = runs.Run(made, media)
    _set_params(started, settings or [], params)
    try:
        with _ended_by_signals(started):
            started.start()
            if not as_json:
                progress.watch(started, progress.length(made, media), progress.terminal())
            account = started.wait()
    except ComposerError as exc:
        _failed(exc)
    if as_json:
        print(strictjson.text(progress.as_data(made, account), indent=2))
    else:
        progress.summary(made, account, progress.terminal())
    if progress.lost_tracks(account):
        raise typer.Exit(TRACK_LOST)


@app.command()
def probe(
    source: Annotated[
        str, typer.Argument(help="file, URL, row of pictures or channel", metavar="INPUT")
    ],
    seconds: Annotated[
        float | None,
        typer.Option(min=0.1, help="how much to read: 60 of a file, 6 of a URL or channel"),
    ] = None,
    whole: Annotated[bool, typer.Option("--all", help="read it to its end")] = False,  # noqa: FBT002
    as_json: Json = False,  # noqa: FBT002 - typer's way to declare a switch
) -> None:
    """Say what an input holds, what would be taken of it, and what is odd about it."""
    if whole and seconds is not None:
        _cannot("--all reads everything, and --seconds only a part: give one of them")
    try:
        found = findings.look(source, math.inf if whole else seconds)
    except ComposerError as exc:
        _failed(exc)
    if as_json:
        print(strictjson.text(findings.as_data(found), indent=2))
    else:
        print(findings.text(found), end="")
    if found.probed.unreadable:
        _failed(MediaError(found.probed.unreadable))


@app.command()
def fetch(
    files: Annotated[list[Path], typer.Argument(help="pipeline files", metavar="FILE...")],
) -> None:
    """Bring the weights of pipelines to this machine, so that they run without a network."""
    graphs = [_compiled(file).graph for file in files]
    assert None not in graphs  # a problem has ended the command
    wanted = dict.fromkeys(
        each for graph in graphs if graph for each in graph.weights if each.scheme
    )
    failed = _fetch(wanted)
    if not wanted:
        print("no weights to fetch")
    raise typer.Exit(PROBLEMS if failed else 0)


def _fetch(wanted: Iterable["Weights"]) -> bool:
    """Bring weights here; whether some could not be fetched, which was told."""
    failed = False
    for each in wanted:
        try:
            with progress.transfer(each.name, progress.terminal()) as told:
                path = fetching.fetch(each, told)
            print(f"{each.name}: {path}")
        except ComposerError as exc:
            failed = True
            print(f"byoc: {exc}", file=sys.stderr)
    return failed


@app.command()
def selftest(
    file: Pipeline,
    frames: Annotated[int, typer.Option(min=1, max=1000, help="pictures to make")] = 10,
) -> None:
    """Give a pipeline a few made pictures, as in a session, and say what became of them."""
    registry = _registry()
    try:
        tried = selftests.run(_compiled(file, registry), registry, frames)
    except PipelineInvalid as exc:
        _show(exc, {})
    except ComposerError as exc:
        _failed(exc)
    if tried.problem:
        print(f"{file}: {tried.problem}", file=sys.stderr)
        raise typer.Exit(PROBLEMS)
    made = "" if tried.coded is None else f", {tried.coded} coded, {tried.bytes} bytes"
    print(f"{file}: {tried.sent} pictures in{made}, {tried.seconds:.2f} s: fine")


@app.command(context_settings={"allow_extra_args": True})
def image(
    ctx: typer.Context,
    file: Pipeline,
    tag: Annotated[str, typer.Option("-t", "--tag", help="name of the image")] = "",
    variant: Annotated[Literal["cpu", "gpu"], typer.Option(help="of ONNX Runtime, torch")] = "cpu",
    weights: Annotated[
        Literal["baked", "mounted"], typer.Option(help="in the image, or mounted at /weights")
    ] = "baked",
    builder: Annotated[
        Literal["docker", "podman", "buildah"] | None,
        typer.Option(help="else the first that works"),
    ] = None,
    base: Annotated[str, typer.Option(help="image to build upon: a Debian with Python")] = "",
    include: Annotated[
        list[str] | None, typer.Option(help="more files of the folder: a pattern, or a folder")
    ] = None,
    push: Annotated[bool, typer.Option("--push", help="push it, once it is tried")] = False,  # noqa: FBT002
    dry_run: Annotated[bool, typer.Option("--dry-run", help="print what would be built")] = False,  # noqa: FBT002
    tried: Annotated[bool, typer.Option("--selftest/--no-selftest", help="try it")] = True,  # noqa: FBT002
) -> None:
    """Build an image that serves a pipeline, and try it. What follows -- goes to the builder."""
    if ctx.args and "--" not in sys.argv:
        _cannot(f"{ctx.args[0]}: one file makes an image; what is for the builder follows --")
    with _building():
        options = ship.BuildOptions(
            tag or file.stem.lower(),
            variant,
            weights,
            builder or "",
            base,
            push,
            tried,
            tuple(ctx.args),
        )
        _ship(file, options, include or [], dry_run=dry_run)


@contextlib.contextmanager
def _building() -> Iterator[None]:
    """What keeps an image from being built ends the command."""
    try:
        yield
    except PipelineInvalid as exc:
        _show(exc, {})
    except (ship.BuildOptionsInvalid, ship.NoBuilder, LookupError, OSError) as exc:
        _cannot(str(exc))
    except ComposerError as exc:
        _failed(exc)


def _ship(
    file: Path, options: "ship.BuildOptions", include: Sequence[str], *, dry_run: bool
) -> None:
    """Fetch the weights that are missing, gather what goes in, and build it."""
    registry = _registry()
    compiled = _compiled(file, registry)
    if compiled.graph is not None and compiled.graph.absent:
        if _fetch(weights for weights in compiled.graph.weights if weights.scheme):
            raise typer.Exit(PROBLEMS)
        compiled = _compiled(file, registry)
    inside = contents.of(file, compiled, registry, include)
    about = ship.describe(compiled, file)
    ship.check_imports(inside, options)
    if dry_run:
        print(context.dockerfile().read_text(encoding="utf-8"))
        print(ship.planned(inside, about, options))
    else:
        ship.ship(inside, about, options, lambda line: print(line, flush=True))


@app.command(
    add_help_option=False,
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
)
def serve(ctx: typer.Context) -> None:
    """Serve pipelines as a BYOC worker, until SIGTERM."""
    exits.at_signals()  # before all that takes long
    flags.run(_serve, ctx.args, "byoc serve")


def _serve(
    files: Annotated[
        list[Path] | None, typer.Argument(help="pipeline files", metavar="FILE...")
    ] = None,
    **given: Any,
) -> None:
    """Serve pipelines as a BYOC worker, until SIGTERM. Every flag is also a setting in the
    environment, by the name in brackets.
    """
    lines: dict[str, Sequence[str]] = {}
    code = exits.Exit.BUG
    try:
        chosen = settings.load(given)
        logs.configure(chosen.log)
        logs.catch()
        named = files or [Path(each) for each in chosen.files]
        if not named:
            _cannot("name a pipeline file, here or in BYOC_PIPELINES")
        compiled = [(file, _compiled(file, wrong=exits.Exit.CONFIGURATION)) for file in named]
        lines |= {name: text for _, each in compiled for name, text in each.lines.items()}
        offers = worker.offers(compiled, chosen)
        code = worker.serve(offers, chosen, lambda said: print(said, flush=True))
    except PipelineInvalid as exc:
        _show(exc, lines, exits.code_of(exc))
    except (ComposerError, OSError) as exc:
        _failed(exc, exits.code_of(exc))
    except typer.Exit:
        raise
    except Exception:
        # Whoever looks after the worker reads one record, and a code that says whose fault it is.
        logging.getLogger(__name__).exception("the worker made a mistake")
    raise typer.Exit(code)


@app.command()
def upgrade(
    state: Annotated[
        Path, typer.Option("--state", envvar="BYOC_STATE", help="folder of `byoc serve --state`")
    ],
) -> None:
    """Have a worker replaced by a new process, which goes on with all of its streams.

    Exit code: 0 it is, 1 the worker goes on as it was, 2 there is none.
    """
    try:
        outcome = upgrades.ask(state)
    except OSError as exc:
        _cannot(f"{state}: no worker keeps its streams there ({exc.strerror or exc})")
    print(f"byoc: {outcome.said}", file=sys.stdout if outcome.done else sys.stderr)
    raise typer.Exit(0 if outcome.done else PROBLEMS)


@app.command()
def dev(
    file: Pipeline,
    clip: Annotated[str, typer.Option("--input", "-i", help="clip to feed it with")] = "",
    camera: Annotated[str, typer.Option(help="camera to feed it with: /dev/video0")] = "",
    port: Annotated[int, typer.Option(min=0, max=65535, help="of the page; 0 for a free one")] = 0,
    trickle_port: Annotated[int, typer.Option(min=0, max=65535, help="of the channels")] = 0,
    limits: Annotated[
        str, typer.Option(envvar="BYOC_LIMITS", help="sizes and times that are not the usual ones")
    ] = "",
) -> None:
    """Run a pipeline while you write it: what is saved is applied, and a page shows it."""
    registry = _registry()
    try:
        wire = wire_limits.read(limits)
    except ValueError as exc:
        _cannot(f"--limits (BYOC_LIMITS) {exc}")
    wishes = development.Wishes(clip, camera, port, trickle_port, wire)

    def wrong(problems: Sequence[Any], lines: Mapping[str, Sequence[str]]) -> None:
        said = f"{report.text(problems, lines)}\nit begins when that is mended and saved"
        print(said, file=sys.stderr, flush=True)

    try:
        compiled = development.once_fine(file, registry, wrong)
        if compiled is not None:
            development.run(file, compiled, registry, wishes, lambda said: print(said, flush=True))
    except NodeFailed as exc:
        _failed(exc)
    except OSError as exc:
        _cannot(str(exc))


@app.command()
def trickle(
    host: Annotated[str, typer.Option(help="address to listen on")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="port; 0 for a free one")] = 3389,
    base_path: Annotated[str, typer.Option(help="where the channels are")] = "/",
    autocreate: Annotated[bool, typer.Option(help="make channels on first use")] = True,  # noqa: FBT002
    changefeed: Annotated[bool, typer.Option(help="tell of channels in _changes")] = False,  # noqa: FBT002
) -> None:
    """Run a trickle server, for development and for tests."""
    server = trickle_server.TrickleServer(
        base_path=base_path, autocreate=autocreate, changefeed=changefeed
    )
    try:
        trickle_server.run(server, host, port, lambda at: print(f"trickle at {at}", flush=True))
    except OSError as exc:
        _cannot(f"{host}:{port}: {exc.strerror or exc}")


def _ends(given: Sequence[str] | None, graph: "Graph") -> dict[str, str]:
    """`path` for every end, or `node=path` for one."""
    ends: dict[str, str] = {}
    for each in given or []:
        node, equals, path = each.partition("=")
        if equals and node in graph.nodes:
            ends[node] = path
        else:
            ends[""] = each
    return ends


def _outputs(given: Sequence[str] | None, graph: "Graph") -> dict[str, str]:
    """The same for what is written: an output without a node goes to the one that has no path."""
    ends = _ends(given, graph)
    if "" not in ends:
        return ends
    writers = having(graph.nodes, Role.OUTPUT)
    free = playing(graph.nodes, Role.OUTPUT) or writers
    left = [name for name in free if name not in ends]
    if len(left) != 1:
        known = ", ".join(writers) or "none"
        first = next(iter(writers), "node")
        _cannot(f"--output: say which node writes it, as {first}=FILE ({known})")
    ends[left[0]] = ends.pop("")
    return ends


def _set_params(started: "runs.Run", settings: Sequence[str], file: Path | None) -> None:
    values: dict[str, Any] = {}
    for each in settings:
        name, equals, text = each.partition("=")
        if not equals:
            _cannot(f"--set {each}: write it as name=value")
        values[name] = _value(text)
    try:
        if values:
            started.params.patch(values)
        if file is not None:
            schedule.load(file, started.params)
    except ParamRejected as exc:
        for problem in exc.problems:
            hint = f" - {problem.hint}" if problem.hint else ""
            print(f"--set: {problem.code}: {problem.message}{hint}", file=sys.stderr)
        raise typer.Exit(PROBLEMS) from exc
    except PipelineInvalid as exc:
        _show(exc, {str(file): file.read_text(encoding="utf-8").splitlines()} if file else {})
    except OSError as exc:
        _cannot(f"{file}: {exc.strerror or exc}")


def _value(text: str) -> Any:
    """Lists and mappings are JSON; the rest is text, which the field reads as what it holds."""
    if text[:1] in "[{":
        try:
            return strictjson.read(text)
        except (ValueError, RecursionError):
            return text
    return text


@contextlib.contextmanager
def _ended_by_signals(started: "runs.Run") -> Iterator[None]:
    """The first Ctrl-C or SIGTERM ends the sources, the second gives up."""
    ends = iter((started.stop, started.abort))

    def end(number: int, frame: object) -> None:
        print("ending", file=sys.stderr)
        next(ends, started.abort)()

    # Also where a shell started us in the background, with Ctrl-C ignored.
    before = {each: signal.signal(each, end) for each in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


def _plan(
    file: Path,
    mode: plans.Mode = plans.Mode.FILE,
    *,
    whole: bool = False,
    inputs: Sequence[str] | None = None,
    outputs: Sequence[str] | None = None,
) -> tuple[Plan, Ends]:
    """whole: with all its weights on this machine, as a plan that will run must be."""
    compiled = _compiled(file)
    graph = compiled.graph
    assert graph is not None  # a problem has ended the command
    ends = Ends(_ends(inputs, graph), _outputs(outputs, graph))
    try:
        if whole:
            compiler.ready(compiled)
        return compiler.plan_of(compiled, mode, ends), ends
    except PipelineInvalid as exc:
        _show(exc, compiled.lines)


def _compiled(
    file: Path, registry: Registry | None = None, wrong: int = PROBLEMS
) -> compiler.Compiled:
    """A file that can be planned; what is wrong with it ends the command, with the code `wrong`."""
    try:
        compiled = compiler.compile_file(file, _registry() if registry is None else registry)
    except OSError as exc:
        _cannot(f"{file}: {exc.strerror or exc}")
    if compiled.problems:
        _show(PipelineInvalid(compiled.problems), compiled.lines, wrong)
    return compiled


def _registry() -> Registry:
    try:
        return Registry.installed()
    except NotFound as exc:
        _cannot(str(exc))


def _show(
    exc: PipelineInvalid, lines: Mapping[str, Sequence[str]], ending: int = PROBLEMS
) -> NoReturn:
    print(report.text(exc.problems, lines), file=sys.stderr)
    raise typer.Exit(ending) from exc


def _failed(exc: Exception, ending: int = PROBLEMS) -> NoReturn:
    print(f"byoc: {exc}", file=sys.stderr)
    raise typer.Exit(ending) from exc


def _cannot(why: str) -> NoReturn:
    print(f"byoc: {why}", file=sys.stderr)
    raise typer.Exit(CANNOT_LOOK)
