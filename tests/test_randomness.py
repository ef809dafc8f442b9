"""Keys lead to the draws that they always led to, by one way only."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from hashlib import blake2b
from typing import Final

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from test_imports import REPOSITORY, sources
from torch import nn

from ecg_lightning.attribution.seeding import RandomKey
from ecg_lightning.data.augmented_training import batch_generator
from ecg_lightning.data.samplers import ShuffledRows
from ecg_lightning.experiments.randomization.random_weights import How, randomised
from ecg_lightning.functional.intervals import patient_resamples, resampling_generator
from ecg_lightning.models.step_seeding import seed_step
from ecg_lightning.randomness import (
    MAPS,
    RANKS,
    SETTINGS,
    STREAMS,
    Encoding,
    keyed_number,
    keyed_order,
    seed_from_settings,
    torch_seeded,
)
from ecg_lightning.simulator.streams import Streams
from ecg_lightning.storage.hashing import digest_settings

NAMES = st.lists(st.integers(0, 60).map("p{}".format), min_size=1, max_size=60)
SEEDS = st.integers(0, 2**32)

# --- golden numbers, of the version before there was one way; whoever changes one changes what lies on disks ---------


def test_maps_are_drawn_as_ever() -> None:
    key = RandomKey(1, 2, "smoothgrad", "ECG é/7", "noise", "from_output", 3, 4)
    assert (RandomKey().seed, key.seed) == (8123556403194041068, 2040892856752585951)
    assert key.normal(2).tolist() == [0.5530620813369751, -3.080048084259033]
    assert key.uniform(2).tolist() == [0.34728461503982544, 0.280031681060791]
    assert key.integers(1000, 3).tolist() == [581, 552, 501]
    assert key.permutations(5, 2) == [[1, 0, 2, 4, 3], [4, 2, 1, 3, 0]]


def test_patients_are_resampled_as_ever() -> None:
    assert resampling_generator(0).integers(0, 2**62, 2).tolist() == [2630368630661536391, 643450061083052839]
    assert resampling_generator(7).integers(0, 2**62, 2).tolist() == [3829285166075292141, 2949308953525396553]
    assert patient_resamples(list("aabbcd"), 2, 5).tolist() == [[1, 1, 2, 2, 0, 1], [2, 2, 0, 0, 2, 0]]


def test_hearts_are_simulated_as_ever() -> None:
    assert Streams("0/17")("qrs").integers(0, 2**62, 2).tolist() == [940213632084083983, 4252935505191652810]
    assert Streams("3/17/2")("noise").standard_normal(2).tolist() == [0.5588491767011169, 0.9464548589000931]


def test_patients_and_ecgs_are_ordered_as_ever() -> None:
    assert keyed_number("p0", RANKS, "0") == 2150766981857018334
    assert keyed_number("test:é", RANKS, "0") == 2708840847660768902
    assert keyed_number("p0", RANKS, "-7") == 5968483755139849867
    assert keyed_order(0, ["test:é", "p0"]).tolist() == [1, 0]


def test_a_fit_draws_as_ever() -> None:
    assert seed_from_settings({"purpose": "x", "seed": 1, "row": 17}) == 588156576501194655
    assert seed_from_settings({}) == 193577509991945445
    assert torch.rand(2, generator=batch_generator(3, 1, 9)).tolist() == [0.44250911474227905, 0.21463024616241455]
    with torch.random.fork_rng([]):
        seed_step(1, 2, 3, 4)
        assert torch.initial_seed() == 42289862485603691
        assert torch.rand(2).tolist() == [0.9378478527069092, 0.024636387825012207]
    rows = ShuffledRows(10, 4, 5)
    rows.set_epoch(2)
    assert list(rows) == [2, 4, 0, 9, 5, 8, 6, 3, 1, 7]


@pytest.mark.parametrize(
    ("how", "expected"),
    [
        ("reset_parameters", [[0.46704667806625366, -0.5287590026855469], [0.5762491226196289, 0.4524451494216919]]),
        ("permutation", [[3.0, 1.0], [0.0, 2.0]]),
    ],
)
def test_layers_are_randomised_as_ever(how: How, expected: list[list[float]]) -> None:
    layer = nn.Linear(2, 2)
    layer.weight.data = torch.arange(4.0).reshape(2, 2)
    made = randomised(nn.Sequential(layer), ["0"], lambda _: 2**62 + 5, how=how)
    assert made[0].weight.tolist() == expected  # type: ignore[index]


def test_a_copy_is_fine_tuned_as_ever() -> None:
    with torch_seeded(9):
        assert torch.rand(2).tolist() == [0.6557844877243042, 0.30202269554138184]


# --- what the way promises -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("encoding", [MAPS, STREAMS, SETTINGS, RANKS])
@given(text=st.text(max_size=20))
def test_a_number_is_the_highest_bits_of_the_hash(encoding: Encoding, text: str) -> None:
    number = keyed_number(text, encoding)
    digest = blake2b(text.encode(), digest_size=encoding.digest_bytes).digest()
    ordered = digest[::-1] if encoding.byte_order == "little" else digest
    assert number < 2**encoding.bits
    assert f"{number:0{encoding.bits}b}" == "".join(f"{byte:08b}" for byte in ordered)[: encoding.bits]


def test_a_seed_of_settings_is_the_first_15_digits_of_their_digest() -> None:
    settings = {"purpose": "augmentation", "seed": 0, "epoch": 3, "row": 17}
    assert f"{seed_from_settings(settings):015x}" == digest_settings(settings)[:15]
    assert seed_from_settings(settings) != seed_from_settings({**settings, "row": 18})


@given(NAMES, NAMES, SEEDS)
def test_two_names_stand_as_they_do_in_any_other_list(names: list[str], others: list[str], seed: int) -> None:
    both = others + names
    ordered = [both[place] for place in keyed_order(seed, both) if place >= len(others)]
    assert ordered == [names[place] for place in keyed_order(seed, names)]


def test_the_global_state_is_as_it_was_after_seeded_draws() -> None:
    with torch.random.fork_rng([]):
        torch.manual_seed(1)
        before = torch.get_rng_state()
        with torch_seeded(2):
            torch.rand(3)
        assert torch.equal(torch.get_rng_state(), before)


def test_the_simulator_draws_without_torch() -> None:
    code = "import sys, ecg_lightning.simulator.streams as s; s.Streams('0/1')('qrs'); print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, cwd=REPOSITORY)
    assert done.stdout.strip() == "False"


# --- there is no other way -------------------------------------------------------------------------------------------

MAKERS: Final = {
    *("Generator", "default_rng", "SeedSequence", "Philox", "PCG64", "PCG64DXSM", "MT19937", "SFC64", "RandomState"),
    *("manual_seed", "manual_seed_all", "seed_all", "set_rng_state", "seed_everything", "isolate_rng"),
}
"""What makes or seeds a generator, whatever it is called on."""
TORCH_DRAWS: Final = {"rand", "randn", "randint", "randperm", "normal", "bernoulli", "multinomial", "poisson"}
HASHES: Final = {"blake2b", "blake2s", "sha256", "sha1", "sha512", "md5"}

ALLOWED: Final = {
    "ecg_lightning/storage/hashing.py": "hashes of contents, from which no draw follows",
    "ecg_lightning/storage/row_digests.py": "hashes of rows: a function call less for each of millions",
}
"""File -> why it may hash, beside the one way itself."""


def other_ways(text: str, file: str) -> Iterator[str]:
    """Calls that make a generator, draw from the global state, or hash, in words."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import) and any(alias.name == "random" for alias in node.names):
            yield f"{file}:{node.lineno}: Python's random has a global state; take ecg_lightning.randomness"
        if not isinstance(node, ast.Call):
            continue
        *owner, name = ast.unparse(node.func).split(".")
        where = f"{file}:{node.lineno}: {ast.unparse(node.func)}"
        if name in MAKERS:
            yield f"{where} makes or seeds a generator; ecg_lightning.randomness does it, by key"
        elif owner == ["torch"] and name.removesuffix("_like") in TORCH_DRAWS and not _has_generator(node):
            yield f"{where} draws from the global state; give it a generator of ecg_lightning.randomness"
        elif owner in (["np", "random"], ["numpy", "random"]):
            yield f"{where} draws from a global state; take a generator of ecg_lightning.randomness"
        elif name in HASHES and file not in ALLOWED:
            yield f"{where} hashes; seeds come from ecg_lightning.randomness, other hashes have a reason in ALLOWED"


def _has_generator(call: ast.Call) -> bool:
    return any(keyword.arg == "generator" for keyword in call.keywords)


def test_no_module_has_a_way_of_its_own() -> None:
    found = {path.relative_to(REPOSITORY).as_posix(): path.read_text(encoding="utf-8") for path in sources(REPOSITORY)}
    del found["ecg_lightning/randomness.py"]
    problems = [problem for file, text in found.items() for problem in other_ways(text, file)]
    assert not problems, "\n".join(["", *problems])
    idle = {file for file in ALLOWED if not any(name in found.get(file, "") for name in HASHES)}
    assert not idle, f"these need no place in ALLOWED: {idle}"


@pytest.mark.parametrize(
    "call",
    [
        "np.random.default_rng(3)",
        "default_rng(seed)",
        "Generator(Philox(key=3))",
        "torch.Generator('cpu')",
        "torch.cuda.manual_seed_all(0)",
        "torch.randn(3)",
        "torch.rand_like(ecg)",
        "np.random.normal(size=3)",
        "hashlib.blake2b(b'')",
        "int.from_bytes(blake2b(text, digest_size=8).digest(), 'big')",
    ],
)
def test_another_way_is_found(call: str) -> None:
    first, *_ = other_ways(f"def draw():\n    return {call}\n", "ecg_lightning/signal/a.py")
    assert first.startswith("ecg_lightning/signal/a.py:2: ")


def test_python_s_own_generator_is_found() -> None:
    assert len(list(other_ways("import random", "ecg_lightning/signal/a.py"))) == 1


@pytest.mark.parametrize("call", ["torch.randn(3, generator=given)", "rng.normal(size=3)", "torch_generator(3)"])
def test_the_one_way_is_not_found(call: str) -> None:
    assert list(other_ways(call, "ecg_lightning/signal/a.py")) == []
