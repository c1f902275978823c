"""Documents are read every time, and parsed again only if their text has changed."""

from pathlib import Path

from engine.stores import DirectoryStore
from engine.stores.documents import Document, Documents


class _Note(Document):
    text: str


def test_a_text_is_parsed_once_and_a_changed_one_again(tmp_path: Path) -> None:
    documents = Documents(DirectoryStore(tmp_path), _Note, parsed_bytes=1000)
    documents.create("a.json", _Note(text="old"))
    first = documents.load("a.json")
    assert first == _Note(text="old")
    assert documents.load("a.json") is first
    # As another process does it.
    Documents(DirectoryStore(tmp_path), _Note).update("a.json", lambda _: _Note(text="new"))
    assert documents.load("a.json") == _Note(text="new")
    (tmp_path / "a.json").unlink()
    assert documents.load("a.json") is None


def test_texts_that_were_read_last_are_retained_up_to_their_size(tmp_path: Path) -> None:
    size = len(_Note(text="0").encode())
    documents = Documents(DirectoryStore(tmp_path), _Note, parsed_bytes=2 * size)
    for name in ("0", "1", "2"):
        documents.create(name, _Note(text=name))
    documents.create("long", _Note(text="x" * 2 * size))
    zero, one = documents.load("0"), documents.load("1")
    assert documents.load("0") is zero
    assert documents.load("long") is not documents.load("long")
    documents.load("2")
    assert documents.load("0") is zero
    assert documents.load("1") is not one
    assert documents.load("1") == one


def test_equal_texts_of_two_keys_are_two_documents(tmp_path: Path) -> None:
    documents = Documents(DirectoryStore(tmp_path), _Note, parsed_bytes=1000)
    for name in ("a", "b"):
        documents.create(name, _Note(text="same"))
    assert documents.load("a") is not documents.load("b")
