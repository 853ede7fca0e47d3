"""A scene in words: title, description, hashtags and campaign themes. English, with some Spanish."""

from __future__ import annotations

from dataclasses import dataclass

from harness.promptsales.images_scenes import Scene, number


@dataclass(frozen=True, slots=True)
class Words:
    """What is said of a subject: ``one`` and ``many`` with the places {colour} and {count}; ``es`` is its Spanish name."""

    one: str
    many: str
    es: str
    themes: tuple[str, ...]
    moods: tuple[str, ...]


_NUMBERS = ("no", "one", "two", "three", "four", "five", "six")
_SPANISH_NUMBERS = ("cero", "un", "dos", "tres", "cuatro", "cinco", "seis")

SUBJECTS = {
    "beach": Words(
        "a sandy beach with a palm tree and {a_colour} sun umbrella",
        "a sandy beach with {count} palm trees and {a_colour} sun umbrella",
        "playa",
        ("summer", "travel"),
        ("Holidays begin here.", "Nothing to do but listen to the waves."),
    ),
    "mountains": Words(
        "high mountains with snow on their peaks and {a_colour} tent at their foot",
        "high mountains with snow on their peaks and {count} {colour} tents at their foot",
        "montañas",
        ("travel", "adventure"),
        ("For everyone who sleeps best in a tent.", "Fresh air, and a long way up."),
    ),
    "city": Words(
        "a city skyline of tall buildings with {a_colour} bus passing by",
        "a city skyline of tall buildings with {count} {colour} buses passing by",
        "ciudad",
        ("city_life", "travel"),
        ("Downtown never stops.", "The next stop is yours."),
    ),
    "forest": Words(
        "a forest of tall trees with {a_colour} spotted mushroom beside the path",
        "a forest of tall trees with {count} {colour} spotted mushrooms beside the path",
        "bosque",
        ("nature", "adventure"),
        ("A walk in the woods does wonders.", "Look closely, and tread softly."),
    ),
    "bicycle": Words(
        "{a_colour} bicycle", "{count} {colour} bicycles", "bicicleta", ("sport", "sustainability"),
        ("Leave the car at home.", "Two wheels are enough."),
    ),
    "car": Words(
        "{a_colour} car", "{count} {colour} cars", "coche", ("motor", "travel"),
        ("The road is open.", "Small outside, large inside."),
    ),
    "house": Words(
        "a little house with {a_colour} roof", "{count} little houses with {colour} roofs", "casa", ("home",),
        ("Come home.", "A place of your own."),
    ),
    "dog": Words(
        "{a_colour} dog with its tongue out", "{count} {colour} dogs with their tongues out", "perro", ("pets",),
        ("The best friend one can have.", "It only wants to play."),
    ),
    "cat": Words(
        "{a_colour} cat sitting and looking at us", "{count} {colour} cats sitting and looking at us", "gato", ("pets",),
        ("It knows exactly what it wants.", "Purring is included."),
    ),
    "snowman": Words(
        "a snowman with a top hat, a carrot nose and {a_colour} scarf",
        "{count} snowmen with top hats, carrot noses and {colour} scarves",
        "muñeco_de_nieve",
        ("winter", "christmas"),
        ("Winter has its good sides.", "Built by many small hands."),
    ),
    "christmas_tree": Words(
        "a decorated Christmas tree with a star, lights and {colour} baubles, presents beneath it",
        "{count} decorated Christmas trees with stars, lights and {colour} baubles",
        "árbol_de_navidad",
        ("christmas", "family"),
        ("Merry Christmas to all of you.", "The most beautiful time of the year."),
    ),
    "airplane": Words(
        "a passenger airplane with {a_colour} tail in flight", "{count} passenger airplanes with {colour} tails in flight",
        "avión", ("travel",), ("Fasten your seat belts.", "Where shall we fly?"),
    ),
    "balloon": Words(
        "{a_colour} hot-air balloon floating", "{count} {colour} hot-air balloons floating", "globo",
        ("adventure", "travel"), ("See the world from above.", "As light as air."),
    ),
    "sailboat": Words(
        "{a_colour} sailing boat", "{count} {colour} sailing boats", "velero", ("summer", "sport"),
        ("Wind in the sails.", "Cast off and leave it all behind."),
    ),
    "flowers": Words(
        "{a_colour} flower", "{count} {colour} flowers", "flores", ("spring", "gifts"),
        ("Say it with flowers.", "A greeting that lasts."),
    ),
    "football": Words(
        "a soccer ball with {colour} patches", "{count} soccer balls with {colour} patches", "fútbol", ("sport",),
        ("Ninety minutes of happiness.", "The next goal is yours."),
    ),
    "coffee": Words(
        "{a_colour} cup of steaming coffee", "{count} {colour} cups of steaming coffee", "café", ("food",),
        ("Freshly brewed.", "The day can begin."),
    ),
    "pizza": Words(
        "a hot pizza with {topping}", "a hot pizza with {topping}, one slice already cut", "pizza", ("food",),
        ("Straight from the oven.", "Dinner is served."),
    ),
    "guitar": Words(
        "{a_colour} acoustic guitar", "{count} {colour} acoustic guitars", "guitarra", ("music",),
        ("Six strings and a song.", "Play it again."),
    ),
    "cake": Words(
        "a birthday cake with {colour} icing and one burning candle",
        "a birthday cake with {colour} icing and {count} burning candles",
        "pastel",
        ("birthday", "food"),
        ("Make a wish.", "Somebody grows a year older."),
    ),
    "gift": Words(
        "{a_colour} gift box with a ribbon and a bow", "{count} {colour} gift boxes with ribbons and bows", "regalo",
        ("gifts", "christmas"), ("What may be inside?", "Wrapped with love."),
    ),
    "books": Words(
        "a stack of books, {colour} ones among them, with an open book on top",
        "a stack of {count} books, {colour} ones among them, with an open book on top",
        "libros",
        ("culture", "back_to_school"),
        ("One more chapter.", "Every page is a journey."),
    ),
    "laptop": Words(
        "an open laptop with {a_colour} sales chart on its screen",
        "{count} open laptops with {colour} sales charts on their screens",
        "portátil",
        ("technology", "work"),
        ("Work where you like.", "The numbers go up."),
    ),
    "running_shoe": Words(
        "{a_colour} running shoe", "a pair of {colour} running shoes", "zapatilla", ("sport", "fashion"),
        ("Run your own race.", "The first step is the hardest."),
    ),
}  # fmt: skip

_TOPPINGS = {
    "red": "slices of salami", "green": "basil and tomatoes", "yellow": "pineapple and ham", "black": "black olives",
    "white": "mushrooms",
}  # fmt: skip
_COLOURS_ES = {
    "red": "rojo", "blue": "azul", "green": "verde", "yellow": "amarillo", "orange": "naranja", "purple": "morado",
    "pink": "rosa", "white": "blanco", "black": "negro", "brown": "marrón", "turquoise": "turquesa",
}  # fmt: skip
_PLACES = {  # in a sentence, in Spanish, as hashtag
    "beach": ("on a sandy beach by the sea", "en la playa", "beach"),
    "sea": ("on the open sea", "en el mar", "sea"),
    "mountains": ("in front of high snowy mountains", "en las montañas", "mountains"),
    "city": ("in a city street between tall buildings", "en la ciudad", "city"),
    "forest": ("on a path in the forest", "en el bosque", "forest"),
    "meadow": ("on a green meadow", "en un prado verde", "nature"),
    "snow": ("in a snowy landscape with fir trees", "en la nieve", "snow"),
    "sky": ("high in the open sky", "en el cielo", "sky"),
    "table": ("on a wooden table by the window", "sobre la mesa", "home"),
    "desk": ("on a desk beneath a bookshelf", "sobre el escritorio", "office"),
    "room": ("on the rug of a living room", "en la sala", "home"),
}
_OVER = {
    "city": "over the city",
    "mountains": "over high snowy mountains",
    "sea": "over the sea",
    "meadow": "over a green meadow",
}
_ITSELF = ("beach", "mountains", "city", "forest")  # subjects that are a place
_TIMES_ES = {"dawn": "al amanecer", "day": "de día", "sunset": "al atardecer", "night": "de noche"}
_DAYS = {"clear": "on a sunny day", "clouds": "on a cloudy day", "rain": "on a rainy day", "snow": "on a snowy day"}
_LATER = {"clear": "", "clouds": " with clouds in the sky", "rain": " in the rain", "snow": " while snow falls"}
_WINDOW = {
    "clear": "", "clouds": ", clouds outside the window", "rain": " while it rains outside the window",
    "snow": " while it snows outside the window",
}  # fmt: skip


def _article(word: str) -> str:
    return f"{'an' if word[0] in 'aeiou' else 'a'} {word}"


def thing(scene: Scene) -> str:
    """What is to be seen, as "two yellow bicycles"."""
    words = SUBJECTS[scene.subject]
    return (words.one if scene.count == 1 else words.many).format(
        a_colour=_article(scene.colour),
        colour=scene.colour,
        count=_NUMBERS[scene.count],
        topping=_TOPPINGS.get(scene.colour, ""),
    )


def _place(scene: Scene) -> str:
    if scene.subject in _ITSELF:
        return ""
    if scene.subject in ("airplane", "balloon") and scene.setting in _OVER:
        return f" {_OVER[scene.setting]}"
    return f" {_PLACES[scene.setting][0]}"


def _when(scene: Scene) -> str:
    if scene.indoors:
        return {"day": "by day", "night": "at night"}.get(scene.time, f"at {scene.time}") + _WINDOW[scene.weather]
    if scene.time == "day":
        return _DAYS[scene.weather]
    clear = " under the moon and the stars" if scene.time == "night" else ""
    return f"at {scene.time}{_LATER[scene.weather] or clear}"


def _capital(text: str) -> str:
    return text[0].upper() + text[1:]


def title(scene: Scene) -> str:
    """At most 120 characters."""
    short = thing(scene).split(" with ")[0].removesuffix(" sitting and looking at us")
    place = _place(scene).split(" between ")[0].split(" by the ")[0]
    return _capital(
        f"{short}{place} {'by day' if scene.time == 'day' else f'at {scene.time}'}".replace("by day by day", "by day")
    )


def spanish(scene: Scene) -> str:
    """The scene in Spanish, in short."""
    name = SUBJECTS[scene.subject].es.replace("_", " ")
    where = "" if scene.subject in _ITSELF else f" {_PLACES[scene.setting][1]}"
    rain = {"rain": ", con lluvia", "snow": ", con nieve"}.get(scene.weather, "")
    colour = "" if scene.subject == "pizza" else f" de color {_COLOURS_ES[scene.colour]}"
    return _capital(f"{name}{colour}{where}, {_TIMES_ES[scene.time]}{rain}.")


def description(scene: Scene, content_id: int) -> str:
    """Two sentences: what the picture shows, and a mood, for every sixth content in Spanish."""
    what, when = thing(scene), _when(scene)
    what += ("," if "," in what and _place(scene) else "") + _place(scene)
    moods = SUBJECTS[scene.subject].moods
    first = (
        f"{_capital(what)} {when}.",
        f"{_capital(when)}: {what}.",
        f"A picture of {what} {when}.",
    )[number(0, content_id, "opening", 3)]
    second = spanish(scene) if content_id % 6 == 0 else moods[number(0, content_id, "mood", len(moods))]
    return f"{first} {second}"


def hashtags(scene: Scene, content_id: int) -> tuple[str, ...]:
    """From three to six, lower-case."""
    words = SUBJECTS[scene.subject]
    tags = [scene.subject.replace("_", ""), words.es.replace("_", "")]
    tags += [theme.replace("_", "") for theme in words.themes]
    more = [
        _PLACES[scene.setting][2],
        scene.time,
        scene.colour,
        scene.weather if scene.weather != "clear" else "promptsales",
    ]
    first = number(0, content_id, "tags", len(more))
    tags += more[first:] + more[:first]
    return tuple(f"#{tag}" for tag in list(dict.fromkeys(tags))[: 3 + number(0, content_id, "how many tags", 4)])


def themes(scene: Scene) -> tuple[str, ...]:
    """Campaigns that it suits; what is snowy suits winter too."""
    own = SUBJECTS[scene.subject].themes
    return own if "winter" in own or scene.weather != "snow" else (*own, "winter")
