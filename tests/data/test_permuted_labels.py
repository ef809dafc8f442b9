"""Labels of a network that is trained to know nothing."""

import numpy as np
import pandas as pd
from hypothesis import given
from hypothesis import strategies as st

from ecg_lightning.data.examples import permute_labels


def table(labels: list[float]) -> pd.DataFrame:
    return pd.DataFrame({"ecg_id": [f"e{k}" for k in range(len(labels))], "label": np.array(labels, dtype=np.float32)})


@given(st.lists(st.sampled_from([0.0, 1.0, np.nan]), min_size=1, max_size=30), st.integers(0, 5), st.randoms())
def test_as_many_are_positive_and_the_order_of_ecgs_does_not_matter(labels, seed, random) -> None:
    given_table = table(labels)
    permuted = permute_labels(given_table, seed)
    assert sorted(permuted["label"].dropna()) == sorted(given_table["label"].dropna())
    assert permuted["label"].isna().equals(given_table["label"].isna())
    order = list(range(len(labels)))
    random.shuffle(order)
    shuffled = permute_labels(given_table.iloc[order].reset_index(drop=True), seed)
    joined = shuffled.set_index("ecg_id")["label"].loc[given_table["ecg_id"]]
    np.testing.assert_array_equal(joined, permuted["label"])


def test_permuted_labels_have_nothing_to_do_with_the_labels() -> None:
    labels = np.random.default_rng(0).integers(0, 2, 4000).astype(float).tolist()
    permuted = [permute_labels(table(labels), seed)["label"].to_numpy() for seed in (0, 1)]
    for one, other in ((labels, permuted[0]), (permuted[0], permuted[1])):
        assert abs(np.corrcoef(one, other)[0, 1]) < 4 / np.sqrt(4000)
