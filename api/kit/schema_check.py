"""Search for triggers and views, which could silently change or drop what the service writes.

No migration creates one. A person who can write to the database could create a trigger that keeps a consent from being
revoked although the service reports it as revoked.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import Connection, text

from api.errors import DatabaseSetupError

_SQLITE: Final = text(
    "SELECT type || ' ' || name || CASE type WHEN 'trigger' THEN ' on ' || tbl_name ELSE '' END "
    "FROM sqlite_master WHERE type IN ('trigger', 'view') ORDER BY 1"
)

# views of extensions are allowed; other views may be in another schema
_POSTGRESQL: Final = text("""
    WITH ours AS (
        SELECT oid, relname, relkind, relrowsecurity FROM pg_class AS c
        WHERE relnamespace IN (SELECT oid FROM pg_namespace WHERE nspname = ANY (current_schemas(false)))
        AND NOT EXISTS (SELECT 1 FROM pg_depend AS d WHERE d.objid = c.oid AND d.deptype = 'e')
    )
    SELECT 'trigger ' || tgname || ' on ' || relname FROM pg_trigger JOIN ours ON ours.oid = tgrelid
        WHERE NOT tgisinternal
    UNION ALL SELECT 'rule ' || rulename || ' on ' || relname FROM pg_rewrite JOIN ours ON ours.oid = ev_class
        WHERE rulename <> '_RETURN'
    UNION ALL SELECT 'policy ' || polname || ' on ' || relname FROM pg_policy JOIN ours ON ours.oid = polrelid
    UNION ALL SELECT 'row security on ' || relname FROM ours WHERE relrowsecurity
    UNION ALL SELECT 'view ' || relname FROM ours WHERE relkind IN ('v', 'm')
    ORDER BY 1
""")


def unexpected_objects(connection: Connection) -> list[str]:
    """Return the triggers and views of the schema, on PostgreSQL also its rules and row policies.

    Example: `["trigger keep on consents"]`; `[]` for a database that only the service changed.
    """
    statement = _SQLITE if connection.dialect.name == "sqlite" else _POSTGRESQL
    return list(connection.execute(statement).scalars())


def require_tables_only(connection: Connection) -> None:
    """Reject a schema with triggers or views.

    Raises:
        DatabaseSetupError: It has some.
    """
    if found := unexpected_objects(connection):
        raise DatabaseSetupError(
            f"The database has {', '.join(found)}, which SellerScore did not create and which may change or drop what "
            "it stores. Find out who created them, drop them, and run `sellerscore ledger verify`. Keep views for "
            "reports in another schema or database."
        )
