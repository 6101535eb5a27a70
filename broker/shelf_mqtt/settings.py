"""The ``[broker]`` section of a component's configuration file, the same for all of them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, model_validator

from shelf_mqtt.address import BrokerAddress


class BrokerSection(BaseModel):
    """Where the MQTT broker is. Secrets are given as files, never here; file names are relative to the config file.

    Attributes:
        identity: the folder that ``smartshelf pki enrol`` filled, instead of the three ``tls_`` files.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    host: Annotated[str, Field(min_length=1)] = "127.0.0.1"
    port: Annotated[int, Field(ge=1, le=65_535)] = 1883
    username: str | None = None
    password_file: Path | None = None
    tls_ca: Path | None = None
    tls_cert: Path | None = None
    tls_key: Path | None = None
    identity: Path | None = None

    @model_validator(mode="after")
    def _makes_sense(self) -> BrokerSection:
        if self.password_file is not None and self.username is None:
            raise ValueError("password_file needs username")
        if (self.tls_cert is None) != (self.tls_key is None):
            raise ValueError("tls_cert and tls_key must be given together")
        if self.tls_cert is not None and self.tls_ca is None:
            raise ValueError("tls_cert needs tls_ca")
        if self.identity is not None and self.tls_ca is not None:
            raise ValueError("identity gives the certificates: leave tls_ca, tls_cert and tls_key out")
        return self

    def address(self, folder: Path) -> BrokerAddress:
        """The address a session connects to; ``folder`` is that of the config file."""

        def beside(name: Path | None) -> Path | None:
            return None if name is None else folder / name

        return BrokerAddress(
            host=self.host,
            port=self.port,
            username=self.username,
            password_file=beside(self.password_file),
            tls_ca=beside(self.tls_ca),
            tls_cert=beside(self.tls_cert),
            tls_key=beside(self.tls_key),
            identity=beside(self.identity),
        )
