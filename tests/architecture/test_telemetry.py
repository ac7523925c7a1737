"""Nothing phones home: a logged run opens no connection and starts no telemetry, outside pytest and CI as well."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

# Every way out of the process is blocked and written down: MLflow swallows the errors, so only the list tells.
SCRIPT = """
import json, socket, sys, threading, time

attempts = []

def blocked(name):
    def refuse(*args, **kwargs):
        attempts.append([name, repr(args)[:200]])
        raise OSError("the network is blocked")
    return refuse

for name in ("connect", "connect_ex", "sendto"):
    setattr(socket.socket, name, blocked(name))
for name in ("getaddrinfo", "gethostbyname", "create_connection"):
    setattr(socket, name, blocked(name))

started, start = [], threading.Thread.start

def watched(thread):
    started.append(thread.name)
    start(thread)

threading.Thread.start = watched

if "quiet" in sys.argv:
    if "late" in sys.argv:
        import mlflow
    import medswin
import mlflow
from mlflow.telemetry import get_telemetry_client

client = get_telemetry_client()
mlflow.set_tracking_uri("sqlite:///runs.db")
with mlflow.start_run(run_name="a run"):
    mlflow.log_params({"a": 1})
    mlflow.log_metric("loss", 0.5, step=1)
time.sleep(0.3)
threads = [name for name in started if "elemetry" in name]
print(json.dumps({"attempts": attempts, "threads": threads, "client": type(client).__name__}))
"""

# What MLflow takes for a sign of CI or of a test; with any of them set it would be silent by itself.
SIGNS = ("CI", "PYTEST", "GITHUB", "GITLAB", "CIRCLECI", "JENKINS", "TRAVIS", "TF_BUILD", "BITBUCKET", "CODEBUILD")
SIGNS += ("BUILDKITE", "TEAMCITY", "CLOUD_RUN", "RUNBOT", "MLFLOW", "_MLFLOW", "DO_NOT_TRACK", "RAY_")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home folder and a run database for all of them: making the database takes longest."""
    return tmp_path_factory.mktemp("home")


def log_a_run(folder: Path, *words: str) -> dict:
    env = {key: value for key, value in os.environ.items() if not key.startswith(SIGNS)}
    env |= {"HOME": str(folder), "PYTHONPATH": str(Path(__file__).parents[2])}
    command = [*without_network(), sys.executable, "-c", SCRIPT, *words]
    done = subprocess.run(command, capture_output=True, text=True, env=env, cwd=folder, timeout=120)
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout.splitlines()[-1])


def without_network() -> list[str]:
    """A prefix that runs a command in a network namespace of its own, with no way out, where the system allows it."""
    prefix = ["unshare", "--user", "--map-root-user", "--net"]
    allowed = shutil.which("unshare") and subprocess.run([*prefix, "true"], capture_output=True).returncode == 0
    return prefix if allowed else []


def test_the_probe_sees_mlflow_phoning_home_without_medswin(home: Path) -> None:
    seen = log_a_run(home)
    assert seen["client"] == "TelemetryClient"
    assert "GetTelemetryConfig" in seen["threads"]
    assert any("telemetry" in where for _, where in seen["attempts"])


@pytest.mark.parametrize("order", [("quiet",), ("quiet", "late")], ids=["medswin first", "mlflow first"])
def test_with_medswin_a_logged_run_stays_at_home(home: Path, order: tuple[str, ...]) -> None:
    assert log_a_run(home, *order) == {"attempts": [], "threads": [], "client": "NoneType"}
