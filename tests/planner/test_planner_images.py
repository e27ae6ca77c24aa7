import array
import io
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from hybrid_control.navigation.planner.images import (
    ENCODINGS,
    ImageError,
    contrast,
    decode,
    decode_compressed,
    middle,
    resize,
)

PIXELS = np.array([[[1, 2, 3], [4, 5, 6]]], np.uint8)  # one row of two pixels, red first


@pytest.mark.parametrize(
    ("encoding", "data"),
    [
        ("rgb8", [1, 2, 3, 4, 5, 6]),
        ("bgr8", [3, 2, 1, 6, 5, 4]),
        ("rgba8", [1, 2, 3, 255, 4, 5, 6, 0]),
        ("bgra8", [3, 2, 1, 255, 6, 5, 4, 0]),
    ],
)
def test_colour_encodings_come_out_red_first(encoding, data):
    assert (decode(bytes(data), encoding, 1, 2, len(data)) == PIXELS).all()


def test_grey_becomes_three_equal_channels():
    assert decode(bytes([7, 9]), "mono8", 1, 2, 2).tolist() == [[[7, 7, 7], [9, 9, 9]]]


def test_padding_at_the_end_of_rows_is_left_out():
    data = bytes([1, 2, 3, 99, 99, 4, 5, 6, 99, 99])
    assert decode(data, "rgb8", 2, 1, 5).tolist() == [[[1, 2, 3]], [[4, 5, 6]]]


@pytest.mark.parametrize(
    "kind",
    [bytes, bytearray, memoryview, lambda b: array.array("B", b), lambda b: np.frombuffer(b, np.uint8)],
)
def test_every_kind_of_buffer_is_read(kind):
    assert (decode(kind(bytes([1, 2, 3, 4, 5, 6])), "rgb8", 1, 2, 6) == PIXELS).all()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((bytes(8), "32FC1", 1, 2, 8), "encoding '32FC1' is not known; known: rgb8, bgr8"),
        ((bytes(4), "16UC1", 1, 2, 4), "encoding '16UC1' is not known"),
        ((bytes(6), "", 1, 2, 6), "encoding '' is not known"),
        ((bytes(5), "rgb8", 1, 2, 6), "image has 5 bytes; 1 rows of step 6 take 6"),
        ((bytes(7), "rgb8", 1, 2, 6), "image has 7 bytes"),
        ((b"", "rgb8", 1, 2, 6), "image has 0 bytes"),
        ((bytes(4), "rgb8", 1, 2, 4), "step 4: 2 pixels of rgb8 take 6 bytes a row"),
        ((bytes(6), "rgb8", 0, 2, 6), "each side must be 1"),
        ((bytes(6), "rgb8", 1, -2, 6), "each side must be 1"),
        ((bytes(6), "rgb8", 10**9, 10**9, 3 * 10**9), "each side must be 1"),
    ],
)
def test_sizes_that_do_not_agree_are_refused_in_one_line(arguments, message):
    with pytest.raises(ImageError, match=message) as caught:
        decode(*arguments)
    assert "\n" not in str(caught.value)


@given(
    st.binary(max_size=64), st.sampled_from([*ENCODINGS, "32FC1", "yuv422"]),
    st.integers(-1, 5), st.integers(-1, 5), st.integers(-1, 20),
)  # fmt: skip
def test_any_raw_message_gives_a_whole_image_or_a_refusal(data, encoding, height, width, step):
    try:
        image = decode(data, encoding, height, width, step)
    except ImageError:
        return
    assert (image.shape, image.dtype) == ((height, width, 3), np.uint8)
    assert len(data) == height * step


def scene() -> np.ndarray:
    ramp = np.linspace(0, 255, 32).astype(np.uint8)
    return np.stack(
        [np.tile(ramp, (24, 1)), np.full((24, 32), 80, np.uint8), np.tile(ramp[:24, None], (1, 32))], axis=2
    )


def packed(image: np.ndarray, kind: str, **options) -> bytes:
    file = io.BytesIO()
    Image.fromarray(image).save(file, kind, **options)
    return file.getvalue()


def test_png_comes_back_exactly_and_jpeg_nearly():
    assert (decode_compressed(packed(scene(), "PNG")) == scene()).all()
    lossy = decode_compressed(packed(scene(), "JPEG", quality=95, subsampling=0)).astype(int)
    assert np.abs(lossy - scene()).max() < 12


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_grey_files_become_three_equal_channels(kind):
    image = decode_compressed(packed(scene()[:, :, 0], kind))
    assert image.shape == (24, 32, 3)
    assert (image[:, :, 0] == image[:, :, 2]).all()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "no whole JPEG or PNG"),
        (b"hello", "no whole JPEG or PNG"),
        (packed(scene(), "GIF"), "no whole JPEG or PNG"),
        (packed(scene(), "BMP"), "no whole JPEG or PNG"),
        (packed(scene(), "JPEG")[:-200], "no whole JPEG or PNG"),
        (packed(scene(), "PNG")[:60], "no whole JPEG or PNG"),
        (packed(np.full((4, 4), 1000, np.uint16), "PNG"), "8 bits a channel are wanted"),
        # the header that compressed_depth_image_transport puts before its PNG
        (bytes(12) + packed(np.full((4, 4), 1000, np.uint16), "PNG"), "no whole JPEG or PNG"),
    ],
)
def test_other_and_damaged_files_are_refused_in_one_line(data, message):
    with pytest.raises(ImageError, match=message) as caught:
        decode_compressed(data)
    assert "\n" not in str(caught.value)


def test_a_file_that_claims_to_be_huge_is_refused_before_it_is_unpacked():
    data = bytearray(packed(np.zeros((4, 4), np.uint8), "PNG"))
    data[16:24] = (60000).to_bytes(4, "big") * 2  # width and height in the IHDR chunk
    data[29:33] = zlib.crc32(bytes(data[12:29])).to_bytes(4, "big")
    with pytest.raises(ImageError):
        decode_compressed(bytes(data))


@given(
    st.sampled_from(["PNG", "JPEG"]),
    st.lists(st.tuples(st.integers(0, 2000), st.integers(0, 255)), max_size=6),
    st.integers(0, 2000),
)
def test_any_damage_to_a_file_gives_an_image_or_a_refusal(kind, edits, cut):
    data = bytearray(packed(scene(), kind))
    for at, value in edits:
        data[at % len(data)] = value
    try:
        image = decode_compressed(bytes(data[: len(data) - cut % len(data)]))
    except ImageError:
        return
    assert (image.ndim, image.shape[2], image.dtype) == (3, 3, np.uint8)


@given(st.binary(max_size=200))
def test_any_bytes_give_an_image_or_a_refusal(data):
    with pytest.raises(ImageError):
        decode_compressed(data)


def test_resizing_averages_and_keeps_left_on_the_left():
    image = np.zeros((8, 16, 3), np.uint8)
    image[:, :8] = (200, 100, 50)
    small = resize(image, 2, 4)
    assert small.shape == (2, 4, 3)
    assert small[0, 0].tolist() == [200, 100, 50]
    assert small[0, 3].tolist() == [0, 0, 0]
    stripes = np.zeros((8, 64, 3), np.uint8)
    stripes[:, ::2] = 200
    assert np.abs(resize(stripes, 2, 8).astype(int) - 100).max() <= 15


@pytest.mark.parametrize("size", [(5, 7), (24, 32), (100, 90)])
def test_an_even_image_stays_even_at_any_size(size):
    assert (resize(np.full((24, 32, 3), 77, np.uint8), *size) == 77).all()


def test_the_middle_of_an_image_has_the_shape_that_is_asked_for_and_says_how_much_of_the_width_it_is():
    columns = np.arange(16)[None].repeat(9, 0)
    cut, share = middle(columns, 0.75)
    assert (cut.shape, share) == ((9, 12), 0.75)
    assert cut[0].tolist() == list(range(2, 14))
    rows = np.arange(16)[:, None].repeat(16, 1)
    cut, share = middle(rows, 0.75)
    assert (cut.shape, share) == ((12, 16), 1.0)
    assert cut[:, 0].tolist() == list(range(2, 14))
    nearly = np.zeros((479, 640, 3), np.uint8)
    assert middle(nearly, 0.75)[0] is nearly


def test_contrast_by_hand():
    assert contrast(np.full((4, 4, 3), 90, np.uint8)) == 0.0
    half = np.zeros((4, 4, 3), np.uint8)
    half[:2] = 255
    assert contrast(half) == pytest.approx(127.5)
    coloured = np.zeros((2, 2, 3), np.uint8)
    coloured[0, :, 0] = 30  # brightness 10 in one half, 0 in the other
    assert contrast(coloured) == pytest.approx(5.0)
