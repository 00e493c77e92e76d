"""Splits: stratified over all tasks, by seed, without leak."""

import numpy as np
import pytest

from configs.errors import ConfigError
from configs.loader import load_cfg
from data.build import build_dataset
from data.image_data import ImageData
from data.splits import SplitConstraints, split, stratify
from data.synthetic import unbalanced_labels

CLASSES = {"animal": ("cat", "dog", "eel"), "place": ("house", "water")}


def dataset_cfg(*pairs: str):
    return load_cfg(None, list(pairs)).DATASET


def two_tasks(images: int = 120) -> np.ndarray:
    rng = np.random.default_rng(0)
    return np.stack([rng.choice(3, images, p=[0.7, 0.2, 0.1]), rng.choice(2, images)], axis=1)


@pytest.mark.parametrize("shares", [[0.8, 0.2], [0.2] * 5, [0.5, 0.5]])
def test_every_class_of_every_task_has_its_share_of_each_part(shares):
    labels = unbalanced_labels(4000, np.random.default_rng(0))
    parts = stratify(labels, shares, seed=0)
    assert set(parts) == set(range(len(shares)))
    for task in range(3):
        counts = np.array([np.bincount(labels[parts == part, task], minlength=168) for part in range(len(shares))])
        expected = np.outer(shares, counts.sum(axis=0))
        assert (np.abs(counts - expected) <= 1 + 0.05 * expected).all()


def test_the_rarest_classes_are_spread_exactly():
    labels = np.stack([np.repeat([0, 1, 2], [200, 10, 5]), np.arange(215) % 2], axis=1)
    parts = stratify(labels, [0.2] * 5, seed=3)
    assert [np.sum(parts[labels[:, 0] == 1] == part) for part in range(5)] == [2] * 5
    assert [np.sum(parts[labels[:, 0] == 2] == part) for part in range(5)] == [1] * 5


def test_a_class_of_one_image_is_trained_on():
    labels = np.array([0] * 50 + [1] * 50 + [2])[:, None]
    assert all(stratify(labels, [0.8, 0.2], seed)[-1] == 0 for seed in range(10))


def test_a_split_repeats_by_its_seed_and_has_no_leak():
    def parts(*pairs: str):
        return split(two_tasks(), CLASSES, dataset_cfg("DATASET.VALIDATION_FRACTION", "0.25", *pairs))

    (train, val), (train_again, val_again) = parts(), parts()
    assert sorted([*train, *val]) == list(range(120)) and len(val) in (29, 30, 31)
    assert np.array_equal(train, train_again) and np.array_equal(val, val_again)
    assert not np.array_equal(val, parts("DATASET.SPLIT_SEED", "1")[1])


def test_each_image_is_validated_on_in_one_fold():
    seen = []
    for fold in range(4):
        train, val = split(
            two_tasks(), CLASSES, dataset_cfg("DATASET.FOLDS", "4", "DATASET.VALIDATION_FOLD", str(fold))
        )
        assert sorted([*train, *val]) == list(range(120))
        seen += val.tolist()
    assert sorted(seen) == list(range(120))


def test_a_fold_that_is_not_there():
    with pytest.raises(ConfigError, match=r"VALIDATION_FOLD is 4, but of DATASET.FOLDS 4 the last is number 3"):
        dataset_cfg("DATASET.FOLDS", "4", "DATASET.VALIDATION_FOLD", "4")


def test_more_folds_than_images():
    with pytest.raises(ConfigError, match=r"DATASET.FOLDS: found 200, but there are only 120 images"):
        split(two_tasks(), CLASSES, dataset_cfg("DATASET.FOLDS", "200"))


def test_focus_trains_on_some_classes_and_validates_on_all():
    labels = two_tasks()
    everything = split(labels, CLASSES, dataset_cfg())
    train, val = split(labels, CLASSES, dataset_cfg("DATASET.FOCUS_CLASS", "[animal:dog, place:water]"))
    assert np.array_equal(val, everything[1])
    assert ((labels[train, 0] == 1) | (labels[train, 1] == 1)).all()
    assert set(train) < set(everything[0])


def test_focus_on_digits_written_as_numbers():
    data = build_dataset(dataset_cfg("DATASET.FOCUS_CLASS", "[3, 8]"))
    assert set(data.labels[data.train_indices, 0]) == {3, 8}
    assert set(data.labels[data.val_indices, 0]) == set(range(10))


@pytest.mark.parametrize(
    ("focus", "message"),
    [
        ("[dog]", r"'dog': which task's\? Write task:class, as in animal:dog; tasks: animal, place"),
        ("[animals:dog]", r"unknown task 'animals'\. Did you mean 'animal'\?"),
        ("[animal:dgo]", r"animal: unknown class 'dgo'\. Did you mean 'dog'\? Classes: cat, dog, eel"),
    ],
)
def test_focus_on_what_is_not_there(focus, message):
    with pytest.raises(ConfigError, match=message):
        split(two_tasks(), CLASSES, dataset_cfg("DATASET.FOCUS_CLASS", focus))


def test_one_class_only():
    labels = np.stack([np.zeros(20, np.int64), np.arange(20) % 2], axis=1)
    with pytest.raises(ConfigError, match=r"animal: there is only the class cat; learning .* takes two or more"):
        split(labels, CLASSES, dataset_cfg())


def test_an_empty_part():
    labels = np.array([[0], [1], [1]])
    with pytest.raises(ConfigError, match=r"VALIDATION_FRACTION: 0.1 of 3 images leaves none to validate on"):
        split(labels, {"animal": ("cat", "dog")}, dataset_cfg("DATASET.VALIDATION_FRACTION", "0.1"))


def test_classes_too_rare_to_be_validated_on_are_told():
    labels = np.array([0] * 50 + [1] * 50 + [2])[:, None]
    classes = {"animal": CLASSES["animal"]}
    train, val = split(labels, classes, dataset_cfg())
    data = ImageData(np.zeros((101, 2, 2)), labels, classes, train, val)
    assert data.remarks == ["animal: 1 class is too rare to be validated on: eel"]


@pytest.mark.parametrize("pairs", [("DATASET.VALIDATION_FRACTION", "0.6"), ("DATASET.FOLDS", "5")])
def test_a_class_of_one_image_is_never_in_the_validation(pairs):
    labels = np.array([0] * 50 + [1] * 50 + [2])[:, None]
    for seed in range(8):
        train, val = split(labels, {"animal": CLASSES["animal"]}, dataset_cfg(*pairs, "DATASET.SPLIT_SEED", str(seed)))
        assert 100 in train and 100 not in val


def test_a_class_whose_name_has_a_colon():
    labels = np.array([0] * 10 + [1] * 10)[:, None]
    train, _ = split(labels, {"ratio": ("1:1", "2:1")}, dataset_cfg("DATASET.FOCUS_CLASS", "['2:1']"))
    assert (labels[train] == 1).all()


def test_a_fold_without_folds():
    with pytest.raises(ConfigError, match=r"VALIDATION_FOLD is 2, but there are no folds: DATASET.FOLDS is null"):
        dataset_cfg("DATASET.VALIDATION_FOLD", "2")


def sides_of(groups, labels, seed=0, *pairs):
    classes = {"animal": tuple("abcdefghij"[: labels.max() + 1])}
    cfg = dataset_cfg("DATASET.SPLIT_SEED", str(seed), *pairs)
    return split(labels[:, None], classes, cfg, SplitConstraints(groups))


@pytest.mark.parametrize("size", [2, 7, 25])
def test_groups_stay_together_and_classes_keep_their_shares(size):
    rng = np.random.default_rng(0)
    groups = rng.permutation(np.arange(1000) // size)
    labels = rng.choice(4, 1000, p=[0.5, 0.3, 0.15, 0.05])
    for seed in range(3):
        train, val = sides_of(groups, labels, seed)
        assert not set(groups[train]) & set(groups[val])
        assert len(val) == pytest.approx(200, abs=size)
        for label in range(4):
            assert (labels[val] == label).mean() == pytest.approx((labels == label).mean(), abs=0.01 + 0.002 * size)


def test_some_groups_among_free_images():
    labels = np.arange(200) % 4
    groups = np.arange(200)
    groups[:40] = np.arange(40) // 8  # five groups of eight
    train, val = sides_of(groups, labels)
    assert not set(groups[train]) & set(groups[val])
    assert np.bincount(labels[val]).tolist() == [10, 10, 10, 10]


def test_groups_of_one_change_nothing():
    labels = np.random.default_rng(0).integers(0, 4, 300)
    one, other = sides_of(np.arange(300), labels), sides_of(None, labels)
    assert all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


def test_folds_respect_groups():
    labels, groups = np.arange(200) % 4, np.arange(200) // 10
    seen = []
    for fold in range(5):
        train, val = sides_of(groups, labels, 0, "DATASET.FOLDS", "5", "DATASET.VALIDATION_FOLD", str(fold))
        assert not set(groups[train]) & set(groups[val]) and len(val) == 40
        seen += val.tolist()
    assert sorted(seen) == list(range(200))


def test_a_group_with_the_only_image_of_a_class_is_trained_on_as_a_whole():
    labels, groups = np.array([0] * 50 + [1] * 50 + [2]), np.arange(101)
    groups[-1] = groups[0]
    for seed in range(8):
        _, val = sides_of(groups, labels, seed)
        assert 0 not in val and 100 not in val


def test_fewer_groups_than_folds():
    with pytest.raises(ConfigError, match="FOLDS: found 5, but there are only 2 groups of images"):
        sides_of(np.arange(20) % 2, np.arange(20) % 4, 0, "DATASET.FOLDS", "5")


def test_a_split_that_is_given():
    labels, given = np.arange(20) % 2, np.arange(20) >= 15
    train, val = split(
        labels[:, None], {"animal": ("cat", "dog")}, dataset_cfg(), SplitConstraints(is_validation=given)
    )
    assert (train.tolist(), val.tolist()) == (list(range(15)), list(range(15, 20)))
