import pytest
from networks import LinearReadout, trained_like_resnet, waves

from ecg_lightning.attribution import FrozenModel, prepare_task


@pytest.fixture(scope="session")
def linear() -> FrozenModel:
    return prepare_task(LinearReadout(), waves(20, seed=9))


@pytest.fixture(scope="session")
def resnet() -> FrozenModel:
    return prepare_task(trained_like_resnet(), waves(20, seed=9))
