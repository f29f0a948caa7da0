"""Laws of one picture: where its pixels go, its boxes go; whatever its mode, turn and size."""

from __future__ import annotations

import io
import tracemalloc
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageOps

from evaluator.data import picture
from evaluator.data.boxes import packed, targets, within
from evaluator.data.dataset import Item, Log
from evaluator.data.picture import GREY, ORIENTATION, PictureError, Placement, render, upright_boxes

ORIENTATIONS = range(1, 9)


def encoded(image: Image.Image, format: str = "PNG", **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, format, **options)
    return file.getvalue()


def turned(image: Image.Image, orientation: int, format: str = "PNG", **options: Any) -> bytes:
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    return encoded(image, format, exif=exif, **options)


def extent(square: np.ndarray[Any, Any]) -> list[float]:
    """Left, top, width, height of what is bright, its soft edges counted in part."""
    bright = np.clip(square[..., 0].astype(float) / 255, 0, 1)
    across, down = bright.max(0), bright.max(1)
    return [float(np.flatnonzero(across > 0.5)[0]), float(np.flatnonzero(down > 0.5)[0]), across.sum(), down.sum()]


boxes_in = st.tuples(st.integers(40, 300), st.integers(40, 300)).flatmap(
    lambda sides: st.tuples(
        st.just(sides[0]), st.just(sides[1]),
        st.integers(0, sides[0] - 30), st.integers(0, sides[1] - 30),
        st.integers(20, 30), st.integers(20, 30),
    )
)  # fmt: skip


@pytest.mark.parametrize("orientation", ORIENTATIONS)
@pytest.mark.parametrize("drawn_on", ["stored", "upright"])
@given(case=boxes_in)
def test_a_box_lands_on_the_pixels_that_it_was_drawn_around(orientation: int, drawn_on: str, case: Any) -> None:
    """A white rectangle on black, followed through turn and letterbox; the stated size tells the view of its box."""
    width, height, x, y, w, h = case
    canvas = np.zeros((height, width, 3), np.uint8)
    canvas[y : y + h, x : x + w] = 255
    stored = Image.fromarray(canvas)
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    stored.info["exif"] = exif.tobytes()
    data = turned(stored, orientation)
    upright = ImageOps.exif_transpose(Image.open(io.BytesIO(data)))
    seen = np.argwhere(np.asarray(upright)[..., 0] > 0)
    (top, left), (bottom, right) = seen.min(0), seen.max(0) + 1
    box = [x, y, w, h] if drawn_on == "stored" else [left, top, right - left, bottom - top]
    stated = (width, height) if drawn_on == "stored" else upright.size
    if drawn_on == "stored" and (orientation in (2, 3, 4) or (orientation >= 5 and width == height)):
        return  # the size cannot say which view is meant; another test holds what happens then
    item = Item(name="a", data=data, objects=np.array([[3.0, *box, 0.0]]), stated_size=stated)
    log = Log()
    found, square = render(data, 64, "detector")
    (row,) = targets(item, found, 64, log)
    expected = Placement.letterbox(*upright.size, 64).boxes(np.array([[3.0, left, top, right - left, bottom - top, 0]]))
    assert np.allclose(row, expected[0])
    black = np.where((square == GREY).all(-1, keepdims=True), 0, square)
    assert np.abs(np.array(extent(black)) - row[1:5]).max() < 1.6
    # Only what was turned, and whose size leaves a doubt, is remarked upon.
    assert [e.what for e in log.events] == (["remark"] if orientation > 1 and (
        drawn_on == "stored" or width == height or orientation in (2, 3, 4)) else [])  # fmt: skip


@pytest.mark.parametrize("orientation", ORIENTATIONS)
@pytest.mark.parametrize("kind", ["detector", "classifier"])
def test_every_exif_orientation_is_undone_as_pillow_does(orientation: int, kind: Any) -> None:
    rng = np.random.default_rng(orientation)
    stored = Image.fromarray(rng.integers(0, 255, (8, 12, 3), np.uint8)).resize((96, 64), Image.Resampling.BILINEAR)
    data = turned(stored, orientation)
    straight = ImageOps.exif_transpose(Image.open(io.BytesIO(data)))
    _, ours = render(data, 64, kind)
    _, theirs = render(encoded(straight), 64, kind)
    assert np.abs(ours.astype(int) - theirs).max() <= 1  # rounding of the resize, which ours does before the turn


@given(
    st.integers(1, 2000), st.integers(1, 2000), st.sampled_from(ORIENTATIONS),
    st.lists(st.tuples(*[st.floats(0, 1, width=32)] * 4), min_size=1, max_size=5),
)  # fmt: skip
def test_turning_boxes_keeps_area_and_place_and_undoes_itself(
    width: int, height: int, orientation: int, shares: list[tuple[float, ...]]
) -> None:
    rows = [(1.0, a * width, b * height, c * (1 - a) * width, d * (1 - b) * height, 0.0) for a, b, c, d in shares]
    objects = np.array(rows)
    moved = upright_boxes(objects, (width, height), orientation)
    upright = (height, width) if orientation >= 5 else (width, height)
    assert np.allclose(moved[:, 3] * moved[:, 4], objects[:, 3] * objects[:, 4])
    assert (moved[:, 1:3] >= -1e-6 * max(upright)).all()
    assert (moved[:, 1:3] + moved[:, 3:5] <= np.array(upright) * (1 + 1e-6)).all()
    back = upright_boxes(moved, upright, {6: 8, 8: 6}.get(orientation, orientation))
    assert np.allclose(back, objects, atol=1e-6 * max(upright))


@given(st.integers(1, 5000), st.integers(1, 5000), st.sampled_from(range(32, 513, 32)))
def test_a_letterbox_keeps_the_aspect_to_a_pixel_and_everything_inside(width: int, height: int, size: int) -> None:
    place = Placement.letterbox(width, height, size)
    whole = place.boxes(np.array([[0.0, 0, 0, width, height, 0]]))[0, 1:5]
    assert (whole[:2] >= 0).all()
    assert (whole[:2] + whole[2:] <= size + 1e-9).all()
    assert max(whole[2:]) == pytest.approx(size)
    assert abs(whole[2] - max(1, width * size / max(width, height))) <= 0.5 + 1e-9
    assert abs(whole[3] - max(1, height * size / max(width, height))) <= 0.5 + 1e-9


FINITE = st.floats(-1e4, 1e4, width=32)
ANY = st.one_of(FINITE, st.sampled_from([float("nan"), float("inf"), -float("inf"), 1e300, -1e300, 0.0]))


@given(st.lists(st.tuples(st.integers(0, 3), ANY, ANY, ANY, ANY, st.integers(0, 1)), max_size=8))
def test_whatever_is_annotated_the_boxes_that_remain_lie_in_the_picture_and_the_others_are_listed(rows: Any) -> None:
    log = Log()
    objects = np.array(rows, float).reshape(-1, 6)
    kept = within(objects, 640, 480, "a", log)
    assert len(kept) + sum(event.what == "box" for event in log.events) == len(rows)
    assert np.isfinite(kept).all()
    assert (kept[:, 1:3] >= 0).all()
    assert (kept[:, 3:5] > 0).all()
    assert (kept[:, 1:3] + kept[:, 3:5] <= np.array([640, 480]) + 1e-9).all()
    for row in kept:  # each is the intersection of one of them with the picture
        sources = objects[np.isfinite(objects).all(1)]
        ends = np.minimum(sources[:, 1:3] + sources[:, 3:5], [640, 480])
        cut = np.concatenate([np.maximum(sources[:, 1:3], 0), ends], 1)
        assert np.isclose(cut, [row[1], row[2], row[1] + row[3], row[2] + row[4]]).all(1).any()


def test_targets_keep_the_largest_objects_in_their_order_and_mark_crowds() -> None:
    objects = np.array([[0, 1, 1, 5, 5, 0], [1, 2, 2, 1, 1, 0], [2, 3, 3, 9, 9, 1]], float)
    rows = packed(objects, 2)
    assert rows.tolist() == [[0, 1, 1, 5, 5], [-4, 3, 3, 9, 9]]
    assert packed(objects[:1], 2).tolist() == [[0, 1, 1, 5, 5], [-1] * 5]


RAMP = (np.arange(64)[:, None] * 4 * np.ones(64)[None]).astype(np.uint8)


def modes() -> dict[str, tuple[bytes, np.ndarray[Any, Any]]]:
    """Files of the same ramp in every mode, and what of it should be seen, (64, 64) or (64, 64, 3)."""
    grey = Image.fromarray(RAMP)
    colour = np.stack([RAMP, RAMP[::-1], RAMP.T], -1)
    rgb = Image.fromarray(colour)
    clear = np.dstack([colour, np.full((64, 64), 0, np.uint8)])
    half = np.dstack([colour, np.full((64, 64), 128, np.uint8)])
    wide = RAMP.astype(np.uint16) * 256 + 17
    palette = Image.fromarray(RAMP // 64 * 64).convert("P")
    see_through = Image.fromarray(np.zeros((64, 64), np.uint8), "P")
    see_through.putpalette([255, 0, 0] + [0] * 765)
    grey114 = np.full((64, 64, 3), 114)
    blended = np.rint(colour * (128 / 255) + 114 * (127 / 255))
    return {
        "grey": (encoded(grey), RAMP),
        "grey jpeg": (encoded(grey, "JPEG", quality=98), RAMP),
        "rgb": (encoded(rgb), colour),
        "one bit": (encoded(Image.fromarray(np.where(RAMP > 127, 255, 0).astype(np.uint8)).convert("1")),
                    np.where(RAMP > 127, 255, 0)),
        "palette": (encoded(palette), RAMP // 64 * 64),
        "palette, transparent": (encoded(see_through, transparency=0), grey114),
        "grey and alpha": (encoded(Image.fromarray(np.dstack([RAMP, np.full((64, 64), 255, np.uint8)]))), RAMP),
        "invisible": (encoded(Image.fromarray(clear)), grey114),
        "half visible": (encoded(Image.fromarray(half)), blended),
        "16 bit grey": (encoded(Image.fromarray(wide)), RAMP),
        "16 bit tiff": (encoded(Image.fromarray(wide), "TIFF"), RAMP),
        "16 bit big-endian": (encoded(Image.fromarray(wide.astype(">u2")), "TIFF"), RAMP),
        "cmyk jpeg": (encoded(rgb.convert("CMYK"), "JPEG", quality=98), colour),
        "cmyk tiff": (encoded(rgb.convert("CMYK"), "TIFF"), colour),
        "animation": (encoded(grey, "GIF", save_all=True, append_images=[Image.new("L", (64, 64), 255)]), RAMP),
        "webp": (encoded(rgb, "WEBP", lossless=True), colour),
    }  # fmt: skip


@pytest.mark.parametrize("name", list(modes()))
@pytest.mark.parametrize("kind", ["detector", "classifier"])
def test_every_mode_shows_what_it_holds(name: str, kind: Any) -> None:
    data, expected = modes()[name]
    found, square = render(data, 64, kind)
    assert (found.width, found.height) == (64, 64)
    expected = expected if expected.ndim == 3 else np.repeat(expected[..., None], 3, -1)
    worst = 8 if "jpeg" in name else 1
    assert np.abs(square.astype(int) - expected).mean() <= worst / 2
    assert np.abs(square.astype(int) - expected).max() <= 4 * worst


def broken() -> dict[str, tuple[bytes, str]]:
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8))
    png, jpeg = encoded(noise), encoded(noise, "JPEG")
    return {
        "empty": (b"", "empty file"),
        "text": (b"this is no picture", "not a picture"),
        "truncated png": (png[: len(png) // 2], "truncated|damaged"),
        "truncated jpeg": (jpeg[: len(jpeg) // 2], "truncated"),
        "header only": (png[:20], "not a picture|truncated|damaged"),
        "flipped png": (png[:60] + bytes(b ^ 255 for b in png[60:90]) + png[90:], "damaged|truncated"),
        "32-bit floats": (encoded(Image.fromarray(np.zeros((8, 8), np.float32)), "TIFF"), "no known range"),
        "32-bit integers": (encoded(Image.fromarray(np.full((8, 8), 1 << 20, np.int32)), "TIFF"), "no known range"),
    }


@pytest.mark.parametrize("name", list(broken()))
def test_a_picture_that_cannot_be_read_says_why(name: str) -> None:
    data, reason = broken()[name]
    with pytest.raises(PictureError, match=reason):
        render(data, 64, "detector")


@given(st.binary(max_size=300), st.sampled_from(["PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP"]), st.integers(0, 2000))
def test_no_bytes_raise_anything_but_a_reason(noise: bytes, format: str, at: int) -> None:
    good = encoded(Image.fromarray(RAMP), format)
    at = at % len(good)
    try:
        _, square = render(good[:at] + noise + good[at + len(noise) :], 32, "detector")
    except PictureError:
        return
    assert square.shape == (32, 32, 3)


@pytest.mark.parametrize("scale", [3, 9, 17])
def test_a_jpeg_decoded_small_looks_like_one_decoded_whole(scale: int) -> None:
    """Sides that no reduction divides: the picture must not be stretched by the decoder's last pixel."""
    height, width = 64 * scale + 5, 96 * scale + 3
    y, x = np.mgrid[:height, :width]
    pattern = (127 + 120 * np.sin(x / width * 12) * np.cos(y / height * 9)).astype(np.uint8)
    image = Image.fromarray(pattern)
    for kind in ("detector", "classifier"):
        _, small = render(encoded(image, "JPEG", quality=95), 64, kind)  # type: ignore[arg-type]
        _, whole = render(encoded(image), 64, kind)  # type: ignore[arg-type]
        assert np.abs(small.astype(int) - whole).max() <= 6


@pytest.mark.slow
def test_100_megapixels_are_read_and_more_than_200_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    image = Image.new("L", (10_000, 10_000), 200)
    image.paste(20, (0, 0, 5_000, 10_000))
    limit = Image.MAX_IMAGE_PIXELS
    for format in ("JPEG", "PNG"):
        data = encoded(image, format)
        with picture.large_pictures():
            tracemalloc.start()
            _, square = render(data, 64, "detector")
            peak = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
        assert square[32, 8, 0] == pytest.approx(20, abs=4)
        assert square[32, 56, 0] == pytest.approx(200, abs=4)
        assert peak < 50e6  # Python's own; no array of the whole picture is made
    assert limit == Image.MAX_IMAGE_PIXELS
    with picture.large_pictures(), pytest.raises(PictureError, match="more than 200 megapixels"):
        render(encoded(Image.new("1", (15_000, 14_000))), 64, "detector")


def test_boxes_for_a_picture_of_another_size_are_refused() -> None:
    data = encoded(Image.new("RGB", (40, 30)))
    found, _ = render(data, 64, "detector")
    item = Item(name="a", data=data, objects=np.array([[0, 1, 1, 5, 5, 0.0]]), stated_size=(80, 60))
    with pytest.raises(PictureError, match="annotated at another size"):
        targets(item, found, 64, Log())
