"""Samplers by name. Those of Optuna are built here; how trials are told to them is in study.py."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import optuna
from optuna.samplers import BaseSampler

from configs.errors import ConfigError
from search.space.options import NamedOptions

OWN_SAMPLERS = ("qmc", "grid")  # those that are not Optuna's, see study.py


@dataclass(frozen=True)
class SamplerKind:
    """What is peculiar to a sampler.

    Attributes:
        build: makes it from options and a seed.
        learns_from: "epochs": from the values of every epoch, of trials that were stopped early too;
            "values": from one value a trial, which must be comparable; "nothing": from no trial at all.
        looks_at_running: whether it keeps away from where trials run now.
    """

    build: Callable[[dict[str, Any], int], BaseSampler]
    learns_from: Literal["epochs", "values", "nothing"]
    looks_at_running: bool = False


def _tpe(options: dict[str, Any], seed: int) -> BaseSampler:
    # docs/search_quality.md has the figures behind these defaults, which are not Optuna's: under asha, with its many
    # trials of few epochs, an independent (univariate) TPE that compares many candidates finds better configs.
    chosen = {"multivariate": False, "constant_liar": False, "n_ei_candidates": 100, **options}
    return optuna.samplers.TPESampler(**chosen, seed=seed)


def _gp(options: dict[str, Any], seed: int) -> BaseSampler:
    return optuna.samplers.GPSampler(**options, seed=seed, warn_independent_sampling=False)


def _cmaes(options: dict[str, Any], seed: int) -> BaseSampler:
    try:
        import cmaes  # noqa: F401  Optuna imports it when it samples, long after the search has begun
    except ImportError:
        raise ConfigError("sampler cmaes needs a package more: pip install 'yacstune[cmaes]'") from None
    return optuna.samplers.CmaEsSampler(**options, seed=seed, warn_independent_sampling=False)


_KINDS = {
    "tpe": SamplerKind(_tpe, "epochs"),
    "gp": SamplerKind(_gp, "values", looks_at_running=True),
    "cmaes": SamplerKind(_cmaes, "values"),
    "random": SamplerKind(lambda options, seed: optuna.samplers.RandomSampler(seed=seed), "nothing"),
    "nsga2": SamplerKind(lambda options, seed: optuna.samplers.NSGAIISampler(**options, seed=seed), "values"),
}


def sampler_kind(choice: NamedOptions) -> SamplerKind:
    """Returns what is peculiar to the sampler of Optuna that a space file names."""
    return _KINDS[choice.name]


def build_sampler(choice: NamedOptions, seed: int) -> BaseSampler:
    """Builds the sampler of Optuna that a space file names.

    Args:
        choice: name and options, checked.
        seed: of its random numbers.

    Raises:
        ConfigError: it needs a package that is not installed.
    """
    with warnings.catch_warnings():  # options that Optuna calls experimental are what the space file asks for
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        return sampler_kind(choice).build(choice.options, seed)
