"""Ed25519 signatures of model manifests: making keys, signing, and asking who signed."""

from __future__ import annotations

import base64
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shelf_contracts.errors import FileProblems, Problem
from shelf_contracts.files import read_model
from shelf_contracts.manifest import Manifest, Signature, signed_content
from shelf_contracts.shipped import model_folder

if TYPE_CHECKING:
    # 7 MB that a node without signed models never needs: loaded where it is used.
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

_PREFIX = "ed25519:"


@dataclass(frozen=True)
class Trust:
    """Attributes:
    keys: public keys ("ed25519:…") whose models are trusted.
    require: refuse a model that none of them signed.
    """

    keys: tuple[str, ...] = ()
    require: bool = False


def make_keys(folder: Path, name: str) -> tuple[Path, Path]:
    """Write ``NAME.key`` (private, readable by its owner only) and ``NAME.pub``; their paths.

    Raises: FileProblems when one of them exists.
    """
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    private, public = folder / f"{name}.key", folder / f"{name}.pub"
    for path in (private, public):
        if path.exists():
            raise FileProblems(path, [Problem("", "exists", "must not exist yet", "choose another --name")])
    folder.mkdir(parents=True, exist_ok=True)
    key = Ed25519PrivateKey.generate()
    with os.fdopen(os.open(private, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    public.write_text(public_text(key) + "\n", encoding="ascii")
    return private, public


def read_private_key(path: Path) -> Ed25519PrivateKey:
    """Raises: FileProblems."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        key = load_pem_private_key(path.read_bytes(), password=None)
    except (OSError, ValueError, TypeError) as error:
        allowed = "must be a private key that `smartshelf models keys` made"
        raise FileProblems(path, [Problem("", type(error).__name__, allowed)]) from error
    if not isinstance(key, Ed25519PrivateKey):
        raise FileProblems(path, [Problem("", type(key).__name__, "must be an Ed25519 key")])
    return key


def public_text(key: Ed25519PrivateKey) -> str:
    """The public half as it stands in manifests and configurations."""
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    raw = key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    return _PREFIX + base64.b64encode(raw).decode()


def sign(manifest: dict[str, Any], key: Ed25519PrivateKey) -> Signature:
    """A signature of the manifest's content as it will be in the file."""
    value = base64.b64encode(key.sign(signed_content(manifest))).decode()
    return Signature(key=public_text(key), value=value)


def check_signature(manifest_path: Path, trust: Trust) -> str:
    """Who signed it: one of the trusted keys, or empty when there is no signature of a trusted one.

    Raises: FileProblems when a trusted key's signature does not fit, or when one is required and there is none.
    """
    manifest = read_model(manifest_path, Manifest)
    signature = manifest.signature
    if signature is None or signature.key not in trust.keys:
        if trust.require:
            found = "missing" if signature is None else f"by {signature.key}"
            remedy = "add the key to model.trusted_keys if you trust it, or sign the model: smartshelf models sign"
            if _is_shipped(manifest_path.parent):
                remedy = _sign_a_copy(manifest_path.parent, manifest)
            allowed = f"must be by one of {len(trust.keys)} trusted keys"
            raise FileProblems(manifest_path, [Problem("signature", found, allowed, remedy)])
        return ""
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    raw = json.loads(manifest_path.read_text(encoding="utf-8"))
    public = Ed25519PublicKey.from_public_bytes(base64.b64decode(signature.key.removeprefix(_PREFIX)))
    try:
        public.verify(base64.b64decode(signature.value), signed_content(raw))
    except InvalidSignature as error:
        remedy = "the manifest was changed after it was signed: fetch the model again"
        told = Problem("signature", f"does not fit, by {signature.key}", "must fit the manifest", remedy)
        raise FileProblems(manifest_path, [told]) from error
    return signature.key


def _is_shipped(folder: Path) -> bool:
    try:
        return folder.resolve().parent == model_folder().parent.resolve()
    except FileNotFoundError:  # installed without the package of the shipped models
        return False


def _sign_a_copy(shipped: Path, manifest: Manifest) -> str:
    """What to do with a model that came with smartshelf: the shop vouches for it with its own key."""
    key = "[model] path" if manifest.embedding is None else "[recogniser] model"
    name = shipped.name
    return (
        f"the models that come with smartshelf are not signed; sign a copy with the shop's key, away from the node: "
        f"cp -r {shipped} {name} && smartshelf models sign {name} --key SHOP.key; "
        f'put it beside the configuration and set {key} = "{name}"'
    )
