"""Builds Optuna samplers by name."""

from collections.abc import Callable
from typing import Any

import optuna
from optuna.samplers import BaseSampler

from search.options import NamedOptions


def _tpe(options: dict[str, Any], seed: int) -> BaseSampler:
    # docs/search_quality.md has the figures behind these defaults, which are not Optuna's: under asha, with its many
    # trials of few epochs, an independent (univariate) TPE that compares many candidates finds better configs.
    chosen = {"multivariate": False, "constant_liar": False, "n_ei_candidates": 100, **options}
    return optuna.samplers.TPESampler(**chosen, seed=seed)


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
