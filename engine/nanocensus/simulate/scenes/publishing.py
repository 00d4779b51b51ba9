"""What happens to a micrograph on its way into print: tone, sharpening, letters and bars, compression."""

import functools
import io

import numpy as np
from jaxtyping import Float32, UInt8
from PIL import Image, ImageDraw, ImageFont
from scipy import ndimage

from nanocensus.simulate.scenes.imaging import Imaging

_SIGNS = np.array(list("0123456789nmabcdefgABCDEFG() .x"))


def publish(
    intensity: Float32[np.ndarray, "y x"],
    coverage: Float32[np.ndarray, "y x"],
    imaging: Imaging,
    rng: np.random.Generator,
) -> tuple[UInt8[np.ndarray, "y x"], Float32[np.ndarray, "y x"]]:
    """Turn an exposure into an 8-bit image, and take from the coverage what opaque bars and frames hide.

    Parameters
    ----------
    intensity, coverage : float32 arrays (y, x)
    imaging : Imaging
    rng : numpy.random.Generator

    Returns
    -------
    image : uint8 (y, x)
    coverage : float32 (y, x)
    """
    if imaging.sharpening:
        soft = ndimage.gaussian_filter(intensity, rng.uniform(1.0, 3.0), truncate=3.0)
        intensity = intensity + np.float32(imaging.sharpening) * (intensity - soft)
    low, high = np.quantile(intensity[::2, ::2], [imaging.clipped + 0.0005, 1 - imaging.clipped - 0.0005])
    tone = np.clip((intensity - low) / max(float(high - low), 1e-3), 0, 1) ** imaging.gamma
    black, white = rng.uniform(0, 60), rng.uniform(180, 255)
    image = np.rint(black + tone * (white - black)).astype(np.uint8)
    if imaging.lettering:
        image, coverage = _letter(image, coverage, rng)
    if imaging.jpeg:
        image = _compress(image, imaging.jpeg)
    if imaging.resampling != 1.0:
        image = _resample(image, imaging.resampling)
    return image, coverage


def _compress(image: UInt8[np.ndarray, "y x"], quality: int) -> UInt8[np.ndarray, "y x"]:
    stream = io.BytesIO()
    Image.fromarray(image).save(stream, "JPEG", quality=quality)
    return np.array(Image.open(stream))


def _resample(image: UInt8[np.ndarray, "y x"], scale: float) -> UInt8[np.ndarray, "y x"]:
    height, width = image.shape
    small = Image.fromarray(image).resize((round(width * scale), round(height * scale)), Image.Resampling.BILINEAR)
    return np.array(small.resize((width, height), Image.Resampling.BICUBIC))


def _letter(
    image: UInt8[np.ndarray, "y x"], coverage: Float32[np.ndarray, "y x"], rng: np.random.Generator
) -> tuple[UInt8[np.ndarray, "y x"], Float32[np.ndarray, "y x"]]:
    """Draw one to three of: scale bar, letters, line, frame, inset."""
    drawn, hidden = Image.fromarray(image), Image.fromarray(np.zeros_like(image))
    page = _Page(ImageDraw.Draw(drawn), ImageDraw.Draw(hidden), image.shape[1], image.shape[0])
    for _ in range(int(rng.integers(1, 4))):
        marks = (_scale_bar, _scale_bar, _words, _line, _frame, _inset)
        marks[rng.integers(len(marks))](page, rng)
    return np.array(drawn), np.where(np.array(hidden) > 0, np.float32(0), coverage)


class _Page:
    """An image to draw on, and a mask of what opaque drawings hide."""

    def __init__(self, ink: ImageDraw.ImageDraw, hidden: ImageDraw.ImageDraw, width: int, height: int) -> None:
        self.ink, self.hidden, self.width, self.height = ink, hidden, width, height

    def box(self, corners: tuple[float | int, float | int, float | int, float | int], fill: int, opaque: bool) -> None:
        self.ink.rectangle(corners, fill=fill)
        if opaque:
            self.hidden.rectangle(corners, fill=255)


def _black_or_white(rng: np.random.Generator) -> int:
    return int(rng.choice([0, 255, 255]))


def _text(rng: np.random.Generator) -> str:
    if rng.random() < 0.5:
        return f"{int(rng.integers(1, 500))} nm"
    return "".join(rng.choice(_SIGNS, int(rng.integers(1, 8))))


@functools.cache
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)


def _some_font(rng: np.random.Generator) -> tuple[ImageFont.FreeTypeFont | ImageFont.ImageFont, int]:
    size = 4 * int(rng.integers(3, 12))
    return _font(size), size


def _scale_bar(page: _Page, rng: np.random.Generator) -> None:
    (font, size), colour = _some_font(rng), _black_or_white(rng)
    left, top = rng.uniform(0, 0.6) * page.width, rng.uniform(0.1, 0.9) * page.height
    length, thick = rng.uniform(0.1, 0.4) * page.width, rng.uniform(2, 14)
    boxed = rng.random() < 0.35
    if boxed:
        page.box((left - 6, top - 1.3 * size - 6, left + length + 6, top + thick + 6), 255 - colour, opaque=True)
    page.box((left, top, left + length, top + thick), colour, opaque=thick > 4)
    if rng.random() < 0.8:
        page.ink.text((left + 0.2 * length, top - 1.25 * size), _text(rng), fill=colour, font=font)


def _words(page: _Page, rng: np.random.Generator) -> None:
    (font, _), colour, words = _some_font(rng), _black_or_white(rng), _text(rng)
    place = rng.uniform(0, 0.85) * page.width, rng.uniform(0, 0.85) * page.height
    if rng.random() < 0.4:
        left, top, right, bottom = page.ink.textbbox(place, words, font=font)
        page.box((left - 4, top - 4, right + 4, bottom + 4), 255 - colour, opaque=True)
    page.ink.text(place, words, fill=colour, font=font)


def _line(page: _Page, rng: np.random.Generator) -> None:
    ends = [(rng.uniform(0, page.width), rng.uniform(0, page.height)) for _ in range(2)]
    page.ink.line(ends, fill=_black_or_white(rng), width=int(rng.integers(1, 5)))


def _frame(page: _Page, rng: np.random.Generator) -> None:
    thick, width, height = int(rng.uniform(6, 40)), page.width, page.height
    sides = (
        (0, height - thick, width, height),
        (0, 0, width, thick // 2),
        (0, 0, thick // 3, height),
        (width - thick // 3, 0, width, height),
    )
    page.box(sides[rng.integers(len(sides))], _black_or_white(rng), opaque=True)


def _inset(page: _Page, rng: np.random.Generator) -> None:
    """Put a small diagram in a corner."""
    side = rng.uniform(0.15, 0.4) * min(page.width, page.height)
    left, top = rng.choice([0, page.width - side]), rng.choice([0, page.height - side])
    background = _black_or_white(rng)
    page.box((left, top, left + side, top + side), background, opaque=True)
    for bar in range(7):
        height = rng.uniform(0, 0.7) * side
        x = left + side * (0.15 + 0.1 * bar)
        page.ink.rectangle((x, top + 0.9 * side - height, x + 0.08 * side, top + 0.9 * side), fill=255 - background)
