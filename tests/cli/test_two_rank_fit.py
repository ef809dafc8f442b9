"""Real processes: two ranks train as one does, and a two-rank ``fit`` that was stopped goes on."""

import json
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from processes import finish, kill, start
from workplace import Workplace

from ecg_lightning.cli import main

HERE = Path(__file__).parent
FOUND = (HERE, HERE.parents[1])  # of the callback that the ranks must find, and of the checkout
EPOCHS = 4


@pytest.fixture(scope="module")
def command(trained: Workplace, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, int], list[str]]:
    """``fit`` without dropout and with BatchNorms held, on as many ranks as asked for."""
    config = tmp_path_factory.mktemp("config") / "held.yaml"
    content = {
        "model": {"network": {"init_args": {"dropout": 0.0}}},
        "trainer": {
            "callbacks": [{"class_path": "callbacks.SplitsAndFitSeal"}, {"class_path": "held_batchnorm.HeldBatchNorm"}]
        },
    }
    config.write_text(yaml.safe_dump(content))

    def arguments(study: str, ranks: int) -> list[str]:
        several = ("--trainer.devices", "2", "--trainer.strategy", "ddp") if ranks == 2 else ()
        more = ("--config", str(config), "--trainer.max_epochs", str(EPOCHS), "--data.batch_size", "24")
        return trained.arguments("fit", *more, *several, "--trainer.logger", "false", study=study)

    return arguments


def curve(run: Path, ranks: int) -> dict[str, list[float]]:
    """Epoch -> loss of each global batch: the mean over the ranks, which have equal shares of it."""
    own = [json.loads((run / f"losses.{rank}.json").read_text()) for rank in range(ranks)]
    return {epoch: np.mean([losses[epoch] for losses in own], axis=0).tolist() for epoch in own[0]}


def weights(run: Path) -> dict[str, torch.Tensor]:
    content: dict[str, torch.Tensor] = torch.load(run / "checkpoints/last.ckpt", weights_only=True)["state_dict"]
    return content


@pytest.fixture(scope="module")
def undisturbed(trained: Workplace, command: Callable[[str, int], list[str]]) -> Path:
    finish(start(command("two_held", 2), FOUND))
    return trained.run("two_held")


def test_two_ranks_have_the_loss_curve_of_one(
    trained: Workplace, command: Callable[[str, int], list[str]], undisturbed: Path
) -> None:
    main(command("one_held", 1))
    one, two = curve(trained.run("one_held"), 1), curve(undisturbed, 2)
    assert {epoch: len(losses) for epoch, losses in one.items()} == {str(epoch): 3 for epoch in range(EPOCHS)}
    assert one.keys() == two.keys()
    for epoch, losses in one.items():
        np.testing.assert_allclose(losses, two[epoch], atol=1e-4, err_msg=f"epoch {epoch}")
    assert abs(one["0"][0] - one[str(EPOCHS - 1)][-1]) > 0.01  # something was learned, so that something is compared


def test_a_two_rank_fit_that_was_killed_ends_as_one_that_was_not(
    trained: Workplace, command: Callable[[str, int], list[str]], undisturbed: Path
) -> None:
    process = start(command("two_killed", 2), FOUND)
    run = trained.run("two_killed")
    deadline = time.monotonic() + 120
    while not (run / "losses.1.json").exists() or not (run / "checkpoints/last.ckpt").exists():
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < deadline
        time.sleep(0.005)
    kill(process)
    reached = torch.load(run / "checkpoints/last.ckpt", weights_only=True)["epoch"]
    assert reached < EPOCHS - 1, "it was over before it could be killed"
    output = finish(start(command("two_killed", 2), FOUND))
    assert f"resuming from {run / 'checkpoints/last.ckpt'}" in output
    assert json.loads((run / "fit.done.json").read_text())["epochs"] == EPOCHS
    resumed, whole = curve(run, 2), curve(undisturbed, 2)
    assert str(EPOCHS - 1) in resumed
    assert "0" not in resumed  # it did not begin anew
    for epoch, losses in resumed.items():
        np.testing.assert_allclose(losses, whole[epoch], atol=1e-6, err_msg=f"epoch {epoch}")
    ours, theirs = weights(run), weights(undisturbed)
    for name, value in theirs.items():
        torch.testing.assert_close(ours[name], value, atol=1e-6, rtol=0, msg=name)
