"""Write one plain NPZ file per session from the four files of Steinmetz et al. 2019 that Neuromatch Academy publishes.

`python examples/steinmetz2019.py FOLDER` reads FOLDER/steinmetz_part0.npz to _part2.npz (those that are there) and
FOLDER/steinmetz_lfp.npz, and writes FOLDER/MOUSE_DATE.npz with `spks` (units, trials, time), `lfp` (areas, trials,
time), `wheel` (1, trials, time) and the names of the areas. The published files are pickles, which could run any
program; here they may only hold arrays, numbers and text.
"""

import pickle
import sys
import zipfile
from pathlib import Path

import numpy as np

SESSIONS_PER_PART = 13
_ALLOWED = {("multiarray", "_reconstruct"), ("multiarray", "scalar"), ("numpy", "ndarray"), ("numpy", "dtype")}
_ALLOWED |= {("_codecs", "encode")}


class ArrayUnpickler(pickle.Unpickler):
    """Reads arrays, dicts, lists, numbers and text, and nothing that could run."""

    def find_class(self, module: str, name: str):
        known = ("numpy.core.multiarray", "numpy._core.multiarray")
        if ("multiarray" if module in known else module, name) not in _ALLOWED:
            raise pickle.UnpicklingError(f"{module}.{name} is no array, number or text; this is not the published file")
        return super().find_class(module, name)


def sessions_of(path: Path) -> list[dict]:
    """The dicts, one per session, in the object array `dat` of a published file."""
    with zipfile.ZipFile(path) as archive, archive.open("dat.npy") as member:
        if np.lib.format.read_magic(member) == (1, 0):
            _, _, dtype = np.lib.format.read_array_header_1_0(member)
        else:
            _, _, dtype = np.lib.format.read_array_header_2_0(member)
        if not dtype.hasobject:
            raise ValueError(f"{path}: `dat` is no array of objects; this is not the published file")
        return list(ArrayUnpickler(member).load().ravel())


def write_session(folder: Path, session: dict, field: dict) -> Path:
    """FOLDER/MOUSE_DATE.npz of one session and its LFP. ValueError: they are not of the same trials."""
    name = f"{session['mouse_name']}_{session['date_exp']}"
    spks, wheel, lfp = session["spks"], session["wheel"], field["lfp"]
    if not spks.shape[1:] == wheel.shape[1:] == lfp.shape[1:]:
        raise ValueError(
            f"{name}: spks {spks.shape}, wheel {wheel.shape} and lfp {lfp.shape} are not of the same trials"
        )
    areas = {"unit_areas": session["brain_area"], "lfp_areas": field["brain_area_lfp"]}
    path = folder / f"{name}.npz"
    np.savez_compressed(
        path,
        spks=spks.astype(np.uint8),
        lfp=lfp.astype(np.float32),
        wheel=wheel.astype(np.float32),
        **{key: np.asarray(value, dtype=np.str_) for key, value in areas.items()},
    )
    return path


def main(folder: Path) -> None:
    fields = sessions_of(folder / "steinmetz_lfp.npz")
    for part in range(3):
        path = folder / f"steinmetz_part{part}.npz"
        if not path.exists():
            print(f"{path}: not there, left out")
            continue
        for number, session in enumerate(sessions_of(path), start=SESSIONS_PER_PART * part):
            print(write_session(folder, session, fields[number]))


if __name__ == "__main__":
    if len(sys.argv) != 2 or not (Path(sys.argv[1]) / "steinmetz_lfp.npz").exists():
        sys.exit("usage: python examples/steinmetz2019.py FOLDER, the folder with steinmetz_lfp.npz and the parts")
    try:
        main(Path(sys.argv[1]))
    except (ValueError, OSError, KeyError, zipfile.BadZipFile, pickle.UnpicklingError) as err:
        sys.exit(f"steinmetz2019: {err}")
