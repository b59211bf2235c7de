"""Files of weights in the published layout, written from modules of torch: the imported model computes what they do."""

import numpy as np
import pytest
import torch
from scipy.signal import periodogram
from torch import nn

from raydistill.cli import main
from raydistill.errors import CheckpointError
from raydistill.feed.tokens import Inputs, pack
from raydistill.models.brant.checkpoint import import_brant
from raydistill.models.brant.config import BANDS_HZ
from raydistill.models.files import load_model, save_model
from tests.small import make_segments

WIDTH, HIDDEN, PATCH, PATCHES, HEADS = 64, 96, 125, 3, 16


def torch_layers(count):
    layer = nn.TransformerEncoderLayer(WIDTH, HEADS, HIDDEN, batch_first=True)
    return nn.TransformerEncoder(layer, count)


class InputEmbedding(nn.Module):
    def __init__(self, is_learned, bands):
        super().__init__()
        self.band_encoding = nn.Parameter(torch.randn(bands, WIDTH))
        self.positional_encoding = nn.Parameter(torch.randn(PATCHES, WIDTH))
        make = torch.randn if is_learned else torch.zeros
        self.mask_encoding = nn.Parameter(make(PATCH), requires_grad=is_learned)
        self.power_mask_encoding = nn.Parameter(make(WIDTH), requires_grad=is_learned)
        self.proj = nn.Sequential(nn.Linear(PATCH, WIDTH))


class TimeEncoder(nn.Module):
    def __init__(self, is_learned=False, bands=8):
        super().__init__()
        self.input_embedding = InputEmbedding(is_learned, bands)
        self.trans_enc = torch_layers(2)

    def forward(self, x, power):
        """Shape: (C, K, L), (C, K, 8) -> (C, K, D)."""
        embed = self.input_embedding
        return self.trans_enc(embed.proj(x) + power.softmax(-1) @ embed.band_encoding + embed.positional_encoding)


class ChannelEncoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.proj_out = nn.Sequential(nn.Linear(WIDTH, PATCH))
        self.trans_enc = torch_layers(1)


def write(folder, time=None, channels=None, prefix=""):
    torch.manual_seed(0)
    time, channels = time or TimeEncoder(), channels or ChannelEncoder()
    for name, encoder in (("time.pt", time), ("channels.pt", channels)):
        torch.save({prefix + key: weight for key, weight in encoder.state_dict().items()}, folder / name)
    return time.eval(), channels.eval()


@torch.no_grad()
@pytest.mark.parametrize(("is_learned", "prefix"), [(False, ""), (True, "module.")], ids=["zeros", "learned masks"])
def test_imported_model_computes_what_the_published_modules_do(tmp_path, is_learned, prefix):
    torch.manual_seed(1)
    time, channels = write(tmp_path, TimeEncoder(is_learned), prefix=prefix)
    save_model(import_brant(tmp_path / "time.pt", tmp_path / "channels.pt").model, tmp_path / "model")
    model = load_model(tmp_path / "model")
    (segment,) = make_segments(["a"], [PATCHES * PATCH])
    batch = pack([Inputs(modality="lfp", widths=model.spec.widths).tokenize(segment)])

    values = torch.from_numpy(segment.lfp).T.unflatten(1, (PATCHES, PATCH))  # (C, K, L)
    frequency, density = periodogram(values.numpy(), fs=250, axis=-1)
    power = [np.log10(density[..., (frequency > low) & (frequency <= high)].sum(-1) + 1) for low, high in BANDS_HZ]
    outputs = channels.trans_enc(time(values, torch.tensor(np.stack(power, -1))).transpose(0, 1))  # (K, C, D)
    centres = PATCH * np.arange(PATCHES) + PATCH // 2  # a patch has an odd number of bins: the middle is a bin
    torch.testing.assert_close(model.latents(batch)[centres], outputs.mean(1), atol=2e-5, rtol=1e-4)

    assert model.config.masked_by == ("learned" if is_learned else "zeros")
    assert (model.config.layers, model.config.channel_layers, model.config.bin_width_ms) == (2, 1, 4)
    torch.testing.assert_close(model.reconstruction.weight, channels.proj_out[0].weight)
    if is_learned:
        assert torch.equal(model.tokenizer.masked_values, time.input_embedding.mask_encoding)
        assert torch.equal(model.tokenizer.masked_powers, time.input_embedding.power_mask_encoding)


def renamed(path, change):
    weights = torch.load(path)
    change(weights)
    torch.save(weights, path)


@pytest.mark.parametrize(
    ("file", "change", "message"),
    [
        ("time.pt", lambda w: w.update(head=torch.ones(2)), "time.pt: has head, which this encoder of BRANT does not"),
        ("time.pt", lambda w: w.pop("input_embedding.proj.0.bias"), "time.pt: has no input_embedding.proj.0.bias"),
        (
            "channels.pt",
            lambda w: w.update({"proj_out.0.weight": torch.ones(9, WIDTH)}),
            r"channels.pt: has proj_out.0.weight of shape \(9, 64\), but it must be \(125, 64\)",
        ),
        (
            "time.pt",
            lambda w: w.update({"input_embedding.band_encoding": torch.ones(5, WIDTH)}),
            "time.pt: has 5 bands, but BRANT has 8",
        ),
        (
            "time.pt",
            lambda w: w["trans_enc.layers.0.norm1.weight"].fill_(torch.nan),
            "time.pt: has trans_enc.layers.0.norm1.weight with values that are not finite",
        ),
        ("channels.pt", lambda w: w.clear(), "channels.pt: contains no named weights"),
    ],
    ids=["unknown weight", "missing weight", "other shape", "other bands", "not finite", "no weights"],
)
def test_weights_that_do_not_fit_are_refused_by_name(tmp_path, file, change, message):
    write(tmp_path)
    renamed(tmp_path / file, change)
    with pytest.raises(CheckpointError, match=message):
        import_brant(tmp_path / "time.pt", tmp_path / "channels.pt")


def test_files_in_the_other_order_are_refused(tmp_path):
    write(tmp_path)
    with pytest.raises(CheckpointError, match=r"channels\.pt: has no input_embedding\.proj\.0\.weight"):
        import_brant(tmp_path / "channels.pt", tmp_path / "time.pt")


class Evil:
    def __reduce__(self):
        return (print, ("run",))


def test_file_with_more_than_weights_is_refused_and_not_run(tmp_path, capsys):
    write(tmp_path)
    torch.save({"state_dict": Evil()}, tmp_path / "time.pt")
    with pytest.raises(CheckpointError, match="it is not loaded"):
        import_brant(tmp_path / "time.pt", tmp_path / "channels.pt")
    assert "run" not in capsys.readouterr().out


def test_import_command_writes_a_model_and_notes_and_needs_both_files(tmp_path, monkeypatch, capsys):
    write(tmp_path)
    monkeypatch.chdir(tmp_path)
    command = ["import", "time.pt", "--kind", "brant", "--out", "model"]
    with pytest.raises(SystemExit, match="2"):
        main(command)
    assert "--kind brant also needs --channels FILE" in capsys.readouterr().err
    with pytest.raises(SystemExit, match="2"):
        main([*command, "--channels", "channels.pt", "--metadata", "a.csv"])
    assert "--kind brant reads no other file; omit --metadata" in capsys.readouterr().err
    with pytest.raises(SystemExit, match="0"):
        main([*command, "--channels", "channels.pt"])
    written = capsys.readouterr()
    assert written.out == "model\n"
    assert "note: as published, because no weight tells it: bins of 4 ms, 16 heads, dropout 0.1\n" in written.err
    assert load_model(tmp_path / "model").spec.provenance["checkpoint"].keys() == {"time.pt", "channels.pt"}


def test_parts_of_a_file_next_to_its_weights_are_named(tmp_path):
    time, _ = write(tmp_path)
    torch.save({"state_dict": time.state_dict(), "epoch": 3, "args": {"d_model": 8}}, tmp_path / "time.pt")
    notes = import_brant(tmp_path / "time.pt", tmp_path / "channels.pt").notes
    assert notes[-1].endswith(": args, epoch")
