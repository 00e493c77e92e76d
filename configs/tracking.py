"""A config that remembers which of its keys were looked at, so that knobs that do nothing are found."""

from typing import Any

from yacs.config import CfgNode


class _Reads(set[str]):
    """Dotted names of keys; copies of a config share them."""

    def __deepcopy__(self, memo: dict[int, Any]) -> "_Reads":
        return self


class TrackedCfg(CfgNode):
    """A node whose leaves are noted when they are looked at by name; listing its items notes nothing."""

    def __getitem__(self, name: str) -> Any:
        value = super().__getitem__(name)
        if not isinstance(value, CfgNode):
            self.__dict__["_reads"].add(self.__dict__["_prefix"] + name)
        return value


def track_reads(cfg: CfgNode) -> tuple[TrackedCfg, set[str]]:
    """Returns a frozen copy of a config, and the set into which the keys go that are looked at in it."""
    reads = _Reads()
    tracked = _tracked(cfg, "", reads)
    tracked.freeze()
    return tracked, reads


def _tracked(cfg: CfgNode, prefix: str, reads: _Reads) -> TrackedCfg:
    node = TrackedCfg()
    node.__dict__.update(_reads=reads, _prefix=prefix)
    for name, value in cfg.items():
        node[name] = _tracked(value, f"{prefix}{name}.", reads) if isinstance(value, CfgNode) else value
    return node
