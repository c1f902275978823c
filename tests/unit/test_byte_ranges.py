"""Range headers: a single range of bytes; anything else is ignored."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from web.http.byte_ranges import ByteRange, Unsatisfiable, parse_range

SIZE = 1000


@pytest.mark.parametrize(
    ("header", "start", "end"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=0-", 0, SIZE),
        ("bytes=0-999", 0, SIZE),
        ("bytes=0-1000", 0, SIZE),
        ("bytes=999-", 999, SIZE),
        ("bytes=999-999", 999, SIZE),
        ("bytes=500-9999999999999999999", 500, SIZE),
        ("bytes=007-0008", 7, 9),
        ("bytes=-1", 999, SIZE),
        ("bytes=-1000", 0, SIZE),
        ("bytes=-1001", 0, SIZE),
        ("bytes=-9999999999999999999", 0, SIZE),
        ("bytes= \t0-0\t ", 0, 1),
        ("Bytes=0-0", 0, 1),
        ("BYTES=-1", 999, SIZE),
    ],
)
def test_a_single_range_is_parsed(header: str, start: int, end: int) -> None:
    assert parse_range(header, SIZE) == ByteRange(start, end)


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "bytes",
        "bytes=",
        "bytes=-",
        "bytes=0",
        "bytes=5-4",
        "bytes=1000-999",
        "bytes=0-0,2-2",
        "bytes=0-0, -1",
        "bytes=0-0,",
        "bytes=,0-0",
        "bytes=0--1",
        "bytes=--1",
        "bytes=-1-",
        "bytes=+0-1",
        "bytes=0x0-1",
        "bytes=1_0-20",
        "bytes=1e1-20",
        "bytes=0.0-1",
        "bytes=a-b",
        "bytes=\uff10-\uff10",
        "bytes=\u0660-\u0660",
        "bytes =0-0",
        " bytes=0-0",
        "byte=0-0",
        "items=0-0",
        "0-0",
        "bytes:0-0",
        "bytes=0-0;x",
        "bytes=0-0\0",
        "bytes=0-" + "9" * 20,
        "bytes=-" + "9" * 5000,
        "bytes=" + "9" * 5000 + "-",
        "bytes=" + "0-0," * 5000 + "0-0",
        "bytes=0 -1",
        "bytes=0- 1",
        "bytes=\n0-1",
        "bytes=0-1\n",
        "bytes=" + " " * 50_000,
        "bytes=0" + " " * 50_000,
        "bytes=0-1" + " " * 50_000 + "x",
    ],
)
def test_any_other_header_means_the_whole_file(header: str | None) -> None:
    assert parse_range(header, SIZE) is None
    assert parse_range(header, 0) is None


@pytest.mark.parametrize(
    ("header", "size"),
    [
        ("bytes=1000-", SIZE),
        ("bytes=1000-1000", SIZE),
        ("bytes=9999999999999999999-", SIZE),
        ("bytes=-0", SIZE),
        ("bytes=-000", SIZE),
        ("bytes=0-", 0),
        ("bytes=0-0", 0),
        ("bytes=-1", 0),
        ("bytes=-0", 0),
    ],
)
def test_a_range_after_the_end_is_unsatisfiable(header: str, size: int) -> None:
    with pytest.raises(Unsatisfiable):
        parse_range(header, size)


def test_sizes_beyond_32_bits_are_exact() -> None:
    size = 5 * 1024**4
    assert parse_range(f"bytes={size - 1}-", size) == ByteRange(size - 1, size)
    assert parse_range("bytes=-1", size) == ByteRange(size - 1, size)


@given(size=st.integers(1, 300), first=st.integers(0, 400), last=st.integers(0, 400))
def test_a_range_equals_a_slice(size: int, first: int, last: int) -> None:
    content = bytes(index % 251 for index in range(size))
    try:
        found = parse_range(f"bytes={first}-{last}", size)
    except Unsatisfiable:
        assert first >= size
        return
    if last < first:
        assert found is None
        return
    assert found is not None
    assert content[found.start : found.end] == content[first : last + 1] != b""
    open_end = parse_range(f"bytes={first}-", size)
    assert open_end is not None
    assert content[open_end.start : open_end.end] == content[first:]
    suffix = parse_range(f"bytes=-{last + 1}", size)
    assert suffix is not None
    assert content[suffix.start : suffix.end] == content[-(last + 1) :]


@given(header=st.text(max_size=40) | st.from_regex(r"\Abytes=[0-9 ,-]{0,30}\Z"), size=st.integers(0, 10**13))
def test_any_header_gives_a_range_within_the_file(header: str, size: int) -> None:
    try:
        found = parse_range(header, size)
    except Unsatisfiable:
        return
    assert found is None or 0 <= found.start < found.end <= size
