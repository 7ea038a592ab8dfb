"""The Alembic environment: runs the revisions in the transaction of `api.kit.database.migrate`."""

from alembic import context

import api.auth.clients
import api.auth.sessions
import api.auth.shared_limits
import api.consents.repository
import api.kit.idempotency
import api.kit.write_check
import api.ledger.store
import api.products.repository
import api.reviews.repository
import api.scores.repository
import api.scores.shadow  # noqa: F401 - each module adds its tables to the metadata
from api.kit.database import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
context.run_migrations()
