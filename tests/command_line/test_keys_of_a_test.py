"""The keys of a test: what stands below them, in which order callbacks run, and how older configurations are read."""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonargparse import Namespace
from lightning.pytorch import Callback

import callbacks
from callbacks import (
    AttributionMaps,
    BeatPictures,
    Figures,
    LogitsAndMetrics,
    MapPictures,
    MethodSimilarity,
    RandomizationCascade,
    SplitsAndFitSeal,
)
from ecg_lightning.attribution import METHODS, AttributionMethod, MethodSet
from ecg_lightning.attribution.methods import GradCam, Saliency, SmoothGrad
from ecg_lightning.cli import main
from ecg_lightning.command_line.argument_types import command_parsers
from ecg_lightning.command_line.setting_names import nested, unknown_settings
from ecg_lightning.command_line.test_keys import TEST_KEYS, in_order, take_listed_callbacks

ROOT = Path(__file__).parents[2]
REST = ("--target", "sinus_rhythm", "--model.network", "ResNet1d", "--data.source", "Synthetic")
OLD_LIST = {
    "trainer": {
        "callbacks": [
            {"class_path": "callbacks.AttributionMaps", "init_args": {"methods": ["saliency"]}},
            {"class_path": "callbacks.TestRecord"},  # its name of then
            {"class_path": "callbacks.RandomizationCascade", "init_args": {"max_examples": 4}},
        ]
    }
}


class Mine(RandomizationCascade):
    """A cascade of a user's own."""


class Own(Callback):
    """A callback of a user's own."""


class Scripted(Saliency):
    """A method of a user's own."""

    name = "scripted"


@pytest.fixture(scope="module")
def parser() -> Any:
    return command_parsers()["test"]


def written(folder: Path, *contents: object) -> list[str]:
    words: list[str] = []
    for place, content in enumerate(contents):
        path = folder / f"{place}.yaml"
        path.write_text(content if isinstance(content, str) else yaml.safe_dump(content))
        words += ["--config", str(path)]
    return words


def made(parser: Any, words: Iterable[str]) -> Namespace:
    result: Namespace = parser.instantiate(parser.parse_args([*words, *REST]))
    return result


def test_everything_is_done_where_nothing_is_said(parser: Any) -> None:
    objects = made(parser, [])
    assert [type(objects[key]) for key in TEST_KEYS] == list(TEST_KEYS.values())
    assert [method.name for method in objects.maps.methods] == list(METHODS)
    assert objects.randomization.max_examples == 24


def test_files_are_put_together_and_words_come_last(parser: Any, tmp_path: Path) -> None:
    first = "maps: {partners: 3, methods: {smoothgrad: {n_samples: 128}, gradcam: null}}\nperturbation: null"
    second = "maps: {methods: {ig_smoothgrad: {n_samples: 7}}}\nrandomization: {draws: 3}"
    words = ["--maps.methods.smoothgrad.noise", "0.3", "--randomization.max_examples", "4", "--similarity", "null"]
    objects = made(parser, [*written(tmp_path, first, second), *words])
    methods = {method.name: method for method in objects.maps.methods}
    assert list(methods) == [name for name in METHODS if name != "gradcam"]
    assert (methods["smoothgrad"].n_samples, methods["smoothgrad"].noise) == (128, 0.3)
    assert (methods["ig_smoothgrad"].n_samples, objects.maps.partners) == (7, 3)
    assert (objects.randomization.draws, objects.randomization.max_examples) == (3, 4)
    assert (objects.perturbation, objects.similarity) == (None, None)


@pytest.mark.parametrize(
    ("words", "names"),
    [
        (["--maps.methods", "[saliency, gradcam]"], ["saliency", "gradcam"]),
        (["--maps.methods.gradcam", "null"], [name for name in METHODS if name != "gradcam"]),
        (
            ["--maps.methods", "{deeplift: null, saliency: null}"],
            [n for n in METHODS if n not in ("deeplift", "saliency")],
        ),
    ],
)
def test_methods_are_chosen_by_a_list_or_left_out_by_null(parser: Any, words: list[str], names: list[str]) -> None:
    assert [method.name for method in made(parser, words).maps.methods] == names


def test_null_can_be_taken_back(parser: Any, tmp_path: Path) -> None:
    left_out = {"randomization": None, "map_pictures": None}
    objects = made(parser, [*written(tmp_path, left_out, {"map_pictures": {}}), "--randomization.draws", "2"])
    assert isinstance(objects.map_pictures, MapPictures)
    assert objects.randomization.draws == 2


def test_classes_of_one_s_own_stand_at_a_key_and_among_the_methods(parser: Any, tmp_path: Path) -> None:
    mine = {"class_path": f"{__name__}.Mine", "init_args": {"max_examples": 6}}
    methods = {"own": [{"class_path": f"{__name__}.Scripted"}], "shapley_sampling": None}
    objects = made(parser, written(tmp_path, {"randomization": mine, "maps": {"methods": methods}}))
    assert (type(objects.randomization).__name__, objects.randomization.max_examples) == ("Mine", 6)
    assert [method.name for method in objects.maps.methods][-2:] == ["deeplift_shap", "scripted"]


def test_the_order_is_the_code_s(parser: Any) -> None:
    own = Own()
    objects = made(parser, ["--faithfulness", "null", "--map_pictures", "null"])
    kinds = [type(one) for one in in_order(objects, [own])]
    expected = [kind for key, kind in TEST_KEYS.items() if key not in ("faithfulness", "map_pictures")]
    expected.insert(list(TEST_KEYS).index("faithfulness"), Own)
    assert kinds == [Figures, *expected]


def test_figures_are_chosen_beside_the_keys(parser: Any, tmp_path: Path) -> None:
    def figures(*words: str) -> tuple[str, tuple[str, ...]]:
        first = in_order(made(parser, words), [])[0]
        assert isinstance(first, Figures)
        return first.draw, first.files

    assert figures() == ("all", ("png",))
    assert figures("--figures", "none", "--figure_files", "[png, svg]") == ("none", ("png", "svg"))
    file = written(tmp_path, "figures: summary\nfigure_files: [pdf]")
    assert figures("--figures", "none", *file) == ("summary", ("pdf",))  # what comes later wins
    own = Figures("none")
    assert in_order(made(parser, ["--figures", "all"]), [own]).count(own) == 1
    assert sum(isinstance(one, Figures) for one in in_order(made(parser, []), [own])) == 1
    with pytest.raises(SystemExit):
        parser.parse_args(["--figures", "some", *REST])


# --- misspelt names ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            {"randomization": {"max_example": 3}},
            "randomization.max_example: there is no such setting; do you mean m",
        ),
        (
            {"maps": {"methods": {"smoothgrid": {}}}},
            "maps.methods.smoothgrid: there is no such setting; do you mean ",
        ),
        ({"maps": {"methods": {"smoothgrad": {"n": 3}}}}, "maps.methods.smoothgrad.n: there is no such setting"),
        ({"maps": {"init_args": {"partner": 3}}}, "maps.partner: there is no such setting; do you mean partners?"),
    ],
)
def test_a_misspelt_name_is_told_with_those_that_there_are(tmp_path: Path, content: Any, message: str) -> None:
    (told,) = unknown_settings(content, TEST_KEYS)
    assert told.startswith(message)
    config = written(tmp_path, content)
    with pytest.raises(SystemExit, match=re.escape(f"{config[1]}: {message}")):
        main(["test", *config, *REST])


def test_a_misspelt_option_is_told() -> None:
    with pytest.raises(SystemExit, match=r"^--similarity\.windows: .* do you mean window\? Below similarity there"):
        main(["test", *REST, "--similarity.windows", "3"])


def test_names_that_are_right_or_of_another_class_are_no_matter() -> None:
    right = {
        "maps": {"methods": {"smoothgrad": {"n_samples": 3}, "own": [{"class_path": "x.Y"}], "gradcam": None}},
        "randomization": {"class_path": "mine.Cascade", "init_args": {"anything": 1}},
        "similarity": None,
        "trainer": {"whatever": 1},
    }
    assert not list(unknown_settings(right, TEST_KEYS))
    assert nested("a.b.c", 3) == {"a": {"b": {"c": 3}}}


# --- earlier lists ------------------------------------------------------------------------------------------


def listed(parser: Any, folder: Path, *contents: object) -> Namespace:
    config: Namespace = parser.parse_args([*written(folder, *contents), *REST])
    take_listed_callbacks(config, parser.get_defaults())
    return config


def test_a_list_is_complete_and_the_warning_spells_it_with_keys(parser: Any, tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match="keys of their own now") as caught:
        config = listed(parser, tmp_path, (ROOT / "configs/test.yaml").read_text(), OLD_LIST)
    assert [key for key in TEST_KEYS if config[key] is not None] == ["maps", "test_record", "randomization"]
    assert config.trainer.callbacks == []
    spelt = yaml.safe_load(str(caught[-1].message).partition("keys:\n")[2])
    again = parser.parse_args([*written(tmp_path, spelt), *REST])
    for key in TEST_KEYS:
        assert again[key] == config[key], key


def test_a_list_beside_keys_is_refused_with_the_remedy(parser: Any, tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=r"perturbation is set beside the list.*\n(.*\n)*completeness: null"):
        listed(parser, tmp_path, OLD_LIST, {"perturbation": None})


def test_a_list_without_maps_adds_to_what_is_done(parser: Any, tmp_path: Path) -> None:
    added = {"trainer": {"callbacks": ["callbacks.BeatPictures", f"{__name__}.Own"]}}
    config = listed(parser, tmp_path, {"beat_pictures": None, "similarity": None}, added)
    assert config.beat_pictures.class_path == f"callbacks.{BeatPictures.__name__}"
    assert [one.class_path for one in config.trainer.callbacks] == [f"{__name__}.Own"]
    assert config.similarity is None
    assert config.randomization is not None


def test_a_second_one_of_a_kind_stays_the_user_s_own(parser: Any, tmp_path: Path) -> None:
    twice = ["callbacks.AttributionMaps", "callbacks.MethodSimilarity", "callbacks.MethodSimilarity"]
    with pytest.warns(UserWarning, match="keys of their own"):
        config = listed(parser, tmp_path, {"trainer": {"callbacks": twice}})
    assert config.similarity.class_path == f"callbacks.{MethodSimilarity.__name__}"
    assert [one.class_path for one in config.trainer.callbacks] == twice[2:]


@pytest.mark.parametrize(("earlier", "now"), [("FitRecord", SplitsAndFitSeal), ("TestRecord", LogitsAndMetrics)])
def test_earlier_class_paths_are_the_classes_of_now(earlier: str, now: type[Callback]) -> None:
    vars(callbacks).pop(earlier, None)  # where another test has asked for it
    with pytest.warns(DeprecationWarning, match=f"callbacks.{earlier} is now called {now.__name__}"):
        assert getattr(callbacks, earlier) is now
    config = command_parsers()["fit"].parse_args([*REST, f"--trainer.callbacks=[callbacks.{earlier}]"])
    assert [one.class_path for one in config.trainer.callbacks] == [f"callbacks.{earlier}"]


# --- sets of methods -----------------------------------------------------------------------------------------------


def names(methods: Sequence[AttributionMethod]) -> list[str]:
    return [method.name for method in methods]


def test_a_set_is_the_twelve_with_what_is_changed() -> None:
    smooth, own = SmoothGrad(n_samples=3), Scripted()
    some = MethodSet(smoothgrad=smooth, gradcam=None, own=[own]).methods
    assert names(some) == [*(name for name in METHODS if name != "gradcam"), "scripted"]
    assert some[1] is smooth
    assert AttributionMaps(MethodSet(saliency=None)).asked == tuple(METHODS)[1:]
    assert LogitsAndMetrics is TEST_KEYS["test_record"]


@pytest.mark.parametrize("wrong", [{"smoothgrid": None}, {"smoothgrad": GradCam()}, {"gradcam": "gradcam"}])
def test_a_set_of_others_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"methods: .*expected one of saliency, .*go into `own`"):
        MethodSet(**wrong)
