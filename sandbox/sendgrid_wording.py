"""SendGrid's longer error messages, word for word from its page "Errors" (mail-send/errors) or as its API is
known to answer, since clients match on them."""

_EXAMPLE = (
    'e.g. {"email": "example@example.com"} or {"email": "example@example.com", "name": "Example Recipient"}.'
)

ADDRESS = (
    "The {kind} object must at least have an email parameter with a valid email address and may also "
    "contain a name parameter. " + _EXAMPLE.replace("{", "{{").replace("}", "}}")
)
FROM_REQUIRED = (
    "The from object must be provided for every email send. It is an object that requires the email "
    "parameter, but may also contain a name parameter. " + _EXAMPLE
)
TO_REQUIRED = (
    "The to array is required for all personalization objects, and must have at least one email object "
    "with a valid email address."
)
TOO_MANY_PERSONALIZATIONS = (
    "The personalization block is limited to 1000 personalizations per API request. You have provided "
    "{count} personalizations. Please consider splitting this into multiple requests and resending your "
    "request."
)
DUPLICATE_IN_PERSONALIZATION = (
    "Each email address in the personalization block should be unique between to, cc, and bcc. We found "
    "the first duplicate instance of [{email}] in the {where} field."
)
DUPLICATE_IN_REQUEST = (
    "Each unique email address in the personalizations array should only be included once. You have "
    "included [{email}] more than once."
)
CONTENT_REQUIRED = (
    "Unless a valid template_id is provided, the content parameter is required. There must be at least "
    "one defined content block. We typically suggest both text/plain and text/html blocks are included, "
    "but only one block is required."
)
CONTENT_ORDER = (
    "Following RFC 1341, section 7.2, if either text/html or text/plain are to be sent in your email: "
    "text/plain needs to be first, followed by text/html, followed by any other content."
)
SUBJECT_REQUIRED = (
    "The subject is required. You can get around this requirement if you use a template with a subject "
    "defined or if every personalization has a subject defined."
)
CUSTOM_ARGS_TOO_LARGE = (
    "The combined size of both global and personalization custom arguments may not exceed 10,000 bytes "
    "per personalization."
)
TOO_MANY_CATEGORIES = (
    "There is a limit of 10 categories for each email that is sent. You provided {count} categories."
)
SENDER_MISMATCH = (
    "The from address does not match a verified Sender Identity. Mail cannot be sent until this error is "
    "resolved. Visit https://sendgrid.com/docs/for-developers/sending-email/sender-identity/ to see the "
    "Sender Identity requirements"
)
