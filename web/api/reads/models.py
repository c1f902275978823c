"""Models of response bodies whose members are those of the public API, and what its states mean here."""

from datetime import datetime
from typing import Annotated, Any, Literal, TypeAlias, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel
from pydantic.json_schema import SkipJsonSchema

from engine.catalog.manifest import Run, State
from web.api.models import Count, ExportId, Moment

_ValueT = TypeVar("_ValueT")

Absent: TypeAlias = Annotated[_ValueT | SkipJsonSchema[None], Field()]
"""A member that is left out without a value: the public API does not allow null for it."""

WorkflowState = Literal[
    "ACTIVE", "DRAFT", "ERROR", "PAUSED", "NOT_SUPPORTED", "PREVIEW", "COMPLIANCE_REVIEW", "COMPLIANCE_REJECTED",
    "QUEUED", "SETUP", "DELETED",
]  # fmt: skip
"""The states of the public API."""
WORKFLOW_STATES: tuple[str, ...] = get_args(WorkflowState)

RunState = Literal["RUNNING", "FINISHED", "FAILED"]
OUTCOMES: dict[str, RunState] = {"success": "FINISHED", "failed": "FAILED", "in_progress": "RUNNING"}
"""The values of ``status`` in the history of runs."""


def absent(description: str) -> Any:
    """A field that is left out of the body without a value."""
    return Field(None, description=description, exclude_if=lambda value: value is None)


def run_state(state: State) -> RunState:
    """The outcome of a run."""
    if state in (State.IN_PROGRESS, State.VALIDATING):
        return "RUNNING"
    return "FINISHED" if state is State.FINISHED else "FAILED"


def finished_at(run: Run) -> datetime | None:
    """When the publishing of a run ended; None if it is in progress."""
    return None if run_state(run.state) == "RUNNING" else run.published_at


class Body(BaseModel):
    """A JSON body with members in camel case."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, from_attributes=True)

    def encode(self) -> bytes:
        """Encode the body as JSON."""
        return self.model_dump_json(by_alias=True).encode()


class WorkflowRun(Body):
    """A run in the history of a workflow."""

    id: str
    state: State
    started_at: Moment = Field(description="When its publishing began")
    finished_at: Absent[Moment] = absent("When its publishing ended; left out while it is in progress")
    executed_at: Absent[Moment] = absent("When it was executed, if its publisher said so")
    records: Count

    @classmethod
    def of(cls, run: Run) -> "WorkflowRun":
        """Describe a run."""
        return cls(
            id=run.run_id,
            state=run.state,
            started_at=run.started_at,
            finished_at=finished_at(run),
            executed_at=run.executed_at,
            records=run.rows,
        )


JobState = Literal["IN_PROGRESS", "FINISHED", "FAILED", "NOT_SUPPORTED", "FAILED_INSUFFICIENT_FUNDS"]


class JobAnswer(Body):
    """The state of a run."""

    id: str = Field(description="The id of the run")
    workflow_id: str
    state: JobState = Field(description="A run that is being validated is `IN_PROGRESS`")
    started_at: Moment = Field(description="When its publishing began")
    finished_at: Absent[Moment] = absent("When its publishing ended; left out while it is in progress")
    records: Count

    @classmethod
    def of(cls, run: Run) -> "JobAnswer":
        """Describe a run."""
        state = State.IN_PROGRESS if run.state is State.VALIDATING else run.state
        return cls.model_validate(
            {
                "id": run.run_id,
                "workflowId": run.workflow_id,
                "state": state.value,
                "startedAt": run.started_at,
                "finishedAt": finished_at(run),
                "records": run.rows,
            }
        )


class LinkAnswer(Body):
    """All rows as a CSV file, and where to download it."""

    workflow_id: str
    run_id: str
    executed_at: Absent[Moment] = absent("When the run was executed, if its publisher said so")
    format: Literal["csv"]
    total_rows: Count
    export_id: ExportId
    download_path: str = Field(description="The path of the file below the base URL; it needs a key or token")
    expires_at: Moment = Field(description="Until when the file is retained")
