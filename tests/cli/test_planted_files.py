"""Files that ask for commands nobody typed: in a checkpoint, a run folder, a configuration. None of them runs."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from test_callbacks import datamodule, trainer
from torch import nn
from workplace import CONFIGS, TARGET, Workplace

from callbacks import AttributionMaps
from ecg_lightning import open_run
from ecg_lightning.cli import main
from ecg_lightning.command_line.argument_types import argument_types
from ecg_lightning.experiments.randomization.random_models import permuted_tasks
from ecg_lightning.models import EcgClassifier
from ecg_lightning.plotting.page_blocks import ReportFiles
from ecg_lightning.report.judged_runs import JudgedRuns
from ecg_lightning.report.networks import networks_section
from ecg_lightning.runs.checkpoints import CheckpointError
from ecg_lightning.runs.run import Run
from ecg_lightning.runs.study_folder import StudyFolder
from ecg_lightning.statistics.interval_settings import IntervalSettings
from ecg_lightning.storage.plain_values import UntrustedContentError

LINEAR = {"class_path": "torch.nn.Linear", "init_args": {"in_features": 3, "out_features": 1}}
PLANTED_MODULE = """
from pathlib import Path
from torch import nn
Path({marker!r}).touch()
class Evil(nn.Module): pass
def make() -> nn.Module:
    return nn.Identity()
"""
OWN_MODULE = """
from torch import nn
from lightning.pytorch import Callback
class Network(nn.Module):
    def __init__(self, width: int = 4) -> None:
        super().__init__()
        self.conv = nn.Conv1d(8, width, 25)
        self.relu = nn.ReLU()
        self.head = nn.Linear(width, 1)
    def forward(self, ecg):
        return self.head(self.relu(self.conv(ecg)).mean(2))
class Mine(Callback):
    pass
"""


class Plant:
    """What would be there if a planted file were obeyed."""

    def __init__(self, folder: Path) -> None:
        self.marker = folder / "it_ran"
        self.command = f"touch {self.marker}"
        (folder / "planted.py").write_text(PLANTED_MODULE.format(marker=str(self.marker)))
        (folder / "own_classes.py").write_text(OWN_MODULE)

    @property
    def popen(self) -> dict[str, Any]:
        return {"class_path": "subprocess.Popen", "init_args": {"args": self.command, "shell": True}}

    def below(self, spelled: object = None) -> dict[str, Any]:
        """A genuine network, and the command where no class is declared."""
        return {**LINEAR, "init_args": {**LINEAR["init_args"], "device": spelled or self.popen}}  # type: ignore[dict-item]

    def ran(self, seconds: float = 0.1) -> bool:
        end = time.monotonic() + seconds
        while not self.marker.exists() and time.monotonic() < end:
            time.sleep(0.02)
        return self.marker.exists()


@pytest.fixture
def plant(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Plant:
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.chdir(tmp_path)
    for name in ("planted", "own_classes"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    return Plant(tmp_path)


def hostile(place: Workplace, path: Path, network: object, top: dict[str, Any] | None = None, **more: object) -> Path:
    """The trained run's checkpoint with other hyperparameters."""
    content = torch.load(place.run() / "checkpoints/best.ckpt", weights_only=True)
    if network is not None:
        content["hyper_parameters"]["network"] = network
    content["hyper_parameters"] |= more
    torch.save(content | (top or {}), path)
    return path


def python(code: str, folder: Path) -> None:
    """A process without this project's command line: jsonargparse's settings are the whole process's."""
    path = os.pathsep.join([str(Path(__file__).parents[2]), str(folder)])
    subprocess.run([sys.executable, "-c", code], cwd=folder, env={**os.environ, "PYTHONPATH": path}, check=False)


def test_without_the_check_a_checkpoint_runs_a_command(plant: Plant, tmp_path: Path) -> None:
    """The control of all that follows: this is what Lightning makes of hyperparameters."""
    code = f"""
from lightning.pytorch.cli import instantiate_module
from ecg_lightning.models import EcgClassifier
instantiate_module(EcgClassifier, {{"network": {plant.below()!r}}})
"""
    python(code, tmp_path)
    assert plant.ran(10)


def test_without_the_check_a_configuration_runs_a_command(plant: Plant, tmp_path: Path) -> None:
    (tmp_path / "fit.yaml").write_text(yaml.safe_dump({"model": {"network": plant.below()}}))
    code = """
from lightning.pytorch.cli import LightningCLI
from ecg_lightning.models import EcgClassifier
LightningCLI(EcgClassifier, run=False, args=["--config", "fit.yaml"])
"""
    python(code, tmp_path)
    assert plant.ran(10)


NETWORK = r"hyper_parameters\.network"
WAYS: dict[str, tuple[Callable[[Plant], dict[str, Any]], str]] = {
    "the command as network": (lambda p: {"network": p.popen}, rf"{NETWORK}\.class_path: found 'subprocess\.Popen'"),
    "below a genuine network": (lambda p: {"network": p.below()}, rf"{NETWORK}\.class_path: found 'torch\.nn\.Linear'"),
    "below the project's network": (
        lambda p: {"network": {"class_path": "ecg_lightning.models.ResNet1d", "init_args": {"widths": p.popen}}},
        rf"{NETWORK}\.init_args\.widths: found class_path 'subprocess\.Popen'",
    ),
    "written as text": (lambda p: {"network": str(p.popen)}, rf"{NETWORK}\.class_path: found 'subprocess\.Popen'"),
    "in place of a number": (lambda p: {"network": None, "learning_rate": p.popen}, r"hyper_parameters\.learning_rate"),
    "imported by the project": (
        lambda p: {"network": {**p.popen, "class_path": "ecg_lightning.study.job.subprocess.Popen"}},
        rf"{NETWORK}\.class_path: found 'ecg_lightning\.study\.job\.subprocess\.Popen'",
    ),
    "a planted module": (
        lambda _: {"network": {"class_path": "planted.Evil"}},
        rf"{NETWORK}\.class_path: found 'planted",
    ),
    "a planted function": (lambda _: {"network": {"class_path": "planted.make"}}, rf"{NETWORK}\.class_path"),
    "a class path alone": (lambda _: {"network": "planted.Evil"}, rf"{NETWORK}: found 'planted\.Evil'"),
    "dict_kwargs": (
        lambda p: {"network": {"class_path": "ecg_lightning.models.ResNet1d", "dict_kwargs": {"x": p.popen}}},
        rf"{NETWORK}\.dict_kwargs\.x: found class_path",
    ),
    "another module": (
        lambda _: {"network": None, "_class_path": "planted.Evil"},
        r"hyper_parameters\._class_path: found 'planted\.Evil'",
    ),
    "another instantiator": (
        lambda _: {"network": None, "_instantiator": "os.system"},
        r"hyper_parameters\._instantiator: found 'os\.system'",
    ),
    "where old Lightning kept it": (lambda p: {"network": None, "top": {"hparams": {"network": p.popen}}}, "hparams: "),
    "under another name": (lambda _: {"network": None, "top": {"hparams_name": "network"}}, "hparams_name: "),
    "the environment": (
        lambda _: {
            "network": {"class_path": "ecg_lightning.models.ResNet1d", "init_args": {"shortcut": "${oc.env:HOME}"}}
        },
        rf"{NETWORK}\.init_args\.shortcut: found the reference",
    ),
}


@pytest.mark.parametrize("way", WAYS)
def test_a_checkpoint_runs_nothing(trained: Workplace, plant: Plant, tmp_path: Path, way: str) -> None:
    make, message = WAYS[way]
    path = hostile(trained, tmp_path / "strange.ckpt", **make(plant))
    for stage in ("test", "tune") if way == "below a genuine network" else ("test",):
        with pytest.raises(UntrustedContentError, match=rf"strange\.ckpt: {message}"):
            main(trained.arguments(stage, "--ckpt_path", str(path), "--trainer.logger", "false"))
    with pytest.raises(UntrustedContentError, match=rf"strange\.ckpt: {message}"):
        EcgClassifier.load_from_checkpoint(path)
    assert not plant.ran()
    assert "planted" not in sys.modules


def test_a_class_that_the_user_has_typed_is_no_way_in(trained: Workplace, plant: Plant, tmp_path: Path) -> None:
    """The network is typed, so that the checkpoint may name it; what lies below it is still the checkpoint's."""
    path = hostile(trained, tmp_path / "strange.ckpt", plant.below())
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump({"model": {"network": LINEAR}}))
    typed = ("--config", "mine.yaml", "--trainer.logger", "false")
    with pytest.raises(UntrustedContentError, match=rf"strange\.ckpt: {NETWORK}\.init_args\.device: found class_path"):
        main(trained.arguments("test", "--ckpt_path", str(path), *typed))
    with pytest.raises(UntrustedContentError, match=rf"{NETWORK}\.init_args\.device: found class_path"):
        EcgClassifier.load_from_checkpoint(path, classes=[nn.Linear])
    assert not plant.ran()


def test_hyperparameters_that_are_no_mapping_are_named(trained: Workplace, tmp_path: Path) -> None:
    path = tmp_path / "strange.ckpt"
    torch.save({"state_dict": {}, "hyper_parameters": ["network"]}, path)
    with pytest.raises(CheckpointError, match=r"strange\.ckpt: hyper_parameters: expected a mapping"):
        main(trained.arguments("test", "--ckpt_path", str(path)))
    with pytest.raises(UntrustedContentError, match=r"strange\.ckpt: hyper_parameters: found a list"):
        EcgClassifier.load_from_checkpoint(path)


def test_the_cascade_rebuilds_the_tested_network_s_class_only(trained: Workplace, plant: Plant, tmp_path: Path) -> None:
    maps = AttributionMaps(["saliency"])
    module = EcgClassifier.load_from_checkpoint(trained.run() / "checkpoints/best.ckpt")
    trainer(tmp_path, maps, limit_test_batches=1).test(module, datamodule(trained), verbose=False)
    assert len(permuted_tasks(maps, [str(trained.run() / "checkpoints/best.ckpt")])) == 1
    path = hostile(trained, tmp_path / "strange.ckpt", plant.below())
    with pytest.raises(UntrustedContentError, match=rf"strange\.ckpt: {NETWORK}\.class_path: found 'torch"):
        permuted_tasks(maps, [str(path)])
    assert not plant.ran()


# --- what lies in a run folder, passed as a configuration ---------------------------------------------------------

FOREIGN: dict[str, tuple[Callable[[Plant], dict[str, Any]], str]] = {
    "a callback": (lambda p: {"trainer": {"callbacks": [p.popen]}}, r"trainer\.callbacks\[0\]\.class_path"),
    "a callback by its name": (lambda _: {"trainer": {"callbacks": "planted.Evil"}}, r"trainer\.callbacks: found 'pl"),
    "a network": (lambda _: {"model": {"network": {"class_path": "planted.Evil"}}}, r"model\.network\.class_path"),
    "with dots": (lambda p: {"model.network": p.popen}, r"model\.network\.class_path"),
    "in parts": (lambda _: {"model.network.class_path": "planted.Evil"}, r"model\.network"),
    "added to a list": (lambda p: {"trainer": {"callbacks+": [p.popen]}}, r"trainer\.callbacks\[0\]\.class_path"),
    "a logger": (lambda p: {"trainer": {"logger": [p.popen]}}, r"trainer\.logger\[0\]\.class_path"),
    "a strategy's name": (lambda _: {"trainer": {"strategy": "planted.Evil"}}, r"trainer\.strategy: found 'planted"),
    "Lightning's own": (lambda _: {"trainer": {"strategy": "DDPStrategy"}}, r"trainer\.strategy: found 'DDPStrategy'"),
    "a file beside it": (lambda _: {"trainer": {"strategy": "beside"}}, r"trainer\.strategy: found 'beside'"),
    "a file for a part": (lambda _: {"trainer": "beside"}, r"trainer: found 'beside'"),
    "a further configuration": (lambda _: {"config": "beside"}, r"config: found the further configuration"),
    "arguments of what was named": (
        lambda p: {"model": {"network": {"init_args": {"device": p.popen}}}},
        r"model\.network",
    ),
    "below a method": (
        lambda p: {
            "trainer": {
                "callbacks": [
                    {
                        "class_path": "callbacks.AttributionMaps",
                        "init_args": {
                            "methods": [
                                {
                                    "class_path": "ecg_lightning.attribution.methods.SmoothGrad",
                                    "init_args": {"n_samples": p.popen},
                                }
                            ]
                        },
                    }
                ]
            }
        },
        r"trainer\.callbacks\[0\]\.init_args\.methods\[0\]\.init_args\.n_samples: found class_path",
    ),
    "below a key": (
        lambda p: {"maps": {"methods": {"smoothgrad": {"n_samples": p.popen}}}},
        r"maps\.methods\.smoothgrad\.n_samples: found class_path",
    ),
    "a method of its own": (
        lambda _: {"maps": {"methods": {"own": [{"class_path": "planted.Evil"}]}}},
        r"maps\.methods\.own\[0\]\.class_path: found 'planted\.Evil'",
    ),
    "at a key": (lambda _: {"randomization": {"class_path": "planted.Evil"}}, r"randomization\.class_path: found 'pl"),
    "at a key by its name": (lambda _: {"similarity": "planted.Evil"}, r"similarity: found 'planted"),
    "pickles": (lambda _: {"weights_only": False}, r"weights_only: found False"),
    "the environment": (lambda _: {"study": "${oc.env:HOME}"}, r"study: found the reference"),
}


@pytest.mark.parametrize(
    ("way", "name"),
    [
        *((way, "fit.yaml") for way in FOREIGN),
        ("below a method", "tune/methods.yaml"),
        ("a logger", "tune/methods.yaml"),
    ],
)
def test_a_file_of_a_run_folder_runs_nothing(
    trained: Workplace, plant: Plant, copy_run: Path, way: str, name: str
) -> None:
    make, message = FOREIGN[way]
    path = copy_run / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(yaml.safe_dump(make(plant)))
    path.with_name("beside").write_text(yaml.safe_dump({"class_path": "planted.Evil"}))
    with pytest.raises(UntrustedContentError, match=rf"{path.name}: {message}"):
        main(trained.arguments("test", "--config", str(path), "--trainer.logger", "false"))
    assert not plant.ran()
    assert "planted" not in sys.modules


@pytest.fixture
def copy_run(trained: Workplace, tmp_path: Path) -> Path:
    """A stranger's run folder, outside of this command's ``--runs``."""
    folder = tmp_path / "from_elsewhere"
    (folder / "checkpoints").mkdir(parents=True)
    (folder / "checkpoints/best.ckpt").write_bytes((trained.run() / "checkpoints/best.ckpt").read_bytes())
    return folder


def test_python_objects_in_yaml_are_text_to_nobody(trained: Workplace, plant: Plant, copy_run: Path) -> None:
    path = copy_run / "fit.yaml"
    for text in ("a: !!python/object/apply:os.system ['%s']\n", "!!python/object/apply:os.system ['%s']\n"):
        path.write_text(text % plant.command)
        with pytest.raises((SystemExit, ValueError, yaml.YAMLError)):
            main(trained.arguments("test", "--config", str(path), "--trainer.logger", "false"))
    assert not plant.ran()


def test_a_part_of_a_configuration_lies_in_no_run_folder(
    trained: Workplace, plant: Plant, copy_run: Path, tmp_path: Path
) -> None:
    part = copy_run / "part.yaml"
    part.write_text(yaml.safe_dump(plant.popen))
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump({"model": {"network": str(part)}}))
    for typed in (("--model.network", str(part)), (f"--trainer.logger={part}",), ("--config", "mine.yaml")):
        with pytest.raises(UntrustedContentError, match=r"a file of a run folder.*Pass --config"):
            main(trained.arguments("test", *typed))
    assert not plant.ran()


def test_what_the_stages_write_can_be_given_again(trained: Workplace, plant: Plant, copy_run: Path) -> None:
    """A link to it is the same file, and a class of the user's own is allowed where the user names it."""
    fit = yaml.safe_load((trained.run() / "fit.yaml").read_text())
    fit["trainer"]["callbacks"].append({"class_path": "own_classes.Mine"})
    path = copy_run / "fit.yaml"
    path.write_text(yaml.safe_dump(fit))
    Path("link.yaml").symlink_to(path)
    arguments = [*trained.arguments("fit", study="again")[:1], "--root", str(trained.root)]
    for given in (str(path), "link.yaml", "from_elsewhere/fit.yaml", "./from_elsewhere/../from_elsewhere/fit.yaml"):
        with pytest.raises(UntrustedContentError, match=r"callbacks\[1\]\.class_path: found 'own_classes\.Mine'"):
            main([*arguments, "--config", given])
    assert "own_classes" not in sys.modules
    Path("mine.yaml").write_text("trainer: {callbacks: [{class_path: own_classes.Mine}]}")
    with pytest.raises(SystemExit) as stop:
        main([*arguments, "--config", "mine.yaml", "--config", str(path), "--print_config"])
    assert stop.value.code == 0


# --- what the user has typed -----------------------------------------------------------------------------------------

OBJECTS = ("accelerator", "strategy", "logger", "callbacks", "profiler", "plugins")


def test_the_arguments_that_take_objects_are_known() -> None:
    """A Lightning with another one comes to notice here, and an argument that would take anything."""
    types = argument_types()["fit"]
    assert {name for name, one in types.items() if not one.open} == {
        *(f"trainer.{name}" for name in OBJECTS),
        *("model.network", "data.source", "data.representation", "data.augmentation", "data.test_enrichment"),
    }
    assert not [name for name, one in types.items() if one.imports]


@pytest.mark.parametrize("inline", [True, False])
@pytest.mark.parametrize("key", ["model.network", "data.source", *(f"trainer.{name}" for name in OBJECTS)])
def test_a_typed_class_outside_of_what_is_declared_is_refused(
    trained: Workplace, plant: Plant, key: str, inline: bool
) -> None:
    first, second = key.split(".")
    Path("mine.yaml").write_text(yaml.safe_dump({first: {second: plant.popen}}))
    typed = (f"--{key}", str(plant.popen)) if inline else ("--config", "mine.yaml")
    where = "the command line" if inline else "mine.yaml"
    message = rf"{where}: {key}\.class_path: found subprocess\.Popen"
    with pytest.raises(UntrustedContentError, match=message):
        main(trained.arguments("fit", *typed))
    assert not plant.ran()


def test_a_typed_function_is_no_class(trained: Workplace, plant: Plant) -> None:
    """jsonargparse would call it: it says that it gives a module."""
    for typed in (("--model.network", "planted.make"), ("--model.network.class_path", "planted.make")):
        plant.marker.unlink(missing_ok=True)
        with pytest.raises(UntrustedContentError, match=r"model\.network.*planted\.make, which is no class"):
            main(trained.arguments("fit", *typed))


@pytest.mark.parametrize("spelled", ["popen", "text", "planted"])
def test_nothing_typed_is_made_below_init_args(
    trained: Workplace, plant: Plant, spelled: str, capsys: pytest.CaptureFixture[str]
) -> None:
    value = {"popen": plant.popen, "text": str(plant.popen), "planted": {"class_path": "planted.Evil"}}[spelled]
    network = plant.below(value)
    Path("mine.yaml").write_text(yaml.safe_dump({"model": {"network": network}}))
    Path("part.yaml").write_text(yaml.safe_dump(network))
    key = r"model\.network\.init_args\.device: found class_path"
    for typed, where in ((("--config", "mine.yaml"), r"mine\.yaml"), (("--model.network", str(network)), "line")):
        with pytest.raises(UntrustedContentError, match=rf"{where}: {key}"):
            main(trained.arguments("fit", *typed))
    parts = (
        "--model.network",
        "torch.nn.Linear",
        "--model.network.in_features",
        "3",
        "--model.network.out_features",
        "1",
    )
    for typed in (
        ("--model.network", "part.yaml"),
        (*parts, "--model.network.device", str(value)),
        (*parts, f"--model.network.init_args.device={value}"),
        (*parts, "--model.network.dict_kwargs", str({"device": value})),
    ):
        with pytest.raises((SystemExit, UntrustedContentError)):
            main(trained.arguments("fit", *typed))
        assert "init_args.device: found class_path" in capsys.readouterr().err.replace("\n", " ")
    assert not plant.ran()
    assert "planted" not in sys.modules


# --- a network of the user's own --------------------------------------------------------------------------------


def test_a_network_of_the_user_s_own_is_trained_tested_and_reported(
    archive: Path, tmp_path: Path, plant: Plant, trained: Workplace
) -> None:
    place = Workplace(archive, tmp_path / "own")
    (tmp_path / "own").mkdir()
    (tmp_path / "own/cache").symlink_to(trained.folder / "cache")
    Path("mine.yaml").write_text("model: {network: {class_path: own_classes.Network, init_args: {width: 3}}}")
    quick = ("--trainer.logger", "false", "--trainer.max_epochs", "1", "--data.batch_size", "24")
    main(place.arguments("fit", "--config", "mine.yaml", *quick))
    few = ("--trainer.logger", "false", "--config", str(CONFIGS / "callbacks/no_cascade.yaml"))
    with pytest.raises(UntrustedContentError) as refused:
        main(place.arguments("test", *few, pictures=False))
    assert "best.ckpt: hyper_parameters.network.class_path: found 'own_classes.Network'" in str(refused.value)
    assert "--model.network 'own_classes.Network'" in str(refused.value)
    alone = ("--trainer.logger", "false", "--model.network", "own_classes.Network")
    main(place.arguments("test", *alone, pictures=False))
    run = open_run(place.run())
    assert np.isfinite(run.logits.to_numpy()).all()
    with pytest.raises(UntrustedContentError, match=r"classes=\[\.\.\.\]"):
        EcgClassifier.load_from_checkpoint(run.checkpoint)
    network = sys.modules["own_classes"].Network
    again = EcgClassifier.load_from_checkpoint(run.checkpoint, classes=[network]).network
    assert again.conv.out_channels == 3
    given = EcgClassifier.load_from_checkpoint(run.checkpoint, network=network(3)).network
    assert torch.equal(given.head.weight, again.head.weight)
    section = report_of(run, tmp_path)
    assert f"The network of {TARGET}, seed 0 is own_classes.Network: no architecture" in section
    hostile(place, run.checkpoint, plant.below())
    (run.path / "fit.done.json").write_text("{}")  # as of an earlier version, which sealed nothing
    assert f"The network of {TARGET}, seed 0 is torch.nn.Linear: no architecture" in report_of(run, tmp_path)
    assert not plant.ran()


def report_of(run: Run, folder: Path) -> str:
    """What the report says of a study's networks."""
    runs = JudgedRuns.open(run.path.parents[1], IntervalSettings())
    return str(networks_section(runs, ReportFiles(StudyFolder(folder))))
