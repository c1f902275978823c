"""JSON as people have it: every value comes back, or the message names the file, the row and the way."""

import io
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow.parquet
import pytest

from engine.errors import InvalidInput
from engine.publishing.json.columns import Place
from engine.publishing.json.rows import scan
from engine.publishing.options import ReadOptions
from tests.helpers.engine import Engine
from tests.helpers.files import read_parquet


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    return Engine(tmp_path)


def filled(value: Any, like: Any) -> Any:
    """The value with null for each member that objects in its place have."""
    if isinstance(like, dict) and isinstance(value, dict):
        return {name: filled(value.get(name), inner) for name, inner in like.items()}
    if isinstance(like, list) and like and isinstance(value, list):
        return [filled(item, like[0]) for item in value]
    return value


OPTIONAL: dict[str, tuple[list[Any], Any]] = {
    "in an object": ([{"a": 1, "b": 2}, {"a": 1}, {"b": 3}, None], {"a": 0, "b": 0}),
    "in a list": ([[{"a": 1}, {"b": "x"}, None], [], [{"a": None}]], [{"a": 0, "b": 0}]),
    "deeper": ([{"a": {"b": [{"c": 1}]}}, {"a": {}}, {"a": {"b": [{"d": True}]}}], {"a": {"b": [{"c": 0, "d": 0}]}}),
}


@pytest.mark.parametrize("lines", [False, True])
@pytest.mark.parametrize("name", OPTIONAL)
def test_a_missing_member_is_null(engine: Engine, name: str, lines: bool) -> None:
    values, like = OPTIONAL[name]
    rows = [{"o": value} for value in values]
    text = "\n".join(map(json.dumps, rows)) if lines else json.dumps(rows)
    engine.publish(engine.write("rows.ndjson" if lines else "rows.json", text))
    wanted = [{"o": filled(value, like)} for value in values]
    assert engine.export_rows() == wanted
    assert read_parquet(engine.export_bytes("parquet")) == wanted


DECLARED = {
    "fields": [
        {
            "name": "o",
            "dataType": "OBJECT",
            "fields": [
                {"name": "n", "dataType": "NUMBER"},
                {"name": "days", "dataType": "ARRAY", "items": {"dataType": "DATE"}},
                {
                    "name": "l",
                    "dataType": "ARRAY",
                    "items": {"dataType": "OBJECT", "fields": [{"name": "ok", "dataType": "BOOLEAN"}]},
                },
            ],
        }
    ]
}


def test_declared_objects_may_lack_members(engine: Engine) -> None:
    first, second = {"n": "1.5", "l": [{"ok": "true"}, {}]}, {"days": ["2024-02-29", None]}
    rows: list[dict[str, object]] = [{"o": first}, {"o": second}, {}]
    schema = engine.write("schema.json", json.dumps(DECLARED))
    engine.publish(engine.write_json(rows), schema=schema)
    assert engine.export_rows() == [
        {"o": {"n": 1.5, "days": None, "l": [{"ok": True}, {"ok": None}]}},
        {"o": {"n": None, "days": ["2024-02-29", None], "l": None}},
        {"o": None},
    ]


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"x": 1}, "o has the member 'x'"),
        ({"l": [{"ok": True, "y": 1}]}, r"o.l\[\] has the member 'y'"),
        ({"l": {"ok": True}}, "o is OBJECT, and the rows have objects at o.l"),
        ([1], "o is OBJECT, and the rows have lists"),
        ({"n": "many"}, "o"),
        ({"days": ["2024-02-30"]}, "2024-02-30"),
        ({"l": [{"ok": 1}]}, "o"),
    ],
    ids=str,
)
def test_what_the_declaration_does_not_hold_is_refused(engine: Engine, value: Any, message: str) -> None:
    schema = engine.write("schema.json", json.dumps(DECLARED))
    with pytest.raises(InvalidInput, match=message):
        engine.publish(engine.write_json([{"o": None}, {"o": value}]), schema=schema)


def test_a_column_of_scalars_of_several_kinds_is_text_as_it_is_written(engine: Engine) -> None:
    cells = ["19.99", '"N/A"', '"12.50"', "12.50", "1E5", "-0.0", "-0", "true", "null", "9007199254740993", "1e400"]
    text = ",".join(f'{{"price": {cell}, "n": 1.10}}' for cell in cells)
    notes = engine.publish(engine.write("rows.json", f"[{text}]")).notes
    wanted = [None if cell == "null" else cell.strip('"') for cell in cells]
    assert [row["price"] for row in engine.export_rows()] == wanted
    assert [row["n"] for row in engine.export_rows()] == [1.1] * len(cells)
    assert engine.export_bytes("csv").decode().splitlines()[1:3] == ["19.99,1.1", "N/A,1.1"]
    assert ["price is text" in note for note in notes] == [True]


@pytest.mark.parametrize("declared", [False, True])
def test_numbers_that_are_text_keep_their_digits(engine: Engine, declared: bool) -> None:
    options: Any = {"schema": engine.write_schema(p="STRING")} if declared else {}
    engine.publish(engine.write("rows.json", '[{"p": 1.10}, {"p": "x"}]'), **options)
    assert engine.export_rows() == [{"p": "1.10"}, {"p": "x"}]


def test_a_whole_minus_zero_is_text_as_it_is_written(engine: Engine) -> None:
    engine.publish(engine.write("rows.json", '[{"p": -0, "n": -0}, {"p": "x", "n": 1}]'))
    assert engine.export_rows() == [{"p": "-0", "n": 0}, {"p": "x", "n": 1}]


@pytest.mark.parametrize("zero", ["0e99999999999999999999", "0.0E-99999999999999999999"])
def test_a_zero_may_have_any_exponent(engine: Engine, zero: str) -> None:
    engine.publish(engine.write("rows.json", f'[{{"p": {zero}}}, {{"p": 1.5}}]'))
    assert engine.export_rows() == [{"p": 0.0}, {"p": 1.5}]


def test_numbers_are_exact(engine: Engine) -> None:
    text = (
        '[{"big": 9223372036854775808, "long": 9007199254740993, "all": 0.1, "id": 1%s, "far": 0.12345678901234567891}]'
    )
    engine.publish(engine.write("rows.json", text % ("0" * 45)))
    (row,) = json.loads(engine.export_bytes("json"), parse_float=Decimal)
    assert row == {
        "big": 2**63,
        "long": 2**53 + 1,
        "all": Decimal("0.1"),
        "id": str(10**45),
        "far": "0.12345678901234567891",
    }


@pytest.mark.parametrize("number", ["1e400", "9007199254740993", "1152921504606846976", "18446744073709551615"])
def test_numbers_that_a_double_would_change_beside_fractions_are_text(engine: Engine, number: str) -> None:
    run = engine.publish(engine.write("rows.json", f'[{{"p": 0.50}}, {{"p": {number}}}, {{"p": null}}]'))
    assert engine.export_rows() == [{"p": "0.50"}, {"p": number}, {"p": None}]
    assert run.notes[0].startswith("p is text, each value as it is written: it has numbers and ")


def test_a_number_that_is_rounded_within_an_object_is_reported(engine: Engine) -> None:
    notes = engine.publish(engine.write("rows.json", '[{"at": {"x": 0.12345678901234567891}}]')).notes
    assert len(notes) == 1
    assert "at has numbers with more digits" in notes[0]


FAULTS: dict[str, tuple[str, str]] = {
    '[{"a": 1},\n{"a": ]}]': (".json", "rows.json, line 2: not JSON at character 7"),
    '[{"a": 1},]': (".json", "rows.json, line 1: not JSON at character 11: .*the comma before it is one too many"),
    "[{'a': 1}]": (".json", "not JSON at character 3: .*double quotes"),
    '{"a": 1}\n# x\n{"a": 2}': (".ndjson", "rows.ndjson, line 2: not JSON at character 1: .*no comments"),
    '[{"a": 1} // x\n]': (".json", "rows.json, line 1: .*no comments"),
    '\x1e{"type": "Feature"}\n': (".geojson", "rows.geojson, line 1: .*text sequence.*: remove"),
    '{"type": "Feature"}\n' * 2: (".geojson", "no GeoJSON FeatureCollection: .* 'Feature'.*--format ndjson"),
    '{"type": "FeatureCollection", "features": [{"id": 1}]}': (".json", r"--json-path features \(or --format geojson"),
    "[{}, {}]": (".json", "The files have no columns: declare"),
    '{"a": 1}\n{"a": 2}\n{"a"': (".ndjson", "rows.ndjson, line 3: the file ends"),
    '[{"a": 1}, {"a": 2}': (".json", "rows.json, line 1: .*end of the file"),
    '[{"a": 1}] {"a": 2}': (".json", "more after the end of the list"),
    '[{"a": 1} {"a": 2}]': (".json", "','"),
    '[{"a": 1},\n\n{"b": 2, "b": 3}]': (".json", r"rows.json, row 2 \(line 3\): .* 'b' twice"),
    '[{"a": {"b": [{"c": 1, "c": 1}]}}]': (".json", "'c' twice"),
    '{"a": "x"}\n{"a": "\\ud800"}': (".ndjson", r"row 2 \(line 2\): .*surrogate"),
    '{"a": "\\ude00\\ud83d"}': (".ndjson", "surrogate"),
    '[{"a": 1}, null]': (".json", "row 2 .* is null"),
    '[{"a": 1}, 7]': (".json", "row 2 .* is a number"),
    '[[{"a": 1}]]': (".json", "row 1 .* is a list"),
    '[{"a": "x\ty"}]': (".json", "at character 10: Invalid control character.$"),
    '[{"a": [NaN, "x"]}]': (".json", "NaN"),
    '[{"a": 1}, {"a": ' + "[" * 300 + "]" * 300 + "}]": (".json", "row 2 .*nested deeper than 200"),
    '[{"a": ' + "[" * 100_000 + "]" * 100_000 + "}]": (".json", "nested deeper than 200"),
}


@pytest.mark.parametrize("text", FAULTS, ids=lambda text: str(text)[:40])
def test_a_fault_is_named_with_its_place(engine: Engine, text: str) -> None:
    suffix, message = FAULTS[text]
    with pytest.raises(InvalidInput, match=message):
        engine.publish(engine.write(f"rows{suffix}", text))


def test_a_fault_behind_megabytes_has_its_line(engine: Engine) -> None:
    good = json.dumps({"a": "x" * 1000}) + "\n"
    with pytest.raises(InvalidInput, match="line 5,001: not JSON"):
        engine.publish(engine.write("rows.ndjson", good * 5_000 + "{'a': 1}\n" + good))


@pytest.mark.parametrize("length", [2**20 - 20, 2**20, 5 * 2**20])
def test_long_rows_are_read_whole(engine: Engine, length: int) -> None:
    rows: list[dict[str, object]] = [{"n": n, "a": f"é{n}" + "x" * length} for n in range(2)]
    engine.publish(engine.write("rows.json", json.dumps(rows, ensure_ascii=False)))
    assert engine.export_rows() == rows


def test_a_row_longer_than_duckdb_reads_by_itself_is_published(engine: Engine) -> None:
    value = "x" * (17 * 2**20)
    run = engine.publish(engine.write_json([{"a": value}]))
    table = pyarrow.parquet.read_table(io.BytesIO(engine.store.read(run.parts[0].key)), columns=["a"])
    assert table.to_pylist() == [{"a": value}]


@pytest.mark.parametrize("depth", [5, 20, 60])
def test_lists_in_lists_come_back(engine: Engine, depth: int) -> None:
    value: Any = 1.5
    for _ in range(depth):
        value = [value]
    rows = [{"a": value}, {"a": None}]
    engine.publish(engine.write_json(rows))
    assert engine.export_rows() == rows


def test_a_thousand_number_columns_come_back(engine: Engine) -> None:
    rows = [{f"c{n}": n / 2 + row for n in range(1_000)} for row in range(3)]
    engine.publish(engine.write_json(rows))
    assert engine.export_rows() == rows


def test_an_object_whose_names_are_data_stays_json(engine: Engine) -> None:
    rows: list[dict[str, object]] = [{"m": {f"k{n}": n, f"l{n}": None}} for n in range(2_000)]
    run = engine.publish(engine.write("rows.ndjson", "\n".join(map(json.dumps, rows))))
    assert run.table.fields[1].type.sql() == "JSON"
    assert engine.export_rows() == rows


ODD = ["a.b", 'q"', "it's", "sp ace", "é😀", "$", "x\\y", "select", "c" * 300, "\t", "{}", "[0]", "*"]


def test_odd_names_come_back(engine: Engine) -> None:
    rows: list[dict[str, object]] = [{name: {name: [{name: 1}], "": None, "A": 1, "a": 2} for name in ODD}]
    engine.publish(engine.write_json(rows))
    assert engine.export_rows() == rows


def test_columns_that_differ_in_case_can_be_renamed(engine: Engine) -> None:
    file = engine.write("rows.json", '[{"_id": 1, "A": 1.5, "a": 2, "": 3}]')
    engine.publish(file, options=ReadOptions(rename={"_id": "id", "A": "B", "": "none"}))
    assert engine.export_rows() == [{"id": 1, "B": 1.5, "a": 2, "none": 3}]


@pytest.mark.parametrize("name", ["rows.json", "rows.ndjson", "rows.jsonl", "rows", "rows.txt"])
@pytest.mark.parametrize(
    "text",
    [
        '[{"a": 1}, {"a": 2}]',
        '{"a": 1}\n{"a": 2}\n',
        '{"a": 1} {"a": 2}',
        '\n\n{\n"a":\n1}\r\n{"a": 2}',
        '\ufeff[{"a": 1}, {"a": 2}]',
    ],
    ids=["list", "lines", "one line", "pretty", "mark"],
)
def test_rows_are_read_whatever_the_name(engine: Engine, name: str, text: str) -> None:
    engine.publish(engine.write(name, text))
    assert engine.export_rows() == [{"a": 1}, {"a": 2}]


@pytest.mark.parametrize("encoding", ["utf-16", "cp1252", "utf-8-sig"])
def test_an_encoding_can_be_named(engine: Engine, encoding: str) -> None:
    file = engine.write("rows.json", '[{"a": "é€"}]'.encode(encoding))
    engine.publish(file, options=ReadOptions(encoding=encoding))
    assert engine.export_rows() == [{"a": "é€"}]


@pytest.mark.parametrize("name", ["rows.json", "rows.ndjson"])
def test_a_byte_order_mark_names_the_encoding(engine: Engine, name: str) -> None:
    engine.publish(engine.write(name, '{"a": "é€"}\n{"a": "x"}\n'.encode("utf-16")))
    assert engine.export_rows() == [{"a": "é€"}, {"a": "x"}]


def test_another_encoding_is_refused_with_the_option(engine: Engine) -> None:
    with pytest.raises(InvalidInput, match=r"rows.json, line 2: .*--encoding"):
        engine.publish(engine.write("rows.json", b'[{"a": "x"},\n{"a": "\xe9"}]'))


@pytest.mark.parametrize("encoding", ["base64", "no-such-encoding"])
def test_an_encoding_that_is_none_of_text_is_refused(engine: Engine, encoding: str) -> None:
    with pytest.raises(InvalidInput, match=f"Unknown encoding '{encoding}': use utf-8"):
        engine.publish(engine.write_json([{"a": 1}]), options=ReadOptions(encoding=encoding))


@pytest.mark.parametrize("content", ['{"a": 1}', '{"é": 1}'])
def test_utf_16_without_its_mark_is_named(engine: Engine, content: str) -> None:
    file = engine.write("rows.ndjson", content.encode("utf-16-be"))
    with pytest.raises(InvalidInput, match=r"rows.ndjson, line 1: .*--encoding"):
        engine.publish(file)
    with pytest.raises(InvalidInput, match=r"rows.ndjson, line 1: not UTF-16 text"):
        engine.publish(file, options=ReadOptions(encoding="utf-16"))
    assert engine.publish(file, options=ReadOptions(encoding="utf-16-be")).rows == 1


def test_rows_within_a_document(engine: Engine) -> None:
    rows: list[dict[str, object]] = [{"a": 1, "b": {"c": 1.5}}, {"a": 2, "b": None}]
    document = {"took": 3, "data": {"items": rows, "ids": [1, 2]}, "next": None}
    file = engine.write("rows.json", json.dumps(document, indent=1))
    with pytest.raises(InvalidInput, match=r"--json-path data.items\."):
        engine.publish(file)
    with pytest.raises(InvalidInput, match="data has no member 'rows'; its members: 'items', 'ids'"):
        engine.publish(file, options=ReadOptions(json_path="data.rows"))
    with pytest.raises(InvalidInput, match="data is not a list"):
        engine.publish(file, options=ReadOptions(json_path="data"))
    engine.publish(file, options=ReadOptions(json_path="data.items"))
    assert engine.export_rows() == rows


def test_several_lists_are_named(engine: Engine) -> None:
    file = engine.write("rows.json", json.dumps({"x": [{"a": 1}], "y.z": {"w": [{"b": 2}]}, "n": [1]}))
    with pytest.raises(InvalidInput, match=r"x, y\.z\.w\."):
        engine.publish(file)
    engine.publish(file, options=ReadOptions(json_path="y.z.w"))
    assert engine.export_rows() == [{"b": 2}]


def test_one_object_without_lists_is_one_row(engine: Engine) -> None:
    engine.publish(engine.write("rows.json", '{"a": {"b": [1]}}'))
    assert engine.export_rows() == [{"a": {"b": [1]}}]


def _point(*coordinates: float) -> dict[str, Any]:
    return {"type": "Point", "coordinates": list(coordinates)}


FEATURES: list[dict[str, Any]] = [
    {"type": "Feature", "id": 7, "properties": {"name": "A", "n": 1}, "geometry": _point(1.5, 2)},
    {"type": "Feature", "geometry": _point(0.25, -3.5), "properties": {"name": "B"}},
    {"type": "Feature", "geometry": None, "properties": None},
]


def test_the_features_of_geojson_are_rows(engine: Engine) -> None:
    collection = {"type": "FeatureCollection", "name": "places", "features": FEATURES}
    notes = engine.publish(engine.write("places.geojson", json.dumps(collection))).notes
    assert engine.export_rows() == [
        {"name": "A", "n": 1, "id": 7, "geometry": {"type": "Point", "coordinates": [1.5, 2.0]}},
        {"name": "B", "n": None, "id": None, "geometry": {"type": "Point", "coordinates": [0.25, -3.5]}},
        {"name": None, "n": None, "id": None, "geometry": None},
    ]
    assert list(notes) == ["Not part of the rows, and left out: name."]


_FEATURE = '{"type": "Feature", "properties": {"a": 1}, "geometry": null}'
_TWICE = _FEATURE.replace("1", '1, "a": 2')


@pytest.mark.parametrize(
    ("members", "message"),
    [
        (f'"features": [{_FEATURE}], "features": []', "'features' twice"),
        (f'"features": [{_FEATURE.replace("1}", "1, " + chr(34) + "a" + chr(34) + ": 2}")}]', "feature 1 .* 'a' twice"),
        (f'"features": [{_FEATURE[:-1]}, "geometry": 2}}]', "feature 1 .* 'geometry' twice"),
    ],
)
def test_a_member_of_geojson_that_is_there_twice_is_refused(engine: Engine, members: str, message: str) -> None:
    file = engine.write("places.geojson", f'{{"type": "FeatureCollection", {members}}}')
    with pytest.raises(InvalidInput, match=message):
        engine.publish(file)


def test_a_list_of_rows_that_is_there_twice_is_refused(engine: Engine) -> None:
    file = engine.write("rows.json", '{"data": [{"a": 1}], "data": [{"a": 2}]}')
    with pytest.raises(InvalidInput, match="'data' twice"):
        engine.publish(file, options=ReadOptions(json_path="data"))


def test_a_property_that_hides_a_member_of_its_feature_is_refused(engine: Engine) -> None:
    features = [{"type": "Feature", "properties": {"id": 1}, "id": 2, "geometry": None}]
    file = engine.write("places.geojson", json.dumps({"type": "FeatureCollection", "features": features}))
    with pytest.raises(InvalidInput, match="--json-path features"):
        engine.publish(file)
    engine.publish(file, options=ReadOptions(json_path="features"))
    assert engine.export_rows() == [{**features[0], "geometry": None}]


@pytest.mark.parametrize(
    ("text", "layout"),
    [
        ('{"a": 1}\n\n{"a": 2}\r\n', "newline_delimited"),
        ('{"a": 1} {"a": 2}', "unstructured"),
        ('{"a": 1}\n{"a":\n2}', "unstructured"),
        ('[{"a": 1},\n{"a": 2}]', "array"),
    ],
)
def test_the_layout_is_found(tmp_path: Path, text: str, layout: str) -> None:
    file = tmp_path / "rows"
    file.write_text(text)
    assert scan(file, file.name, Place(), may_be_document=False).layout == layout
