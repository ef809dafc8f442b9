"""What the checksums of WFDB files cost: their share of the CPU seconds of ``prepare``.

    OMP_NUM_THREADS=1 python benchmarks/checksum_cost.py <folder of ptbxl/, ludb/, cinc2021/>

Bar: under 5 %.
"""

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import patch

from ecg_lightning.data.prepare import prepare
from ecg_lightning.data.sources import Cinc, Ludb, PtbXl, wfdb_files


def main(root: Path) -> None:
    """Run as a script."""
    spent = 0.0

    def counted(check: Callable[..., Any]) -> Callable[..., Any]:
        def run(*arguments: Any) -> Any:
            nonlocal spent
            begin = time.process_time()
            try:
                return check(*arguments)
            finally:
                spent += time.process_time() - begin

        return run

    names = ("check_sums", "check_names")
    checks = [patch.object(wfdb_files, name, counted(getattr(wfdb_files, name))) for name in names]
    begin, records = time.process_time(), 0
    with tempfile.TemporaryDirectory() as folder, checks[0], checks[1]:
        for source in (PtbXl(root / "ptbxl"), Ludb(root / "ludb"), Cinc(root / "cinc2021")):
            cache = prepare(source, folder, processes=1, progress=False)
            records += len(cache) + len(cache.rejected)
    whole = time.process_time() - begin
    print(f"{records} records, {whole:.1f} CPU s, of which checks {spent:.2f} s: {100 * spent / whole:.1f} % (bar 5 %)")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
