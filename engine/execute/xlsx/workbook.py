"""Assembles an xlsx file of one sheet around the rows that DuckDB writes (ECMA-376, Part 1 and 2)."""

import re
from collections.abc import Iterable, Iterator, Sequence

from engine.catalog.schema import Field
from engine.catalog.types import Family
from engine.common.chunk import Chunk
from engine.execute.file_assembler import FileAssembler
from engine.execute.xlsx.deflate import LAST_BLOCK, Block, deflate, read_block
from engine.execute.xlsx.zip_stream import ZipStream
from engine.sql.xlsx_cells import MARKUP

_XML = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>'
_MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
_OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_PACKAGE = "http://schemas.openxmlformats.org/package/2006"
_TYPE = "application/vnd.openxmlformats-officedocument.spreadsheetml"
_SHEET = "xl/worksheets/sheet1.xml"

_FORMATS = ("General", r"yyyy\-mm\-dd", r"yyyy\-mm\-dd\ hh:mm:ss", r"yyyy\-mm\-dd\ hh:mm:ss.000")
"""The formats of cells, by their number in `engine.sql.xlsx_cells`."""
_FIRST_FREE_FORMAT = 164
"""Lower numbers are built in, and their look depends on the language of the reader."""
_WIDTHS = {Family.DATE: 12, Family.TIMESTAMP: 24}
"""In characters. In a column that is too narrow for its date, Excel shows only ####."""

_NORMAL = 'fontId="0" fillId="0" borderId="0"'
_PARTS = {
    "[Content_Types].xml": f'<Types xmlns="{_PACKAGE}/content-types">'
    f'<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
    f'<Override PartName="/xl/workbook.xml" ContentType="{_TYPE}.sheet.main+xml"/>'
    f'<Override PartName="/xl/styles.xml" ContentType="{_TYPE}.styles+xml"/>'
    f'<Override PartName="/{_SHEET}" ContentType="{_TYPE}.worksheet+xml"/></Types>',
    "_rels/.rels": f'<Relationships xmlns="{_PACKAGE}/relationships">'
    f'<Relationship Id="rId1" Type="{_OFFICE}/officeDocument" Target="xl/workbook.xml"/></Relationships>',
    "xl/workbook.xml": f'<workbook xmlns="{_MAIN}" xmlns:r="{_OFFICE}">'
    '<sheets><sheet name="Sheet1" sheetId="1" r:id="rId1"/></sheets></workbook>',
    "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{_PACKAGE}/relationships">'
    f'<Relationship Id="rId1" Type="{_OFFICE}/worksheet" Target="worksheets/sheet1.xml"/>'
    f'<Relationship Id="rId2" Type="{_OFFICE}/styles" Target="styles.xml"/></Relationships>',
    "xl/styles.xml": f'<styleSheet xmlns="{_MAIN}"><numFmts count="{len(_FORMATS) - 1}">'
    + "".join(
        f'<numFmt numFmtId="{_FIRST_FREE_FORMAT + number}" formatCode="{code}"/>'
        for number, code in enumerate(_FORMATS)
        if number
    )
    + '</numFmts><fonts count="1"><font><sz val="11"/><name val="Calibri"/></font></fonts>'
    '<fills count="2"><fill><patternFill patternType="none"/></fill><fill><patternFill patternType="gray125"/></fill>'
    '</fills><borders count="1"><border><left/><right/><top/><bottom/><diagonal/></border></borders>'
    f'<cellStyleXfs count="1"><xf numFmtId="0" {_NORMAL}/></cellStyleXfs><cellXfs count="{len(_FORMATS)}">'
    + "".join(
        f'<xf numFmtId="{_FIRST_FREE_FORMAT + number if number else 0}" {_NORMAL} xfId="0" applyNumberFormat="1"/>'
        for number in range(len(_FORMATS))
    )
    + '</cellXfs><cellStyles count="1"><cellStyle name="Normal" xfId="0" builtinId="0"/></cellStyles></styleSheet>',
}
"""The parts of the package but for the sheet, by their names."""

_FORBIDDEN = re.compile("[\x00-\x08\x0b-\x1f\ufffe\uffff]")
_LOOKS_ESCAPED = re.compile(f"_(?=x[0-9A-Fa-f]{{4}}(?:_|{_FORBIDDEN.pattern}))")


class WorkbookAssembler(FileAssembler):
    """Puts deflated rows of ranges after a header row, into the sheet of an xlsx file."""

    compress = staticmethod(deflate)

    def __init__(self, fields: Sequence[Field]) -> None:
        super().__init__()
        self._fields = fields
        self._zip = ZipStream()
        self._started = False

    def feed(self, data: Chunk) -> Iterable[Chunk]:
        """Take a block of the current range."""
        yield from self._start()
        yield self._add(data)

    def finish(self) -> Iterable[Chunk]:
        """End the sheet and the file."""
        yield from self._start()
        yield self._add(deflate(b"</sheetData></worksheet>"))
        self._zip.add(Block(LAST_BLOCK, 0, 0))
        yield LAST_BLOCK + self._zip.closed() + self._zip.directory()

    def _start(self) -> Iterator[Chunk]:
        if self._started:
            return
        self._started = True
        for name, xml in _PARTS.items():
            yield self._zip.stored(name, f"{_XML}{xml}".encode())
        yield self._zip.opened(_SHEET)
        yield self._add(deflate(_sheet_head(self._fields).encode()))

    def _add(self, data: Chunk) -> Chunk:
        block = read_block(data)
        self._zip.add(block)
        return block.data


def _sheet_head(fields: Sequence[Field]) -> str:
    """The sheet up to its header row."""
    widths = "".join(
        f'<col min="{number}" max="{number}" width="{width}" customWidth="1"/>'
        for number, field in enumerate(fields, 1)
        if (width := _WIDTHS.get(field.type.family))
    )
    columns = f"<cols>{widths}</cols>" if widths else ""
    names = "".join(
        f'<c t="inlineStr"><is><t xml:space="preserve">{_escaped(field.name)}</t></is></c>' for field in fields
    )
    return f'{_XML}<worksheet xmlns="{_MAIN}">{columns}<sheetData><row>{names}</row>'


def _escaped(text: str) -> str:
    """As `engine.sql.xlsx_cells` escapes the text of a cell."""
    text = _LOOKS_ESCAPED.sub("_x005F_", text)
    text = _FORBIDDEN.sub(lambda found: f"_x{ord(found[0]):04X}_", text)
    for character, replacement in MARKUP.items():
        text = text.replace(character, replacement)
    return text
