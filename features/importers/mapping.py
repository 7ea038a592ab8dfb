"""Mapping folders: SQL files and a `mapping.toml` that convert the export of a shop or marketplace into a delivery.

A mapping has one SELECT per table of the contract (`orders.sql`), `accounts.sql`, which counts the outcome of each
source row, and optionally `prepare.sql` (intermediate tables) and `labels.sql` (outcomes for training).
"""

from __future__ import annotations

import tomllib
from collections.abc import Collection
from collections.abc import Mapping as ReadOnly
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Annotated, Any, Final

import pydantic
from pydantic import AfterValidator, BeforeValidator, StrictBool, StringConstraints, TypeAdapter

from features.errors import MappingError
from features.importers.parameters import CONFIG, Name, Parameter, Text, parameter_values
from features.ingest.delivery import ABSENT, COVERED_STORES
from features.regular_files import read_small_file
from features.schema import BY_NAME, Need

MAPPING_FILE: Final = "mapping.toml"
ACCOUNTS: Final = "accounts"
PREPARE: Final = "prepare"
LABELS: Final = "labels"

_SHIPPED: Final = Path(__file__).resolve().parent / "mappings"
_TEMPLATE: Final = Path(__file__).parent / "template"


def _one_of(allowed: Collection[str]) -> AfterValidator:
    def check(name: str) -> str:
        if name not in allowed:
            raise ValueError(f"allowed are {', '.join(allowed)}")
        return name

    return AfterValidator(check)


def _check_encoding(name: str) -> str:
    try:
        "".encode(name)
    except LookupError as error:
        raise ValueError("use a name such as utf-8 or cp1252") from error
    return name


def _add_names(tables: Any) -> Any:
    """Add its key to each table as `name`."""
    return {key: {**each, "name": key} for key, each in tables.items()} if isinstance(tables, dict) else tables


_Character = Annotated[str, StringConstraints(max_length=1)]


@pydantic.dataclasses.dataclass(frozen=True, config=CONFIG)
class SourceFile:
    """One file of the export, which becomes the view `name`.

    Attributes:
        files: file name patterns, such as `orders_export*.csv`; all files that match are read as one.
        columns: columns that the file must have.
        optional_columns: columns that are read as empty if the file lacks them.
        without: what is unknown if the file lacks an optional column, by column; the report states it.
        required: whether the import needs the file.
        delimiter: the field delimiter of a text file.
        encoding: the encoding of a text file, such as `utf-8` or `cp1252`.
        quote: the quote of a text file; empty for none.
    """

    name: Name
    files: tuple[Text, ...]
    columns: tuple[Text, ...]
    optional_columns: tuple[Text, ...] = ()
    without: dict[Text, Text] = field(default_factory=dict)
    required: StrictBool = True
    delimiter: Annotated[_Character, StringConstraints(min_length=1)] = ","
    encoding: Annotated[str, AfterValidator(_check_encoding)] = "utf-8"
    quote: _Character = '"'


@pydantic.dataclasses.dataclass(frozen=True, config=CONFIG)
class _TableSettings:
    name: Annotated[str, _one_of(BY_NAME)]
    needs: tuple[str, ...] = ()
    begins_with_first_row: StrictBool = False


@pydantic.dataclasses.dataclass(frozen=True, config=CONFIG)
class _MappingToml:
    title: Text
    description: Text
    source: Text
    sources: Annotated[dict[str, SourceFile], BeforeValidator(_add_names)]
    absent: tuple[Annotated[str, _one_of(ABSENT)], ...] = ()
    covers_stores: Annotated[str, _one_of(COVERED_STORES)] = "listed"
    parameters: Annotated[dict[str, Parameter], BeforeValidator(_add_names)] = field(default_factory=dict)
    tables: Annotated[dict[str, _TableSettings], BeforeValidator(_add_names)] = field(default_factory=dict)


_KINDS: Final = {"sources": SourceFile, "parameters": Parameter, "tables": _TableSettings}


@dataclass(frozen=True)
class Mapping:
    """A validated mapping folder.

    Attributes:
        sql: the text of each `.sql` file by its name without suffix.
        needs: by table, the optional sources without which the table is left out.
        absent: what the platform does not have.
        covers_stores: `listed` if an export is complete for its own stores only, `all` if it is a whole marketplace.
        begin: tables that the platform began to record on the day of their first row.
        shipped: whether the mapping is part of SellerScore, so that its user cannot edit it.
    """

    name: str
    title: str
    description: str
    source: str
    sources: tuple[SourceFile, ...]
    parameters: tuple[Parameter, ...]
    sql: ReadOnly[str, str]
    needs: ReadOnly[str, tuple[str, ...]]
    absent: tuple[str, ...] = ()
    covers_stores: str = "listed"
    begin: tuple[str, ...] = ()
    shipped: bool = False

    def values(self, settings: ReadOnly[str, str]) -> dict[str, str]:
        """Return the value of every parameter, as set or by default; see `parameter_values`."""
        return parameter_values(self.name, self.parameters, settings)


def shipped_mappings() -> dict[str, Path]:
    """Return the folders of the shipped mappings by name."""
    return {path.parent.name: path.parent for path in sorted(_SHIPPED.glob(f"*/{MAPPING_FILE}"))}


def find_mapping(name: str) -> Mapping:
    """Return the shipped mapping of that name, or the mapping in the folder of that path.

    Raises:
        MappingError: there is neither, or the folder is not a valid mapping.
    """
    folder = shipped_mappings().get(name, Path(name))
    if folder.is_dir():
        return read_mapping(folder)
    raise MappingError(
        f"There is no importer {name!r}. Use one of {', '.join(shipped_mappings())}, or the path of a mapping folder; "
        "`sellerscore import --template FOLDER` writes one to start from."
    )


def write_template(folder: Path) -> tuple[str, ...]:
    """Write a commented mapping into the new folder and return the names of its files."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise MappingError(f"{folder} is not empty. Name a new folder for the template.")
    files = sorted(path.relative_to(_TEMPLATE) for path in _TEMPLATE.rglob("*") if path.is_file())
    for path in files:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes((_TEMPLATE / path).read_bytes())
    return tuple(map(str, files))


def read_mapping(folder: Path) -> Mapping:
    """Return the mapping in a folder.

    Raises:
        MappingError: a file is missing, or `mapping.toml` is invalid.
    """
    path = folder / MAPPING_FILE
    try:
        content = tomllib.loads(_read_text(path))
        sql = {file.stem: _read_text(file) for file in sorted(folder.glob("*.sql"))}
        toml = TypeAdapter(_MappingToml).validate_python(content)
    except FileNotFoundError as error:
        raise MappingError(f"{folder} has no {MAPPING_FILE}, so it is not a mapping folder.") from error
    except pydantic.ValidationError as error:
        raise MappingError(f"{path}: {_describe(error)}.") from error
    except OSError as error:
        raise MappingError(f"{error.filename or path} cannot be read: {error.strerror or error}.") from error
    except ValueError as error:
        raise MappingError(f"{path} cannot be read: {error}.") from error
    _expect_sql(folder, sql)
    if not toml.sources:
        raise MappingError(f"{path} has no [sources.NAME]. Name at least one file of the export.")
    for source in (source for table in toml.tables.values() for source in table.needs):
        if source not in toml.sources:
            raise MappingError(f"{path}: needs: {source!r} is not a source. Allowed are {', '.join(toml.sources)}.")
    return Mapping(
        name=folder.resolve().name,
        title=toml.title,
        description=toml.description,
        source=toml.source,
        sources=tuple(toml.sources.values()),
        parameters=tuple(toml.parameters.values()),
        sql=sql,
        needs={name: table.needs for name, table in toml.tables.items()},
        absent=toml.absent,
        covers_stores=toml.covers_stores,
        begin=tuple(name for name, table in toml.tables.items() if table.begins_with_first_row),
        shipped=folder.resolve().parent == _SHIPPED,
    )


def _read_text(path: Path) -> str:
    return read_small_file(path).decode("utf-8")


def _describe(error: pydantic.ValidationError) -> str:
    """Return the first error as text: its field, the value and what is allowed."""
    first = min(error.errors(), key=lambda each: each["type"] != "unexpected_keyword_argument")
    *tables, name = map(str, first["loc"])
    location = ".".join((*tables, name))
    if first["type"] == "unexpected_keyword_argument":
        allowed = fields(_KINDS[tables[0]] if tables else _MappingToml)
        return f"{location} is unknown. Allowed are {', '.join(field.name for field in allowed)}"
    if first["type"] == "missing":
        return f"{location} is missing"
    return f"{location} is {first['input']!r}: {first['msg'].removeprefix('Value error, ')}"


def _expect_sql(folder: Path, sql: ReadOnly[str, str]) -> None:
    allowed = (PREPARE, *BY_NAME, ACCOUNTS, LABELS)
    for name in sql:
        if name not in allowed:
            raise MappingError(
                f"{folder / name}.sql is not a table of the contract. Allowed are {', '.join(allowed)}, each as .sql."
            )
    required = [table.name for table in BY_NAME.values() if table.need is Need.REQUIRED]
    missing = [f"{name}.sql" for name in (*required, ACCOUNTS) if name not in sql]
    if missing:
        raise MappingError(f"{folder} lacks {', '.join(missing)}. Every mapping needs them.")
