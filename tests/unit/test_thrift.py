"""Structs and footers survive decoding and encoding, byte for byte; malformed bytes raise ValueError."""

import io

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.parquet.thrift_compact import (
    BINARY,
    BYTE,
    DOUBLE,
    FALSE,
    I16,
    I32,
    I64,
    LIST,
    MAP,
    SET,
    STRUCT,
    TRUE,
    UUID,
    List,
    Struct,
)
from engine.parquet.thrift_compact import decode as decoded
from engine.parquet.thrift_compact import encode as encoded

_INTEGERS = {I16: 15, I32: 31, I64: 63}


def _values(kind: int, inner: st.SearchStrategy[Struct]) -> st.SearchStrategy[object]:
    if kind in _INTEGERS:
        bits = _INTEGERS[kind]
        return st.integers(-(2**bits), 2**bits - 1)
    if kind == BINARY:
        return st.binary(max_size=300)
    if kind in (LIST, SET):
        kinds = st.sampled_from([BYTE, I32, I64, DOUBLE, BINARY, STRUCT])
        return kinds.flatmap(
            lambda item: st.lists(_values(item, inner), max_size=20).map(lambda items: List(item, items))
        )
    if kind == MAP:
        pairs = st.lists(st.tuples(st.binary(max_size=5), st.integers(-5, 5)), max_size=3)
        return pairs.map(lambda items: (BINARY << 4 | I32 if items else 0, items))
    if kind == STRUCT:
        return inner
    size = {BYTE: 1, DOUBLE: 8, UUID: 16}[kind]
    return st.binary(min_size=size, max_size=size)


def _structs(inner: st.SearchStrategy[Struct]) -> st.SearchStrategy[Struct]:
    def field(kind: int) -> st.SearchStrategy[tuple[int, object]]:
        if kind in (TRUE, FALSE):
            return st.just((kind, kind == TRUE))
        return st.tuples(st.just(kind), _values(kind, inner))

    kinds = st.sampled_from([TRUE, FALSE, BYTE, I16, I32, I64, DOUBLE, BINARY, LIST, SET, MAP, STRUCT, UUID])
    return st.dictionaries(st.integers(1, 2**15 - 1), kinds.flatmap(field), max_size=6).map(Struct)


STRUCTS = st.recursive(st.just(Struct()), _structs, max_leaves=8)


@given(STRUCTS)
def test_an_encoded_struct_decodes_to_itself(struct: Struct) -> None:
    assert decoded(encoded(struct)) == struct


@given(st.binary(max_size=60))
def test_malformed_bytes_raise_value_error(data: bytes) -> None:
    try:
        struct = decoded(data)
    except ValueError:
        return
    assert decoded(encoded(struct)) == struct


@pytest.mark.parametrize("compression", ["zstd", "none"])
def test_a_footer_is_encoded_byte_for_byte(compression: str) -> None:
    out = io.BytesIO()
    table = pa.table({"a": list(range(1000)), "s": [{"x": [n], "y": None} for n in range(1000)]})
    pq.write_table(table, out, row_group_size=100, compression=compression, write_page_index=True)
    content = out.getvalue()
    length = int.from_bytes(content[-8:-4], "little")
    footer = content[-8 - length : -8]
    assert encoded(decoded(footer)) == footer
