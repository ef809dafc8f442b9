"""Where the command line's tests work: a small archive, its cache and its runs."""

from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
CONFIGS = HERE.parents[1] / "configs"
TARGET = "sinus_tachycardia"
N_RECORDS = 90


@dataclass(frozen=True)
class Workplace:
    """Where a test's commands work."""

    root: Path  # the archive
    folder: Path  # its cache/ and runs/

    def arguments(self, stage: str, *more: str, study: str = "tiny", pictures: bool = True) -> list[str]:
        """A command line on the shipped YAML, with the small preset and few passes and draws."""
        configs = [CONFIGS / f"{'fit' if stage == 'fit' else 'test'}.yaml", CONFIGS / "data/ptbxl.yaml"]
        if stage == "fit":
            configs += [CONFIGS / "model/small.yaml"]
        elif pictures:
            configs += [CONFIGS / "callbacks/coarse.yaml", HERE / "few_draws.yaml"]
        else:
            configs += [HERE / "maps_only.yaml"]
        return [
            stage,
            *(part for config in configs for part in ("--config", str(config))),
            *("--root", str(self.root), "--target", TARGET, "--seed_everything", "0"),
            *("--runs", str(self.folder / "runs"), "--data.cache_dir", str(self.folder / "cache")),
            *("--trainer.accelerator", "cpu", "--study", study, "--data.processes", "1"),
            *("--data.n_backgrounds", "5", "--trainer.enable_progress_bar", "false"),
            *more,
        ]

    def run(self, study: str = "tiny") -> Path:
        return self.folder / "runs" / study / TARGET / "seed0"
