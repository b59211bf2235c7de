"""Small NWB files laid out like two dandisets of monkeys that reach, with the names and oddities of the real ones."""

from datetime import UTC, datetime
from pathlib import Path

import numpy as np

RNG_SEED = 11


def write_perich(path: Path, *, seconds=60.0, waveforms=48, untimed=()) -> Path:
    """Like a centre-out session of DANDI 000688: 10 units of M1 and PMd, a cursor at 100 Hz, trials with NaN.

    Position, velocity and acceleration are columns (sin t, cos t) and their derivatives; velocity and acceleration
    share the time stamps of position by a link. Each spike has `waveforms` samples. Trials whose number is in
    `untimed` have no start.
    """
    from pynwb import NWBHDF5IO, TimeSeries
    from pynwb.behavior import BehavioralTimeSeries, Position, SpatialSeries

    rng = np.random.default_rng(RNG_SEED)
    nwb = _nwb_file("C", session_id="sub-C_ses-CO-20131003", experiment_description="Center-out delayed reaching task")
    _add_arrays(nwb, {"electrode_group_M1": "M1", "electrode_group_PMd": "PMd"}, electrodes=4)
    for unit in range(10):
        times = np.sort(rng.uniform(0, seconds, int(12 * seconds)))
        shapes = rng.integers(-500, 500, (len(times), 1, waveforms)).astype(np.int16)
        nwb.add_unit(spike_times=times, electrodes=[unit % 8], **({"waveforms": shapes} if waveforms else {}))
    t = np.arange(0, seconds, 0.01)
    cursor = {"cursor_pos": (np.sin(t), np.cos(t)), "cursor_vel": (np.cos(t), -np.sin(t))}
    cursor["cursor_acc"] = (-np.sin(t), -np.cos(t))
    series = {k: np.column_stack(v) for k, v in cursor.items()}
    position = SpatialSeries(
        name="cursor_pos", data=series["cursor_pos"], timestamps=t, unit="cm", reference_frame="screen centre"
    )
    module = nwb.create_processing_module("behavior", "Processed Behavioral data")
    module.add(Position(spatial_series=position))
    for container, name, unit in (("Velocity", "cursor_vel", "cm/s"), ("Acceleration", "cursor_acc", "cm/s^2")):
        own = TimeSeries(name=name, data=series[name], timestamps=position, unit=unit)
        module.add(BehavioralTimeSeries(name=container, time_series=own))
    for column in ("target_on_time", "go_cue_time", "target_dir", "target_id", "target_corners", "result"):
        nwb.add_trial_column(column, "as published")
    for number, start in enumerate(np.arange(1.0, seconds - 4, 4.0)):
        aborted = number % 5 == 3
        unknown = {"target_dir": np.nan, "target_id": np.nan, "target_corners": np.full(4, np.nan)}
        known = {"target_dir": 0.5, "target_id": 3.0, "target_corners": np.arange(4.0)}
        nwb.add_trial(
            start_time=np.nan if number in untimed else start,
            stop_time=start + 3.5,
            target_on_time=np.nan if aborted else start + 0.5,
            go_cue_time=np.nan if aborted else start + 1.0,
            result="A" if aborted else "R",
            **(unknown if aborted else known),
        )
    with NWBHDF5IO(path, "w") as io:
        io.write(nwb)
    return path


def maze_trials(n=24, *, gap_s=0.7) -> np.ndarray:
    """(n, 2) start and stop of trials of 2 to 3.5 s, with a gap of `gap_s` after each."""
    lengths = np.random.default_rng(RNG_SEED).uniform(2.0, 3.5, n).round(3)
    starts = 10.0 + np.concatenate([[0], np.cumsum(lengths + gap_s)[:-1]])
    return np.column_stack([starts, starts + lengths])


def write_churchland(path: Path, trials: np.ndarray, *, lfp=False, stray=0) -> Path:
    """Like a maze session of DANDI 000070: 8 units seen during trials alone, Eye, Hand and Cursor at 1 kHz in trials.

    In every trial the hand moves at (40, -20) units a second from a place of its own, so that between trials it
    jumps; the cursor goes twice as fast, the eye is noise. The conversion is NaN, as in the real files. `lfp` adds a
    continuous one at 1 kHz, that the real files do not have; `stray` is a number of spikes a unit in the gaps.
    """
    from pynwb import NWBHDF5IO
    from pynwb.behavior import Position

    rng = np.random.default_rng(RNG_SEED)
    nwb = _nwb_file("Jenkins", experiment_description="")
    _add_arrays(nwb, {"1": "Caudal, dorsal Pre-motor cortex, Left hemisphere", "2": "M1 in Motor Cortex"}, electrodes=4)
    stamps = [start + np.arange(round((stop - start) * 1000)) / 1000 for start, stop in trials]
    places = rng.uniform(-200, 200, (len(trials), 2))
    hand = np.concatenate([p + np.outer(t - t[0], (40.0, -20.0)) for p, t in zip(places, stamps, strict=True)])
    container, series = Position(), []
    for name, data in (("Eye", rng.normal(0, 50, hand.shape)), ("Hand", hand), ("Cursor", 2 * hand)):
        series.append(
            container.create_spatial_series(
                name=name,
                data=data,
                timestamps=np.concatenate(stamps),
                reference_frame="screen center",
                conversion=np.nan,
            )
        )
    nwb.create_processing_module("behavior", "contains monkey movement data").add(container)
    _add_maze_trials(nwb, trials, series, rng)
    _add_maze_units(nwb, trials, rng, stray)
    _add_field_potentials(nwb, rng, trials if lfp else None)
    with NWBHDF5IO(path, "w") as io:
        io.write(nwb)
    return path


def _add_maze_trials(nwb, trials, series, rng):
    words = ("discard_trial", "task_success", "maze_condition", "maze_num_targets", "novel_maze", "correct_reach")
    for name in (*words, "go_cue_time", "move_begins_time", "hit_target_position"):
        nwb.add_trial_column(name, "as published")
    for name in ("target_positions", "barrier_info", "frame_details"):
        nwb.add_trial_column(name, "as published", index=True)
    for start, stop in trials:
        nwb.add_trial(
            start_time=start,
            stop_time=stop,
            timeseries=series,
            go_cue_time=start + 0.8,
            move_begins_time=np.nan if rng.uniform() < 0.1 else start + 1.1,
            hit_target_position=rng.integers(-130, 130, 2),
            target_positions=rng.integers(-130, 130, (rng.integers(1, 4), 2)),
            barrier_info=rng.normal(size=(rng.integers(0, 9), 4)),
            frame_details=rng.integers(-150, 150, (5, 1, 1)),
            **{name: np.uint8(rng.integers(0, 2)) for name in words},
        )


def _add_maze_units(nwb, trials, rng, stray):
    groups = list(nwb.electrode_groups.values())
    lengths = trials[:, 1] - trials[:, 0]
    for unit in range(8):
        times = [start + rng.uniform(0, length, 40) for start, length in zip(trials[:, 0], lengths, strict=True)]
        gaps = trials[:-1, 1] + rng.uniform(0, 1, len(trials) - 1) * (trials[1:, 0] - trials[:-1, 1])
        nwb.add_unit(
            spike_times=np.sort(np.concatenate([*times, gaps[:stray]])),
            electrodes=[unit],
            electrode_group=groups[unit // 4],
            obs_intervals=trials,
        )


def _add_field_potentials(nwb, rng, trials):
    from pynwb.ecephys import LFP, ElectricalSeries, FilteredEphys

    module = nwb.create_processing_module("ecephys", "Intermediate data from extracellular electrophysiology")
    region = nwb.create_electrode_table_region([0, 1, 2, 3], "electrode_table_region")
    processed = FilteredEphys(name="Processed")
    module.add(processed)
    processed.add_electrical_series(
        ElectricalSeries(name="A001", data=rng.normal(size=(500, 4)), electrodes=region, rate=1000.0)
    )
    if trials is not None:
        region = nwb.create_electrode_table_region([0, 1, 2, 3], "electrode_table_region")
        lfp = LFP()
        module.add(lfp)
        data = rng.normal(size=(round(1000 * trials[-1, 1]) + 1000, 4)).astype(np.float32)
        lfp.add_electrical_series(ElectricalSeries(name="ElectricalSeries", data=data, electrodes=region, rate=1000.0))


def _nwb_file(subject, **options):
    from pynwb import NWBFile
    from pynwb.file import Subject

    return NWBFile(
        session_description="test",
        identifier=f"{subject} of a test",
        session_start_time=datetime(2013, 10, 3, tzinfo=UTC),
        subject=Subject(subject_id=subject, species="Macaca mulatta"),
        **options,
    )


def _add_arrays(nwb, locations: dict[str, str], electrodes: int):
    """An array of some electrodes in each group, the groups' names with their locations."""
    for name, location in locations.items():
        device = nwb.create_device(f"array {name}")
        group = nwb.create_electrode_group(name, "96-electrode Utah array", location, device)
        for _ in range(electrodes):
            nwb.add_electrode(location=location, group=group, filtering="none")
