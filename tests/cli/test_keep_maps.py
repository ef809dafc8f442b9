"""A test that keeps the maps of a few ECGs: its results are those of a test that keeps all."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from few_keys import without_others
from test_simulated_source import arguments

from callbacks.map_stores import check_kept
from ecg_lightning import open_run
from ecg_lightning.cli import main

KEYS = (
    "maps: { methods: [saliency, gradient_x_input], keep_maps: %s }\n"
    "faithfulness: { max_examples: 6, n_resamples: 100 }\n"
    "similarity: { n_resamples: 100 }\nlocalization: { n_resamples: 100 }\n"
)


def test_few_maps_stay_and_every_table_is_the_same(tmp_path: Path) -> None:
    main(arguments("fit", tmp_path, "--study", "few", "--trainer.max_epochs", "1"))
    checkpoint = next((tmp_path / "runs/few").rglob("best.ckpt"))
    runs = {}
    for study, kept in (("all", "null"), ("few", "4")):
        (tmp_path / "keys.yaml").write_text(
            KEYS % kept
            + without_others("maps", "faithfulness", "similarity", "localization", "test_record", "audit_summary")
        )
        more = ("--config", str(tmp_path / "keys.yaml"), "--ckpt_path", str(checkpoint), "--figures", "none")
        main(arguments("test", tmp_path, "--study", study, *more))
        runs[study] = open_run(next((tmp_path / "runs" / study).rglob("test.done.json")).parent)
    whole, few = runs["all"], runs["few"]
    for path in sorted((whole.path / "tables").glob("*.parquet")):
        pd.testing.assert_frame_equal(pd.read_parquet(path), pd.read_parquet(few.path / "tables" / path.name))
    assert not few.verify()
    for method in ("saliency", "gradient_x_input"):
        store = few.row_store(f"maps/{method}")
        assert store.done.sum() == 4
        np.testing.assert_array_equal(
            store.read(np.flatnonzero(store.done)), whole.row_store(f"maps/{method}").read(np.flatnonzero(store.done))
        )


def test_none_at_all_is_refused() -> None:
    assert check_kept(None) is None
    with pytest.raises(ValueError, match="keep_maps: expected 1 ECG or more, or null for all, got 0"):
        check_kept(0)
