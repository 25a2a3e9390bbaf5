"""All tables, a file for each domain. What is said of one is in its class; migrations/ makes them."""
from bss.tables.billing import Bill, BillCounter, BilledOn, BillFinding, BillingAccount, BillLine, BillRun, CreditNote, TaxRate
from bss.tables.catalogue import Offering, SlaTerms
from bss.tables.field import (
    Article,
    ArticleWord,
    Assurance,
    AssuranceReport,
    AssuredService,
    Dispatch,
    Escalation,
    Inspection,
    InspectionPlan,
    Roster,
    Template,
)
from bss.tables.order import Configuration, Enquiry, Milestone, OrderItem, OrderVersion, ProductOrder, Qualification, Transition
from bss.tables.paper import Attachment, Paper
from bss.tables.party import Agreement, Blind, Contact, Customer, Interaction, Merge, Party, Relation
from bss.tables.payment import DunningCase, JournalEntry, Payment, PaymentMatch, Refund, WriteOff
from bss.tables.person import ApiToken, Login, User
from bss.tables.rating import Bucket, Draw, RatedCharge, RatedPeriod, RatedUsage, Recycled, ThresholdEvent, UsageHour, UsageName
from bss.tables.record import AuditHead, AuditRow, Delivery, Idempotency, ImportBatch, ImportRow, Job, Outbox, Receiver, Worker
from bss.tables.service import Binding, ExportMark, Leakage, Reservation, Resource, Service, ServiceResource
from bss.tables.sla import Credit, Reclassification, SlaMark, SlaMinute, SlaMonth, SpeedTest
from bss.tables.ticket import Alarm, AlarmEvent, LinkState, SweepMark, Ticket, TicketNote, Window, WindowSubject

__all__ = ["Agreement", "Alarm", "AlarmEvent", "ApiToken", "Article", "ArticleWord", "Assurance", "AssuranceReport", "AssuredService", "Attachment",
           "AuditHead", "AuditRow", "Bill", "BillCounter", "BillFinding", "BillLine", "BillRun", "BillingAccount", "Binding", "Blind", "Bucket",
           "Configuration", "Contact", "CreditNote", "Customer", "Delivery", "Dispatch", "Draw", "DunningCase", "Enquiry", "Escalation", "ExportMark",
           "Idempotency", "ImportBatch", "ImportRow", "Inspection", "InspectionPlan", "Interaction", "Job", "JournalEntry", "Leakage", "LinkState", "Login",
           "Merge", "Milestone", "Offering", "OrderItem", "OrderVersion", "Outbox", "Paper", "Party", "Payment", "PaymentMatch", "ProductOrder",
           "Qualification", "RatedCharge", "RatedPeriod", "RatedUsage", "Receiver", "Recycled", "Refund", "Relation", "Reservation", "Resource", "Roster",
           "Service", "ServiceResource", "SlaTerms", "SweepMark", "TaxRate", "Template", "ThresholdEvent", "Ticket", "TicketNote", "Transition", "UsageHour",
           "UsageName", "User", "Window", "WindowSubject", "Worker"]
__all__ += ["BilledOn", "WriteOff"]
__all__ += ["Credit", "Reclassification", "SlaMark", "SlaMinute", "SlaMonth", "SpeedTest"]
