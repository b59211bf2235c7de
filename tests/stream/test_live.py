"""Samples that arrive while an experiment runs, from real senders on loopback."""

import os
import re
import signal
import socket
import subprocess
import sys
import threading

import numpy as np
import pytest

from raydistill.decode.decoder import open_decoder
from raydistill.errors import DataError
from raydistill.evaluation.session_scores import scored_folds
from raydistill.store.store import Store
from raydistill.stream.command import LIVE_ENDS
from raydistill.stream.decoder import StreamDecoder
from raydistill.stream.live import LiveDecoder
from raydistill.stream.preprocess import Preprocess
from raydistill.stream.samples import Chunk, Gaps, SilenceError
from tests.commands import COMMAND, raydistill
from tests.stream.models import make_folder, save


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return make_folder(tmp_path_factory.mktemp("live"))


@pytest.fixture
def unused_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def test_interrupt_says_what_the_same_command_would_do(folder):
    options = ("--session", "S", "--store", folder / "store", "--stream", "--from", "-", "--timeout-s", "100")
    command = [*COMMAND, "decode", *map(str, (save(folder), *options))]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, text=True, start_new_session=True, **pipes) as process:
        process.stdin.write("0 0 0 0 0 0\n")
        process.stdin.flush()
        assert process.stdout.readline() == "x y\n" and process.stdout.readline()  # the second is of the bin
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert said.splitlines()[-2].startswith("1 bin decoded in ")
    assert said.splitlines()[-1] == f"raydistill: interrupted; {LIVE_ENDS}"


@pytest.fixture(scope="module")
def decoder(folder):
    store = Store(str(folder / "store"))
    return StreamDecoder(open_decoder(save(folder), store, "S", None, ()))


class Given:
    """A source of given chunks, silent at the end if `is_silent`."""

    def __init__(self, *chunks, is_silent=False):
        self.given, self.is_silent = chunks, is_silent

    def chunks(self, n_channels):
        yield from self.given
        if self.is_silent:
            raise SilenceError(2)


def bins(n, seed=0):
    return np.random.default_rng(seed).normal(size=(n, 6)).astype(np.float32)


def test_chunks_of_any_length_decode_as_single_bins(decoder):
    values = bins(30)
    live = LiveDecoder(decoder)
    together = list(live.run(Given(Chunk(0, values[:7]), Chunk(7, values[7:]))))
    decoder.reset()
    assert np.array_equal(together, [decoder.step(lfp=row) for row in values])
    assert live.in_words().startswith("30 bins decoded in ")


def test_lost_bins_are_held_and_counted(decoder):
    values = bins(20)
    live = LiveDecoder(decoder)
    decoded = list(live.run(Given(Chunk(0, values[:10]), Chunk(13, values[10:]))))
    held = np.concatenate([values[:10], np.repeat(values[9:10], 3, axis=0), values[10:]])
    assert np.array_equal(decoded, list(LiveDecoder(decoder).run(Given(Chunk(0, held)))))
    assert live.in_words().endswith("3 lost samples replaced by the last one before")


def test_after_a_longer_loss_decoding_starts_again(decoder):
    values, said = bins(20), []
    live = LiveDecoder(decoder, say=said.append)
    decoded = list(live.run(Given(Chunk(0, values[:10]), Chunk(10 + 51, values[10:]))))
    assert len(decoded) == 20
    assert np.array_equal(decoded[10:], list(LiveDecoder(decoder).run(Given(Chunk(0, values[10:])))))
    assert said == ["51 samples before sample 61 were lost; decoding starts again after 10 bins"]
    assert live.in_words().endswith("; 1 new start after longer losses or a new count of the sender")


def test_sender_that_counts_anew_is_decoded_from_its_new_start(decoder):
    values, said = bins(20), []
    live = LiveDecoder(decoder, say=said.append)
    decoded = list(live.run(Given(Chunk(5000, values[:10]), Chunk(0, values[10:15]), Chunk(5, values[15:]))))
    assert np.array_equal(decoded[10:], list(LiveDecoder(decoder).run(Given(Chunk(0, values[10:])))))
    assert said == ["the sender went back from sample 5010 to sample 0; decoding starts again after 10 bins"]


def test_recording_shorter_than_the_delay_of_a_model_gives_one_answer_per_bin(folder):
    store = Store(str(folder / "store"))
    late = StreamDecoder(open_decoder(save(folder, lookahead_bins=5), store, "S", None, ()))
    decoded = np.array(list(LiveDecoder(late).run(Given(Chunk(0, bins(3)), Chunk(500, bins(2))))))
    assert decoded.shape == (5, 2) and np.isfinite(decoded).all()


def test_rate_of_raw_samples_is_refused_for_a_model_of_spikes(folder):
    store = Store(str(folder / "store"))
    spikes = StreamDecoder(open_decoder(save(folder, modality="spikes"), store, "S", None, ()))
    with pytest.raises(DataError, match="`rate_hz` is the rate of raw LFP samples, but this model reads spikes"):
        LiveDecoder(spikes, lambda: Preprocess(spikes.decoder.entry, 1000.0), 1000.0)


def test_bins_that_come_twice_are_used_once():
    gaps = Gaps(10)
    values = bins(10)
    assert np.array_equal(gaps.fill(Chunk(0, values[:6]))[0], values[:6])
    assert np.array_equal(gaps.fill(Chunk(4, values[4:8]))[0], values[6:8])
    assert len(gaps.fill(Chunk(0, values[:3]))[0]) == 0
    assert np.array_equal(gaps.fill(Chunk(8, values[8:]))[0], values[8:])
    assert gaps.in_words() == "5 samples that came twice left out"


def test_bin_that_is_not_finite_ends_decoding(decoder):
    values = bins(5)
    values[2, 3] = np.nan
    run, decoded = LiveDecoder(decoder).run(Given(Chunk(0, values))), []
    with pytest.raises(DataError, match="not finite"):
        decoded.extend(run)
    assert len(decoded) == 2


def test_signal_that_the_model_does_not_read_is_refused(decoder):
    with pytest.raises(DataError, match="leave `spikes` out"):
        decoder.step(lfp=np.zeros(6), spikes=np.zeros(5))


def test_loss_within_samples_that_arrive_together_by_lsl_is_a_step_of_their_numbers():
    lsl = pytest.importorskip("raydistill.stream.lsl")
    stamps = np.array([10.02, 10.0412, 10.12, 10.14])  # three samples are lost after the second
    assert lsl.sample_numbers(stamps, 10.0, 50.0).tolist() == [0, 1, 5, 6]
    assert lsl.sample_numbers(stamps, 9.96, 50.0).tolist() == [2, 3, 7, 8]
    assert lsl.sample_numbers(stamps, 0.0, 50.0).tolist() == [0, 1, 5, 6]
    assert lsl.sample_numbers(stamps, 10.0, 0.0).tolist() == [0, 1, 2, 3]


def test_silent_sender_ends_decoding_with_its_reason(decoder):
    live = LiveDecoder(decoder)
    assert len(list(live.run(Given(Chunk(0, bins(5)), is_silent=True)))) == 5
    assert live.in_words().endswith("; no sample has come for 2 s")


def decode(folder, source, *more, **options):
    command = [*COMMAND, "decode", str(save(folder)), "--session", "S", "--store", str(folder / "store"), "--stream"]
    return subprocess.run(
        [*command, "--from", source, *more], capture_output=True, text=True, timeout=120, cwd=folder, **options
    )


def stored_bins(folder):
    store = Store(str(folder / "store"))
    entry = store.entry("S")
    return np.concatenate([s.lfp for fold in scored_folds(entry) for s in store.read(entry, fold)])


def test_lines_on_standard_input_give_lines_of_behavior(folder, decoder):
    values = stored_bins(folder)
    text = "\n".join(",".join(f"{x:.7g}" for x in row) for row in values)
    done = decode(folder, "-", input=text)
    header, *lines = done.stdout.splitlines()
    assert header == "x y" and done.returncode == 0
    expected = list(LiveDecoder(decoder).run(Given(Chunk(0, values))))
    assert np.abs(np.array([line.split() for line in lines], dtype=float) - expected).max() < 1e-3
    waited, decoded = done.stderr.splitlines()
    assert waited == "waiting for 6 z-scored values per bin from standard input"
    assert decoded.startswith(f"{len(values)} bins decoded in ")


def test_standard_input_that_falls_silent_ends_decoding(folder):
    reads, writes = os.pipe()
    os.write(writes, b"1 2 3 4 5 6\n1 2 3")  # the second line is not complete
    done = decode(folder, "-", "--timeout-s", "1", stdin=reads)
    os.close(reads), os.close(writes)
    assert len(done.stdout.splitlines()) == 2 and done.stderr.endswith("; no sample has come for 1 s\n")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1 2 3\n", "line 1 of the input has 3 numbers, but the model reads 6"),
        ("a b c d e f\n", "is not one of numbers"),
    ],
)
def test_line_of_something_else_is_refused(folder, text, message):
    done = decode(folder, "-", input=text)
    assert done.returncode == 2 and message in done.stderr


def test_unknown_source_is_refused_with_what_is_known(folder):
    done = decode(folder, "usb:1")
    assert done.returncode == 2 and "give - (lines on standard input), lsl:NAME or zmq:ADDRESS" in done.stderr


@pytest.mark.parametrize("kind", ["zmq", "lsl"])
def test_sender_of_a_stored_session_is_decoded_by_another_process(folder, decoder, kind, tmp_path, unused_port):
    name = f"zmq:tcp://127.0.0.1:{unused_port}" if kind == "zmq" else f"lsl:raydistill-test-{unused_port}"
    environment = local_lsl(tmp_path)
    arguments = ["send", "--session", "S", "--store", str(folder / "store"), "--to", name, "--speed", "5"]
    reads = ["decode", str(save(folder)), "--session", "S", "--store", str(folder / "store"), "--stream"]
    listener = subprocess.Popen(
        [*COMMAND, *reads, "--from", name, "--timeout-s", "20"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=folder,
        env=environment,
    )
    assert listener.stdout.readline() == "x y\n"  # the model is loaded
    sender = subprocess.run([*COMMAND, *arguments], capture_output=True, text=True, timeout=120, env=environment)
    assert sender.returncode == 0, sender.stderr
    out, err = listener.communicate(timeout=120)
    values = stored_bins(folder)
    decoded = np.array([line.split() for line in out.splitlines()], dtype=float)
    expected = np.array(list(LiveDecoder(decoder).run(Given(Chunk(0, values)))))
    assert len(decoded) >= len(values) - 5 and "bins decoded in" in err, err
    if len(decoded) == len(values):
        assert np.abs(decoded - expected).max() < 1e-3


def test_sender_with_another_number_of_channels_is_refused(folder, unused_port):
    from raydistill.stream.zmq import ZmqSender, ZmqSource

    sender = ZmqSender(f"tcp://127.0.0.1:{unused_port}")
    chunks = ZmqSource(f"tcp://127.0.0.1:{unused_port}", 5).chunks(6)
    over = threading.Event()

    def keep_sending():
        while not over.wait(0.05):
            sender.send(Chunk(0, np.zeros((1, 5))))

    thread = threading.Thread(target=keep_sending)
    thread.start()
    try:
        with pytest.raises(DataError, match="a message has 5 values, which is no multiple of the 6 channels"):
            next(chunks)
    finally:
        over.set()
        thread.join()
        sender.close()


def test_nobody_sends_ends_with_one_line(folder, unused_port):
    done = decode(folder, f"zmq:tcp://127.0.0.1:{unused_port}", "--timeout-s", "0.3")
    assert done.returncode == 0
    assert done.stderr.splitlines()[1:] == ["no bin was decoded; no sample has come for 0.3 s"]


OF_LSL = """
import sys, time
import pylsl
from raydistill.errors import DataError
from raydistill.stream.lsl import LslSender, LslSource

name = sys.argv[1]
one = LslSender(name, 6, 500.0, "EEG")
try:
    next(LslSource(name, 0.9, 50.0, print).chunks(6))
except Exception as err:  # the sender says nothing
    print(type(err).__name__)
other = pylsl.StreamOutlet(pylsl.StreamInfo(name, "EEG", 6, 50, "string", "other"))
try:
    next(LslSource(name, 5, 50.0, print).chunks(6))
except DataError as err:
    print(err)
one.close()
time.sleep(0.2)
try:
    next(LslSource(name, 5, 50.0, print).chunks(6))
except DataError as err:
    print(err)
"""


def test_stream_of_lsl_that_cannot_be_right_is_named(tmp_path):
    pytest.importorskip("raydistill.stream.lsl")
    name = f"raydistill-test-{os.getpid()}"
    done = subprocess.run(
        [sys.executable, "-c", OF_LSL, name], capture_output=True, text=True, timeout=60, env=local_lsl(tmp_path)
    )
    rate, silence, names, texts = done.stdout.splitlines()
    assert rate == f"lsl:{name} sends 500 samples per second, but they are decoded as 50; see `--rate-hz`"
    assert silence == "SilenceError"
    assert "2 streams have this name" in names and texts == f"lsl:{name} sends texts, but the model reads numbers"


def test_missing_library_names_the_extra(folder):
    code = "import sys; sys.modules['zmq'] = None; from raydistill.cli import main; main(sys.argv[1:])"
    arguments = ["decode", str(save(folder)), "--session", "S", "--store", str(folder / "store"), "--stream"]
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments, "--from", "zmq:tcp://127.0.0.1:1"], capture_output=True, text=True
    )
    assert done.returncode == 2 and "pip install 'raydistill[zmq]'" in done.stderr


def test_from_without_stream_is_refused(folder):
    arguments = ("decode", save(folder), "--session", "S", "--store", folder / "store", "--from", "-")
    assert "--from needs --stream" in raydistill(*arguments, cwd=folder, check=2).stderr


@pytest.mark.parametrize(
    ("given", "refusal"),
    [
        (["--to", "-", "--timeout-s", "3"], "a stored session is decoded, .* omit --to and --timeout-s"),
        (["--stream", "--rate-hz", "1000"], "a stored session is decoded, .* omit --rate-hz"),
        (["--stream", "--from", "-", "--json", "--overwrite"], "--from prints .* omit --json and --overwrite"),
        (["--stream", "--overwrite"], "--stream reports R² .* omit --overwrite"),
    ],
)
def test_option_without_effect_is_refused_by_name(folder, given, refusal):
    arguments = ("decode", "model", "--session", "S", "--store", "store", *given)
    assert re.search(refusal, raydistill(*arguments, cwd=folder, check=2).stderr)


def local_lsl(folder):
    """The environment of processes whose LSL speaks to this machine alone."""
    (folder / "lsl.cfg").write_text("[multicast]\nResolveScope = machine\n[ports]\nIPv6 = disable\n")
    return os.environ | {"LSLAPICFG": str(folder / "lsl.cfg")}
