"""A study's file: names stay as they are written, and what can't be is told with file, setting and place."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from ecg_lightning.command_line.run_config import folder_name
from ecg_lightning.study.settings import load_study

CONFIGS = Path(__file__).parents[2] / "configs"


def write(folder: Path, **settings: str) -> Path:
    """A study file of YAML texts."""
    whole = {
        "study": "mine",
        "targets": "[sinus_rhythm, atrial_fibrillation]",
        "seeds": "[0, 1]",
        "fit": f"{{configs: [{CONFIGS}/fit.yaml]}}",
        "test": f"{{configs: [{CONFIGS}/test.yaml]}}",
    }
    path = folder / "study.yaml"
    path.write_text("\n".join(f"{key}: {value}" for key, value in (whole | settings).items()))
    return path


@pytest.mark.parametrize(
    "name",
    ["007", "1e3", "1_000", "0x10", "0o17", "1:30", "2024-01-01", "on", "yes", "No", "true", "1.0", ".5", "+1", ".inf"],
)
@pytest.mark.parametrize("setting", ["study", "runs", "root"])
def test_a_name_stays_as_it_is_written(tmp_path: Path, setting: str, name: str) -> None:
    for written in (name, f"{name}  # a comment", f"'{name}'", f'"{name}"'):
        assert getattr(load_study(write(tmp_path, **{setting: written})), setting) == name


def test_a_name_of_the_command_line_goes_before_and_survives_the_workflow(tmp_path: Path) -> None:
    path = write(tmp_path, study="007")
    assert load_study(path, study="1e3").study == "1e3"
    content: Any = yaml.safe_load(
        json.dumps({"overrides": {"study": "1e3", "runs": "0x1"}})
    )  # as Snakemake is given it
    assert content["overrides"] == {"study": "1e3", "runs": "0x1"}


def test_a_name_that_is_merged_from_elsewhere_asks_for_quotes(tmp_path: Path) -> None:
    path = write(tmp_path)
    path.write_text(
        path.read_text().replace("study: mine", "fit: &a {study: 007}\n<<: *a").replace("fit: {conf", "x: {c")
    )
    with pytest.raises(
        ValueError, match=r"study\.yaml: (study: expected a name; write it in quotes.*got 7|x: unknown)"
    ):
        load_study(path)


@pytest.mark.parametrize("name", ["null", "~", "", "''"])
def test_no_name_is_told(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match=r"study\.yaml: study missing or empty .*in quotes"):
        load_study(write(tmp_path, study=name))


@pytest.mark.parametrize(
    ("setting", "value", "words"),
    [
        ("study", "[a]", r"study: expected a name; write it in quotes, .*got \['a'\]"),
        ("study", "a/b", r"--study must .*without a slash; got 'a/b'"),
        ("study", "..", r"--study must be the name of one folder"),
        ("seeds", "3", r"seeds: expected a list of distinct whole numbers from 0, as \[0, 1, 2\], got 3"),
        ("seeds", "0", r"seeds: expected a list of distinct whole numbers from 0, as \[0, 1, 2\], got 0"),
        ("seeds", "0-4", r"seeds: expected a list .*got '0-4'"),
        ("seeds", "{0: 1}", "seeds: expected a list"),
        ("seeds", "[0, '1']", r"seeds: expected a list of distinct whole numbers from 0.*got \[0, '1'\]"),
        ("seeds", "[0, 1.0]", "seeds: expected a list of distinct whole numbers"),
        ("seeds", "[true]", "seeds: expected a list of distinct whole numbers"),
        ("seeds", "[-1]", "seeds: expected a list of distinct whole numbers"),
        ("seeds", "[2, 2]", "seeds: expected a list of distinct whole numbers"),
        ("seeds", "[[0]]", "seeds: expected a list of distinct whole numbers"),
        ("seeds", "[]", "seeds missing or empty"),
        ("targets", "sinus_rhythm", r"targets: expected a list of targets of the source, .*got 'sinus_rhythm'"),
        ("targets", "{sinus_rhythm: 1}", "targets: expected a list"),
        ("targets", "[1]", r"targets: expected a list of targets .*got \[1\]"),
        ("targets", "[[sinus_rhythm]]", "targets: expected a list of targets"),
        ("targets", "[../x]", r"targets: expected a list of targets .*got \['../x'\]"),
        ("targets", "[STTC, sttc]", "targets: expected a list of targets of the source, each once"),
        ("threads", "true", "threads: expected a whole number from 1, got True"),
        ("threads", "'2'", "threads: expected a whole number from 1, got '2'"),
        ("prepare_threads", "0", "prepare_threads: expected a whole number from 1, got 0"),
        ("report", "true", "report: expected options with their values, got True"),
        ("only", "3", "only: expected a list, got 3"),
        ("only", "[{seeds: 0, test: {}}]", r"only\[0\]\.seeds: expected a list of distinct .*, got 0"),
        ("only", "[{targets: sinus_rhythm, test: {}}]", r"only\[0\]\.targets: expected a list"),
        (
            "only",
            "[{seeds: [true], test: {}}]",
            r"only\[0\]\.seeds: expected a list of distinct whole numbers .*, got \[True\]",
        ),
        ("fit", "{configs: 3}", r"fit\.configs: expected a list of files, as"),
        ("fit", "{configs: a.yaml}", r"fit\.configs: expected a list of files, as"),
        ("only", "[{seeds: [7], test: {}}]", "only: 7 not in the study's targets or seeds"),
        ("fit", "{configs: [1]}", r"fit\.configs: expected a list of files, .*got \[1\]"),
        ("fit", "{optoins: {}}", r"fit\.optoins: unknown, do you mean options\? expected some of configs, options"),
        ("fit", "3", "fit: expected settings of configs, options, got 3"),
        ("fit", "{configs: [configs/fits.yaml]}", "fit: there is no configuration configs/fits.yaml"),
        ("thread", "2", r"thread: unknown, do you mean threads\? expected some of study, targets"),
        ("only", "[{tets: {}}]", r"only\[0\]\.tets: unknown, do you mean test\? expected some of"),
        ("fit", "{options: [a]}", r"fit\.options: expected options with their values"),
    ],
)
def test_a_setting_that_can_t_be_is_named_with_what_was_expected(
    tmp_path: Path, setting: str, value: str, words: str
) -> None:
    with pytest.raises((ValueError, FileNotFoundError), match=rf"study\.yaml: {words}"):
        load_study(write(tmp_path, **{setting: value}))


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("study: a\n  seeds: [", "line 2, column 8: mapping values are not allowed"),
        ("study: a\nseeds: [0, 1\nfit: {}", "line 3, column "),
        ("study: a\n\tseeds: [0]", "line 2, column "),
        ("study: a\nstudy: b", "line 2, column 1: found duplicate key study"),
        ("study: 'a", "line 1, column "),
        ("study: a\x07", "control characters"),
    ],
)
def test_what_is_no_yaml_is_told_with_its_place(tmp_path: Path, text: str, place: str) -> None:
    (tmp_path / "study.yaml").write_text(text)
    with pytest.raises(ValueError, match=rf"study\.yaml can't be read as YAML: .*{place}"):
        load_study(tmp_path / "study.yaml")


@pytest.mark.parametrize("text", ["3", "just text", "[a, b]"])
def test_what_holds_no_settings_is_told(tmp_path: Path, text: str) -> None:
    (tmp_path / "study.yaml").write_text(text)
    with pytest.raises(ValueError, match=r"study\.yaml"):
        load_study(tmp_path / "study.yaml")


@pytest.mark.parametrize("value", [7, 1000.0, True, None, ["a"]])
def test_a_configuration_s_name_asks_for_quotes(value: object) -> None:
    with pytest.raises(ValueError, match="write it in quotes"):
        folder_name(value)
    assert folder_name("007") == "007"
