"""Measured minutes, months, reclassifications, credits, scorecards."""
import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = '0004'
down_revision = '0003'
branch_labels = None
depends_on = None
DOCUMENT = sa.JSON().with_variant(JSONB(), "postgresql")


def upgrade() -> None:
    op.create_table('sla_mark',
    sa.Column('id', sa.BigInteger(), autoincrement=False, nullable=False),
    sa.Column('measured_until', sa.DateTime(timezone=True), nullable=False),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_sla_mark'))
    )
    op.create_table('credit',
    sa.Column('id', sa.String(length=16), nullable=False),
    sa.Column('service_id', sa.String(length=16), nullable=False),
    sa.Column('customer_id', sa.String(length=16), nullable=False),
    sa.Column('region', sa.String(length=64), nullable=False),
    sa.Column('month', sa.String(length=7), nullable=False),
    sa.Column('state', sa.String(length=16), nullable=False),
    sa.Column('amount', sa.String(length=40), nullable=False),
    sa.Column('currency', sa.String(length=3), nullable=False),
    sa.Column('tax_mode', sa.String(length=16), nullable=False),
    sa.Column('tax_rate', sa.String(length=40), nullable=False),
    sa.Column('why', DOCUMENT, nullable=False),
    sa.Column('evidence', DOCUMENT, nullable=False),
    sa.Column('drafted', sa.DateTime(timezone=True), nullable=False),
    sa.Column('drafted_by', sa.String(length=16), nullable=True),
    sa.Column('decided', sa.DateTime(timezone=True), nullable=True),
    sa.Column('decided_by', sa.String(length=16), nullable=True),
    sa.Column('reason', sa.String(length=400), nullable=False),
    sa.Column('applied', sa.DateTime(timezone=True), nullable=True),
    sa.Column('applied_by', sa.String(length=16), nullable=True),
    sa.Column('bill_id', sa.String(length=16), nullable=True),
    sa.Column('line_number', sa.BigInteger(), nullable=True),
    sa.Column('version', sa.BigInteger(), nullable=False),
    sa.ForeignKeyConstraint(['applied_by'], ['app_user.id'], name=op.f('fk_credit_applied_by')),
    sa.ForeignKeyConstraint(['customer_id'], ['customer.id'], name=op.f('fk_credit_customer_id')),
    sa.ForeignKeyConstraint(['decided_by'], ['app_user.id'], name=op.f('fk_credit_decided_by')),
    sa.ForeignKeyConstraint(['drafted_by'], ['app_user.id'], name=op.f('fk_credit_drafted_by')),
    sa.ForeignKeyConstraint(['service_id'], ['service.id'], name=op.f('fk_credit_service_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_credit'))
    )
    op.create_index(op.f('ix_credit_bill_id'), 'credit', ['bill_id'], unique=False)
    op.create_index('ix_credit_customer_id_state', 'credit', ['customer_id', 'state'], unique=False)
    op.create_index(op.f('ix_credit_service_id'), 'credit', ['service_id'], unique=False)
    op.create_index('ix_credit_state_month', 'credit', ['state', 'month'], unique=False)
    op.create_index('uq_credit_live', 'credit', ['service_id', 'month', 'tax_mode', 'tax_rate'], unique=True, sqlite_where=sa.text("state IN ('drafted', 'approved', 'applied')"), postgresql_where=sa.text("state IN ('drafted', 'approved', 'applied')"))
    op.create_table('reclassification',
    sa.Column('id', sa.String(length=16), nullable=False),
    sa.Column('service_id', sa.String(length=16), nullable=False),
    sa.Column('since', sa.DateTime(timezone=True), nullable=False),
    sa.Column('until', sa.DateTime(timezone=True), nullable=False),
    sa.Column('to_state', sa.String(length=16), nullable=False),
    sa.Column('reason', sa.String(length=400), nullable=False),
    sa.Column('evidence', DOCUMENT, nullable=False),
    sa.Column('before', DOCUMENT, nullable=False),
    sa.Column('minutes', sa.BigInteger(), nullable=False),
    sa.Column('state', sa.String(length=16), nullable=False),
    sa.Column('asked', sa.DateTime(timezone=True), nullable=False),
    sa.Column('asked_by', sa.String(length=16), nullable=True),
    sa.Column('decided', sa.DateTime(timezone=True), nullable=True),
    sa.Column('decided_by', sa.String(length=16), nullable=True),
    sa.Column('answer', sa.String(length=400), nullable=False),
    sa.ForeignKeyConstraint(['asked_by'], ['app_user.id'], name=op.f('fk_reclassification_asked_by')),
    sa.ForeignKeyConstraint(['decided_by'], ['app_user.id'], name=op.f('fk_reclassification_decided_by')),
    sa.ForeignKeyConstraint(['service_id'], ['service.id'], name=op.f('fk_reclassification_service_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_reclassification'))
    )
    op.create_index(op.f('ix_reclassification_service_id'), 'reclassification', ['service_id'], unique=False)
    op.create_index(op.f('ix_reclassification_state'), 'reclassification', ['state'], unique=False)
    op.create_table('sla_month',
    sa.Column('id', sa.String(length=16), nullable=False),
    sa.Column('service_id', sa.String(length=16), nullable=False),
    sa.Column('customer_id', sa.String(length=16), nullable=False),
    sa.Column('region', sa.String(length=64), nullable=False),
    sa.Column('month', sa.String(length=7), nullable=False),
    sa.Column('state', sa.String(length=16), nullable=False),
    sa.Column('promised', DOCUMENT, nullable=False),
    sa.Column('total', sa.BigInteger(), nullable=False),
    sa.Column('excluded', sa.BigInteger(), nullable=False),
    sa.Column('unknown', sa.BigInteger(), nullable=False),
    sa.Column('down', sa.BigInteger(), nullable=False),
    sa.Column('degraded', sa.BigInteger(), nullable=False),
    sa.Column('faults', sa.BigInteger(), nullable=False),
    sa.Column('rtt_us', sa.BigInteger(), nullable=True),
    sa.Column('again', sa.BigInteger(), nullable=False),
    sa.Column('tcp', sa.BigInteger(), nullable=False),
    sa.Column('verdict', sa.String(length=16), nullable=False),
    sa.Column('revision', sa.BigInteger(), nullable=False),
    sa.Column('measured_until', sa.DateTime(timezone=True), nullable=False),
    sa.Column('ticket_id', sa.String(length=16), nullable=True),
    sa.Column('evidence', DOCUMENT, nullable=False),
    sa.Column('made', sa.DateTime(timezone=True), nullable=False),
    sa.Column('closed', sa.DateTime(timezone=True), nullable=True),
    sa.Column('closed_by', sa.String(length=16), nullable=True),
    sa.ForeignKeyConstraint(['closed_by'], ['app_user.id'], name=op.f('fk_sla_month_closed_by')),
    sa.ForeignKeyConstraint(['customer_id'], ['customer.id'], name=op.f('fk_sla_month_customer_id')),
    sa.ForeignKeyConstraint(['service_id'], ['service.id'], name=op.f('fk_sla_month_service_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_sla_month'))
    )
    op.create_index(op.f('ix_sla_month_customer_id'), 'sla_month', ['customer_id'], unique=False)
    op.create_index('ix_sla_month_month_verdict', 'sla_month', ['month', 'verdict'], unique=False)
    op.create_index('uq_sla_month_service_id_month', 'sla_month', ['service_id', 'month'], unique=True)
    op.create_table('speed_test',
    sa.Column('id', sa.String(length=16), nullable=False),
    sa.Column('service_id', sa.String(length=16), nullable=False),
    sa.Column('time', sa.DateTime(timezone=True), nullable=False),
    sa.Column('down_bps', sa.BigInteger(), nullable=False),
    sa.Column('up_bps', sa.BigInteger(), nullable=False),
    sa.Column('note', sa.String(length=400), nullable=False),
    sa.Column('user_id', sa.String(length=16), nullable=True),
    sa.ForeignKeyConstraint(['service_id'], ['service.id'], name=op.f('fk_speed_test_service_id')),
    sa.ForeignKeyConstraint(['user_id'], ['app_user.id'], name=op.f('fk_speed_test_user_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_speed_test'))
    )
    op.create_index('ix_speed_test_service_id_time', 'speed_test', ['service_id', 'time'], unique=False)
    op.create_table('sla_minute',
    sa.Column('service_id', sa.String(length=16), nullable=False),
    sa.Column('since', sa.DateTime(timezone=True), nullable=False),
    sa.Column('until', sa.DateTime(timezone=True), nullable=False),
    sa.Column('state', sa.String(length=16), nullable=False),
    sa.Column('measured', sa.String(length=16), nullable=False),
    sa.Column('reason', sa.String(length=24), nullable=False),
    sa.Column('reclassification_id', sa.String(length=16), nullable=True),
    sa.Column('evidence', DOCUMENT, nullable=False),
    sa.CheckConstraint('until > since', name=op.f('ck_sla_minute_order')),
    sa.ForeignKeyConstraint(['reclassification_id'], ['reclassification.id'], name=op.f('fk_sla_minute_reclassification_id')),
    sa.ForeignKeyConstraint(['service_id'], ['service.id'], name=op.f('fk_sla_minute_service_id')),
    sa.PrimaryKeyConstraint('service_id', 'since', name=op.f('pk_sla_minute'))
    )
    op.create_index(op.f('ix_sla_minute_reclassification_id'), 'sla_minute', ['reclassification_id'], unique=False)
    op.create_index('ix_sla_minute_until', 'sla_minute', ['until'], unique=False)
