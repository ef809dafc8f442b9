"""Through the command line: a network tested on an archive that it was not trained on; training with augmentation."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from synthetic_ecg import write_ptbxl
from workplace import CONFIGS, N_RECORDS, TARGET, Workplace

from ecg_lightning import open_run
from ecg_lightning.cli import main
from ecg_lightning.data.backgrounds import beat_name
from ecg_lightning.data.datamodule import EcgDataModule
from ecg_lightning.data.sources import PtbXl
from ecg_lightning.models import EcgClassifier
from ecg_lightning.storage.hashing import digest_array_rows

N_FOREIGN = 12


class Elsewhere(PtbXl):
    """Another hospital's archive in the same format."""

    name = "elsewhere"


@pytest.fixture(scope="module")
def foreign(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Few patients: none could be held out for training or validation."""
    root = tmp_path_factory.mktemp("foreign")
    codes = ["{'STACH': 0.0}" if k % 3 == 0 else "{'SR': 0.0}" for k in range(N_FOREIGN)]
    write_ptbxl(root, [(50.0, code) for code in codes])
    return root


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Writes a configuration of some methods."""

    def write(*methods: str) -> Path:
        path = tmp_path_factory.mktemp("few") / "few.yaml"
        path.write_text(yaml.safe_dump({"maps": {"methods": list(methods)}, "completeness": None}))
        return path

    return write


@pytest.fixture(scope="module")
def at_home(trained: Workplace, few: Callable[..., Path]) -> Path:
    """The same network tested on its own source's test split."""
    best = str(trained.run() / "checkpoints/best.ckpt")
    config = str(few("saliency", "gradient_shap", "deeplift_shap"))
    main(trained.arguments("test", "--config", config, "--ckpt_path", best, study="home", pictures=False))
    return trained.run("home")


def run_test(
    place: Workplace, root: Path, study: str, config: Path, *more: str, checkpoint: Path | None = None
) -> Path:
    """Test the place's network on every ECG of another archive."""
    elsewhere = Workplace(root, place.folder)
    best = checkpoint or place.run() / "checkpoints/best.ckpt"
    arguments = elsewhere.arguments("test", study=study, pictures=False)
    name = ("--data.source", f"{__name__}.Elsewhere", "--root", str(root))
    main([*arguments, "--config", str(config), *name, "--data.split", "test_only", "--ckpt_path", str(best), *more])
    return elsewhere.run(study)


def test_every_ecg_of_a_foreign_archive_is_tested_against_the_training_s_backgrounds(
    trained: Workplace, at_home: Path, foreign: Path, few: Callable[..., Path]
) -> None:
    run = open_run(run_test(trained, foreign, "foreign", few("saliency", "gradient_shap")))
    assert len(run.examples) == N_FOREIGN
    assert set(run.examples["source"]) == {"elsewhere"}
    assert set(pd.read_parquet(run.path.parents[1] / "splits.parquet")["split"]) == {"test"}
    assert run.metrics["n_ecgs"] == N_FOREIGN
    assert run.row_store("maps/gradient_shap").complete
    settings = [one.row_store("maps/gradient_shap").spec.settings for one in (run, open_run(at_home))]
    assert settings[0]["backgrounds"] == settings[1]["backgrounds"]


def test_without_a_split_every_ecg_of_another_source_is_a_test_ecg_and_only_of_another(
    trained: Workplace, at_home: Path, foreign: Path, few: Callable[..., Path]
) -> None:
    """``data.split: auto``, which is the default."""
    elsewhere = Workplace(foreign, trained.folder)
    arguments = [
        *elsewhere.arguments("test", study="by_default", pictures=False),
        *("--config", str(few("saliency")), "--data.source", f"{__name__}.Elsewhere", "--root", str(foreign)),
        *("--ckpt_path", str(trained.run() / "checkpoints/best.ckpt")),
    ]
    with pytest.raises(ValueError, match=r"the test split has . ECGs with it, .* both classes are needed"):
        main([*arguments, "--data.split", "patients"])  # one patient: what is asked for is done
    main(arguments)
    run = open_run(elsewhere.run("by_default"))
    assert len(run.examples) == run.metrics["n_ecgs"] == N_FOREIGN
    assert run.config("test")["data"]["split"] == "test_only"
    assert open_run(at_home).config("test")["data"]["split"] == "auto"
    assert len(open_run(at_home).examples) == round(0.1 * N_RECORDS)


def test_at_home_the_checkpoint_s_backgrounds_are_those_of_the_training_set(trained: Workplace, at_home: Path) -> None:
    datamodule = EcgDataModule(PtbXl(trained.root), TARGET, str(trained.folder / "cache"), n_backgrounds=5, processes=1)
    datamodule.setup("test")
    chosen = datamodule.backgrounds()  # without the checkpoint's
    names = [beat_name(beat) for beat in chosen.beats.numpy()]  # a checkpoint holds no ids
    expected = {"ecg_ids": names, "content": digest_array_rows(chosen.beats.numpy(), names)}
    stores = {name: open_run(at_home).row_store(f"maps/{name}").spec.settings for name in open_run(at_home).maps}
    assert stores["gradient_shap"]["backgrounds"] == stores["deeplift_shap"]["backgrounds"] == expected
    assert "backgrounds" not in stores["saliency"]
    kept = EcgClassifier.load_from_checkpoint(trained.run() / "checkpoints/best.ckpt").backgrounds
    assert kept is not None
    assert torch.equal(kept.beats, chosen.beats)


def without_backgrounds(place: Workplace, folder: Path) -> Path:
    """As a checkpoint of before they were kept."""
    content = torch.load(place.run() / "checkpoints/best.ckpt", weights_only=True)
    del content["ecg_backgrounds"]
    torch.save(content, folder / "old.ckpt")
    return folder / "old.ckpt"


def test_backgrounds_that_nobody_kept_matter_only_to_methods_that_use_them(
    trained: Workplace, foreign: Path, few: Callable[..., Path], tmp_path: Path
) -> None:
    old = without_backgrounds(trained, tmp_path)
    run = run_test(trained, foreign, "old_simple", few("saliency", "deeplift"), checkpoint=old)
    assert np.isfinite(open_run(run).maps["deeplift"].to_numpy()).all()
    with pytest.raises(ValueError, match=r"the checkpoint keeps 0, .* leave out .* \(gradient_shap, deeplift_shap\)"):
        run_test(trained, foreign, "old_shap", few("gradient_shap"), checkpoint=old)
    with pytest.raises(ValueError, match=r"6 backgrounds .* the checkpoint keeps 5, .*lower `data.n_backgrounds`"):
        run_test(trained, foreign, "more", few("gradient_shap"), "--data.n_backgrounds", "6")


def test_a_foreign_test_needs_a_study_of_its_own(trained: Workplace, foreign: Path, few: Callable[..., Path]) -> None:
    with pytest.raises(
        ValueError,
        match=r'this run has 12 test\. data\.source: "ptbxl" then, "elsewhere" now; .*only the study has 78 of the ECGs'
        r".* Use another --study \(a test on another archive needs one of its",
    ):
        run_test(trained, foreign, "tiny", few("saliency"))


def test_a_network_is_not_tested_on_its_own_training_patients(trained: Workplace, few: Callable[..., Path]) -> None:
    best = str(trained.run() / "checkpoints/best.ckpt")
    arguments = trained.arguments("test", "--data.split", "test_only", "--ckpt_path", best, study="own", pictures=False)
    with pytest.raises(ValueError, match=r"trained on these ECGs of ptbxl: .* Take data\.split: patients"):
        main(arguments)
    assert not trained.run("own").joinpath("test.yaml").exists()
    assert not trained.run("own").parents[1].joinpath("splits.parquet").exists()  # a later test may use the name


def test_another_part_of_the_same_archive_is_tested_with_a_warning(
    trained: Workplace, foreign: Path, few: Callable[..., Path]
) -> None:
    source = ("--data.source", "ecg_lightning.data.sources.PtbXl", "--root", str(foreign))
    with pytest.warns(UserWarning, match="another version of ptbxl: patients that it was trained on may be among"):
        run = run_test(trained, foreign, "part", few("saliency"), *source)
    assert len(open_run(run).examples) == N_FOREIGN


def test_a_foreign_archive_without_the_label_says_which_it_has(
    trained: Workplace, tmp_path: Path, few: Callable[..., Path]
) -> None:
    write_ptbxl(tmp_path, [(50.0, code) for code in ["{'AFIB': 0.0}", "{'NORM': 100.0}"] * 2])
    with pytest.raises(ValueError, match=r"has 0 ECGs with it, 4 without .* has both classes of .*atrial_fibrillation"):
        run_test(trained, tmp_path, "unlabelled", few("saliency"))


def test_a_foreign_archive_trains_nothing(trained: Workplace) -> None:
    with pytest.raises(ValueError, match=r"`data\.split: test_only` has no training ECGs .* not for `fit`"):
        main(trained.arguments("fit", "--data.split", "test_only", "--trainer.logger", "false", study="nothing"))


def test_training_with_the_shipped_augmentation(trained: Workplace) -> None:
    quick = ("--config", str(CONFIGS / "data/augmented.yaml"), "--trainer.max_epochs", "1", "--trainer.logger", "false")
    main(trained.arguments("fit", *quick, "--data.batch_size", "24", study="augmented"))
    recorded = open_run(trained.run("augmented")).config("fit")["data"]["augmentation"]
    assert recorded["noise"] == [8.0, 16.0]
    plain, augmented = (
        torch.load(trained.run(study) / "checkpoints/last.ckpt", weights_only=True)["state_dict"]
        for study in ("tiny", "augmented")
    )
    assert not torch.equal(plain["network.linear.weight"], augmented["network.linear.weight"])
