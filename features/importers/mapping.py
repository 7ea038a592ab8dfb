"""Mappings: how the export of a shop or marketplace becomes a delivery, as a folder of SQL and a `mapping.toml`.

A mapping holds one SELECT per table of the contract (`orders.sql`), `accounts.sql`, which counts the outcome of each
source row, and optionally `prepare.sql` (intermediate tables) and `labels.sql` (outcomes for training).
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from collections.abc import Mapping as ReadOnly
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from features.errors import MappingError
from features.ingest.delivery import ABSENT
from features.schema import BY_NAME, Need

MAPPING_FILE: Final = "mapping.toml"
ACCOUNTS: Final = "accounts"
PREPARE: Final = "prepare"
LABELS: Final = "labels"

_SHIPPED: Final = Path(__file__).parent / "mappings"
_TEMPLATE: Final = Path(__file__).parent / "template"
_TOP: Final = ("title", "description", "source", "absent", "sources", "parameters", "tables")
_SOURCE: Final = ("files", "columns", "optional_columns", "required", "delimiter", "encoding", "quote")


@dataclass(frozen=True)
class SourceFile:
    """One file of the export, which becomes the view `name`.

    Attributes:
        files: file name patterns, such as `orders_export*.csv`; all files that match are read as one.
        columns: names of columns that the file must have.
        optional_columns: names of columns that are read as empty if the file lacks them.
        required: whether the import needs the file.
        delimiter: what separates the fields of a text file.
        encoding: of a text file, such as `utf-8` or `cp1252`.
        quote: what encloses fields of a text file; empty if nothing does.
    """

    name: str
    files: tuple[str, ...]
    columns: tuple[str, ...]
    optional_columns: tuple[str, ...] = ()
    required: bool = True
    delimiter: str = ","
    encoding: str = "utf-8"
    quote: str = '"'


@dataclass(frozen=True)
class Parameter:
    """A value that the export lacks, such as the seller's id; None as `default` means that the user must set it."""

    name: str
    help: str
    default: str | None = None


@dataclass(frozen=True)
class Mapping:
    """A mapping folder, read and checked.

    `sql` holds the text of each `.sql` file by its name without ending. `needs` names, per table, optional sources
    without which the table is left out of the delivery. `absent` is what the platform does not have. `begin` names the
    tables that the platform began to record on the day of their first row.
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
    begin: tuple[str, ...] = ()

    def values(self, settings: ReadOnly[str, str]) -> dict[str, str]:
        """Return the value of every parameter, as set or by default.

        Raises:
            MappingError: a setting is not a parameter of the mapping, or a parameter without a default is not set.
        """
        known = {parameter.name: parameter for parameter in self.parameters}
        for name in settings:
            if name not in known:
                allowed = ", ".join(known) or "none"
                raise MappingError(f"{self.name} has no parameter {name!r}. Its parameters are: {allowed}.")
        values = {name: settings.get(name, parameter.default) for name, parameter in known.items()}
        missing = [name for name, value in values.items() if not value]
        if missing:
            meanings = "; ".join(f"--set {name}=... ({known[name].help})" for name in missing)
            raise MappingError(f"{self.name} needs a value for {', '.join(missing)}. Add {meanings}.")
        return {name: str(value) for name, value in values.items()}


def shipped() -> dict[str, Path]:
    """Return the folders of the shipped mappings by name."""
    return {path.parent.name: path.parent for path in sorted(_SHIPPED.glob(f"*/{MAPPING_FILE}"))}


def find_mapping(name: str) -> Mapping:
    """Return the shipped mapping of that name, or the one in the folder of that path.

    Raises:
        MappingError: there is neither, or the folder is not a mapping.
    """
    folders = shipped()
    if name in folders:
        return read_mapping(folders[name])
    if Path(name).is_dir():
        return read_mapping(Path(name))
    raise MappingError(
        f"There is no importer {name!r}. Use one of {', '.join(folders)}, or the path of a mapping folder; "
        "`sellerscore import --template FOLDER` writes one to start from."
    )


def write_template(folder: Path) -> tuple[str, ...]:
    """Write a commented mapping into the new folder, to be edited, and return the names of its files."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise MappingError(f"{folder} is not empty. Name a new folder for the template.")
    files = sorted(path for path in _TEMPLATE.rglob("*") if path.is_file())
    for path in files:
        target = folder / path.relative_to(_TEMPLATE)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(path.read_bytes())
    return tuple(str(path.relative_to(_TEMPLATE)) for path in files)


def read_mapping(folder: Path) -> Mapping:
    """Return the mapping in a folder.

    Raises:
        MappingError: a file is missing, or `mapping.toml` names something that is not allowed.
    """
    path = folder / MAPPING_FILE
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
        sql = {file.stem: file.read_text(encoding="utf-8") for file in sorted(folder.glob("*.sql"))}
    except FileNotFoundError as error:
        raise MappingError(f"{folder} holds no {MAPPING_FILE}, so it is not a mapping folder.") from error
    except (OSError, ValueError) as error:
        raise MappingError(f"{path} cannot be read: {error}.") from error
    _expect_known(path, "", content, _TOP)
    _expect_sql(folder, sql)
    sources = tuple(_source(path, name, each) for name, each in _tables(path, content, "sources"))
    if not sources:
        raise MappingError(f"{path} names no [sources.NAME]. Name at least one file of the export.")
    return Mapping(
        name=folder.resolve().name,
        title=_text(path, "title", content.get("title")),
        description=_text(path, "description", content.get("description")),
        source=_text(path, "source", content.get("source")),
        sources=sources,
        parameters=tuple(_parameter(path, name, each) for name, each in _tables(path, content, "parameters")),
        sql=MappingProxyType(sql),
        needs=MappingProxyType(_needs(path, content, sources)),
        begin=tuple(_begin(path, content)),
        absent=_absent(path, content.get("absent", [])),
    )


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


def _tables(path: Path, content: ReadOnly[str, Any], name: str) -> list[tuple[str, dict[str, Any]]]:
    tables = content.get(name, {})
    if not isinstance(tables, dict) or not all(isinstance(each, dict) for each in tables.values()):
        raise MappingError(f"{path}: {name} must be tables such as [{name}.NAME].")
    for each in tables:
        if not each.isidentifier():
            raise MappingError(f"{path}: [{name}.{each}] is not a name. Use letters, digits and underscores.")
    return list(tables.items())


def _source(path: Path, name: str, content: dict[str, Any]) -> SourceFile:
    where = f"[sources.{name}] "
    _expect_known(path, where, content, _SOURCE)
    required = content.get("required", True)
    if not isinstance(required, bool):
        raise MappingError(f"{path}: {where}required is {required!r}. Allowed are true and false.")
    delimiter, encoding = content.get("delimiter", ","), content.get("encoding", "utf-8")
    if not isinstance(delimiter, str) or len(delimiter) != 1:
        raise MappingError(f'{path}: {where}delimiter is {delimiter!r}. Use one character, such as "," or "\\t".')
    quote = content.get("quote", '"')
    if not isinstance(quote, str) or len(quote) > 1:
        raise MappingError(f"{path}: {where}quote is {quote!r}. Use one character, or nothing.")
    try:
        "".encode(encoding)
    except (LookupError, TypeError) as error:
        raise MappingError(f"{path}: {where}encoding is {encoding!r}. Use a name such as utf-8 or cp1252.") from error
    return SourceFile(
        name,
        _texts(path, f"{where}files", content.get("files")),
        _texts(path, f"{where}columns", content.get("columns")),
        _texts(path, f"{where}optional_columns", content.get("optional_columns", [])),
        required,
        delimiter,
        encoding,
        quote,
    )


def _parameter(path: Path, name: str, content: dict[str, Any]) -> Parameter:
    where = f"[parameters.{name}] "
    _expect_known(path, where, content, ("help", "default"))
    default = content.get("default")
    return Parameter(
        name,
        _text(path, f"{where}help", content.get("help")).rstrip("."),
        None if default is None else _text(path, f"{where}default", default),
    )


def _needs(path: Path, content: ReadOnly[str, Any], sources: tuple[SourceFile, ...]) -> dict[str, tuple[str, ...]]:
    needs = {}
    known = tuple(source.name for source in sources)
    for table, each in _tables(path, content, "tables"):
        _expect_known(path, "tables: ", {table: each}, tuple(BY_NAME))
        _expect_known(path, f"[tables.{table}] ", each, ("needs", "begins_with_first_row"))
        needs[table] = _texts(path, f"[tables.{table}] needs", each.get("needs", []))
        _expect_known(path, f"[tables.{table}] needs: ", dict.fromkeys(needs[table]), known)
    return needs


def _begin(path: Path, content: ReadOnly[str, Any]) -> Iterator[str]:
    for table, each in _tables(path, content, "tables"):
        value = each.get("begins_with_first_row", False)
        if not isinstance(value, bool):
            raise MappingError(
                f"{path}: [tables.{table}] begins_with_first_row is {value!r}. Allowed are true and false."
            )
        if value:
            yield table


def _absent(path: Path, value: object) -> tuple[str, ...]:
    names = _texts(path, "absent", value)
    _expect_known(path, "absent: ", dict.fromkeys(names), ABSENT)
    return names


def _expect_known(path: Path, where: str, content: ReadOnly[str, object], allowed: tuple[str, ...]) -> None:
    for key in content:
        if key not in allowed:
            raise MappingError(f"{path}: {where}{key!r} is not known. Allowed are {', '.join(allowed)}.")


def _text(path: Path, where: str, value: object) -> str:
    if not isinstance(value, str) or not value.strip():
        raise MappingError(f"{path}: {where} is {value!r}. It must be text.")
    return value.strip()


def _texts(path: Path, where: str, value: object) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(each, str) and each for each in value):
        raise MappingError(f'{path}: {where} is {value!r}. It must be a list of text such as ["orders.csv"].')
    return tuple(value)
