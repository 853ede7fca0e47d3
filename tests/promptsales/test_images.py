"""Pictures are pictures, say what their scene says, and are the same bytes everywhere."""

from __future__ import annotations

import ast
import dataclasses
import hashlib
import io
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from harness.promptsales import images
from harness.promptsales.images import HEIGHT, WIDTH, picture
from harness.promptsales.images_canvas import Canvas, curve, sine
from harness.promptsales.images_palette import Dice
from harness.promptsales.images_png import png
from harness.promptsales.images_scenes import BASE, SUBJECTS, Scene, scene

# SHA-256 over the 120 base pictures of seed 7: another one means that everybody's pictures have changed.
GOLDEN = "e8096bc18ea9e9c85c89a463756cd1a5d669d110a9461bf5f921c4c8c820122a"


@pytest.fixture(scope="module")
def pictures() -> list[bytes]:
    return [picture(content_id, 7) for content_id in range(1, BASE + 1)]


def opened(data: bytes) -> Image.Image:
    shown = Image.open(io.BytesIO(data))
    shown.load()
    return shown


def test_the_same_bytes_on_every_machine(pictures: list[bytes]) -> None:
    assert hashlib.sha256(b"".join(pictures)).hexdigest() == GOLDEN


def test_another_process_draws_the_same(pictures: list[bytes]) -> None:
    code = "import sys; from harness.promptsales.images import picture; sys.stdout.buffer.write(picture(38, 7))"
    drawn = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, check=True, env={"PYTHONHASHSEED": "4711"}
    )
    assert drawn.stdout == pictures[37]


def test_every_one_is_a_picture_of_its_own(pictures: list[bytes]) -> None:
    assert len({hashlib.sha256(data).digest() for data in pictures}) == BASE
    drawn = set()
    for data in pictures:
        shown = opened(data)
        assert (shown.format, shown.mode, shown.size) == ("PNG", "RGB", (WIDTH, HEIGHT))
        assert len(data) < 32 * 1024
        assert len(shown.getcolors(WIDTH * HEIGHT) or []) > 100  # not blank, not noise
        drawn.add(shown.tobytes())
    assert len(drawn) == BASE


def test_a_picture_is_what_was_drawn(pictures: list[bytes]) -> None:
    for content_id in (1, 24, 61, 115):
        pixels = images.draw(scene(7, content_id), Dice(7, content_id))
        assert np.array_equal(np.asarray(opened(pictures[content_id - 1])), pixels)


def test_the_seed_moves_what_is_by_chance_only() -> None:
    one, other = (np.asarray(opened(picture(10, seed)), int) for seed in (7, 8))
    assert (one != other).any()
    assert (one == other).all(axis=2).mean() > 0.5  # the snowman and the hills stay


def test_each_subject_can_be_told_from_its_setting() -> None:
    for subject in SUBJECTS:
        content_id = SUBJECTS.index(subject) + 1
        shown = scene(7, content_id)
        assert shown.subject == subject
        colours = [np.asarray(images.draw(other, Dice(7, content_id)), int) for other in (shown, recoloured(shown))]
        assert (colours[0] != colours[1]).any(axis=2).sum() > 200, f"{subject} does not show its colour"


def recoloured(shown: Scene) -> Scene:
    return dataclasses.replace(shown, colour="black" if shown.colour != "black" else "yellow")


def test_beyond_the_base_no_two_are_equal_either() -> None:
    assert len({picture(content_id, 7) for content_id in range(BASE + 1, BASE + 60)}) == 59


def test_whole_numbers_only() -> None:
    """A floating point number's last bit may differ between machines, and with it a picture's bytes."""
    for file in Path(images.__file__).parent.glob("images*.py"):
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            assert not isinstance(node, ast.Div), f"{file.name} divides"
            assert not (isinstance(node, ast.Constant) and isinstance(node.value, float)), f"{file.name}: {node.value}"
            if isinstance(node, ast.Import | ast.ImportFrom):
                names = {getattr(node, "module", None), *(alias.name for alias in node.names)}
                assert not names & {"math", "random", "PIL", "cmath"}, f"{file.name} imports {names}"


@pytest.mark.parametrize(
    "pixels",
    [
        np.random.default_rng(1).integers(0, 256, (31, 47, 3), np.uint8),
        np.random.default_rng(2).integers(0, 2, (64, 200, 3), np.uint8) * 255,
        np.zeros((5, 1, 3), np.uint8),
        np.full((1, 1, 3), 255, np.uint8),
        np.full((300, 700, 3), 99, np.uint8),
        np.tile(np.arange(256, dtype=np.uint8)[None, :, None], (40, 2, 3)),
        np.tile(np.arange(200, dtype=np.uint8)[:, None, None], (1, 90, 3)),
    ],
    ids=["noise", "two values", "a column", "one pixel", "one colour", "across", "down"],
)
def test_the_encoder_keeps_every_pixel(pixels: np.ndarray) -> None:
    data = png(pixels, {"Title": "ñandú"})
    shown = opened(data)
    assert np.array_equal(np.asarray(shown), pixels)
    assert shown.info["Title"] == "ñandú"


def test_the_encoder_is_what_others_read() -> None:
    """Every check sum is right, and nothing is left over."""
    pixels = images.draw(scene(7, 5), Dice(7, 5))
    data, chunks, at = png(pixels), [], 8
    while at < len(data):
        size, name = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
        body = data[at + 8 : at + 8 + size]
        assert zlib.crc32(name + body) == int.from_bytes(data[at + 8 + size : at + 12 + size], "big")
        chunks.append((name, body))
        at += 12 + size
    assert [name for name, _ in chunks] == [b"IHDR", b"IDAT", b"IEND"]
    reader = zlib.decompressobj()
    rows = reader.decompress(chunks[1][1])
    assert reader.eof
    assert reader.unused_data == b""
    assert np.array_equal(
        np.frombuffer(rows, np.uint8).reshape(HEIGHT, 1 + 3 * WIDTH)[:, 1:], pixels.reshape(HEIGHT, -1)
    )


def test_flat_colours_take_little() -> None:
    assert len(png(np.full((192, 256, 3), 200, np.uint8))) < 3000


RED = (200, 0, 0)


def painted(canvas: Canvas) -> np.ndarray:
    return np.asarray(canvas.image()[..., 0])


def test_shapes_are_where_they_are_said_to_be() -> None:
    canvas = Canvas()
    canvas.rectangle(40, 80, 120, 160, RED)
    expected = np.zeros((HEIGHT, WIDTH), np.uint8)
    expected[20:40, 10:30] = 200
    assert np.array_equal(painted(canvas), expected)
    for draw in (
        lambda it: it.polygon([(40, 80), (120, 80), (120, 160), (40, 160)], RED),
        lambda it: it.polygon([(40, 160), (120, 160), (120, 80), (40, 80)], RED),
    ):
        other = Canvas()
        draw(other)
        assert np.array_equal(painted(other), expected)


def test_what_lies_outside_is_not_painted_at_the_other_side() -> None:
    canvas = Canvas()
    canvas.disc((-300, 300), 100, RED)
    canvas.rectangle(2000, -50, 3000, -10, RED)
    canvas.line([(-100, -100), (-50, -400)], 20, RED)
    canvas.polygon([(1100, 10), (1300, 10), (1200, 300)], RED)
    assert not painted(canvas).any()
    canvas.rectangle(-100, -100, 8, 8, RED)
    assert painted(canvas).sum() == 4 * 200


def test_edges_are_smooth_and_areas_right() -> None:
    canvas = Canvas()
    canvas.disc((512, 384), 200, RED)
    area = painted(canvas).sum() / 200 * 16
    assert abs(area - 3.14159 * 200**2) < 0.01 * area
    assert len(np.unique(painted(canvas))) > 2


def test_a_placed_shape_is_moved_and_scaled() -> None:
    placed, plain = Canvas(), Canvas()
    with placed.placed(400, 300, 128):
        placed.rectangle(-80, -40, 80, 40, RED)
    plain.rectangle(360, 280, 440, 320, RED)
    assert np.array_equal(painted(placed), painted(plain))


def test_sines_and_curves() -> None:
    assert [sine(steps) for steps in (0, 2, 6, 12, 18, 24, -6)] == [0, 5000, 10000, 0, -10000, 0, -10000]
    points = curve((0, 0), (50, 100), (100, 0))
    assert (points[0], points[6], points[-1]) == ((0, 0), (50, 50), (100, 0))


def test_dice_stay_between() -> None:
    dice = Dice(7, 1)
    thrown = [dice.between(3, 8) for _ in range(300)]
    assert set(thrown) == {3, 4, 5, 6, 7, 8}
    assert thrown != [Dice(7, 2).between(3, 8) for _ in range(300)]
