"""The application: routes, who may ask them, and how they answer."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from typing import Any

import structlog
from flask import Flask, Response, g, request
from flask_openapi3.models.info import Info
from flask_openapi3.openapi import OpenAPI

from api.auth import guard
from api.batches import BatchAccepted, BatchDrawn
from api.deps import Dependencies
from api.documents import DESCRIPTION, ProblemOut
from api.errors import register_errors
from api.hooks import register_hooks
from api.routes import (
    accounts,
    attachments,
    audit_log,
    batches,
    budgets,
    campaigns,
    domains,
    email_types,
    emails,
    endpoints,
    erasures,
    health,
    prices,
    provider_health,
    providers,
    routing,
    rules,
    sessions,
    stats,
    suppression_imports,
    suppressions,
    templates,
    warm_ups,
    webhooks,
)
from api.routes import metrics as metrics_route
from api.routes.audit_log import AuditPage
from api.routes.documents import register_documents
from api.routes.email_types import TypeOut, TypePage
from api.routes.routing import Preview
from api.routes.webhooks import WebhookOut
from api.schemas.accounts import KeyMade, KeyOut, KeyPage, UserMade, UserOut, UserPage
from api.schemas.attachments import AttachmentOut, AttachmentPage, UploadOut
from api.schemas.budgets import BudgetOut, BudgetPage
from api.schemas.campaigns import CampaignMoved, CampaignPage, CampaignShown, HaltList, HaltOut
from api.schemas.domains import DomainOut, DomainPage
from api.schemas.emails import (
    CancelledMany,
    EmailAccepted,
    EmailDrawn,
    EmailOut,
    EmailPage,
    RescheduledMany,
    ResentMany,
)
from api.schemas.endpoints import (
    EndpointMade,
    EndpointOut,
    EndpointPage,
    MessagePage,
    MessageQueued,
    Replayed,
)
from api.schemas.erasures import ErasureOut, ErasurePage
from api.schemas.health import HealthOut
from api.schemas.prices import PricesOut
from api.schemas.providers import KindList, ProviderOut, ProviderPage, ProviderTest, RuleOut, RulePage
from api.schemas.replay import ReplayOut
from api.schemas.sessions import PasswordLink, SessionMade, SessionOut, SessionPage
from api.schemas.stats import StatsOut
from api.schemas.suppressions import Imported, Suppressed, SuppressionOut, SuppressionPage
from api.schemas.templates import (
    RenderedOut,
    TemplateOut,
    TemplatePage,
    VersionAdded,
    VersionList,
    VersionOut,
)
from api.schemas.warm_ups import WarmUpList, WarmUpOut
from api.tracking import register_tracking
from api.unsubscribe import register_unsubscribe

VERSION = "0.1.0"
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}\Z")
_ANSWERS = [
    *(
        EmailAccepted,
        EmailDrawn,
        BatchAccepted,
        BatchDrawn,
        EmailPage,
        EmailOut,
        Preview,
        ReplayOut,
        ProviderOut,
        HealthOut,
        AuditPage,
        StatsOut,
        WarmUpOut,
        WarmUpList,
        PricesOut,
        ProviderPage,
        ProviderTest,
        KindList,
        RuleOut,
        RulePage,
        WebhookOut,
        TemplateOut,
        TemplatePage,
        VersionOut,
        VersionAdded,
        VersionList,
        RenderedOut,
        TypeOut,
        TypePage,
        CancelledMany,
        RescheduledMany,
        ResentMany,
        KeyOut,
        KeyMade,
        KeyPage,
        UserOut,
        UserMade,
        UserPage,
        CampaignShown,
        CampaignMoved,
        CampaignPage,
        HaltOut,
        HaltList,
        BudgetOut,
        BudgetPage,
        Suppressed,
        SuppressionOut,
        SuppressionPage,
        DomainOut,
        DomainPage,
        EndpointOut,
        EndpointMade,
        EndpointPage,
        MessageQueued,
        MessagePage,
        Replayed,
        AttachmentOut,
        AttachmentPage,
        UploadOut,
        SessionOut,
        SessionMade,
        SessionPage,
        PasswordLink,
        Imported,
        ErasureOut,
        ErasurePage,
    ),
    *(health.Alive, health.Readiness),
]


class _App(OpenAPI):
    """Flask asks of every function at every request whether it is a coroutine. None of ours is."""

    def ensure_sync(self, func: Callable[..., Any]) -> Callable[..., Any]:
        return func


def create_app(deps: Dependencies) -> Flask:
    """Build the WSGI application. It holds no state but what `deps` holds."""
    app = _App(
        __name__,
        info=Info(title="Mailmux", version=VERSION, description=DESCRIPTION),
        security_schemes={
            "key": {
                "type": "http",
                "scheme": "bearer",
                "description": "An API key, mx_live_…, or the token of a session, mx_sess_…",
            }
        },
        validation_error_model=ProblemOut,
        doc_ui=False,
        static_folder=None,
    )
    app.extensions["mailmux"] = deps
    app.extensions["mailmux.answers"] = _ANSWERS
    app.url_map.strict_slashes = True
    app.url_map.merge_slashes = False
    _name_requests(app, deps)
    metrics_route.measure(app, deps)
    guard(app, deps)
    register_errors(app)
    register_hooks(app, deps)
    register_unsubscribe(app, deps)
    register_tracking(app, deps)
    for routes in (
        emails,
        batches,
        attachments,
        prices,
        provider_health,
        providers,
        routing,
        warm_ups,
        webhooks,
        endpoints,
        domains,
        suppressions,
        suppression_imports,
        erasures,
        campaigns,
        budgets,
        accounts,
        sessions,
        audit_log,
        stats,
        rules,
        templates,
        email_types,
        health,
        metrics_route,
    ):
        app.register_api(routes.blueprint)
    register_documents(app, app.api_doc)
    _refuse_unguarded(app)
    return app


def _name_requests(app: Flask, deps: Dependencies) -> None:
    @app.before_request
    def _begin() -> None:
        given = request.headers.get("X-Request-Id", "")
        g.request_id = given if _REQUEST_ID.match(given) else str(deps.ids())
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(request_id=g.request_id)

    @app.after_request
    def _finish(response: Response) -> Response:
        if "request_id" in g:
            response.headers["X-Request-Id"] = g.request_id
        response.headers["X-Content-Type-Options"] = "nosniff"
        response.headers.setdefault("Cache-Control", "no-store")
        return response


def _refuse_unguarded(app: Flask) -> None:
    """Every route says who may ask it."""
    for endpoint, view in app.view_functions.items():
        if inspect.iscoroutinefunction(view):
            raise TypeError(f"the route {endpoint} is a coroutine, which nothing here awaits")
        if not hasattr(view, "scope") and not hasattr(view, "public"):
            raise RuntimeError(f"the route {endpoint} neither has a scope nor is public")
