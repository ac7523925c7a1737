"""One MLflow run, or none, behind four calls."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from medswin.errors import ConfigError
from medswin.io import read_json, write_json
from medswin.quiet import silence

if TYPE_CHECKING:
    from mlflow import MlflowClient

MAX_PARAM = 500  # characters; MLflow refuses longer values on some stores


class Tracker(Protocol):
    """What a training run tells about itself."""

    def params(self, values: Mapping[str, Any]) -> None:
        """Settings, nested ones under dotted names."""

    def metrics(self, values: Mapping[str, float], step: int) -> None:
        """Numbers at a step."""

    def artifact(self, path: Path, folder: str = "") -> None:
        """A file, or a folder with all that is in it."""

    def close(self, status: str = "FINISHED") -> None:
        """The run is over: FINISHED, FAILED, or KILLED for one that can be resumed."""


class NoTracker:
    """Keeps nothing."""

    def params(self, values: Mapping[str, Any]) -> None:
        return

    def metrics(self, values: Mapping[str, float], step: int) -> None:
        return

    def artifact(self, path: Path, folder: str = "") -> None:
        return

    def close(self, status: str = "FINISHED") -> None:
        return


class MLflowTracker:
    """A run of an MLflow experiment."""

    def __init__(self, client: MlflowClient, run_id: str) -> None:
        self.client, self.run_id = client, run_id

    def params(self, values: Mapping[str, Any]) -> None:
        from mlflow.entities import Param

        flat = {key: str(value)[:MAX_PARAM] for key, value in flatten(values).items()}
        known = self.client.get_run(self.run_id).data.params  # a resumed run may not change what it logged before
        fresh = [Param(key, value) for key, value in flat.items() if key not in known]
        if fresh:
            self.client.log_batch(self.run_id, params=fresh)

    def metrics(self, values: Mapping[str, float], step: int) -> None:
        for key, value in values.items():
            self.client.log_metric(self.run_id, key, float(value), step=step)

    def artifact(self, path: Path, folder: str = "") -> None:
        if path.is_dir():
            self.client.log_artifacts(self.run_id, str(path), folder or None)
        else:
            self.client.log_artifact(self.run_id, str(path), folder or None)

    def close(self, status: str = "FINISHED") -> None:
        self.client.set_terminated(self.run_id, status)


def open_run(uri: str | None, experiment: str, name: str, folder: Path) -> Tracker:
    """Start a run, or go on with the one that ``folder`` remembers.

    Args:
        uri: of an MLflow server or store; None is ``mlflow.db`` (SQLite) beside ``folder``; ``"off"`` tracks nothing.
        experiment: name of the experiment, made where it is missing.
        name: name of the run.
        folder: of the training run; ``mlflow.json`` in it holds the run's id.

    Raises:
        ConfigError: if the store cannot be opened.
    """
    if uri == "off":
        return NoTracker()
    silence()
    for library in ("mlflow", "alembic"):  # they tell of every table that a new store gets
        logging.getLogger(library).setLevel(logging.WARNING)
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    store = uri or f"sqlite:///{(folder.parent / 'mlflow.db').resolve()}"
    kept = folder / "mlflow.json"
    try:
        client = MlflowClient(tracking_uri=store)
        if kept.exists() and (stored := read_json(kept)).get("store") == store:
            client.update_run(stored["run_id"], status="RUNNING")
            return MLflowTracker(client, stored["run_id"])
        run = client.create_run(_experiment(client, experiment, uri, folder), run_name=name)
    except (MlflowException, OSError) as error:
        raise ConfigError(
            f"the MLflow store {store} cannot be used ({error})",
            where="tracking.uri",
            repair="set it to another, or off",
        ) from error
    write_json(kept, {"store": store, "run_id": run.info.run_id})
    return MLflowTracker(client, run.info.run_id)


def flatten(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """``{"a": {"b": 1}}`` -> ``{"a.b": 1}``."""
    flat: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            flat |= flatten(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def _experiment(client: MlflowClient, name: str, uri: str | None, folder: Path) -> str:
    found = client.get_experiment_by_name(name)
    if found is not None:
        return str(found.experiment_id)
    location = None if uri else (folder.parent / "mlartifacts").resolve().as_uri()
    return str(client.create_experiment(name, artifact_location=location))
