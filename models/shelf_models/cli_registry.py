"""``smartshelf models list|check|card|keys|sign|promote|rollback``: models, and whom to trust."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from shelf_models.console import bad_input, errors, output, refuse

if TYPE_CHECKING:
    from shelf_edge.adapters.model_store import ModelStore

_Model = Annotated[Path, typer.Argument(help="A model folder or an .onnx file.")]
_Folder = Annotated[Path, typer.Argument(help="A model folder.")]
_Config = Annotated[Path, typer.Option(help="The node's TOML file: its models, its trusted keys.")]


def add_to(app: typer.Typer) -> None:
    """Make these commands of ``smartshelf models``."""
    app.command("list")(list_models)
    for command in (check, card, keys, sign, promote, rollback):
        app.command()(command)


def list_models(
    config: Annotated[
        Path | None, typer.Option(help="A node's TOML file: its models too, and what was changed.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on the last line.")] = False,
) -> None:
    """The shipped models, and those of a node with the changes that were made."""
    from shelf_contracts.shipped import model_folder
    from shelf_edge.adapters.model_folder import MANIFEST_NAME
    from shelf_edge.config import check_config

    with bad_input():
        shipped = sorted(path.parent for path in model_folder().parent.glob(f"*/{MANIFEST_NAME}"))
        rows = [_row("shipped", folder) for folder in shipped]
        history: list[dict[str, str]] = []
        if config is not None:
            store = _store(config)
            trusted = tuple(check_config(config).config.model.trusted_keys)
            pointer = store.pointer
            for place in ("a", "b", ""):
                if store.path_of(place).exists():
                    state = "active" if place == pointer.active else ""
                    state = "previous" if not state and place == pointer.previous else state
                    state = f"{state}, on trial" if state == "active" and pointer.on_trial else state
                    rows.append(_row(place or "base", store.path_of(place), state, trusted))
            history = store.history()
    if as_json:
        output.print(json.dumps({"models": rows, "changes": history}), markup=False)
        return
    for row in rows:
        output.print("  ".join(filter(None, row.values())), markup=False)
    for change in history:
        output.print(f"{change['at']}  {change['from']} -> {change['to']}: {change['reason']}", markup=False)


def _row(place: str, path: Path, state: str = "", trusted: tuple[str, ...] | None = None) -> dict[str, str]:
    """One model; ``trusted``: the node's keys, None where no node was named."""
    from shelf_contracts.errors import ContractError
    from shelf_edge.adapters.model_folder import locate_model
    from shelf_edge.adapters.signatures import Trust

    try:
        manifest = locate_model(path).manifest
        signed = "not signed"
        if manifest.signature:
            # Whether the signature fits its own key; whether that key may be trusted is the node's to say.
            signer = locate_model(path, Trust((manifest.signature.key,), require=True)).signed_by
            whose = "whose it is was not checked" if trusted is None else "not one of trusted_keys"
            signed = f"signed by {signer}, {'trusted' if signer in (trusted or ()) else whose}"
    except ContractError as error:
        return {"place": place, "model": path.name, "state": f"not usable: {error}"}
    return {
        "place": place,
        "model": f"{manifest.name} {manifest.version}",
        "state": state,
        "licence": manifest.licence,
        "sha256": manifest.sha256[:12],
        "signature": signed,
    }


def check(
    model: _Model,
    trusted: Annotated[
        list[Path] | None, typer.Option(help="Public key files; one of them must have signed it.")
    ] = None,
) -> None:
    """Load a model as a node would: hash, signature, head, labels, golden pictures; say what to do when it won't do."""
    from shelf_contracts.errors import ContractError
    from shelf_edge.adapters.detector_onnx import OnnxDetector
    from shelf_edge.adapters.model_folder import graph_text, locate_model
    from shelf_edge.adapters.recogniser_onnx import OnnxRecogniser
    from shelf_edge.adapters.signatures import Trust

    with bad_input():
        trust = Trust(tuple(_public_key(path) for path in trusted or ()), require=bool(trusted))
        if model.suffix == ".onnx" and model.is_file():
            for line in graph_text(model):
                output.print(line, markup=False)
        try:
            files = locate_model(model, trust)
            info = (OnnxDetector(files) if files.manifest.embedding is None else OnnxRecogniser(files)).info
        except ContractError:
            errors.print("verdict: not usable as it is", style="red")
            raise
    manifest = files.manifest
    shape = f"{manifest.preprocessing.width}x{manifest.preprocessing.height} {manifest.preprocessing.colour_order}"
    meaning = ", ".join(f"{label} = {kind}" for label, kind in manifest.kinds.items())
    if manifest.embedding is not None:
        meaning = f"dimension {manifest.embedding.dimension}"
    pictures = len(manifest.file_names) - 1
    golden = f"{pictures} passed" if pictures else "none"
    signed = f"signed by {files.signed_by}" if files.signed_by else "no trusted signature asked for or found"
    output.print(f"{info.name} {info.version}, {info.licence}: good.", markup=False)
    output.print(f"input {shape}; head {manifest.head}; {meaning}; golden pictures: {golden}; {signed}.", markup=False)
    if files.is_brought:
        output.print(
            "verdict: usable. What to do: measure it (smartshelf models evaluate detector --model FILE --data DIR), "
            "then write a manifest beside it with licence, labels and a golden picture (models/README.md).",
            markup=False,
        )


def card(
    model: _Folder,
    show: Annotated[bool, typer.Option("--print", help="Print it instead of writing CARD.md.")] = False,
) -> None:
    """Write CARD.md from the manifest."""
    with bad_input():
        from shelf_contracts.files import read_model
        from shelf_contracts.manifest import Manifest
        from shelf_edge.adapters.model_folder import MANIFEST_NAME
        from shelf_models.card import CARD_NAME, card_text

        text = card_text(read_model(model / MANIFEST_NAME, Manifest))
        if show:
            output.print(text, markup=False, end="")
        else:
            _write_whole(model / CARD_NAME, text)
            output.print(f"written: {model / CARD_NAME}", markup=False)


def keys(
    out: Annotated[Path, typer.Option(help="Folder for NAME.key and NAME.pub.")],
    name: Annotated[str, typer.Option(help="Whose keys: a shop, a person, a build machine.")] = "models",
) -> None:
    """Make an Ed25519 pair: NAME.key signs (keep it off the nodes), NAME.pub goes into model.trusted_keys."""
    with bad_input():
        from shelf_edge.adapters.signatures import make_keys

        private, public = make_keys(out, name)
    output.print(f"private: {private} (keep it secret)\npublic: {public}", markup=False)
    output.print(f'trusted_keys = ["{public.read_text().strip()}"]', markup=False)


def sign(
    model: _Folder, key: Annotated[Path, typer.Option(help="A private key that `smartshelf models keys` made.")]
) -> None:
    """Sign a model folder, detector or recogniser: its manifest, with the hashes of its files. It is checked first."""
    with bad_input():
        from shelf_contracts.files import read_model
        from shelf_contracts.manifest import Manifest
        from shelf_edge.adapters.detector_onnx import OnnxDetector
        from shelf_edge.adapters.model_folder import MANIFEST_NAME, locate_model
        from shelf_edge.adapters.recogniser_onnx import OnnxRecogniser
        from shelf_edge.adapters.signatures import read_private_key
        from shelf_edge.adapters.signatures import sign as sign_manifest

        private = read_private_key(key)
        path = model / MANIFEST_NAME
        read_model(path, Manifest)
        files = locate_model(model)
        if files.manifest.embedding is None:
            OnnxDetector(files)
        else:
            OnnxRecogniser(files)
        content = json.loads(path.read_text(encoding="utf-8"))
        signature = sign_manifest(content, private)
        content["signature"] = signature.model_dump()
        _write_whole(path, json.dumps(content, indent=2, ensure_ascii=False) + "\n")
    output.print(f"{path}: signed by {signature.key}", markup=False)
    if (model / "CARD.md").is_file():
        output.print("its card names the signer: run `smartshelf models card` again", markup=False)


def promote(
    model: _Folder,
    config: _Config,
    force: Annotated[
        bool, typer.Option(help="Take an older model, or one that failed before; this is logged.")
    ] = False,
) -> None:
    """Make a model the active one of a node, on trial; the one before stays. A running node takes it within seconds."""
    with bad_input():
        store = _store(config)
        switch = store.promote(model, force=force)
    output.print(
        f"{switch.before.name} {switch.before.version} -> {switch.after.name} {switch.after.version}: {switch.reason}",
        markup=False,
    )
    if switch.warning:
        errors.print(f"warning: {switch.warning}", style="bold red", markup=False)


def rollback(
    config: _Config, reason: Annotated[str, typer.Option(help="Why; it is logged.")] = "asked for on the command line"
) -> None:
    """Go back to the model before the active one, and remember the active one as failed."""
    with bad_input():
        switch = _store(config).roll_back(reason)
    output.print(f"active now: {switch.after.name} {switch.after.version}", markup=False)


def _store(config: Path) -> ModelStore:
    from shelf_edge.adapters.detector_onnx import load_detector
    from shelf_edge.adapters.model_store import ModelStore
    from shelf_edge.config import check_config

    checked = check_config(config)
    section = checked.config.model

    def self_test(path: Path) -> None:
        load_detector(path, execution=section.execution, trust=section.trust)

    return ModelStore(checked.models, checked.model, section.trust, self_test)


def _public_key(path: Path) -> str:
    try:
        text = path.read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        text = ""
    if not text.startswith("ed25519:"):
        raise refuse(f"{path}: must be a public key file that `smartshelf models keys` made")
    return text


def _write_whole(path: Path, text: str) -> None:
    part = path.with_name(path.name + ".part")
    part.write_text(text, encoding="utf-8")
    part.replace(path)
