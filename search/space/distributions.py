"""The distributions of the space grammar, with Ray Tune's names and Ray Tune's meaning of their ends."""

import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from configs.errors import ConfigError, did_you_mean
from configs.legal import Float, Int

# What Ray Tune or people's habits offer, and what to write here instead.
REFUSED = {
    "grid_search": "list the values with choice; `sampler: grid` under search: then tries all of them",
    "sample_from": "a space file holds no code; use a distribution or register a part of your own",
    "randn": "use uniform with the ends that make sense",
    "qrandn": "use quniform with the ends that make sense",
    "qloguniform": "use loguniform; Optuna cannot quantise a logarithmic range",
    "qlograndint": "use lograndint; Optuna cannot quantise a logarithmic range",
}


class Distribution:
    """What a key is sampled from.

    Attributes:
        word: its name in a space file.
        size: how many values it has; None: too many to count.
    """

    word: str
    size: int | None = None

    @property
    def is_whole(self) -> bool:
        """Whether it gives nothing but whole numbers, or is a choice."""
        return self.word in ("randint", "lograndint", "qrandint", "choice")

    def quantile(self, share: float) -> Any:
        """Returns the value below which a share of the distribution lies, from 0 to below 1."""
        raise NotImplementedError

    def cdf(self, value: Any) -> float:
        """Returns the share of the distribution below a number; of one outside of it, below 0 or above 1."""
        raise NotImplementedError

    def values(self) -> list[Any]:
        """Returns all values of a distribution that has a size."""
        assert self.size is not None
        return [self.quantile((number + 0.5) / self.size) for number in range(self.size)]

    def neighbour(self, value: Any, steps: int) -> Any:
        """Returns the value some steps after (or before) another, of a distribution that has a size; its ends stay."""
        raise NotImplementedError

    def contains(self, value: Any) -> bool:
        """Whether it may give this value, which is legal for the key."""
        raise NotImplementedError

    def to_optuna(self) -> Any:
        """Returns the Optuna distribution that samples it."""
        raise NotImplementedError

    def decode(self, sampled: Any) -> Any:
        """Returns the value for the config of a value that Optuna sampled."""
        return sampled

    def encode(self, value: Any) -> Any:
        """Returns the value that Optuna sampled, of the value in the config."""
        return value

    def probes(self) -> list[Any]:
        """Returns values that stand for all: the ends of a range, every value of a choice."""
        raise NotImplementedError

    def to_yaml(self) -> dict[str, Any]:
        """Returns it as a space file writes it."""
        raise NotImplementedError


@dataclass(frozen=True)
class FloatRange(Distribution):
    """uniform and loguniform: low is included, high is not."""

    word: str
    low: float
    high: float

    @property
    def _last(self) -> float:
        return math.nextafter(self.high, self.low)

    def quantile(self, share: float) -> float:
        if self.word == "loguniform":
            value = math.exp(math.log(self.low) + share * (math.log(self.high) - math.log(self.low)))
        else:
            value = self.low + share * (self.high - self.low)
        return min(max(value, self.low), self._last)

    def cdf(self, value: Any) -> float:
        return _share(value, self.low, self.high, self.word == "loguniform")

    def contains(self, value: Any) -> bool:
        return _is_number(value) and self.low <= value < self.high

    def to_optuna(self) -> Any:
        from optuna.distributions import FloatDistribution

        return FloatDistribution(self.low, self._last, log=self.word == "loguniform")

    def probes(self) -> list[Any]:
        return [self.low, self._last]

    def to_yaml(self) -> dict[str, Any]:
        return {self.word: [self.low, self.high]}


@dataclass(frozen=True)
class QuantisedRange(Distribution):
    """quniform and qrandint: low, low + q, low + 2q ... high; both ends are included."""

    word: str
    low: float
    high: float
    q: float

    @property
    def size(self) -> int:  # type: ignore[override]
        return round((self.high - self.low) / self.q) + 1

    def quantile(self, share: float) -> Any:
        return self.decode(self.low + self.q * int(share * self.size))

    def cdf(self, value: Any) -> float:
        return (value - self.low + self.q / 2) / (self.q * self.size)

    def neighbour(self, value: Any, steps: int) -> Any:
        return self.decode(min(max(value + steps * self.q, self.low), self.high))

    def contains(self, value: Any) -> bool:
        steps = (value - self.low) / self.q if _is_number(value) else math.inf
        return -1e-9 <= steps < self.size - 1 + 1e-9 and math.isclose(steps, round(steps), abs_tol=1e-9)

    def to_optuna(self) -> Any:
        from optuna.distributions import FloatDistribution, IntDistribution

        if self.word == "qrandint":
            return IntDistribution(int(self.low), int(self.high), step=int(self.q))
        return FloatDistribution(self.low, self.high, step=self.q)

    def decode(self, sampled: Any) -> Any:
        # 0.1 + 2 * 0.1 is 0.30000000000000004: the nearest short number is meant
        return sampled if isinstance(sampled, int) else float(f"{sampled:.12g}")

    def probes(self) -> list[Any]:
        return [self.low, self.high, self.low + self.q]

    def to_yaml(self) -> dict[str, Any]:
        return {self.word: [self.low, self.high, self.q]}


@dataclass(frozen=True)
class IntRange(Distribution):
    """randint and lograndint: low is included, high is not."""

    word: str
    low: int
    high: int

    @property
    def size(self) -> int:  # type: ignore[override]
        return self.high - self.low

    def quantile(self, share: float) -> int:
        if self.word == "lograndint":
            return min(int(math.exp(math.log(self.low) + share * math.log(self.high / self.low))), self.high - 1)
        return self.low + int(share * self.size)

    def cdf(self, value: Any) -> float:
        return _share(value + 0.5, self.low, self.high, self.word == "lograndint")

    def values(self) -> list[int]:
        return list(range(self.low, self.high))

    def neighbour(self, value: Any, steps: int) -> int:
        return int(min(max(value + steps, self.low), self.high - 1))

    def contains(self, value: Any) -> bool:
        return _is_number(value) and value == int(value) and self.low <= value < self.high

    def to_optuna(self) -> Any:
        from optuna.distributions import IntDistribution

        return IntDistribution(self.low, self.high - 1, log=self.word == "lograndint")

    def probes(self) -> list[Any]:
        return [self.low, self.high - 1]

    def to_yaml(self) -> dict[str, Any]:
        return {self.word: [self.low, self.high]}


@dataclass(frozen=True)
class Choice(Distribution):
    """One of some values of any kind. Optuna's categories are scalars, so that values are encoded as JSON."""

    options: tuple[Any, ...]
    word: str = "choice"

    @property
    def size(self) -> int:  # type: ignore[override]
        return len(self.options)

    def quantile(self, share: float) -> Any:
        return self.options[int(share * self.size)]

    def values(self) -> list[Any]:
        return list(self.options)

    def neighbour(self, value: Any, steps: int) -> Any:
        return self.options[min(max(self.options.index(value) + steps, 0), len(self.options) - 1)]

    def contains(self, value: Any) -> bool:
        return self.encode(value) in [self.encode(option) for option in self.options]

    def to_optuna(self) -> Any:
        from optuna.distributions import CategoricalDistribution

        return CategoricalDistribution([self.encode(value) for value in self.options])

    def repeated(self) -> str:
        """Returns the values that are there more than once, as JSON."""
        encoded = [self.encode(value) for value in self.options]
        return ", ".join(value for value in dict.fromkeys(encoded) if encoded.count(value) > 1)

    def encode(self, value: Any) -> Any:
        return json.dumps(value)

    def decode(self, sampled: Any) -> Any:
        return json.loads(sampled)

    def probes(self) -> list[Any]:
        return list(self.options)

    def to_yaml(self) -> dict[str, Any]:
        return {"choice": list(self.options)}


def _share(value: float, low: float, high: float, is_log: bool) -> float:
    if is_log:
        return math.log(max(value, math.ulp(0.0)) / low) / math.log(high / low)
    return (value - low) / (high - low)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def read_distribution(mapping: dict[str, Any]) -> Distribution:
    """Reads `{uniform: [0, 1]}`, `{uniform: {low: 0, high: 1}}` and the like.

    Raises:
        ConfigError: with a sentence that the caller puts a place and a key before.
    """
    for word in mapping:
        if word in REFUSED:
            raise ConfigError(f"{word} is not supported: {REFUSED[word]}")
        if word not in DISTRIBUTIONS:
            words = [*DISTRIBUTIONS, "derive", "when"]
            raise ConfigError(f"unknown distribution {word!r}.{did_you_mean(word, words)} Known: {', '.join(words)}")
    if len(mapping) != 1:
        raise ConfigError(f"found {', '.join(mapping) or 'nothing'}, expected one distribution")
    ((word, arguments),) = mapping.items()
    return DISTRIBUTIONS[word].read(word, arguments)


def _read_numbers(word: str, arguments: Any, names: tuple[str, ...], whole: bool) -> list[Any]:
    form = f"{{{word}: [{', '.join(names)}]}} or {{{word}: {{{', '.join(f'{name}: ...' for name in names)}}}}}"
    if isinstance(arguments, dict):
        if set(arguments) != set(names):
            hints = "".join(did_you_mean(name, names) for name in arguments if name not in names)
            raise ConfigError(f"{word}: found {', '.join(arguments) or 'nothing'}, expected {form}.{hints}")
        arguments = [arguments[name] for name in names]
    if not isinstance(arguments, list) or len(arguments) != len(names):
        raise ConfigError(f"{word}: found {arguments!r}, expected {form}")
    rule = Int() if whole else Float()
    numbers = []
    for name, value in zip(names, arguments, strict=True):
        try:
            numbers.append(rule.read(value))
        except ValueError:
            raise ConfigError(f"{word}: {name}: found {value!r}, expected {rule.noun}") from None
    return numbers


def _read_range(word: str, arguments: Any) -> Distribution:
    whole = word.endswith("randint")
    low, high = _read_numbers(word, arguments, ("low", "high"), whole)
    last = "the first that is not sampled" if whole else "not sampled itself"
    if low >= high - (1 if whole else 0):
        hint = "swap them?" if low > high else "write a constant?"
        raise ConfigError(f"{word}: low {low} and high {high} leave nothing to sample (high is {last}); {hint}")
    if "log" in word and low <= 0:
        raise ConfigError(f"{word}: low is {low}, but a logarithmic range starts above 0")
    return IntRange(word, low, high) if whole else FloatRange(word, low, high)


def _read_quantised(word: str, arguments: Any) -> Distribution:
    low, high, q = _read_numbers(word, arguments, ("low", "high", "q"), word == "qrandint")
    if q <= 0 or low >= high:
        raise ConfigError(f"{word}: found low {low}, high {high}, q {q}; expected low below high and q above 0")
    for name, end in (("low", low), ("high", high)):
        if not math.isclose(end / q, round(end / q), abs_tol=1e-9):
            raise ConfigError(f"{word}: {name} {end} is no multiple of q {q}; both ends are sampled, so they must be")
    return QuantisedRange(word, low, high, q)


def _read_choice(word: str, arguments: Any) -> Distribution:
    if not isinstance(arguments, list) or len(arguments) < 2:
        raise ConfigError(
            f"choice: found {arguments!r}, expected a list of two values or more; write a constant for one"
        )
    if any(isinstance(value, dict) for value in arguments):
        raise ConfigError("choice: a mapping stands in the list; write named branches: {choice: {name: {KEY: ...}}}")
    return Choice(tuple(arguments))


@dataclass(frozen=True)
class DistributionSpec:
    """A distribution of the space grammar.

    Attributes:
        read: makes it of its name and its arguments.
        meaning: what is sampled.
        arguments: names of its numbers; none: a list of values.
    """

    read: Callable[[str, Any], Distribution]
    meaning: str
    arguments: tuple[str, ...] = ()


_ENDS, _STEPS = ("low", "high"), ("low", "high", "q")

DISTRIBUTIONS: dict[str, DistributionSpec] = {
    "uniform": DistributionSpec(_read_range, "a number; high itself is not sampled", _ENDS),
    "loguniform": DistributionSpec(_read_range, "a number above 0, as likely in each power of ten", _ENDS),
    "quniform": DistributionSpec(_read_quantised, "low, low + q ... high: multiples of q, both ends included", _STEPS),
    "randint": DistributionSpec(_read_range, "a whole number below high", _ENDS),
    "lograndint": DistributionSpec(_read_range, "a whole number below high, as likely in each power of ten", _ENDS),
    "qrandint": DistributionSpec(_read_quantised, "as quniform, whole numbers", _STEPS),
    "choice": DistributionSpec(_read_choice, "one of these numbers, words or lists"),
}
