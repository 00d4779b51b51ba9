"""A network that segments: from a micrograph to the probability of a particle, on whatever runs it."""

import functools
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Shaped, UInt8

from nanocensus.segment.networks.architecture import Engine, Precision
from nanocensus.segment.networks.network import Network
from nanocensus.segment.prediction.domain import Domain
from nanocensus.segment.prediction.options import check_options
from nanocensus.segment.prediction.resample import Resample, predict_resampled
from nanocensus.segment.preparation.flatfield import Contrast, as_transported
from nanocensus.segment.preparation.preparation import Preparation


@dataclass(frozen=True)
class Model(Network):
    """A network that segments, and what it is at home with."""

    domain: Domain | None = field(default=None, repr=False, compare=False)
    """What it was trained on, where the card beside its file says so."""

    def probability(
        self,
        image: Shaped[np.ndarray, "..."],
        pixel_size_nm: float | None = None,
        *,
        tile: int | None = None,
        flat_field: bool = True,
        contrast: Contrast = "dark",
        precision: Precision = "float32",
        engine: Engine = "jax",
        resample: Resample | None = None,
    ) -> UInt8[np.ndarray, "y x"]:
        """Give the probability that each pixel is particle.

        Parameters
        ----------
        image : (y, x) ndarray
            A whole micrograph of integers or real numbers.
        pixel_size_nm : float, optional
            Side of a pixel; used for `resample` only.
        tile : int, optional
            Largest side of the windows that the micrograph is cut into, pixels. It bounds the memory; the probability
            is the same to rounding. Without it a GPU takes the micrograph in one piece, and a CPU takes windows as
            large as half of the machine's memory, or its container's, allows.
        flat_field : bool
            Whether hot pixels are replaced and the micrograph is divided by its background first.
        contrast : {"dark", "bright"}
            What particles are against their surroundings.
        precision : {"float32", "bfloat16"}
            Of the features between convolutions. bfloat16 takes half the memory, and less time on a GPU and with
            OpenVINO on a CPU that knows it; with JAX on a CPU it takes longer. It moves probabilities by up to a few
            hundredths.
        engine : {"jax", "openvino"}
            Who runs the network. OpenVINO, an extra, gives the same map to rounding in less time, on a CPU only.
        resample : {"pixel size", "particles"}, optional
            Whether it is resampled to what the network was trained on, and the map back: "pixel size" brings
            `pixel_size_nm` into the range that the model card states; "particles" magnifies the micrograph where its
            particles, found without resampling, are smaller than those of the card (diameter, 5th percentile).

        Returns
        -------
        (y, x) ndarray of uint8
            255 = surely particle; particle where >= 128.

        Raises
        ------
        InputError
            If `contrast`, `precision`, `engine` or `resample` is none of the words above.
        ImageError
            If the image is not a micrograph, the tile is too small for the network, the memory for the micrograph, or
            the micrograph would have to be resampled by more than a factor of 4.
        ModelError
            If resampling is asked for, and the model card does not say what the network was trained on.
        MissingExtraError
            If OpenVINO is asked for and not installed.
        """
        check_options(contrast=contrast, precision=precision, engine=engine, resample=resample)
        preparation = Preparation(flat_field, contrast)
        predict = functools.partial(
            self._probability, tile=tile, preparation=preparation, precision=precision, engine=engine
        )
        if resample is None:
            return predict(image)
        return predict_resampled(predict, image, self.domain, by=resample, pixel_size_nm=pixel_size_nm)

    def _probability(
        self,
        image: Shaped[np.ndarray, "..."],
        *,
        tile: int | None,
        preparation: Preparation,
        precision: Precision,
        engine: Engine,
    ) -> UInt8[np.ndarray, "y x"]:
        import jax

        if jax.default_backend() == "gpu" and tile is None and engine == "jax":
            from nanocensus.segment.prediction.gpu import probability_map

            sent = jax.device_put(as_transported(image, keep_level=preparation.flat_field))
            return np.asarray(probability_map(self, sent, preparation, precision))
        from nanocensus.segment.prediction.predict import predict

        return predict(self, image, preparation, tile=tile, precision=precision, engine=engine)
