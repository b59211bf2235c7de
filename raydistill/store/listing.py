"""The complete sessions of a store, from their markers, and the catalogue (sessions.parquet) compiled from these."""

import contextlib
from functools import partial

from raydistill.errors import DataError, one_line
from raydistill.files import Folder
from raydistill.store.catalogue import Entry
from raydistill.store.checks import checked_entry, missing_or_short

CATALOGUE = "sessions.parquet"
COMPILE_AGAIN = "`raydistill ingest` of any of its recordings compiles it again"
_COLUMNS = (
    *("session", "subject", "dataset", "task", "region", "bin_width_ms", "n_segments", "n_bins"),
    *("n_units", "n_channels", "behavior", "protocol", "fingerprint", "content"),
)


def complete_sessions(folder: Folder, below: str = "segments") -> list[tuple[Entry, str]]:
    """Entry and content of the marker of each complete session in a folder of the store, sorted by name.

    One whose marker cannot be read, or of which a file is missing or of another size, is left out.
    """
    complete, sizes = [], folder.sizes(below)
    by_folder: dict[str, dict[str, int]] = {}
    for name, size in sizes.items():
        by_folder.setdefault(name.rpartition("/")[0], {})[name] = size
    for name in sizes:
        if name.endswith("/session.json"):
            with contextlib.suppress(DataError, OSError):
                content = folder.read(name)
                entry = checked_entry(name, content)
                if not missing_or_short(entry, by_folder[name.rpartition("/")[0]]):
                    complete.append((entry, content.decode()))
    return complete


def write_catalogue(folder: Folder, complete: list[tuple[Entry, str]]) -> None:
    """Write the catalogue of these sessions."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns = {name: [getattr(entry, name) for entry, _ in complete] for name in _COLUMNS}
    columns["behavior"] = [list(entry.behavior) for entry, _ in complete]
    table = pa.table(columns | {"entry": [text for _, text in complete]})
    folder.write_with(CATALOGUE, partial(pq.write_table, table, compression="zstd", write_page_checksum=True))


def read_catalogue(folder: Folder, all_columns: bool = False) -> dict[str, str] | str:
    """Session -> text of its entry in the catalogue; or what is wrong with the catalogue.

    Args:
        all_columns: read those for other programs, too, and so notice their damage.

    Raises:
        DataError: there is no catalogue, so no store.
    """
    import pyarrow.parquet as pq
    from pyarrow import ArrowException, BufferReader

    if not folder.exists(CATALOGUE):
        raise DataError(f"store {folder.uri}: there is no session store here; create one with `raydistill ingest`")
    try:
        content = BufferReader(folder.read_buffer(CATALOGUE))
        columns = None if all_columns else ["session", "entry"]
        table = pq.read_table(content, columns=columns, page_checksum_verification=True)
        return dict(zip(*(table.column(name).to_pylist() for name in ("session", "entry")), strict=True))
    except (ArrowException, OSError, ValueError, KeyError) as err:
        return f"{CATALOGUE} is damaged ({one_line(err)})"
