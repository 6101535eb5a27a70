"""The one console command: it only hands over to a component, which is loaded when it is asked for."""

from __future__ import annotations

import importlib
import sys
from dataclasses import dataclass


@dataclass(frozen=True)
class Component:
    """A sub-command: the module that holds its typer app, the extra that installs it, and what it does."""

    module: str
    extra: str
    about: str


COMPONENTS = {
    "demo": Component("shelf_simulator.demo.cli", "demo", "A small simulated shop, from camera to display."),
    "edge": Component("shelf_edge.cli", "edge", "A node: cameras in, events out. Also replays recordings."),
    "collector": Component("shelf_collector.cli", "collector", "The store's memory: state, displays, alerts, API."),
    "audit": Component("shelf_collector.audit_cli", "collector", "Proof that nothing was lost, node by node."),
    "broker": Component("shelf_broker.cli", "broker", "The MQTT broker, embedded or Mosquitto."),
    "pki": Component("shelf_broker.pki.cli", "broker", "Who belongs to the shop's network: certificates for devices."),
    "chaos": Component("shelf_simulator.chaos.cli", "demo", "Everything dies at random, and nothing may be lost."),
    "soak": Component("shelf_simulator.soak.cli", "demo", "A shop for a long time: does anything grow?"),
    "bench": Component("shelf_simulator.bench.cli", "demo", "How fast: from a frame's capture to the painted pixel."),
    "simulator": Component("shelf_simulator.cli", "simulator", "A store made of code, with ground truth."),
    "models": Component("shelf_models.cli", "models", "From pictures to a checked .onnx."),
}


def usage() -> str:
    """What ``smartshelf --help`` says."""
    width = max(map(len, COMPONENTS))
    lines = [f"  {name:<{width}}  {component.about}" for name, component in COMPONENTS.items()]
    return "\n".join(
        [
            "Usage: smartshelf COMPONENT [ARGUMENTS]...",
            "",
            "Smart shelves a shop can run itself: cameras to shelf displays and staff alerts over MQTT.",
            "",
            *lines,
            "",
            "smartshelf COMPONENT --help tells more; smartshelf --version tells the version.",
        ]
    )


def main(arguments: list[str] | None = None) -> int:
    """Run one component's command line; exit code 2 means bad input."""
    given = sys.argv[1:] if arguments is None else arguments
    if not given or given[0] in {"--help", "-h", "help"}:
        sys.stdout.write(usage() + "\n")
        return 0
    if given[0] == "--version":
        from importlib.metadata import version

        sys.stdout.write(f"smartshelf {version('smartshelf')}\n")
        return 0
    component = COMPONENTS.get(given[0])
    if component is None:
        sys.stderr.write(f"smartshelf: {given[0]!r} is no component; known: {', '.join(COMPONENTS)}\n")
        return 2
    try:
        # Components import their heavy parts when a command runs, so the call belongs under the same watch.
        importlib.import_module(component.module).app(args=given[1:], prog_name=f"smartshelf {given[0]}")
    except ModuleNotFoundError as error:
        if error.name is not None and error.name.startswith("shelf_"):
            raise
        remedy = f"pip install 'smartshelf[{component.extra}]'"
        sys.stderr.write(f"smartshelf {given[0]}: the package {error.name} is missing; install it with {remedy}\n")
        return 2
    except OSError as error:
        if error.filename is None:
            raise
        remedy = "choose a place that can be read and written"
        sys.stderr.write(f"smartshelf {given[0]}: {error.filename}: {error.strerror}; {remedy}\n")
        return 2
    except KeyboardInterrupt:  # while a component was still being loaded; commands have their own words for it
        sys.stderr.write("stopped\n")
        return 130
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
