"""The number of patches into which a bin of a session is cut, from the catalogue alone; imports no torch."""


def patches_per_bin(widths: tuple[int, ...], modality: str, n_units: int, n_channels: int) -> int:
    """Patches per bin (P) of a session (docs/methods.md, Tokens).

    Args:
        widths: slots per patch of each signal, as in `Inputs.widths`.
        modality: spikes, lfp or multimodal.
        n_units, n_channels: number of units and of LFP channels of the session.
    """
    columns: tuple[int, ...]
    if modality != "multimodal":
        columns = (n_units,) if modality == "spikes" else (n_channels,)
    else:
        columns = (n_units, n_channels) if len(widths) == 2 else (n_units + n_channels,)
    return max(-(-n // w) for n, w in zip(columns, widths, strict=True))
