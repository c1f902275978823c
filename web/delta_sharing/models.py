"""The JSON bodies of listings; other bodies are lines (`web.delta_sharing.actions`)."""

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel


class _Body(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True)

    def encode(self) -> bytes:
        """Encode the body as JSON, without members that have no value."""
        return self.model_dump_json(by_alias=True, exclude_none=True).encode()


class DeltaShare(_Body):
    """A share: the workflows of one team."""

    name: str
    display_name: str = Field(description="The id of the team")


class DeltaSchema(_Body):
    """The schema of a share; each has one."""

    name: str
    share: str


class DeltaTable(_Body):
    """A workflow that has a finished run."""

    name: str = Field(description="Opens the latest finished run; `{name}@{run}` opens the run with that id")
    schema_: str = Field(alias="schema")
    share: str
    id: str = Field(json_schema_extra={"format": "uuid"})
    access_modes: list[str]


class _Page(_Body):
    next_page_token: str | None = Field(
        None, description="Only if there are more", json_schema_extra={"nullable": False}
    )


class DeltaShares(_Page):
    """The share of the caller's team."""

    items: list[DeltaShare]


class DeltaShareAnswer(_Body):
    """One share."""

    share: DeltaShare


class DeltaSchemas(_Page):
    """The schema of a share."""

    items: list[DeltaSchema]


class DeltaTables(_Page):
    """A page of the tables of a share, by the id of the workflow."""

    items: list[DeltaTable]


MODELS = (DeltaShares, DeltaShareAnswer, DeltaSchemas, DeltaTables)
