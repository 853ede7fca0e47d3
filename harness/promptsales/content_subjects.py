"""What is said of each subject of a picture, in English and Spanish: {colour}, {count} and the like are filled in."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Words:
    """What is said of a subject, one of it or several; ``tag`` is its Spanish hashtag, of several words with ``_``."""

    one: str
    many: str
    spanish_one: str
    spanish_many: str
    tag: str
    themes: tuple[str, ...]
    moods: tuple[str, ...]


SUBJECTS = {
    "beach": Words(
        "a sandy beach with a palm tree and {a_colour} sun umbrella",
        "a sandy beach with {count} palm trees and {a_colour} sun umbrella",
        "Playa con una palmera y una sombrilla de color {colour}",
        "Playa con {count} palmeras y una sombrilla de color {colour}",
        "playa",
        (
            "summer",
            "travel",
        ),
        ("Holidays begin here.", "Nothing to do but listen to the waves."),
    ),
    "mountains": Words(
        "high mountains with snow on their peaks and {a_colour} tent at their foot",
        "high mountains with snow on their peaks and {count} {colour} tents at their foot",
        "Montañas nevadas con una tienda de campaña de color {colour}",
        "Montañas nevadas con {count} tiendas de campaña de color {colour}",
        "montañas",
        (
            "travel",
            "adventure",
        ),
        ("For everyone who sleeps best in a tent.", "Fresh air, and a long way up."),
    ),
    "city": Words(
        "a city skyline of tall buildings with {a_colour} bus passing by",
        "a city skyline of tall buildings with {count} {colour} buses passing by",
        "Ciudad de edificios altos con un autobús de color {colour}",
        "Ciudad de edificios altos con {count} autobuses de color {colour}",
        "ciudad",
        (
            "city_life",
            "travel",
        ),
        ("Downtown never stops.", "The next stop is yours."),
    ),
    "forest": Words(
        "a forest of tall trees with {a_colour} spotted mushroom beside the path",
        "a forest of tall trees with {count} {colour} spotted mushrooms beside the path",
        "Bosque con una seta de color {colour}",
        "Bosque con {count} setas de color {colour}",
        "bosque",
        (
            "nature",
            "adventure",
        ),
        ("A walk in the woods does wonders.", "Look closely, and tread softly."),
    ),
    "bicycle": Words(
        "{a_colour} bicycle",
        "{count} {colour} bicycles",
        "Una bicicleta de color {colour}",
        "{count} bicicletas de color {colour}",
        "bicicleta",
        (
            "sport",
            "sustainability",
        ),
        ("Leave the car at home.", "Two wheels are enough."),
    ),
    "car": Words(
        "{a_colour} car",
        "{count} {colour} cars",
        "Un coche de color {colour}",
        "{count} coches de color {colour}",
        "coche",
        (
            "motor",
            "travel",
        ),
        ("The road is open.", "Small outside, large inside."),
    ),
    "house": Words(
        "a little house with {a_colour} roof",
        "{count} little houses with {colour} roofs",
        "Una casita con tejado de color {colour}",
        "{count} casitas con tejados de color {colour}",
        "casa",
        ("home",),
        ("Come home.", "A place of your own."),
    ),
    "dog": Words(
        "{a_colour} dog with its tongue out",
        "{count} {colour} dogs with their tongues out",
        "Un perro de color {colour}",
        "{count} perros de color {colour}",
        "perro",
        ("pets",),
        ("The best friend one can have.", "It only wants to play."),
    ),
    "cat": Words(
        "{a_colour} cat sitting and looking at us",
        "{count} {colour} cats sitting and looking at us",
        "Un gato de color {colour}",
        "{count} gatos de color {colour}",
        "gato",
        ("pets",),
        ("It knows exactly what it wants.", "Purring is included."),
    ),
    "snowman": Words(
        "a snowman with a top hat, a carrot nose and {a_colour} scarf",
        "{count} snowmen with top hats, carrot noses and {colour} scarves",
        "Un muñeco de nieve con bufanda de color {colour}",
        "{count} muñecos de nieve con bufandas de color {colour}",
        "muñeco_de_nieve",
        (
            "winter",
            "christmas",
        ),
        ("Winter has its good sides.", "Built by many small hands."),
    ),
    "christmas_tree": Words(
        "a decorated Christmas tree with a star, lights and {colour} baubles, presents beneath it",
        "{count} decorated Christmas trees with stars, lights and {colour} baubles",
        "Un árbol de Navidad con luces y bolas de color {colour}",
        "{count} árboles de Navidad con luces y bolas de color {colour}",
        "árbol_de_navidad",
        (
            "christmas",
            "family",
        ),
        ("Merry Christmas to all of you.", "The most beautiful time of the year."),
    ),
    "airplane": Words(
        "a passenger airplane with {a_colour} tail in flight",
        "{count} passenger airplanes with {colour} tails in flight",
        "Un avión con cola de color {colour}",
        "{count} aviones con colas de color {colour}",
        "avión",
        ("travel",),
        ("Fasten your seat belts.", "Where shall we fly?"),
    ),
    "balloon": Words(
        "{a_colour} hot-air balloon floating",
        "{count} {colour} hot-air balloons floating",
        "Un globo aerostático de color {colour}",
        "{count} globos aerostáticos de color {colour}",
        "globo",
        (
            "adventure",
            "travel",
        ),
        ("See the world from above.", "As light as air."),
    ),
    "sailboat": Words(
        "{a_colour} sailing boat",
        "{count} {colour} sailing boats",
        "Un velero de color {colour}",
        "{count} veleros de color {colour}",
        "velero",
        (
            "summer",
            "sport",
        ),
        ("Wind in the sails.", "Cast off and leave it all behind."),
    ),
    "flowers": Words(
        "{a_colour} flower",
        "{count} {colour} flowers",
        "Una flor de color {colour}",
        "{count} flores de color {colour}",
        "flores",
        (
            "spring",
            "gifts",
        ),
        ("Say it with flowers.", "A greeting that lasts."),
    ),
    "football": Words(
        "a soccer ball with {colour} patches",
        "{count} soccer balls with {colour} patches",
        "Un balón de fútbol de color {colour}",
        "{count} balones de fútbol de color {colour}",
        "fútbol",
        ("sport",),
        ("Ninety minutes of happiness.", "The next goal is yours."),
    ),
    "coffee": Words(
        "{a_colour} cup of steaming coffee",
        "{count} {colour} cups of steaming coffee",
        "Una taza de café de color {colour}",
        "{count} tazas de café de color {colour}",
        "café",
        ("food",),
        ("Freshly brewed.", "The day can begin."),
    ),
    "pizza": Words(
        "a hot pizza with {topping}",
        "a hot pizza with {topping}, one slice already cut",
        "Una pizza con {topping}",
        "Una pizza con {topping}, ya cortada",
        "pizza",
        ("food",),
        ("Straight from the oven.", "Dinner is served."),
    ),
    "guitar": Words(
        "{a_colour} acoustic guitar",
        "{count} {colour} acoustic guitars",
        "Una guitarra de color {colour}",
        "{count} guitarras de color {colour}",
        "guitarra",
        ("music",),
        ("Six strings and a song.", "Play it again."),
    ),
    "cake": Words(
        "a birthday cake with {colour} icing and one burning candle",
        "a birthday cake with {colour} icing and {count} burning candles",
        "Un pastel de cumpleaños con una vela",
        "Un pastel de cumpleaños con {count} velas",
        "pastel",
        (
            "birthday",
            "food",
        ),
        ("Make a wish.", "Somebody grows a year older."),
    ),
    "gift": Words(
        "{a_colour} gift box with a ribbon and a bow",
        "{count} {colour} gift boxes with ribbons and bows",
        "Una caja de regalo de color {colour}",
        "{count} cajas de regalo de color {colour}",
        "regalo",
        (
            "gifts",
            "christmas",
        ),
        ("What may be inside?", "Wrapped with love."),
    ),
    "books": Words(
        "a stack of books, {colour} ones among them, with an open book on top",
        "a stack of {count} books, {colour} ones among them, with an open book on top",
        "Un montón de libros de color {colour}",
        "Un montón de {count} libros, algunos de color {colour}",
        "libros",
        (
            "culture",
            "back_to_school",
        ),
        ("One more chapter.", "Every page is a journey."),
    ),
    "laptop": Words(
        "an open laptop with {a_colour} sales chart on its screen",
        "{count} open laptops with {colour} sales charts on their screens",
        "Un ordenador portátil con un gráfico de color {colour}",
        "{count} ordenadores portátiles con gráficos de color {colour}",
        "portátil",
        (
            "technology",
            "work",
        ),
        ("Work where you like.", "The numbers go up."),
    ),
    "running_shoe": Words(
        "{a_colour} running shoe",
        "a pair of {colour} running shoes",
        "Una zapatilla de correr de color {colour}",
        "Un par de zapatillas de correr de color {colour}",
        "zapatilla",
        (
            "sport",
            "fashion",
        ),
        ("Run your own race.", "The first step is the hardest."),
    ),
}
