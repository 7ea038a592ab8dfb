"""The ledger. Scores that were given before it are carried into their banks' chains; their table becomes an index.

Going down turns scores back into rows that hold everything. It loses the chain, and with it the
scores of erased sellers and those past their time.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from typing import Any

import sqlalchemy as sa
from alembic import context, op

from api.database import UtcDateTime
from api.errors import DatabaseSetupError
from api.ledger import chain
from api.ledger.chain import Header, Row, Tip
from api.ledger.repository import SellerKey
from api.ledger.sealing import SealBrokenError, new_key, opened, seal
from api.ledger.service import content_of, seller_bound
from api.scores import answer
from scoring.canonical import canonical_json

revision = "0004"
down_revision = "0003"

_BEFORE = "before-banks"


def _table(name: str, columns: str) -> sa.TableClause:
    """Return a table as it is at this revision, whatever the code of later ones says."""
    types: dict[str, Any] = {"scored_at": UtcDateTime(), "position": sa.BigInteger()}
    binary = {"head", "commitment", "sealed", "wrapped", "inputs", "body", "receipt"}
    of = {each: types.get(each) or (sa.LargeBinary() if each in binary else sa.String()) for each in columns.split()}
    return sa.table(name, *(sa.column(each, kind) for each, kind in of.items()))


_WHOLE = "id bank_id seller_id purpose scored_at bundle inputs body"
_INDEX = "id chain position subject purpose scored_at bundle receipt"
_LEDGER = _table("ledger", "chain position kind recorded_at subject commitment sealed head")
_KEYS = _table("seller_keys", "seller_id subject wrapped")
_CHAINS = _table("chains", "name position head")


def upgrade() -> None:
    """Make the ledger, and carry into it what there is."""
    op.create_table(
        "chains",
        sa.Column("name", sa.String(80), primary_key=True),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("head", sa.LargeBinary(), nullable=False),
    )
    op.create_table(
        "ledger",
        sa.Column("chain", sa.String(80), primary_key=True),
        sa.Column("position", sa.BigInteger(), primary_key=True, autoincrement=False),
        sa.Column("kind", sa.String(20), nullable=False),
        sa.Column("recorded_at", sa.String(27), nullable=False),
        sa.Column("subject", sa.String(32), nullable=False),
        sa.Column("commitment", sa.LargeBinary(), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.Column("head", sa.LargeBinary(), nullable=False),
    )
    op.create_index("ledger_subject", "ledger", ["subject"])
    op.create_table(
        "seller_keys",
        sa.Column("seller_id", sa.String(200), primary_key=True),
        sa.Column("subject", sa.String(32), nullable=False, unique=True),
        sa.Column("wrapped", sa.LargeBinary(), nullable=False),
    )
    _replace_scores(_make_index, _carry)


def downgrade() -> None:
    """Drop the ledger, and make whole rows of the scores that can be read."""
    _replace_scores(_make_whole, _carry_back)
    for table in ("ledger", "seller_keys", "chains"):
        op.drop_table(table)


def _replace_scores(make: Callable[[], None], carry: Callable[[sa.Connection], None]) -> None:
    # kept under other names meanwhile, since shadow scores refer to scores, and PostgreSQL has one name for an index
    op.execute("CREATE TABLE scores_before AS SELECT * FROM scores")
    op.execute("CREATE TABLE shadow_before AS SELECT * FROM shadow_scores")
    op.drop_table("shadow_scores")
    op.drop_table("scores")
    make()
    op.create_table(
        "shadow_scores",
        sa.Column("score_id", sa.String(36), sa.ForeignKey("scores.id"), primary_key=True),
        sa.Column("bundle", sa.String(71), primary_key=True),
        sa.Column("outcome", sa.String(40), nullable=False),
        sa.Column("score", sa.Integer(), nullable=True),
        sa.Column("band", sa.String(10), nullable=True),
        sa.Column("probability_of_default", sa.Float(), nullable=True),
    )
    carry(op.get_bind())
    op.execute("INSERT INTO shadow_scores SELECT * FROM shadow_before WHERE score_id IN (SELECT id FROM scores)")
    op.execute("DROP TABLE shadow_before")
    op.execute("DROP TABLE scores_before")


def _make_index() -> None:
    op.create_table(
        "scores",
        sa.Column("id", sa.String(36), primary_key=True),
        sa.Column("chain", sa.String(80), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("subject", sa.String(32), nullable=False),
        sa.Column("purpose", sa.String(40), nullable=False),
        sa.Column("scored_at", sa.DateTime(), nullable=False),
        sa.Column("bundle", sa.String(71), nullable=False),
        sa.Column("receipt", sa.LargeBinary(), nullable=True),
        sa.UniqueConstraint("chain", "position"),
    )
    op.create_index("scores_subject", "scores", ["subject"])


def _make_whole() -> None:
    op.create_table(
        "scores",
        sa.Column("id", sa.String(36), primary_key=True),
        sa.Column("seller_id", sa.String(200), nullable=False),
        sa.Column("purpose", sa.String(40), nullable=False),
        sa.Column("scored_at", sa.DateTime(), nullable=False),
        sa.Column("bundle", sa.String(71), nullable=False),
        sa.Column("inputs", sa.LargeBinary(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("bank_id", sa.String(60), nullable=False, server_default=_BEFORE),
    )


def _master() -> bytes:
    give = context.config.attributes.get("master")
    if give is None:
        raise DatabaseSetupError(
            "Scores are to be carried between the ledger and their table, which needs the key of the ledger; start the "
            "service, which has it."
        )
    key: bytes = give()
    return key


def _each(connection: sa.Connection, wanted: sa.Select[Any]) -> Iterator[Any]:
    """Yield the scores from before, oldest first, one by one: each holds twenty kilobytes."""
    before = _table("scores_before", "id scored_at")
    ids = connection.execute(sa.select(before.c.id).order_by(before.c.scored_at, before.c.id)).scalars().all()
    for each in ids:
        yield from connection.execute(wanted, {"wanted": each})


def _carry(connection: sa.Connection) -> None:
    before = _table("scores_before", _WHOLE)
    tips, keys, master = dict[str, Tip](), dict[str, SellerKey](), b""
    for old in _each(connection, sa.select(before).where(before.c.id == sa.bindparam("wanted"))):
        master = master or _master()
        if old.seller_id not in keys:
            keys[old.seller_id] = _new_seller(connection, master, old.seller_id)
        row = _row(tips.get(old.bank_id, Tip(0, chain.START)), keys[old.seller_id], master, old)
        tips[old.bank_id] = Tip(row.header.position, row.head)
        _insert(connection, row, old)
    for name, tip in tips.items():
        connection.execute(sa.insert(_CHAINS), {"name": name, "position": tip.position, "head": tip.head})


def _new_seller(connection: sa.Connection, master: bytes, seller_id: str) -> SellerKey:
    subject = secrets.token_hex(16)
    known = SellerKey(seller_id, subject, seal(master, new_key(), seller_bound(seller_id, subject)))
    connection.execute(sa.insert(_KEYS), known._asdict())
    return known


def _row(tip: Tip, known: SellerKey, master: bytes, old: Any) -> Row:
    # what is spliced is canonical JSON: the service wrote nothing else
    content = b'{"bundle":%b,"envelope":%b,"inputs":%b}' % (canonical_json(old.bundle), old.body, old.inputs)
    both = chain.salted(content)
    moment = chain.written(old.scored_at)
    header = Header(old.bank_id, tip.position + 1, answer.CARRIED, moment, known.subject)
    commitment = chain.commit(both)
    sealed = seal(_unwrapped(master, known), both, header.bound)
    return Row(header, commitment, sealed, chain.head(tip.head, header, commitment, sealed))


def _unwrapped(master: bytes, known: SellerKey) -> bytes:
    return opened(master, known.wrapped, seller_bound(known.seller_id, known.subject))


def _insert(connection: sa.Connection, row: Row, old: Any) -> None:
    header = row.header
    place = {"chain": header.chain, "position": header.position, "subject": header.subject}
    rest = {"commitment": row.commitment, "sealed": row.sealed, "head": row.head}
    connection.execute(sa.insert(_LEDGER), {**place, "kind": header.kind, "recorded_at": header.recorded_at, **rest})
    index = {"id": old.id, **place, "purpose": old.purpose, "scored_at": old.scored_at, "bundle": old.bundle}
    connection.execute(sa.insert(_table("scores", _INDEX)), {**index, "receipt": None})


def _carry_back(connection: sa.Connection) -> None:
    before, master = _table("scores_before", _INDEX), b""
    place = (_LEDGER.c.chain == before.c.chain) & (_LEDGER.c.position == before.c.position)
    joint = before.join(_LEDGER, place).join(_KEYS, _KEYS.c.subject == before.c.subject)
    wanted = sa.select(before, *_LEDGER.c, _KEYS.c.seller_id, _KEYS.c.wrapped).select_from(joint)
    # of a content that was dropped after its time a digest of 32 bytes is left: it cannot be carried
    there = sa.func.length(_LEDGER.c.sealed) > len(chain.START)
    for found in _each(connection, wanted.where(before.c.id == sa.bindparam("wanted"), there)):
        master = master or _master()
        connection.execute(sa.insert(_table("scores", _WHOLE)), _whole(master, tuple(found)))


def _whole(master: bytes, found: tuple[Any, ...]) -> dict[str, Any]:
    (score_id, bank_id, _, _, purpose, scored_at, bundle, receipt), kept, (seller_id, wrapped) = (
        found[:8],
        found[8:16],
        found[16:],
    )
    row = Row(Header(*kept[:5]), *kept[5:])
    try:
        key = _unwrapped(master, SellerKey(seller_id, row.header.subject, wrapped))
        content = answer.parsed(content_of(row, key))
        receipt = None if receipt is None else answer.opened_receipt(key, score_id, receipt)
    except SealBrokenError as error:
        raise DatabaseSetupError(
            f"Row {row.header.position} of {row.header.chain} is damaged; nothing was done."
        ) from error
    return {
        "id": score_id,
        "bank_id": bank_id,
        "seller_id": seller_id,
        "purpose": purpose,
        "scored_at": scored_at,
        "bundle": bundle,
        "inputs": canonical_json(content["inputs"]),
        "body": answer.read_again(content, row, receipt),
    }
