"""The samplers: which config comes next. A new one is a module with `build`, and an entry here."""

from configs.legal import Bool, Float, Int, OneOf
from search.specs.spec import Option, SamplerSpec

_PROBABILITY = Float(0, 1)
_STARTUP = "how many samples are random before it learns"

_ALL = (
    SamplerSpec(
        name="tpe",
        meaning="tree-structured Parzen estimator, which models each parameter by itself",
        module="search.engine.samplers.tpe",
        options={
            "n_startup_trials": Option(Int(0), _STARTUP),
            # docs/search_quality.md has the figures behind these defaults, which are not Optuna's: under asha, with
            # its many trials of few epochs, an independent TPE that compares many candidates finds better configs.
            "n_ei_candidates": Option(Int(1), "how many candidates are compared for each value", 100),
            "multivariate": Option(Bool(), "whether parameters are modelled together", False),
            "group": Option(Bool(), "whether conditional parameters are modelled in groups; needs multivariate"),
            "constant_liar": Option(Bool(), "whether running trials count as bad, to spread samples", False),
        },
        learns_from="epochs",
        spreads=True,
    ),
    SamplerSpec(
        name="gp",
        meaning="Gaussian process",
        module="search.engine.samplers.gp",
        options={
            "n_startup_trials": Option(Int(1), _STARTUP),
            "deterministic_objective": Option(Bool(), "whether a config always gets the same value"),
        },
        learns_from="values",
    ),
    SamplerSpec(
        name="nsga2",
        meaning="genetic algorithm for several objectives",
        module="search.engine.samplers.nsga2",
        options={
            "population_size": Option(Int(2), "trials of a generation"),
            "mutation_prob": Option(_PROBABILITY, "chance that a value is drawn anew"),
            "crossover_prob": Option(_PROBABILITY, "chance that two parents are mixed"),
            "swapping_prob": Option(_PROBABILITY, "chance that a value comes from the other parent"),
        },
        learns_from="values",
    ),
    SamplerSpec(
        name="cmaes",
        meaning="CMA-ES; needs `pip install 'yacstune[cmaes]'`",
        module="search.engine.samplers.cmaes",
        options={
            "n_startup_trials": Option(Int(1), _STARTUP),
            "sigma0": Option(Float(0, above_low=True), "standard deviation that it begins with"),
            "popsize": Option(Int(3), "trials of a generation"),
        },
        learns_from="values",
        has_objectives=False,
        needs_whole_trainings=True,
        numbers_only=True,
        keeps_pickles=True,
    ),
    SamplerSpec(name="random", meaning="independent random samples", module="search.engine.samplers.random"),
    SamplerSpec(
        name="qmc",
        meaning="quasi-random sequence, which fills the space evenly",
        module="search.engine.samplers.qmc",
        options={
            "qmc_type": Option(OneOf(("sobol", "halton")), "which sequence", "sobol"),
            "scramble": Option(Bool(), "whether the seed shifts it", True),
        },
    ),
    SamplerSpec(
        name="grid",
        meaning="all combinations, in an order drawn by the seed",
        module="search.engine.samplers.random",  # what is left of a space is gone through by proposals.py
        tries_all=True,
    ),
)

SAMPLERS: dict[str, SamplerSpec] = {spec.name: spec for spec in _ALL}
