"""What leaves the house: nothing of a patient's record, its files or the machine, unless ids are asked for."""

import base64
import io
import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from synthetic_ecg import synthetic
from wandb_server import WandbServer

from ecg_lightning.runs.pseudonyms import KEY_FILE, EcgNames

REPOSITORY: Final = Path(__file__).parents[2]
CONFIGS: Final = REPOSITORY / "configs"
TARGET: Final = "sinus_tachycardia"
N: Final = 100
RECORD, PATIENT, HOST, USER, FOLDER = "RECZQX", "PATZQX", "HOSTZQX", "USERZQX", "FOLDERZQX"
"""Planted: in ids of records and of patients, as names of the host and the user, and in folders outside of the work."""

HOSTILE: Final = (
    "../../{}/x",
    "/tmp/{}",
    "{}\nsecond line",
    "{}\x1b[31m",
    "{}" + 4000 * "x",
    "<b onclick='a'>{}</b>--><script>",
    "${}^2$",
    "{}",
)

CALLBACKS: Final = """
trainer:
  callbacks:
    - class_path: callbacks.AttributionMaps
      init_args:
        methods:
          - class_path: ecg_lightning.attribution.methods.Saliency
          - class_path: ecg_lightning.attribution.methods.GradientShap
            init_args: { n_samples: 4 }
    - class_path: callbacks.LogitsAndMetrics
      init_args: { n_resamples: 100 }
    - class_path: callbacks.BackgroundDependence
      init_args: { max_examples: 4 }
    - class_path: callbacks.MethodSimilarity
      init_args: { n_resamples: 100 }
    - class_path: callbacks.BeatPictures
    - class_path: callbacks.MapPictures
      init_args: { svg: true }
"""

DRIVER: Final = """
import platform, socket, sys
socket.gethostname = platform.node = lambda: HOST
from ecg_lightning.cli import main
sys.argv = ["ecg_lightning"]
for stage in sys.stdin.read().split("\\n\\n"):
    main(stage.splitlines())
"""


@dataclass(frozen=True)
class House:
    """Where the planted study lies.

    Attributes:
        base: Everything.
        work: The working folder, with ``runs/``.
    """

    base: Path
    work: Path

    @property
    def study(self) -> Path:
        return self.work / "runs/planted"

    @property
    def run(self) -> Path:
        return self.study / TARGET / "seed0"

    def command(self, stage: str, *more: str) -> list[str]:
        configs = [CONFIGS / "fit.yaml", CONFIGS / "model/small.yaml"] if stage == "fit" else [CONFIGS / "test.yaml"]
        configs += [] if stage == "fit" else [self.base / "callbacks.yaml"]
        return [
            *(stage, *(part for config in configs for part in ("--config", str(config)))),
            *("--data.source", "ecg_lightning.data.sources.Arrays", "--data.source.init_args.content", "beats"),
            *("--root", str(self.base / FOLDER), "--data.cache_dir", str(self.base / FOLDER / "cache")),
            *("--runs", "runs", "--study", "planted", "--target", TARGET, "--seed_everything", "0"),
            *("--data.processes", "1", "--data.n_backgrounds", "4", "--data.held_out_patients", "24"),
            *("--trainer.accelerator", "cpu", "--trainer.enable_progress_bar", "false"),
            *more,
        ]

    def call(self, *commands: list[str]) -> str:
        """Run commands in a process whose machine is called ``HOST``; what it prints."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("WANDB", "XDG", "NETRC"))}
        home = self.base / USER
        own = {"HOME": str(home), "USER": USER, "LOGNAME": USER, "HOSTNAME": HOST, "WANDB_MODE": "offline"}
        own |= {"PYTHONPATH": str(REPOSITORY), "MPLCONFIGDIR": str(self.base / "matplotlib"), "OMP_NUM_THREADS": "1"}
        done = subprocess.run(
            [sys.executable, "-c", f"HOST = {HOST!r}\n{DRIVER}"],
            input="\n\n".join("\n".join(command) for command in commands),
            cwd=self.work,
            env=kept | own,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=300,
            check=False,
        )
        assert done.returncode == 0, done.stdout
        return done.stdout


def ids() -> list[str]:
    return [HOSTILE[k // 3 % len(HOSTILE)].format(f"{RECORD}{k}") for k in range(N)]


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> House:
    """Folders and an archive whose names are planted."""
    base = tmp_path_factory.mktemp("house")
    house = House(base, base / "work")
    for folder in (FOLDER, "work", USER):
        (base / folder).mkdir()
    beats = np.stack([synthetic(70, seed=k).recording.signal[:, 300:900] for k in range(4)])
    label = np.arange(N) % 2
    scale = np.where(label == 1, 1.4, 0.8) * (1 + 0.002 * np.arange(N))
    np.save(base / FOLDER / "ecgs.npy", (beats[np.arange(N) % 4] * scale[:, None, None]).astype(np.float32))
    patients = [f"{PATIENT}{k}" for k in range(N)]
    pd.DataFrame({"ecg_id": ids(), "patient_id": patients, "age": 50.0, "sex": "male", TARGET: label}).to_parquet(
        base / FOLDER / "ecgs.parquet"
    )
    (base / "callbacks.yaml").write_text(CALLBACKS, encoding="utf-8")
    return house


@pytest.fixture(scope="module")
def printed(house: House) -> str:
    """What ``fit``, ``test`` and ``report`` print by default; their files lie in the house."""
    fit = house.command("fit", "--trainer.max_epochs", "1")
    return house.call(fit, house.command("test"), ["report", str(house.study), "--n_resamples", "20"])


def wandb_records(run: Path) -> list[dict[str, Any]]:
    """Everything that an offline run would upload, but for its files, by W&B's own reader."""
    program = Path(sys.executable).with_name("wandb")
    done = subprocess.run([program, "leet", "inspect", "--json", run], capture_output=True, text=True, check=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


def without_staging(value: Any) -> Any:
    """An artifact's record without the local copies of its files, and without base64, which may begin with a slash."""
    if isinstance(value, dict):
        return {key: without_staging(part) for key, part in value.items() if key not in ("local_path", "digest")}
    return [without_staging(part) for part in value] if isinstance(value, list) else value


def texts(value: Any) -> Iterator[str]:
    """Every text in nested content, keys included."""
    if isinstance(value, dict):
        for key, part in value.items():
            yield from texts(key)
            yield from texts(part)
    elif isinstance(value, list | tuple):
        for part in value:
            yield from texts(part)
    elif isinstance(value, str):
        yield value


def parts(path: Path) -> Iterator[bytes]:
    """A file's name, its bytes, and what lies packed in them."""
    content = path.read_bytes()
    yield path.name.encode()
    yield content
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as packed:
            yield from (packed.read(name) for name in packed.namelist())
    if path.suffix == ".png":
        yield picture_texts(content)
    for packed_text in re.findall(rb"base64,([A-Za-z0-9+/=]+)", content):
        inner = base64.b64decode(packed_text)
        yield inner
        if inner.startswith(b"\x89PNG"):
            yield picture_texts(inner)


def picture_texts(content: bytes) -> bytes:
    with Image.open(io.BytesIO(content)) as image:
        image.load()
        return repr(image.info).encode()


def forms(word: str) -> list[bytes]:
    """A word as it may lie in a file: UTF-8, UTF-16, base64 at each of its three places."""
    encoded = [
        base64.b64encode(b" " * shift + word.encode())[-(-8 * shift // 6) : 8 * (shift + len(word)) // 6]
        for shift in range(3)
    ]
    return [word.encode(), word.encode("utf-16-le"), *encoded]


def found(paths: list[Path], *words: str) -> set[tuple[str, str]]:
    """(file, word) of every planted word that is in one of the files."""
    assert paths
    return {
        (path.name, word)
        for path in paths
        for part in parts(path)
        for word in words
        if any(form in part for form in forms(word))
    }


def wandb_files(house: House) -> list[Path]:
    """What W&B would upload: the record, and the files; its own logs of this machine are not among it."""
    runs = sorted((house.run / "wandb").glob("offline-run-*"))
    return [path for run in runs for path in run.rglob("*") if path.is_file() and path.parent.name != "logs"]


def shared_files(house: House) -> dict[str, list[Path]]:
    """What people hand on."""
    figures = [path for path in house.study.rglob("figures/**/*") if path.is_file()]
    return {
        "wandb": wandb_files(house),
        "report": [house.study / "report.html"],
        "figures": figures,
        "checkpoints": sorted((house.run / "checkpoints").iterdir()),
    }


def test_by_default_nothing_planted_leaves(house: House, printed: str) -> None:
    for kind, paths in shared_files(house).items():
        # W&B's record of an offline run says where the tables wait for `wandb sync`, which keeps that to itself
        words = (RECORD, PATIENT, HOST, USER, FOLDER, *([] if kind == "wandb" else [str(house.base)]))
        assert found(paths, *words) == set(), kind
    assert [word for word in (RECORD, PATIENT, HOST, "ecgs.npy") if word in printed] == []
    assert found([house.run / "examples.parquet"], RECORD, PATIENT)  # the run's own table keeps them
    assert set(pd.read_parquet(house.run / "examples.parquet")["ecg_id"]) <= set(ids())


def test_wandb_gets_no_machine_and_the_settings_without_paths(house: House, printed: str) -> None:
    for run in (house.run / "wandb").glob("offline-run-*"):
        records = [
            {**record, "artifact": without_staging(record["artifact"])} if "artifact" in record else record
            for record in wandb_records(run)
        ]
        told = list(texts(records))
        assert not [text for text in told for word in (RECORD, PATIENT, HOST, USER, FOLDER) if word in text]
        assert not [text for text in told if text.startswith(("/", "file:"))]
        assert not {"environment", "output_raw", "output"} & {record["type"] for record in records}
        (begun,) = (record["run"] for record in records if record["type"] == "run")
        assert not {"host", "git"} & begun.keys()
        assert f"runs/planted/{TARGET}/seed0" in told  # of the settings, relative to the working folder
        assert "ecg_lightning.data.sources.Arrays" in told


def test_wandb_sync_sends_nothing_planted(house: House, printed: str, tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("WANDB")}
    environment |= {f"WANDB_{name}": str(tmp_path) for name in ("CACHE_DIR", "CONFIG_DIR", "DATA_DIR", "DIR")}
    environment |= {"HOME": str(tmp_path), "WANDB_API_KEY": "0123456789" * 4}
    with WandbServer() as server:
        for number, run in enumerate(sorted((house.run / "wandb").glob("offline-run-*"))):
            copy = shutil.copytree(run, tmp_path / str(number) / run.name)  # an upload leaves a mark
            command = [Path(sys.executable).with_name("wandb"), "sync", copy]
            subprocess.run(
                command, env={**environment, "WANDB_BASE_URL": server.url}, check=True, capture_output=True, timeout=120
            )
    assert server.ended
    assert server.artifacts
    program = str(Path(sys.executable).with_name("wandb"))  # `wandb sync` tells where it lies itself
    sent = b"\n".join(server.heard).replace(program.encode(), b"")
    assert b"ecg_lightning.data.sources.Arrays" in sent
    for word in (RECORD, PATIENT, HOST, USER, FOLDER, str(house.base), str(REPOSITORY)):
        for form in forms(word):
            place = sent.find(form)
            assert place < 0, (word, sent[max(0, place - 100) : place + 100])


def test_a_checkpoint_tells_beats_but_no_ids_and_no_paths(house: House, printed: str) -> None:
    for path in (house.run / "checkpoints").iterdir():
        content = torch.load(path, weights_only=True)
        assert not [text for text in texts({k: v for k, v in content.items() if k != "state_dict"}) if "/" in text[:1]]
        kept = content["ecg_backgrounds"]
        assert len(set(kept["ecg_ids"])) == len(kept["beats"]) == 4
        assert all(re.fullmatch("beat-[0-9a-f]{10}", name) for name in kept["ecg_ids"])
        states = [state for state in content["callbacks"].values() if "dirpath" in state]
        assert {state["dirpath"] for state in states} == {"checkpoints"}
    table = pd.read_parquet(house.run / "tables/background_dependence.parquet")
    assert table["n_ecgs"].tolist() == [4]  # other patients were found without the first ones' ids


def test_pictures_are_named_by_rows_and_tell_pseudonyms(house: House, printed: str) -> None:
    examples = pd.read_parquet(house.run / "examples.parquet")
    pictures = sorted((house.run / "figures/maps").iterdir())
    methods = ("overview", "saliency", "gradient_shap")
    names = EcgNames.of_study(house.study)
    rows = {int(path.name[3:8]) for path in pictures}
    assert {path.name for path in pictures} == {
        f"row{row:05d}_{method}.{suffix}" for row in rows for method in methods for suffix in ("png", "svg")
    }
    outside = [path for path in house.base.rglob("*.png") if not path.is_relative_to(house.study)]
    assert outside == []
    for row in rows:
        title = f"ECG row {row} ({names.pseudonym(examples['ecg_id'].iloc[row])})"
        assert title in (house.run / f"figures/maps/row{row:05d}_saliency.svg").read_text(encoding="utf-8")
    page = (house.study / "report.html").read_text(encoding="utf-8")
    told = {int(row): name for row, name in re.findall(r"row (\d+) \((ecg-[0-9a-f]{10})\)", page)}
    assert told
    assert told == {row: names.pseudonym(examples["ecg_id"].iloc[row]) for row in told}
    key = (house.study / KEY_FILE).read_text(encoding="ascii").strip()
    everything = [path for path in house.base.rglob("*") if path.is_file() and path.name != KEY_FILE]
    assert found(everything, key) == set()


def test_ids_are_shown_by_choice_and_patients_never(house: House, printed: str, tmp_path: Path) -> None:
    """The control: with the ids kept, the same search finds them; hostile ones are drawn, and harmlessly."""
    kept = House(house.base, tmp_path / "kept")  # the other tests look at what is left by default
    shutil.copytree(house.work, kept.work)
    house = kept
    before = set(wandb_files(house))
    tested = pd.read_parquet(house.run / "examples.parquet")["ecg_id"].tolist()
    kinds = {ids().index(ecg_id) // 3 % len(HOSTILE): (row, ecg_id) for row, ecg_id in enumerate(tested)}
    assert len(kinds) == len(HOSTILE)
    wanted = [ecg_id for _, ecg_id in kinds.values()]
    (house.base / "keep.yaml").write_text(
        CALLBACKS.replace("{ svg: true }", json.dumps({"svg": True, "ecg_ids": wanted})), encoding="utf-8"
    )
    test = house.command("test", "--config", str(house.base / "keep.yaml"), "--ids", "keep")
    house.call(test, ["report", str(house.study), "--n_resamples", "20", "--ids", "keep"])
    files = shared_files(house) | {"wandb": [path for path in wandb_files(house) if path not in before]}
    for kind, paths in files.items():
        shown = {word for _, word in found(paths, RECORD, PATIENT, HOST, USER, FOLDER)}
        assert shown == (set() if kind == "checkpoints" else {RECORD}), kind
    named = [path for folder in (house.base, house.work) for path in folder.rglob(f"*{RECORD}*")]
    assert not [path for path in named if "figures" in path.parts or path.suffix == ".png"]
    assert not list(Path("/tmp").glob(f"{RECORD}*"))
    for row, _ in kinds.values():
        assert (house.run / f"figures/maps/row{row:05d}_overview.png").is_file()
    for path in (house.run / "figures/maps").glob("*.svg"):
        assert "\x1b" not in path.read_text(encoding="utf-8")
