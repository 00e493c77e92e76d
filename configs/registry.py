"""Parts by name: a registry for each kind of part."""

import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from configs.errors import ConfigError, did_you_mean
from configs.files import shown_path


class Registry:
    """Builders of one kind of part, by name.

    Args:
        kind: what the parts are, for messages: "head".
        key: the config key that names one: "MODEL.HEAD.NAME".

    A part is registered with a decorator, or by calling it:

        @HEAD_REGISTRY.register("simple_head_module")
        def build_simple_pred_head(head_cfg): ...

        HEAD_REGISTRY.register("simple_head_module", build_simple_pred_head)
    """

    def __init__(self, kind: str, key: str):
        self.kind = kind
        self.key = key
        self._builders: dict[str, Callable[..., Any]] = {}

    def register(self, name: str, builder: Callable[..., Any] | None = None) -> Callable[..., Any]:
        """Adds a builder under a name; without a builder, returns a decorator that does.

        Raises:
            ConfigError: the name is taken.
        """
        if builder is None:
            return lambda decorated: self.register(name, decorated)
        if name in self._builders:
            raise ConfigError(
                f"{self.kind} {name!r} is registered twice: in {_place(self._builders[name])} and in "
                f"{_place(builder)}; give one of them another name"
            )
        self._builders[name] = builder
        return builder

    def __getitem__(self, name: str) -> Callable[..., Any]:
        if name not in self._builders:
            raise self.unknown(name)
        return self._builders[name]

    def unknown(self, name: str, others: Sequence[str] = (), where: str = "") -> ConfigError:
        """Returns the error for a name that nothing has.

        Args:
            name: that was asked for.
            others: names that are known beside the registered ones.
            where: those are listed.
        """
        more = f", and every name in {where}" if where else ""
        return ConfigError(
            f"unknown {self.kind} {name!r}.{did_you_mean(name, [*self, *others])} Known: {', '.join(self)}{more}",
            key=self.key,
        )

    def __contains__(self, name: str) -> bool:
        return name in self._builders

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._builders))


def _place(builder: Callable[..., Any]) -> str:
    """Returns where a builder is: the file, or the name of its module."""
    file = getattr(sys.modules.get(builder.__module__), "__file__", None)
    return shown_path(file) if file else builder.__module__
