"""Files as DANDI publishes them: cursor velocity that is there, velocity to be derived, trials with gaps between."""

import numpy as np
import pytest

from raydistill.errors import DataError
from raydistill.recordings.ingest import ingest_one
from raydistill.recordings.layouts import open_raw
from raydistill.recordings.planning.discover import plan_sources
from raydistill.recordings.preprocessing.session import to_session
from raydistill.store.store import Store
from tests.paths import EXAMPLES
from tests.recordings.dandi_files import maze_trials, write_churchland, write_perich
from tests.recordings.nwb_reading import read

BIN_S = 0.01
HAND = ("defaults.behavior.values=processing/behavior/Position/Hand", "defaults.behavior.derive=velocity")


def made(recording):
    with open_raw(recording.path, recording.source, recording.config.bin_width_ms) as raw:
        return to_session(recording, raw, {})[0]


def session_of(path, *overrides):
    (recording,) = plan_sources(path, overrides=overrides)
    return made(recording)


def raw_of(path, *settings):
    return read(path, "behavior=null", *settings)


def centres(session):
    return session.start_s + (np.arange(session.n_bins) + 0.5) * BIN_S


# Perich et al., DANDI 000688


def test_perich_session_without_a_manifest_gives_its_units_and_the_cursors_velocity(tmp_path):
    session = session_of(write_perich(tmp_path / "sub-C_ses-CO-20131003_behavior+ecephys.nwb"))
    t = centres(session)
    assert (session.name, session.subject) == ("sub-C_ses-CO-20131003_behavior_ecephys", "C")
    assert session.region == "M1, PMd"
    assert session.behavior_names == ("velocity_x", "velocity_y") and session.behavior_units == ("cm/s", "cm/s")
    assert np.allclose(session.behavior, np.column_stack([np.cos(t), -np.sin(t)]), atol=0.01)
    assert session.n_bins == 6000 and session.spikes.sum() == 10 * 12 * 60
    assert session.lfp is None and session.piece is None and session.trial is None


def test_perich_trials_that_were_never_timed_are_none_and_the_others_keep_their_numbers(tmp_path):
    path = write_perich(tmp_path / "C.nwb", waveforms=0, untimed=(2, 5))
    session = session_of(path, "defaults.trials=trials")
    assert set(session.trial) == {-1, *range(14)} - {2, 5}
    assert np.allclose(centres(session)[session.trial == 3][[0, -1]], (13.005, 16.495))


# Churchland et al., DANDI 000070


def test_churchland_session_without_a_manifest_asks_which_position_is_meant(tmp_path):
    path = write_churchland(tmp_path / "J.nwb", maze_trials(3))
    with pytest.raises(DataError, match=r"Position/Cursor, .*Position/Eye, .*Position/Hand; name one as `behavior"):
        session_of(path)


def test_churchland_velocity_is_derived_within_trials_and_is_nan_between(tmp_path):
    trials = maze_trials()
    session = session_of(write_churchland(tmp_path / "J.nwb", trials), *HAND)
    within = session.piece >= 0
    assert np.allclose(session.behavior[within], (40.0, -20.0), atol=1e-3)
    assert np.isnan(session.behavior[~within]).all()
    assert session.behavior_names == ("velocity_x", "velocity_y") and session.behavior_units == ("", "")
    t = centres(session)
    for number, (start, stop) in enumerate(trials):
        own = t[session.piece == number]
        assert own[0] - BIN_S / 2 >= start - 1e-6 and own[-1] + BIN_S / 2 <= stop + 1e-6
        assert len(own) >= (stop - start) / BIN_S - 2


def test_churchland_smoothing_stays_within_trials(tmp_path):
    path = write_churchland(tmp_path / "J.nwb", maze_trials())
    session = session_of(path, *HAND, "defaults.behavior.smooth_s=0.05")
    middle = [session.behavior[session.piece == n][30:-30] for n in range(24)]
    assert np.allclose(np.concatenate(middle), (40.0, -20.0), atol=1e-3)
    assert np.nanmax(np.abs(session.behavior)) < 45  # no trace of the jump from one trial to the next


def test_churchland_session_of_the_example_is_stored_by_trials_none_of_which_crosses_a_gap(tmp_path):
    trials = maze_trials()
    (tmp_path / "sub-Jenkins").mkdir()
    planned = {r.name: r for r in plan_sources(EXAMPLES / "dandi_000070.yaml", tmp_path)}
    recording = planned["Jenkins_20090912"]
    write_churchland(recording.path, trials, stray=4)
    store = Store(str(tmp_path / "store"))
    arrival = ingest_one(recording, store.uri, None)
    taken = (
        "8 units from units, behavior position_x, position_y from processing/behavior/Position/Hand, 24 trials from "
        "intervals/trials; no LFP"
    )
    gaps = "1632 of 8153 bins (20.0%) are in gaps between pieces and were left out"
    assert (arrival.state, arrival.cause, arrival.notes) == ("stored", "", (taken, gaps))
    store.publish()
    entry = store.entry("Jenkins_20090912")
    assert (entry.subject, entry.n_units, entry.n_segments) == ("Jenkins", 8, 24)
    segments = store.read(entry)
    assert [s.trial for s in segments] == list(range(24))
    for segment, (start, stop) in zip(segments, trials, strict=True):
        assert segment.start_s >= start - 1e-6
        assert segment.start_s + segment.n_bins * BIN_S <= stop + 1e-6
        assert np.isfinite(segment.behavior).all()
    counted = sum(int(s.spikes.sum()) for s in segments)
    assert 0.98 * 8 * 24 * 40 <= counted <= 8 * 24 * 40  # the 4 spikes a unit in the gaps are not among them


def test_perich_sessions_of_the_example_are_stored_with_trials(tmp_path):
    recording = plan_sources(EXAMPLES / "dandi_000688.yaml", tmp_path)[0]
    recording.path.parent.mkdir(parents=True)
    write_perich(recording.path)
    session = made(recording)
    assert (session.name, session.task, session.trial.max()) == ("C_CO_20131003", "CO", 13)


def test_churchland_units_of_one_array_are_selected_by_a_column_of_the_table(tmp_path):
    path = write_churchland(tmp_path / "J.nwb", maze_trials(3))
    assert raw_of(path, "unit_filter={column: electrode_group, keep: ['2']}").spikes.ids == (4, 5, 6, 7)


# Observed intervals


def test_spikes_outside_of_the_observed_intervals_count_for_no_rate(tmp_path):
    trials = maze_trials(8)
    path = write_churchland(tmp_path / "J.nwb", trials, stray=7)
    rate_hz = 40 * 8 / (trials[:, 1] - trials[:, 0]).sum()
    kept = session_of(path, "defaults.behavior=null", f"ingest.min_rate_hz={0.97 * rate_hz}")
    assert kept.spikes.shape[1] == 8
    with pytest.raises(DataError, match="no unit reaches"):
        session_of(path, "defaults.behavior=null", f"ingest.min_rate_hz={1.02 * rate_hz}")


@pytest.mark.parametrize(("gap_s", "pieces"), [(0.7, 5), (0.011, 5), (0.009, None), (0.0, None)])
def test_gaps_of_more_than_a_bin_make_pieces(tmp_path, gap_s, pieces):
    trials = maze_trials(5, gap_s=gap_s)
    raw = raw_of(write_churchland(tmp_path / "J.nwb", trials))
    assert (None if raw.pieces is None else len(raw.pieces)) == pieces
    assert raw.spikes.observed == pytest.approx((trials[0, 0], trials[-1, 1]))


def test_pieces_are_intervals_in_which_all_selected_units_were_observed(make_nwb_of_units):
    spans = [[(0, 20), (30, 60)], [(5, 25), (28, 50)], [(0, 10), (0, 60)]]
    path = make_nwb_of_units(spans, quality=["good", "good", "noise"])
    assert raw_of(path, "unit_filter={keep: [good]}").pieces.tolist() == [[5, 20], [30, 50]]
    assert raw_of(path).pieces.tolist() == [[5, 20], [30, 50]]
    assert raw_of(path, "unit_filter={keep: [noise]}").pieces is None
    assert raw_of(path, "unit_filter={keep: [noise]}").spikes.observed == (0, 60)


def test_units_that_were_never_observed_at_once_are_an_error(make_nwb_of_units):
    path = make_nwb_of_units([[(0, 20)], [(30, 60)]])
    with pytest.raises(DataError, match=r"rec\.nwb: its units were never observed all at the same time"):
        raw_of(path)


def test_clock_that_was_set_back_during_a_session_is_an_error(tmp_path):
    trials = maze_trials(6)
    trials[3:] -= trials[3, 0] - 12.0
    path = write_churchland(tmp_path / "J.nwb", trials)
    with pytest.raises(
        DataError, match=r"J\.nwb: unit 0: an observed interval from .* is followed by one from 12\.000 s: the clock"
    ):
        raw_of(path)


def test_unit_without_stated_intervals_was_observed_throughout(make_nwb_of_units):
    assert raw_of(make_nwb_of_units([[(0, 20), (30, 60)], []])).pieces.tolist() == [[0, 20], [30, 60]]


@pytest.fixture
def make_nwb_of_units(tmp_path):
    """Writes a file of units that were observed in these intervals."""

    def make(spans, quality=None):
        from datetime import UTC, datetime

        import pynwb

        nwb = pynwb.NWBFile(
            session_description="x", identifier="x", session_start_time=datetime(2020, 1, 1, tzinfo=UTC)
        )
        nwb.add_unit_column("quality", "by hand")
        for i, intervals in enumerate(spans):
            nwb.add_unit(
                spike_times=np.arange(0.5, 60.0),
                obs_intervals=np.reshape(np.array(intervals, dtype=float), (-1, 2)),
                quality="good" if quality is None else quality[i],
            )
        with pynwb.NWBHDF5IO(tmp_path / "rec.nwb", "w") as io:
            io.write(nwb)
        return tmp_path / "rec.nwb"

    return make


def test_lfp_of_a_session_in_pieces_is_filtered_within_each(tmp_path):
    path = write_churchland(tmp_path / "J.nwb", maze_trials(6), lfp=True)
    session = session_of(path, "defaults.behavior=null")
    assert session.lfp.shape == (session.n_bins, 4)
    assert np.isfinite(session.lfp).all()
    assert np.all(session.lfp[session.piece >= 0].std(axis=0) > 0) and np.all(session.lfp[session.piece < 0] == 0)
