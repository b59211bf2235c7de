"""Where units and LFP channels were recorded, in the electrode table of an exported NWB file."""

from raydistill.store.catalogue import Entry
from raydistill.store.channels import COLUMNS, ChannelTable

_UNKNOWN = "unknown"


def add_electrodes(nwb, module, entry: Entry) -> None:
    """Add the electrodes of a session to `nwb`, and to `module` one table each for its units and its LFP electrodes.

    The electrode table has one row per electrode, with its position in micrometres. Its columns `electrode`, `array`
    and `region` are as in the store; an array is also an electrode group, and a region a location. The tables
    `unit_electrodes` and `lfp_electrodes` name the row of each unit and of each LFP electrode, in the order of the
    data. There is no table of what the store does not know.
    """
    tables = {"unit_electrodes": entry.unit_channels, "lfp_electrodes": entry.lfp_channels}
    rows = {row: None for table in tables.values() if table is not None for row in _rows(table)}
    if not rows:
        return
    places = {row: number for number, row in enumerate(rows)}
    _add_rows(nwb, list(rows))
    what = {
        "unit_electrodes": "each unit in spike_counts",
        "lfp_electrodes": f"each LFP electrode, which has {entry.lfp_bands} adjacent columns in lfp",
    }
    for name, table in tables.items():
        if table is not None:
            module.add(_table(nwb, name, f"The electrode of {what[name]}.", [places[row] for row in _rows(table)]))


def _rows(table: ChannelTable) -> list[tuple]:
    return list(zip(*(getattr(table, name) for name in COLUMNS), strict=True))


def _add_rows(nwb, rows: list[tuple]) -> None:
    values = [dict(zip(COLUMNS, row, strict=True)) for row in rows]
    device = nwb.create_device(name="recording device", description="The device is not known to raydistill.")
    groups = {}
    for array in dict.fromkeys(row["array"] for row in values):
        regions = sorted({row["region"] for row in values if row["array"] == array} - {""})
        name = array.replace("/", "_").replace(":", "_") or _UNKNOWN
        while name in nwb.electrode_groups:
            name += "_"
        groups[array] = nwb.create_electrode_group(
            name=name,
            description=f"Electrodes of array {array}." if array else "Electrodes of which the array is unknown.",
            location=", ".join(regions) or _UNKNOWN,
            device=device,
        )
    nwb.add_electrode_column("electrode", "Name or number of the electrode in the recording; empty: unknown.")
    nwb.add_electrode_column("array", "Array, probe or shank of the electrode; empty: unknown.")
    nwb.add_electrode_column("region", "Brain region, as the recording names it; empty: unknown.")
    known = [axis for axis in "xyz" if any(row[f"{axis}_um"] is not None for row in values)]
    for row in values:
        nwb.add_electrode(
            group=groups[row["array"]],
            location=row["region"] or _UNKNOWN,
            electrode=row["electrode"],
            array=row["array"],
            region=row["region"],
            **{axis: float("nan") if row[f"{axis}_um"] is None else float(row[f"{axis}_um"]) for axis in known},
        )


def _table(nwb, name: str, description: str, places: list[int]):
    from hdmf.common import DynamicTable, DynamicTableRegion

    region = DynamicTableRegion(
        name="electrodes", data=places, description="Row of the electrode table.", table=nwb.electrodes
    )
    return DynamicTable(name=name, description=description, columns=[region])
