"""What a file may name, and where: nothing is imported or made to find that out."""

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lightning.pytorch import Callback
from lightning.pytorch.loggers import Logger
from torch import Tensor, nn

from ecg_lightning.attribution.base import AttributionMethod
from ecg_lightning.models.class_names import imported_object, project_class
from ecg_lightning.models.config_values import class_names
from ecg_lightning.models.declared_types import OPEN, Declared, declared, parameter_types
from ecg_lightning.models.trusted_classes import TrustedClasses
from ecg_lightning.storage.plain_values import UntrustedContentError, refuse_references

POPEN = {"class_path": "subprocess.Popen", "init_args": {"args": "true"}}
NETWORK = Declared(bases=(nn.Module,))
FILE, TYPED = TrustedClasses("a.ckpt", frozenset()), TrustedClasses("a.yaml")


class Users(nn.Module):
    """A network of the user's own, with every kind of parameter."""

    def __init__(
        self,
        width: int = 1,
        extra: Any = None,
        more: dict[str, Any] | None = None,
        activation: Callable[[Tensor], Tensor] = nn.functional.relu,
        norm: type[nn.Module] = nn.BatchNorm1d,
        inner: nn.Module | None = None,
        untyped=None,
    ) -> None:
        super().__init__()


NAME = f"{__name__}.Users"
USERS = TrustedClasses("a.ckpt", frozenset({NAME}))


@pytest.mark.parametrize(
    ("annotation", "expected"),
    [
        (int, OPEN),
        (Any, OPEN),
        (dict[str, Any], OPEN),
        (nn.Module, NETWORK),
        (nn.Module | None, NETWORK),
        (Sequence[str | AttributionMethod] | None, Declared(bases=(AttributionMethod,), text=True)),
        (Logger | list[Logger] | bool, Declared(bases=(Logger, Logger))),
        (str | Callback, Declared(bases=(Callback,), text=True)),
        (Callable[[Tensor], float], Declared(imports=True)),
        (Callable[..., nn.Module], Declared(bases=(nn.Module,), imports=True)),
        (type[nn.Module], Declared(imports=True)),
        (Path | None, OPEN),
    ],
)
def test_annotations_are_read(annotation: object, expected: Declared) -> None:
    assert declared(annotation) == expected


def test_the_parameters_of_a_class_are_known_without_making_it() -> None:
    types = parameter_types(Users)
    assert {name for name, one in types.items() if not one.open} == {"activation", "inner"}  # Tensor
    assert {name for name, one in types.items() if one.imports} == {"activation", "norm"}


@pytest.mark.parametrize(
    "name",
    [
        "subprocess.Popen",
        "ecg_lightning.study.job.subprocess.Popen",  # what a module of the project has imported
        "ecg_lightning.models.classifier.nn.Linear",
        "callbacks.attribution_maps.AttributionMaps.state_dict",
        "ecg_lightning.cli.main",
        "ecg_lightning.no.such",
        "torch.nn.Linear",
        "os.system",
        "Linear",
        "",
    ],
)
def test_only_the_project_s_own_classes_are_the_project_s(name: str) -> None:
    assert project_class(name) is None
    with pytest.raises(UntrustedContentError, match=r"a\.ckpt: network.*found.*ecg_lightning and callbacks"):
        FILE.check({"class_path": name}, NETWORK, "network")


def test_classes_of_the_project_are_allowed_where_they_derive_from_what_is_declared() -> None:
    for name in ("ecg_lightning.models.ResNet1d", "ecg_lightning.models.resnet1d.ResNet1d", "ResNet1d"):
        FILE.check({"class_path": name, "init_args": {"widths": [8, 16]}}, NETWORK, "network")
    with pytest.raises(UntrustedContentError, match=r"network\.class_path: found callbacks\.MapPictures, .*no such"):
        FILE.check({"class_path": "callbacks.MapPictures"}, NETWORK, "network")


def test_a_class_below_is_allowed_where_the_project_declares_one_of_its_own() -> None:
    def maps(method: object) -> dict[str, Any]:
        return {"class_path": "callbacks.AttributionMaps", "init_args": {"methods": [method]}}

    methods = "ecg_lightning.attribution.methods"
    callback = Declared(bases=(Callback,))
    for method in ("saliency", {"class_path": f"{methods}.SmoothGrad", "init_args": {"n_samples": 3}}):
        FILE.check(maps(method), callback, "callbacks")
    key = r"callbacks\.init_args\.methods\[0\]"
    for method in (POPEN, str(POPEN), "subprocess.Popen", {"class_path": "ecg_lightning.models.ResNet1d"}):
        for one in (FILE,) if method == "subprocess.Popen" else (FILE, TYPED):  # typed, it is no name of a method
            with pytest.raises(UntrustedContentError, match=key):
                one.check(maps(method), Declared(bases=(Callback,)), "callbacks")
    with pytest.raises(UntrustedContentError, match=rf"{key}\.init_args\.n_samples: .*no class is declared"):
        FILE.check(
            maps({"class_path": f"{methods}.SmoothGrad", "init_args": {"n_samples": POPEN}}), callback, "callbacks"
        )


@pytest.mark.parametrize("spelled", [POPEN, str(POPEN), [POPEN], {"a": {"b": POPEN}}, {"a.class_path": "os.system"}])
@pytest.mark.parametrize("parameter", ["width", "extra", "more", "untyped", "unknown"])
@pytest.mark.parametrize("checker", [USERS, TYPED], ids=["file", "typed"])
def test_nothing_is_made_where_no_class_is_declared(checker: TrustedClasses, parameter: str, spelled: object) -> None:
    for part in ("init_args", "dict_kwargs"):
        with pytest.raises(UntrustedContentError, match=rf"network\.{part}\.{parameter}.*a plain value"):
            checker.check({"class_path": NAME, part: {parameter: spelled}}, NETWORK, "network")
        with pytest.raises(UntrustedContentError, match=r"network\..*a plain value"):
            checker.check({"class_path": NAME, part: str({parameter: spelled})}, NETWORK, "network")


@pytest.mark.parametrize(
    ("parameter", "value"),
    [
        ("activation", "os.system"),
        ("activation", POPEN),
        ("norm", "planted.Evil"),
        ("inner", "torch.nn.Identity"),
        ("inner", "Identity"),  # the command line finds a class by its short name
        ("inner", {"class_path": "ecg_lightning.models.ResNet1d"}),
        ("inner", __file__),  # ... and reads a file as a further configuration
        ("width", "${oc.env:HOME}"),
        ("more", {"a": "${oc.env:HOME}"}),
        ("extra", Path()),
        ("extra", b"0"),
    ],
)
def test_a_file_s_own_class_is_given_plain_values_only(parameter: str, value: object) -> None:
    with pytest.raises(UntrustedContentError, match=rf"network\.init_args\.{parameter}"):
        USERS.check({"class_path": NAME, "init_args": {parameter: value}}, NETWORK, "network")


def test_a_class_is_the_same_by_another_name_and_from_python() -> None:
    content = {"class_path": "torch.nn.modules.linear.Linear", "init_args": {"in_features": 3, "out_features": 1}}
    with pytest.raises(UntrustedContentError, match=r"--network 'torch\.nn\.modules\.linear\.Linear'"):
        FILE.check(content, NETWORK, "network")
    TrustedClasses("a.ckpt", frozenset({"torch.nn.Linear"})).check(content, NETWORK, "network")
    TrustedClasses("a.ckpt", frozenset(), (nn.Linear,)).check(content, NETWORK, "network")


def test_a_typed_configuration_may_name_what_derives_from_the_declared_class() -> None:
    for content in (NAME, {"class_path": NAME, "init_args": {"inner": {"class_path": "torch.nn.Identity"}}}):
        TYPED.check(content, NETWORK, "network")
    typed = {"activation": "torch.nn.functional.gelu", "norm": "torch.nn.Identity", "extra": [1, {"a": None}]}
    TYPED.check({"class_path": NAME, "init_args": typed}, NETWORK, "network")
    for outside in ("subprocess.Popen", "os.system", "callbacks.MapPictures"):
        for content in (outside, {"class_path": outside}):
            with pytest.raises(UntrustedContentError, match=r"a\.yaml: network.*derives from torch"):
                TYPED.check(content, NETWORK, "network")


def test_nothing_of_a_refused_name_is_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "planted_here.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\nclass Evil: pass\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    for content in ("planted_here.Evil", {"class_path": "planted_here.Evil"}):
        with pytest.raises(UntrustedContentError):
            FILE.check(content, NETWORK, "network")
    with pytest.raises(UntrustedContentError):
        TYPED.check(
            {"class_path": NAME, "init_args": {"extra": {"class_path": "planted_here.Evil"}}}, NETWORK, "network"
        )
    assert imported_object("planted_here.Evil") is None
    assert not (tmp_path / "ran").exists()
    assert "planted_here" not in sys.modules
    subprocess.run([sys.executable, "-c", "import planted_here"], check=True, cwd=tmp_path, env={**os.environ})
    assert (tmp_path / "ran").exists()  # the control: importing it runs it


words = st.text(max_size=12).filter(lambda text: "class_path" not in text and "${" not in text)
plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=True) | words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
    max_leaves=8,
)


@given(plain)
def test_anything_plain_passes(value: object) -> None:
    for parameter in ("width", "extra", "more", "untyped"):
        content = {"class_path": NAME, "init_args": {parameter: value}}
        USERS.check(content, NETWORK, "network")
        TYPED.check(content, NETWORK, "network")


def test_references_are_refused_wherever_they_stand() -> None:
    refuse_references({"a": [{"b": "$HOME {x}"}, 1, None]}, "fit.yaml")
    for content, key in (({"a": [{"b": "x${c}"}]}, r"a\[0\]\.b"), ({"a": {"${c}": 1}}, r"a\.\$")):
        with pytest.raises(UntrustedContentError, match=rf"fit\.yaml: {key}.*reference"):
            refuse_references(content, "fit.yaml")


def test_names_are_collected_and_files_are_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("net.py").touch()
    content = {"ckpt_path": "best.ckpt", "a": ["net.py", "x.Y", "word", {"class_path": "p.q.R"}], "b": "{c: m.N}"}
    assert sorted(class_names(content)) == ["m.N", "p.q.R", "x.Y"]
