"""Models of response bodies with rows, workflows and statistics. Rows are inserted as the bytes that DuckDB wrote."""

from collections.abc import Iterable

from pydantic import ConfigDict, Field
from pydantic.alias_generators import to_camel
from pydantic.json_schema import SkipJsonSchema

from engine.catalog import schema
from engine.catalog.manifest import Run, State, Workflow
from engine.catalog.schema import DATA_TYPES, data_type_of
from engine.catalog.types import ColumnType, Family
from engine.exports.history import PastExport
from engine.plan.planner import SORTABLE
from engine.query.preview import ColumnProfile
from engine.request.operators import OPERATORS, operators_for
from web.api.models import AnswerField, Count, Crc64, ExportId, FormatName, Moment, Sha256
from web.api.parameters import Paging
from web.api.reads.models import (
    Absent,
    Body,
    JobAnswer,
    LinkAnswer,
    RunState,
    WorkflowRun,
    WorkflowState,
    absent,
)


class Pagination(Body):
    """The position of a page."""

    total_count: Count
    page: int
    total_pages: Count
    limit: int

    @classmethod
    def of(cls, paging: Paging, total: int) -> "Pagination":
        """Describe a page of ``total`` entries."""
        return cls(total_count=total, page=paging.page, total_pages=paging.pages(total), limit=paging.limit)


class WorkflowEntry(Body):
    """A workflow of the caller's team."""

    id: str
    workflow_id: str = Field(description="The same as `id`")
    name: str
    state: WorkflowState = Field(description="`ACTIVE`: workflows here are neither drafts nor paused")
    published_job_id: Absent[str] = absent("The latest finished run, which exports use by default")
    total_records: Absent[Count] = absent("The rows of the latest finished run")
    latest_run_id: str | None = Field(description="The same as `publishedJobId`; null without a finished run")
    latest_run_at: Moment | None

    @classmethod
    def of(cls, workflow: Workflow, rows: int | None) -> "WorkflowEntry":
        """Describe a workflow whose latest finished run has so many rows."""
        latest = workflow.latest
        return cls(
            id=workflow.workflow_id,
            workflow_id=workflow.workflow_id,
            name=workflow.name,
            state="ACTIVE",
            published_job_id=latest.run_id if latest else None,
            total_records=rows,
            latest_run_id=latest.run_id if latest else None,
            latest_run_at=latest.at if latest else None,
        )


class WorkflowsAnswer(Body):
    """A page of the workflows of the caller's team, by id."""

    workflows: list[WorkflowEntry]
    pagination: Pagination


class ExportEntry(Body):
    """A finished export."""

    export_id: ExportId
    run_id: str
    format: FormatName
    row_count: Count
    size_bytes: Count
    sha256: Sha256 | SkipJsonSchema[None] = Field(None, description="As in the answer of the export")
    crc64nvme: Crc64 | SkipJsonSchema[None] = Field(
        None, alias="crc64nvme", description="As in the answer of the export"
    )
    created_at: Moment
    retained_until: Moment = Field(description="When the file may be removed; asking for it again gives it more time")
    request: dict[str, object] | None = Field(
        None,
        description="The parameters that were asked for and differ from their defaults; `rowIds` is their number. "
        "Left out if it was too long to be kept",
    )

    @classmethod
    def of(cls, past: PastExport) -> "ExportEntry":
        """Describe an export."""
        return cls(
            export_id=past.export_id,
            run_id=past.run_id,
            format=past.format.name,
            row_count=past.rows,
            size_bytes=past.size,
            sha256=past.sha256,
            crc64nvme=past.crc64nvme,
            created_at=past.created_at,
            retained_until=past.retained_until,
            request=None if past.request is None else dict(past.request),
        )


class ExportsAnswer(Body):
    """A page of the finished exports of a workflow, the newest first."""

    workflow_id: str
    exports: list[ExportEntry]
    pagination: Pagination

    def encode(self) -> bytes:
        """Encode the body as JSON, without members that have no value."""
        return self.model_dump_json(by_alias=True, exclude_none=True).encode()


class RunEntry(Body):
    """A run, in any state."""

    run_id: str
    state: State
    row_count: Count
    size_bytes: Count = Field(description="Bytes of its Parquet files")
    executed_at: Moment | None
    published_at: Moment

    @classmethod
    def of(cls, run: Run) -> "RunEntry":
        """Describe a run."""
        return cls(
            run_id=run.run_id,
            state=run.state,
            row_count=run.rows,
            size_bytes=sum(part.bytes for part in run.parts),
            executed_at=run.executed_at,
            published_at=run.published_at,
        )


class ReadField(Body):
    """One column of a run, or a member of an object."""

    name: str
    type: str = Field(description="The field type", json_schema_extra={"enum": [*DATA_TYPES]})
    data_type: str = Field(description="The same as `type`", json_schema_extra={"enum": [*DATA_TYPES]})
    stored_as: str = Field(description="The stored type, as SQL spells it")
    operators: list[str] = Field(
        description="The operators that filters on it may use", json_schema_extra={"items": {"enum": [*OPERATORS]}}
    )
    sortable: bool = Field(description="Whether `sortBy` accepts it; sort objects by one of their members")
    members: list["ReadField"] = Field(description="The members of an object, which dotted paths reach")

    @classmethod
    def of(cls, name: str, data_type: str, type_: ColumnType) -> "ReadField":
        """Describe a column or member."""
        children = type_.children if type_.family is Family.OBJECT else ()
        return cls(
            name=name,
            type=data_type,
            data_type=data_type,
            stored_as=type_.sql(),
            operators=[row.name for row in operators_for(type_)],
            sortable=type_.family in SORTABLE,
            members=[cls.of(child_name, data_type_of(child), child) for child_name, child in children],
        )


def read_fields(fields: Iterable[schema.Field]) -> list[ReadField]:
    """Describe columns."""
    return [ReadField.of(field.name, field.data_type, field.type) for field in fields]


class WorkflowAnswer(WorkflowEntry):
    """A workflow, with its columns and its most recently published runs."""

    job_id: Absent[str] = absent("The run that was published last, in any state")
    run_state: Absent[RunState] = absent("The state of that run")
    started_at: Absent[Moment] = absent("When its publishing began")
    finished_at: Absent[Moment] = absent("When its publishing ended, unless it is in progress")
    schema_: list[ReadField] = Field(
        alias="schema", description="The columns of the latest finished run; empty without one"
    )
    runs: list[RunEntry] = Field(description="The most recently published runs, the newest first")
    run_count: Count = Field(description="The number of all runs")


class HistoryAnswer(Body):
    """A page of the runs of a workflow, the newest first."""

    workflow_id: str
    workflow_runs: list[WorkflowRun]
    total_count: Count
    pagination: Pagination


class RowsAnswer(Body):
    """A page of rows."""

    workflow_id: str
    run_id: str
    executed_at: Moment | None
    schema_: list[ReadField] = Field(alias="schema", description="The columns in their order")
    pagination: Pagination
    data: list[dict[str, object]] = Field(description="The rows, each an object by column")


class BinAnswer(Body):
    """The number of values from ``low`` up to but not including ``high``; the last bin includes ``high``."""

    low: float
    high: float
    count: Count


class TopValueAnswer(Body):
    """One of the most frequent values."""

    value: str
    count: Count


class ColumnAnswer(Body):
    """Statistics of one column over the rows that match."""

    workflow_id: str
    run_id: str
    field: str
    type: str = Field(json_schema_extra={"enum": [*DATA_TYPES]})
    row_count: Count
    null_count: Count
    distinct_count: Count | None = Field(description="Null for types whose values have no order")
    distinct_exact: bool = Field(description="Whether `distinctCount` is exact rather than an estimate")
    minimum: str | None = Field(description="As in a CSV file, at most 200 characters")
    maximum: str | None
    histogram: list[BinAnswer] = Field(description="For numbers, and for dates as seconds since 1970")
    top_values: list[TopValueAnswer] = Field(description="For text and booleans")

    @classmethod
    def of(cls, run: Run, statistics: ColumnProfile) -> "ColumnAnswer":
        """Make the response from statistics."""
        return cls(
            workflow_id=run.workflow_id,
            run_id=run.run_id,
            field=statistics.column.path,
            type=statistics.column.data_type,
            row_count=statistics.rows,
            null_count=statistics.nulls,
            distinct_count=statistics.distinct,
            distinct_exact=statistics.exact,
            minimum=statistics.minimum,
            maximum=statistics.maximum,
            histogram=[BinAnswer.model_validate(one) for one in statistics.bins],
            top_values=[TopValueAnswer.model_validate(one) for one in statistics.top],
        )


class QueryColumn(AnswerField):
    """One column of a statement's result."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True)

    stored_as: str = Field(description="The type in which it would be stored, as SQL spells it")
    duckdb_type: str = Field(description="DuckDB's type of the result, which may be none that is stored: `HUGEINT`")


class QueryAnswer(Body):
    """The result of a statement."""

    workflow_id: str
    run_id: str
    previous_run_id: str | None = Field(description="The run of the table `previous`; null without one")
    columns: list[QueryColumn]
    row_count: Count
    limit_reached: bool = Field(description="Whether the statement has more rows than these")
    rows: list[dict[str, object]]


def around_rows(answer: RowsAnswer | QueryAnswer, member: str) -> tuple[bytes, bytes]:
    """The body before and after its rows."""
    head = answer.model_dump_json(by_alias=True, exclude={member}).encode()
    return head[:-1] + f',"{member}":'.encode(), b"}"


def with_rows(answer: QueryAnswer, member: str, rows: bytes) -> bytes:
    """Encode the body with rows that are JSON already; parsing and encoding them again could change numbers."""
    head, tail = around_rows(answer, member)
    return head + rows + tail


MODELS = (
    WorkflowsAnswer,
    WorkflowAnswer,
    HistoryAnswer,
    JobAnswer,
    LinkAnswer,
    ExportsAnswer,
    RowsAnswer,
    ColumnAnswer,
    QueryAnswer,
)
