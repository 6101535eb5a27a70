"""``smartshelf pki``: who belongs to the shop's network. On the server: init, token, serve, revoke, bays, list, crl.
On a device: enrol, renew."""

from __future__ import annotations

import json
import logging
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer
from pydantic import ValidationError
from rich.console import Console
from rich.table import Table

from shelf_contracts.errors import ContractError
from shelf_contracts.files import problems_of
from shelf_mqtt.enrolment import ENROLMENT_PORT, EnrolmentFailed, Token, parse_token

app = typer.Typer(no_args_is_help=True, add_completion=False, help=__doc__)

_out = Console(highlight=False, soft_wrap=True)
_err = Console(stderr=True, highlight=False, soft_wrap=True)

FolderOption = Annotated[Path, typer.Option("--folder", help="the authority's folder, on the store's server only")]
IdentityOption = Annotated[Path, typer.Option("--into", help="folder of this device's key and certificate")]
DeviceArgument = Annotated[str, typer.Argument(help="the device's id in topics: lower case, digits, hyphens")]
BaysOption = Annotated[str, typer.Option(help="bays a node may speak of, with commas between: a01,a02")]

_FOLDER = Path(".smartshelf/pki")
_LONGEST_TOKEN = 1000
_IDENTITY = Path(".smartshelf/identity")


@app.command()
def init(
    store: Annotated[str, typer.Option(help="the store's id in topics")],
    host: Annotated[list[str], typer.Option(help="name or address by which devices reach this server; repeat it")],
    folder: FolderOption = _FOLDER,
    port: Annotated[int, typer.Option(min=1, max=65_535, help="port for enrolment")] = ENROLMENT_PORT,
    device_days: Annotated[float, typer.Option(help="how long a device's certificate is valid")] = 90,
) -> None:
    """Make the store's authority and the server's certificate. Keep the folder: every device trusts it."""
    from shelf_broker.pki.office import AuthoritySettings, RegistryOffice

    with _told():
        settings = AuthoritySettings(store=store, hosts=host, port=port, device_days=device_days)
        office = RegistryOffice.found(folder, settings)
    _out.print(f"authority of {store} in {folder}; the broker needs only {office.public}")


@app.command()
def token(
    device: DeviceArgument,
    role: Annotated[str, typer.Option(help="node, collector, display or observer")] = "node",
    bays: BaysOption = "",
    replace: Annotated[bool, typer.Option("--replace", help="the device is enrolled and gets a new identity")] = False,
    host: Annotated[
        str | None, typer.Option(help="where the device finds the server; default: the first of init")
    ] = None,
    folder: FolderOption = _FOLDER,
) -> None:
    """Print a token that enrols one device once, within ten minutes."""
    from shelf_broker.pki.office import RegistryOffice

    with _told():
        made = RegistryOffice(folder).issue_token(device, role, _listed(bays), replace=replace, host=host)
    _out.print(str(made))
    _err.print(f"Good once, for 10 minutes. On {device}: smartshelf pki enrol TOKEN --into FOLDER")


@app.command()
def serve(
    folder: FolderOption = _FOLDER,
    host: Annotated[str, typer.Option(help="address to listen on")] = "0.0.0.0",  # noqa: S104 - it is TLS only
    port: Annotated[int | None, typer.Option(min=1, max=65_535, help="default: the one of init")] = None,
) -> None:
    """Give certificates to devices with a token, and renew those of enrolled ones, until Ctrl-C or SIGTERM."""
    from shelf_broker.errors import BrokerProblem
    from shelf_broker.pki.office import RegistryOffice
    from shelf_broker.pki.server import EnrolmentServer

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    with _told():
        office = RegistryOffice(folder)
        office.publish()
        try:
            with EnrolmentServer(office, host, port or office.settings.port) as server:
                _out.print(f"enrolment ready on {host}:{server.port}")
                stop.wait()
        except BrokerProblem as problem:
            _err.print(f"[bold red]pki:[/] {_plain(problem)}")
            raise typer.Exit(1) from problem


@app.command()
def enrol(
    typed: Annotated[
        str, typer.Argument(metavar="TOKEN", help="what smartshelf pki token printed; - reads it from standard input")
    ],
    into: IdentityOption = _IDENTITY,
    server: Annotated[str | None, typer.Option(help="HOST:PORT instead of the one in the token")] = None,
) -> None:
    """On a device: make a key, which stays here, and get its certificate."""
    from shelf_mqtt.enrolment import enrol as ask

    try:
        made = parse_token(sys.stdin.readline(_LONGEST_TOKEN) if typed == "-" else typed)
        if server is not None:
            made = parse_token(f"se1.{made.secret}.{made.ca_fingerprint}@{server}")
    except ValueError as error:
        _err.print(_plain(error))
        raise typer.Exit(2) from error
    with _told():
        record = ask(made, into)
    _out.print(f"this is {record.device} now. In its configuration:\n")
    _out.print(_plain(_section(made, into)))


@app.command()
def renew(
    identity: Annotated[Path, typer.Option(help="the folder that enrol filled")] = _IDENTITY,
) -> None:
    """On a device: a new key and certificate now. Components that run do this by themselves, in time."""
    from shelf_mqtt.enrolment import renew as ask

    with _told():
        validity = ask(identity)
    _out.print(f"renewed; valid until {_shown(validity.ends)}")


@app.command()
def revoke(
    device: DeviceArgument,
    reason: Annotated[str, typer.Option(help="for the list")] = "revoked by hand",
    folder: FolderOption = _FOLDER,
) -> None:
    """Shut a device out. A broker that runs cuts its connection at once (Mosquitto is restarted for it)."""
    from shelf_broker.pki.office import RegistryOffice

    with _told():
        RegistryOffice(folder).revoke(device, reason)
    _out.print(
        f"{device} is revoked; smartshelf broker run follows within a second. A Mosquitto started otherwise has to be "
        "restarted: a reload leaves open connections alive"
    )


@app.command()
def bays(
    device: DeviceArgument,
    names: Annotated[str, typer.Argument(metavar="BAYS", help="all bays of the node: a01,a02")],
    folder: FolderOption = _FOLDER,
) -> None:
    """Set the bays that an enrolled node may speak of."""
    from shelf_broker.pki.office import RegistryOffice

    with _told():
        RegistryOffice(folder).set_bays(device, _listed(names))
    _out.print(f"{device} may speak of {names}")


@app.command("list")
def list_devices(
    folder: FolderOption = _FOLDER,
    as_json: Annotated[bool, typer.Option("--json", help="one JSON array")] = False,
) -> None:
    """Who is enrolled, until when, and who was revoked and why."""
    from shelf_broker.pki.office import RegistryOffice

    with _told():
        rows = RegistryOffice(folder).enrolments()
    if as_json:
        _out.print(_plain(json.dumps([asdict(row) for row in rows], default=_shown)))
        return
    table = Table("device", "role", "bays", "enrolled", "valid until", "renewals", "revoked")
    for row in rows:
        gone = f"{_shown(row.revoked)}: {row.reason}" if row.revoked else ""
        until = _shown(row.ends) if row.ends else ""
        table.add_row(
            row.device, row.role, ",".join(row.bays), _shown(row.enrolled), until, str(row.renewals), _plain(gone)
        )
    _out.print(table)


@app.command()
def crl(folder: FolderOption = _FOLDER) -> None:
    """Publish the revocation list and the roster again, and print where the list is."""
    from shelf_broker.pki.office import RegistryOffice
    from shelf_broker.pki.roster import CRL_FILE

    with _told():
        office = RegistryOffice(folder)
        office.publish()
    _out.print(str(office.public / CRL_FILE))


@contextmanager
def _told() -> Iterator[None]:
    """Wrong input ends with status 2, what the network or the server refuses with 1; each says what to do."""
    from shelf_broker.errors import BrokerProblem

    try:
        yield
    except EnrolmentFailed as failure:
        _err.print(f"[bold red]pki:[/] {_plain(failure)}")
        raise typer.Exit(1) from failure
    except ValidationError as error:
        for problem in problems_of(error):
            _err.print(_plain(problem))
        raise typer.Exit(2) from error
    except (BrokerProblem, ContractError) as problem:
        _err.print(f"[bold red]pki:[/] {_plain(problem)}")
        raise typer.Exit(2) from problem


def _section(made: Token, into: Path) -> str:
    port = "port = 8883  # or the one in the server's broker.toml"
    return f'[broker]\nhost = "{made.host}"\n{port}\nidentity = "{into.absolute()}"'


def _listed(names: str) -> list[str]:
    return [name for name in (part.strip() for part in names.split(",")) if name]


def _shown(moment: object) -> str:
    return moment.astimezone().isoformat(timespec="seconds") if isinstance(moment, datetime) else str(moment)


def _plain(text: object) -> str:
    """Text of which rich shall not read [brackets] as markup."""
    return str(text).replace("[", r"\[")


if __name__ == "__main__":
    app()
