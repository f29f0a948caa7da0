"""One picture: decoded whatever its mode, turned upright, resized to the proxy's square; and where a box lands.

- Detection: letterbox. The picture keeps its aspect, up to the rounding of its sides to whole pixels, and lies in
  the middle of a grey square. Classification: the largest square in its middle (what lies outside is not seen).
- Transparent pixels show the same grey. 16-bit grey becomes 8-bit by its upper byte. Of an animation the first
  picture is taken. 32-bit pixels have no known range and are refused.
- JPEG files are decoded at a half, a quarter or an eighth where that is still twice what is needed, so that 100
  megapixels cost little; other large pictures are decoded one at a time.
"""

from __future__ import annotations

import io
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image, UnidentifiedImageError

from evaluator.data.dataset import Kind, Objects

GREY = (114, 114, 114)
"""Around a letterboxed picture and behind a transparent one, as in YOLO's."""
MOST_PIXELS = 200_000_000
LARGE_PIXELS = 16_000_000
"""Of pictures with more pixels to decode only one is in memory at a time."""
ORIENTATION = 0x0112
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180, 4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE, 6: Image.Transpose.ROTATE_270, 7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}  # fmt: skip
"""What makes a picture with an EXIF orientation upright (EXIF 2.3, section 4.6.4)."""

_large = threading.Lock()


class PictureError(ValueError):
    """A picture that cannot be read; the message is the reason."""


@dataclass(frozen=True, kw_only=True)
class Header:
    """What a file says of its picture before it is decoded."""

    width: int
    """As stored, before any turn."""
    height: int
    orientation: int = 1

    @property
    def upright(self) -> tuple[int, int]:
        """Width and height as it is looked at."""
        return (self.height, self.width) if self.orientation >= 5 else (self.width, self.height)


@dataclass(frozen=True, kw_only=True)
class Placement:
    """How an upright picture lies in the proxy's square: x of it goes to x * scale_x + left."""

    scale_x: float
    scale_y: float
    left: int
    top: int

    @staticmethod
    def letterbox(width: int, height: int, size: int) -> Placement:
        new_width, new_height = _fitted(width, height, size)
        return Placement(scale_x=new_width / width, scale_y=new_height / height,
                         left=(size - new_width) // 2, top=(size - new_height) // 2)  # fmt: skip

    def boxes(self, objects: Objects) -> Objects:
        """The objects in the square."""
        scale = np.array([1, self.scale_x, self.scale_y, self.scale_x, self.scale_y, 1])
        moved: Objects = objects * scale + np.array([0, self.left, self.top, 0, 0, 0])
        return moved


def _fitted(width: int, height: int, size: int) -> tuple[int, int]:
    longer = max(width, height)
    return max(1, round(width * size / longer)), max(1, round(height * size / longer))


@contextmanager
def large_pictures() -> Iterator[None]:
    """Pillow's own limit, a process-wide setting that only warns at 100 megapixels, gives way to ours."""
    before, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
    try:
        yield
    finally:
        Image.MAX_IMAGE_PIXELS = before


def header(data: bytes | npt.NDArray[np.uint8]) -> Header:
    """Size and orientation of a picture. Raises PictureError."""
    if not isinstance(data, bytes):
        return Header(width=data.shape[1], height=data.shape[0])
    with _opened(data) as image:
        return _header(image)


def render(data: bytes | npt.NDArray[np.uint8], size: int, kind: Kind) -> tuple[Header, npt.NDArray[np.uint8]]:
    """A picture's header and its (size, size, 3) proxy. Raises PictureError."""
    if not isinstance(data, bytes):
        image = Image.fromarray(data)
        return Header(width=image.width, height=image.height), _square(image, image.size, 1, size, kind)
    with _opened(data, verify=True) as image:
        found = _header(image)
        if image.format == "JPEG":
            image.draft("RGB", _wanted(image.size, size, kind))
        large = image.width * image.height > LARGE_PIXELS
        if large:
            _large.acquire()
        try:
            return found, _square(image, (found.width, found.height), found.orientation, size, kind)
        except PictureError:
            raise
        except MemoryError as error:
            raise PictureError("too large for the memory") from error
        except Exception as error:  # whatever a decoder makes of a broken file, it costs this picture only
            raise PictureError(_reason(error)) from error
        finally:
            if large:
                _large.release()


@contextmanager
def _opened(data: bytes, *, verify: bool = False) -> Iterator[Image.Image]:
    if not data:
        raise PictureError("empty file")
    try:
        image = Image.open(io.BytesIO(data))
        if verify and image.format == "PNG" and image.width * image.height <= MOST_PIXELS:
            # Its decoder passes over wrong checksums of pixels.
            image.verify()
            image = Image.open(io.BytesIO(data))
    except UnidentifiedImageError as error:
        raise PictureError("not a picture that can be read") from error
    except Exception as error:  # as above
        raise PictureError(_reason(error)) from error
    with image:
        yield image


def _reason(error: Exception) -> str:
    """Truncation in one spelling; any other fault in the decoder's words."""
    text = " ".join(str(error).split()) or type(error).__name__
    if "truncat" in text.lower() or isinstance(error, EOFError):
        return "truncated file"
    return f"damaged file ({text[:80]})"


def _header(image: Image.Image) -> Header:
    if image.width * image.height > MOST_PIXELS:
        raise PictureError(f"more than {MOST_PIXELS // 10**6} megapixels")
    try:
        orientation = image.getexif().get(ORIENTATION, 1)
    except Exception:  # metadata that cannot be read turn nothing
        orientation = 1
    return Header(width=image.width, height=image.height, orientation=orientation if orientation in TURNS else 1)


def _wanted(stored: tuple[int, int], size: int, kind: Kind) -> tuple[int, int]:
    """What a JPEG decoder has to give at least: twice the size that the picture is resized to."""
    width, height = stored
    side = max(stored) if kind == "detector" else min(stored)
    return max(1, 2 * width * size // side), max(1, 2 * height * size // side)


def _square(image: Image.Image, stored: tuple[int, int], orientation: int, size: int, kind: Kind,
            ) -> npt.NDArray[np.uint8]:  # fmt: skip
    """The proxy of a picture whose full size is `stored`; the decoder may have given a smaller one."""
    full = _colour(image)
    # A decoder that reduces rounds sides up: the picture ends within its last pixel.
    reduction = max(1, round(stored[0] / full.width)) if full.width < stored[0] else 1
    width, height = stored[0] / reduction, stored[1] / reduction
    if kind == "detector":
        region, new = (0.0, 0.0, width, height), _fitted(*stored, size)
    else:
        side = min(width, height)
        left, top = (width - side) / 2, (height - side) / 2
        region, new = (left, top, left + side, top + side), (size, size)
    small = full.resize(new, Image.Resampling.BILINEAR, box=region, reducing_gap=3.0)
    if orientation in TURNS:
        small = small.transpose(TURNS[orientation])
    square = np.empty((size, size, 3), np.uint8)
    square[:] = GREY
    left, top = (size - small.width) // 2, (size - small.height) // 2
    square[top : top + small.height, left : left + small.width] = np.asarray(small)
    return square


def _colour(image: Image.Image) -> Image.Image:
    """The first picture of a file as 8-bit RGB, decoded."""
    image.load()
    mode = image.mode
    if mode == "RGB" and "transparency" not in image.info:
        return image
    if mode.startswith("I;16") or mode == "I":
        values = np.asarray(image)
        if values.min() < 0 or values.max() > 65535:
            raise PictureError("32-bit pixels have no known range")
        return Image.fromarray((values >> 8).astype(np.uint8)).convert("RGB")
    if mode == "F":
        raise PictureError("32-bit pixels have no known range")
    if mode in ("RGBa", "La"):
        image = image.convert(mode[:-1] + "A")
    if "A" in image.mode or "transparency" in image.info:
        clear = image.convert("RGBA")
        ground = Image.new("RGBA", clear.size, (*GREY, 255))
        return Image.alpha_composite(ground, clear).convert("RGB")
    return image.convert("RGB")


def upright_boxes(objects: Objects, stored: tuple[int, int], orientation: int) -> Objects:
    """Objects of a picture as stored, (width, height), in the picture turned upright."""
    width, height = stored
    label, x, y, w, h, crowd = objects.T
    right, bottom = width - x - w, height - y - h
    moved = {
        1: (x, y, w, h), 2: (right, y, w, h), 3: (right, bottom, w, h), 4: (x, bottom, w, h),
        5: (y, x, h, w), 6: (bottom, x, h, w), 7: (bottom, right, h, w), 8: (y, right, h, w),
    }[orientation]  # fmt: skip
    return np.stack([label, *moved, crowd], axis=1)
