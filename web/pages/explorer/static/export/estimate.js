// About how many bytes a file will have, from the rows that are loaded.

import { textOf } from "../grid/cells.js";

const encoder = new TextEncoder();
// A longer text is compressed better: of n rows of two real data sets, gzip took 1 + 13 / n times the bytes a row of all.
const REPEATED_ROWS = 13;
// Measured on the same data: bytes of zstd for each of gzip, and what a sheet has beside the text of its cells.
const ZSTD_FACTOR = 0.86;
const SHEET_BYTES = 3000;
const SHEET_CELL_BYTES = 1;

// Returns {bytes, isMost}: at most so many, or about; null if nothing is known. run: whose rows they are, if of one.
export async function estimate({ format, compression, fields, allFields, rows, count, run }) {
  if (!count || !rows.length) return null;
  const lines = csv(fields, rows);
  if (format === "parquet") {
    // The files of the run have internal columns too.
    return run?.rowCount ? { bytes: run.sizeBytes / run.rowCount * count * lines.length / csv(allFields, rows).length, isMost: true } : null;
  }
  const text = format === "csv" || format === "xlsx" ? lines : json(fields, rows);
  if (format !== "xlsx" && compression === "none") return { bytes: encoder.encode(text).length / rows.length * count };
  const repeated = rows.length < count ? 1 + REPEATED_ROWS / rows.length : 1;
  const packed = await gzipped(text) / rows.length / repeated * count;
  if (format === "xlsx") return { bytes: packed + SHEET_CELL_BYTES * fields.length * count + SHEET_BYTES };
  return { bytes: packed * (compression === "zstd" ? ZSTD_FACTOR : 1) };
}

const csv = (fields, rows) => rows.map(row => fields.map(field => quoted(textOf(row[field.name]))).join(",")).join("\n");
const quoted = text => /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
const json = (fields, rows) => rows.map(row => JSON.stringify(Object.fromEntries(fields.map(({ name }) => [name, row[name]])))).join(",\n");

async function gzipped(text) {
  const stream = new Blob([text]).stream().pipeThrough(new CompressionStream("gzip"));
  return (await new Response(stream).arrayBuffer()).byteLength;
}
