"""timm's own weights for a model, by its name: found in timm's cache, or fetched into it once."""

import socket
import sys
from pathlib import Path
from urllib.parse import urlparse
from urllib.request import getproxies

import timm
from huggingface_hub import constants, try_to_load_from_cache
from timm.models import get_pretrained_cfg
from timm.models._hub import HF_SAFE_WEIGHTS_NAME, HF_WEIGHTS_NAME, get_cache_dir, hf_split
from timm.models._pretrained import PretrainedCfg

from configs.errors import ConfigError, did_you_mean, few

REACHED_WITHIN = 5.0  # seconds

KEY = "MODEL.BACKBONE.PRETRAINED"

# Names that this project gave to models which timm calls otherwise.
TIMM_NAMES = {
    "mobilenet_v2": "mobilenetv2_100",
    "densenet121": "densenet121",
    "se_resnext50": "seresnext50_32x4d",
}


def timm_name(name: str) -> str | None:
    """Returns timm's name of a backbone, None if it is no model of timm's."""
    return TIMM_NAMES.get(name) or (name if timm.is_model(name) else None)


def check_tag(name: str) -> None:
    """Raises ConfigError if timm knows the model of a name, but not its tag, as in resnet18.a1_in1k."""
    model, _, tag = name.partition(".")
    if tag:
        known = [full for full in timm.list_models(f"{model}.*", pretrained=True) if full.startswith(f"{model}.")]
        if name not in known:
            ways = f"Known: {few(known, 10)}" if known else f"timm has no weights for {model}"
            raise ConfigError(
                f"unknown tag {tag!r} of {model}.{did_you_mean(name, known)} {ways}", key="MODEL.BACKBONE.NAME"
            )


def pretrained_cfg(name: str) -> PretrainedCfg | None:
    """Returns what timm says of the weights for one of its models: mean, std and size of their images.

    Args:
        name: timm's, with or without a tag.
    """
    return get_pretrained_cfg(name)


def weights_file(name: str) -> Path:
    """Returns the file of timm's weights, which is fetched by timm if its cache does not have it.

    Args:
        name: timm's, with or without a tag.

    Raises:
        ConfigError: timm has no weights for the model, or they can neither be found nor fetched.
    """
    of_weights = pretrained_cfg(name)
    if of_weights is None or not of_weights.has_weights:
        model = name.partition(".")[0]
        raise ConfigError(
            f"timm has no weights for {name}.{did_you_mean(model, timm.list_models(pretrained=True))} Take "
            f"another MODEL.BACKBONE.NAME, give a file with {KEY}_PATH, or leave {KEY} out",
            key=KEY,
        )
    found = _in_cache(of_weights)
    if found is None:
        place = of_weights.hf_hub_id or of_weights.url
        print(f"the weights of {name} are fetched once, from {place} ...", file=sys.stderr, flush=True)
        found = _fetched(name, of_weights)
    return found


def _fetched(name: str, of_weights: PretrainedCfg) -> Path:
    try:
        _check_network()
        timm.create_model(name, pretrained=True, num_classes=0)
    except Exception as error:  # of the network, the hub, the disk: each library has its own
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise ConfigError(
            f"the weights of {name} are not in timm's cache ({_cache_of(of_weights)}), and cannot be fetched: "
            f"{reason.rstrip('.')}. Fetch them where there is a network, and set HF_HOME to their folder; "
            f"or give a file with {KEY}_PATH",
            key=KEY,
        ) from error
    found = _in_cache(of_weights)
    if found is None:
        raise ConfigError(f"timm has fetched the weights of {name}, but not to {_cache_of(of_weights)}", key=KEY)
    return found


def _check_network() -> None:
    """Raises OSError if the hub cannot be reached; its own client tries for a minute. A proxy is left to that."""
    if not getproxies() and not constants.HF_HUB_OFFLINE:
        place = urlparse(constants.ENDPOINT)
        socket.create_connection((str(place.hostname), place.port or 443), REACHED_WITHIN).close()


def _in_cache(of_weights: PretrainedCfg) -> Path | None:
    """Looks where timm looks; without asking the network, which each trial of a search would do."""
    if not of_weights.hf_hub_id:
        file = Path(_cache_of(of_weights), Path(str(of_weights.url)).name)
        return file if file.is_file() else None
    repository, revision = hf_split(of_weights.hf_hub_id)
    for file_name in (
        [of_weights.hf_hub_filename] if of_weights.hf_hub_filename else [HF_SAFE_WEIGHTS_NAME, HF_WEIGHTS_NAME]
    ):
        cached = try_to_load_from_cache(repository, file_name, cache_dir=constants.HF_HUB_CACHE, revision=revision)
        if isinstance(cached, str):
            return Path(cached)
    return None


def _cache_of(of_weights: PretrainedCfg) -> str:
    return str(constants.HF_HUB_CACHE) if of_weights.hf_hub_id else get_cache_dir()
