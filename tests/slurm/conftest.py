"""A Slurm of one node for the session, or a word why there is none."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from cluster import Cluster, ClusterError, cluster, why_not


@pytest.fixture(scope="session")
def slurm() -> Iterator[Cluster]:
    """It needs root, and Debian's packages slurm-wlm and munge."""
    if reason := why_not():
        pytest.skip(f"no Slurm: {reason}")
    with tempfile.TemporaryDirectory(prefix="slurm-") as folder:  # pytest's own names are too long for a socket
        try:
            context = cluster(Path(folder))
            running = context.__enter__()
        except ClusterError as error:
            pytest.skip(f"no Slurm: {error}")
        try:
            yield running
        finally:
            context.__exit__(None, None, None)
