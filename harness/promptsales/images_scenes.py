"""What is in each picture: the 120 base scenes, written by hand, and variations of them beyond.

A scene says all that the drawing and the words need; both are made from it, so they agree.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

TIMES = ("dawn", "day", "sunset", "night")
WEATHERS = ("clear", "clouds", "rain", "snow")
COLOURS = ("red", "blue", "green", "yellow", "orange", "purple", "pink", "white", "black", "brown", "turquoise")
INDOORS = ("table", "desk", "room")


@dataclass(frozen=True, slots=True)
class Scene:
    """A picture in words: ``count`` things of one ``subject`` in a ``setting``."""

    subject: str
    setting: str
    time: str
    weather: str
    colour: str
    count: int

    @property
    def indoors(self) -> bool:
        """Whether the sky is only seen through a window."""
        return self.setting in INDOORS


# Five scenes of each subject: setting, time, weather, colour, count.
_SCENES = {
    "beach": (
        "beach sunset clear orange 1, beach day clear red 2, beach night clear blue 3, beach dawn clouds pink 1, "
        "beach day rain yellow 2"
    ),
    "mountains": (
        "mountains day clear orange 1, mountains dawn clouds yellow 2, mountains sunset clear red 1, mountains "
        "night clear green 3, mountains day snow blue 1"
    ),
    "city": (
        "city night clear red 1, city day clear blue 1, city sunset clouds yellow 1, city night rain green 1, city "
        "day snow orange 1"
    ),
    "forest": (
        "forest day clear red 3, forest dawn clouds white 2, forest sunset clear brown 4, forest day rain orange 5, "
        "forest night snow purple 1"
    ),
    "bicycle": (
        "city day clear red 1, beach sunset clear blue 1, meadow day clear yellow 2, forest dawn clear green 1, "
        "city night rain white 1"
    ),
    "car": (
        "city night clear yellow 1, beach day clear red 1, mountains sunset clear orange 1, meadow day clouds blue "
        "2, snow day snow green 1"
    ),
    "house": (
        "meadow day clear red 1, snow night snow brown 1, mountains dawn clear blue 1, forest sunset clear green 1, "
        "beach day clear turquoise 2"
    ),
    "dog": (
        "meadow day clear brown 1, beach sunset clear white 1, snow day snow black 1, room night clear brown 1, "
        "city day rain orange 2"
    ),
    "cat": (
        "room day clear orange 1, room night clear black 1, meadow day clear white 1, desk dawn clear brown 1, city "
        "sunset clear black 2"
    ),
    "snowman": (
        "snow day clear red 1, snow night snow blue 1, city dawn snow green 1, mountains day clear yellow 2, forest "
        "sunset snow purple 3"
    ),
    "christmas_tree": (
        "room night snow red 1, snow night clear yellow 1, city night snow blue 1, room day clear purple 1, "
        "mountains sunset snow orange 3"
    ),
    "airplane": (
        "sky day clear red 1, sky sunset clouds blue 1, mountains day clear green 1, city night clear yellow 1, sea "
        "dawn clear orange 3"
    ),
    "balloon": (
        "sky day clear red 1, mountains dawn clear yellow 3, sea sunset clear purple 1, meadow day clouds green 2, "
        "city sunset clear blue 1"
    ),
    "sailboat": (
        "sea day clear red 1, sea sunset clear orange 1, sea night clear blue 1, sea dawn clouds green 2, sea day "
        "rain yellow 3"
    ),
    "flowers": (
        "meadow day clear red 5, table day clear yellow 3, room dawn clear pink 4, mountains sunset clear purple 5, "
        "desk day rain white 1"
    ),
    "football": (
        "meadow day clear black 1, beach day clear orange 1, city sunset clear blue 1, snow day snow red 1, meadow "
        "night rain green 2"
    ),
    "coffee": (
        "table dawn clear white 1, desk day rain red 1, table sunset clear blue 2, desk night clear black 1, table "
        "day snow green 3"
    ),
    "pizza": (
        "table night clear red 1, table day clear green 1, desk night rain yellow 1, table sunset clear black 1, "
        "table day clouds white 2"
    ),
    "guitar": (
        "room day clear brown 1, beach sunset clear orange 1, room night clear red 1, meadow day clear blue 1, "
        "forest night clear black 1"
    ),
    "cake": (
        "table day clear pink 3, table night clear brown 5, table sunset clear white 2, desk day clear blue 1, "
        "table dawn rain purple 4"
    ),
    "gift": (
        "room night snow red 3, table day clear blue 1, snow day clear green 2, room dawn clear pink 1, desk sunset "
        "clear yellow 2"
    ),
    "books": (
        "desk night clear red 4, table day rain blue 3, room sunset clear green 5, meadow day clear orange 2, desk "
        "dawn snow purple 6"
    ),
    "laptop": (
        "desk night clear blue 1, table day clear orange 1, desk day rain green 1, beach day clear turquoise 1, "
        "desk sunset clear purple 2"
    ),
    "running_shoe": (
        "city dawn clear red 1, forest day clear green 2, beach sunset clear blue 2, mountains day clear orange 1, "
        "snow day snow yellow 2"
    ),
}
_OWN_COLOURS = ("dog", "cat", "pizza", "flowers", "cake", "forest")  # a green dog would be no picture of one
SUBJECTS = tuple(_SCENES)
BASE = 5 * len(SUBJECTS)


def number(seed: int, content_id: int, what: str, below: int) -> int:
    """A number from 0 to ``below`` - 1 that these alone decide."""
    digest = hashlib.blake2b(f"{seed}:{content_id}:{what}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") % below


def scene(seed: int, content_id: int) -> Scene:
    """What the picture of a content shows. The first 120 are the same for every seed; then the subjects repeat, varied."""
    subject = SUBJECTS[(content_id - 1) % len(SUBJECTS)]
    row = (content_id - 1) // len(SUBJECTS)
    rows = [line.split() for line in _SCENES[subject].split(", ")]
    setting, time, weather, colour, count = rows[row % len(rows)]
    base = Scene(subject, setting, time, weather, colour, int(count))
    if content_id <= BASE:
        return base

    def choice(what: str, among: tuple[str, ...]) -> str:
        return among[number(seed, content_id, what, len(among))]

    time = choice("time", TIMES)
    weather = choice(
        "weather", ("clear", "clouds", "snow") if setting == "snow" else ("clear", "clear", "clouds", "rain")
    )
    if time == "sunset" and weather == "rain":
        weather = "clouds"
    among = tuple(sorted({one[3] for one in rows})) if subject in _OWN_COLOURS else COLOURS
    most = max(int(one[4]) for one in rows)
    return Scene(subject, setting, time, weather, choice("colour", among), 1 + number(seed, content_id, "count", most))
