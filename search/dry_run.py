"""Shows what a search would do, and starts nothing."""

from dataclasses import replace

from configs.defaults import get_cfg_defaults
from configs.files import shown_path
from configs.loader import changed_keys
from configs.tree import get_value
from configs.yaml_file import yaml_text
from search.engine.controller import Controller
from search.folder import SearchFolder
from search.plan import SearchPlan
from search.preflight import check_parts, notes_on
from search.record.events import SearchStarted
from search.rungs_and_rate import draw, with_rungs
from search.space.options import LARGEST_GRID

SAMPLES = 5
MERGED = 1000  # combinations of which each is merged into a config


def dry_run(plan: SearchPlan, folder: SearchFolder) -> int:
    """Builds each named part once, prints the space and sampled configs, and returns the exit status."""
    check_parts(plan)
    plan = with_rungs(plan)
    for line in notes_on(plan):
        print(f"# note: {line}")
    print(f"# search {plan.name}, in {shown_path(folder.path)}; in all trials, other than the default:")
    free = ["DATASET.CACHE", *(item.key for item in plan.space.items)]  # a dry run switches it off
    for key in changed_keys(get_cfg_defaults(), plan.base_cfg, free):
        print(f"#   {key}: {get_value(plan.base_cfg, key)!r}")
    print(plan.space_yaml(), end="")
    print(f"# {_combinations(plan)}")
    for line in draw(plan):
        print(f"# {line}")
    samples_alone = replace(plan.options, reference=False)
    total_epochs = plan.base_cfg.MODEL.SOLVER.TOTAL_EPOCHS
    controller = Controller(plan.space, samples_alone, total_epochs, start=plan.start)
    controller.begin(SearchStarted(), slots=min(SAMPLES, plan.options.num_samples))
    while trial := controller.next_trial():
        print(f"---\n# sample {trial.number} of {plan.options.num_samples}")
        print(yaml_text(trial.settings), end="")
    print("\n# every part was built once; nothing was started or written")
    return 0


def _combinations(plan: SearchPlan) -> str:
    space = plan.space
    if not space.is_finite:
        return "combinations: unlimited"
    if space.size is None:
        return f"combinations: more than {LARGEST_GRID}"
    if space.size > MERGED:
        return f"combinations: at most {space.size}"
    return f"combinations: {sum(not space.problems(point) for point in space.points())}"
