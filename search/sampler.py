"""Builds Optuna samplers by name."""

from collections.abc import Callable
from typing import Any

import optuna
from optuna.samplers import BaseSampler

from search.options import NamedOptions


def _tpe(options: dict[str, Any], seed: int) -> BaseSampler:
    # Independent (univariate) TPE: under asha, with its many stopped trials, it finds clearly better configs than the
    # multivariate one with constant_liar that Optuna 5 has as its default.
    return optuna.samplers.TPESampler(**{"multivariate": False, "constant_liar": False, **options}, seed=seed)


def _random(options: dict[str, Any], seed: int) -> BaseSampler:
    return optuna.samplers.RandomSampler(seed=seed)


_BUILDERS: dict[str, Callable[[dict[str, Any], int], BaseSampler]] = {"tpe": _tpe, "random": _random}


def build_sampler(choice: NamedOptions, seed: int) -> BaseSampler:
    """Builds the sampler that a space file names.

    Args:
        choice: name and options, checked.
        seed: of its random numbers.
    """
    return _BUILDERS[choice.name](choice.options, seed)
