"""From raw graphemes to a submission, through a search over heads, losses, backbones and meta architectures."""

import re
from pathlib import Path

import pandas as pd

from configs.loader import load_cfg
from data import make_dataset
from search.run import main
from tests.conftest import TINY, without_times
from trainable import predict
from trainable.fit import fit
from trainable.run_folder import RunFolder

BASE = """
DATASET: {{NAME: bengali, PATH_DATA_RAW: {raw}, PATH_DATA_PROCESSED: {folder}/processed, RESIZE_SHAPE: [32, 32],
  CROP_TO_CONTENT: true, TO_RGB: false, AUGMENTATION: {{ROTATION_PROB: 0.5, CUTMIX_ALPHA: 1.0}}}}
MODEL: {{BACKBONE: {{NAME: tiny, RGB: false}}, SOLVER: {{TOTAL_EPOCHS: 3}}}}
USER_MODULES: [{tiny}]
TENSORBOARD: false
"""

SPACE = """
base: base.yaml
search: {num_samples: 8}
space:
  MODEL:
    META_ARCHITECTURE: {choice: [baseline, one_head_per_task]}
    BACKBONE.NAME: {choice: [tiny, test_resnet]}
    HEAD.NAME: {choice: [simple_head_module, simple_head_kaiming]}
    HEAD.HIDDEN_DIMS: {choice: [[], [32]]}
    SOLVER:
      OPTIMIZER.BASE_LR: {loguniform: [1e-3, 3e-2]}
      LOSS.NAME: {choice: [softmax_cross_entropy, label_smoothing_cross_entropy, weighted_focal_loss]}
"""


def test_a_search_over_parts_its_best_again_and_a_submission(ray_address, kaggle_folder, tmp_path):
    Path("base.yaml").write_text(BASE.format(raw=kaggle_folder, folder=tmp_path, tiny=TINY))
    Path("parts.yaml").write_text(SPACE)
    assert make_dataset.main(["--cfg", "base.yaml"]) == 0
    assert main(["--space", "parts.yaml", "--address", ray_address]) == 0
    folder = Path("experiments/parts")
    table = pd.read_csv(folder / "results.csv")
    assert len(table) == 8 + 1 and set(table["state"]) <= {"done", "waits"}
    for column in ("MODEL.META_ARCHITECTURE", "MODEL.BACKBONE.NAME", "MODEL.HEAD.NAME", "MODEL.SOLVER.LOSS.NAME"):
        assert table[column].nunique() >= 2, column

    rows = []
    fit(load_cfg(folder / "best.yaml"), lambda row, checkpoint: rows.append(row), RunFolder("again"))
    best = table.loc[table["val_score"].idxmax()]
    trial = next((folder / "trials").glob(f"{best['trial']:04d}_*"))
    for ours, theirs in zip(rows, RunFolder(trial).read_metrics(), strict=False):
        assert without_times([ours]) == without_times([theirs])
    assert max(row["val_score"] for row in rows) == best["val_score"]

    checkpoints = ["again/best.pt", str(trial / "best.pt")]
    assert (
        predict.main(["--allow-code", "--checkpoint", *checkpoints, "--data", str(kaggle_folder), "-o", "out.csv"]) == 0
    )
    submission = pd.read_csv("out.csv")
    assert submission["row_id"].tolist() == pd.read_csv(kaggle_folder / "sample_submission.csv")["row_id"].tolist()
    assert submission["target"].between(0, 167).all()


def test_a_search_on_data_that_is_not_made_ends_before_ray_starts(kaggle_folder, tmp_path, capsys):
    Path("base.yaml").write_text(BASE.format(raw=kaggle_folder, folder=tmp_path, tiny=TINY))
    Path("parts.yaml").write_text(SPACE)
    assert main(["--space", "parts.yaml"]) == 2
    error = capsys.readouterr().err
    assert re.search(r"there is no processed/bengali-32x32-crop-\w+; make it with: python -m data.make_dataset", error)
    assert not Path("experiments").exists()
