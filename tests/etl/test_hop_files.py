"""What lies in etl/: files that Hop opens, without secrets, whose SQL is never put together from values."""

import json
import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

from harness.etl.hop import FOLDER, Hop
from harness.etl.hop_pictures import draw, files, stale
from harness.etl.model import SOURCES
from harness.schemas import files as schema_files

pytestmark = pytest.mark.etl

PIPELINES = {path.stem: ElementTree.parse(path) for path in sorted((FOLDER / "pipelines").glob("*.hpl"))}
WORKFLOWS = {path.stem: ElementTree.parse(path) for path in sorted((FOLDER / "workflows").glob("*.hwf"))}
METADATA = {path: json.loads(path.read_text("utf-8")) for path in sorted((FOLDER / "metadata").rglob("*.json"))}
STATEMENTS = {"promptads": "${PROMPTADS_CHANGES}", "promptcrm": "${PROMPTCRM_CHANGES}"}
"""The only SQL that is a variable: the whole statement, which is another one on SQL Server."""


def transforms(name: str, kind: str = "") -> list[ElementTree.Element]:
    found = PIPELINES[name].getroot().findall("transform")
    return [one for one in found if not kind or one.findtext("type") == kind]


def test_there_is_a_pipeline_for_each_source() -> None:
    assert set(PIPELINES) == {*SOURCES, "begin", "merge", "fail"}
    assert set(WORKFLOWS) == {"delta", "read", "merge", "every11"}


@pytest.mark.parametrize("name", PIPELINES)
def test_pipelines_are_drawn_and_hang_together(name: str) -> None:
    names = [one.findtext("name") for one in transforms(name)]
    assert len(set(names)) == len(names)
    places = {(one.findtext("GUI/xloc"), one.findtext("GUI/yloc")) for one in transforms(name)}
    assert len(places) == len(names)  # nothing lies on something else
    hops = [(one.findtext("from"), one.findtext("to")) for one in PIPELINES[name].getroot().findall("order/hop")]
    assert {end for hop in hops for end in hop} == set(names)
    for one in transforms(name):  # what a transform asks for leads to it
        if lookup := one.findtext("lookup"):
            assert (lookup, one.findtext("name")) in hops
        targets = [case.findtext("target_transform") for case in one.findall("cases/case")]
        targets += filter(None, [one.findtext("default_target_transform")])
        assert {(one.findtext("name"), target) for target in targets} <= set(hops)


@pytest.mark.parametrize("name", WORKFLOWS)
def test_workflows_are_drawn_and_hang_together(name: str) -> None:
    root = WORKFLOWS[name].getroot()
    names = [one.findtext("name") for one in root.findall("actions/action")]
    assert len(set(names)) == len(names)
    hops = [(one.findtext("from"), one.findtext("to")) for one in root.findall("hops/hop")]
    assert {end for hop in hops for end in hop} == set(names)
    for one in root.findall("actions/action"):
        file = (one.findtext("filename") or "").replace("${PROJECT_HOME}", str(FOLDER))
        for source in SOURCES if "${SOURCE}" in file else [""]:
            assert not file or Path(file.replace("${SOURCE}", source)).is_file()


def test_sources_are_read_and_merged_in_their_order() -> None:
    actions = WORKFLOWS["delta"].getroot().findall("actions/action")
    for file in ("read", "merge"):
        called = [one for one in actions if (one.findtext("filename") or "").endswith(f"/{file}.hwf")]
        assert [one.findtext("parameters/parameter/value") for one in called] == list(SOURCES)


def test_statements_are_bound_not_put_together() -> None:
    asked = 0
    for name in PIPELINES:
        for one in transforms(name, "TableInput"):
            sql, active = one.findtext("sql") or "", one.findtext("variables_active")
            if sql == STATEMENTS.get(name):
                assert (active, bool(one.findtext("lookup"))) == ("Y", True)
            else:
                assert (active, "$" in sql) == ("N", False), sql
            assert sql.count("?") == 0 or one.findtext("lookup"), sql
            asked += 1
    for name in WORKFLOWS:
        for sql in WORKFLOWS[name].getroot().iter("custom_sql"):
            assert "$" not in (sql.text or "")
    assert asked > 8


def test_no_secret_is_in_any_file() -> None:
    for path, said in METADATA.items():
        for secret in re.findall(r'"(\w*[pP]assword)": "([^"]*)"', json.dumps(said)):
            assert re.fullmatch(r"\$\{\w+\}", secret[1]), path
    for path in FOLDER.rglob("*"):
        if path.suffix in {".hpl", ".hwf", ".json"}:
            text = path.read_text("utf-8")
            assert "Encrypted " not in text, path  # how Hop writes a password that it was told
            assert not re.search(r"://[^/${}\s\"]+:[^/@${}\s\"]+@", text), path


def test_variables_that_metadata_names_are_made() -> None:
    from harness.etl.connections import variables
    from harness.servers.urls import make_target

    urls = {
        "promptsales": "postgresql://u:p@127.0.0.1:1/promptsales",
        "promptads": "postgresql://u:p@127.0.0.1:1/promptads",
        "promptcrm": "sqlserver://u:p@127.0.0.1:1/promptcrm",
        "promptcontent": "mongodb://127.0.0.1:1/",
        "cache": "redis://:p@127.0.0.1:1/0",
    }
    made = variables({name: make_target(name, url, "external") for name, url in urls.items()})
    text = "".join(path.read_text("utf-8") for path in FOLDER.rglob("*") if path.suffix in {".hpl", ".hwf", ".json"})
    named = set(re.findall(r"\$\{(\w+)\}", text)) | set(re.findall(r'getVariable\("(\w+)"', text))
    assert named - {"PROJECT_HOME", "ROUND", "SOURCE", "FAILED", "CACHE_STREAM"} == set(made)
    for name in ("PROMPTADS_CONNECTION", "PROMPTCRM_CONNECTION"):
        assert (FOLDER / "metadata/rdbms" / f"{made[name]}.json").is_file()


def test_every_staging_table_is_loaded_with_its_columns() -> None:
    sql = "\n".join(
        path.read_text("utf-8")
        for path in Path(schema_files.__file__).parents[2].glob("schemas/promptsales/postgresql/*.sql")
    )
    tables = {
        table: {line.split()[0] for line in re.split(r",\s*(?![^()]*\))", body)}
        for table, body in re.findall(r"CREATE UNLOGGED TABLE staging\.(\w+) \((.*?)\);", _uncommented(sql), re.DOTALL)
    }
    loaded: dict[str, set[str]] = {}
    for name in PIPELINES:
        for one in transforms(name, "PGBulkLoader"):
            assert (one.findtext("schema"), one.findtext("load_action")) == ("staging", "INSERT")
            columns = {mapping.findtext("stream_name") or "" for mapping in one.findall("mapping")}
            loaded.setdefault(one.findtext("table") or "", set()).update(columns)
    theirs = {"campaign", "ad", "metric_day", "client", "sale", "interaction", "content", "activity", "source_window"}
    assert loaded == {table: tables[table] for table in theirs}  # the others are the merge's own


def _uncommented(sql: str) -> str:
    return re.sub(r"--[^\n]*", "", sql)


def test_pictures_are_of_these_files() -> None:
    assert stale() == []


def test_a_changed_file_has_a_stale_picture(tmp_path: Path) -> None:
    file = tmp_path / "a.hpl"
    file.write_bytes((FOLDER / "pipelines" / "begin.hpl").read_bytes())
    assert "no picture" in stale(tmp_path)[0]
    picture = file.with_suffix(".svg")
    picture.write_bytes((FOLDER / "pipelines" / "begin.svg").read_bytes())
    assert stale(tmp_path) == []
    file.write_text(file.read_text("utf-8").replace("112", "128"), "utf-8")
    assert "has changed" in stale(tmp_path)[0]
    file.unlink()
    assert "no file" in stale(tmp_path)[0]


def test_hop_draws_the_same_pictures(hop: Hop) -> None:
    drawn = draw(hop)
    assert len(drawn) == len(files())
    for picture, text in drawn.items():
        assert _shape(text) == _shape(picture.read_text("utf-8")), picture.name


def _shape(svg: str) -> list[str]:
    """What is written in a picture, in order: places depend on the fonts of a machine."""
    return re.findall(r">([^<>\n]*\w[^<>\n]*)</text>", svg)
