"""An NWB file as labs write them: LFP outside of its container, qualities of units, trials with a column."""

from datetime import UTC, datetime

import numpy as np


def write_nwb(path, seconds):
    """3 units (two good), 4 channels at 500 Hz in acquisition, a circling hand, trials of 8 s every 10 s."""
    import pynwb
    from pynwb.behavior import Position, SpatialSeries
    from pynwb.ecephys import ElectricalSeries

    rng = np.random.default_rng(0)
    subject = pynwb.file.Subject(subject_id="m1", species="Mus musculus", sex="U", age="P90D")
    nwb = pynwb.NWBFile("made up", "made-up", datetime(2020, 1, 1, tzinfo=UTC), subject=subject)
    group = nwb.create_electrode_group("shank0", "d", "CA1", nwb.create_device("probe"))
    for _ in range(4):
        nwb.add_electrode(group=group, location="CA1")
    nwb.add_unit_column("quality", "of the sorting")
    for quality in ("good", "mua", "good"):
        nwb.add_unit(spike_times=np.sort(rng.uniform(0, seconds, 10 * seconds)), quality=quality)
    lfp = rng.normal(size=(500 * seconds, 4))
    electrodes = nwb.create_electrode_table_region([0, 1, 2, 3], "all")
    nwb.add_acquisition(ElectricalSeries("LFP_probe0", lfp, electrodes, rate=500.0, starting_time=0.0))
    nwb.add_trial_column("is_good", "by the experimenter")
    for k, start in enumerate(range(0, seconds - 9, 10)):
        nwb.add_trial(start_time=float(start), stop_time=start + 8.0, is_good=k % 2 == 0)
    t = np.arange(100 * seconds) / 100
    hand = np.column_stack([np.sin(t), np.cos(t)])
    box = Position()
    nwb.create_processing_module("behavior", "tracking").add(box)
    box.add_spatial_series(
        SpatialSeries(name="hand", data=hand, reference_frame="o", unit="meters", rate=100.0, starting_time=0.0)
    )
    with pynwb.NWBHDF5IO(str(path), "w") as io:
        io.write(nwb)
