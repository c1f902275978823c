"""Queries and bodies become export requests, or are refused with the name of the parameter."""

import json
import tracemalloc
from decimal import Decimal
from urllib.parse import quote, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import InvalidFilter, InvalidRequest
from engine.request.formats import COMPRESSIONS, FORMATS
from engine.request.operators import OPERATORS
from engine.request.request import CsvOptions, ExportRequest, Filter
from web.api.parameters import PARAMETERS, make_request, read_body, read_query


def from_query(raw_query: bytes) -> ExportRequest:
    return make_request("people", read_query(raw_query))


def from_body(body: bytes) -> ExportRequest:
    return make_request("people", read_body(body))


def encoded(**values: str) -> bytes:
    return urlencode(values).encode()


@pytest.mark.parametrize("query", [b"", b"&", b"&&"])
def test_an_empty_query_has_the_defaults(query: bytes) -> None:
    assert from_query(query) == ExportRequest("people")


@pytest.mark.parametrize("body", [b"", b" \r\n", b"{}"])
def test_an_empty_body_has_the_defaults(body: bytes) -> None:
    assert from_body(body) == ExportRequest("people")


ENTRIES = [
    {"field": "näme & co", "operator": "EQUALS", "value": "a=b;c+d"},
    {"field": "price", "operator": "GREATER_THAN", "value": 0.5},
]
FULL = ExportRequest(
    "people",
    run="run-1",
    format=FORMATS["csv"],
    filters=(
        Filter("filters[0]", "näme & co", OPERATORS["EQUALS"], "a=b;c+d"),
        Filter("filters[1]", "price", OPERATORS["GREATER_THAN"], Decimal("0.5")),
    ),
    sort_by="näme & co",
    descending=True,
    row_ids=("b", "a"),
    include_row_ids=True,
    fields=("b.c", "a"),
    flatten=True,
    compression=COMPRESSIONS["zstd"],
    since_run="run-0",
    csv=CsvOptions(bom=True, delimiter="semicolon", formula_guard=True),
)


def test_a_query_and_a_body_with_every_parameter_are_the_same_request() -> None:
    query = encoded(
        format="csv",
        runId="run-1",
        sinceRunId="run-0",
        filters=json.dumps(ENTRIES),
        sortBy="näme & co",
        order="desc",
        rowIds="b,a,b",
        includeRowIds="true",
        fields="b.c,a",
        flatten="true",
        bom="true",
        delimiter="semicolon",
        formulaGuard="true",
        expiresIn="3600",
        compression="zstd",
    )
    body = {
        "format": "csv",
        "runId": "run-1",
        "sinceRunId": "run-0",
        "filters": ENTRIES,
        "sortBy": "näme & co",
        "order": "desc",
        "rowIds": ["b", "a", "b"],
        "includeRowIds": True,
        "fields": ["b.c", "a"],
        "flatten": True,
        "bom": True,
        "delimiter": "semicolon",
        "formulaGuard": True,
        "expiresIn": 3600,
        "compression": "zstd",
    }
    assert from_query(query) == FULL
    assert from_body(json.dumps(body).encode()) == FULL
    assert set(body) == set(PARAMETERS)


@pytest.mark.parametrize("name", PARAMETERS)
@pytest.mark.parametrize("second", ["", "x"])
def test_a_repeated_parameter_is_refused(name: str, second: str) -> None:
    with pytest.raises(InvalidRequest, match=f"Duplicate parameter '{name}'") as caught:
        read_query(f"{name}=x&{name}={second}".encode())
    assert caught.value.parameter == name


def test_a_parameter_repeated_in_another_encoding_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="Duplicate parameter 'format'"):
        read_query(b"format=csv&%66ormat=csv")


def test_a_parameter_repeated_in_a_body_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="the duplicate name 'format'") as caught:
        read_body(b'{"format": "csv", "format": "json"}')
    assert caught.value.parameter == "body"


def test_a_long_unknown_name_takes_no_more_memory_than_its_body() -> None:
    body = b'{"%b": 1}' % (b"a" * 8_000_000)
    tracemalloc.start()
    try:
        with pytest.raises(InvalidRequest, match="the parameters are format"):
            read_body(body)
        assert tracemalloc.get_traced_memory()[1] < 5 * len(body)
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("Format", "did you mean format?"),
        ("sortby", "did you mean sortBy?"),
        ("runid", "did you mean runId?"),
        ("filter", "did you mean filters?"),
        ("rowIds[]", "did you mean rowIds?"),
        ("includeRowId", "did you mean includeRowIds?"),
        ("zzz", "the parameters are format, runId, sinceRunId,"),
        ("", "the parameters are format"),
        ("näme", "the parameters are format"),
    ],
)
def test_an_unknown_parameter_gets_a_hint(name: str, hint: str) -> None:
    for read, text in ((read_query, f"{quote(name)}=1"), (read_body, json.dumps({name: 1}))):
        with pytest.raises(InvalidRequest) as caught:
            read(text.encode())
        assert caught.value.code == "invalid_parameter"
        assert caught.value.parameter == name
        assert repr(name) in caught.value.message
        assert hint in caught.value.message


def test_a_long_unknown_name_is_truncated_in_the_error() -> None:
    with pytest.raises(InvalidRequest) as caught:
        read_query(b"x" * 60_000 + b"=1")
    assert caught.value.parameter == "x" * 100
    assert len(caught.value.message) < 300


@pytest.mark.parametrize(
    "query",
    [
        b"\xff=1",
        "runId=é".encode(),
        b"runId=%ff",
        b"runId=%C0%AF",
        b"runId=%ED%A0%80",
        b"%ff=1",
        b"&".join([b"a=1"] * 65),
        b"&" * 65,
    ],
    ids=["raw byte", "raw UTF-8", "lone byte", "overlong", "surrogate", "name", "65 parameters", "65 of nothing"],
)
def test_a_query_that_is_not_url_encoded_utf8_is_refused(query: bytes) -> None:
    with pytest.raises(InvalidRequest, match="URL-encoded UTF-8 with at most 64") as caught:
        read_query(query)
    assert caught.value.parameter == "query"


FILTERS: dict[str, tuple[str, str]] = {
    "empty": ("", "not JSON"),
    "not JSON": ("price>5", "not JSON"),
    "cut": ('[{"field": "a"', "not JSON"),
    "single quotes": ("[{'field': 'a'}]", "not JSON"),
    "byte order mark": ("\ufeff[]", "not JSON"),
    "NaN": ('[{"field": "a", "operator": "EQUALS", "value": NaN}]', "NaN, which is not a JSON value"),
    "-Infinity": ("[-Infinity]", "-Infinity, which is not a JSON value"),
    "number out of range": ('[{"field": "a", "operator": "EQUALS", "value": 1e99999999999999999999}]', "out of range"),
    "number that would fill the memory": (
        '[{"field": "a", "operator": "EQUALS", "value": 1e999999999}]',
        "out of range",
    ),
    "deep": ("[" * 17 + "]" * 17, "nested too deeply"),
    "very deep": ("[" * 50_000, "nested too deeply"),
    "duplicate names": ('[{"field": "a", "field": "b", "operator": "IS_NULL"}]', "duplicate name 'field'"),
    "lone surrogate": ('[{"field": "\\ud800", "operator": "IS_NULL"}]', "lone surrogate"),
    "object": ("{}", "JSON array"),
    "text": ('"a"', "JSON array"),
    "number": ("1", "JSON array"),
    "false": ("false", "JSON array"),
    "encoded twice": (quote("[]"), "not JSON"),
    "too many": (json.dumps([{"field": "a", "operator": "IS_NULL"}] * 101), "101 entries"),
    "entry is no object": ("[1]", r"filters\[0\]"),
    "entry is null": ('[{"field": "a", "operator": "IS_NULL"}, null]', r"filters\[1\]"),
    "unknown member": ('[{"field": "a", "operator": "IS_NULL", "or": []}]', "unknown member 'or'"),
    "no field": ('[{"operator": "IS_NULL"}]', "field must be the name of a column"),
    "empty field": ('[{"field": "", "operator": "IS_NULL"}]', "field must be the name of a column"),
    "unknown operator": ('[{"field": "a", "operator": "equals", "value": 1}]', "unknown operator 'equals'"),
    "no operator": ('[{"field": "a", "value": 1}]', r"filters\[0\]: operator is missing; use one of EQUALS"),
    "operator is a list": ('[{"field": "a", "operator": ["EQUALS"], "value": 1}]', "unknown operator"),
    "value missing": ('[{"field": "a", "operator": "EQUALS"}]', "needs a value"),
    "value not expected": ('[{"field": "a", "operator": "IS_NULL", "value": 1}]', "takes no value"),
}


@pytest.mark.parametrize(("text", "problem"), FILTERS.values(), ids=FILTERS.keys())
def test_malformed_filters_are_refused_with_the_reason(text: str, problem: str) -> None:
    with pytest.raises(InvalidFilter, match=problem) as caught:
        from_query(encoded(filters=text))
    assert caught.value.code == "invalid_filter"
    assert caught.value.parameter == "filters"
    assert len(caught.value.message) < 700


@pytest.mark.parametrize("name", PARAMETERS)
def test_null_is_refused_rather_than_ignored(name: str) -> None:
    with pytest.raises(InvalidRequest, match=f"{name} must not be null: leave it out"):
        read_body(json.dumps({name: None}).encode())


@pytest.mark.parametrize("text", ["[]", " [ ] "])
def test_an_empty_list_of_filters_is_valid(text: str) -> None:
    assert from_query(encoded(filters=text)) == ExportRequest("people")


def test_filters_as_text_in_a_body_are_refused() -> None:
    with pytest.raises(InvalidFilter, match="JSON array"):
        from_body(b'{"filters": "[]"}')


@pytest.mark.parametrize(
    ("text", "ids"),
    [
        ("a", ("a",)),
        ("a,b", ("a", "b")),
        ("b,a,b", ("b", "a")),
        (" a, b\t", ("a", "b")),
        ("a b,\u00a0c", ("a b", "\u00a0c")),
        ('[" a"]', (" a",)),
        ("ä+ö", ("ä+ö",)),
        ('["a,b", "[c"]', ("a,b", "[c")),
        (' ["a"]', ("a",)),
        ("1,2", ("1", "2")),
    ],
)
def test_row_ids_are_separated_by_commas_or_a_json_array(text: str, ids: tuple[str, ...]) -> None:
    assert from_query(encoded(rowIds=text)).row_ids == ids


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "rowIds is empty"),
        ("[]", "rowIds is empty"),
        (",", r"rowIds\[0\] must be a non-empty string"),
        ("a,,b", r"rowIds\[1\] must be a non-empty string"),
        ("a,", r"rowIds\[1\] must be a non-empty string"),
        ("[1]", r"rowIds\[0\] must be a non-empty string"),
        ('["a", ""]', r"rowIds\[1\] must be a non-empty string"),
        ('["a", null]', r"rowIds\[1\] must be a non-empty string"),
        ('["a", ["b"]]', r"rowIds\[1\] must be a non-empty string"),
        ('["a"', "rowIds is not JSON"),
        ("[NaN]", "NaN, which is not a JSON value"),
        ('["\\ud800"]', "lone surrogate"),
        ("[" * 17 + "]" * 17, "nested too deeply"),
        ("x," * 100_000 + "x", "the maximum is 100,000"),
    ],
)
def test_malformed_row_ids_are_refused_with_the_reason(text: str, problem: str) -> None:
    with pytest.raises(InvalidRequest, match=problem) as caught:
        from_query(encoded(rowIds=text))
    assert caught.value.parameter == "rowIds"
    assert caught.value.code == "invalid_parameter"
    assert len(caught.value.message) < 300


@pytest.mark.parametrize("value", ["a", "a,b", 1, True, False, 0, {}, {"a": 1}])
def test_row_ids_in_a_body_must_be_an_array(value: object) -> None:
    with pytest.raises(InvalidRequest, match="rowIds must be an array of strings"):
        from_body(json.dumps({"rowIds": value}).encode())


@pytest.mark.parametrize(
    ("text", "fields"),
    [
        ("a", ("a",)),
        ("b,a", ("b", "a")),
        (" a , b.c ", ("a", "b.c")),
        ('["a,b", " c"]', ("a,b", " c")),
        # Only what begins with a bracket is JSON.
        ('{"a":1}', ('{"a":1}',)),
    ],
)
def test_fields_are_separated_by_commas_or_a_json_array(text: str, fields: tuple[str, ...]) -> None:
    assert from_query(encoded(fields=text)).fields == fields
    assert from_body(json.dumps({"fields": fields}).encode()).fields == fields


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "fields is empty; list at least one column, or omit it"),
        (" ", "fields is empty"),
        ("[]", "fields is empty"),
        ("a,,b", r"fields\[1\] must be a non-empty string"),
        ("[1]", r"fields\[0\] must be a non-empty string"),
        ("a,b,a", r"fields\[2\]: 'a' is fields\[0\] already; list it once"),
        ('["a"', "fields is not JSON"),
        ("x," * 1_000 + "y", "fields has 1,001 entries; the maximum is 1,000"),
    ],
)
def test_malformed_fields_are_refused_with_the_reason(text: str, problem: str) -> None:
    with pytest.raises(InvalidRequest, match=problem) as caught:
        from_query(encoded(fields=text))
    assert caught.value.parameter == "fields"
    assert caught.value.code == "invalid_parameter"


@pytest.mark.parametrize("value", ["a", 1, True, {"a": 1}, [1], [None], [["a"]]])
def test_fields_in_a_body_must_be_an_array_of_strings(value: object) -> None:
    with pytest.raises(InvalidRequest, match=r"fields(\[0\])? must be a"):
        from_body(json.dumps({"fields": value}).encode())


@pytest.mark.parametrize("name", ["includeRowIds", "flatten", "bom", "formulaGuard"])
@pytest.mark.parametrize("text", ["", "True", "FALSE", "1", "0", "yes", "on", "null", " true", "true "])
def test_booleans_in_a_query_must_be_true_or_false(name: str, text: str) -> None:
    with pytest.raises(InvalidRequest, match=f"{name} must be true or false") as caught:
        from_query(encoded(**{name: text}))
    assert caught.value.parameter == name
    assert from_query(encoded(**{name: "false"})) == ExportRequest("people")
    assert from_query(encoded(**{name: "true"})) != ExportRequest("people")


@pytest.mark.parametrize("name", ["includeRowIds", "bom", "formulaGuard"])
@pytest.mark.parametrize("value", ["true", "", 1, 0, 1.0, [], {}])
def test_booleans_in_a_body_must_be_json_booleans(name: str, value: object) -> None:
    with pytest.raises(InvalidRequest, match=f"{name} must be true or false"):
        from_body(json.dumps({name: value}).encode())


@pytest.mark.parametrize("name", ["format", "order", "delimiter"])
@pytest.mark.parametrize(
    "value", ["", "CSV", "Asc", "xls", "csv ", "csv\n", ",", "__class__", 1, True, [], {}, ["csv"]]
)
def test_unknown_choices_are_refused(name: str, value: object) -> None:
    with pytest.raises(InvalidRequest, match=f"{name} must be one of") as caught:
        from_body(json.dumps({name: value}).encode())
    assert caught.value.parameter == name
    if isinstance(value, str):
        with pytest.raises(InvalidRequest, match=f"{name} must be one of"):
            from_query(encoded(**{name: value}))


def test_every_choice_is_accepted() -> None:
    assert [from_query(encoded(format=name)).format.name for name in FORMATS] == [
        "csv",
        "json",
        "jsonl",
        "xlsx",
        "parquet",
    ]
    assert [from_query(encoded(order=name)).descending for name in ("asc", "desc")] == [False, True]
    assert [from_query(encoded(delimiter=name)).csv.delimiter for name in ("comma", "tab")] == ["comma", "tab"]


@pytest.mark.parametrize("format_name", ["json", "parquet"])
@pytest.mark.parametrize("option", [{"bom": "true"}, {"delimiter": "tab"}, {"formulaGuard": "true"}])
def test_csv_options_are_refused_for_other_formats(format_name: str, option: dict[str, str]) -> None:
    with pytest.raises(InvalidRequest, match="are for CSV") as caught:
        from_query(encoded(format=format_name, **option))
    assert caught.value.parameter == "format"


@pytest.mark.parametrize("name", ["sortBy", "runId"])
@pytest.mark.parametrize("value", [1, True, [], ["a"], {}])
def test_names_must_be_strings(name: str, value: object) -> None:
    with pytest.raises(InvalidRequest, match=f"{name} must be a non-empty string") as caught:
        from_body(json.dumps({name: value}).encode())
    assert caught.value.parameter == name


def test_an_empty_sort_column_is_refused() -> None:
    for ask, text in ((from_query, b"sortBy="), (from_query, b"sortBy"), (from_body, b'{"sortBy": ""}')):
        with pytest.raises(InvalidRequest, match="sortBy must be a non-empty string"):
            ask(text)


def test_an_empty_run_is_not_the_latest_run() -> None:
    """A script with an empty variable must not silently get another run."""
    assert from_query(b"runId=").run == ""
    assert from_body(b'{"runId": ""}').run == ""


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (b"null", "must be a JSON object"),
        (b"[]", "must be a JSON object"),
        (b'"{}"', "must be a JSON object"),
        (b"1", "must be a JSON object"),
        (b"{", "is not JSON"),
        (b"format=csv", "is not JSON"),
        (b"{} {}", "is not JSON"),
        (b"\xef\xbb\xbf{}", "is not JSON"),
        (b"\xff\xfe{\0}\0", "is not UTF-8"),
        (b'{"runId": "\xff"}', "is not UTF-8"),
        (b'{"runId": "\xed\xa0\x80"}', "is not UTF-8"),
        (b'{"runId": "\\ud800"}', "lone surrogate"),
        (b'{"runId": NaN}', "NaN, which is not a JSON value"),
        (b'{"runId": 1e-99999999999999999999}', "out of range"),
        (b'{"filters": ' + b"[" * 50_000, "nested too deeply"),
        (b'{"filters": ' + b"[" * 16 + b"]" * 16 + b"}", "nested too deeply"),
    ],
)
def test_malformed_bodies_are_refused_with_the_reason(body: bytes, problem: str) -> None:
    with pytest.raises(InvalidRequest, match=problem) as caught:
        from_body(body)
    assert caught.value.parameter == "body"
    assert len(caught.value.message) < 300


QUERIES = st.binary(max_size=80) | st.lists(
    st.tuples(st.sampled_from(PARAMETERS), st.text(st.characters(codec="utf-8"), max_size=20)), max_size=5
).map(lambda pairs: urlencode(pairs).encode())
BODIES = st.binary(max_size=80) | st.dictionaries(
    st.sampled_from(PARAMETERS),
    st.none()
    | st.booleans()
    | st.integers()
    | st.text(max_size=20)
    | st.lists(st.text(max_size=5) | st.none(), max_size=3),
).map(lambda values: json.dumps(values).encode())


@given(QUERIES)
def test_any_query_is_read_or_refused_as_invalid(query: bytes) -> None:
    try:
        assert isinstance(from_query(query), ExportRequest)
    except InvalidRequest as error:
        assert error.parameter in (*PARAMETERS, "query") or "Unknown parameter" in error.message  # noqa: PT017


@given(BODIES)
def test_any_body_is_read_or_refused_as_invalid(body: bytes) -> None:
    try:
        assert isinstance(from_body(body), ExportRequest)
    except InvalidRequest as error:
        assert error.parameter in (*PARAMETERS, "body") or "Unknown parameter" in error.message  # noqa: PT017
