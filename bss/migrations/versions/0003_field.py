"""Calendars, rosters, dispatch, inspections, event assurance, knowledge."""
import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = '0003'
down_revision = '0002'
branch_labels = None
depends_on = None
DOCUMENT = sa.JSON().with_variant(JSONB(), "postgresql")


def upgrade() -> None:
    op.create_table('article',
    sa.Column('id', sa.String(length=16), nullable=False),
    sa.Column('title', DOCUMENT, nullable=False),
    sa.Column('text', DOCUMENT, nullable=False),
    sa.Column('alert_kinds', DOCUMENT, nullable=False),
    sa.Column('ticket_kinds', DOCUMENT, nullable=False),
    sa.Column('retired', sa.Boolean(), nullable=False),
    sa.Column('changed', sa.DateTime(timezone=True), nullable=False),
    sa.Column('user_id', sa.String(length=16), nullable=True),
    sa.Column('version', sa.BigInteger(), nullable=False),
    sa.ForeignKeyConstraint(['user_id'], ['app_user.id'], name=op.f('fk_article_user_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_article'))
    )
    op.create_table('assurance',
    sa.Column('id', sa.String(length=16), nullable=False),
    sa.Column('name', sa.String(length=200), nullable=False),
    sa.Column('region', sa.String(length=64), nullable=False),
    sa.Column('owner_id', sa.String(length=16), nullable=True),
    sa.Column('state', sa.String(length=16), nullable=False),
    sa.Column('since', sa.DateTime(timezone=True), nullable=False),
    sa.Column('until', sa.DateTime(timezone=True), nullable=False),
    sa.Column('thresholds', DOCUMENT, nullable=False),
    sa.Column('roster', DOCUMENT, nullable=False),
    sa.Column('freeze', sa.Boolean(), nullable=False),
    sa.Column('made', sa.DateTime(timezone=True), nullable=False),
    sa.Column('made_by', sa.String(length=16), nullable=True),
    sa.Column('decided', sa.DateTime(timezone=True), nullable=True),
    sa.Column('decided_by', sa.String(length=16), nullable=True),
    sa.Column('reason', sa.String(length=400), nullable=False),
    sa.Column('version', sa.BigInteger(), nullable=False),
    sa.CheckConstraint('until > since', name=op.f('ck_assurance_order')),
    sa.ForeignKeyConstraint(['decided_by'], ['app_user.id'], name=op.f('fk_assurance_decided_by')),
    sa.ForeignKeyConstraint(['made_by'], ['app_user.id'], name=op.f('fk_assurance_made_by')),
    sa.ForeignKeyConstraint(['owner_id'], ['app_user.id'], name=op.f('fk_assurance_owner_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_assurance'))
    )
    op.create_index('ix_assurance_state_until', 'assurance', ['state', 'until'], unique=False)
    op.create_table('roster',
    sa.Column('id', sa.String(length=16), nullable=False),
    sa.Column('level', sa.String(length=16), nullable=False),
    sa.Column('region', sa.String(length=64), nullable=False),
    sa.Column('user_id', sa.String(length=16), nullable=False),
    sa.Column('since', sa.DateTime(timezone=True), nullable=False),
    sa.Column('until', sa.DateTime(timezone=True), nullable=False),
    sa.CheckConstraint('until > since', name=op.f('ck_roster_order')),
    sa.ForeignKeyConstraint(['user_id'], ['app_user.id'], name=op.f('fk_roster_user_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_roster'))
    )
    op.create_index('ix_roster_level_since', 'roster', ['level', 'since'], unique=False)
    op.create_index(op.f('ix_roster_user_id'), 'roster', ['user_id'], unique=False)
    op.create_table('template',
    sa.Column('kind', sa.String(length=16), nullable=False),
    sa.Column('key', sa.String(length=64), nullable=False),
    sa.Column('version', sa.BigInteger(), nullable=False),
    sa.Column('document', DOCUMENT, nullable=False),
    sa.Column('written', sa.DateTime(timezone=True), nullable=False),
    sa.Column('user_id', sa.String(length=16), nullable=True),
    sa.ForeignKeyConstraint(['user_id'], ['app_user.id'], name=op.f('fk_template_user_id')),
    sa.PrimaryKeyConstraint('kind', 'key', 'version', name=op.f('pk_template'))
    )
    op.create_table('article_word',
    sa.Column('word', sa.String(length=64).with_variant(sa.String(length=64, collation='C'), 'postgresql'), nullable=False),
    sa.Column('article_id', sa.String(length=16), nullable=False),
    sa.Column('weight', sa.BigInteger(), nullable=False),
    sa.ForeignKeyConstraint(['article_id'], ['article.id'], name=op.f('fk_article_word_article_id')),
    sa.PrimaryKeyConstraint('word', 'article_id', name=op.f('pk_article_word'))
    )
    op.create_index(op.f('ix_article_word_article_id'), 'article_word', ['article_id'], unique=False)
    op.create_table('assurance_report',
    sa.Column('assurance_id', sa.String(length=16), nullable=False),
    sa.Column('hour', sa.DateTime(timezone=True), nullable=False),
    sa.Column('content', DOCUMENT, nullable=False),
    sa.Column('written', sa.DateTime(timezone=True), nullable=False),
    sa.ForeignKeyConstraint(['assurance_id'], ['assurance.id'], name=op.f('fk_assurance_report_assurance_id')),
    sa.PrimaryKeyConstraint('assurance_id', 'hour', name=op.f('pk_assurance_report'))
    )
    op.create_table('inspection_plan',
    sa.Column('id', sa.String(length=16), nullable=False),
    sa.Column('name', sa.String(length=200), nullable=False),
    sa.Column('region', sa.String(length=64), nullable=False),
    sa.Column('resource_id', sa.String(length=16), nullable=True),
    sa.Column('checklist', sa.String(length=64), nullable=False),
    sa.Column('every', sa.String(length=16), nullable=False),
    sa.Column('days', sa.BigInteger(), nullable=False),
    sa.Column('owner_id', sa.String(length=16), nullable=False),
    sa.Column('since', sa.DateTime(timezone=True), nullable=False),
    sa.Column('until', sa.DateTime(timezone=True), nullable=True),
    sa.Column('created', sa.DateTime(timezone=True), nullable=False),
    sa.Column('version', sa.BigInteger(), nullable=False),
    sa.ForeignKeyConstraint(['owner_id'], ['app_user.id'], name=op.f('fk_inspection_plan_owner_id')),
    sa.ForeignKeyConstraint(['resource_id'], ['resource.id'], name=op.f('fk_inspection_plan_resource_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_inspection_plan'))
    )
    op.create_index(op.f('ix_inspection_plan_resource_id'), 'inspection_plan', ['resource_id'], unique=False)
    op.create_table('assured_service',
    sa.Column('assurance_id', sa.String(length=16), nullable=False),
    sa.Column('service_id', sa.String(length=16), nullable=False),
    sa.ForeignKeyConstraint(['assurance_id'], ['assurance.id'], name=op.f('fk_assured_service_assurance_id')),
    sa.ForeignKeyConstraint(['service_id'], ['service.id'], name=op.f('fk_assured_service_service_id')),
    sa.PrimaryKeyConstraint('assurance_id', 'service_id', name=op.f('pk_assured_service'))
    )
    op.create_index(op.f('ix_assured_service_service_id'), 'assured_service', ['service_id'], unique=False)
    op.create_table('dispatch',
    sa.Column('id', sa.String(length=16), nullable=False),
    sa.Column('number', sa.String(length=64).with_variant(sa.String(length=64, collation='C'), 'postgresql'), nullable=False),
    sa.Column('kind', sa.String(length=16), nullable=False),
    sa.Column('ticket_id', sa.String(length=16), nullable=True),
    sa.Column('item_id', sa.String(length=16), nullable=True),
    sa.Column('customer_id', sa.String(length=16), nullable=True),
    sa.Column('region', sa.String(length=64), nullable=False),
    sa.Column('owner_id', sa.String(length=16), nullable=False),
    sa.Column('state', sa.String(length=16), nullable=False),
    sa.Column('task', sa.String(length=400), nullable=False),
    sa.Column('site', sa.LargeBinary(), nullable=True),
    sa.Column('checklist', sa.String(length=64), nullable=False),
    sa.Column('checklist_version', sa.BigInteger(), nullable=False),
    sa.Column('answers', DOCUMENT, nullable=False),
    sa.Column('assigned', sa.DateTime(timezone=True), nullable=False),
    sa.Column('due', sa.DateTime(timezone=True), nullable=False),
    sa.Column('accepted', sa.DateTime(timezone=True), nullable=True),
    sa.Column('arrived', sa.DateTime(timezone=True), nullable=True),
    sa.Column('done', sa.DateTime(timezone=True), nullable=True),
    sa.Column('reason', sa.String(length=400), nullable=False),
    sa.Column('made_by', sa.String(length=16), nullable=True),
    sa.Column('version', sa.BigInteger(), nullable=False),
    sa.ForeignKeyConstraint(['customer_id'], ['customer.id'], name=op.f('fk_dispatch_customer_id')),
    sa.ForeignKeyConstraint(['item_id'], ['order_item.id'], name=op.f('fk_dispatch_item_id')),
    sa.ForeignKeyConstraint(['made_by'], ['app_user.id'], name=op.f('fk_dispatch_made_by')),
    sa.ForeignKeyConstraint(['owner_id'], ['app_user.id'], name=op.f('fk_dispatch_owner_id')),
    sa.ForeignKeyConstraint(['ticket_id'], ['ticket.id'], name=op.f('fk_dispatch_ticket_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_dispatch')),
    sa.UniqueConstraint('number', name=op.f('uq_dispatch_number'))
    )
    op.create_index(op.f('ix_dispatch_customer_id'), 'dispatch', ['customer_id'], unique=False)
    op.create_index(op.f('ix_dispatch_item_id'), 'dispatch', ['item_id'], unique=False)
    op.create_index('ix_dispatch_owner_id_state', 'dispatch', ['owner_id', 'state'], unique=False)
    op.create_index('ix_dispatch_state_due', 'dispatch', ['state', 'due'], unique=False)
    op.create_index(op.f('ix_dispatch_ticket_id'), 'dispatch', ['ticket_id'], unique=False)
    op.create_table('escalation',
    sa.Column('ticket_id', sa.String(length=16), nullable=False),
    sa.Column('clock', sa.String(length=16), nullable=False),
    sa.Column('percent', sa.BigInteger(), autoincrement=False, nullable=False),
    sa.Column('level', sa.String(length=16), nullable=False),
    sa.Column('user_id', sa.String(length=16), nullable=True),
    sa.Column('at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('told', sa.DateTime(timezone=True), nullable=False),
    sa.ForeignKeyConstraint(['ticket_id'], ['ticket.id'], name=op.f('fk_escalation_ticket_id')),
    sa.ForeignKeyConstraint(['user_id'], ['app_user.id'], name=op.f('fk_escalation_user_id')),
    sa.PrimaryKeyConstraint('ticket_id', 'clock', 'percent', name=op.f('pk_escalation'))
    )
    op.create_table('inspection',
    sa.Column('id', sa.String(length=16), nullable=False),
    sa.Column('plan_id', sa.String(length=16), nullable=False),
    sa.Column('period', sa.String(length=16), nullable=False),
    sa.Column('region', sa.String(length=64), nullable=False),
    sa.Column('owner_id', sa.String(length=16), nullable=False),
    sa.Column('state', sa.String(length=16), nullable=False),
    sa.Column('result', sa.String(length=16), nullable=False),
    sa.Column('due', sa.DateTime(timezone=True), nullable=False),
    sa.Column('checklist', sa.String(length=64), nullable=False),
    sa.Column('checklist_version', sa.BigInteger(), nullable=False),
    sa.Column('answers', DOCUMENT, nullable=False),
    sa.Column('note', sa.String(length=400), nullable=False),
    sa.Column('ticket_id', sa.String(length=16), nullable=True),
    sa.Column('overdue', sa.DateTime(timezone=True), nullable=True),
    sa.Column('done', sa.DateTime(timezone=True), nullable=True),
    sa.Column('done_by', sa.String(length=16), nullable=True),
    sa.Column('version', sa.BigInteger(), nullable=False),
    sa.ForeignKeyConstraint(['done_by'], ['app_user.id'], name=op.f('fk_inspection_done_by')),
    sa.ForeignKeyConstraint(['owner_id'], ['app_user.id'], name=op.f('fk_inspection_owner_id')),
    sa.ForeignKeyConstraint(['plan_id'], ['inspection_plan.id'], name=op.f('fk_inspection_plan_id')),
    sa.ForeignKeyConstraint(['ticket_id'], ['ticket.id'], name=op.f('fk_inspection_ticket_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_inspection'))
    )
    op.create_index(op.f('ix_inspection_owner_id'), 'inspection', ['owner_id'], unique=False)
    op.create_index('ix_inspection_state_due', 'inspection', ['state', 'due'], unique=False)
    op.create_index('uq_inspection_plan_id_period', 'inspection', ['plan_id', 'period'], unique=True)
