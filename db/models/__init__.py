"""The tables. Times are the database's own (`mm_now()`), ids are UUIDv7 made by the application.

`docs/reference/schema.md` says what each table is for, and why it differs from the usual textbook shape.
"""

from db.models.accounts import ApiKey, IdempotencyKey, User
from db.models.attachments import Attachment, AttachmentUpload, Blob, EmailAttachment
from db.models.base import Base
from db.models.campaigns import Campaign, Halt
from db.models.content import EmailContent, EmailTemplate, EmailTemplateVersion, EmailType, SenderDomain
from db.models.emails import DeliveryAttempt, EmailJob, EmailQueue, EmailStatus, ProviderCall, claim_tokens
from db.models.house import InboundEvent, InboundNonce, UpkeepDuty, WorkerRun
from db.models.providers import (
    Learner,
    Provider,
    ProviderPerformance,
    ProviderPerformanceHistory,
    ProviderPrice,
    ProviderQuota,
    QuotaSlot,
    RoutingRule,
    RoutingRuleFallback,
)
from db.models.resends import Resend
from db.models.suppressions import SoftBounce, Suppression
from db.models.webhooks import WebhookEndpoint, WebhookMessage

__all__ = [
    "ApiKey",
    "Attachment",
    "AttachmentUpload",
    "Base",
    "Blob",
    "Campaign",
    "DeliveryAttempt",
    "EmailAttachment",
    "EmailContent",
    "EmailJob",
    "EmailQueue",
    "EmailStatus",
    "EmailTemplate",
    "EmailTemplateVersion",
    "EmailType",
    "Halt",
    "IdempotencyKey",
    "InboundEvent",
    "InboundNonce",
    "Learner",
    "Provider",
    "ProviderCall",
    "ProviderPerformance",
    "ProviderPerformanceHistory",
    "ProviderPrice",
    "ProviderQuota",
    "QuotaSlot",
    "Resend",
    "RoutingRule",
    "RoutingRuleFallback",
    "SenderDomain",
    "SoftBounce",
    "Suppression",
    "UpkeepDuty",
    "User",
    "WebhookEndpoint",
    "WebhookMessage",
    "WorkerRun",
    "claim_tokens",
]
