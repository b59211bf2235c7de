"""Records that cannot be written are reported once, written later, and an error only in the end."""

import json

import pytest

from raydistill.errors import RaydistillError
from raydistill.sweep.running.bookkeeping import Bookkeeping


def test_records_that_fail_are_written_later_in_order_and_reported_once(tmp_path):
    lines, folder = [], tmp_path / "late"
    records = Bookkeeping(lines.append)
    for number in range(3):
        records.write("numbers", lambda number=number: (folder / f"{number}.json").write_text(json.dumps(number)))
    assert lines == [
        f"cannot write numbers ([Errno 2] No such file or directory: '{folder / '0.json'}'); the jobs go on, and it is "
        "tried again"
    ]
    folder.mkdir()
    records.write("numbers", lambda: (folder / "3.json").write_text("3"))
    assert sorted(path.name for path in folder.iterdir()) == [f"{number}.json" for number in range(4)]
    assert not records.waiting
    records.finish()
    assert len(lines) == 1


def test_records_that_fail_to_the_end_are_an_error_that_names_them(tmp_path):
    records = Bookkeeping(lambda line: None)
    for what in ("rates", "rates", "logs"):
        records.write(what, lambda: (tmp_path / "none" / "file").read_text())
    records.write("estimates", lambda: (tmp_path / "none" / "file").read_text(), is_needed=False)
    with pytest.raises(RaydistillError, match=r"^3 records could not be written \(rates, logs: .*No such file"):
        records.finish()
