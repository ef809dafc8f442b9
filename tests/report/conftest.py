"""A study that was really trained, tested and compared, made once for all test processes."""

import json
import sys
from pathlib import Path

import pytest
from made_once import made_once
from micro_study import SEEDS, TARGET

from ecg_lightning.cli import main

CONFIGS = Path(__file__).parents[2] / "configs"


@pytest.fixture(scope="session")
def micro_study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``runs/micro`` of one diagnosis and two seeds; not to be changed."""
    return made_once(tmp_path_factory, "micro", _make) / "runs/micro"


def _make(base: Path) -> None:
    before, sys.argv = sys.argv, ["ecg_lightning"]  # LightningCLI warns where the process has arguments of its own
    shared = [
        *("--config", str(CONFIGS / "data/synthetic.yaml"), "--data.source.init_args.n_patients", "300"),
        # patients enough for verdicts to be made
        *("--data.test_enrichment", json.dumps({"targets": [TARGET], "patients": 21, "without": 20})),
        *("--data.split_seed", "1", "--data.n_backgrounds", "4", "--data.cache_dir", str(base / "cache")),
        *("--data.processes", "1", "--runs", str(base / "runs"), "--study", "micro", "--target", TARGET),
        *("--trainer.accelerator", "cpu", "--trainer.enable_progress_bar", "false"),
    ]
    for seed in SEEDS:
        own = [*shared, "--seed_everything", str(seed)]
        fit = ["--config", str(CONFIGS / "fit.yaml"), "--config", str(CONFIGS / "model/small.yaml")]
        main(["fit", *fit, *own, "--trainer.max_epochs", "2"])
        test = ["--config", str(CONFIGS / "test.yaml"), "--config", str(Path(__file__).with_name("micro.yaml"))]
        # a notebook shows those of the first network; the report draws its own
        main(["test", *test, *own, "--figures", "none" if seed else "all"])
    main(["compare", str(base / "runs/micro"), "--processes", "1"])
    sys.argv = before
