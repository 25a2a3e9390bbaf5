"""Which account pays for which service; write-offs."""
import sqlalchemy as sa
from alembic import op

revision = '0007'
down_revision = '0006'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table('billed_on',
    sa.Column('id', sa.String(length=16), nullable=False),
    sa.Column('subject', sa.String(length=16), nullable=False),
    sa.Column('account_id', sa.String(length=16), nullable=False),
    sa.Column('customer_id', sa.String(length=16), nullable=False),
    sa.Column('made', sa.DateTime(timezone=True), nullable=False),
    sa.Column('user_id', sa.String(length=16), nullable=True),
    sa.ForeignKeyConstraint(['account_id'], ['billing_account.id'], name=op.f('fk_billed_on_account_id')),
    sa.ForeignKeyConstraint(['customer_id'], ['customer.id'], name=op.f('fk_billed_on_customer_id')),
    sa.ForeignKeyConstraint(['user_id'], ['app_user.id'], name=op.f('fk_billed_on_user_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_billed_on')),
    sa.UniqueConstraint('subject', name=op.f('uq_billed_on_subject'))
    )
    op.create_index('ix_billed_on_account_id', 'billed_on', ['account_id'], unique=False)
    op.create_index('ix_billed_on_customer_id', 'billed_on', ['customer_id'], unique=False)
    op.create_table('write_off',
    sa.Column('id', sa.String(length=16), nullable=False),
    sa.Column('bill_id', sa.String(length=16), nullable=False),
    sa.Column('customer_id', sa.String(length=16), nullable=False),
    sa.Column('payment_id', sa.String(length=16), nullable=True),
    sa.Column('amount', sa.BigInteger(), nullable=False),
    sa.Column('state', sa.String(length=16), nullable=False),
    sa.Column('reason', sa.String(length=400), nullable=False),
    sa.Column('proposed', sa.DateTime(timezone=True), nullable=False),
    sa.Column('proposed_by', sa.String(length=16), nullable=True),
    sa.Column('decided', sa.DateTime(timezone=True), nullable=True),
    sa.Column('decided_by', sa.String(length=16), nullable=True),
    sa.Column('why', sa.String(length=400), nullable=False),
    sa.Column('version', sa.BigInteger(), nullable=False),
    sa.ForeignKeyConstraint(['bill_id'], ['bill.id'], name=op.f('fk_write_off_bill_id')),
    sa.ForeignKeyConstraint(['customer_id'], ['customer.id'], name=op.f('fk_write_off_customer_id')),
    sa.ForeignKeyConstraint(['decided_by'], ['app_user.id'], name=op.f('fk_write_off_decided_by')),
    sa.ForeignKeyConstraint(['payment_id'], ['payment.id'], name=op.f('fk_write_off_payment_id')),
    sa.ForeignKeyConstraint(['proposed_by'], ['app_user.id'], name=op.f('fk_write_off_proposed_by')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_write_off'))
    )
    op.create_index('ix_write_off_bill_id', 'write_off', ['bill_id'], unique=False)
    op.create_index('ix_write_off_customer_id', 'write_off', ['customer_id'], unique=False)
    op.create_index('uq_write_off_bill', 'write_off', ['bill_id'], unique=True, sqlite_where=sa.text("state IN ('proposed', 'approved')"), postgresql_where=sa.text("state IN ('proposed', 'approved')"))
