"""What Alembic runs: the revisions, on the connection and in the transaction that `api.database` opened."""

from alembic import context

import api.access.repository
import api.consents.repository
import api.consents.requests.repository
import api.ledger.tables
import api.scores.repository
import api.shadow.repository  # noqa: F401 - each adds its table to the metadata
from api.database import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
context.run_migrations()
