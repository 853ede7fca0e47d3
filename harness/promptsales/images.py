"""Pictures of PromptContent, drawn by code: the same content id and seed give the same PNG on every machine.

>>> picture(1, seed=7)[:4]
b'\\x89PNG'
"""

from __future__ import annotations

import functools

from harness.promptsales import images_indoors, images_outdoors
from harness.promptsales.images_canvas import HEIGHT, WIDTH, Canvas, Pixels
from harness.promptsales.images_palette import Dice, daylight
from harness.promptsales.images_png import png
from harness.promptsales.images_scenes import Scene, scene
from harness.promptsales.images_settings import paint_setting, paint_weather, places

__all__ = ["HEIGHT", "WIDTH", "draw", "picture"]

CONTENT_TYPE = "image/png"

_SUBJECTS = images_outdoors.SUBJECTS | images_indoors.SUBJECTS


@functools.lru_cache(maxsize=256)  # about 4 MB
def picture(content_id: int, seed: int) -> bytes:
    """The picture of a content, as a PNG of 256 × 192 pixels; its text chunk names the content, so no two are equal."""
    return png(draw(scene(seed, content_id), Dice(seed, content_id)), {"Title": f"content {content_id}"})


def draw(shown: Scene, dice: Dice) -> Pixels:
    """Draw a scene, (192, 256, 3); ``dice`` decides where clouds, trees and the like are."""
    canvas = Canvas(daylight(shown))
    paint_setting(canvas, shown, dice)
    if subject := _SUBJECTS.get(shown.subject):
        for place in places(shown):
            with canvas.placed(*place):
                subject(canvas, shown, dice)
    paint_weather(canvas, shown, dice)
    return canvas.image()
