"""Every configuration key: its default, its legal values and its meaning.

`get_cfg_defaults()` returns the tree as a YACS CfgNode. `KEYS` holds the same keys as data, for whatever checks,
explains or suggests them. A key is declared once, here, and nowhere else.
"""

from dataclasses import dataclass
from typing import Any

from yacs.config import CfgNode

from configs.formats import FORMAT, KEY
from configs.legal import (
    Bool,
    Color,
    File,
    Float,
    Format,
    Int,
    Maybe,
    Module,
    Name,
    OneOf,
    OrWord,
    Part,
    Path,
    Rule,
    Text,
    TupleOf,
)
from configs.lineage import Lineage
from configs.metric_names import OBJECTIVES


@dataclass(frozen=True)
class Key:
    """A leaf of the tree.

    Attributes:
        name: dotted path, as in MODEL.HEAD.NAME.
        default: the value without any YAML.
        rule: which values are legal.
        meaning: what it does, with its unit.
        searchable: whether a space file may give it a distribution.
        is_secret: comes only from .env or the environment, and is never written anywhere.
        can_change: whether it may change while a model is in training, as in population based training.
    """

    name: str
    default: Any
    rule: Rule
    meaning: str
    searchable: bool = True
    is_secret: bool = False
    can_change: bool = False


KEYS: dict[str, Key] = {}


def _key(name: str, default: Any, rule: Rule, meaning: str, **flags: bool) -> None:
    KEYS[name] = Key(name, default, rule, meaning, **flags)


_PROBABILITY = Float(0, 1)
AUTO = "auto"
_AUTO_MEANING = "what the weights that the model starts from were trained with, 0.5 without weights"

# --- The file ------------------------------------------------------------------------------------------------------
_key(
    KEY,
    FORMAT,
    Format(FORMAT),
    "format of the config that a training or a search has written; yours need none",
    searchable=False,
)

# --- The run -------------------------------------------------------------------------------------------------------
_key("OUTPUT_PATH", "", Path(), "folder of the run; -o on the command line wins over it", searchable=False)
_key(
    "RESUME_PATH",
    "",
    File(),
    "checkpoint whose training goes on in OUTPUT_PATH (same model, optimizer and epoch count)",
    searchable=False,
)
_key(
    "SEED",
    0,
    Int(0, 2**31 - 1),
    "seed of the initial weights, of the order of images, of augmentation and of dropout (the split has its own)",
)
_key(
    "DETERMINISTIC",
    False,
    Bool(),
    "only deterministic kernels: the same numbers twice on a GPU too, at some speed; on a CPU they are the same anyway",
)
_key(
    "NUM_THREADS",
    1,
    Int(1, 1024),
    "threads of one training on the CPU; 1, 2 and 3 give three different curves, so it is part of the config",
    searchable=False,
)
_key(
    "USER_MODULES",
    (),
    TupleOf(Module()),
    "Python modules that register parts of yours: paths of .py files, or importable names",
    searchable=False,
)
_key(
    "BEST_METRIC",
    "val_score",
    OneOf(OBJECTIVES),
    "the metric that decides which epoch is kept as best.pt; a search sets it to its own metric",
    searchable=False,
)
_key(
    "LINEAGE",
    (),
    Lineage(),
    "values that earlier epochs are trained with, where population based training changed them; best.yaml has them",
    searchable=False,
)
_key(
    "MODEL_BACKUPS",
    None,
    Maybe(Int(0), "all in a run of its own, the last two in a trial of a search"),
    "how many of the newest epochs keep a checkpoint in model_backups/",
    searchable=False,
)
_key(
    "TENSORBOARD",
    True,
    Bool(),
    "write metrics, hyperparameters and a grid of inputs for TensorBoard into tensorboard/",
    searchable=False,
)
_key(
    "TENSORBOARD_GRAPH",
    None,
    Maybe(Bool(), "in a run of its own, not in a trial of a search"),
    "write the model's graph for TensorBoard too, which takes a second or more",
    searchable=False,
)
_key(
    "GCP_KEY",
    "",
    Text(may_have_lines=True),
    "Google Cloud service-account key; comes only from .env or environment, where your data sets find it as GCP_KEY",
    searchable=False,
    is_secret=True,
)

# --- Data ----------------------------------------------------------------------------------------------------------
_key(
    "DATASET.NAME",
    "digits",
    Part("data set", ("digits", "image_folder", "image_table", "bengali")),
    "the data set, by its registered name",
)
_key(
    "DATASET.PATH_DATA_RAW",
    "data/raw",
    Path(),
    "folder of the images as they came",
    searchable=False,
)
_key(
    "DATASET.PATH_DATA_PROCESSED",
    "data/processed",
    Path(),
    "folder of what is made of them once, so that training need not",
    searchable=False,
)
_key(
    "DATASET.PATH_VALIDATION",
    "",
    Path(),
    "of image_folder: folder of the validation images, one folder a class as in PATH_DATA_RAW; empty: a share of those",
    searchable=False,
)
_key(
    "DATASET.CACHE",
    True,
    Bool(),
    "of image_folder: keep the prepared images in PATH_DATA_PROCESSED; false, or no room: decode them in every epoch",
    searchable=False,
)
_key(
    "DATASET.FOLDER_FILES",
    "visible",
    OneOf(("visible", "as_in_0.1")),
    "of image_folder: which files are read; as_in_0.1 reads hidden folders, and no linked folder inside a class",
    searchable=False,
)
_key(
    "DATASET.ON_UNREADABLE",
    "stop",
    OneOf(("stop", "skip")),
    "whether images that cannot be read end the making of the data set or are left out",
    searchable=False,
)
_key(
    "DATASET.MAX_PIXELS",
    200_000_000,
    Int(1),
    "larger images count as unreadable; decoding one takes three bytes a pixel",
    searchable=False,
)
_key(
    "DATASET.BACKGROUND",
    (255, 255, 255),
    Maybe(Color(), "transparency is dropped, and the colours that it hides are shown"),
    "what transparent images are shown on",
    searchable=False,  # it decides which images are the same, and so about the split
)
_key(
    "DATASET.TABLE.PATH",
    "",
    Path(),
    "of image_table: the .csv or .parquet file with a row an image",
    searchable=False,
)
_key(
    "DATASET.TABLE.IMAGE_COLUMN",
    "image",
    Text(),
    "of image_table: its column of image files (relative to PATH_DATA_RAW) or of encoded images as bytes",
    searchable=False,
)
_key(
    "DATASET.TABLE.LABEL_COLUMNS",
    ("label",),
    TupleOf(Text()),
    "of image_table: its columns of labels, one a task; classes are whole numbers or text",
    searchable=False,
)
_key(
    "DATASET.TABLE.GROUP_COLUMN",
    "",
    Text(),
    "of image_table: its column of groups, as of patients or series: none is on both sides of the split; empty: none",
    searchable=False,
)
_key(
    "DATASET.TABLE.SPLIT_COLUMN",
    "",
    Text(),
    "of image_table: its column that says train or validation for each image; empty: the split is made",
    searchable=False,
)
_key(
    "DATASET.TABLE.PATHS_OUTSIDE",
    False,
    Bool(),
    "of image_table: whether its paths may lead out of PATH_DATA_RAW, as ../x.png and /disk/x.png do",
    searchable=False,
)
_key(
    "DATASET.CROP_TO_CONTENT",
    False,
    Bool(),
    "cut off the margins of each image that show nothing but background",
)
_key("DATASET.PAD_TO_SQUARE", False, Bool(), "pad each image to a square with its background before it is resized")
_key(
    "DATASET.FOLDS",
    None,
    Maybe(Int(2), "VALIDATION_FRACTION decides"),
    "split into this many parts, of which VALIDATION_FOLD is kept for validation",
    searchable=False,
)
_key("DATASET.VALIDATION_FOLD", 0, Int(0), "which of FOLDS is kept for validation, counted from 0", searchable=False)
_key(
    "DATASET.FOCUS_CLASS",
    (),
    TupleOf(Name()),
    "train on images of these classes alone: class names, or task:class where there are several tasks; [] for all",
)
_key(
    "DATASET.VALIDATION_FRACTION",
    0.2,
    Float(0, 1, True, True),
    "share of the images of each class kept for validation, in all tasks at once",
    searchable=False,  # the easiest validation set would win
)
_key(
    "DATASET.SPLIT_SEED",
    0,
    Int(0, 2**31 - 1),
    "seed of the split into training and validation images",
    searchable=False,
)
_key(
    "DATASET.KEEP_DUPLICATES_TOGETHER",
    True,
    Bool(),
    "keep images with the same content on one side of the split",
    searchable=False,
)
_key("DATASET.RESIZE_SHAPE", (32, 32), TupleOf(Int(1, 4096), (2,)), "height and width of the model's input, in pixels")
_key("DATASET.BATCH_SIZE", 32, Int(1, 65536), "images in one training step")
_key("DATASET.NUM_WORKERS", 0, Int(0, 256), "processes that prepare images; 0: the training process does it itself")
_key("DATASET.TO_RGB", True, Bool(), "whether the model gets three channels (true) or one (false)")
_key(
    "DATASET.NORMALIZE_MEAN",
    AUTO,
    OrWord((AUTO,), TupleOf(Float(), lengths=(1, 3)), _AUTO_MEANING),
    "subtracted from pixels in 0..1: one value, or one a channel",
)
_key(
    "DATASET.NORMALIZE_STD",
    AUTO,
    OrWord((AUTO,), TupleOf(Float(0, above_low=True), lengths=(1, 3)), _AUTO_MEANING),
    "pixels are divided by it after the mean is subtracted: one value, or one a channel",
)
_AUGMENTATION = "DATASET.AUGMENTATION."
_key(
    _AUGMENTATION + "FILL",
    "border",
    OrWord(
        ("border", "reflect"),
        Color(),
        "border: the median of the image's outermost pixels; reflect: the image mirrored",
    ),
    "what comes in from outside where an image is rotated, bent, sheared or moved",
    can_change=True,
)
_key(
    _AUGMENTATION + "BLURRING_PROB",
    0.0,
    _PROBABILITY,
    "chance that an image is blurred (motion, median or box)",
    can_change=True,
)
_key(
    _AUGMENTATION + "BLUR_LIMIT",
    (3, 7),
    TupleOf(Int(3, 99), (2,), ascending=True),
    "smallest and largest blur kernel, in pixels; even numbers are rounded up to odd ones",
    can_change=True,
)
_key(_AUGMENTATION + "GAUSS_NOISE_PROB", 0.0, _PROBABILITY, "chance of Gaussian noise", can_change=True)
_key(
    _AUGMENTATION + "GAUSS_VAR_LIMIT",
    (10.0, 50.0),
    TupleOf(Float(0, 255**2), (2,), ascending=True),
    "smallest and largest variance of the noise, in squared grey levels of 0..255",
    can_change=True,
)
_key(
    _AUGMENTATION + "BRIGHTNESS_CONTRAST_PROB",
    0.0,
    _PROBABILITY,
    "chance that brightness and contrast change by up to 20 %",
    can_change=True,
)
_key(
    _AUGMENTATION + "GRID_DISTORTION_PROB",
    0.0,
    _PROBABILITY,
    "chance that the image is bent along a grid",
    can_change=True,
)
_key(_AUGMENTATION + "ROTATION_PROB", 0.0, _PROBABILITY, "chance that the image is rotated", can_change=True)
_key(
    _AUGMENTATION + "ROTATION_DEGREE",
    15.0,
    Float(0, 180),
    "largest rotation to either side, in degrees",
    can_change=True,
)
_key(
    _AUGMENTATION + "HORIZONTAL_FLIP_PROB", 0.0, _PROBABILITY, "chance that left and right are swapped", can_change=True
)
_key(
    _AUGMENTATION + "CUTOUT_PROB",
    0.0,
    _PROBABILITY,
    "chance that one rectangle, 10-30 % of each side, is blacked out",
    can_change=True,
)
_key(
    _AUGMENTATION + "GRID_MASK_PROB", 0.0, _PROBABILITY, "chance that a grid of squares is blacked out", can_change=True
)
_key(
    _AUGMENTATION + "MIXUP_ALPHA",
    0.0,
    Float(0, 100),
    "Beta parameter of mixup, which blends pairs of images and their labels; 0: off",
    can_change=True,
)
_key(
    _AUGMENTATION + "CUTMIX_ALPHA",
    0.0,
    Float(0, 100),
    "Beta parameter of cutmix, which pastes a rectangle of one image into another; 0: off",
    can_change=True,
)
_key(
    _AUGMENTATION + "CUTMIX_PROB",
    0.5,
    _PROBABILITY,
    "chance that a batch gets cutmix, where CUTMIX_ALPHA is above 0; the others get mixup, where that is on",
    can_change=True,
)

_key(
    _AUGMENTATION + "AUGMIX.PROB",
    0.0,
    _PROBABILITY,
    "chance that an image is replaced by a mix of chains of simple operations (AugMix)",
    can_change=True,
)
_key(_AUGMENTATION + "AUGMIX.WIDTH", 3, Int(1, 10), "chains that AugMix mixes", can_change=True)
_key(
    _AUGMENTATION + "AUGMIX.DEPTH", 3, Int(1, 10), "largest number of operations in a chain of AugMix", can_change=True
)
_key(_AUGMENTATION + "AUGMIX.SEVERITY", 3, Int(1, 10), "how strong the operations of AugMix are", can_change=True)
_key(
    _AUGMENTATION + "AUGMIX.ALPHA",
    1.0,
    Float(0, 100, True),
    "Dirichlet and Beta parameter of AugMix's weights",
    can_change=True,
)

# --- Model ---------------------------------------------------------------------------------------------------------
_key(
    "MODEL.META_ARCHITECTURE",
    "baseline",
    Part("meta architecture", ("baseline", "one_head_per_task")),
    "how backbone and heads are joined",
)
_key(
    "MODEL.WARM_START_PATH",
    "",
    File(),
    "checkpoint of another run whose weights the model starts from where they fit; other sizes and heads are fine",
    searchable=False,
)
_key(
    "MODEL.WARM_START_HEAD",
    "same_classes",
    OneOf(("same_classes", "if_it_fits")),
    "when the head's weights are taken from it: if its classes have the same names, or if the sizes fit",
    searchable=False,
)
_key(
    "MODEL.BACKBONE.NAME",
    "mobilenet_v2",
    Part("backbone", ("mobilenet_v2", "densenet121", "se_resnext50"), is_open=True),
    "the network that turns images into features",
)
_key("MODEL.BACKBONE.RGB", True, Bool(), "whether it takes three channels (true) or one (false), as DATASET.TO_RGB")
_key(
    "MODEL.BACKBONE.PRETRAINED",
    False,
    Bool(),
    "start from timm's weights for NAME (a tag chooses, as in resnet18.a1_in1k), which timm keeps below HF_HOME",
)
_key(
    "MODEL.BACKBONE.PRETRAINED_PATH",
    "",
    File(),
    "file with weights to start from: a state dict (.pt, .pth, .safetensors) or a checkpoint of ours; empty: random",
    searchable=False,
)
_key(
    "MODEL.BACKBONE.POOLING",
    "avg",
    OneOf(("avg", "gem")),
    "how the last feature maps become a vector: the model's own average, or the generalised mean with a learnt power",
)
_key(
    "MODEL.BACKBONE.FROZEN_STAGES",
    0,
    Int(0, 100),
    "how many stages keep the weights they start with, the stem first; 0: none",
)
_key(
    "MODEL.HEAD.NAME",
    "simple_head_module",
    Part("head", ("simple_head_module", "simple_head_kaiming")),
    "the layers that turn features into one output a task",
)
_key(
    "MODEL.HEAD.ACTIVATION",
    "relu",
    OneOf(("relu", "relu6", "elu", "leaky_relu", "gelu", "silu")),
    "activation after each hidden layer",
)
_key(
    "MODEL.HEAD.INPUT_DIM",
    None,
    Maybe(Int(1), "derived: the number of the backbone's features"),
    "size of the feature vector; give it only to have it checked",
    searchable=False,
)
_key(
    "MODEL.HEAD.OUTPUT_DIMS",
    None,
    Maybe(TupleOf(Int(1)), "derived: the number of classes of each task of the data set"),
    "outputs of each task; give it only to have it checked",
    searchable=False,
)
_key("MODEL.HEAD.HIDDEN_DIMS", (), TupleOf(Int(1)), "sizes of the hidden layers; [] for none")
_key("MODEL.HEAD.BATCH_NORM", True, Bool(), "batch norm after each hidden layer")
_key("MODEL.HEAD.DROPOUT", 0.0, Float(0, 1, below_high=True), "dropout after each hidden layer")

# --- Solver --------------------------------------------------------------------------------------------------------
_key("MODEL.SOLVER.TOTAL_EPOCHS", 9, Int(1), "epochs of a full training; schedules span them all")
_key(
    "MODEL.SOLVER.AMP",
    "none",
    OneOf(("none", "bf16", "fp16")),
    "automatic mixed precision: the type of the fast operations; none computes everything in float32",
)
_key(
    "MODEL.SOLVER.CLIP_GRAD_NORM",
    0.0,
    Float(0),
    "gradients are scaled down to this norm where theirs is larger; 0: never",
    can_change=True,
)
_key(
    "MODEL.SOLVER.ACCUMULATION_STEPS",
    1,
    Int(1, 10000),
    "batches whose gradients are averaged for one update of the weights",
)
_key(
    "MODEL.SOLVER.EMA_DECAY",
    0.0,
    Float(0, 1, below_high=True),
    "decay of a moving average of the weights, which is evaluated and predicted with instead of them; 0: none",
)
_key("MODEL.SOLVER.CHANNELS_LAST", False, Bool(), "memory format of images and weights: faster on GPUs with AMP")
_key(
    "MODEL.SOLVER.COMPILE",
    False,
    Bool(),
    "compile the model with torch.compile; takes a minute at first and needs a C++ compiler",
)
_key(
    "MODEL.SOLVER.MAX_SKIPPED_STEPS",
    20,
    Int(0),
    "steps in a row that may be skipped, because loss or gradient is not finite, before the training is given up",
)
_key(
    "MODEL.SOLVER.OPTIMIZER.NAME",
    "adamw",
    Part("optimizer", ("adam", "adamw", "sgd"), is_open=True),
    "the optimizer",
)
_key(
    "MODEL.SOLVER.OPTIMIZER.BACKBONE_LR_FACTOR",
    1.0,
    Float(0, above_low=True),
    "the backbone's learning rate is this times that of the rest",
)
_key(
    "MODEL.SOLVER.OPTIMIZER.BASE_LR",
    1e-3,
    Float(0, above_low=True),
    "learning rate that the schedule starts from",
    can_change=True,
)
_key(
    "MODEL.SOLVER.OPTIMIZER.WEIGHT_DECAY",
    0.0,
    Float(0),
    "weight decay (decoupled in adamw, an L2 penalty in the others)",
    can_change=True,
)
_key("MODEL.SOLVER.OPTIMIZER.SGD.MOMENTUM", 0.9, Float(0, 1, below_high=True), "momentum of sgd", can_change=True)
_key("MODEL.SOLVER.OPTIMIZER.SGD.NESTEROV", False, Bool(), "Nesterov's momentum in sgd; needs MOMENTUM above 0")
_key(
    "MODEL.SOLVER.OPTIMIZER.ADAM.BETAS",
    (0.9, 0.999),
    TupleOf(Float(0, 1, below_high=True), (2,)),
    "decay of the mean and of the squared mean of gradients, in adam and adamw",
)
_key(
    "MODEL.SOLVER.OPTIMIZER.ADAM.EPS",
    1e-8,
    Float(0, above_low=True),
    "added to the denominator in adam and adamw",
    can_change=True,
)
_key(
    "MODEL.SOLVER.SCHEDULER.NAME",
    "unchange",
    Part("schedule", ("unchange", "multi_steps", "reduce_on_plateau", "OneCycleLR", "cosine")),
    "the learning rate's course",
)
_key(
    "MODEL.SOLVER.SCHEDULER.MAX_LR",
    None,
    Maybe(Float(0, above_low=True), "OPTIMIZER.BASE_LR is the peak"),
    "peak learning rate of OneCycleLR",
)
_key("MODEL.SOLVER.SCHEDULER.MIN_LR", 0.0, Float(0), "lowest learning rate of cosine and reduce_on_plateau")
_key(
    "MODEL.SOLVER.SCHEDULER.WARMUP_EPOCHS",
    0.0,
    Float(0),
    "epochs in which cosine first rises from almost 0 to OPTIMIZER.BASE_LR",
)
_key(
    "MODEL.SOLVER.SCHEDULER.ONE_CYCLE.PCT_START",
    0.3,
    Float(0, 1),
    "share of the updates in which OneCycleLR rises",
)
_key("MODEL.SOLVER.SCHEDULER.ONE_CYCLE.DIV_FACTOR", 25.0, Float(1), "OneCycleLR starts at peak / DIV_FACTOR")
_key(
    "MODEL.SOLVER.SCHEDULER.ONE_CYCLE.FINAL_DIV_FACTOR",
    1e4,
    Float(1),
    "OneCycleLR ends at its start / FINAL_DIV_FACTOR",
)
_key(
    "MODEL.SOLVER.SCHEDULER.MULTI_STEPS.MILESTONES",
    (6, 8),
    TupleOf(Int(1), ascending=True),
    "epochs after which multi_steps lowers the rate",
)
_key("MODEL.SOLVER.SCHEDULER.MULTI_STEPS.GAMMA", 0.1, Float(0, 1, above_low=True), "factor of each step of multi_steps")
_key(
    "MODEL.SOLVER.SCHEDULER.PLATEAU.FACTOR",
    0.5,
    Float(0, 1, True, True),
    "factor by which reduce_on_plateau lowers the rate",
)
_key(
    "MODEL.SOLVER.SCHEDULER.PLATEAU.PATIENCE",
    2,
    Int(0),
    "epochs without a lower val_loss that reduce_on_plateau waits for",
)
_key(
    "MODEL.SOLVER.LOSS.NAME",
    "softmax_cross_entropy",
    Part("loss", ("softmax_cross_entropy", "label_smoothing_cross_entropy", "weighted_focal_loss")),
    "the loss, summed over the tasks",
)
_key(
    "MODEL.SOLVER.LOSS.EPS",
    0.1,
    Float(0, 1, below_high=True),
    "share of the label spread by label_smoothing_cross_entropy",
    can_change=True,
)
_key(
    "MODEL.SOLVER.LOSS.OHEM_RATE",
    1.0,
    Float(0, 1, above_low=True),
    "online hard example mining: share of a batch, the images of highest loss, that is trained on; 1: all",
    can_change=True,
)
_key(
    "MODEL.SOLVER.LOSS.FOCAL_LOSS.GAMMA",
    2.0,
    Float(0, 100),
    "how much weighted_focal_loss turns to hard images; 0: not",
    can_change=True,
)

_key(
    "MODEL.SOLVER.LOSS.TASK_WEIGHTS",
    (),
    TupleOf(Float(0)),
    "weight of each task in the loss; [] for 1 each",
)
_key(
    "MODEL.SOLVER.LOSS.CLASS_WEIGHTS",
    (),
    TupleOf(TupleOf(Float(0))),
    "for each task a list with the weight of each class in the loss, or [] for 1 each; [] for no weights at all",
)
_key(
    "MODEL.SOLVER.LOSS.CLASS_BALANCED_BETA",
    0.0,
    Float(0, 1, below_high=True),
    "class weights by the effective number of training images (1 - beta^n) / (1 - beta); 0: none",
)
_key(
    "MODEL.SOLVER.LOSS.JSD_WEIGHT",
    0.0,
    Float(0),
    "weight of the Jensen-Shannon divergence between predictions for an image and two AugMix versions of it; 0: off",
)

# --- Evaluation ----------------------------------------------------------------------------------------------------
_key(
    "EVALUATION.TASK_WEIGHTS",
    (),
    TupleOf(Float(0)),
    "weight of each task's macro recall in the score; [] for the data set's own, which are equal or the competition's",
    searchable=False,
)

# Keys that are filled in from other choices when a model is built, unless given by hand; dumped as comments.
DERIVED = (
    *("MODEL.HEAD.INPUT_DIM", "MODEL.HEAD.OUTPUT_DIMS"),
    *("DATASET.NORMALIZE_MEAN", "DATASET.NORMALIZE_STD"),
)

# Every inner node of the tree, as in MODEL or MODEL.HEAD.
NODES = tuple(dict.fromkeys(name.rsplit(".", depth)[0] for name in KEYS for depth in range(name.count("."), 0, -1)))

TOP_LEVEL = tuple(dict.fromkeys(name.split(".")[0] for name in KEYS))


def get_cfg_defaults() -> CfgNode:
    """Returns a new config with the default value of every key; default paths start at the working folder."""
    cfg = CfgNode()
    for key in KEYS.values():
        *parents, leaf = key.name.split(".")
        node = cfg
        for parent in parents:
            node = node.setdefault(parent, CfgNode())
        node[leaf] = key.rule.read(key.default) if isinstance(key.rule, Path) else key.default
    return cfg
