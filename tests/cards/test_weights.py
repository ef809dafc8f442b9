"""Weights of somebody else's training script: found in its file, or told why not; nothing of the file is run."""

import os
import pickle
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from ecg_lightning.cards import CardError
from ecg_lightning.cards.card import Weights
from ecg_lightning.cards.weights import load_weights, read_weights


def network(width: int = 3) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv1d(2, width, 3), nn.BatchNorm1d(width), nn.Flatten(), nn.Linear(width * 8, 1))


def same(one: nn.Module, other: nn.Module) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one.state_dict().values(), other.state_dict().values(), strict=True))


@pytest.mark.parametrize(("prefix", "key"), [("", ""), ("module.", ""), ("module.", "state_dict"), ("", "model.ema")])
def test_a_state_dict_is_found(tmp_path: Path, prefix: str, key: str) -> None:
    trained = network()
    content: object = {f"{prefix}{name}": value + 1 for name, value in trained.state_dict().items()}
    for part in reversed(key.split(".") if key else []):
        content = {"epoch": 3, part: content}
    torch.save(content, tmp_path / "w.pt")
    fresh = network()
    load_weights(fresh, read_weights(Weights("w.pt", key, prefix), tmp_path), "w.pt")
    torch.testing.assert_close(fresh[0].weight, trained[0].weight + 1)


def test_safetensors_and_files_without_counters(tmp_path: Path) -> None:
    trained = network()
    kept = {name: value for name, value in trained.state_dict().items() if not name.endswith("num_batches_tracked")}
    save_file(kept, tmp_path / "w.safetensors")
    fresh = network()
    fresh[0].weight.data.zero_()
    load_weights(fresh, read_weights(Weights("w.safetensors"), tmp_path), "w")
    assert same(fresh, trained)
    (tmp_path / "cut.safetensors").write_bytes((tmp_path / "w.safetensors").read_bytes()[:-9])
    with pytest.raises(CardError, match=r"cut\.safetensors is no safetensors file, or was cut short"):
        read_weights(Weights("cut.safetensors"), tmp_path)


class Hostile:
    """Runs a command where it is unpickled."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[object, ...]:
        return os.system, (f"touch {self.trace}",)


def test_a_hostile_pickle_is_refused_and_not_run(tmp_path: Path) -> None:
    trace = tmp_path / "ran"
    torch.save({"weight": torch.zeros(1), "more": Hostile(trace)}, tmp_path / "w.pt")
    (tmp_path / "plain.pt").write_bytes(pickle.dumps(Hostile(trace)))
    for name in ("w.pt", "plain.pt"):
        with pytest.raises(CardError, match=rf"weights\.path: .*{name}"):
            read_weights(Weights(name), tmp_path)
    assert not trace.exists()


def test_what_is_wrong_is_named(tmp_path: Path) -> None:
    state = network().state_dict()
    torch.save({"state_dict": state}, tmp_path / "w.pt")
    with pytest.raises(CardError, match=r"there is no file .*none\.pt"):
        read_weights(Weights("none.pt"), tmp_path)
    with pytest.raises(CardError, match=r"holds more than weights; give one of these as weights\.key: state_dict"):
        read_weights(Weights("w.pt"), tmp_path)
    with pytest.raises(CardError, match=r"has no 'model\.ema': at 'model' there is state_dict"):
        read_weights(Weights("w.pt", "model.ema"), tmp_path)
    with pytest.raises(CardError, match=r"weights\.prefix: 9 of 9 names .* do not begin with 'module\.', as 0\.weight"):
        read_weights(Weights("w.pt", "state_dict", "module."), tmp_path)


def test_other_names_and_shapes_are_told_with_the_nearest() -> None:
    state = network().state_dict()
    renamed = {name.replace("3.", "head."): value for name, value in state.items()}
    with pytest.raises(CardError, match=r"the network's 3\.weight is missing.*Mind weights\.prefix"):
        load_weights(network(), renamed, "w")
    misspelt = {name.replace("running_mean", "runing_mean"): value for name, value in state.items()}
    with pytest.raises(CardError, match=r"1\.running_mean is missing \(the file has 1\.runing_mean\)"):
        load_weights(network(), misspelt, "w")
    with pytest.raises(CardError, match=r"0\.weight is \(3, 2, 3\) in the file and \(4, 2, 3\) in the network"):
        load_weights(network(4), state, "w")
    with pytest.raises(CardError, match="nothing in the network is called extra"):
        load_weights(network(), {**state, "extra": torch.zeros(1)}, "w")
