"""Shows what a search would do, and starts nothing."""

import yaml

from search.history import History
from search.plan import SearchPlan
from search.preflight import check_parts
from search.searcher import TruthfulOptunaSearch

SAMPLES = 5


def dry_run(plan: SearchPlan) -> int:
    """Prints the space and sampled configs, builds each named part once, and returns the exit status."""
    print(plan.space_yaml(), end="")
    searcher = TruthfulOptunaSearch(plan.parameters, plan.options, History(), slots=SAMPLES)
    for number in range(min(SAMPLES, plan.options.num_samples)):
        trial = searcher.suggest(str(number)) or {}
        plan.sample_cfg(trial["params"])
        print(f"\n# sample {number}")
        print(yaml.safe_dump(trial["params"], sort_keys=False, default_flow_style=None), end="")
    check_parts(plan)
    print("\nevery part was built once; nothing was started or written")
    return 0
