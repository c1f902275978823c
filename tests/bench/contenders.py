"""Who is measured: we, the peers, and parts of our own work."""

import sys
from dataclasses import dataclass, replace

from tests.bench.job import Job
from tests.bench.settings import PEERS_PYTHON


@dataclass(frozen=True)
class Contender:
    """One program that does a job. ``output`` is whether it leaves a blob to check."""

    name: str
    title: str
    module: str
    peer: bool = True
    output: bool = True

    def command(self, job: Job) -> list[str]:
        """The command line for a job."""
        python = str(PEERS_PYTHON) if self.peer else sys.executable
        return [python, "-m", f"tests.bench.{self.module}", job.text()]


OURS = Contender("tailrace", "Tailrace", "ours", peer=False)
FROM_DISK = replace(OURS, title="Tailrace, results on a disk")
FROM_STORE = replace(OURS, name="from-store", title="Tailrace, results in the store")
ENCODE_ONLY = Contender("encode", "encode only", "encode_only", peer=False, output=False)
STATEMENT_ONLY = Contender("statement", "our statement, one thread", "statement_only", peer=False, output=False)
PUBLISH_CSV = Contender("publish", "Tailrace, publish", "publish_csv", peer=False, output=False)
DUCKDB_CSV = Contender("duckdb-csv", "DuckDB COPY to Parquet, one thread", "duckdb_csv", peer=False, output=False)
OUR_SHEET = replace(OURS, output=False)
GZIP = replace(OURS, name="gzip", title="Tailrace, gzip", output=False)
DUCKDB_GZIP = Contender("duckdb-gzip", "DuckDB COPY, gzip", "peers.duckdb_file", output=False)
OUR_CHANGES = replace(OURS, output=False)
DUCKDB_JOIN = Contender(
    "duckdb-join", "DuckDB, a join that compares all values", "duckdb_join", peer=False, output=False
)
DUCKDB_XLSX = Contender("duckdb-xlsx", "DuckDB COPY, excel extension", "duckdb_xlsx", peer=False, output=False)
OPENPYXL_XLSX = Contender("openpyxl", "openpyxl, write only", "openpyxl_xlsx", peer=False, output=False)
DUCKDB_AZURE = Contender("duckdb-az", "DuckDB COPY TO az://", "peers.duckdb_azure")
DUCKDB_UPLOAD = Contender("duckdb-file", "DuckDB, local file, upload", "peers.duckdb_upload")
POLARS = Contender("polars", "Polars sink", "peers.polars_sink")
CHDB = Contender("chdb", "chDB azureBlobStorage()", "peers.chdb_insert")
DATAFUSION = Contender("datafusion", "DataFusion COPY TO az://", "peers.datafusion_copy")

PEERS = (DUCKDB_AZURE, DUCKDB_UPLOAD, POLARS, CHDB, DATAFUSION)
