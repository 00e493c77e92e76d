"""Exports a trained model as a program that runs without this project, with its preprocessing beside it.

python -m trainable.export --checkpoint experiments/x/best.pt -o model.pt2
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from configs.command_line import command_parser, output_file_problems
from configs.errors import ConfigError, exit_status
from configs.files import shown_path, write_atomically
from data.preparation import CONTENT_CONTRAST, MARGIN
from trainable.prediction import add_code_arguments

if TYPE_CHECKING:
    from trainable.predictor import TrainedModel

TOLERANCE = 1e-4  # between logits of the model and of what was exported


def build_parser() -> argparse.ArgumentParser:
    """The command line of this module."""
    parser = command_parser(
        "trainable.export",
        __doc__,
        "Exports the model of a checkpoint with torch.export, and a .json with its preprocessing.",
    )
    parser.add_argument("--checkpoint", metavar="PT", required=True, help="of a training or a trial")
    parser.add_argument("-o", "--output", metavar="FILE", required=True, help="ends in .pt2; must not exist yet")
    add_code_arguments(parser)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command and returns its exit status."""
    args = build_parser().parse_intermixed_args(argv)
    return exit_status(lambda: export(Path(args.checkpoint), Path(args.output), args.pairs, args.allow_code))


def export(checkpoint: Path, output: Path, pairs: Sequence[str] = (), allow_code: bool = False) -> int:
    """Writes model and preprocessing, after a check that the exported model gives the same logits.

    The program takes float32 images (batch, channels, height, width), normalised as the .json says, and returns a
    tuple of logits (batch, classes), one a task. Load it with torch.export.load(path).module().

    Raises:
        ConfigError: the checkpoint cannot be used, the model cannot be exported, or files are in the way.
    """
    description = output.with_suffix(".json")
    problems = output_file_problems(output, (".pt2",))
    if description.exists():
        problems.add(f"-o: {description} is there already; choose another name or remove it")
    if not checkpoint.is_file():
        problems.add(f"--checkpoint: {checkpoint}: no such file")
    problems.check()
    print("importing torch ...", flush=True)
    from trainable.predictor import TrainedModel

    trained = TrainedModel(checkpoint, pairs, allow_code)
    program = _exported(trained)
    write_atomically(output, program)
    write_atomically(description, json.dumps(_description(trained), indent=1, ensure_ascii=False) + "\n")
    print(f"{shown_path(output)} and {shown_path(description)}; the same logits to {TOLERANCE:g}")
    return 0


def _exported(trained: "TrainedModel") -> bytes:
    import io

    import torch

    class LogitsOfTasks(torch.nn.Module):
        """The model, returning a tuple as torch.export wants it."""

        def __init__(self) -> None:
            super().__init__()
            self.model = trained.model.cpu()

        def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, ...]:
            return tuple(self.model(images))

    dataset = trained.cfg.DATASET
    images = torch.rand(2, 3 if dataset.TO_RGB else 1, *dataset.RESIZE_SHAPE)
    wrapped = LogitsOfTasks().eval()
    content = io.BytesIO()
    try:
        program = torch.export.export(wrapped, (images,), dynamic_shapes=({0: torch.export.Dim("batch", min=1)},))
        torch.export.save(program, content)
    except Exception as error:  # torch.export has many ways to say that a model is not for it
        first_line = (str(error).splitlines() or [""])[0]
        raise ConfigError(f"--checkpoint: torch.export cannot export this model: {first_line}") from error
    again = torch.export.load(io.BytesIO(content.getvalue())).module()
    others = torch.rand(5, *images.shape[1:])
    with torch.no_grad():
        for ours, theirs in zip(wrapped(others), again(others), strict=True):
            if not torch.allclose(ours, theirs, atol=TOLERANCE, rtol=TOLERANCE):
                raise ConfigError(
                    "--checkpoint: the exported model gives other logits than the model; nothing is written"
                )
    return content.getvalue()


def _description(trained: "TrainedModel") -> dict[str, Any]:
    """What it takes to use the model elsewhere."""
    dataset = trained.cfg.DATASET
    return {
        "height": dataset.RESIZE_SHAPE[0],
        "width": dataset.RESIZE_SHAPE[1],
        "channels": 3 if dataset.TO_RGB else 1,
        "input": "float32 (batch, channels, height, width), red first",
        "read": "turned as EXIF says; 16 bits shifted to 8",
        "transparency_shown_on": None if dataset.BACKGROUND is None else list(dataset.BACKGROUND),
        "crop_to_content": dataset.CROP_TO_CONTENT,
        "pad_to_square": dataset.PAD_TO_SQUARE,
        "crop": {
            "margin_share_of_side": MARGIN,
            "grey_levels_from_background": CONTENT_CONTRAST,
            "background": "median of the outermost pixels",
        },
        "resize": "OpenCV, INTER_AREA where the area shrinks, else INTER_LINEAR",
        "pixels": "divided by 255, less mean, divided by std",
        "mean": list(dataset.NORMALIZE_MEAN),
        "std": list(dataset.NORMALIZE_STD),
        "ink": "bright on black: inverted Kaggle images" if dataset.NAME == "bengali" else None,
        "classes": {task: list(names) for task, names in trained.classes.items()},
    }


if __name__ == "__main__":
    sys.exit(main())
