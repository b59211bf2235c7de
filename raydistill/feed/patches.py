"""How many patches a bin of a session is cut into; known from the catalogue alone, without torch."""


def patches_per_bin(widths: tuple[int, ...], modality: str, n_units: int, n_channels: int) -> int:
    """Patches per bin (P) of a session with this many units and LFP channels."""
    columns: tuple[int, ...]
    if modality != "multimodal":
        columns = (n_units,) if modality == "spikes" else (n_channels,)
    else:
        columns = (n_units, n_channels) if len(widths) == 2 else (n_units + n_channels,)
    return max(-(-n // w) for n, w in zip(columns, widths, strict=True))
