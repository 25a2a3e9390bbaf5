"""Tickets, alarms and planned windows."""
import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = '0002'
down_revision = '0001'
branch_labels = None
depends_on = None
DOCUMENT = sa.JSON().with_variant(JSONB(), "postgresql")


def upgrade() -> None:
    op.create_table('alarm_event',
    sa.Column('source', sa.String(length=16), nullable=False),
    sa.Column('event_id', sa.String(length=160), nullable=False),
    sa.Column('taken', sa.DateTime(timezone=True), nullable=False),
    sa.PrimaryKeyConstraint('source', 'event_id', name=op.f('pk_alarm_event'))
    )
    op.create_index(op.f('ix_alarm_event_taken'), 'alarm_event', ['taken'], unique=False)
    op.create_table('sweep_mark',
    sa.Column('name', sa.String(length=32), nullable=False),
    sa.Column('time', sa.DateTime(timezone=True), nullable=False),
    sa.PrimaryKeyConstraint('name', name=op.f('pk_sweep_mark'))
    )
    op.create_table('planned_window',
    sa.Column('id', sa.String(length=16), nullable=False),
    sa.Column('kind', sa.String(length=16), nullable=False),
    sa.Column('region', sa.String(length=64), nullable=False),
    sa.Column('since', sa.DateTime(timezone=True), nullable=False),
    sa.Column('until', sa.DateTime(timezone=True), nullable=True),
    sa.Column('announced', sa.DateTime(timezone=True), nullable=True),
    sa.Column('reason', sa.String(length=400), nullable=False),
    sa.Column('state', sa.String(length=16), nullable=False),
    sa.Column('made_by', sa.String(length=16), nullable=True),
    sa.Column('made', sa.DateTime(timezone=True), nullable=False),
    sa.Column('approved_by', sa.String(length=16), nullable=True),
    sa.Column('approved', sa.DateTime(timezone=True), nullable=True),
    sa.Column('evidence', DOCUMENT, nullable=False),
    sa.Column('version', sa.BigInteger(), nullable=False),
    sa.CheckConstraint('until IS NULL OR until > since', name=op.f('ck_planned_window_order')),
    sa.ForeignKeyConstraint(['approved_by'], ['app_user.id'], name=op.f('fk_planned_window_approved_by')),
    sa.ForeignKeyConstraint(['made_by'], ['app_user.id'], name=op.f('fk_planned_window_made_by')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_planned_window'))
    )
    op.create_index('ix_planned_window_state_since', 'planned_window', ['state', 'since'], unique=False)
    op.create_table('link_state',
    sa.Column('id', sa.String(length=16), nullable=False),
    sa.Column('source', sa.String(length=16), nullable=False),
    sa.Column('subject', sa.String(length=16), nullable=False),
    sa.Column('service_id', sa.String(length=16), nullable=True),
    sa.Column('resource_id', sa.String(length=16), nullable=True),
    sa.Column('customer_id', sa.String(length=16), nullable=True),
    sa.Column('region', sa.String(length=64), nullable=False),
    sa.Column('state', sa.String(length=8), nullable=False),
    sa.Column('since', sa.DateTime(timezone=True), nullable=False),
    sa.Column('until', sa.DateTime(timezone=True), nullable=True),
    sa.Column('seen', sa.DateTime(timezone=True), nullable=False),
    sa.Column('told_by', sa.String(length=16), nullable=True),
    sa.Column('evidence', DOCUMENT, nullable=False),
    sa.CheckConstraint('until IS NULL OR until > since', name=op.f('ck_link_state_order')),
    sa.ForeignKeyConstraint(['customer_id'], ['customer.id'], name=op.f('fk_link_state_customer_id')),
    sa.ForeignKeyConstraint(['resource_id'], ['resource.id'], name=op.f('fk_link_state_resource_id')),
    sa.ForeignKeyConstraint(['service_id'], ['service.id'], name=op.f('fk_link_state_service_id')),
    sa.ForeignKeyConstraint(['told_by'], ['app_user.id'], name=op.f('fk_link_state_told_by')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_link_state'))
    )
    op.create_index(op.f('ix_link_state_customer_id'), 'link_state', ['customer_id'], unique=False)
    op.create_index('ix_link_state_subject_since', 'link_state', ['subject', 'since'], unique=False)
    op.create_index('uq_link_state_source_subject', 'link_state', ['source', 'subject'], unique=True, sqlite_where=sa.text('until IS NULL'), postgresql_where=sa.text('until IS NULL'))
    op.create_index('uq_link_state_source_subject_since', 'link_state', ['source', 'subject', 'since'], unique=True)
    op.create_table('planned_window_subject',
    sa.Column('window_id', sa.String(length=16), nullable=False),
    sa.Column('subject', sa.String(length=16), nullable=False),
    sa.Column('service_id', sa.String(length=16), nullable=True),
    sa.Column('resource_id', sa.String(length=16), nullable=True),
    sa.ForeignKeyConstraint(['resource_id'], ['resource.id'], name=op.f('fk_planned_window_subject_resource_id')),
    sa.ForeignKeyConstraint(['service_id'], ['service.id'], name=op.f('fk_planned_window_subject_service_id')),
    sa.ForeignKeyConstraint(['window_id'], ['planned_window.id'], name=op.f('fk_planned_window_subject_window_id')),
    sa.PrimaryKeyConstraint('window_id', 'subject', name=op.f('pk_planned_window_subject'))
    )
    op.create_index(op.f('ix_planned_window_subject_subject'), 'planned_window_subject', ['subject'], unique=False)
    op.create_table('ticket',
    sa.Column('id', sa.String(length=16), nullable=False),
    sa.Column('kind', sa.String(length=24), nullable=False),
    sa.Column('severity', sa.String(length=16), nullable=False),
    sa.Column('priority', sa.BigInteger(), nullable=False),
    sa.Column('state', sa.String(length=16), nullable=False),
    sa.Column('reason', sa.String(length=400), nullable=False),
    sa.Column('customer_id', sa.String(length=16), nullable=True),
    sa.Column('service_id', sa.String(length=16), nullable=True),
    sa.Column('resource_id', sa.String(length=16), nullable=True),
    sa.Column('class', sa.String(length=8), nullable=False),
    sa.Column('region', sa.String(length=64), nullable=False),
    sa.Column('summary', sa.LargeBinary(), nullable=False),
    sa.Column('channel', sa.String(length=16), nullable=False),
    sa.Column('dedup_key', sa.String(length=64), nullable=True),
    sa.Column('alarm_kind', sa.String(length=64), nullable=False),
    sa.Column('alert_id', sa.String(length=64), nullable=False),
    sa.Column('evidence', DOCUMENT, nullable=False),
    sa.Column('root_cause', sa.Boolean(), nullable=False),
    sa.Column('parent_id', sa.String(length=16), nullable=True),
    sa.Column('repeat_of_id', sa.String(length=16), nullable=True),
    sa.Column('count', sa.BigInteger(), nullable=False),
    sa.Column('raises', DOCUMENT, nullable=False),
    sa.Column('flapping', sa.Boolean(), nullable=False),
    sa.Column('cleared', sa.DateTime(timezone=True), nullable=True),
    sa.Column('owner_id', sa.String(length=16), nullable=True),
    sa.Column('opened_by', sa.String(length=16), nullable=True),
    sa.Column('began', sa.DateTime(timezone=True), nullable=False),
    sa.Column('created', sa.DateTime(timezone=True), nullable=False),
    sa.Column('updated', sa.DateTime(timezone=True), nullable=False),
    sa.Column('responded', sa.DateTime(timezone=True), nullable=True),
    sa.Column('response_due', sa.DateTime(timezone=True), nullable=True),
    sa.Column('restore_due', sa.DateTime(timezone=True), nullable=True),
    sa.Column('pending_since', sa.DateTime(timezone=True), nullable=True),
    sa.Column('pauses', DOCUMENT, nullable=False),
    sa.Column('reminded', sa.BigInteger(), nullable=False),
    sa.Column('claimed', sa.DateTime(timezone=True), nullable=True),
    sa.Column('claimed_by', sa.String(length=16), nullable=True),
    sa.Column('restored', sa.DateTime(timezone=True), nullable=True),
    sa.Column('restoration', DOCUMENT, nullable=False),
    sa.Column('resolved', sa.DateTime(timezone=True), nullable=True),
    sa.Column('closed', sa.DateTime(timezone=True), nullable=True),
    sa.Column('told', sa.DateTime(timezone=True), nullable=True),
    sa.Column('proposal', DOCUMENT, nullable=False),
    sa.Column('version', sa.BigInteger(), nullable=False),
    sa.ForeignKeyConstraint(['claimed_by'], ['app_user.id'], name=op.f('fk_ticket_claimed_by')),
    sa.ForeignKeyConstraint(['customer_id'], ['customer.id'], name=op.f('fk_ticket_customer_id')),
    sa.ForeignKeyConstraint(['opened_by'], ['app_user.id'], name=op.f('fk_ticket_opened_by')),
    sa.ForeignKeyConstraint(['owner_id'], ['app_user.id'], name=op.f('fk_ticket_owner_id')),
    sa.ForeignKeyConstraint(['parent_id'], ['ticket.id'], name=op.f('fk_ticket_parent_id')),
    sa.ForeignKeyConstraint(['repeat_of_id'], ['ticket.id'], name=op.f('fk_ticket_repeat_of_id')),
    sa.ForeignKeyConstraint(['resource_id'], ['resource.id'], name=op.f('fk_ticket_resource_id')),
    sa.ForeignKeyConstraint(['service_id'], ['service.id'], name=op.f('fk_ticket_service_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_ticket'))
    )
    op.create_index(op.f('ix_ticket_alert_id'), 'ticket', ['alert_id'], unique=False)
    op.create_index(op.f('ix_ticket_claimed_by'), 'ticket', ['claimed_by'], unique=False)
    op.create_index(op.f('ix_ticket_customer_id'), 'ticket', ['customer_id'], unique=False)
    op.create_index(op.f('ix_ticket_owner_id'), 'ticket', ['owner_id'], unique=False)
    op.create_index(op.f('ix_ticket_parent_id'), 'ticket', ['parent_id'], unique=False)
    op.create_index('ix_ticket_region_state', 'ticket', ['region', 'state'], unique=False)
    op.create_index(op.f('ix_ticket_repeat_of_id'), 'ticket', ['repeat_of_id'], unique=False)
    op.create_index(op.f('ix_ticket_resolved'), 'ticket', ['resolved'], unique=False)
    op.create_index(op.f('ix_ticket_resource_id'), 'ticket', ['resource_id'], unique=False)
    op.create_index(op.f('ix_ticket_response_due'), 'ticket', ['response_due'], unique=False)
    op.create_index(op.f('ix_ticket_restore_due'), 'ticket', ['restore_due'], unique=False)
    op.create_index('ix_ticket_service_id_created', 'ticket', ['service_id', 'created'], unique=False)
    op.create_index('ix_ticket_state_created', 'ticket', ['state', 'created', 'id'], unique=False)
    op.create_index('uq_ticket_dedup_key', 'ticket', ['dedup_key'], unique=True, sqlite_where=sa.text("state NOT IN ('closed', 'cancelled', 'rejected')"), postgresql_where=sa.text("state NOT IN ('closed', 'cancelled', 'rejected')"))
    op.create_table('alarm',
    sa.Column('id', sa.String(length=16), nullable=False),
    sa.Column('source', sa.String(length=16), nullable=False),
    sa.Column('key', sa.String(length=128), nullable=False),
    sa.Column('kind', sa.String(length=64), nullable=False),
    sa.Column('severity', sa.String(length=16), nullable=False),
    sa.Column('state', sa.String(length=16), nullable=False),
    sa.Column('service_id', sa.String(length=16), nullable=True),
    sa.Column('resource_id', sa.String(length=16), nullable=True),
    sa.Column('customer_id', sa.String(length=16), nullable=True),
    sa.Column('region', sa.String(length=64), nullable=False),
    sa.Column('subject', sa.String(length=255), nullable=False),
    sa.Column('summary', sa.LargeBinary(), nullable=False),
    sa.Column('raised', sa.DateTime(timezone=True), nullable=False),
    sa.Column('changed', sa.DateTime(timezone=True), nullable=False),
    sa.Column('cleared', sa.DateTime(timezone=True), nullable=True),
    sa.Column('count', sa.BigInteger(), nullable=False),
    sa.Column('suppressed', sa.String(length=16), nullable=False),
    sa.Column('ticket_id', sa.String(length=16), nullable=True),
    sa.Column('evidence', DOCUMENT, nullable=False),
    sa.ForeignKeyConstraint(['customer_id'], ['customer.id'], name=op.f('fk_alarm_customer_id')),
    sa.ForeignKeyConstraint(['resource_id'], ['resource.id'], name=op.f('fk_alarm_resource_id')),
    sa.ForeignKeyConstraint(['service_id'], ['service.id'], name=op.f('fk_alarm_service_id')),
    sa.ForeignKeyConstraint(['ticket_id'], ['ticket.id'], name=op.f('fk_alarm_ticket_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_alarm'))
    )
    op.create_index(op.f('ix_alarm_customer_id'), 'alarm', ['customer_id'], unique=False)
    op.create_index(op.f('ix_alarm_resource_id'), 'alarm', ['resource_id'], unique=False)
    op.create_index(op.f('ix_alarm_service_id'), 'alarm', ['service_id'], unique=False)
    op.create_index('ix_alarm_state_changed', 'alarm', ['state', 'changed', 'id'], unique=False)
    op.create_index(op.f('ix_alarm_ticket_id'), 'alarm', ['ticket_id'], unique=False)
    op.create_index('uq_alarm_source_key', 'alarm', ['source', 'key'], unique=True)
    op.create_table('ticket_note',
    sa.Column('id', sa.String(length=16), nullable=False),
    sa.Column('ticket_id', sa.String(length=16), nullable=False),
    sa.Column('kind', sa.String(length=16), nullable=False),
    sa.Column('time', sa.DateTime(timezone=True), nullable=False),
    sa.Column('user_id', sa.String(length=16), nullable=True),
    sa.Column('internal', sa.Boolean(), nullable=False),
    sa.Column('text', sa.LargeBinary(), nullable=False),
    sa.Column('evidence', DOCUMENT, nullable=False),
    sa.ForeignKeyConstraint(['ticket_id'], ['ticket.id'], name=op.f('fk_ticket_note_ticket_id')),
    sa.ForeignKeyConstraint(['user_id'], ['app_user.id'], name=op.f('fk_ticket_note_user_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_ticket_note'))
    )
    op.create_index('ix_ticket_note_ticket_id_time', 'ticket_note', ['ticket_id', 'time'], unique=False)
