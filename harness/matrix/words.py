"""The words that the table's three forms share."""

from __future__ import annotations

from harness.matrix.levels import GIVEN
from harness.matrix.model import Row
from harness.vocabulary import PRODUCTS

LEGEND = "✓ prevented, ✗ came about, – not run (why: below), ? cut off, ! not as the scenario expects"
HOW = (
    "What the server did: b somebody waited, r somebody was refused, v a read saw an older version, "
    "o nothing could come in between"
)

ALL = "all its levels"
"""The only row of a server that was not there."""

SPANISH = {
    "asked for": "pedido",
    "given": "dado",
    ", same as ": ", igual que ",
    ", a stand-in for ": ", sustituto de ",
    ", in the place of ": ", en lugar de ",
    "none: less than": "ninguno: menos que",
    ", but G1a not tried": ", pero G1a sin probar",
    ALL: "todos sus niveles",
    "without transactions": "sin transacciones",
    "plain commands": "comandos sueltos",
    "Lua script": "script de Lua",
    "prevented, ✗ came about, – not run (why: below), ? cut off, ! not as the scenario expects": (
        "impedida, ✗ ocurrió, – no se ejecutó (por qué: abajo), ? cortado, ! no es lo que el escenario espera"
    ),
    "What the server did: b somebody waited, r somebody was refused, v a read saw an older version, "
    "o nothing could come in between": (
        "Lo que hizo el servidor: b alguien esperó, r alguien fue rechazado, v una lectura vio una versión anterior, "
        "o nada pudo interponerse"
    ),
}
"""What of a README's table is not said in the field's own terms."""


def server(row: Row) -> str:
    """``SecantusDB 0.7.0b3, a stand-in for MongoDB``."""
    name = f"{row.product} {row.version.partition(' ')[0]}"
    if row.stand_in:
        return f"{name}, a stand-in for {PRODUCTS.get(row.stand_in, row.stand_in)}"
    usual = PRODUCTS.get(row.engine, row.engine)
    return name if row.product == usual else f"{name}, in the place of {usual}"


def asked(row: Row) -> str:
    """The row's name, and what the server said that it is, if that is something else."""
    return f"{row.name} (the server says: {row.observed})" if row.observed else row.name


def given(row: Row) -> str:
    """The level that the anomalies tell, and whose other name the row's is."""
    same = f", same as {row.same_as}" if row.same_as else ""
    untried = [name for name in GIVEN.get(row.given, ()) if name not in row.cells]
    but = f", but {', '.join(untried)} not tried" if untried else ""
    return f"{row.given or 'too few were tried'}{same}{but}"
