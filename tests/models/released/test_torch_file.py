"""Files of torch.save: tensors and settings come back as they were, and nothing that a file says is ever run."""

import builtins
import functools
import importlib
import io
import os
import pickle
import random
import struct
import zipfile

import numpy as np
import pytest
import torch

from raydistill.errors import CheckpointError
from raydistill.models.released.inert_pickle import Record
from raydistill.models.released.torch_file import MAX_PICKLE, read_torch_file
from tests.models.released.checkpoints import make_config, make_weights, stand_ins, write_checkpoint

STORAGE = b"X\x07\x00\x00\x00storagectorch\nFloatStorage\nX\x01\x00\x00\x000X\x03\x00\x00\x00cpuK\x06"
"""The parts of a persistent id: storage 0 of six float32."""
SCALAR = (
    b"cnumpy.core.multiarray\nscalar\ncnumpy\ndtype\nX\x02\x00\x00\x00f8\x89\x88\x87R"
    b"c_codecs\nencode\nX\x08\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00X\x06\x00\x00\x00latin1\x86R\x86R"
)
"""A NumPy number, as protocol 2 writes it: zero in float64."""


@pytest.fixture
def checkpoint(tmp_path):
    return write_checkpoint(tmp_path / "c.ckpt", make_config("conv", layer_list=[512]), make_weights("conv", {"a": 33}))


def write_archive(path, instructions, storage=bytes(24), **options):
    """An archive like torch's around the instructions of a pickle, and a storage of six float32."""
    with zipfile.ZipFile(path, "w", **options) as archive:
        archive.writestr("c/data.pkl", b"\x80\x02" + instructions + b".")
        archive.writestr("c/byteorder", "little")
        archive.writestr("c/data/0", storage)
    return path


def tensor(offset, size, stride):
    """The instructions for a view of the storage."""
    numbers = lambda xs: b"(" + b"".join(b"J" + struct.pack("<i", x) for x in xs) + b"t"  # noqa: E731
    rest = numbers([offset])[1:-1] + numbers(size) + numbers(stride) + b"\x89}"
    return b"ctorch._utils\n_rebuild_tensor_v2\n((" + STORAGE + b"tQ" + rest + b"tR"


def refusal(path):
    """The one line in which the file is refused."""
    with pytest.raises(CheckpointError) as caught:
        read_torch_file(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ") and message.isprintable() and len(message) < 500
    return message


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.int64, torch.bool])
def test_tensors_come_back_as_torch_wrote_them(tmp_path, dtype):
    whole = torch.arange(24).reshape(2, 3, 4).to(dtype)
    written = {"whole": whole, "view": whole[:, 1:, ::2], "turned": whole.mT, "one": whole[1, 2, 3], "none": whole[:0]}
    torch.save(
        written | {"p": torch.nn.Parameter(torch.ones(2)), "more": [1, -2, 2.5, None, True, "β", (3, 4)]},
        tmp_path / "t",
    )
    read = read_torch_file(tmp_path / "t")
    assert all(torch.equal(read[name], value) and read[name].dtype == dtype for name, value in written.items())
    assert torch.equal(read["p"], torch.ones(2)) and read["more"] == [1, -2, 2.5, None, True, "β", (3, 4)]


def test_settings_come_back_as_records_without_their_library(checkpoint):
    with pytest.raises(ModuleNotFoundError):
        torch.load(checkpoint, weights_only=False)
    read = read_torch_file(checkpoint)
    assert isinstance(read["config"], Record) and read["config"].kind == "omegaconf.dictconfig.DictConfig"
    layers = read["config"].state["_content"]["tokenizer"].state["_content"]["layer_list"]
    assert [node.state["_val"] for node in layers.state["_content"]] == [512]
    np.testing.assert_array_equal(
        read["state_dict"]["backbone.norm.weight"], make_weights("conv", {"a": 33})["backbone.norm.weight"]
    )


class Hostile:
    def __init__(self, *reduced):
        self.reduced = reduced

    def __reduce__(self):
        return self.reduced


@pytest.mark.parametrize(
    ("value", "name"),
    [
        (Hostile(os.system, ("touch ran",)), "posix.system"),
        (Hostile(builtins.eval, ("open('ran', 'w')",)), "builtins.eval"),
        (Hostile(builtins.getattr, ("x", "y")), "builtins.getattr"),
        (Hostile(functools.partial, (os.system, "touch ran")), "functools.partial"),
        (Hostile(importlib.import_module, ("antigravity",)), "importlib.import_module"),
        (Hostile(torch.load, ("ran",)), "torch.serialization.load"),
        (torch.nn.Linear(2, 2), "torch.nn.modules.linear.Linear"),
        (os.system, "posix.system"),
    ],
    ids=lambda x: x if isinstance(x, str) else "",
)
def test_file_that_asks_for_code_is_refused_by_the_name_it_asks_for(tmp_path, monkeypatch, value, name):
    monkeypatch.chdir(tmp_path)
    torch.save({"config": {}, "state_dict": {"w": torch.ones(2)}, "more": value}, tmp_path / "c.ckpt")
    message = refusal(tmp_path / "c.ckpt")
    assert message.endswith(
        f"asks for {name}, which a checkpoint of tensors and settings does not need; it is not loaded"
    )
    assert os.listdir(tmp_path) == ["c.ckpt"]


def test_setting_whose_class_has_a_constructor_of_its_own_is_refused(tmp_path):
    with stand_ins() as classes:
        node = classes.DictConfig
        torch.save({"config": Hostile(node, ("os.system",))}, tmp_path / "c.ckpt")
    assert "calls omegaconf.dictconfig.DictConfig in a way that torch.save never does" in refusal(tmp_path / "c.ckpt")


@pytest.mark.parametrize(
    ("offset", "size", "stride"),
    [
        (0, (6,), (-1,)),
        (-1, (3,), (1,)),
        (0, (7,), (1,)),
        (4, (3,), (1,)),
        (0, (2, 3), (4, 1)),
        (0, (-1,), (1,)),
        (0, (2, 2), (1,)),
        (0, (2**31 - 1, 2**31 - 1), (0, 0)),
        (0, (6, 6), (0, 1)),
        (0, (1,) * 9, (1,) * 9),
    ],
)
def test_tensor_beyond_its_storage_is_refused(tmp_path, offset, size, stride):
    assert "storage of 6 numbers" in refusal(write_archive(tmp_path / "c.ckpt", tensor(offset, size, stride)))


def test_tensor_within_its_storage_is_read(tmp_path):
    values = np.arange(6, dtype="<f4")
    path = write_archive(tmp_path / "c.ckpt", tensor(1, (2, 2), (3, 1)), values.tobytes())
    assert read_torch_file(path).tolist() == [[1, 2], [4, 5]]


@pytest.mark.parametrize("length", [0, 20, 28])
def test_storage_of_the_wrong_length_is_refused(tmp_path, length):
    path = write_archive(tmp_path / "c.ckpt", tensor(0, (6,), (1,)), bytes(length))
    assert f"has {length} bytes of storage 0, but its 6 numbers need 24" in refusal(path)


@pytest.mark.parametrize(
    ("instructions", "why"),
    [
        (b"cos\nsystem\n(S'touch ran'\ntR", "asks for os.system"),
        (b"(S'touch ran'\nios\nsystem\n", "uses the pickle instruction"),
        (b"\x8c\x02os\x8c\x06system\x93", "uses the pickle instruction"),
        (b"ccollections\nOrderedDict\n}X\x01\x00\x00\x00aK\x01sb", "sets the state of something that is not a setting"),
        (b"ccollections\nOrderedDict\n)R}bccollections\nOrderedDict\n(Natb", "appends to something that is not a list"),
        (b"comegaconf.nodes\nAnyNode\n(K\x01t\x81", "creates an object of something that is not a class"),
        (b"ctorch\nFloatStorage\n)R", "calls torch.FloatStorage in a way that torch.save never does"),
        (b"K\x01)R", "calls something that is not a function"),
        (b"ctorch._utils\n_rebuild_tensor_v2\n(K\x01K\x02K\x03K\x04tR", "calls torch._utils._rebuild_tensor_v2 in"),
        (b"}(K\x01K\x02t\x85K\x01s", "has a dictionary with a key of type tuple"),
        (b"NK\x01s", "its content is damaged"),
        (b"h\x07", "its content is damaged"),
        (b"t", "its content is damaged"),
        (b"", "takes more values than it has put"),
        (b"X\x01\x00\x00\x00aQ", "refers to something outside its pickle that is not a storage"),
        (b"(" + STORAGE.replace(b"FloatStorage", b"UntypedStorage") + b"tQ", "asks for torch.UntypedStorage"),
        (
            b"(" + STORAGE.replace(b"\x01\x00\x00\x000", b"\x0b\x00\x00\x00../data.pkl") + b"tQ",
            "its content is damaged",
        ),
        (b"(" + STORAGE + b"tQ(" + STORAGE.replace(b"Float", b"Int") + b"tQ", "describes storage 0 in two ways"),
        (b"c\x1b[31mred\nname\n", "asks for ?[31mred.name"),
        (b"cnumpy\ndtype\nX\x02\x00\x00\x00O8\x85R", "calls numpy.dtype in a way that numbers and paths never do"),
        (b"c_codecs\nencode\nX\x01\x00\x00\x00aX\x03\x00\x00\x00zip\x86R", "calls _codecs.encode in a way"),
        (SCALAR.replace(b"f8", b"f4"), "calls numpy.core.multiarray.scalar in a way"),
        (b"cpathlib\nPosixPath\nN\x85R", "calls pathlib.PosixPath in a way"),
    ],
)
def test_pickle_that_does_more_than_describe_data_is_refused(tmp_path, monkeypatch, instructions, why):
    monkeypatch.chdir(tmp_path)
    assert why in refusal(write_archive(tmp_path / "c.ckpt", instructions))
    assert os.listdir(tmp_path) == ["c.ckpt"]


def test_pickle_that_grows_without_end_stays_small(tmp_path):
    doubled = b"N" + b"".join(b"q" + bytes([i]) + b"h" + bytes([i]) + b"\x86" for i in range(200))
    far = b"r\xff\xff\xff\xff"  # an index that would want 32 GB as a table
    read = read_torch_file(write_archive(tmp_path / "c.ckpt", doubled + far))
    assert len(read) == 2  # 2 ** 200 leaves, none of them copied, compared or hashed


def test_archives_that_hold_more_than_their_bytes_are_refused(tmp_path):
    assert "compressed" in refusal(write_archive(tmp_path / "a", b"N", compression=zipfile.ZIP_DEFLATED))
    assert f"at most {MAX_PICKLE} are allowed" in refusal(write_archive(tmp_path / "b", b"N" * MAX_PICKLE))


def test_archive_whose_entries_overlap_is_refused(tmp_path):
    inner = io.BytesIO()
    with zipfile.ZipFile(inner, "w") as archive:
        archive.writestr("c/data/1", bytes(10_000))
        inside, length = archive.getinfo("c/data/1"), archive.fp.tell()
    flags = [STORAGE.replace(b"Float", b"Bool")[:-2] + b"M" + struct.pack("<H", n) for n in (length, 10_000)]
    both = b"(" + flags[0] + b"tQ(" + flags[1].replace(b"X\x01\x00\x00\x000", b"X\x01\x00\x00\x001") + b"tQ"
    with zipfile.ZipFile(write_archive(tmp_path / "c", both, inner.getvalue()[:length]), "a") as archive:
        outside = archive.getinfo("c/data/0")
        inside.header_offset = outside.header_offset + len(outside.FileHeader())
        archive.filelist.append(inside)
        archive.NameToInfo[inside.filename] = inside
        archive.writestr("c/version", "3")  # the directory is written again
    assert "overlap" in refusal(tmp_path / "c").lower()  # newer versions of zipfile refuse it themselves


def test_archive_of_the_other_byte_order_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "c.ckpt", "w") as archive:
        archive.writestr("c/data.pkl", pickle.dumps({}, 2))
        archive.writestr("c/byteorder", "big")
    assert 'byte order "big"' in refusal(tmp_path / "c.ckpt")


def test_files_that_are_no_archives_of_torch_are_refused(tmp_path, checkpoint):
    torch.save({"a": torch.ones(2)}, tmp_path / "old", _use_new_zipfile_serialization=False)
    (tmp_path / "text").write_text("subject_session,d_input\n")
    (tmp_path / "empty").write_bytes(b"")
    with zipfile.ZipFile(tmp_path / "other", "w") as archive:
        archive.writestr("readme", "nothing")
    for name in ("old", "text", "empty", "other"):
        assert "not a complete file of torch.save" in refusal(tmp_path / name)


def test_truncated_file_is_refused(tmp_path, checkpoint):
    data = checkpoint.read_bytes()
    for length in np.linspace(0, len(data) - 1, 40).astype(int):
        (tmp_path / "cut").write_bytes(data[:length])
        refusal(tmp_path / "cut")


def test_changed_bytes_are_refused_or_do_not_matter(tmp_path, checkpoint):
    data, same = checkpoint.read_bytes(), read_torch_file(checkpoint)["state_dict"]
    draw = random.Random(0)
    refused = 0
    for _ in range(150):
        changed = bytearray(data)
        for _ in range(draw.randint(1, 4)):
            changed[draw.randrange(len(data))] = draw.randrange(256)
        (tmp_path / "changed").write_bytes(changed)
        try:
            read = read_torch_file(tmp_path / "changed")
        except CheckpointError as err:
            refused += 1
            assert str(err).isprintable()
        else:
            assert all(torch.equal(read["state_dict"][name], w) for name, w in same.items())
    assert refused > 100


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of escapes in strings that are refused anyway
def test_changed_instructions_of_a_pickle_are_refused_or_give_data(tmp_path, checkpoint):
    with zipfile.ZipFile(checkpoint) as archive:
        instructions = archive.read("c/data.pkl")[2:-1]
    draw = random.Random(0)
    for _ in range(300):
        changed = bytearray(instructions)
        for _ in range(draw.randint(1, 4)):
            changed[draw.randrange(len(changed))] = draw.randrange(256)
        try:
            read_torch_file(write_archive(tmp_path / "changed", bytes(changed)))
        except CheckpointError as err:
            assert str(err).isprintable() and len(str(err)) < 500


def test_file_that_is_missing_or_a_folder_is_refused(tmp_path):
    for path, why in ((tmp_path / "none.pt", "No such file or directory"), (tmp_path, "Is a directory")):
        with pytest.raises(CheckpointError, match=rf"cannot be read \({why}\); give a file of torch.save"):
            read_torch_file(path)
