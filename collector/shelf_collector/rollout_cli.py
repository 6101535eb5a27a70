"""smartshelf collector rollout: a new model for all nodes, one first. Exit code 2: bad input."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

console = Console(soft_wrap=True, highlight=False)
errors = Console(stderr=True, soft_wrap=True, highlight=False)

_ANSWER_WITHIN_S = 10.0


def rollout(
    config: Annotated[Path, typer.Option("--config", help="The collector's TOML file.")],
    model: Annotated[str, typer.Argument(help="A folder in the collector's [models] folder; none: how it goes.")] = "",
    canary: Annotated[str, typer.Option(help="The node that gets it first; default: the first that is there.")] = "",
    healthy_s: Annotated[
        float, typer.Option(min=0, help="How long the canary must run it before the others get it, seconds.")
    ] = 600.0,
    timeout_s: Annotated[float, typer.Option(min=1, help="A stage that takes longer is a failure, seconds.")] = 3600.0,
    stop: Annotated[bool, typer.Option("--stop", help="End the present rollout and take every node back.")] = False,
) -> None:
    """Offer a model to the nodes, the canary first; everywhere back when it fails anywhere. The collector must run."""
    from shelf_collector.config import SetupProblems, load_setup
    from shelf_collector.core.rollout import Rollout
    from shelf_collector.rollouts import RolloutAnswer, RolloutRequest
    from shelf_contracts.errors import ContractError
    from shelf_contracts.files import read_model, write_json

    try:
        setup = load_setup(config, despite_products=True)
        folder = setup.rollouts_folder
        if model or stop:
            if not setup.config.models:
                errors.print(f"error: {config}: [models] folder is missing: where the models lie", markup=False)
                raise typer.Exit(2)
            answer = folder / "answer.json"
            answer.unlink(missing_ok=True)
            request = RolloutRequest(model=model, canary=canary, healthy_s=healthy_s, timeout_s=timeout_s, stop=stop)
            write_json(folder / "request.json", request)
            deadline_s = time.monotonic() + _ANSWER_WITHIN_S
            while not answer.is_file() and time.monotonic() < deadline_s:
                time.sleep(0.1)
            if not answer.is_file():
                (folder / "request.json").unlink(missing_ok=True)
                errors.print(f"error: no collector answered within {_ANSWER_WITHIN_S:.0f} s: is it running?")
                raise typer.Exit(1)
            problem = read_model(answer, RolloutAnswer).problem
            if problem:
                errors.print(f"error: {problem}", markup=False)
                raise typer.Exit(2)
        kept = folder / "present.json"
        if not kept.is_file():
            console.print("no rollout yet")
            return
        present = read_model(kept, Rollout)
    except (ContractError, SetupProblems) as error:
        errors.print(str(error), markup=False)
        raise typer.Exit(2) from error
    healthy = ", ".join(present.healthy_since) or "none yet"
    console.print(
        f"{present.offer.name} {present.offer.version}: {present.stage} since {present.stage_since:%Y-%m-%d %H:%M:%S} "
        f"UTC; canary {present.canary}; of {len(present.nodes)} nodes running it: {healthy}. {present.text}",
        markup=False,
    )
