"""The tables. Times are the database's own (`mm_now()`), ids are UUIDv7 made by the application.

`docs/reference/schema.md` says what each table is for, and why it differs from the usual textbook shape.
"""

from db.models.accounts import ApiKey, IdempotencyKey, SignInTries, User
from db.models.attachments import Attachment, AttachmentUpload, Blob, EmailAttachment
from db.models.base import Base
from db.models.budgets import Budget
from db.models.campaigns import Campaign, CampaignChange, CampaignCount, Halt
from db.models.content import (
    EmailContent,
    EmailTemplate,
    EmailTemplateVersion,
    EmailType,
    EmailTypeProvider,
    SenderDomain,
)
from db.models.emails import (
    DeliveryAttempt,
    EmailByStatus,
    EmailJob,
    EmailQueue,
    EmailStatus,
    ProviderCall,
    claim_tokens,
)
from db.models.erasures import ErasedContent, Erasure
from db.models.house import (
    InboundEvent,
    InboundNonce,
    Lookup,
    LookupCursor,
    Recovery,
    UpkeepDuty,
    WorkerRun,
)
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
from db.models.stats import EmailStats, StatsDue
from db.models.suppressions import SoftBounce, Suppression
from db.models.webhooks import WebhookEndpoint, WebhookMessage

__all__ = [
    "ApiKey",
    "Attachment",
    "AttachmentUpload",
    "Base",
    "Blob",
    "Budget",
    "Campaign",
    "CampaignChange",
    "CampaignCount",
    "DeliveryAttempt",
    "EmailAttachment",
    "EmailByStatus",
    "EmailContent",
    "EmailJob",
    "EmailQueue",
    "EmailStats",
    "EmailStatus",
    "EmailTemplate",
    "EmailTemplateVersion",
    "EmailType",
    "EmailTypeProvider",
    "ErasedContent",
    "Erasure",
    "Halt",
    "IdempotencyKey",
    "InboundEvent",
    "InboundNonce",
    "Learner",
    "Lookup",
    "LookupCursor",
    "Provider",
    "ProviderCall",
    "ProviderPerformance",
    "ProviderPerformanceHistory",
    "ProviderPrice",
    "ProviderQuota",
    "QuotaSlot",
    "Recovery",
    "Resend",
    "RoutingRule",
    "RoutingRuleFallback",
    "SenderDomain",
    "SignInTries",
    "SoftBounce",
    "StatsDue",
    "Suppression",
    "UpkeepDuty",
    "User",
    "WebhookEndpoint",
    "WebhookMessage",
    "WorkerRun",
    "claim_tokens",
]
