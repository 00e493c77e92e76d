"""Keeps the first stages of a backbone as they are."""

from torch import nn

from configs.errors import ConfigError


def freeze_stages(backbone: nn.Module, count: int, name: str) -> nn.Module:
    """Takes the weights of the first stages out of the training.

    Args:
        backbone: its method `stages` returns the names of the parameters of each stage, the stem first.
        count: how many stages.
        name: of the backbone, for messages.

    Raises:
        ConfigError: the backbone does not say what its stages are, or has fewer.
    """
    list_stages = getattr(backbone, "stages", None)
    if not callable(list_stages):
        raise ConfigError(
            f"{name} does not say what its stages are; give it a method stages() that "
            "returns a list of parameter names for each stage",
            key="MODEL.BACKBONE.FROZEN_STAGES",
        )
    stages: list[list[str]] = list_stages()
    if count > len(stages):
        raise ConfigError(f"found {count}, but {name} has {len(stages)} stages", key="MODEL.BACKBONE.FROZEN_STAGES")
    frozen = {parameter for stage in stages[:count] for parameter in stage}
    for parameter_name, parameter in backbone.named_parameters():
        if parameter_name in frozen:
            parameter.requires_grad_(False)
    return backbone


def set_training(model: nn.Module) -> None:
    """Puts a model into training mode, except layers with frozen weights: their batch norms keep their statistics."""
    model.train()
    for module in model.modules():
        own = list(module.parameters(recurse=False))
        if own and not any(parameter.requires_grad for parameter in own):
            module.eval()
