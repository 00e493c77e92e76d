"""The tables of docs/space_files.md, made of what distributions, words, samplers and schedulers declare.

`python -m search.schema -o spaces/space.schema.json --tables docs/space_files.md` writes them.
"""

import json
import re
from collections.abc import Sequence

from configs.errors import ConfigError
from search.space.distributions import DISTRIBUTIONS
from search.space.words import WORDS
from search.specs.samplers import SAMPLERS
from search.specs.schedulers import SCHEDULERS
from search.specs.spec import SamplerSpec, Spec


def with_tables(text: str) -> str:
    """Returns a document with its tables made anew: each stands between `<!-- table: NAME -->` and `<!-- end -->`.

    Raises:
        ConfigError: it names a table that there is not.
    """
    made = tables()

    def table(mark: re.Match[str]) -> str:
        if mark[1] not in made:
            raise ConfigError(f"there is no table {mark[1]!r}. Known: {', '.join(made)}")
        return f"<!-- table: {mark[1]} -->\n{made[mark[1]]}\n<!-- end -->"

    return re.sub(r"<!-- table: (\w+) -->\n.*?<!-- end -->", table, text, flags=re.DOTALL)


def tables() -> dict[str, str]:
    """Returns all tables by name, in Markdown."""
    written = {
        word: f"`{{{word}: [{', '.join(spec.arguments) or 'a, b, c'}]}}`" for word, spec in DISTRIBUTIONS.items()
    }
    told = {"epochs": "every epoch, as PRUNED", "values": "one value, as COMPLETE (see below)", "nothing": "nothing"}

    def told_of(spec: SamplerSpec) -> str:
        return "refused with any scheduler but `none`" if spec.needs_whole_trainings else told[spec.learns_from]

    return {
        "distributions": _table(
            ["written", "sampled"], [[written[word], spec.meaning] for word, spec in DISTRIBUTIONS.items()]
        ),
        "words": _table(["word", "what it says"], [[word.form, word.meaning] for word in WORDS.values() if word.form]),
        "samplers": _table(
            ["name", "what it is", "options", "what it is told about a trial that waits, or was stopped"],
            [[f"`{spec.name}`", spec.meaning, _options(spec), told_of(spec)] for spec in SAMPLERS.values()],
        ),
        "schedulers": _table(
            ["name", "what it does", "options"],
            [[f"`{spec.name}`", spec.meaning, _options(spec)] for spec in SCHEDULERS.values()],
        ),
    }


def _options(spec: Spec) -> str:
    shown = {name: f" ({json.dumps(value).strip(chr(34))})" for name, value in spec.defaults().items()}
    return "; ".join(f"`{name}`{shown.get(name, '')}: {option.meaning}" for name, option in spec.options.items())


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [f"| {' | '.join(line)} |" for line in (header, *rows)]
    return "\n".join([lines[0], "|" + "---|" * len(header), *lines[1:]])
