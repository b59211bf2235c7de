"""The process of the MLflow server of a runs folder: `python -m raydistill.tracking.serving PORT ROOT`.

It ends when its standard input is closed, that is, when the process that started it has ended in whatever way. It
serves no artifact from outside of ROOT: a database names the places of its artifacts, and one that came from
somebody else could name any file of this machine. Without ROOT it serves what the database names.
"""

import os
import sys
import threading
from pathlib import Path
from typing import Any

from raydistill.tracking.landing import add_landing_pages

_INSIDE = {"runs", "models", "mlflow-artifacts"}
"""Schemes that lead to another address, which is checked in its turn, or below the root."""


def main(port: int, root: Path | None) -> None:
    """Serve until the process ends. The addresses of database and artifacts are in MLflow's environment variables."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    backend, artifacts = os.environ["MLFLOW_BACKEND_STORE_URI"], os.environ["MLFLOW_ARTIFACTS_DESTINATION"]
    from mlflow.server import constants

    os.environ[constants.BACKEND_STORE_URI_ENV_VAR] = backend
    os.environ[constants.ARTIFACT_ROOT_ENV_VAR] = "mlflow-artifacts:/"
    os.environ[constants.ARTIFACTS_DESTINATION_ENV_VAR] = artifacts
    os.environ[constants.SERVE_ARTIFACTS_ENV_VAR] = "true"
    import uvicorn
    from mlflow.server.fastapi_app import app
    from mlflow.server.handlers import initialize_backend_stores

    if root is not None:
        _hold_artifacts_to(root)
    add_landing_pages(app)
    initialize_backend_stores(backend, backend, "mlflow-artifacts:/")
    uvicorn.run(app, host="127.0.0.1", port=port, log_level="warning", timeout_graceful_shutdown=3)


def _end_with_parent() -> None:
    sys.stdin.buffer.read()
    os._exit(0)


def _hold_artifacts_to(root: Path) -> None:
    """Let MLflow refuse every artifact whose address leads out of a folder, also through links."""
    from mlflow.exceptions import MlflowException
    from mlflow.protos.databricks_pb2 import PERMISSION_DENIED
    from mlflow.store.artifact.artifact_repository_registry import get_registered_artifact_repositories
    from mlflow.store.artifact.local_artifact_repo import LocalArtifactRepository

    resolved_root = root.resolve()

    def refuse(artifact_uri: str) -> MlflowException:
        return MlflowException(
            f"{artifact_uri} is outside of {resolved_root}, whose runs are served here", PERMISSION_DENIED
        )

    class ArtifactsInside(LocalArtifactRepository):
        def __init__(self, artifact_uri: str, *args: Any, **options: Any):
            super().__init__(artifact_uri, *args, **options)
            if not Path(self.artifact_dir).resolve().is_relative_to(resolved_root):
                raise refuse(artifact_uri)

        def get_local_path(self, artifact_path: str) -> str:
            local_path = super().get_local_path(artifact_path)
            if not Path(local_path).resolve().is_relative_to(resolved_root):
                raise refuse(local_path)
            return local_path

    def elsewhere(artifact_uri: str, *_: Any, **__: Any) -> Any:
        raise refuse(artifact_uri)

    repositories: dict[str, Any] = get_registered_artifact_repositories()
    for scheme in repositories.keys() - _INSIDE:
        repositories[scheme] = elsewhere
    repositories[""] = repositories["file"] = ArtifactsInside


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]) if sys.argv[2:] else None)
