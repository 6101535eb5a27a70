"""/models: the files of models that nodes fetch; /api/v1/rollouts: how the present rollout goes."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import FileResponse
from pydantic import BaseModel

from shelf_collector.adapters.web.errors import not_found
from shelf_collector.adapters.web.site import site_of
from shelf_collector.core.rollout import Rollout

router = APIRouter()


class RolloutView(BaseModel):
    """``rollout``: the one that is going on, or the last one; null when there was none."""

    rollout: Rollout | None
    models: list[str]


@router.get("/models/{name}/{file}", tags=["models"])
def get_model_file(request: Request, name: str, file: str) -> FileResponse:
    """A file of a model that is offered. Nodes trust its hash and signature, not this address."""
    rollouts = site_of(request).rollouts
    path = rollouts.shelf.file(name, file) if rollouts is not None else None
    if path is None:
        raise not_found("model file", f"{name}/{file}", rollouts.shelf.names() if rollouts is not None else [])
    return FileResponse(path, media_type="application/octet-stream")


@router.get("/api/v1/rollouts", tags=["models"])
def get_rollouts(request: Request) -> RolloutView:
    """How the present rollout goes, and which models can be offered."""
    rollouts = site_of(request).rollouts
    if rollouts is None:
        return RolloutView(rollout=None, models=[])
    return RolloutView(rollout=rollouts.present, models=rollouts.shelf.names())
