"""``smartshelf edge planogram``: check one, or bring one in from a table or another program's file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from shelf_edge.console import bad_input, errors

app = typer.Typer(help="Planograms: check, import, export.", no_args_is_help=True)

_USUAL_DEPTH_MM = 400.0
_output = Console(soft_wrap=True, highlight=False)
_Out = Annotated[Path, typer.Option(help="Written, whole or not at all.")]


@app.command()
def check(file: Annotated[Path, typer.Argument(help="planogram.json")]) -> None:
    """Tell everything that is wrong with a planogram, or what is in it."""
    with bad_input():
        from shelf_contracts.errors import FileProblems
        from shelf_contracts.files import read_model
        from shelf_contracts.planogram import Planogram
        from shelf_edge.core.view_check import view_problems

        plan = read_model(file, Planogram)
        wrong = [problem for view in plan.views for problem in view_problems(view)]
        if wrong:
            raise FileProblems(file, wrong)
    cameras = ", ".join(view.camera for view in plan.views) or "none yet (smartshelf edge calibrate)"
    _output.print(
        f"{file}: good. Bay {plan.bay}: {len(plan.fixtures)} shelves, {len(plan.positions)} slots, "
        f"{len(plan.products)} products. Cameras: {cameras}.",
        markup=False,
    )


@app.command("import")
def import_(
    source: Annotated[Path, typer.Argument(help="A .csv table (one row a slot), or Azure AI Vision's planogram JSON.")],
    store: Annotated[str, typer.Option(help="Id of the store.")],
    bay: Annotated[str, typer.Option(help="Id of the bay.")],
    out: _Out,
    width_mm: Annotated[float, typer.Option(min=1, max=100_000, help="CSV: how wide the bay is.")] = 1000.0,
    shelf_height_mm: Annotated[float, typer.Option(min=1, max=10_000, help="CSV: from one shelf to the next.")] = 350.0,
    shelf_depth_mm: Annotated[
        float | None,
        typer.Option(min=1, max=10_000, help="Front to back. CSV: 400 by default. JSON: one item deep by default."),
    ] = None,
    mm_per_unit: Annotated[float, typer.Option(min=0.001, max=1000, help="JSON: 25.4 for inches, 10 for cm.")] = 1.0,
) -> None:
    """Bring in a planogram: a table with a row for each slot, or Azure AI Vision's file.

    Columns: shelf, product, width_mm, height_mm; where known slot, gtin, name, depth_mm, x_mm, facings_h, facings_v,
    facings_d, capacity, min_presentation, case_pack.

    width_mm, height_mm and depth_mm are of ONE item (a facing), not of the slot: a slot is facings_h x width_mm wide
    (facings_h: side by side, 1 when left out) and facings_v x height_mm high. Slots of a shelf stand side by side from
    the left, or at x_mm; shelves from top to bottom as they come."""
    with bad_input():
        from shelf_contracts.errors import FileProblems, Problem
        from shelf_contracts.files import read_model, read_text, write_json

        if source.suffix.lower() == ".csv":
            from shelf_contracts.planogram_csv import BaySize, planogram_from_csv

            size = BaySize(width_mm, shelf_height_mm, shelf_depth_mm or _USUAL_DEPTH_MM)
            plan = planogram_from_csv(source, read_text(source), store=store, bay=bay, size=size)
        else:
            from pydantic import ValidationError

            from shelf_contracts.azure import AzureFile, from_azure
            from shelf_contracts.files import problems_of

            try:
                read = read_model(source, AzureFile)
                plan = from_azure(read, store=store, bay=bay, mm_per_unit=mm_per_unit, shelf_depth_mm=shelf_depth_mm)
            except ValidationError as error:
                raise FileProblems(source, problems_of(error)) from error
            except FileProblems:
                raise
            except ValueError as error:
                raise FileProblems(source, [Problem("", "a planogram that cannot be used", str(error))]) from error
        write_json(out, plan)
    _output.print(
        f"{out}: {len(plan.fixtures)} shelves, {len(plan.positions)} slots, {plan.width:g} x {plan.height:g} mm. "
        f"Now tell where the camera sees them: smartshelf edge calibrate {out} --picture PHOTO --corners ...",
        markup=False,
    )
    if source.suffix.lower() != ".csv" and shelf_depth_mm is None:
        told = "its slots are one item deep, for the file does not say how deep its shelves are: give --shelf-depth-mm"
        errors.print(f"note: {told}, and items behind others are counted too", style="yellow", markup=False)


@app.command()
def labels(
    picture: Annotated[Path, typer.Argument(help="A sharp picture by the shelf's camera, all labels in sight.")],
    planogram: Annotated[Path, typer.Option(help="With a view of that camera.")],
    camera: Annotated[str | None, typer.Option(help="Which view of the planogram; default: its first.")] = None,
    out: Annotated[Path | None, typer.Option(help="Written: the planogram as the labels say.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on the last line.")] = False,
) -> None:
    """Read the barcodes on shelf edges, and propose which product belongs to which slot. A bar of an EAN-13 must be
    about 1.5 px wide at least: 170 px for a label."""
    with bad_input():
        from shelf_contracts.files import write_json
        from shelf_edge.adapters.barcodes import BarcodeReader
        from shelf_edge.adapters.pictures import read_picture
        from shelf_edge.core.shelf_labels import ReadLabel, propose, with_labels
        from shelf_edge.replay import read_planogram_for

        plan, view = read_planogram_for(planogram, camera)
        reader, image = BarcodeReader(), read_picture(picture)
        read = [ReadLabel(one.gtin, one.middle_px) for one in reader.read(image)]
        found, lost = propose(read, plan, view, image.shape[1], image.shape[0])
        if out is not None:
            write_json(out, with_labels(plan, found))
    if as_json:
        slots = [{"slot": one.slot, "gtin": one.gtin, "planned_gtin": one.planned_gtin or None} for one in found]
        _output.print(json.dumps({"read": len(read), "slots": slots, "elsewhere": [one.gtin for one in lost]}))
        return
    for one in found:
        planned = "as planned" if one.is_as_planned else f"the planogram says {one.planned_gtin or 'nothing'}"
        _output.print(f"{one.slot}: {one.gtin} ({planned})", markup=False)
    others = f"; {len(lost)} hang under no slot" if lost else ""
    _output.print(f"{len(read)} barcodes read{others}{f' -> {out}' if out is not None else ''}", markup=False)


@app.command()
def export(file: Annotated[Path, typer.Argument(help="planogram.json")], out: _Out) -> None:
    """Write a planogram in Azure AI Vision's shape, for programs that read it; slots of several facings are split."""
    with bad_input():
        from shelf_contracts.azure import to_azure
        from shelf_contracts.files import read_model, write_json
        from shelf_contracts.planogram import Planogram

        write_json(out, to_azure(read_model(file, Planogram)))
    _output.print(f"{out}: written", markup=False)
