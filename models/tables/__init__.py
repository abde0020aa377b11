"""All tables, one package per subject; services import their classes from here. Imports `models.rules` and below."""

from models.tables.accounts.access_key import AccessKey, KeyScope
from models.tables.accounts.audit import WRITTEN, AuditEntry
from models.tables.accounts.data_export import DataExport, DataExportPart, ExportStatus
from models.tables.accounts.mailed_links import EmailLink, LinkPurpose, PasswordReset
from models.tables.accounts.provider_key import KeyStatus, ProviderKey
from models.tables.accounts.sign_in import TwoFactor, UserSession
from models.tables.accounts.user import FormerAddress, Role, User
from models.tables.credits.ledger import Credit, CreditHold, CreditTransaction, CreditType, HoldStatus
from models.tables.credits.quota_usage import ApiCall, StorageUsed
from models.tables.executions.execution import (
    SEARCHED,
    SEARCHED_RUNS,
    Execution,
    ExecutionEvent,
    NodeExecution,
    QuarantinedRun,
)
from models.tables.executions.receipt import Receipt
from models.tables.operations.analytics import BusinessTotals, DailyFigures
from models.tables.operations.idempotency_key import IdempotencyKey
from models.tables.operations.notification import (
    UNVERIFIED_KINDS,
    BillingAlert,
    Channel,
    Notification,
    NotificationKind,
    NotificationStatus,
    PushDevice,
    PushFailure,
    PushTicket,
)
from models.tables.operations.notification_preference import MutedTopic, NotificationTopic, UnsubscribeKey
from models.tables.operations.openclaw_agents import OpenClawAgents
from models.tables.operations.processes import NamedLease, PausedQueue, QueueProbe, ThreadFailure, Worker
from models.tables.stripe.invoice import Invoice
from models.tables.stripe.payment_method import PaymentMethod
from models.tables.stripe.purchase import Purchase, PurchaseStatus
from models.tables.stripe.reconciliation import (
    Action,
    ReconciliationFinding,
    ReconciliationRun,
    ReconciliationWatermark,
    RunKind,
    RunStatus,
)
from models.tables.stripe.refund import Dispute, Refund, Reversal
from models.tables.stripe.stripe_event import EventStatus, StripeEvent
from models.tables.stripe.stripe_request import RequestKind, RequestStatus, StripeRequest
from models.tables.stripe.subscription import Subscription
from models.tables.workflows.schedule import WorkflowSchedule
from models.tables.workflows.template import Template
from models.tables.workflows.template_report import ReportOutcome, ReportStatus, TemplateReport
from models.tables.workflows.workflow import UNDO_DELETION, Workflow, WorkflowVersion

__all__ = [
    "SEARCHED",
    "SEARCHED_RUNS",
    "UNDO_DELETION",
    "UNVERIFIED_KINDS",
    "WRITTEN",
    "AccessKey",
    "Action",
    "ApiCall",
    "AuditEntry",
    "BillingAlert",
    "BusinessTotals",
    "Channel",
    "Credit",
    "CreditHold",
    "CreditTransaction",
    "CreditType",
    "DailyFigures",
    "DataExport",
    "DataExportPart",
    "Dispute",
    "EmailLink",
    "EventStatus",
    "Execution",
    "ExecutionEvent",
    "ExportStatus",
    "FormerAddress",
    "HoldStatus",
    "IdempotencyKey",
    "Invoice",
    "KeyScope",
    "KeyStatus",
    "LinkPurpose",
    "MutedTopic",
    "NamedLease",
    "NodeExecution",
    "Notification",
    "NotificationKind",
    "NotificationStatus",
    "NotificationTopic",
    "OpenClawAgents",
    "PasswordReset",
    "PausedQueue",
    "PaymentMethod",
    "ProviderKey",
    "Purchase",
    "PurchaseStatus",
    "PushDevice",
    "PushFailure",
    "PushTicket",
    "QuarantinedRun",
    "QueueProbe",
    "Receipt",
    "ReconciliationFinding",
    "ReconciliationRun",
    "ReconciliationWatermark",
    "Refund",
    "ReportOutcome",
    "ReportStatus",
    "RequestKind",
    "RequestStatus",
    "Reversal",
    "Role",
    "RunKind",
    "RunStatus",
    "StorageUsed",
    "StripeEvent",
    "StripeRequest",
    "Subscription",
    "Template",
    "TemplateReport",
    "ThreadFailure",
    "TwoFactor",
    "UnsubscribeKey",
    "User",
    "UserSession",
    "Worker",
    "Workflow",
    "WorkflowSchedule",
    "WorkflowVersion",
]
