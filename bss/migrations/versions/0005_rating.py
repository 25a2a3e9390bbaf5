"""Rated usage, buckets and balances."""
import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = '0005'
down_revision = '0004'
branch_labels = None
depends_on = None
DOCUMENT = sa.JSON().with_variant(JSONB(), "postgresql")


def upgrade() -> None:
    op.create_table('rated_period',
    sa.Column('period', sa.String(length=7), nullable=False),
    sa.Column('closed', sa.DateTime(timezone=True), nullable=False),
    sa.Column('charges', sa.BigInteger(), nullable=False),
    sa.Column('services', sa.BigInteger(), nullable=False),
    sa.Column('detail', DOCUMENT, nullable=False),
    sa.PrimaryKeyConstraint('period', name=op.f('pk_rated_period'))
    )
    op.create_table('usage_hour',
    sa.Column('hour', sa.DateTime(timezone=True), nullable=False),
    sa.Column('probe', sa.String(length=255), nullable=False),
    sa.Column('capture', sa.String(length=20), nullable=False),
    sa.Column('revision', sa.BigInteger(), nullable=False),
    sa.Column('digest', sa.String(length=64), nullable=False),
    sa.Column('rows', sa.BigInteger(), nullable=False),
    sa.Column('bytes', sa.BigInteger(), nullable=False),
    sa.Column('rated', sa.DateTime(timezone=True), nullable=False),
    sa.PrimaryKeyConstraint('hour', 'probe', 'capture', name=op.f('pk_usage_hour'))
    )
    op.create_table('usage_name',
    sa.Column('id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), autoincrement=True, nullable=False),
    sa.Column('category', sa.String(length=64), nullable=False),
    sa.Column('application', sa.String(length=64), nullable=False),
    sa.Column('rules_version', sa.String(length=64), nullable=False),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_usage_name'))
    )
    op.create_index('uq_usage_name_name', 'usage_name', ['category', 'application', 'rules_version'], unique=True)
    op.create_table('bucket',
    sa.Column('id', sa.String(length=16), nullable=False),
    sa.Column('customer_id', sa.String(length=16), nullable=False),
    sa.Column('owner', sa.String(length=100), nullable=False),
    sa.Column('period', sa.String(length=7), nullable=False),
    sa.Column('origin', sa.String(length=7), nullable=False),
    sa.Column('key', sa.String(length=140), nullable=False),
    sa.Column('name', DOCUMENT, nullable=False),
    sa.Column('quantity', sa.BigInteger(), nullable=False),
    sa.Column('used', sa.BigInteger(), nullable=False),
    sa.Column('expires', sa.DateTime(timezone=True), nullable=False),
    sa.Column('crossed', sa.BigInteger(), nullable=False),
    sa.Column('detail', DOCUMENT, nullable=False),
    sa.Column('state', sa.String(length=16), nullable=False),
    sa.ForeignKeyConstraint(['customer_id'], ['customer.id'], name=op.f('fk_bucket_customer_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_bucket'))
    )
    op.create_index('ix_bucket_customer_period', 'bucket', ['customer_id', 'period'], unique=False)
    op.create_index('uq_bucket_place', 'bucket', ['owner', 'period', 'key', 'origin'], unique=True)
    op.create_table('threshold_event',
    sa.Column('bucket_id', sa.String(length=16), nullable=False),
    sa.Column('percent', sa.BigInteger(), autoincrement=False, nullable=False),
    sa.Column('crossed', sa.DateTime(timezone=True), nullable=False),
    sa.Column('told', sa.DateTime(timezone=True), nullable=True),
    sa.ForeignKeyConstraint(['bucket_id'], ['bucket.id'], name=op.f('fk_threshold_event_bucket_id')),
    sa.PrimaryKeyConstraint('bucket_id', 'percent', name=op.f('pk_threshold_event'))
    )
    op.create_index(op.f('ix_threshold_event_told'), 'threshold_event', ['told'], unique=False)
    op.create_table('draw',
    sa.Column('bucket_id', sa.String(length=16), nullable=False),
    sa.Column('service_id', sa.String(length=16), nullable=False),
    sa.Column('bytes', sa.BigInteger(), nullable=False),
    sa.ForeignKeyConstraint(['bucket_id'], ['bucket.id'], name=op.f('fk_draw_bucket_id')),
    sa.ForeignKeyConstraint(['service_id'], ['service.id'], name=op.f('fk_draw_service_id')),
    sa.PrimaryKeyConstraint('bucket_id', 'service_id', name=op.f('pk_draw'))
    )
    op.create_index(op.f('ix_draw_service_id'), 'draw', ['service_id'], unique=False)
    op.create_table('rated_charge',
    sa.Column('id', sa.String(length=16), nullable=False),
    sa.Column('customer_id', sa.String(length=16), nullable=False),
    sa.Column('service_id', sa.String(length=16), nullable=False),
    sa.Column('period', sa.String(length=7), nullable=False),
    sa.Column('original_period', sa.String(length=7), nullable=False),
    sa.Column('price_key', sa.String(length=160), nullable=False),
    sa.Column('revision', sa.BigInteger(), nullable=False),
    sa.Column('name', DOCUMENT, nullable=False),
    sa.Column('unit', sa.String(length=16), nullable=False),
    sa.Column('bytes', sa.BigInteger(), nullable=False),
    sa.Column('quantity', sa.String(length=64), nullable=False),
    sa.Column('amount', sa.String(length=64), nullable=False),
    sa.Column('currency', sa.String(length=3), nullable=False),
    sa.Column('tax', sa.String(length=16), nullable=False),
    sa.Column('tax_rate', sa.String(length=64), nullable=False),
    sa.Column('evidence', DOCUMENT, nullable=False),
    sa.Column('state', sa.String(length=16), nullable=False),
    sa.Column('bill_id', sa.String(length=16), nullable=True),
    sa.Column('made', sa.DateTime(timezone=True), nullable=False),
    sa.ForeignKeyConstraint(['customer_id'], ['customer.id'], name=op.f('fk_rated_charge_customer_id')),
    sa.ForeignKeyConstraint(['service_id'], ['service.id'], name=op.f('fk_rated_charge_service_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_rated_charge'))
    )
    op.create_index(op.f('ix_rated_charge_bill_id'), 'rated_charge', ['bill_id'], unique=False)
    op.create_index('ix_rated_charge_customer_period', 'rated_charge', ['customer_id', 'period'], unique=False)
    op.create_index('uq_rated_charge_place', 'rated_charge', ['service_id', 'price_key', 'original_period', 'revision'], unique=True)
    op.create_table('rated_usage',
    sa.Column('service_id', sa.String(length=16), nullable=False),
    sa.Column('day', sa.String(length=10), nullable=False),
    sa.Column('revision', sa.BigInteger(), nullable=False),
    sa.Column('period', sa.String(length=7), nullable=False),
    sa.Column('state', sa.String(length=16), nullable=False),
    sa.Column('up_bytes', sa.BigInteger(), nullable=False),
    sa.Column('down_bytes', sa.BigInteger(), nullable=False),
    sa.Column('lines', sa.LargeBinary(), nullable=False),
    sa.Column('digest', sa.LargeBinary(length=32), nullable=False),
    sa.Column('rated', sa.DateTime(timezone=True), nullable=False),
    sa.ForeignKeyConstraint(['service_id'], ['service.id'], name=op.f('fk_rated_usage_service_id')),
    sa.PrimaryKeyConstraint('service_id', 'day', 'revision', name=op.f('pk_rated_usage'))
    )
    op.create_index('ix_rated_usage_day', 'rated_usage', ['day'], unique=False)
    op.create_table('recycled',
    sa.Column('id', sa.String(length=16), nullable=False),
    sa.Column('service_id', sa.String(length=16), nullable=False),
    sa.Column('customer_id', sa.String(length=16), nullable=False),
    sa.Column('day', sa.String(length=10), nullable=False),
    sa.Column('period', sa.String(length=7), nullable=False),
    sa.Column('reason', sa.String(length=24), nullable=False),
    sa.Column('lines', sa.LargeBinary(), nullable=False),
    sa.Column('digest', sa.LargeBinary(length=32), nullable=False),
    sa.Column('octets', sa.BigInteger(), nullable=False),
    sa.Column('state', sa.String(length=16), nullable=False),
    sa.Column('made', sa.DateTime(timezone=True), nullable=False),
    sa.Column('decided', sa.DateTime(timezone=True), nullable=True),
    sa.Column('decided_by', sa.String(length=16), nullable=True),
    sa.Column('why', sa.String(length=400), nullable=False),
    sa.Column('version', sa.BigInteger(), nullable=False),
    sa.ForeignKeyConstraint(['customer_id'], ['customer.id'], name=op.f('fk_recycled_customer_id')),
    sa.ForeignKeyConstraint(['decided_by'], ['app_user.id'], name=op.f('fk_recycled_decided_by')),
    sa.ForeignKeyConstraint(['service_id'], ['service.id'], name=op.f('fk_recycled_service_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_recycled'))
    )
    op.create_index(op.f('ix_recycled_customer_id'), 'recycled', ['customer_id'], unique=False)
    op.create_index('ix_recycled_state', 'recycled', ['state', 'made'], unique=False)
    op.create_index('uq_recycled_place', 'recycled', ['service_id', 'day', 'reason', 'digest'], unique=True)
