"""Sessions that raydistill exported: they are stored as they are, so settings that would change them are refused."""

from dataclasses import replace
from typing import Any

from raydistill.config.fingerprint import canonical
from raydistill.errors import DataError
from raydistill.recordings.recording import Recording
from raydistill.store.exported import Exported
from raydistill.store.session import Session


def exported_session(recording: Recording, session: Session, sources: dict[str, str]) -> Session:
    """The exported session under the name of its recording, with what the manifest says of it.

    Args:
        sources: file name -> sha256, stored with the session.

    Raises:
        DataError: the user set a value of preprocessing that differs from that of the exported session.
    """
    assert session.exported is not None
    source = recording.source
    _check_settings(recording, session.exported)
    if source.pieces != "auto":
        raise DataError(f"`pieces: {source.pieces}` does not apply to a session that raydistill exported; leave it out")
    return replace(
        session,
        name=recording.name,
        subject=source.subject or session.subject,
        dataset=source.dataset or session.dataset,
        task=source.task or session.task,
        region=source.region or session.region,
        sources=sources,
    )


def _check_settings(recording: Recording, exported: Exported) -> None:
    set_here, of_export = canonical(recording.config), canonical(exported.config)
    for path in recording.chosen:
        value, kept = _at(set_here, path), _at(of_export, path)
        if value != kept and (path, value) != ("filters", None):  # nothing is filtered again in any case
            raise DataError(
                f"`ingest.{path}` is {value}, but raydistill exported the session with {kept}, and what it exported is "
                "stored as it is; leave the setting out, or ingest the original recording: "
                f"{', '.join(exported.entry.sources) or exported.entry.session}"
            )


def _at(tree: Any, path: str) -> Any:
    for key in path.split("."):
        tree = tree.get(key) if isinstance(tree, dict) else None
    return tree
