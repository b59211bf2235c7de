"""pynwb is imported without its cache."""

import os
import subprocess
import sys


def test_pynwb_writes_no_cache_that_another_process_could_read_half_written(tmp_path):
    environment = {name: value for name, value in os.environ.items() if name != "PYNWB_NO_CACHE_DIR"}
    code = "import raydistill, pynwb; print(pynwb.__version__)"
    subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code],
        env=environment | {"XDG_CACHE_HOME": str(tmp_path)},
        check=True,
        cwd=tmp_path,
    )
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]
