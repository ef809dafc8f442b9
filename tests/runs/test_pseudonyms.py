"""Names of ECGs for others: pseudonyms of a study's key, and ids as harmless text."""

import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ecg_lightning.ecg import LONGEST_ID, shown_text
from ecg_lightning.runs.pseudonyms import KEY_FILE, EcgNames, picture_stem, study_key
from ecg_lightning.runs.shared_config import shared_config

RACE = """
import sys, time
from ecg_lightning.runs.pseudonyms import study_key
while time.time() < float(sys.argv[2]): pass
print(study_key(sys.argv[1]).hex())
"""


def test_a_pseudonym_is_the_same_in_a_study_and_another_in_others(tmp_path: Path) -> None:
    names, again, other = (EcgNames.of_study(tmp_path / study) for study in ("a", "a", "b"))
    assert names.pseudonym("x") == again.pseudonym("x") != other.pseudonym("x")
    assert names.pseudonym("x") != names.pseudonym("y")
    assert names.shown(17, "x") == f"row 17 ({names.pseudonym('x')})"
    assert EcgNames.of_study(tmp_path / "a", "keep").shown(17, "x\n") == r"row 17 (x\n)"
    assert (tmp_path / "a" / KEY_FILE).read_text(encoding="ascii").strip() not in repr(names)
    assert names.pseudonym("\ud800").startswith("ecg-")  # a lone surrogate is an id as well
    with pytest.raises(ValueError, match="ids must be one of pseudonyms, keep; got 'hide'"):
        EcgNames.of_study(tmp_path, "hide")  # type: ignore[arg-type]


def test_the_key_is_its_owner_s_and_made_once_by_processes_that_ask_at_once(tmp_path: Path) -> None:
    command = [sys.executable, "-c", RACE, str(tmp_path), str(time.time() + 2)]
    started = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    keys = {process.communicate(timeout=60)[0].strip() for process in started}
    assert keys == {study_key(tmp_path).hex()}
    assert [path.name for path in tmp_path.iterdir()] == [KEY_FILE]
    assert stat.S_IMODE((tmp_path / KEY_FILE).stat().st_mode) == 0o600


@pytest.mark.parametrize("content", ["", "12ab", "zz" * 32, "0" * 65])
def test_a_damaged_key_is_named(tmp_path: Path, content: str) -> None:
    (tmp_path / KEY_FILE).write_text(content, encoding="ascii")
    with pytest.raises(ValueError, match=rf"{KEY_FILE}, the key of this study's pseudonyms, is damaged: expected 64"):
        study_key(tmp_path)


def test_a_key_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / KEY_FILE).mkdir()
    with pytest.raises(
        ValueError, match=rf"{KEY_FILE}, the key of this study's pseudonyms, can't be read or made: Is a"
    ):
        study_key(tmp_path)
    (tmp_path / "file").write_text("", encoding="ascii")
    with pytest.raises(ValueError, match="can't be read or made"):
        study_key(tmp_path / "file")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("A-17", "A-17"),
        ("Müller 7", "Müller 7"),
        ("../../etc/x", "../../etc/x"),
        ("a\nb\x1b[31m\x00", r"a\nb\x1b[31m\x00"),
        ("a\u202eb\ud800", r"a\u202eb\ud800"),
        ("$x^2$ <b>", "$x^2$ <b>"),
        ("x" * LONGEST_ID, "x" * LONGEST_ID),
        ("x" * 4000, "x" * (LONGEST_ID - 1) + "…"),
        ("\n" * 4000, r"\n" * 19 + "…"),
    ],
)
def test_an_id_is_shown_as_one_short_printable_line(text: str, shown: str) -> None:
    assert shown_text(text) == shown
    assert len(shown) <= LONGEST_ID
    assert shown.isprintable()


def test_pictures_are_named_by_their_rows() -> None:
    assert [picture_stem(row) for row in (17, 123456)] == ["row00017", "row123456"]


def test_a_configuration_leaves_without_paths_of_elsewhere_and_without_ids(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    config = {
        "root": "/archive/of/patients",
        "runs": "runs",
        "cache_dir": str(tmp_path / "work/cache"),
        "elsewhere": ["../secret", "~/x", "file:///a/b", "kept"],
        "trainer": {"default_root_dir": str(tmp_path / "other"), "max_epochs": 3, "logger": None},
        "callbacks": [{"init_args": {"ecg_ids": ["A", "B"], "svg": True}}, {"init_args": {"ecg_ids": None}}],
    }
    assert shared_config(config) == {
        "runs": "runs",
        "cache_dir": "cache",
        "elsewhere": ["kept"],
        "trainer": {"max_epochs": 3, "logger": None},
        "callbacks": [{"init_args": {"ecg_ids": "2 ECGs", "svg": True}}, {"init_args": {"ecg_ids": None}}],
    }
    (tmp_path / "link").symlink_to(tmp_path / "work")
    assert shared_config({"a": str(tmp_path / "link/x")}) == {"a": "x"}
