"""Zip files that are written as a stream, as Python's zipfile reads them."""

import io
import zipfile
import zlib
from pathlib import Path

from engine.execute.xlsx.deflate import LAST_BLOCK, Block, deflate, read_block
from engine.execute.xlsx.zip_stream import ZipStream


def test_entries_are_read_back() -> None:
    texts = [b"<a>", b"", b"x" * 100_000, "é\x00\x1f".encode()]
    stream, made = ZipStream(), io.BytesIO()
    made.write(stream.stored("a.xml", b"<stored/>"))
    made.write(stream.opened("b/c.xml"))
    for text in texts:
        block = read_block(deflate(text))
        stream.add(block)
        made.write(block.data)
    stream.add(Block(LAST_BLOCK, 0, 0))
    made.write(LAST_BLOCK + stream.closed() + stream.directory())
    with zipfile.ZipFile(made) as file:
        assert file.testzip() is None
        assert file.namelist() == ["a.xml", "b/c.xml"]
        assert file.read("a.xml") == b"<stored/>"
        # Control characters of a text are escaped, since XML forbids them.
        assert file.read("b/c.xml") == b"".join(texts[:3]) + "é_x0000__x001F_".encode()
    assert b"PK\x06\x06" not in made.getvalue()


GIGABYTE = 2**30


def test_an_entry_of_more_than_four_gigabytes_has_the_sizes_of_zip64() -> None:
    text = bytes(range(65, 97)) * 2**19
    block, crc = read_block(deflate(text)), 0
    stream, made = ZipStream(), io.BytesIO()
    made.write(stream.opened("large.xml"))
    for _ in range(4 * GIGABYTE // len(text) + 1):
        stream.add(block)
        made.write(block.data)
        crc = zlib.crc32(text, crc)
    stream.add(Block(LAST_BLOCK, 0, 0))
    made.write(LAST_BLOCK + stream.closed() + stream.directory())
    with zipfile.ZipFile(made) as file, file.open("large.xml") as large:
        (info,) = file.infolist()
        assert (info.file_size, info.CRC) == (4 * GIGABYTE + len(text), crc)
        assert large.read(len(text)) == text


def test_a_file_of_more_than_four_gigabytes_has_the_directory_of_zip64(tmp_path: Path) -> None:
    """A file with holes."""
    stream = ZipStream()
    hole = Block(memoryview(bytes(GIGABYTE)), 0, 0)
    with (tmp_path / "large.zip").open("wb") as made:
        made.write(stream.opened("large.xml"))
        for _ in range(5):
            stream.add(hole)
            made.seek(len(hole.data), io.SEEK_CUR)
        made.write(stream.closed() + stream.stored("after.xml", b"<after/>") + stream.directory())
    with zipfile.ZipFile(tmp_path / "large.zip") as file:
        assert [info.compress_size for info in file.infolist()] == [5 * GIGABYTE, 8]
        assert file.read("after.xml") == b"<after/>"
