"""Keeps the libraries below medswin from reporting home.

MLflow sends usage records from the process that logs a run: at ``import mlflow`` it makes a client with a persistent
installation id, and the first record starts threads that fetch a configuration and post to a collector. It reads its
two switches at import, and MONAI imports MLflow by itself, so ``import medswin`` turns them before anything else.
"""

from __future__ import annotations

import os
import sys

# MLflow takes "true" for DO_NOT_TRACK, not the "1" that others take as well.
SWITCHES = {"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true", "RAY_USAGE_STATS_ENABLED": "0"}
# MLflow's own tests set this one, and it beats the two switches above.
OVERRIDE = "_MLFLOW_TESTING_TELEMETRY"


def silence() -> None:
    """Switch telemetry off for this process and the processes it starts, also where MLflow was imported before."""
    os.environ.update(SWITCHES)
    os.environ.pop(OVERRIDE, None)
    telemetry = sys.modules.get("mlflow.telemetry")
    if telemetry is not None:
        client = telemetry.get_telemetry_client()
        if client is not None:
            client.flush(terminate=True)
        telemetry.set_telemetry_client()
