"""The Alembic environment: runs the revisions on the connection and in the transaction of `api.database.migrate`."""

from alembic import context

import api.access.repository
import api.consents.repository
import api.consents.requests.repository
import api.idempotency.repository
import api.ledger.tables
import api.products.repository
import api.reviews.repository
import api.scores.repository
import api.seller_sessions.repository
import api.shadow.repository  # noqa: F401 - each module adds its tables to the metadata
from api.database import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
context.run_migrations()
