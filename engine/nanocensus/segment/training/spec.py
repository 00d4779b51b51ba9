"""What to train, and on what: the job file of `nanocensus train`, checked at the door."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from nanocensus.errors import JobError, ModelError
from nanocensus.segment.networks.architecture import Architecture, ResNetUNetConfig, UNetConfig, architecture_of


@dataclass(frozen=True)
class TrainingSpec:
    """Everything that decides the weights, but for the pixels themselves."""

    models: Path
    """Folder to write the networks and their model cards into."""
    images: Path | None = None
    """Folder of micrographs; with it come `masks` and `groups`. Without it or `store` all patches are simulated."""
    masks: Path | None = None
    """Folder of masks with the micrographs' names; particle where a mask is not zero."""
    groups: Path | None = None
    """CSV file with the columns image and field: micrographs of one field overlap or are alike, and are never split
    between training and held-out data."""
    store: Path | None = None
    """Results of a run, instead of these three: its micrographs that came with masks, and their groups."""
    attribution: str = ""
    """Where the micrographs come from and under which licence; the model card repeats it."""
    name: str = "default"
    """Name of the network trained on everything; those of the folds are name-fold0, name-fold1, ..."""
    folds: int = 3
    """Networks that are each trained without a part of the fields, to be judged on it; 0 for none."""
    start: str = ""
    """Model to go on from, a shipped name or a path from where the program runs; empty: random weights."""
    simulated: float = 0.0
    """Share of the patches that are parts of simulated scenes, to whole patches of a batch."""
    showings: int = 2
    """How often each scene is shown: more where the network learns faster than scenes are drawn, as on a GPU."""
    left_out: tuple[str, ...] = ()
    """Kinds of imaging and families of particles that the scenes leave out, to judge the network on them. Hollow, core-shell
    and mixed particles are of the solid families that are not left out."""
    steps: int = 1200
    """Training steps of each network."""
    batch: int = 8
    """Patches a step."""
    patch: int = 256
    """Side of a patch, pixels."""
    learning_rate: float = 3e-3
    """Largest rate of AdamW."""
    schedule: Literal["cosine", "halved"] = "cosine"
    """The rate rises for a twentieth of the steps and falls to zero along a cosine, or is halved every fifth of them."""
    weight_decay: float = 1e-3
    """Weight decay of AdamW; without any it is Adam."""
    loss: Literal["outlines", "usual"] = "outlines"
    """Cross-entropy with a soft Dice loss that is least at the area fraction and the error of slopes, or with the usual
    soft Dice loss alone."""
    augmentation: Literal["full", "flips"] = "full"
    """What patches of micrographs are varied by: size, turn, tone, contrast and noise, or being mirrored alone."""
    keep: Literal["average", "best"] = "average"
    """The running average of the weights, or those that did best on the fields left out; of the network trained on
    everything then the last."""
    ema_decay: float = 0.99
    """Decay of that average."""
    seed: int = 0
    """Seed of the first weights and of every patch."""
    network: Literal["fast", "paper"] = "fast"
    """The residual U-Net at half resolution, or the paper's U-Net with a ResNet-18 encoder."""
    base: int | None = None
    """Channels of the first level: 8 for the fast network, 64 for the paper's, unless said."""
    levels: int = 4
    """Number of times that the fast network halves the resolution below half resolution."""

    @property
    def architecture(self) -> Architecture:
        """What is to be trained."""
        if self.network == "paper":
            return ResNetUNetConfig() if self.base is None else ResNetUNetConfig(base=self.base)
        return UNetConfig(levels=self.levels) if self.base is None else UNetConfig(self.base, self.levels)

    def to_dict(self) -> dict[str, Any]:
        """Give the fields as JSON values, folders by their last name only."""
        return {key: _plain(value) for key, value in asdict(self).items()}

    def __post_init__(self) -> None:
        """Refuse what cannot be trained."""
        rules = (
            ("name", bool(self.name) and "/" not in self.name, "a file name"),
            ("simulated", 0 <= self.simulated <= 1, "0 to 1"),
            ("images", self._has_images or self.simulated == 1, "a folder, unless simulated = 1 or there is a store"),
            ("store", self.store is None or self.images is None, "nothing where there are images"),
            ("masks", (self.masks is None) == (self.images is None), "a folder if there are images, else nothing"),
            ("groups", (self.groups is None) == (self.images is None), "a file if there are images, else nothing"),
            ("folds", self.folds == 0 or self._has_images, "0 without images"),
            ("folds", self.folds == 0 or self.folds >= 2, "0, or at least 2"),
            ("keep", self.keep == "average" or self.folds > 0, "'average' without folds"),
            ("steps", self.steps >= 1, "at least 1"),
            ("batch", self.batch >= 1, "at least 1"),
            ("simulated", self._has_its_share(), "0, 1, or a share that gives a batch some patches of either kind"),
            ("showings", self.showings >= 1, "at least 1"),
            ("levels", 1 <= self.levels <= 8, "1 to 8"),
            ("base", self._is_known(), "1 to 256, for the paper's network 4 to 256 by fours"),
            ("patch", self._has_whole_cells(), "a multiple of the network's stride, 32 for both as they are shipped"),
            ("learning_rate", 0 < self.learning_rate < 1, "between 0 and 1"),
            ("weight_decay", 0 <= self.weight_decay < 1, "at least 0 and below 1"),
            ("ema_decay", 0 <= self.ema_decay < 1, "at least 0 and below 1"),
            ("seed", self.seed >= 0, "at least 0"),
        )
        for key, right, expected in rules:
            if not right:
                raise JobError(
                    f"key {key!r}", expected=expected, got=repr(getattr(self, key)), remedy="See jobs/train-demo.toml."
                )

    @property
    def _has_images(self) -> bool:
        return self.images is not None or self.store is not None

    def _has_its_share(self) -> bool:
        return self.simulated in (0, 1) or (
            0 < self.simulated < 1 and 0 < round(self.batch * self.simulated) < self.batch
        )

    def _is_known(self) -> bool:
        try:
            architecture_of(self.architecture.to_dict())
        except ModelError:
            return False
        return True

    def _has_whole_cells(self) -> bool:
        stride = self.architecture.stride
        return self.patch >= stride and self.patch % stride == 0


def _plain(value: Any) -> Any:  # noqa: ANN401  any field, any JSON value
    if isinstance(value, Path):
        return value.name
    return list(value) if isinstance(value, tuple) else value
