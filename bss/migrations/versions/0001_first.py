"""All tables at first."""
import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = '0001'
down_revision = None
branch_labels = None
depends_on = None
DOCUMENT = sa.JSON().with_variant(JSONB(), "postgresql")


def upgrade() -> None:
    op.create_table('app_user',
    sa.Column('id', sa.String(length=16), nullable=False),
    sa.Column('login', sa.String(length=100), nullable=False),
    sa.Column('name', sa.LargeBinary(), nullable=False),
    sa.Column('email', sa.LargeBinary(), nullable=True),
    sa.Column('email_digest', sa.LargeBinary(length=16), nullable=True),
    sa.Column('password', sa.String(length=200), nullable=False),
    sa.Column('totp', sa.LargeBinary(), nullable=True),
    sa.Column('totp_step', sa.BigInteger(), nullable=False),
    sa.Column('subject', sa.String(length=255), nullable=True),
    sa.Column('roles', DOCUMENT, nullable=False),
    sa.Column('regions', DOCUMENT, nullable=False),
    sa.Column('customers', DOCUMENT, nullable=False),
    sa.Column('own_work', sa.Boolean(), nullable=False),
    sa.Column('disabled', sa.Boolean(), nullable=False),
    sa.Column('failures', sa.BigInteger(), nullable=False),
    sa.Column('locked_until', sa.DateTime(timezone=True), nullable=True),
    sa.Column('created', sa.DateTime(timezone=True), nullable=False),
    sa.Column('version', sa.BigInteger(), nullable=False),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_app_user')),
    sa.UniqueConstraint('email_digest', name=op.f('uq_app_user_email_digest')),
    sa.UniqueConstraint('login', name=op.f('uq_app_user_login')),
    sa.UniqueConstraint('subject', name=op.f('uq_app_user_subject'))
    )
    op.create_table('audit',
    sa.Column('number', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), autoincrement=False, nullable=False),
    sa.Column('time', sa.DateTime(timezone=True), nullable=False),
    sa.Column('actor', sa.String(length=100), nullable=False),
    sa.Column('action', sa.String(length=64), nullable=False),
    sa.Column('entity', sa.String(length=16), nullable=False),
    sa.Column('entity_id', sa.String(length=64), nullable=False),
    sa.Column('reason', sa.String(length=400), nullable=False),
    sa.Column('detail', sa.LargeBinary(), nullable=True),
    sa.Column('before', sa.LargeBinary(length=32), nullable=False),
    sa.Column('hash', sa.LargeBinary(length=32), nullable=False),
    sa.PrimaryKeyConstraint('number', name=op.f('pk_audit'))
    )
    op.create_index('ix_audit_actor_time', 'audit', ['actor', 'time'], unique=False)
    op.create_index('ix_audit_entity', 'audit', ['entity', 'entity_id'], unique=False)
    op.create_table('audit_head',
    sa.Column('id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), autoincrement=False, nullable=False),
    sa.Column('number', sa.BigInteger(), nullable=False),
    sa.Column('hash', sa.LargeBinary(length=32), nullable=False),
    sa.Column('before', sa.LargeBinary(length=32), nullable=False),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_audit_head'))
    )
    op.create_table('blind',
    sa.Column('id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), autoincrement=True, nullable=False),
    sa.Column('entity_id', sa.String(length=16), nullable=False),
    sa.Column('field', sa.String(length=16), nullable=False),
    sa.Column('token', sa.LargeBinary(length=16), nullable=False),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_blind'))
    )
    op.create_index(op.f('ix_blind_entity_id'), 'blind', ['entity_id'], unique=False)
    op.create_index('ix_blind_field_token', 'blind', ['field', 'token'], unique=False)
    op.create_table('export_mark',
    sa.Column('id', sa.BigInteger(), autoincrement=False, nullable=False),
    sa.Column('version', sa.BigInteger(), nullable=False),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_export_mark'))
    )
    op.execute("INSERT INTO export_mark (id, version) VALUES (1, 0)")
    op.create_table('idempotency',
    sa.Column('user_id', sa.String(length=16), nullable=False),
    sa.Column('key', sa.String(length=200), nullable=False),
    sa.Column('digest', sa.String(length=64), nullable=False),
    sa.Column('status', sa.BigInteger(), nullable=False),
    sa.Column('answer', sa.LargeBinary(), nullable=True),
    sa.Column('time', sa.DateTime(timezone=True), nullable=False),
    sa.PrimaryKeyConstraint('user_id', 'key', name=op.f('pk_idempotency'))
    )
    op.create_index(op.f('ix_idempotency_time'), 'idempotency', ['time'], unique=False)
    op.create_table('job',
    sa.Column('id', sa.String(length=16), nullable=False),
    sa.Column('kind', sa.String(length=32), nullable=False),
    sa.Column('key', sa.String(length=200), nullable=False),
    sa.Column('argument', DOCUMENT, nullable=False),
    sa.Column('personal', sa.LargeBinary(), nullable=True),
    sa.Column('due', sa.DateTime(timezone=True), nullable=False),
    sa.Column('claimed_by', sa.String(length=64), nullable=True),
    sa.Column('claimed_until', sa.DateTime(timezone=True), nullable=True),
    sa.Column('tries', sa.BigInteger(), nullable=False),
    sa.Column('trouble', sa.String(length=400), nullable=False),
    sa.Column('done', sa.DateTime(timezone=True), nullable=True),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_job')),
    sa.UniqueConstraint('key', name=op.f('uq_job_key'))
    )
    op.create_index('ix_job_done_due', 'job', ['done', 'due'], unique=False)
    op.create_table('offering',
    sa.Column('code', sa.String(length=64), nullable=False),
    sa.Column('version', sa.BigInteger(), nullable=False),
    sa.Column('kind', sa.String(length=16), nullable=False),
    sa.Column('class', sa.String(length=8), nullable=False),
    sa.Column('lifecycle', sa.String(length=16), nullable=False),
    sa.Column('valid_from', sa.DateTime(timezone=True), nullable=False),
    sa.Column('valid_to', sa.DateTime(timezone=True), nullable=True),
    sa.Column('document', DOCUMENT, nullable=False),
    sa.Column('created', sa.DateTime(timezone=True), nullable=False),
    sa.PrimaryKeyConstraint('code', 'version', name=op.f('pk_offering'))
    )
    op.create_index('ix_offering_kind_lifecycle', 'offering', ['kind', 'lifecycle'], unique=False)
    op.create_table('outbox',
    sa.Column('number', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), autoincrement=True, nullable=False),
    sa.Column('id', sa.String(length=16), nullable=False),
    sa.Column('type', sa.String(length=100), nullable=False),
    sa.Column('subject', sa.String(length=64), nullable=False),
    sa.Column('time', sa.DateTime(timezone=True), nullable=False),
    sa.Column('data', DOCUMENT, nullable=False),
    sa.Column('sent', sa.DateTime(timezone=True), nullable=True),
    sa.PrimaryKeyConstraint('number', name=op.f('pk_outbox')),
    sa.UniqueConstraint('id', name=op.f('uq_outbox_id'))
    )
    op.create_index('ix_outbox_sent_number', 'outbox', ['sent', 'number'], unique=False)
    op.create_table('receiver',
    sa.Column('name', sa.String(length=200), nullable=False),
    sa.Column('claimed_by', sa.String(length=64), nullable=True),
    sa.Column('claimed_until', sa.DateTime(timezone=True), nullable=True),
    sa.Column('tries', sa.BigInteger(), nullable=False),
    sa.Column('next_try', sa.DateTime(timezone=True), nullable=True),
    sa.Column('trouble', sa.String(length=400), nullable=False),
    sa.Column('told', sa.DateTime(timezone=True), nullable=True),
    sa.PrimaryKeyConstraint('name', name=op.f('pk_receiver'))
    )
    op.create_table('worker',
    sa.Column('name', sa.String(length=64), nullable=False),
    sa.Column('since', sa.DateTime(timezone=True), nullable=False),
    sa.Column('seen', sa.DateTime(timezone=True), nullable=False),
    sa.Column('done', sa.BigInteger(), nullable=False),
    sa.PrimaryKeyConstraint('name', name=op.f('pk_worker'))
    )
    op.create_table('delivery',
    sa.Column('receiver', sa.String(length=200), nullable=False),
    sa.Column('number', sa.BigInteger(), nullable=False),
    sa.Column('subject', sa.String(length=64), nullable=False),
    sa.Column('tries', sa.BigInteger(), nullable=False),
    sa.Column('next_try', sa.DateTime(timezone=True), nullable=True),
    sa.ForeignKeyConstraint(['number'], ['outbox.number'], name=op.f('fk_delivery_number')),
    sa.PrimaryKeyConstraint('receiver', 'number', name=op.f('pk_delivery'))
    )
    op.create_index(op.f('ix_delivery_number'), 'delivery', ['number'], unique=False)
    op.create_table('party',
    sa.Column('id', sa.String(length=16), nullable=False),
    sa.Column('kind', sa.String(length=16), nullable=False),
    sa.Column('name', sa.LargeBinary(), nullable=False),
    sa.Column('legal_id', sa.LargeBinary(), nullable=True),
    sa.Column('tax', sa.LargeBinary(), nullable=True),
    sa.Column('created', sa.DateTime(timezone=True), nullable=False),
    sa.Column('version', sa.BigInteger(), nullable=False),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_party'))
    )
    op.create_table('sla_terms',
    sa.Column('key', sa.String(length=64), nullable=False),
    sa.Column('version', sa.BigInteger(), nullable=False),
    sa.Column('valid_from', sa.DateTime(timezone=True), nullable=False),
    sa.Column('valid_to', sa.DateTime(timezone=True), nullable=True),
    sa.Column('document', DOCUMENT, nullable=False),
    sa.PrimaryKeyConstraint('key', 'version', name=op.f('pk_sla_terms'))
    )
    op.create_table('api_token',
    sa.Column('id', sa.String(length=16), nullable=False),
    sa.Column('user_id', sa.String(length=16), nullable=False),
    sa.Column('name', sa.String(length=100), nullable=False),
    sa.Column('digest', sa.String(length=64), nullable=False),
    sa.Column('roles', DOCUMENT, nullable=False),
    sa.Column('created', sa.DateTime(timezone=True), nullable=False),
    sa.Column('expires', sa.DateTime(timezone=True), nullable=True),
    sa.Column('used', sa.DateTime(timezone=True), nullable=True),
    sa.Column('revoked', sa.DateTime(timezone=True), nullable=True),
    sa.ForeignKeyConstraint(['user_id'], ['app_user.id'], name=op.f('fk_api_token_user_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_api_token')),
    sa.UniqueConstraint('digest', name=op.f('uq_api_token_digest'))
    )
    op.create_index(op.f('ix_api_token_user_id'), 'api_token', ['user_id'], unique=False)
    op.create_table('contact',
    sa.Column('id', sa.String(length=16), nullable=False),
    sa.Column('party_id', sa.String(length=16), nullable=False),
    sa.Column('medium', sa.String(length=16), nullable=False),
    sa.Column('value', sa.LargeBinary(), nullable=False),
    sa.Column('role', sa.String(length=32), nullable=False),
    sa.Column('preferred', sa.Boolean(), nullable=False),
    sa.ForeignKeyConstraint(['party_id'], ['party.id'], name=op.f('fk_contact_party_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_contact'))
    )
    op.create_index(op.f('ix_contact_party_id'), 'contact', ['party_id'], unique=False)
    op.create_table('customer',
    sa.Column('id', sa.String(length=16), nullable=False),
    sa.Column('number', sa.String(length=64).with_variant(sa.String(length=64, collation='C'), 'postgresql'), nullable=False),
    sa.Column('party_id', sa.String(length=16), nullable=False),
    sa.Column('class', sa.String(length=8), nullable=False),
    sa.Column('region', sa.String(length=64), nullable=False),
    sa.Column('state', sa.String(length=16), nullable=False),
    sa.Column('manager_id', sa.String(length=16), nullable=True),
    sa.Column('marketing_consent', sa.Boolean(), nullable=False),
    sa.Column('merged_into', sa.String(length=16), nullable=True),
    sa.Column('created', sa.DateTime(timezone=True), nullable=False),
    sa.Column('version', sa.BigInteger(), nullable=False),
    sa.ForeignKeyConstraint(['manager_id'], ['app_user.id'], name=op.f('fk_customer_manager_id')),
    sa.ForeignKeyConstraint(['merged_into'], ['customer.id'], name=op.f('fk_customer_merged_into')),
    sa.ForeignKeyConstraint(['party_id'], ['party.id'], name=op.f('fk_customer_party_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_customer')),
    sa.UniqueConstraint('number', name=op.f('uq_customer_number'))
    )
    op.create_index('ix_customer_created', 'customer', ['created', 'id'], unique=False)
    op.create_index('ix_customer_region_created', 'customer', ['region', 'created', 'id'], unique=False)
    op.create_index(op.f('ix_customer_manager_id'), 'customer', ['manager_id'], unique=False)
    op.create_index(op.f('ix_customer_merged_into'), 'customer', ['merged_into'], unique=False)
    op.create_index(op.f('ix_customer_party_id'), 'customer', ['party_id'], unique=False)
    op.create_index('ix_customer_region_state', 'customer', ['region', 'state', 'merged_into'], unique=False)
    op.create_table('import_batch',
    sa.Column('id', sa.String(length=16), nullable=False),
    sa.Column('kind', sa.String(length=32), nullable=False),
    sa.Column('name', sa.String(length=200), nullable=False),
    sa.Column('digest', sa.String(length=64), nullable=False),
    sa.Column('cutover', sa.DateTime(timezone=True), nullable=False),
    sa.Column('time', sa.DateTime(timezone=True), nullable=False),
    sa.Column('user_id', sa.String(length=16), nullable=True),
    sa.Column('state', sa.String(length=16), nullable=False),
    sa.Column('totals', DOCUMENT, nullable=False),
    sa.ForeignKeyConstraint(['user_id'], ['app_user.id'], name=op.f('fk_import_batch_user_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_import_batch'))
    )
    op.create_index('uq_import_batch_kind_digest', 'import_batch', ['kind', 'digest'], unique=True, sqlite_where=sa.text("state = 'imported'"), postgresql_where=sa.text("state = 'imported'"))
    op.create_table('login',
    sa.Column('id', sa.String(length=64), nullable=False),
    sa.Column('user_id', sa.String(length=16), nullable=False),
    sa.Column('csrf', sa.String(length=64), nullable=False),
    sa.Column('since', sa.DateTime(timezone=True), nullable=False),
    sa.Column('seen', sa.DateTime(timezone=True), nullable=False),
    sa.ForeignKeyConstraint(['user_id'], ['app_user.id'], name=op.f('fk_login_user_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_login'))
    )
    op.create_index(op.f('ix_login_user_id'), 'login', ['user_id'], unique=False)
    op.create_table('relation',
    sa.Column('id', sa.String(length=16), nullable=False),
    sa.Column('from_id', sa.String(length=16), nullable=False),
    sa.Column('to_id', sa.String(length=16), nullable=False),
    sa.Column('kind', sa.String(length=16), nullable=False),
    sa.Column('valid_from', sa.DateTime(timezone=True), nullable=False),
    sa.Column('valid_to', sa.DateTime(timezone=True), nullable=True),
    sa.ForeignKeyConstraint(['from_id'], ['party.id'], name=op.f('fk_relation_from_id')),
    sa.ForeignKeyConstraint(['to_id'], ['party.id'], name=op.f('fk_relation_to_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_relation'))
    )
    op.create_index(op.f('ix_relation_from_id'), 'relation', ['from_id'], unique=False)
    op.create_index(op.f('ix_relation_to_id'), 'relation', ['to_id'], unique=False)
    op.create_table('resource',
    sa.Column('id', sa.String(length=16), nullable=False),
    sa.Column('kind', sa.String(length=16), nullable=False),
    sa.Column('name', sa.String(length=200).with_variant(sa.String(length=200, collation='C'), 'postgresql'), nullable=False),
    sa.Column('parent_id', sa.String(length=16), nullable=True),
    sa.Column('region', sa.String(length=64), nullable=False),
    sa.Column('administrative', sa.String(length=16), nullable=False),
    sa.Column('operational', sa.String(length=16), nullable=False),
    sa.Column('usage_state', sa.String(length=16), nullable=False),
    sa.Column('state', sa.String(length=16), nullable=False),
    sa.Column('capacity_bps', sa.BigInteger(), nullable=False),
    sa.Column('probe', sa.String(length=255), nullable=False),
    sa.Column('interface', sa.String(length=64), nullable=False),
    sa.Column('owner_id', sa.String(length=16), nullable=True),
    sa.Column('detail', DOCUMENT, nullable=False),
    sa.Column('version', sa.BigInteger(), nullable=False),
    sa.ForeignKeyConstraint(['owner_id'], ['app_user.id'], name=op.f('fk_resource_owner_id')),
    sa.ForeignKeyConstraint(['parent_id'], ['resource.id'], name=op.f('fk_resource_parent_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_resource'))
    )
    op.create_index(op.f('ix_resource_name'), 'resource', ['name'], unique=False)
    op.create_index(op.f('ix_resource_parent_id'), 'resource', ['parent_id'], unique=False)
    op.create_index('uq_resource_kind_region_name', 'resource', ['kind', 'region', 'name'], unique=True)
    op.create_table('transition',
    sa.Column('id', sa.String(length=16), nullable=False),
    sa.Column('entity', sa.String(length=16), nullable=False),
    sa.Column('entity_id', sa.String(length=16), nullable=False),
    sa.Column('from_state', sa.String(length=24), nullable=False),
    sa.Column('to_state', sa.String(length=24), nullable=False),
    sa.Column('time', sa.DateTime(timezone=True), nullable=False),
    sa.Column('user_id', sa.String(length=16), nullable=True),
    sa.Column('reason', sa.String(length=400), nullable=False),
    sa.ForeignKeyConstraint(['user_id'], ['app_user.id'], name=op.f('fk_transition_user_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_transition'))
    )
    op.create_index('ix_transition_entity_time', 'transition', ['entity', 'entity_id', 'time'], unique=False)
    op.create_index(op.f('ix_transition_time'), 'transition', ['time'], unique=False)
    op.create_table('agreement',
    sa.Column('id', sa.String(length=16), nullable=False),
    sa.Column('number', sa.String(length=64).with_variant(sa.String(length=64, collation='C'), 'postgresql'), nullable=False),
    sa.Column('customer_id', sa.String(length=16), nullable=False),
    sa.Column('name', sa.String(length=200), nullable=False),
    sa.Column('kind', sa.String(length=16), nullable=False),
    sa.Column('state', sa.String(length=16), nullable=False),
    sa.Column('signed', sa.DateTime(timezone=True), nullable=True),
    sa.Column('valid_from', sa.DateTime(timezone=True), nullable=False),
    sa.Column('valid_to', sa.DateTime(timezone=True), nullable=True),
    sa.Column('terms', DOCUMENT, nullable=False),
    sa.Column('parent_id', sa.String(length=16), nullable=True),
    sa.Column('version', sa.BigInteger(), nullable=False),
    sa.ForeignKeyConstraint(['customer_id'], ['customer.id'], name=op.f('fk_agreement_customer_id')),
    sa.ForeignKeyConstraint(['parent_id'], ['agreement.id'], name=op.f('fk_agreement_parent_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_agreement')),
    sa.UniqueConstraint('number', name=op.f('uq_agreement_number'))
    )
    op.create_index(op.f('ix_agreement_customer_id'), 'agreement', ['customer_id'], unique=False)
    op.create_index(op.f('ix_agreement_parent_id'), 'agreement', ['parent_id'], unique=False)
    op.create_table('attachment',
    sa.Column('id', sa.String(length=16), nullable=False),
    sa.Column('entity', sa.String(length=16), nullable=False),
    sa.Column('entity_id', sa.String(length=16), nullable=False),
    sa.Column('customer_id', sa.String(length=16), nullable=True),
    sa.Column('name', sa.LargeBinary(), nullable=False),
    sa.Column('media_type', sa.String(length=100), nullable=False),
    sa.Column('size', sa.BigInteger(), nullable=False),
    sa.Column('digest', sa.String(length=64), nullable=False),
    sa.Column('time', sa.DateTime(timezone=True), nullable=False),
    sa.Column('user_id', sa.String(length=16), nullable=True),
    sa.ForeignKeyConstraint(['customer_id'], ['customer.id'], name=op.f('fk_attachment_customer_id')),
    sa.ForeignKeyConstraint(['user_id'], ['app_user.id'], name=op.f('fk_attachment_user_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_attachment'))
    )
    op.create_index(op.f('ix_attachment_customer_id'), 'attachment', ['customer_id'], unique=False)
    op.create_index('ix_attachment_entity', 'attachment', ['entity', 'entity_id'], unique=False)
    op.create_table('enquiry',
    sa.Column('id', sa.String(length=16), nullable=False),
    sa.Column('number', sa.String(length=64), nullable=False),
    sa.Column('customer_id', sa.String(length=16), nullable=False),
    sa.Column('region', sa.String(length=64), nullable=False),
    sa.Column('channel', sa.String(length=16), nullable=False),
    sa.Column('state', sa.String(length=16), nullable=False),
    sa.Column('need', DOCUMENT, nullable=False),
    sa.Column('site', sa.LargeBinary(), nullable=True),
    sa.Column('owner_id', sa.String(length=16), nullable=True),
    sa.Column('due', sa.DateTime(timezone=True), nullable=True),
    sa.Column('created', sa.DateTime(timezone=True), nullable=False),
    sa.Column('version', sa.BigInteger(), nullable=False),
    sa.ForeignKeyConstraint(['customer_id'], ['customer.id'], name=op.f('fk_enquiry_customer_id')),
    sa.ForeignKeyConstraint(['owner_id'], ['app_user.id'], name=op.f('fk_enquiry_owner_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_enquiry')),
    sa.UniqueConstraint('number', name=op.f('uq_enquiry_number'))
    )
    op.create_index(op.f('ix_enquiry_customer_id'), 'enquiry', ['customer_id'], unique=False)
    op.create_index(op.f('ix_enquiry_owner_id'), 'enquiry', ['owner_id'], unique=False)
    op.create_table('import_row',
    sa.Column('batch_id', sa.String(length=16), nullable=False),
    sa.Column('line', sa.BigInteger(), nullable=False),
    sa.Column('entity', sa.String(length=16), nullable=False),
    sa.Column('entity_id', sa.String(length=16), nullable=False),
    sa.Column('digest', sa.LargeBinary(length=16), nullable=False),
    sa.ForeignKeyConstraint(['batch_id'], ['import_batch.id'], name=op.f('fk_import_row_batch_id')),
    sa.PrimaryKeyConstraint('batch_id', 'line', 'entity', 'entity_id', name=op.f('pk_import_row'))
    )
    op.create_index(op.f('ix_import_row_entity_id'), 'import_row', ['entity_id'], unique=False)
    op.create_table('interaction',
    sa.Column('id', sa.String(length=16), nullable=False),
    sa.Column('customer_id', sa.String(length=16), nullable=False),
    sa.Column('time', sa.DateTime(timezone=True), nullable=False),
    sa.Column('channel', sa.String(length=16), nullable=False),
    sa.Column('direction', sa.String(length=8), nullable=False),
    sa.Column('subject', sa.LargeBinary(), nullable=False),
    sa.Column('note', sa.LargeBinary(), nullable=True),
    sa.Column('user_id', sa.String(length=16), nullable=True),
    sa.ForeignKeyConstraint(['customer_id'], ['customer.id'], name=op.f('fk_interaction_customer_id')),
    sa.ForeignKeyConstraint(['user_id'], ['app_user.id'], name=op.f('fk_interaction_user_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_interaction'))
    )
    op.create_index(op.f('ix_interaction_customer_id'), 'interaction', ['customer_id'], unique=False)
    op.create_table('merge',
    sa.Column('id', sa.String(length=16), nullable=False),
    sa.Column('kept_id', sa.String(length=16), nullable=False),
    sa.Column('gone_id', sa.String(length=16), nullable=False),
    sa.Column('time', sa.DateTime(timezone=True), nullable=False),
    sa.Column('user_id', sa.String(length=16), nullable=True),
    sa.Column('before', sa.LargeBinary(), nullable=False),
    sa.Column('undone', sa.DateTime(timezone=True), nullable=True),
    sa.ForeignKeyConstraint(['gone_id'], ['customer.id'], name=op.f('fk_merge_gone_id')),
    sa.ForeignKeyConstraint(['kept_id'], ['customer.id'], name=op.f('fk_merge_kept_id')),
    sa.ForeignKeyConstraint(['user_id'], ['app_user.id'], name=op.f('fk_merge_user_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_merge'))
    )
    op.create_index(op.f('ix_merge_gone_id'), 'merge', ['gone_id'], unique=False)
    op.create_index(op.f('ix_merge_kept_id'), 'merge', ['kept_id'], unique=False)
    op.create_table('paper',
    sa.Column('id', sa.String(length=16), nullable=False),
    sa.Column('kind', sa.String(length=16), nullable=False),
    sa.Column('entity', sa.String(length=16), nullable=False),
    sa.Column('entity_id', sa.String(length=16), nullable=False),
    sa.Column('customer_id', sa.String(length=16), nullable=False),
    sa.Column('number', sa.BigInteger(), nullable=False),
    sa.Column('state', sa.String(length=16), nullable=False),
    sa.Column('content', DOCUMENT, nullable=False),
    sa.Column('written', sa.DateTime(timezone=True), nullable=False),
    sa.Column('written_by', sa.String(length=16), nullable=True),
    sa.Column('decided', sa.DateTime(timezone=True), nullable=True),
    sa.Column('decided_by', sa.String(length=16), nullable=True),
    sa.Column('reason', sa.String(length=400), nullable=False),
    sa.ForeignKeyConstraint(['customer_id'], ['customer.id'], name=op.f('fk_paper_customer_id')),
    sa.ForeignKeyConstraint(['decided_by'], ['app_user.id'], name=op.f('fk_paper_decided_by')),
    sa.ForeignKeyConstraint(['written_by'], ['app_user.id'], name=op.f('fk_paper_written_by')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_paper'))
    )
    op.create_index(op.f('ix_paper_customer_id'), 'paper', ['customer_id'], unique=False)
    op.create_index('ix_paper_entity', 'paper', ['entity', 'entity_id', 'kind'], unique=False)
    op.create_table('product_order',
    sa.Column('id', sa.String(length=16), nullable=False),
    sa.Column('number', sa.String(length=64).with_variant(sa.String(length=64, collation='C'), 'postgresql'), nullable=False),
    sa.Column('customer_id', sa.String(length=16), nullable=False),
    sa.Column('enquiry_id', sa.String(length=16), nullable=True),
    sa.Column('changes_id', sa.String(length=16), nullable=True),
    sa.Column('agreement_id', sa.String(length=16), nullable=True),
    sa.Column('region', sa.String(length=64), nullable=False),
    sa.Column('channel', sa.String(length=16), nullable=False),
    sa.Column('class', sa.String(length=8), nullable=False),
    sa.Column('state', sa.String(length=24), nullable=False),
    sa.Column('prior_state', sa.String(length=24), nullable=True),
    sa.Column('reason', sa.String(length=400), nullable=False),
    sa.Column('revision', sa.BigInteger(), nullable=False),
    sa.Column('owner_id', sa.String(length=16), nullable=True),
    sa.Column('created', sa.DateTime(timezone=True), nullable=False),
    sa.Column('acknowledged', sa.DateTime(timezone=True), nullable=True),
    sa.Column('pending_since', sa.DateTime(timezone=True), nullable=True),
    sa.Column('pending_seconds', sa.BigInteger(), nullable=False),
    sa.Column('due', sa.DateTime(timezone=True), nullable=True),
    sa.Column('reminded', sa.DateTime(timezone=True), nullable=True),
    sa.Column('jeopardy', sa.DateTime(timezone=True), nullable=True),
    sa.Column('completed', sa.DateTime(timezone=True), nullable=True),
    sa.Column('version', sa.BigInteger(), nullable=False),
    sa.ForeignKeyConstraint(['agreement_id'], ['agreement.id'], name=op.f('fk_product_order_agreement_id')),
    sa.ForeignKeyConstraint(['changes_id'], ['product_order.id'], name=op.f('fk_product_order_changes_id')),
    sa.ForeignKeyConstraint(['customer_id'], ['customer.id'], name=op.f('fk_product_order_customer_id')),
    sa.ForeignKeyConstraint(['enquiry_id'], ['enquiry.id'], name=op.f('fk_product_order_enquiry_id')),
    sa.ForeignKeyConstraint(['owner_id'], ['app_user.id'], name=op.f('fk_product_order_owner_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_product_order')),
    sa.UniqueConstraint('number', name=op.f('uq_product_order_number'))
    )
    op.create_index('ix_product_order_created', 'product_order', ['created', 'id'], unique=False)
    op.create_index(op.f('ix_product_order_customer_id'), 'product_order', ['customer_id'], unique=False)
    op.create_index(op.f('ix_product_order_agreement_id'), 'product_order', ['agreement_id'], unique=False)
    op.create_index(op.f('ix_product_order_owner_id'), 'product_order', ['owner_id'], unique=False)
    op.create_index('ix_product_order_state_created', 'product_order', ['state', 'created', 'id'], unique=False)
    op.create_index('ix_product_order_state_due', 'product_order', ['state', 'due'], unique=False)
    op.create_table('service',
    sa.Column('id', sa.String(length=16), nullable=False),
    sa.Column('circuit', sa.String(length=64).with_variant(sa.String(length=64, collation='C'), 'postgresql'), nullable=False),
    sa.Column('customer_id', sa.String(length=16), nullable=False),
    sa.Column('agreement_id', sa.String(length=16), nullable=True),
    sa.Column('offering', sa.String(length=64), nullable=False),
    sa.Column('offering_version', sa.BigInteger(), nullable=False),
    sa.Column('kind', sa.String(length=16), nullable=False),
    sa.Column('class', sa.String(length=8), nullable=False),
    sa.Column('region', sa.String(length=64), nullable=False),
    sa.Column('state', sa.String(length=16), nullable=False),
    sa.Column('reason', sa.String(length=400), nullable=False),
    sa.Column('down_bps', sa.BigInteger(), nullable=False),
    sa.Column('up_bps', sa.BigInteger(), nullable=False),
    sa.Column('demarcation', sa.String(length=200), nullable=False),
    sa.Column('site', sa.LargeBinary(), nullable=True),
    sa.Column('owner_id', sa.String(length=16), nullable=True),
    sa.Column('covered', sa.Boolean(), nullable=False),
    sa.Column('created', sa.DateTime(timezone=True), nullable=False),
    sa.Column('activated', sa.DateTime(timezone=True), nullable=True),
    sa.Column('terminated', sa.DateTime(timezone=True), nullable=True),
    sa.Column('version', sa.BigInteger(), nullable=False),
    sa.ForeignKeyConstraint(['agreement_id'], ['agreement.id'], name=op.f('fk_service_agreement_id')),
    sa.ForeignKeyConstraint(['customer_id'], ['customer.id'], name=op.f('fk_service_customer_id')),
    sa.ForeignKeyConstraint(['owner_id'], ['app_user.id'], name=op.f('fk_service_owner_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_service')),
    sa.UniqueConstraint('circuit', name=op.f('uq_service_circuit'))
    )
    op.create_index(op.f('ix_service_customer_id'), 'service', ['customer_id'], unique=False)
    op.create_index(op.f('ix_service_owner_id'), 'service', ['owner_id'], unique=False)
    op.create_index(op.f('ix_service_agreement_id'), 'service', ['agreement_id'], unique=False)
    op.create_index('ix_service_region_state', 'service', ['region', 'state'], unique=False)
    op.create_index(op.f('ix_service_state'), 'service', ['state'], unique=False)
    op.create_table('leakage',
    sa.Column('day', sa.String(length=10), nullable=False),
    sa.Column('kind', sa.String(length=24), nullable=False),
    sa.Column('subject', sa.String(length=255), nullable=False),
    sa.Column('customer_id', sa.String(length=16), nullable=True),
    sa.Column('region', sa.String(length=64), nullable=False),
    sa.Column('bytes', sa.BigInteger(), nullable=False),
    sa.Column('evidence', DOCUMENT, nullable=False),
    sa.Column('made', sa.DateTime(timezone=True), nullable=False),
    sa.ForeignKeyConstraint(['customer_id'], ['customer.id'], name=op.f('fk_leakage_customer_id')),
    sa.PrimaryKeyConstraint('day', 'kind', 'subject', name=op.f('pk_leakage'))
    )
    op.create_index(op.f('ix_leakage_customer_id'), 'leakage', ['customer_id'], unique=False)
    op.create_table('binding',
    sa.Column('id', sa.String(length=16), nullable=False),
    sa.Column('service_id', sa.String(length=16), nullable=False),
    sa.Column('key', sa.String(length=300), nullable=False),
    sa.Column('prefix', sa.String(length=64), nullable=False),
    sa.Column('vlan', sa.BigInteger(), nullable=True),
    sa.Column('inner_vlan', sa.BigInteger(), nullable=True),
    sa.Column('mac', sa.String(length=17), nullable=False),
    sa.Column('user_name', sa.String(length=255), nullable=False),
    sa.Column('circuit', sa.String(length=255), nullable=False),
    sa.Column('probe', sa.String(length=255), nullable=False),
    sa.Column('interface', sa.String(length=64), nullable=False),
    sa.Column('low', sa.String(length=32), nullable=False),
    sa.Column('high', sa.String(length=32), nullable=False),
    sa.Column('valid_from', sa.DateTime(timezone=True), nullable=False),
    sa.Column('valid_to', sa.DateTime(timezone=True), nullable=True),
    sa.Column('revision', sa.BigInteger(), nullable=False),
    sa.Column('withdrawn', sa.DateTime(timezone=True), nullable=True),
    sa.Column('created', sa.DateTime(timezone=True), nullable=False),
    sa.CheckConstraint('valid_to IS NULL OR valid_to > valid_from', name=op.f('ck_binding_order')),
    sa.ForeignKeyConstraint(['service_id'], ['service.id'], name=op.f('fk_binding_service_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_binding'))
    )
    op.create_index('ix_binding_key', 'binding', ['key', 'valid_from'], unique=False)
    op.create_index('ix_binding_vlan', 'binding', ['vlan'], unique=False, sqlite_where=sa.text("vlan IS NOT NULL"), postgresql_where=sa.text("vlan IS NOT NULL"))
    op.create_index('ix_binding_inner_vlan', 'binding', ['inner_vlan'], unique=False, sqlite_where=sa.text("inner_vlan IS NOT NULL"), postgresql_where=sa.text("inner_vlan IS NOT NULL"))
    op.create_index('ix_binding_mac', 'binding', ['mac'], unique=False, sqlite_where=sa.text("mac <> ''"), postgresql_where=sa.text("mac <> ''"))
    op.create_index('ix_binding_user_name', 'binding', ['user_name'], unique=False, sqlite_where=sa.text("user_name <> ''"), postgresql_where=sa.text("user_name <> ''"))
    op.create_index('ix_binding_circuit', 'binding', ['circuit'], unique=False, sqlite_where=sa.text("circuit <> ''"), postgresql_where=sa.text("circuit <> ''"))
    op.create_index('ix_binding_low_high', 'binding', ['low', 'high'], unique=False)
    op.create_index(op.f('ix_binding_service_id'), 'binding', ['service_id'], unique=False)
    op.create_index(op.f('ix_binding_withdrawn'), 'binding', ['withdrawn'], unique=False)
    op.create_table('order_item',
    sa.Column('id', sa.String(length=16), nullable=False),
    sa.Column('order_id', sa.String(length=16), nullable=False),
    sa.Column('place', sa.BigInteger(), nullable=False),
    sa.Column('action', sa.String(length=16), nullable=False),
    sa.Column('offering', sa.String(length=64), nullable=False),
    sa.Column('offering_version', sa.BigInteger(), nullable=False),
    sa.Column('state', sa.String(length=24), nullable=False),
    sa.Column('service_id', sa.String(length=16), nullable=True),
    sa.Column('wanted', DOCUMENT, nullable=False),
    sa.Column('site', sa.LargeBinary(), nullable=True),
    sa.Column('price', DOCUMENT, nullable=False),
    sa.Column('covered', sa.Boolean(), nullable=False),
    sa.Column('verified', sa.String(length=16), nullable=False),
    sa.Column('removed', sa.BigInteger(), nullable=True),
    sa.ForeignKeyConstraint(['order_id'], ['product_order.id'], name=op.f('fk_order_item_order_id')),
    sa.ForeignKeyConstraint(['service_id'], ['service.id'], name=op.f('fk_order_item_service_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_order_item'))
    )
    op.create_index(op.f('ix_order_item_order_id'), 'order_item', ['order_id'], unique=False)
    op.create_index(op.f('ix_order_item_service_id'), 'order_item', ['service_id'], unique=False)
    op.create_table('order_version',
    sa.Column('order_id', sa.String(length=16), nullable=False),
    sa.Column('revision', sa.BigInteger(), nullable=False),
    sa.Column('content', DOCUMENT, nullable=False),
    sa.Column('time', sa.DateTime(timezone=True), nullable=False),
    sa.Column('user_id', sa.String(length=16), nullable=True),
    sa.ForeignKeyConstraint(['order_id'], ['product_order.id'], name=op.f('fk_order_version_order_id')),
    sa.ForeignKeyConstraint(['user_id'], ['app_user.id'], name=op.f('fk_order_version_user_id')),
    sa.PrimaryKeyConstraint('order_id', 'revision', name=op.f('pk_order_version'))
    )
    op.create_table('qualification',
    sa.Column('id', sa.String(length=16), nullable=False),
    sa.Column('enquiry_id', sa.String(length=16), nullable=True),
    sa.Column('order_id', sa.String(length=16), nullable=True),
    sa.Column('customer_id', sa.String(length=16), nullable=False),
    sa.Column('region', sa.String(length=64), nullable=False),
    sa.Column('state', sa.String(length=24), nullable=False),
    sa.Column('result', sa.String(length=16), nullable=False),
    sa.Column('asked', DOCUMENT, nullable=False),
    sa.Column('found', DOCUMENT, nullable=False),
    sa.Column('created', sa.DateTime(timezone=True), nullable=False),
    sa.Column('done', sa.DateTime(timezone=True), nullable=True),
    sa.ForeignKeyConstraint(['customer_id'], ['customer.id'], name=op.f('fk_qualification_customer_id')),
    sa.ForeignKeyConstraint(['enquiry_id'], ['enquiry.id'], name=op.f('fk_qualification_enquiry_id')),
    sa.ForeignKeyConstraint(['order_id'], ['product_order.id'], name=op.f('fk_qualification_order_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_qualification'))
    )
    op.create_index(op.f('ix_qualification_enquiry_id'), 'qualification', ['enquiry_id'], unique=False)
    op.create_index(op.f('ix_qualification_order_id'), 'qualification', ['order_id'], unique=False)
    op.create_index(op.f('ix_qualification_customer_id'), 'qualification', ['customer_id'], unique=False)
    op.create_table('service_resource',
    sa.Column('service_id', sa.String(length=16), nullable=False),
    sa.Column('resource_id', sa.String(length=16), nullable=False),
    sa.Column('bps', sa.BigInteger(), nullable=False),
    sa.Column('holder', sa.String(length=16), nullable=True),
    sa.ForeignKeyConstraint(['resource_id'], ['resource.id'], name=op.f('fk_service_resource_resource_id')),
    sa.ForeignKeyConstraint(['service_id'], ['service.id'], name=op.f('fk_service_resource_service_id')),
    sa.PrimaryKeyConstraint('service_id', 'resource_id', name=op.f('pk_service_resource')),
    sa.UniqueConstraint('holder', name=op.f('uq_service_resource_holder'))
    )
    op.create_index(op.f('ix_service_resource_resource_id'), 'service_resource', ['resource_id'], unique=False)
    op.create_table('configuration',
    sa.Column('id', sa.String(length=16), nullable=False),
    sa.Column('item_id', sa.String(length=16), nullable=False),
    sa.Column('version', sa.BigInteger(), nullable=False),
    sa.Column('template', sa.String(length=64), nullable=False),
    sa.Column('text', sa.String(), nullable=False),
    sa.Column('inverse', sa.String(), nullable=False),
    sa.Column('state', sa.String(length=16), nullable=False),
    sa.Column('conflicts', DOCUMENT, nullable=False),
    sa.Column('created', sa.DateTime(timezone=True), nullable=False),
    sa.Column('taken', DOCUMENT, nullable=False),
    sa.Column('rendered_by', sa.String(length=16), nullable=True),
    sa.Column('signed_by', sa.String(length=16), nullable=True),
    sa.Column('signed', sa.DateTime(timezone=True), nullable=True),
    sa.ForeignKeyConstraint(['item_id'], ['order_item.id'], name=op.f('fk_configuration_item_id')),
    sa.ForeignKeyConstraint(['rendered_by'], ['app_user.id'], name=op.f('fk_configuration_rendered_by')),
    sa.ForeignKeyConstraint(['signed_by'], ['app_user.id'], name=op.f('fk_configuration_signed_by')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_configuration'))
    )
    op.create_index(op.f('ix_configuration_item_id'), 'configuration', ['item_id'], unique=False)
    op.create_table('milestone',
    sa.Column('item_id', sa.String(length=16), nullable=False),
    sa.Column('name', sa.String(length=24), nullable=False),
    sa.Column('reached', sa.DateTime(timezone=True), nullable=False),
    sa.Column('user_id', sa.String(length=16), nullable=True),
    sa.Column('evidence', DOCUMENT, nullable=False),
    sa.ForeignKeyConstraint(['item_id'], ['order_item.id'], name=op.f('fk_milestone_item_id')),
    sa.ForeignKeyConstraint(['user_id'], ['app_user.id'], name=op.f('fk_milestone_user_id')),
    sa.PrimaryKeyConstraint('item_id', 'name', name=op.f('pk_milestone'))
    )
    op.create_table('reservation',
    sa.Column('id', sa.String(length=16), nullable=False),
    sa.Column('resource_id', sa.String(length=16), nullable=False),
    sa.Column('item_id', sa.String(length=16), nullable=False),
    sa.Column('bps', sa.BigInteger(), nullable=False),
    sa.Column('made', sa.DateTime(timezone=True), nullable=False),
    sa.Column('until', sa.DateTime(timezone=True), nullable=False),
    sa.Column('released', sa.DateTime(timezone=True), nullable=True),
    sa.ForeignKeyConstraint(['item_id'], ['order_item.id'], name=op.f('fk_reservation_item_id')),
    sa.ForeignKeyConstraint(['resource_id'], ['resource.id'], name=op.f('fk_reservation_resource_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_reservation'))
    )
    op.create_index(op.f('ix_reservation_item_id'), 'reservation', ['item_id'], unique=False)
    op.create_index('ix_reservation_resource', 'reservation', ['resource_id', 'released'], unique=False)
    op.bulk_insert(sa.table("audit_head", sa.column("id"), sa.column("number"), sa.column("hash", sa.LargeBinary), sa.column("before", sa.LargeBinary)),
                   [{"id": 1, "number": 0, "hash": bytes(32), "before": bytes(32)}])
    for statement in _append_only(op.get_bind().dialect.name):
        op.execute(statement)


def _append_only(dialect: str) -> list[str]:
    """Triggers that refuse to change or remove a row of the audit log."""
    if dialect == "sqlite":
        return [f"CREATE TRIGGER audit_no_{act.lower()} BEFORE {act} ON audit BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END"
                for act in ("UPDATE", "DELETE")]
    return ["CREATE FUNCTION audit_refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'the audit log is append-only'; END $$",
            "CREATE TRIGGER audit_no_change BEFORE UPDATE OR DELETE OR TRUNCATE ON audit FOR EACH STATEMENT EXECUTE FUNCTION audit_refuse()"]
