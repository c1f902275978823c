// How to open a finished file elsewhere: one snippet a tool.

const PANDAS = { csv: "read_csv", json: "read_json", jsonl: "read_json", parquet: "read_parquet", xlsx: "read_excel" };
const DELIMITERS = { comma: ",", semicolon: ";", tab: "\\t" };
const OPENED = new Set(["json", "jsonl", "xlsx"]);

// Returns [tool, text]; the texts have the whole URL.
export function snippets({ url, format, delimiter = "comma" }) {
  const file = decodeURIComponent(new URL(url).pathname.split("/").pop());
  // Readers do not see the compression by the URL, which ends with its signature.
  const compression = { gz: "gzip", zst: "zstd" }[file.split(".").pop()] ?? null;
  const separator = format === "csv" && delimiter !== "comma" ? DELIMITERS[delimiter] : null;
  return [
    ["curl", `curl -sSo '${file}' '${url}'`],
    ["pandas", pandas(url, format, compression, separator)],
    ["Polars", polars(url, format, compression, separator)],
    ["DuckDB", duckdb(url, format, compression)],
    ["R", r(url, file, format, compression, separator)],
    ["Power Query", powerQuery(url, format, compression, separator)],
  ];
}

function pandas(url, format, compression, separator) {
  const options = [
    format === "jsonl" && "lines=True", separator && `sep="${separator}"`, compression && `compression="${compression}"`,
  ].filter(Boolean);
  return `${compression === "zstd" ? "# needs the package zstandard\n" : ""}import pandas as pd\nurl = "${url}"\nframe = pd.${PANDAS[format]}(${["url", ...options].join(", ")})`;
}

function polars(url, format, compression, separator) {
  // Of the readers of Polars, that of JSON alone does not unpack.
  const opened = {
    gzip: ["import gzip\n", "gzip.open(urllib.request.urlopen(url))"],
    zstd: ["import pyarrow as pa\n", 'pa.CompressedInputStream(urllib.request.urlopen(url), "zstd").read()'],
  }[format === "json" ? compression : null] ?? ["", "urllib.request.urlopen(url)"];
  const readers = {
    csv: `pl.read_csv(url${separator ? `, separator="${separator}"` : ""})`, json: `pl.read_json(${opened[1]})`,
    jsonl: "pl.read_ndjson(urllib.request.urlopen(url))", parquet: "pl.scan_parquet(url).collect()",
    xlsx: "pl.read_excel(urllib.request.urlopen(url).read())",
  };
  return `${opened[0]}${OPENED.has(format) ? "import urllib.request\n" : ""}import polars as pl\nurl = "${url}"\nframe = ${readers[format]}`;
}

function duckdb(url, format, compression) {
  const reader = { csv: "read_csv", json: "read_json", jsonl: "read_json", parquet: "read_parquet", xlsx: "read_xlsx" }[format];
  return `INSTALL httpfs; LOAD httpfs;${format === "xlsx" ? " INSTALL excel; LOAD excel;" : ""}\nFROM ${reader}('${url}'${compression ? `, compression = '${compression}'` : ""});`;
}

function r(url, file, format, compression, separator) {
  // Plain readers would take the text NA for a null, change names and digits, and make the byte order mark a part of a name.
  const options = `${separator ? `sep = "${separator}", ` : ""}na.strings = "", check.names = FALSE, numerals = "no.loss", fileEncoding = "UTF-8-BOM"`;
  const [reader, needed] = {
    csv: [`read.csv(file, ${options})`],
    json: ["jsonlite::fromJSON(gzfile(file), bigint_as_char = TRUE)", "jsonlite"],
    jsonl: [`jsonlite::fromJSON(sprintf("[%s]", paste(readLines(file, encoding = "UTF-8"), collapse = ",")), bigint_as_char = TRUE)`, "jsonlite"],
    parquet: ["arrow::read_parquet(file)", "arrow"], xlsx: ["readxl::read_excel(file)", "readxl"],
  }[format];
  // R itself reads gzip, and from version 4.5 on zstd.
  const zstd = compression === "zstd";
  const unpack = zstd ? `system2("zstd", c("-d", "-f", shQuote(file))); file <- "${file.replace(/\.zst$/, "")}"\n` : "";
  const needs = [needed && `the package ${needed}`, zstd && "the program zstd"].filter(Boolean).join(" and ");
  return `${needs && `# needs ${needs}\n`}link <- "${url}"\nfile <- "${file}"\ndownload.file(link, file, mode = "wb")\n${unpack}data <- ${reader}`;
}

function powerQuery(url, format, compression, separator) {
  const contents = `Web.Contents("${url}")`;
  const binary = compression ? `Binary.Decompress(${contents}, Compression.${compression === "gzip" ? "GZip" : "Zstandard"})` : contents;
  const sign = { ";": "\";\"", "\\t": "\"#(tab)\"" }[separator] ?? "\",\"";
  const readers = {
    csv: `Table.PromoteHeaders(Csv.Document(${binary}, [Delimiter = ${sign}, Encoding = 65001, QuoteStyle = QuoteStyle.Csv]))`,
    json: `Table.FromRecords(Json.Document(${binary}))`,
    jsonl: `Table.FromRecords(List.Transform(Lines.FromBinary(${binary}, null, null, 65001), Json.Document))`,
    parquet: `Parquet.Document(${binary})`, xlsx: `Excel.Workbook(${binary}, true){0}[Data]`,
  };
  return `= ${readers[format]}`;
}
