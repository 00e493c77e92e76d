"""Splits images into training and validation, so that every class of every task has its share of both."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from yacs.config import CfgNode

from configs.errors import ConfigError, did_you_mean, few

Classes = dict[str, tuple[str, ...]]


@dataclass(frozen=True)
class SplitConstraints:
    """What the data itself says about the split.

    Attributes:
        groups: int64 of shape (N,): images of one number stay on one side; None: each image is free.
        is_validation: bool of shape (N,), where the split is given; None: it is to be made.
    """

    groups: np.ndarray | None = None
    is_validation: np.ndarray | None = None

    def arrays(self) -> dict[str, np.ndarray]:
        """Those that are given, by name."""
        given = {"groups": self.groups, "is_validation": self.is_validation}
        return {name: array for name, array in given.items() if array is not None}

    def of(self, kept: np.ndarray) -> "SplitConstraints":
        """The constraints of some of the images, by their indices."""
        return SplitConstraints(*(None if one is None else one[kept] for one in (self.groups, self.is_validation)))


def split(
    labels: np.ndarray, classes: Classes, dataset_cfg: CfgNode, constraints: SplitConstraints | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Splits images as DATASET says: by VALIDATION_FRACTION or FOLDS, SPLIT_SEED and FOCUS_CLASS.

    Args:
        labels: int64 of shape (N, tasks).
        classes: for each task, by name, the names of its classes.
        dataset_cfg: the DATASET node.
        constraints: what the data says about it.

    Returns:
        Sorted indices of the training and of the validation images.

    Raises:
        ConfigError: a task has one class only, or nothing is left to train or to validate on.
    """
    for task, label in zip(classes, labels.T, strict=True):
        if len(np.unique(label)) < 2:
            found = f"only the class {classes[task][label[0]]}" if len(label) else "no images"
            raise ConfigError(
                f"{task}: there is {found}; learning to tell classes apart takes two or more", key="DATASET"
            )
    constraints = constraints or SplitConstraints()
    is_validated = (
        _made(labels, classes, dataset_cfg, constraints)
        if constraints.is_validation is None
        else constraints.is_validation
    )
    train, val = np.flatnonzero(~is_validated), np.flatnonzero(is_validated)
    focused = train[_in_focus(labels[train], classes, dataset_cfg.FOCUS_CLASS)]
    if len(train) and not len(focused):
        raise ConfigError(f"no training image is of {', '.join(dataset_cfg.FOCUS_CLASS)}", key="DATASET.FOCUS_CLASS")
    train = focused
    for use, indices in (("train", train), ("validate", val)):
        if not len(indices):
            raise ConfigError(_nothing_left(use, len(labels), dataset_cfg, constraints))
    return train, val


def _made(labels: np.ndarray, classes: Classes, dataset_cfg: CfgNode, constraints: SplitConstraints) -> np.ndarray:
    """Returns which images are validated on, as a mask."""
    folds = dataset_cfg.FOLDS or 1
    free = len(labels) if constraints.groups is None else len(np.unique(constraints.groups))
    if folds > free:
        kind = "images" if constraints.groups is None else "groups of images (images with the same content are one)"
        raise ConfigError(f"found {folds}, but there are only {free} {kind}; choose fewer", key="DATASET.FOLDS")
    alone = _is_alone(labels, constraints.groups)
    if alone.all():
        sizes = ", ".join(f"{task} has {len(np.unique(label))}" for task, label in zip(classes, labels.T, strict=True))
        if constraints.groups is not None:
            raise ConfigError(
                f"each class has all its images in one group that stays together ({sizes} classes; "
                "images with the same pixels are one), so that none can be both trained and validated on",
                key="DATASET",
            )
        raise ConfigError(
            f"each of the {len(labels)} images is the only one of a class ({sizes}), so that none can be "
            "validated on; is a column of names or ids taken for labels?",
            key="DATASET",
        )
    validation = 1 if dataset_cfg.FOLDS is None else dataset_cfg.VALIDATION_FOLD
    return (fold_numbers(labels, dataset_cfg, constraints) == validation) & ~alone


def _nothing_left(use: str, images: int, dataset_cfg: CfgNode, constraints: SplitConstraints) -> str:
    if constraints.is_validation is not None:
        key = "PATH_VALIDATION" if dataset_cfg.PATH_VALIDATION else "TABLE.SPLIT_COLUMN"
        return f"DATASET.{key}: leaves none of {images} images to {use} on; correct it, or leave it out"
    name = "FOLDS" if dataset_cfg.FOLDS else "VALIDATION_FRACTION"
    groups = 0 if constraints.groups is None else len(np.unique(constraints.groups))
    grouped = f" in {groups} groups that stay together (images with the same pixels are one)" if groups else ""
    return (
        f"DATASET.{name}: {dataset_cfg[name]} of {images} images{grouped} leaves none to {use} on; choose another or "
        "add images"
    )


def _is_alone(labels: np.ndarray, groups: np.ndarray | None) -> np.ndarray:
    """Returns, as a mask, which images are in the only group of a class: without them it could not be learnt.

    A group is an image, where there are none.
    """
    if groups is None:
        return np.any([np.bincount(column)[column] == 1 for column in labels.T], axis=0)
    numbers = np.unique(groups, return_inverse=True)[1]
    alone = np.zeros(len(labels), dtype=bool)
    for column in labels.T:
        pairs = np.unique(np.stack([column, numbers]), axis=1)
        alone |= np.bincount(pairs[0], minlength=column.max() + 1)[column] == 1
    return np.isin(numbers, numbers[alone])  # a group goes as a whole


def fold_numbers(labels: np.ndarray, dataset_cfg: CfgNode, constraints: SplitConstraints) -> np.ndarray:
    """Returns for each image the number of its fold; without FOLDS, 0 for training and 1 for validation.

    Args:
        labels: int64 of shape (N, tasks).
        dataset_cfg: the DATASET node.
        constraints: what the data says about it.
    """
    if constraints.is_validation is not None:
        return constraints.is_validation.astype(np.int64)
    fraction = dataset_cfg.VALIDATION_FRACTION
    shares = [1 / dataset_cfg.FOLDS] * dataset_cfg.FOLDS if dataset_cfg.FOLDS else [1 - fraction, fraction]
    return stratify(labels, shares, dataset_cfg.SPLIT_SEED, constraints.groups)


def stratify(labels: np.ndarray, shares: Sequence[float], seed: int, groups: np.ndarray | None = None) -> np.ndarray:
    """Deals images into parts so that each class of each task is spread over them by their shares.

    Groups of several images go first, each as a whole to where it brings classes nearest to their shares.

    Classes are dealt with one after the other, the rarest first, as in the iterative stratification of Sechidis et
    al. (2011), but how many images of a class each part gets is decided for all of them at once; which ones, by what
    the parts lack of the images' other classes.

    Args:
        labels: int64 of shape (N, tasks).
        shares: of each part; their sum is 1.
        seed: of the random choices.
        groups: int64 of shape (N,): images of one number go to one part; None: each image is free.

    Returns:
        int64 of shape (N,), the number of each image's part.
    """
    rng = np.random.default_rng(seed)
    share = np.asarray(shares)
    first_of_task = np.cumsum([0, *(labels.max(axis=0)[:-1] + 1)])
    label_ids = labels + first_of_task  # numbered through over all tasks
    counts = np.bincount(label_ids.ravel())
    lacking = np.outer(counts, share)  # of each label, by part
    lacking_overall = len(labels) * share
    parts = np.full(len(labels), -1)
    order = rng.permutation(len(labels))
    for members, own in _by_weight(groups, label_ids, counts, order):
        part = _best_part(
            np.append(own, len(members)),
            np.vstack([lacking, lacking_overall]),
            np.outer(np.append(counts, len(labels)), share),
        )
        parts[members] = part
        lacking[:, part] -= own
        lacking_overall[part] -= len(members)
    for label_id in np.lexsort((np.arange(len(counts)), counts)):
        open_ones = order[(label_ids[order] == label_id).any(axis=1) & (parts[order] < 0)]
        if not len(open_ones):
            continue
        sizes = _whole(lacking[label_id], len(open_ones), lacking_overall)
        parts[open_ones] = _deal(label_ids[open_ones], sizes, lacking, np.outer(counts, share))
        for image_part in range(len(share)):
            dealt = label_ids[open_ones[parts[open_ones] == image_part]]
            lacking[:, image_part] -= np.bincount(dealt.ravel(), minlength=len(counts))
        lacking_overall -= np.bincount(parts[open_ones], minlength=len(share))
    return parts


def _by_weight(
    groups: np.ndarray | None, label_ids: np.ndarray, counts: np.ndarray, order: np.ndarray
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Returns the images of each group of several, and how many of each label they are.

    Those come first whose place matters most, which hold the largest shares of classes.

    Args:
        groups: int64 of shape (N,), numbers of groups; None: there are none.
        label_ids: of shape (N, tasks), numbered through over all tasks.
        counts: images of each label.
        order: of the images; of equal groups the one with the first image comes first.
    """
    if groups is None:
        return []
    _, numbers, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    members = np.split(np.argsort(numbers, kind="stable"), np.cumsum(sizes)[:-1])
    several = dict.fromkeys(numbers[order][sizes[numbers[order]] > 1].tolist())
    found = [(members[n], np.bincount(label_ids[members[n]].ravel(), minlength=len(counts))) for n in several]
    return sorted(found, key=lambda group: -round(float((group[1] ** 2 / np.maximum(counts, 1)).sum()), 9))


def _best_part(own: np.ndarray, lacking: np.ndarray, wanted: np.ndarray) -> int:
    """Returns the part where a group brings the numbers of images nearest to those wanted, by chi-squared.

    Args:
        own: images of each label in the group, and of all.
        lacking: of shape (labels and all, parts), how many each part lacks.
        wanted: of that shape, how many it is to have in the end.
    """
    has = np.flatnonzero(own)
    change = (own[has, None] - 2 * lacking[has]) * own[has, None] / wanted[has]
    return int(np.argmin(np.round(change.sum(axis=0), 9)))


def _whole(wanted: np.ndarray, count: int, lacking: np.ndarray) -> np.ndarray:
    """Returns how many of `count` images each part gets: in proportion to `wanted`, as near as whole numbers allow.

    What is left over by rounding goes to the parts nearest to one more, of equals to those that lack most in all.
    """
    wanted = np.maximum(wanted, 0)
    if not wanted.any():  # groups gave each part more than its share
        wanted = np.maximum(lacking, 0) if (lacking > 0).any() else np.ones_like(wanted)
    wanted = wanted * count / wanted.sum()
    sizes = np.floor(wanted + 1e-9).astype(int)
    nearest = np.lexsort((-lacking, -np.round(wanted - sizes, 9)))
    sizes[nearest[: count - sizes.sum()]] += 1
    return sizes


def _deal(label_ids: np.ndarray, sizes: np.ndarray, lacking: np.ndarray, wanted: np.ndarray) -> list[int]:
    """Returns the part of each image.

    Args:
        label_ids: of shape (images, tasks).
        sizes: how many images each part gets.
        lacking: of shape (labels, parts), how many images of a label each part lacks.
        wanted: of shape (labels, parts), how many it is to have in the end: lacking one of few weighs more.
    """
    if label_ids.shape[1] == 1:  # nothing else to balance
        return np.repeat(np.arange(len(sizes)), sizes).tolist()
    # lists, since numpy takes longer for a few numbers
    room, parts = sizes.tolist(), []
    steps = (1 / np.maximum(wanted, 1e-9)).tolist()
    scores = (lacking / np.maximum(wanted, 1e-9)).tolist()
    for own in label_ids.tolist():
        lacks = [sum(column) for column in zip(*(scores[label_id] for label_id in own), strict=True)]
        part = max((part for part, left in enumerate(room) if left), key=lacks.__getitem__)
        parts.append(part)
        room[part] -= 1
        for label_id in own:
            scores[label_id][part] -= steps[label_id][part]
    return parts


def _in_focus(labels: np.ndarray, classes: Classes, focus: Sequence[str]) -> np.ndarray:
    """Returns which images are of one of the classes in focus, as a mask; all, if there are none."""
    if not focus:
        return np.ones(len(labels), dtype=bool)
    mask = np.zeros(len(labels), dtype=bool)
    for text in focus:
        task_name, found, name = text.rpartition(":") if len(classes) > 1 else ("", "", text)
        if not found and len(classes) > 1:
            raise ConfigError(
                f"{text!r}: which task's? Write task:class, as in {next(iter(classes))}:{text}; "
                f"tasks: {', '.join(classes)}",
                key="DATASET.FOCUS_CLASS",
            )
        task_name = task_name or next(iter(classes))
        if task_name not in classes:
            nearest = did_you_mean(task_name, classes)
            raise ConfigError(
                f"unknown task {task_name!r}.{nearest} Tasks: {', '.join(classes)}", key="DATASET.FOCUS_CLASS"
            )
        if name not in classes[task_name]:
            nearest = did_you_mean(name, classes[task_name])
            known = ", ".join(classes[task_name][:20]) + (" ..." if len(classes[task_name]) > 20 else "")
            raise ConfigError(
                f"{task_name}: unknown class {name!r}.{nearest} Classes: {known}", key="DATASET.FOCUS_CLASS"
            )
        mask |= labels[:, list(classes).index(task_name)] == classes[task_name].index(name)
    return mask


def uneven_classes(train_labels: np.ndarray, val_labels: np.ndarray, classes: Classes) -> list[str]:
    """Returns, a line each, which classes are trained on but not validated on, and the reverse.

    Args:
        train_labels: of the training images, int64 of shape (images, tasks).
        val_labels: of the validation images.
        classes: for each task, by name, the names of its classes.
    """
    lines = []
    for task, (name, names) in enumerate(classes.items()):
        train, val = (set(labels[:, task].tolist()) for labels in (train_labels, val_labels))
        for missing, what in ((train - val, "too rare to be validated on"), (val - train, "not trained on")):
            if missing:
                some = few([names[label] for label in sorted(missing)])
                lines.append(
                    f"{name}: {len(missing)} {'class is' if len(missing) == 1 else 'classes are'} {what}: {some}"
                )
    return lines
