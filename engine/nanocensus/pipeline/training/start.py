"""The network that a training goes on from."""

from nanocensus.errors import JobError
from nanocensus.segment.prediction.model import Model
from nanocensus.segment.prediction.weights import load_model, read_card
from nanocensus.segment.training.data import TrainingImage
from nanocensus.segment.training.spec import TrainingSpec


def load_start(spec: TrainingSpec, images: list[TrainingImage]) -> Model | None:
    """Load the network to go on from; None where weights are drawn at random.

    Parameters
    ----------
    spec : TrainingSpec
    images : list of TrainingImage
        Everything that there is to train on.

    Returns
    -------
    Model or None

    Raises
    ------
    JobError
        If it is of another architecture, or there are folds to be judged on micrographs from which it has learned:
        their figures would be better than what the network does on fields that it has not seen.
    """
    if not spec.start:
        return None
    model = load_model(spec.start)
    if model.config != spec.architecture:
        raise JobError(
            "key 'start'",
            expected=f"a network of {spec.architecture}",
            got=f"one of {model.config}",
            remedy="Give network, base and levels of the network to go on from.",
        )
    seen = _seen_by(spec.start, model, images) if spec.folds else []
    if seen:
        raise JobError(
            "key 'start'",
            expected="a network that has learned from none of the micrographs that folds are to be judged on",
            got=f"one that has learned from {len(seen)} of them, such as {seen[0]}",
            remedy='Go on from one that has not, such as "simulated", or say folds = 0: no figures on unseen fields then.',
        )
    return model


def _seen_by(name_or_path: str, model: Model, images: list[TrainingImage]) -> list[str]:
    """Give the names of micrographs that a network has learned from, as far as its card says."""
    known = learned_from(name_or_path, model)
    return [image.name for image in images if image.name in known["micrographs"] and image.group in known["fields"]]


def learned_from(name_or_path: str, model: Model) -> dict[str, list[str]]:
    """Give the micrographs and fields that a network and all that it went on from have learned from, as its card says.

    Parameters
    ----------
    name_or_path : str
        Where the model was loaded from.
    model : Model

    Returns
    -------
    dict
        `micrographs` and `fields`: names, in order; none where there is no card of this network.
    """
    card = read_card(name_or_path)
    known = card.get("trained_on", {}) if card.get("digest") == model.digest else {}
    before = known.get("before", {})
    return {key: sorted({*known.get(key, ()), *before.get(key, ())}) for key in ("micrographs", "fields")}
