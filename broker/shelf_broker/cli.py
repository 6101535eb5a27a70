"""``smartshelf broker``: run the broker, check it, and write the documents made from the catalog."""

from __future__ import annotations

import json
import logging
import signal
import threading
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from pydantic import ValidationError
from rich.console import Console

from shelf_broker.config import BrokerConfig, Kind
from shelf_broker.errors import BrokerMissing, BrokerProblem
from shelf_broker.launcher import RunningBroker, embedded_program_is_genuine, find_program, keep_running
from shelf_broker.probe import probe
from shelf_contracts.errors import FileProblems
from shelf_contracts.files import problems_of, read_model
from shelf_contracts.schema import drifted_documents, write_documents

app = typer.Typer(no_args_is_help=True, add_completion=False, help=__doc__)

_out = Console(highlight=False, soft_wrap=True)
_err = Console(stderr=True, highlight=False, soft_wrap=True)

_BAD_INPUT = 2

ConfigOption = Annotated[Path | None, typer.Option(help="broker.toml; options given here win over it")]
KindOption = Annotated[Kind | None, typer.Option(help="embedded: NATS from its wheel; mosquitto: the installed one")]
HostOption = Annotated[str | None, typer.Option(help="address to listen on; others than loopback need pki")]
PortOption = Annotated[int | None, typer.Option(min=1, max=65_535, help="port to listen on")]
StateOption = Annotated[Path | None, typer.Option(help="folder of the broker's data and log; it is kept")]


@app.command()
def run(
    config: ConfigOption = None,
    kind: KindOption = None,
    host: HostOption = None,
    port: PortOption = None,
    state: StateOption = None,
) -> None:
    """Run the broker until Ctrl-C or SIGTERM; one that dies is started again."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    settings = _settings(config, kind=kind, host=host, port=port, state=state)
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    try:
        keep_running(settings, stop, on_ready=_say_ready)
    except (BrokerProblem, FileProblems) as problem:
        _err.print(f"[bold red]broker:[/] {_plain(problem)}")
        raise typer.Exit(1) from problem


@app.command()
def check(
    config: ConfigOption = None,
    kind: KindOption = None,
    host: HostOption = None,
    port: PortOption = None,
    state: StateOption = None,
) -> None:
    """Check the settings and the program, and ask whether a broker answers there now. Starts nothing."""
    settings = _settings(config, kind=kind, host=host, port=port, state=state)
    _out.print(f"settings: {settings.kind} on {settings.host}:{settings.port}, state in {settings.state}")
    if settings.most_subscriptions:
        _out.print(f"limit: {settings.most_subscriptions} QoS 1 subscriptions per session")
    try:
        program = find_program(settings)
    except BrokerMissing as problem:
        _err.print(f"[bold red]program:[/] {_plain(problem)}")
        raise typer.Exit(1) from problem
    genuine = embedded_program_is_genuine(program) if settings.kind == "embedded" else None
    if genuine is False:
        _err.print(f"[bold red]program:[/] {program} is not the file that its wheel installed; install it again")
        raise typer.Exit(1)
    _out.print(f"program: {program}" + (" (as its wheel installed it)" if genuine else ""))
    result = probe(settings.host, settings.port, tls=settings.own_tls is not None)
    _out.print(f"answers: {_plain(result.text)}")


@app.command()
def init(
    store: Annotated[str, typer.Option(help="the store's id in topics")],
    host: Annotated[list[str], typer.Option(help="name or address by which devices reach this server; repeat it")],
    into: Annotated[Path, typer.Option(help="folder for broker.toml, the authority and the broker's data")],
    profile: Annotated[Literal["production"], typer.Option(help="TLS and client certificates for all")] = "production",
    kind: Annotated[
        Kind, typer.Option(help="embedded: NATS from its wheel; mosquitto: the installed one")
    ] = "mosquitto",
    listen: Annotated[str, typer.Option(help="address to listen on")] = "0.0.0.0",  # noqa: S104 - certificates only
    port: Annotated[int, typer.Option(min=1, max=65_535, help="port to listen on")] = 8883,
) -> None:
    """Set up a broker for a shop: an authority if there is none, and broker.toml. Starts nothing."""
    from shelf_broker.pki.office import AuthoritySettings, RegistryOffice

    file, pki = into.absolute() / "broker.toml", into.absolute() / "pki"
    if file.exists():
        _err.print(f"{file} is there already; it is not overwritten. Move it away to have a new one")
        raise typer.Exit(_BAD_INPUT)
    values = {"kind": kind, "host": listen, "port": port, "store": store}
    folders = {"state": str(into.absolute() / "broker"), "pki": str(pki / "broker")}
    try:
        BrokerConfig.model_validate({**values, **folders})
        if not (pki / "authority").exists():
            RegistryOffice.found(pki, AuthoritySettings(store=store, hosts=host))
        elif RegistryOffice(pki).settings.store != store:
            raise BrokerProblem(f"{pki}: the authority there is not that of {store}")
    except ValidationError as error:
        for problem in problems_of(error):
            _err.print(_plain(problem))
        raise typer.Exit(_BAD_INPUT) from error
    except BrokerProblem as problem:
        _err.print(f"[bold red]broker:[/] {_plain(problem)}")
        raise typer.Exit(_BAD_INPUT) from problem
    lines = [f"# Profile {profile}: TLS and a certificate of the store's authority for every client."]
    lines += [f"{key} = {json.dumps(value)}" for key, value in {**values, **folders}.items()]
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    _out.print(
        f"{file}\n\nNow:\n"
        f"  smartshelf broker run --config {file}\n"
        f"  smartshelf pki serve --folder {pki}\n"
        f"  smartshelf pki token n01 --bays a01 --folder {pki}     # for each device\n"
    )


@app.command()
def docs(
    out: Annotated[Path, typer.Option(help="the repository's docs folder")] = Path("docs"),
    drift: Annotated[bool, typer.Option("--check", help="write nothing; exit 1 when a file is not up to date")] = False,
) -> None:
    """Write docs/topics.md, docs/asyncapi.json and docs/schemas/ from the topic catalog."""
    if drift:
        stale = drifted_documents(out)
        for name in stale:
            _err.print(f"{out / name}: not up to date; run: smartshelf broker docs --out {out}")
        raise typer.Exit(1 if stale else 0)
    for file in write_documents(out):
        _out.print(str(file))


def _settings(config: Path | None, **options: Any) -> BrokerConfig:
    """The file's settings with the options over them; ends the program with status 2 when they are wrong."""
    given = {name: value for name, value in options.items() if value is not None}
    try:
        base = read_model(config, BrokerConfig).model_dump(exclude_unset=True) if config is not None else {}
        return BrokerConfig.model_validate({**base, **given})
    except FileProblems as problems:
        _err.print(_plain(problems))
        raise typer.Exit(_BAD_INPUT) from problems
    except ValidationError as error:
        for problem in problems_of(error, BrokerConfig):
            _err.print(_plain(problem))
        raise typer.Exit(_BAD_INPUT) from error


def _say_ready(broker: RunningBroker) -> None:
    _out.print(f"broker ready on {broker.address} (pid {broker.pid}), log in {broker.log_file}")


def _plain(text: object) -> str:
    """Text of which rich shall not read [brackets] as markup."""
    return str(text).replace("[", r"\[")


if __name__ == "__main__":
    app()
