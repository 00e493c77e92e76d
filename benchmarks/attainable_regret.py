"""What regret could be reached at all: by a model that knows every configuration of a task but the one it judges.

python benchmarks/attainable_regret.py [--tables DIR] [--seeds 5]

Each configuration is predicted by trees that were fitted to nine tenths of the others, with their values at the end of
their trainings. Those that are predicted best are trained to their end, for the cost of a run of search_quality.py.
What is known when it begins would have cost many such runs. What is left is what the hyperparameters do not say: the
best recorded value is the luckiest one, too.
"""

import sys

import numpy as np
from sklearn.ensemble import ExtraTreesRegressor
from sklearn.model_selection import KFold, cross_val_predict

from benchmarks.curve_table import Table
from benchmarks.search_quality import table_paths, tables_parser

SMALLEST = 1.0  # regrets below are as good as none: the logarithm asks the trees to tell good from very good


def attainable_regret(table: Table, seed: int) -> float:
    """Returns the regret of the best of those predicted best.

    Args:
        table: the task.
        seed: of the trees and of the tenths.
    """
    regrets = np.array([table.regret(score) for score in table.scores])
    trees = ExtraTreesRegressor(n_estimators=200, min_samples_leaf=2, random_state=seed)
    tenths = KFold(n_splits=10, shuffle=True, random_state=seed)
    predicted = cross_val_predict(trees, table.points, np.log(regrets + SMALLEST), cv=tenths)
    order = np.argsort(predicted)
    is_paid = np.cumsum(table.cost[order] * table.epochs) <= table.cost_of_run
    return float(regrets[order[is_paid]].min())


def main() -> int:
    """Prints the figures of all tables of a folder."""
    args = tables_parser(__doc__, seeds=5).parse_args()
    paths = table_paths(args)
    if not paths:
        return 2
    for path in paths:
        table = Table(path)
        found = [attainable_regret(table, seed) for seed in range(args.seeds)]
        print(f"{table.name:<48}{np.mean(found):>7.1f}   regret, mean of {args.seeds} seeds")
    return 0


if __name__ == "__main__":
    sys.exit(main())
