"""Accounts, bills, payments, dunning."""
import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = '0006'
down_revision = '0005'
branch_labels = None
depends_on = None
DOCUMENT = sa.JSON().with_variant(JSONB(), "postgresql")


def upgrade() -> None:
    op.create_table('bill_counter',
    sa.Column('series', sa.String(length=16), nullable=False),
    sa.Column('next', sa.BigInteger(), nullable=False),
    sa.PrimaryKeyConstraint('series', name=op.f('pk_bill_counter'))
    )
    op.create_table('bill_run',
    sa.Column('id', sa.String(length=16), nullable=False),
    sa.Column('period', sa.String(length=7), nullable=False),
    sa.Column('anchor', sa.BigInteger(), nullable=False),
    sa.Column('whole', sa.Boolean(), nullable=False),
    sa.Column('customers', DOCUMENT, nullable=False),
    sa.Column('state', sa.String(length=16), nullable=False),
    sa.Column('cursor', sa.String(length=16), nullable=False),
    sa.Column('begun', sa.DateTime(timezone=True), nullable=False),
    sa.Column('begun_by', sa.String(length=16), nullable=True),
    sa.Column('audited', sa.DateTime(timezone=True), nullable=True),
    sa.Column('approved', sa.DateTime(timezone=True), nullable=True),
    sa.Column('approved_by', sa.String(length=16), nullable=True),
    sa.Column('issued', sa.DateTime(timezone=True), nullable=True),
    sa.Column('reason', sa.String(length=400), nullable=False),
    sa.Column('version', sa.BigInteger(), nullable=False),
    sa.ForeignKeyConstraint(['approved_by'], ['app_user.id'], name=op.f('fk_bill_run_approved_by')),
    sa.ForeignKeyConstraint(['begun_by'], ['app_user.id'], name=op.f('fk_bill_run_begun_by')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_bill_run'))
    )
    op.create_index('uq_bill_run_period_anchor', 'bill_run', ['period', 'anchor'], unique=True, sqlite_where=sa.text("whole AND state <> 'cancelled'"), postgresql_where=sa.text("whole AND state <> 'cancelled'"))
    op.create_table('tax_rate',
    sa.Column('id', sa.String(length=16), nullable=False),
    sa.Column('charge', sa.String(length=32), nullable=False),
    sa.Column('customer', sa.String(length=16), nullable=False),
    sa.Column('valid_from', sa.Date(), nullable=False),
    sa.Column('valid_to', sa.Date(), nullable=True),
    sa.Column('rate', sa.String(length=40), nullable=False),
    sa.Column('created', sa.DateTime(timezone=True), nullable=False),
    sa.Column('user_id', sa.String(length=16), nullable=True),
    sa.ForeignKeyConstraint(['user_id'], ['app_user.id'], name=op.f('fk_tax_rate_user_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_tax_rate')),
    sa.UniqueConstraint('charge', 'customer', 'valid_from', name=op.f('uq_tax_rate_charge_customer_valid_from'))
    )
    op.create_table('billing_account',
    sa.Column('id', sa.String(length=16), nullable=False),
    sa.Column('number', sa.String(length=64).with_variant(sa.String(length=64, collation='C'), 'postgresql'), nullable=False),
    sa.Column('customer_id', sa.String(length=16), nullable=False),
    sa.Column('name', sa.LargeBinary(), nullable=True),
    sa.Column('kind', sa.String(length=16), nullable=False),
    sa.Column('state', sa.String(length=16), nullable=False),
    sa.Column('anchor', sa.BigInteger(), nullable=False),
    sa.Column('currency', sa.String(length=3), nullable=False),
    sa.Column('payer', sa.String(length=16), nullable=False),
    sa.Column('tax', sa.LargeBinary(), nullable=True),
    sa.Column('lang', sa.String(length=2), nullable=False),
    sa.Column('due_days', sa.BigInteger(), nullable=False),
    sa.Column('created', sa.DateTime(timezone=True), nullable=False),
    sa.Column('version', sa.BigInteger(), nullable=False),
    sa.CheckConstraint('anchor BETWEEN 1 AND 31', name=op.f('ck_billing_account_anchor')),
    sa.ForeignKeyConstraint(['customer_id'], ['customer.id'], name=op.f('fk_billing_account_customer_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_billing_account')),
    sa.UniqueConstraint('number', name=op.f('uq_billing_account_number'))
    )
    op.create_index(op.f('ix_billing_account_customer_id'), 'billing_account', ['customer_id'], unique=False)
    op.create_table('journal_entry',
    sa.Column('posting', sa.String(length=64), nullable=False),
    sa.Column('line', sa.BigInteger(), nullable=False),
    sa.Column('day', sa.Date(), nullable=False),
    sa.Column('account', sa.String(length=32), nullable=False),
    sa.Column('debit', sa.BigInteger(), nullable=False),
    sa.Column('credit', sa.BigInteger(), nullable=False),
    sa.Column('currency', sa.String(length=3), nullable=False),
    sa.Column('customer_id', sa.String(length=16), nullable=True),
    sa.Column('entity', sa.String(length=16), nullable=False),
    sa.Column('entity_id', sa.String(length=16), nullable=False),
    sa.CheckConstraint('(debit = 0) <> (credit = 0)', name=op.f('ck_journal_entry_side')),
    sa.CheckConstraint('debit >= 0 AND credit >= 0', name=op.f('ck_journal_entry_sign')),
    sa.ForeignKeyConstraint(['customer_id'], ['customer.id'], name=op.f('fk_journal_entry_customer_id')),
    sa.PrimaryKeyConstraint('posting', 'line', name=op.f('pk_journal_entry'))
    )
    op.create_index(op.f('ix_journal_entry_customer_id'), 'journal_entry', ['customer_id'], unique=False)
    op.create_index('ix_journal_entry_day', 'journal_entry', ['day', 'posting'], unique=False)
    op.create_table('bill',
    sa.Column('id', sa.String(length=16), nullable=False),
    sa.Column('number', sa.String(length=32).with_variant(sa.String(length=32, collation='C'), 'postgresql'), nullable=True),
    sa.Column('account_id', sa.String(length=16), nullable=False),
    sa.Column('customer_id', sa.String(length=16), nullable=False),
    sa.Column('run_id', sa.String(length=16), nullable=False),
    sa.Column('period', sa.String(length=7), nullable=False),
    sa.Column('revision', sa.BigInteger(), nullable=False),
    sa.Column('begin', sa.Date(), nullable=False),
    sa.Column('end', sa.Date(), nullable=False),
    sa.Column('state', sa.String(length=16), nullable=False),
    sa.Column('reason', sa.String(length=400), nullable=False),
    sa.Column('currency', sa.String(length=3), nullable=False),
    sa.Column('net', sa.BigInteger(), nullable=False),
    sa.Column('tax', sa.BigInteger(), nullable=False),
    sa.Column('gross', sa.BigInteger(), nullable=False),
    sa.Column('paid', sa.BigInteger(), nullable=False),
    sa.Column('credited', sa.Boolean(), nullable=False),
    sa.Column('due', sa.Date(), nullable=True),
    sa.Column('created', sa.DateTime(timezone=True), nullable=False),
    sa.Column('issued', sa.DateTime(timezone=True), nullable=True),
    sa.Column('parties', sa.LargeBinary(), nullable=True),
    sa.Column('replaces_id', sa.String(length=16), nullable=True),
    sa.Column('version', sa.BigInteger(), nullable=False),
    sa.CheckConstraint('net + tax = gross', name=op.f('ck_bill_sum')),
    sa.ForeignKeyConstraint(['account_id'], ['billing_account.id'], name=op.f('fk_bill_account_id')),
    sa.ForeignKeyConstraint(['customer_id'], ['customer.id'], name=op.f('fk_bill_customer_id')),
    sa.ForeignKeyConstraint(['replaces_id'], ['bill.id'], name=op.f('fk_bill_replaces_id')),
    sa.ForeignKeyConstraint(['run_id'], ['bill_run.id'], name=op.f('fk_bill_run_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_bill')),
    sa.UniqueConstraint('account_id', 'period', 'revision', name=op.f('uq_bill_account_id_period_revision')),
    sa.UniqueConstraint('number', name=op.f('uq_bill_number'))
    )
    op.create_index(op.f('ix_bill_customer_id'), 'bill', ['customer_id'], unique=False)
    op.create_index('ix_bill_period_state', 'bill', ['period', 'state'], unique=False)
    op.create_index('ix_bill_run_state', 'bill', ['run_id', 'state', 'id'], unique=False)
    op.create_index('ix_bill_state_due', 'bill', ['state', 'due'], unique=False)
    op.create_table('payment',
    sa.Column('id', sa.String(length=16), nullable=False),
    sa.Column('source', sa.String(length=120), nullable=False),
    sa.Column('account_id', sa.String(length=16), nullable=True),
    sa.Column('customer_id', sa.String(length=16), nullable=True),
    sa.Column('method', sa.String(length=16), nullable=False),
    sa.Column('state', sa.String(length=16), nullable=False),
    sa.Column('amount', sa.BigInteger(), nullable=False),
    sa.Column('matched', sa.BigInteger(), nullable=False),
    sa.Column('refunded', sa.BigInteger(), nullable=False),
    sa.Column('currency', sa.String(length=3), nullable=False),
    sa.Column('received', sa.DateTime(timezone=True), nullable=False),
    sa.Column('payer', sa.LargeBinary(), nullable=True),
    sa.Column('remark', sa.LargeBinary(), nullable=True),
    sa.Column('suggestion', DOCUMENT, nullable=False),
    sa.Column('created', sa.DateTime(timezone=True), nullable=False),
    sa.Column('user_id', sa.String(length=16), nullable=True),
    sa.Column('reason', sa.String(length=400), nullable=False),
    sa.Column('version', sa.BigInteger(), nullable=False),
    sa.CheckConstraint('matched >= 0 AND refunded >= 0 AND matched + refunded <= amount', name=op.f('ck_payment_spent')),
    sa.ForeignKeyConstraint(['account_id'], ['billing_account.id'], name=op.f('fk_payment_account_id')),
    sa.ForeignKeyConstraint(['customer_id'], ['customer.id'], name=op.f('fk_payment_customer_id')),
    sa.ForeignKeyConstraint(['user_id'], ['app_user.id'], name=op.f('fk_payment_user_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_payment')),
    sa.UniqueConstraint('source', name=op.f('uq_payment_source'))
    )
    op.create_index(op.f('ix_payment_account_id'), 'payment', ['account_id'], unique=False)
    op.create_index(op.f('ix_payment_customer_id'), 'payment', ['customer_id'], unique=False)
    op.create_index('ix_payment_state', 'payment', ['state', 'id'], unique=False)
    op.create_table('bill_finding',
    sa.Column('id', sa.String(length=16), nullable=False),
    sa.Column('run_id', sa.String(length=16), nullable=False),
    sa.Column('bill_id', sa.String(length=16), nullable=False),
    sa.Column('kind', sa.String(length=16), nullable=False),
    sa.Column('detail', DOCUMENT, nullable=False),
    sa.Column('made', sa.DateTime(timezone=True), nullable=False),
    sa.Column('cleared', sa.DateTime(timezone=True), nullable=True),
    sa.Column('cleared_by', sa.String(length=16), nullable=True),
    sa.Column('reason', sa.String(length=400), nullable=False),
    sa.ForeignKeyConstraint(['bill_id'], ['bill.id'], name=op.f('fk_bill_finding_bill_id')),
    sa.ForeignKeyConstraint(['cleared_by'], ['app_user.id'], name=op.f('fk_bill_finding_cleared_by')),
    sa.ForeignKeyConstraint(['run_id'], ['bill_run.id'], name=op.f('fk_bill_finding_run_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_bill_finding')),
    sa.UniqueConstraint('bill_id', 'kind', name=op.f('uq_bill_finding_bill_id_kind'))
    )
    op.create_index('ix_bill_finding_run', 'bill_finding', ['run_id', 'cleared'], unique=False)
    op.create_table('bill_line',
    sa.Column('bill_id', sa.String(length=16), nullable=False),
    sa.Column('number', sa.BigInteger(), nullable=False),
    sa.Column('kind', sa.String(length=16), nullable=False),
    sa.Column('service_id', sa.String(length=16), nullable=True),
    sa.Column('price_key', sa.String(length=160), nullable=False),
    sa.Column('name', DOCUMENT, nullable=False),
    sa.Column('unit', sa.String(length=16), nullable=False),
    sa.Column('quantity', sa.String(length=40), nullable=False),
    sa.Column('begin', sa.Date(), nullable=False),
    sa.Column('end', sa.Date(), nullable=False),
    sa.Column('amount', sa.BigInteger(), nullable=False),
    sa.Column('tax_mode', sa.String(length=9), nullable=False),
    sa.Column('tax_rate', sa.String(length=40), nullable=False),
    sa.Column('net', sa.BigInteger(), nullable=False),
    sa.Column('tax', sa.BigInteger(), nullable=False),
    sa.Column('gross', sa.BigInteger(), nullable=False),
    sa.Column('original_period', sa.String(length=7), nullable=False),
    sa.Column('source', sa.String(length=160), nullable=False),
    sa.Column('live', sa.Boolean(), nullable=False),
    sa.Column('evidence', DOCUMENT, nullable=False),
    sa.ForeignKeyConstraint(['bill_id'], ['bill.id'], name=op.f('fk_bill_line_bill_id')),
    sa.ForeignKeyConstraint(['service_id'], ['service.id'], name=op.f('fk_bill_line_service_id')),
    sa.PrimaryKeyConstraint('bill_id', 'number', name=op.f('pk_bill_line'))
    )
    op.create_index(op.f('ix_bill_line_service_id'), 'bill_line', ['service_id'], unique=False)
    op.create_index('uq_bill_line_source', 'bill_line', ['source'], unique=True, sqlite_where=sa.text('live'), postgresql_where=sa.text('live'))
    op.create_table('credit_note',
    sa.Column('id', sa.String(length=16), nullable=False),
    sa.Column('number', sa.String(length=32).with_variant(sa.String(length=32, collation='C'), 'postgresql'), nullable=True),
    sa.Column('bill_id', sa.String(length=16), nullable=False),
    sa.Column('customer_id', sa.String(length=16), nullable=False),
    sa.Column('state', sa.String(length=16), nullable=False),
    sa.Column('reason', sa.String(length=400), nullable=False),
    sa.Column('gross', sa.BigInteger(), nullable=False),
    sa.Column('written', sa.DateTime(timezone=True), nullable=False),
    sa.Column('written_by', sa.String(length=16), nullable=True),
    sa.Column('decided', sa.DateTime(timezone=True), nullable=True),
    sa.Column('decided_by', sa.String(length=16), nullable=True),
    sa.ForeignKeyConstraint(['bill_id'], ['bill.id'], name=op.f('fk_credit_note_bill_id')),
    sa.ForeignKeyConstraint(['customer_id'], ['customer.id'], name=op.f('fk_credit_note_customer_id')),
    sa.ForeignKeyConstraint(['decided_by'], ['app_user.id'], name=op.f('fk_credit_note_decided_by')),
    sa.ForeignKeyConstraint(['written_by'], ['app_user.id'], name=op.f('fk_credit_note_written_by')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_credit_note')),
    sa.UniqueConstraint('number', name=op.f('uq_credit_note_number'))
    )
    op.create_index(op.f('ix_credit_note_customer_id'), 'credit_note', ['customer_id'], unique=False)
    op.create_index('uq_credit_note_bill', 'credit_note', ['bill_id'], unique=True, sqlite_where=sa.text("state <> 'rejected'"), postgresql_where=sa.text("state <> 'rejected'"))
    op.create_table('dunning_case',
    sa.Column('id', sa.String(length=16), nullable=False),
    sa.Column('bill_id', sa.String(length=16), nullable=False),
    sa.Column('account_id', sa.String(length=16), nullable=False),
    sa.Column('customer_id', sa.String(length=16), nullable=False),
    sa.Column('state', sa.String(length=24), nullable=False),
    sa.Column('prior_state', sa.String(length=24), nullable=True),
    sa.Column('opened', sa.DateTime(timezone=True), nullable=False),
    sa.Column('disputed', sa.Date(), nullable=True),
    sa.Column('paused', sa.BigInteger(), nullable=False),
    sa.Column('wait_until', sa.Date(), nullable=True),
    sa.Column('services', DOCUMENT, nullable=False),
    sa.Column('windows', DOCUMENT, nullable=False),
    sa.Column('reason', sa.String(length=400), nullable=False),
    sa.Column('proposed_by', sa.String(length=16), nullable=True),
    sa.Column('cleared', sa.DateTime(timezone=True), nullable=True),
    sa.Column('version', sa.BigInteger(), nullable=False),
    sa.ForeignKeyConstraint(['account_id'], ['billing_account.id'], name=op.f('fk_dunning_case_account_id')),
    sa.ForeignKeyConstraint(['bill_id'], ['bill.id'], name=op.f('fk_dunning_case_bill_id')),
    sa.ForeignKeyConstraint(['customer_id'], ['customer.id'], name=op.f('fk_dunning_case_customer_id')),
    sa.ForeignKeyConstraint(['proposed_by'], ['app_user.id'], name=op.f('fk_dunning_case_proposed_by')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_dunning_case'))
    )
    op.create_index(op.f('ix_dunning_case_account_id'), 'dunning_case', ['account_id'], unique=False)
    op.create_index(op.f('ix_dunning_case_customer_id'), 'dunning_case', ['customer_id'], unique=False)
    op.create_index('ix_dunning_case_state', 'dunning_case', ['state', 'id'], unique=False)
    op.create_index('uq_dunning_case_bill', 'dunning_case', ['bill_id'], unique=True, sqlite_where=sa.text("state <> 'cleared'"), postgresql_where=sa.text("state <> 'cleared'"))
    op.create_table('payment_match',
    sa.Column('id', sa.String(length=16), nullable=False),
    sa.Column('payment_id', sa.String(length=16), nullable=False),
    sa.Column('bill_id', sa.String(length=16), nullable=False),
    sa.Column('amount', sa.BigInteger(), nullable=False),
    sa.Column('made', sa.DateTime(timezone=True), nullable=False),
    sa.Column('user_id', sa.String(length=16), nullable=True),
    sa.Column('undone', sa.DateTime(timezone=True), nullable=True),
    sa.ForeignKeyConstraint(['bill_id'], ['bill.id'], name=op.f('fk_payment_match_bill_id')),
    sa.ForeignKeyConstraint(['payment_id'], ['payment.id'], name=op.f('fk_payment_match_payment_id')),
    sa.ForeignKeyConstraint(['user_id'], ['app_user.id'], name=op.f('fk_payment_match_user_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_payment_match'))
    )
    op.create_index(op.f('ix_payment_match_bill_id'), 'payment_match', ['bill_id'], unique=False)
    op.create_index(op.f('ix_payment_match_payment_id'), 'payment_match', ['payment_id'], unique=False)
    op.create_table('refund',
    sa.Column('id', sa.String(length=16), nullable=False),
    sa.Column('payment_id', sa.String(length=16), nullable=False),
    sa.Column('customer_id', sa.String(length=16), nullable=False),
    sa.Column('amount', sa.BigInteger(), nullable=False),
    sa.Column('state', sa.String(length=16), nullable=False),
    sa.Column('reason', sa.String(length=400), nullable=False),
    sa.Column('asked', sa.DateTime(timezone=True), nullable=False),
    sa.Column('asked_by', sa.String(length=16), nullable=True),
    sa.Column('decided', sa.DateTime(timezone=True), nullable=True),
    sa.Column('decided_by', sa.String(length=16), nullable=True),
    sa.Column('paid', sa.DateTime(timezone=True), nullable=True),
    sa.Column('version', sa.BigInteger(), nullable=False),
    sa.ForeignKeyConstraint(['asked_by'], ['app_user.id'], name=op.f('fk_refund_asked_by')),
    sa.ForeignKeyConstraint(['customer_id'], ['customer.id'], name=op.f('fk_refund_customer_id')),
    sa.ForeignKeyConstraint(['decided_by'], ['app_user.id'], name=op.f('fk_refund_decided_by')),
    sa.ForeignKeyConstraint(['payment_id'], ['payment.id'], name=op.f('fk_refund_payment_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_refund'))
    )
    op.create_index(op.f('ix_refund_customer_id'), 'refund', ['customer_id'], unique=False)
    op.create_index(op.f('ix_refund_payment_id'), 'refund', ['payment_id'], unique=False)
